//! The Prometheus text format by the letter: for linting, and for text that people write or push.

use std::collections::{HashMap, HashSet};

use crate::ParseError;
use crate::label_block::{is_name_start, name_end, skip_blanks};
use crate::number::parse_number;

/// Refuses what [`crate::parse`] lets pass: a last line without its end, repeated or late metadata, unknown escapes, repeated
/// or reserved labels, bounds that are not numbers, negative counts. The first problem is reported.
pub fn check_text(bytes: &[u8]) -> Result<(), ParseError> {
    let mut check = Check { bytes, at: 0, families: HashMap::new() };
    while check.at < bytes.len() {
        check.line()?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Summary,
    Histogram,
    GaugeHistogram,
    Untyped,
}

#[derive(Debug, Default)]
struct FamilyState {
    has_help: bool,
    /// Set by a TYPE line, or by the first sample.
    kind: Option<Kind>,
}

/// The name, and what its label block said that matters here.
#[derive(Default)]
struct Series {
    name: Option<String>,
    seen: HashSet<String>,
    /// Where the values of `le` and `quantile` stand, and whether they are numbers.
    le: Option<(usize, bool)>,
    quantile: Option<(usize, bool)>,
}

struct Check<'a> {
    bytes: &'a [u8],
    at: usize,
    families: HashMap<String, FamilyState>,
}

