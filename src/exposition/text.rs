//! The two text formats, as scrape parsers read them.
//!
//! Prometheus text is read laxly: blanks anywhere between tokens, unknown comments, a missing last line break. OpenMetrics
//! is read by the letter of its syntax, but not of its semantics: grouping, suffixes and the consistency of histograms are
//! the business of [`crate::check_openmetrics`].

use std::borrow::Cow;

use model::{MetricType, SampleValue, Timestamp};

use crate::entry::{Entry, ExemplarSource, LabelSource, SampleEntry};
use crate::label_block::{
    Dialect, NameSlot, is_name_start, name_end, quoted_end, scan_block, skip_blanks, unescape, unescape_help,
};
use crate::number::parse_number;
use crate::{Format, ParseError};

/// Reads one body from its start to its end or to its first error.
#[derive(Clone, Debug)]
pub(crate) struct TextParser<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// The type that was said last. It stays when other families begin without a type, as in Prometheus.
    kind: MetricType,
    /// The family that it was said of.
    family: Cow<'a, str>,
    done: bool,
}

/// The keyword of a metadata line.
#[derive(Clone, Copy, PartialEq)]
enum Keyword {
    Help,
    Type,
    Unit,
}

impl Keyword {
    fn as_str(self) -> &'static str {
        match self {
            Keyword::Help => "HELP",
            Keyword::Type => "TYPE",
            Keyword::Unit => "UNIT",
        }
    }
}

impl<'a> TextParser<'a> {
    pub(crate) fn new(bytes: &'a [u8], format: Format) -> Self {
        let dialect = match format {
            Format::OpenMetrics => Dialect::OpenMetrics,
            Format::PrometheusText | Format::Protobuf => Dialect::Prometheus,
        };
        TextParser {
            bytes,
            at: 0,
            dialect,
            kind: MetricType::Unknown,
            family: Cow::Borrowed(""),
            done: false,
        }
    }

    /// The family and type that were said last.
    pub(crate) fn family(&self) -> (&str, MetricType) {
        (&self.family, self.kind)
    }

    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self.dialect {
            Dialect::Prometheus => self.next_prometheus(),
            Dialect::OpenMetrics => self.next_openmetrics(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expected(&self, what: &str) -> ParseError {
        ParseError::expected(self.bytes, self.at, what)
    }

    fn line_end(&self) -> usize {
        self.bytes[self.at..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| self.at + n)
    }

    fn text(&self, from: usize, to: usize) -> Result<&'a str, ParseError> {
        std::str::from_utf8(&self.bytes[from..to]).map_err(|error| {
            ParseError::at(
                self.bytes,
                from + error.valid_up_to(),
                "bytes that are not UTF-8; write the text in UTF-8",
            )
        })
    }

    fn next_prometheus(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            self.at = skip_blanks(self.bytes, self.at);
            match self.peek() {
                None => return Ok(None),
                Some(b'\n') => self.at += 1,
                Some(b'#') => return self.prometheus_comment().map(Some),
                Some(_) => return self.prometheus_sample().map(Some),
            }
        }
    }

