//! What the lines below an `eval` ask for.

use std::fmt;
use std::time::Duration;

use model::{Re2, Timestamp};

use super::series_line;
use crate::lex::read_quoted;
use crate::{Range, SeriesDescription};

/// Kinds of `expect` lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fail,
    Warn,
    NoWarn,
    Info,
    NoInfo,
    Ordered,
}

/// What a message must be like.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Any,
    Exactly(String),
    Matching(Re2),
}

impl Text {
    pub(super) fn fits(&self, message: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exactly(text) => text == message,
            Text::Matching(regex) => regex.is_match(message),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Any => f.write_str("of any text"),
            Text::Exactly(text) => write!(f, "`{text}`"),
            Text::Matching(regex) => write!(f, "matching `{}`", regex.source()),
        }
    }
}

/// Everything below one `eval`.
#[derive(Clone, Debug, Default)]
pub(super) struct Expectation {
    lines: Vec<(Kind, Text)>,
    pub(super) scalar: Option<f64>,
    pub(super) string: Option<String>,
    pub(super) range_vector: Option<Range>,
    pub(super) series: Vec<SeriesDescription>,
}

impl Expectation {
    pub(super) fn read(command: &str, lines: &[&str]) -> Result<Expectation, String> {
        let mut expected = Expectation::default();
        let word = command.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        match word.strip_prefix("eval").unwrap_or_default() {
            "" => {}
            "_fail" => expected.lines.push((Kind::Fail, Text::Any)),
            "_warn" => expected.lines.push((Kind::Warn, Text::Any)),
            "_info" => expected.lines.push((Kind::Info, Text::Any)),
            "_ordered" => expected.lines.push((Kind::Ordered, Text::Any)),
            _ => return Err(format!("unknown command `{word}`")),
        }
        for line in lines {
            expected.line(line)?;
        }
        for (one, other) in [(Kind::Warn, Kind::NoWarn), (Kind::Info, Kind::NoInfo)] {
            let written = |kind| expected.lines.iter().any(|(k, t)| *k == kind && !matches!(t, Text::Any));
            let both = expected.has(one) && expected.has(other);
            if both && (written(one) || word == "eval") {
                return Err("an annotation cannot be expected and excluded at once".to_owned());
            }
        }
        Ok(expected)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(text) = line.strip_prefix("expected_fail_message ") {
            self.lines.push((Kind::Fail, Text::Exactly(text.trim().to_owned())));
            return Ok(());
        }
        if let Some(text) = line.strip_prefix("expected_fail_regexp ") {
            let regex = Re2::unanchored(text.trim()).map_err(|e| e.to_string())?;
            self.lines.push((Kind::Fail, Text::Matching(regex)));
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("expect ").or_else(|| line.strip_prefix("expect\t")) {
            return self.expect_line(rest.trim());
        }
        if let Some(value) = lone_number(line) {
            self.scalar = Some(value);
            return Ok(());
        }
        self.series.push(series_line(line)?);
        Ok(())
    }

    fn expect_line(&mut self, rest: &str) -> Result<(), String> {
        if let Some(quoted) = rest.strip_prefix("string") {
            let quoted = quoted.trim();
            if !quoted.starts_with(['"', '\'', '`']) {
                return Err("expect string needs a quoted text".to_owned());
            }
            let (bytes, _) = read_quoted(quoted).map_err(|(_, message)| message)?;
            self.string = Some(String::from_utf8_lossy(&bytes).into_owned());
            return Ok(());
        }
        if let Some(range) = rest.strip_prefix("range vector ") {
            self.range_vector = Some(range_of(range)?);
            return Ok(());
        }
        let (kind, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let kind = match kind {
            "fail" => Kind::Fail,
            "warn" => Kind::Warn,
            "no_warn" => Kind::NoWarn,
            "info" => Kind::Info,
            "no_info" => Kind::NoInfo,
            "ordered" => Kind::Ordered,
            _ => return Err(format!("`expect {rest}` is none of the expectations")),
        };
        let text = match text.trim() {
            "" => Text::Any,
            text => match (text.strip_prefix("msg:"), text.strip_prefix("regex:")) {
                (Some(text), _) => Text::Exactly(text.trim().to_owned()),
                (_, Some(text)) => Text::Matching(Re2::unanchored(text.trim()).map_err(|e| e.to_string())?),
                _ => return Err(format!("`expect {rest}` needs `msg:` or `regex:` before its text")),
            },
        };
        self.lines.push((kind, text));
        Ok(())
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.lines.iter().any(|(k, _)| *k == kind)
    }

    /// What texts of this kind must be like.
    pub(super) fn lines(&self, kind: Kind) -> impl Iterator<Item = &Text> {
        self.lines.iter().filter(move |(k, _)| *k == kind).map(|(_, text)| text)
    }

    pub(super) fn fails(&self) -> bool {
        self.has(Kind::Fail)
    }

    /// Whether checks derived from a plain instant query make no sense.
    pub(super) fn is_special(&self) -> bool {
        self.has(Kind::Ordered) || self.string.is_some() || self.range_vector.is_some()
    }
}

fn range_of(text: &str) -> Result<Range, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["from", start, "to", end, "step", step] = words[..] else {
        return Err("expected `range vector from START to END step STEP`".to_owned());
    };
    let read =
        |text: &str| -> Result<Duration, String> { model::parse_duration(text).map_err(|e| e.to_string()) };
    let (start, end) = (Timestamp::EPOCH + read(start)?, Timestamp::EPOCH + read(end)?);
    Ok(Range::new(start, end, read(step)?))
}

/// A line that is a number: the expected scalar.
fn lone_number(line: &str) -> Option<f64> {
    let digits = line.strip_prefix("0x").or_else(|| line.strip_prefix("0X"));
    match digits.and_then(|digits| i64::from_str_radix(digits, 16).ok()) {
        Some(value) => Some(value as f64),
        None => model::parse_float(line),
    }
}
