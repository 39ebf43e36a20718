//! Trying a template on any data.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::language::exec::{MissingKey, Mode};
use crate::language::time::time;
use crate::language::value::{ANY_LIST, ANY_MAP, STRING_MAP, STRINGS, Value};

/// How a template is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What `.` is.
    pub data: PlainData,
    /// The server's address for links.
    pub external_url: String,
    /// Whether the result is a page, in which values are escaped.
    pub html: bool,
    /// Whether a key that is not there is an error.
    pub missing_key_is_error: bool,
}

impl Trial {
    /// As plain text; missing keys are empty.
    pub fn of(data: PlainData) -> Self {
        Trial { data, external_url: String::new(), html: false, missing_key_is_error: false }
    }

    pub(crate) fn mode(&self) -> Mode {
        if self.html { Mode::Html } else { Mode::Text }
    }

    pub(crate) fn missing_key(&self) -> MissingKey {
        if self.missing_key_is_error { MissingKey::Error } else { MissingKey::Zero }
    }
}

/// Any data.
#[derive(Clone, Debug)]
pub struct PlainData(pub(crate) Value);

impl PlainData {
    /// Nothing.
    pub fn nothing() -> Self {
        PlainData(Value::Missing)
    }

    /// A number with a fraction.
    pub fn float(value: f64) -> Self {
        PlainData(Value::Float(value))
    }

    /// A whole number.
    pub fn int(value: i64) -> Self {
        PlainData(Value::int(value))
    }

    /// A whole number without a sign.
    pub fn uint(value: u64) -> Self {
        PlainData(Value::uint(value))
    }

    /// A text.
    pub fn text(value: &str) -> Self {
        PlainData(Value::str(value))
    }

    /// A point in time.
    pub fn time(at: Timestamp) -> Self {
        PlainData(time(at))
    }

    /// Values in order.
    pub fn list(items: Vec<PlainData>) -> Self {
        let items: Vec<Value> = items.into_iter().map(|item| item.0).collect();
        let texts = !items.is_empty() && items.iter().all(|item| item.as_str().is_some());
        let ty = if texts { &STRINGS } else { &ANY_LIST };
        PlainData(Value::list(ty, items))
    }

    /// Values by name.
    pub fn map(entries: Vec<(String, PlainData)>) -> Self {
        let entries: BTreeMap<String, Value> =
            entries.into_iter().map(|(name, value)| (name, value.0)).collect();
        PlainData(Value::map(&ANY_MAP, entries))
    }

    /// Texts by name.
    pub fn text_map(entries: Vec<(String, String)>) -> Self {
        let entries = entries.into_iter().map(|(name, value)| (name, Value::str(value))).collect();
        PlainData(Value::map(&STRING_MAP, entries))
    }

    /// A sample, as `query` gives them.
    pub fn sample(sample: &model::VectorSample) -> Self {
        PlainData(crate::rule_functions::sample(sample))
    }
}
