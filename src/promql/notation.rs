//! The notation for series with values that test files use: `up{job="a"} 1 2+1x3 _ stale {{schema:1 buckets:[1 2]}}`.
//!
//! Values stand at equal distances. `A+BxN` stands for `A`, `A+B`, … `A+N·B`, `AxN` for `N + 1` times `A`, `_` for no value,
//! `_xN` for `N` times none. Histograms are written between double braces.

use model::{BucketSpan, CounterResetHint, Histogram, Labels, METRIC_NAME, SampleValue, stale_nan};

use crate::lex::read_quoted;

/// At most this many values in one series: repeats can ask for any number.
const VALUES_MAX: usize = 2_000_000;

/// A text that is no series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct NotationError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A series with its values; `None` is no value.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesDescription {
    /// Which series.
    pub labels: Labels,
    /// Its values at equal distances.
    pub values: Vec<Option<SampleValue>>,
}

/// Reads a series with values.
pub fn parse_series(text: &str) -> Result<SeriesDescription, NotationError> {
    let mut reader = Reader { text, at: 0 };
    let labels = reader.labels()?;
    let mut values = Vec::new();
    while reader.blank()? {
        reader.item(&mut values)?;
    }
    Ok(SeriesDescription { labels, values })
}

/// Reads a series without values: `up{job="a"}`.
pub fn parse_labels(text: &str) -> Result<Labels, NotationError> {
    let mut reader = Reader { text, at: 0 };
    let labels = reader.labels()?;
    reader.skip_blanks();
    if reader.rest().is_empty() { Ok(labels) } else { Err(reader.error("unexpected text behind the labels")) }
}