    fn prometheus_comment(&mut self) -> Result<Entry<'a>, ParseError> {
        let start = self.at;
        let after_hash = skip_blanks(self.bytes, start + 1);
        let rest = &self.bytes[after_hash..];
        let keyword = [Keyword::Help, Keyword::Type].into_iter().find(|keyword| {
            after_hash > start + 1
                && rest.starts_with(keyword.as_str().as_bytes())
                && matches!(rest.get(4), Some(b' ' | b'\t'))
        });
        let Some(keyword) = keyword else {
            let end = self.line_end();
            self.at = (end + 1).min(self.bytes.len());
            return Ok(Entry::Comment(&self.bytes[start..end]));
        };
        self.at = skip_blanks(self.bytes, after_hash + 4);
        let family = self.family_name(keyword)?;
        let from = self.at + usize::from(matches!(self.peek(), Some(b' ' | b'\t')));
        let end = self.line_end();
        let text = self.text(from, end)?;
        self.at = (end + 1).min(self.bytes.len());
        match keyword {
            Keyword::Type => {
                let kind = match text {
                    "counter" => MetricType::Counter,
                    "gauge" => MetricType::Gauge,
                    "histogram" => MetricType::Histogram,
                    "summary" => MetricType::Summary,
                    "untyped" => MetricType::Unknown,
                    _ => {
                        let expected = "counter, gauge, histogram, summary or untyped";
                        return Err(ParseError::expected(self.bytes, from, expected));
                    }
                };
                Ok(self.say_type(family, kind))
            }
            Keyword::Help | Keyword::Unit => Ok(Entry::Help { family, help: unescape_help(text) }),
        }
    }

    fn say_type(&mut self, family: Cow<'a, str>, kind: MetricType) -> Entry<'a> {
        self.kind = kind;
        self.family = family.clone();
        Entry::Type { family, kind }
    }

    /// The name behind a keyword, quoted or not.
    fn family_name(&mut self, keyword: Keyword) -> Result<Cow<'a, str>, ParseError> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.at = quoted_end(self.bytes, start, self.dialect)
                    .ok_or_else(|| ParseError::at(self.bytes, start, "a quoted name that is not closed"))?;
                Ok(unescape(self.text(start + 1, self.at - 1)?))
            }
            Some(byte) if is_name_start(byte) => {
                self.at = name_end(self.bytes, start, true);
                Ok(Cow::Borrowed(self.text(start, self.at)?))
            }
            _ => Err(self.expected(&format!("a metric name after {}", keyword.as_str()))),
        }
    }

    /// Name and labels; leaves the position behind them.
    fn series(&mut self) -> Result<&'a str, ParseError> {
        let start = self.at;
        let mut slot = NameSlot::Free;
        match self.peek() {
            Some(byte) if is_name_start(byte) => {
                slot = NameSlot::Taken;
                self.at = name_end(self.bytes, start, true);
            }
            Some(b'{') => {}
            _ => return Err(self.expected("a metric name")),
        }
        let mut brace = self.at;
        if self.dialect == Dialect::Prometheus {
            brace = skip_blanks(self.bytes, brace);
        }
        if self.bytes.get(brace) == Some(&b'{') {
            self.at = scan_block(self.bytes, brace + 1, self.dialect, &mut slot, |_| ())?;
        }
        if slot == NameSlot::Free {
            return Err(ParseError::at(self.bytes, start, "a series without a metric name"));
        }
        self.text(start, self.at)
    }

    /// The token of digits that begins here and ends before a blank or the end of the line.
    fn number(&mut self, what: &str) -> Result<f64, ParseError> {
        let start = self.at;
        let ends = |b: &u8| match self.dialect {
            Dialect::Prometheus => matches!(b, b' ' | b'\t' | b'\n' | b'{'),
            Dialect::OpenMetrics => matches!(b, b' ' | b'\n'),
        };
        let end = self.bytes[start..].iter().position(ends).map_or(self.bytes.len(), |n| start + n);
        let number = std::str::from_utf8(&self.bytes[start..end]).ok().and_then(parse_number);
        self.at = end;
        number.ok_or_else(|| ParseError::expected(self.bytes, start, what))
    }

    fn prometheus_sample(&mut self) -> Result<Entry<'a>, ParseError> {
        let series = self.series()?;
        self.at = skip_blanks(self.bytes, self.at);
        let value = self.number("a number as value")?;
        self.at = skip_blanks(self.bytes, self.at);
        let mut at = None;
        if !matches!(self.peek(), None | Some(b'\n')) {
            let start = self.at;
            let digits = self.bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
            self.at += digits;
            let millis = self.text(start, self.at)?.parse::<i64>();
            let millis = millis.map_err(|_| {
                ParseError::expected(self.bytes, start, "a timestamp in milliseconds or the end of the line")
            })?;
            at = Some(Timestamp::from_millis(millis));
            self.at = skip_blanks(self.bytes, self.at);
        }
        match self.peek() {
            None => {}
            Some(b'\n') => self.at += 1,
            Some(_) => return Err(self.expected("the end of the line")),
        }
        Ok(self.sample(series, value, at, ExemplarSource::None))
    }

    fn sample(
        &self,
        series: &'a str,
        value: f64,
        at: Option<Timestamp>,
        exemplars: ExemplarSource<'a>,
    ) -> Entry<'a> {
        Entry::Sample(SampleEntry {
            series: Cow::Borrowed(series),
            value: SampleValue::Float(value),
            at,
            start: None,
            labels: LabelSource::Text(self.kind),
            exemplars,
        })
    }

    fn next_openmetrics(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self.peek() {
            None => Err(self.expected("`# EOF` on the last line")),
            Some(b'#') => self.openmetrics_comment(),
            Some(_) => self.openmetrics_sample().map(Some),
        }
    }

    fn openmetrics_comment(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        let rest = &self.bytes[self.at..];
        if let Some(rest) = rest.strip_prefix(b"# EOF") {
            if matches!(rest, b"" | b"\n") {
                self.at = self.bytes.len();
                return Ok(None);
            }
            return Err(ParseError::at(self.bytes, self.at + 5, "text after `# EOF`; nothing may follow it"));
        }
        let keyword = [Keyword::Help, Keyword::Type, Keyword::Unit].into_iter().find(|keyword| {
            rest.starts_with(b"# ")
                && rest[2..].starts_with(keyword.as_str().as_bytes())
                && rest.get(6) == Some(&b' ')
        });
        let keyword = keyword.ok_or_else(|| self.expected("`# HELP `, `# TYPE `, `# UNIT ` or `# EOF`"))?;
        self.at += 7;
        let family = self.family_name(keyword)?;
        if self.peek() != Some(b' ') {
            return Err(self.expected("a blank behind the metric name"));
        }
        let from = self.at + 1;
        let end = self.line_end();
        if end == self.bytes.len() {
            return Err(ParseError::expected(
                self.bytes,
                end,
                "the end of the line, and `# EOF` on the last one",
            ));
        }
        let text = self.text(from, end)?;
        let start = self.at;
        self.at = end + 1;
        let entry = match keyword {
            Keyword::Help => Entry::Help { family, help: unescape(text) },
            Keyword::Type => {
                let kind = openmetrics_type(text).ok_or_else(|| {
                    ParseError::expected(
                        self.bytes,
                        from,
                        "counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown",
                    )
                })?;
                self.say_type(family, kind)
            }
            Keyword::Unit => {
                let is_suffix = family.strip_suffix(text).is_some_and(|rest| rest.ends_with('_'));
                if !text.is_empty() && !is_suffix {
                    let message = format!("unit `{text}` is not the end of the metric name `{family}`");
                    return Err(ParseError::at(self.bytes, start, message));
                }
                Entry::Unit { family, unit: Cow::Borrowed(text) }
            }
        };
        Ok(Some(entry))
    }

    fn openmetrics_sample(&mut self) -> Result<Entry<'a>, ParseError> {
        let series = self.series()?;
        self.blank("a blank and the value")?;
        let value = self.number("a number as value")?;
        let mut at = None;
        if self.peek() == Some(b' ') && !self.bytes[self.at..].starts_with(b" # {") {
            self.at += 1;
            at = Some(self.seconds()?);
        }
        let mut exemplars = ExemplarSource::None;
        if self.bytes[self.at..].starts_with(b" # {") {
            self.at += 4;
            exemplars = self.exemplar()?;
        }
        if self.peek() != Some(b'\n') {
            return Err(self.expected("the end of the line"));
        }
        self.at += 1;
        Ok(self.sample(series, value, at, exemplars))
    }

    fn blank(&mut self, what: &str) -> Result<(), ParseError> {
        if self.peek() != Some(b' ') {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// A timestamp in seconds, to the millisecond.
    fn seconds(&mut self) -> Result<Timestamp, ParseError> {
        let start = self.at;
        let what = "a timestamp in seconds";
        let seconds = self.number(what)?;
        if !seconds.is_finite() {
            return Err(ParseError::expected(self.bytes, start, what));
        }
        Ok(Timestamp::from_secs_f64(seconds))
    }

    /// An exemplar whose opening brace is gone.
    fn exemplar(&mut self) -> Result<ExemplarSource<'a>, ParseError> {
        let start = self.at;
        self.at = scan_block(self.bytes, start, self.dialect, &mut NameSlot::Forbidden, |_| ())?;
        let block = self.text(start, self.at)?;
        self.blank("a blank and the value of the exemplar")?;
        let value = self.number("a number as the value of the exemplar")?;
        let mut at = None;
        if self.peek() == Some(b' ') {
            self.at += 1;
            at = Some(self.seconds()?);
        }
        Ok(ExemplarSource::Text { block, value, at })
    }
}

/// The type that OpenMetrics calls `text`.
pub(crate) fn openmetrics_type(text: &str) -> Option<MetricType> {
    Some(match text {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "histogram" => MetricType::Histogram,
        "gaugehistogram" => MetricType::GaugeHistogram,
        "summary" => MetricType::Summary,
        "info" => MetricType::Info,
        "stateset" => MetricType::StateSet,
        "unknown" => MetricType::Unknown,
        _ => return None,
    })
}

impl<'a> Iterator for TextParser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_entry().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