impl Check<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expected(&self, what: &str) -> ParseError {
        ParseError::expected(self.bytes, self.at, what)
    }

    fn wrong(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.bytes, at, message)
    }

    fn skip_blanks(&mut self) {
        self.at = skip_blanks(self.bytes, self.at);
    }

    fn line(&mut self) -> Result<(), ParseError> {
        self.skip_blanks();
        match self.peek() {
            None => Ok(()),
            Some(b'\n') => {
                self.at += 1;
                Ok(())
            }
            Some(b'#') => self.comment(),
            Some(_) => self.sample(),
        }
    }

    /// The bytes up to the next blank or the end of the line.
    fn word(&mut self) -> &[u8] {
        let start = self.at;
        let length = self.bytes[start..].iter().take_while(|b| !matches!(b, b' ' | b'\t' | b'\n')).count();
        self.at += length;
        &self.bytes[start..start + length]
    }

    fn line_break(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b'\n') => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.expected("the end of the line")),
        }
    }

    fn rest_of_line(&mut self) -> Result<&[u8], ParseError> {
        let start = self.at;
        let length = self.bytes[start..].iter().position(|b| *b == b'\n');
        let length = length
            .ok_or_else(|| self.wrong(self.bytes.len(), "the text ends without the end of its last line"))?;
        self.at = start + length + 1;
        Ok(&self.bytes[start..start + length])
    }

    fn comment(&mut self) -> Result<(), ParseError> {
        self.at += 1;
        self.skip_blanks();
        let is_help = match self.word() {
            b"HELP" => true,
            b"TYPE" => false,
            _ => return self.rest_of_line().map(|_| ()),
        };
        self.skip_blanks();
        if self.peek() == Some(b'\n') {
            return self.line_break();
        }
        let start = self.at;
        let name = self.metric_name()?;
        match self.peek() {
            Some(b'\n') => return self.line_break(),
            Some(b' ' | b'\t') => self.skip_blanks(),
            _ => return Err(self.expected("a blank behind the metric name")),
        }
        if self.peek() == Some(b'\n') {
            return self.line_break();
        }
        if is_help { self.help(start, name) } else { self.kind(start, name) }
    }

    fn help(&mut self, start: usize, name: String) -> Result<(), ParseError> {
        if std::mem::replace(&mut self.families.entry(name.clone()).or_default().has_help, true) {
            return Err(self.wrong(start, format!("a second HELP line for `{name}`")));
        }
        let from = self.at;
        let text = self.rest_of_line()?.to_vec();
        let mut escaped = false;
        for (offset, byte) in text.iter().enumerate() {
            if escaped && !matches!(byte, b'\\' | b'n' | b'"') {
                return Err(self.wrong(from + offset - 1, UNKNOWN_ESCAPE));
            }
            escaped = !escaped && *byte == b'\\';
        }
        match std::str::from_utf8(&text) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.wrong(from + error.valid_up_to(), NOT_UTF8)),
        }
    }

    fn kind(&mut self, start: usize, name: String) -> Result<(), ParseError> {
        let from = self.at;
        let kind = match self.rest_of_line()?.to_ascii_lowercase().as_slice() {
            b"counter" => Kind::Counter,
            b"gauge" => Kind::Gauge,
            b"summary" => Kind::Summary,
            b"histogram" => Kind::Histogram,
            b"gauge_histogram" => Kind::GaugeHistogram,
            b"untyped" => Kind::Untyped,
            _ => {
                let expected = "counter, gauge, histogram, summary or untyped";
                return Err(ParseError::expected(self.bytes, from, expected));
            }
        };
        if self.families.entry(name.clone()).or_default().kind.replace(kind).is_some() {
            let message = format!("a second TYPE line for `{name}`, or one behind its samples");
            return Err(self.wrong(start, message));
        }
        Ok(())
    }

    fn metric_name(&mut self) -> Result<String, ParseError> {
        match self.peek() {
            Some(b'"') => self.quoted("metric name"),
            Some(byte) if is_name_start(byte) => Ok(self.bare_name(true)),
            _ => Err(self.expected("a metric name")),
        }
    }

    fn bare_name(&mut self, colons: bool) -> String {
        let start = self.at;
        self.at = name_end(self.bytes, start, colons);
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    /// A string in double quotes, resolved.
    fn quoted(&mut self, what: &str) -> Result<String, ParseError> {
        let start = self.at;
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let byte =
                self.peek().ok_or_else(|| self.wrong(start, format!("a {what} that is not closed")))?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\n' => {
                    return Err(
                        self.wrong(self.at - 1, format!("a line break in a {what}; write it as `\\n`"))
                    );
                }
                b'\\' => {
                    out.push(match self.peek() {
                        Some(b'n') => b'\n',
                        Some(same @ (b'\\' | b'"')) => same,
                        _ => return Err(self.wrong(self.at - 1, UNKNOWN_ESCAPE)),
                    });
                    self.at += 1;
                }
                byte => out.push(byte),
            }
        }
        let text = String::from_utf8(out).map_err(|_| self.wrong(start, NOT_UTF8))?;
        if what != "label value" && text.is_empty() {
            return Err(self.wrong(start, format!("an empty {what}")));
        }
        Ok(text)
    }

    fn sample(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let mut series = Series::default();
        if self.peek() != Some(b'{') {
            series.name = Some(self.metric_name()?);
            self.skip_blanks();
        }
        if self.peek() == Some(b'{') {
            self.at += 1;
            self.labels(&mut series)?;
            self.skip_blanks();
        }
        let name = series.name.clone().ok_or_else(|| self.wrong(start, "a series without a metric name"))?;
        let (kind, suffix) = self.place(&name);
        for (bound, of, label) in
            [(series.le, Kind::Histogram, "le"), (series.quantile, Kind::Summary, "quantile")]
        {
            if let (Some((at, false)), true) = (bound, kind == of) {
                return Err(ParseError::expected(self.bytes, at, &format!("a number as value of `{label}`")));
            }
        }
        let from = self.at;
        let value = std::str::from_utf8(self.word()).ok().and_then(parse_number);
        let value = value.ok_or_else(|| ParseError::expected(self.bytes, from, "a number as value"))?;
        let counts = match kind {
            Kind::Histogram => suffix == "_count" || (suffix != "_sum" && series.le.is_some()),
            Kind::Summary => suffix == "_count",
            _ => false,
        };
        if counts && value < 0.0 {
            return Err(self.wrong(from, format!("a negative count in `{name}`")));
        }
        if self.peek() == Some(b'\n') {
            return self.line_break();
        }
        self.skip_blanks();
        let from = self.at;
        let is_integer = std::str::from_utf8(self.word()).is_ok_and(|word| word.parse::<i64>().is_ok());
        if !is_integer {
            return Err(ParseError::expected(self.bytes, from, "a timestamp in milliseconds"));
        }
        self.line_break()
    }

    /// The type of the family that a sample belongs to, and the suffix that it has there. A family without a type has
    /// none from here on.
    fn place(&mut self, name: &str) -> (Kind, &'static str) {
        if !self.families.contains_key(name) {
            for suffix in ["_count", "_sum", "_bucket"] {
                let base = name.strip_suffix(suffix).and_then(|base| self.families.get(base));
                match base.and_then(|family| family.kind) {
                    Some(Kind::Histogram) => return (Kind::Histogram, suffix),
                    Some(Kind::Summary) if suffix != "_bucket" => return (Kind::Summary, suffix),
                    _ => {}
                }
            }
        }
        let family = self.families.entry(name.to_owned()).or_default();
        (*family.kind.get_or_insert(Kind::Untyped), "")
    }

    /// A label block whose opening brace is gone.
    fn labels(&mut self, series: &mut Series) -> Result<(), ParseError> {
        let inside = series.name.is_none();
        loop {
            self.skip_blanks();
            let start = self.at;
            let (name, is_quoted) = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => (self.quoted("label name")?, true),
                Some(byte) if is_name_start(byte) && byte != b':' => (self.bare_name(false), false),
                _ => return Err(self.expected("a label name")),
            };
            self.skip_blanks();
            match self.peek() {
                Some(b'=') => {
                    self.at += 1;
                    self.skip_blanks();
                    self.label(series, start, name)?;
                }
                Some(b',' | b'}') if is_quoted && inside => {
                    if series.name.replace(name).is_some() {
                        return Err(self.wrong(start, "the metric name stands there already"));
                    }
                }
                _ => return Err(self.expected("`=` after the label name")),
            }
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
    }

    fn label(&mut self, series: &mut Series, start: usize, name: String) -> Result<(), ParseError> {
        if name == model::METRIC_NAME {
            return Err(self.wrong(start, format!("label name `{name}` is reserved")));
        }
        if self.peek() != Some(b'"') {
            return Err(self.expected("a label value in double quotes"));
        }
        let from = self.at;
        let value = self.quoted("label value")?;
        let bound = Some((from, parse_number(&value).is_some()));
        match name.as_str() {
            "le" => series.le = bound,
            "quantile" => series.quantile = bound,
            _ => {}
        }
        if !series.seen.insert(name.clone()) {
            return Err(self.wrong(start, format!("label `{name}` stands there twice")));
        }
        Ok(())
    }
}

