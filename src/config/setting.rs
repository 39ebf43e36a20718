//! Settings of integrations and discoveries: values as a plugin gets them, with secrets kept apart from text.

use std::path::PathBuf;

use model::Secret;

/// One value of an integration's or a discovery's settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text as it stands. Durations are text too: `30s`.
    Text(String),
    /// Text with a template in it, expanded for each notification.
    Template(String),
    /// A value that nobody sees.
    Secret {
        /// The value.
        value: Secret<String>,
        /// Whether it is a template, expanded for each notification.
        template: bool,
    },
    /// The path of a file that holds a secret, read each time it is needed. Stands under the name without `_file`.
    SecretFile(PathBuf),
    /// A list.
    List(Vec<Setting>),
    /// Names and values, in the order of the file.
    Map(Vec<(String, Setting)>),
}

impl Setting {
    /// The same under the names that notifiers ask for: a secret in a file stands under its name without `_file`.
    pub(crate) fn without_file_names(settings: Vec<(String, Setting)>) -> Vec<(String, Setting)> {
        let named = |(name, value): (String, Setting)| match value {
            Setting::SecretFile(_) => (name.strip_suffix("_file").unwrap_or(&name).to_owned(), value),
            Setting::Map(entries) => (name, Setting::Map(Setting::without_file_names(entries))),
            other => (name, other),
        };
        settings.into_iter().map(named).collect()
    }

    /// The value of this name in a map.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        match self {
            Setting::Map(entries) => entries.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if it is plain text or a template.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Setting::Text(text) | Setting::Template(text) => Some(text),
            _ => None,
        }
    }

    /// Yes or no, if it is that.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Setting::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Setting::Number(value) => Some(*value),
            _ => None,
        }
    }
}