/// A histogram as it is written between double braces; reading it gives an equal one.
pub fn format_histogram(histogram: &Histogram) -> String {
    let mut parts = Vec::new();
    let number = model::format_float_shortest;
    if histogram.schema != 0 {
        parts.push(format!("schema:{}", histogram.schema));
    }
    for (name, value) in [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ] {
        if value != 0.0 {
            parts.push(format!("{name}:{}", number(value)));
        }
    }
    let list = |values: &[f64]| values.iter().map(|v| number(*v)).collect::<Vec<_>>().join(" ");
    if !histogram.custom_values.is_empty() {
        parts.push(format!("custom_values:[{}]", list(&histogram.custom_values)));
    }
    match histogram.counter_reset_hint {
        CounterResetHint::Unknown => {}
        CounterResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        CounterResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        CounterResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    let sides: [(&str, &str, Vec<(i32, f64)>); 2] = [
        ("offset", "buckets", histogram.positive().collect()),
        ("n_offset", "n_buckets", histogram.negative().collect()),
    ];
    for (offset_name, name, buckets) in sides {
        let (Some((first, _)), Some((last, _))) = (buckets.first().copied(), buckets.last().copied()) else {
            continue;
        };
        if first != 0 {
            parts.push(format!("{offset_name}:{first}"));
        }
        let all: Vec<f64> = (first..=last)
            .map(|index| buckets.iter().find(|(i, _)| *i == index).map_or(0.0, |(_, count)| *count))
            .collect();
        parts.push(format!("{name}:[{}]", list(&all)));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: impl Into<String>) -> NotationError {
        NotationError { column: self.text[..self.at].chars().count() + 1, message: message.into() }
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str) -> Result<(), NotationError> {
        if self.eat(text) { Ok(()) } else { Err(self.error(format!("expected `{text}`"))) }
    }

    fn skip_blanks(&mut self) -> bool {
        let trimmed = self.rest().trim_start();
        let skipped = trimmed.len() < self.rest().len();
        self.at = self.text.len() - trimmed.len();
        skipped
    }

    /// Goes to the next item. `false` at the end; items need a blank between them.
    fn blank(&mut self) -> Result<bool, NotationError> {
        let skipped = self.skip_blanks();
        if self.rest().is_empty() {
            return Ok(false);
        }
        if skipped { Ok(true) } else { Err(self.error("expected a blank between values")) }
    }

    fn word(&mut self, allowed: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !allowed(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn quoted(&mut self) -> Result<String, NotationError> {
        let (bytes, len) = read_quoted(self.rest()).map_err(|(_, message)| self.error(message))?;
        let text = String::from_utf8(bytes).map_err(|_| self.error("text must be UTF-8"))?;
        self.at += len;
        Ok(text)
    }

    fn at_quote(&self) -> bool {
        self.rest().starts_with(['"', '\'', '`'])
    }

    fn labels(&mut self) -> Result<Labels, NotationError> {
        self.skip_blanks();
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error("a metric name cannot start with a digit"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        if !name.is_empty() {
            pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
        }
        if !self.eat("{") {
            return if name.is_empty() {
                Err(self.error("expected a metric name or `{`"))
            } else {
                Ok(Labels::from_pairs(pairs))
            };
        }
        loop {
            self.skip_blanks();
            if self.eat("}") {
                return Ok(Labels::from_pairs(pairs));
            }
            let quoted = self.at_quote();
            let label = if quoted {
                self.quoted()?
            } else {
                self.word(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()
            };
            if label.is_empty() || (!quoted && label.starts_with(|c: char| c.is_ascii_digit())) {
                return Err(self.error("expected a label name or `}`"));
            }
            self.skip_blanks();
            if self.eat("=") {
                self.skip_blanks();
                if !self.at_quote() {
                    return Err(self.error("expected a quoted text"));
                }
                let value = self.quoted()?;
                pairs.push((label, value));
            } else if quoted {
                pairs.push((METRIC_NAME.to_owned(), label));
            } else {
                return Err(self.error("expected `=`"));
            }
            self.skip_blanks();
            if !self.eat(",") && !self.rest().starts_with('}') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn item(&mut self, values: &mut Vec<Option<SampleValue>>) -> Result<(), NotationError> {
        if self.eat("_") {
            let times = self.times()?.unwrap_or(1);
            return self.push(values, (0..times).map(|_| None));
        }
        if self.eat("stale") {
            self.push(values, std::iter::once(Some(SampleValue::Float(stale_nan()))))?;
            // A series may go on from it, which makes no sense, and is no mistake either.
            if self.rest().starts_with(['+', '-']) {
                self.number("step")?;
                let times =
                    self.times()?.ok_or_else(|| self.error("expected `x` and how often to repeat"))?;
                return self.push(values, (0..times).map(|_| Some(SampleValue::Float(f64::NAN))));
            }
            return Ok(());
        }
        if self.rest().starts_with("{{") {
            return self.histogram_item(values);
        }
        let first = self.number("value")?;
        let step = match self.rest().chars().next() {
            Some('+' | '-') => Some(self.number("step")?),
            _ => None,
        };
        match (step, self.times()?) {
            (None, None) => self.push(values, std::iter::once(Some(first.into()))),
            (Some(_), None) => Err(self.error("expected `x` and how often to repeat")),
            (step, Some(times)) => {
                // Added up one by one, as counters are.
                let mut next = first;
                let series = (0..=times).map(|at| {
                    if let (true, Some(step)) = (at > 0, step) {
                        next += step;
                    }
                    Some(next.into())
                });
                self.push(values, series)
            }
        }
    }

    fn push(
        &self,
        values: &mut Vec<Option<SampleValue>>,
        more: impl Iterator<Item = Option<SampleValue>>,
    ) -> Result<(), NotationError> {
        for value in more {
            if values.len() >= VALUES_MAX {
                return Err(self.error(format!("more than {VALUES_MAX} values")));
            }
            values.push(value);
        }
        Ok(())
    }

    /// `x5`
    fn times(&mut self) -> Result<Option<u64>, NotationError> {
        if !self.eat("x") {
            return Ok(None);
        }
        let digits = self.word(|c| c.is_ascii_digit());
        digits.parse().map(Some).map_err(|_| self.error("expected how often to repeat"))
    }

    fn number(&mut self, what: &str) -> Result<f64, NotationError> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let mut end = sign;
        // A word is read as a whole: `Infx2` is none that is known.
        let word = rest[sign..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let word = &rest[sign..word.map_or(rest.len(), |len| sign + len)];
        if word.starts_with(|c: char| c.is_ascii_alphabetic())
            && !["inf", "nan"].iter().any(|known| word.eq_ignore_ascii_case(known))
        {
            return Err(self.error(format!("expected a {what}")));
        }
        let mut previous = ' ';
        for c in rest[sign..].chars() {
            let in_exponent = matches!(previous, 'e' | 'E') && matches!(c, '+' | '-');
            let separates = c == '_' && previous.is_ascii_digit();
            let in_number = c.is_ascii_alphanumeric() && !matches!(c, 'x' | 'X');
            if !(in_number || c == '.' || in_exponent || separates) {
                break;
            }
            previous = c;
            end += c.len_utf8();
        }
        match model::parse_float(&rest[..end].replace('_', "")).filter(|_| previous != '_') {
            Some(value) => {
                self.at += end;
                Ok(value)
            }
            None => Err(self.error(format!("expected a {what}"))),
        }
    }

    fn histogram_item(&mut self, values: &mut Vec<Option<SampleValue>>) -> Result<(), NotationError> {
        let first = self.histogram()?;
        let sign = match self.rest().chars().next() {
            Some('+') => 1.0,
            Some('-') => -1.0,
            _ => 0.0,
        };
        let value = |h: &Histogram| Some(SampleValue::Histogram(h.clone().into()));
        if sign == 0.0 {
            let times = self.times()?.unwrap_or(0);
            return self.push(values, (0..=times).map(|_| value(&first)));
        }
        self.at += 1;
        let step = self.histogram()?;
        let Some(times) = self.times()? else {
            return Err(self.error("expected `x` and how often to repeat"));
        };
        if step.schema < first.schema || step.uses_custom_buckets() != first.uses_custom_buckets() {
            let message = format!("cannot merge from schema {} to {}", step.schema, first.schema);
            return Err(self.error(message));
        }
        let mut next = first;
        self.push(values, std::iter::once(value(&next)))?;
        for _ in 0..times {
            let combined = if sign > 0.0 { next.plus(&step) } else { next.minus(&step) };
            let hint = next.counter_reset_hint;
            next = combined.map_err(|error| self.error(error.to_string()))?.histogram;
            next.counter_reset_hint = hint;
            self.push(values, std::iter::once(value(&next)))?;
        }
        Ok(())
    }

    /// `{{schema:1 count:3 buckets:[1 2]}}`
    fn histogram(&mut self) -> Result<Histogram, NotationError> {
        self.expect("{{")?;
        let mut histogram = Histogram::default();
        let (mut offset, mut negative_offset) = (0, 0);
        let (mut buckets, mut negative_buckets) = (Vec::new(), Vec::new());
        let mut seen: Vec<String> = Vec::new();
        let mut first = true;
        loop {
            let blank = self.skip_blanks();
            if self.eat("}}") {
                break;
            }
            if first && blank {
                return Err(self.error("bad histogram descriptor found: \"\""));
            }
            first = false;
            let key = self.word(|c| c.is_ascii_alphabetic() || c == '_').to_ascii_lowercase();
            if seen.contains(&key) {
                return Err(self.error(format!("duplicate key \"{key}\" in histogram")));
            }
            seen.push(key.clone());
            if !self.eat(":") {
                return Err(self.error(format!("bad histogram descriptor found: \"{key}\"")));
            }
            match key.as_str() {
                "schema" => histogram.schema = self.integer()?,
                "offset" => offset = self.integer()?,
                "n_offset" => negative_offset = self.integer()?,
                "sum" => histogram.sum = self.number("number")?,
                "count" => histogram.count = self.number("number")?,
                "z_bucket" => histogram.zero_count = self.number("number")?,
                "z_bucket_w" if !self.rest().starts_with('-') => {
                    histogram.zero_threshold = self.number("number")?;
                }
                "buckets" => buckets = self.list()?,
                "n_buckets" => negative_buckets = self.list()?,
                "custom_values" => histogram.custom_values = self.list()?,
                "counter_reset_hint" => histogram.counter_reset_hint = self.hint()?,
                _ => return Err(self.error(format!("bad histogram descriptor found: \"{key}\""))),
            }
        }
        let spans = |offset: i32, buckets: &[f64]| match u32::try_from(buckets.len()) {
            Ok(length) if length > 0 => vec![BucketSpan { offset, length }],
            _ => Vec::new(),
        };
        histogram.positive_spans = spans(offset, &buckets);
        histogram.negative_spans = spans(negative_offset, &negative_buckets);
        (histogram.positive_buckets, histogram.negative_buckets) = (buckets, negative_buckets);
        Ok(histogram)
    }

    fn integer(&mut self) -> Result<i32, NotationError> {
        let digits = self.word(|c| c.is_ascii_digit() || c == '-');
        digits.parse().map_err(|_| self.error("expected a whole number"))
    }

    fn list(&mut self) -> Result<Vec<f64>, NotationError> {
        self.expect("[")?;
        let mut values = Vec::new();
        loop {
            if !values.is_empty() {
                self.skip_blanks();
            }
            if !values.is_empty() && self.eat("]") {
                return Ok(values);
            }
            if self.rest().starts_with('+') {
                return Err(self.error("a number in a list has no `+`"));
            }
            values.push(self.number("number")?);
        }
    }

    fn hint(&mut self) -> Result<CounterResetHint, NotationError> {
        match self.word(|c| c.is_ascii_lowercase() || c == '_') {
            "unknown" => Ok(CounterResetHint::Unknown),
            "reset" => Ok(CounterResetHint::Reset),
            "not_reset" => Ok(CounterResetHint::NotReset),
            "gauge" => Ok(CounterResetHint::Gauge),
            other => Err(self.error(format!("unknown counter reset hint \"{other}\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values() {
        for (text, values) in [
            ("m 1 2", "1 2"),
            ("m 1+2x2 _ 5x1", "1 3 5 _ 5 5"),
            ("m 5-1x2 _x2 -1", "5 4 3 _ _ -1"),
            ("m 1_000+1_0x1 -0x1", "1000 1010 -0 -0"),
            ("m stale+1x1 {{ }} {{SUM:1}}", "NaN NaN {{}} {{sum:1}}"),
            ("m{a=\"b\"} Inf -inf 1e3 .5", "+Inf -Inf 1000 0.5"),
            ("m", ""),
        ] {
            let series = parse_series(text).unwrap();
            let show = |v: &Option<SampleValue>| match v {
                Some(SampleValue::Float(v)) => model::format_float(*v),
                Some(SampleValue::Histogram(h)) => format_histogram(h),
                None => "_".to_owned(),
            };
            assert_eq!(series.values.iter().map(show).collect::<Vec<_>>().join(" "), values, "{text}");
        }
    }

    #[test]
    fn writes_histograms_as_it_reads_them() {
        for text in [
            "{{}}",
            "{{schema:1 count:3 sum:-0.3 z_bucket:1 z_bucket_w:0.5 counter_reset_hint:gauge offset:-3 buckets:[5.1 0 7]}}",
            "{{schema:-53 count:2 custom_values:[1 5] buckets:[1 1]}}",
            "{{n_offset:2 n_buckets:[4 5]}}",
        ] {
            let series = parse_series(&format!("m {text}")).unwrap();
            let Some(SampleValue::Histogram(histogram)) = &series.values[0] else { panic!("{text}") };
            assert_eq!(format_histogram(histogram), text);
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "1",
            "m 1+1",
            "m 1 x3",
            "m 1+1x",
            "m{a=b} 1",
            "m{a} 1",
            "m {{ schema:1}}",
            "m {{x:1}}",
            "m 1+1x2+3",
            "m Infx2",
            "m infinity",
            "m 1+NaNx2",
            "m 1__0",
            "m 1_",
            "m {{buckets:[]}}",
            "m {{z_bucket_w:-1}}",
            "m {{custom_values:[1 +Inf]}}",
        ] {
            assert!(parse_series(text).is_err(), "{text}");
        }
    }
}