const UNKNOWN_ESCAPE: &str = r#"an unknown escape; `\\`, `\n` and `\"` are known"#;
const NOT_UTF8: &str = "bytes that are not UTF-8; write the text in UTF-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        for text in [
            "",
            "\n \n",
            "a 1\n",
            "a{} 1 -5\n",
            "a { b = \"c\" , } 1\n",
            "# HELP a\n# TYPE a\n#\n# \n#HELP a b\n# anything\na 1\n",
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum -5\n",
            "# TYPE s summary\ns{quantile=\"0.5\"} -1\ns_count 1\n",
            "{\"a.b\",\"c d\"=\"e\\\"\"} NaN\n",
            "# TYPE \"a.b\" GAUGE\n{\"a.b\"} +Inf\n",
        ] {
            assert_eq!(check_text(text.as_bytes()), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn refuses_with_a_place() {
        for (text, error) in [
            ("a 1", "line 1, column 4: expected a timestamp in milliseconds, found the end of the text"),
            ("a 1 \n", "line 1, column 5: expected a timestamp in milliseconds, found the end of the line"),
            ("a 1 2 \n", "line 1, column 6: expected the end of the line, found ` `"),
            ("# HELP a b\\x\n", "line 1, column 11: an unknown escape"),
            ("a 1\n# TYPE a gauge\n", "line 2, column 8: a second TYPE line for `a`"),
            ("a{b=\"1\",b=\"2\"} 1\n", "line 1, column 9: label `b` stands there twice"),
            ("# TYPE h histogram\nh_count -1\n", "line 2, column 9: a negative count in `h_count`"),
            (
                "# TYPE s summary\ns{quantile=\"x\"} 1\n",
                "line 2, column 12: expected a number as value of `quantile`",
            ),
            ("{\"\"} 1\n", "line 1, column 2: an empty label name"),
            ("a{\"b\"} 1\n", "line 1, column 6: expected `=` after the label name"),
        ] {
            let got = check_text(text.as_bytes()).unwrap_err().to_string();
            assert!(got.starts_with(error), "{text:?}: {got}");
        }
    }
}
