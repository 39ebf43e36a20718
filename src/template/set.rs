//! The named templates of messages: ours and the user's.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::language::exec::{MissingKey, Mode, Start, World, execute};
use crate::language::function::Dialect;
use crate::language::{Library, Template};
use crate::{NotificationData, TemplateError, Trial};

/// A set of named templates for messages: the defaults, and the user's files over them.
#[derive(Clone, Debug)]
pub struct Templates {
    library: Library,
}

impl Templates {
    /// Reads the defaults and then `files` (name, text) in order. A later `define` of the same name replaces an
    /// earlier one, so users' files can reword the defaults. Each file is a template itself, under the last part of its
    /// name.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<Self, TemplateError> {
        let mut library = Library::default();
        library.read("default.tmpl", default_templates(), Dialect::Notifications, &[])?;
        for (name, text) in files {
            let name = name.as_ref();
            let body = library.read(name, text.as_ref(), Dialect::Notifications, &[])?;
            library.insert(name.rsplit('/').next().unwrap_or(name), body);
        }
        Ok(Templates { library })
    }

    /// Reads a text that may use and define templates. Definitions in it count for this text alone.
    fn read(&self, text: &str) -> Result<(Option<Library>, Template), TemplateError> {
        let mut own = Library::default();
        let template = own.read("text", text, Dialect::Notifications, &[])?;
        if own.is_empty() {
            return Ok((None, template));
        }
        let mut library = self.library.clone();
        library.extend(own);
        Ok((Some(library), template))
    }

    /// Checks a text that [`Templates::expand_text`] will be given, without filling it in.
    pub fn check(&self, text: &str) -> Result<(), TemplateError> {
        self.read(text).map(|_| ())
    }

    /// Fills in `text`, which may use the set's templates, as plain text.
    pub fn expand_text(
        &self,
        text: &str,
        data: &NotificationData,
        now: Timestamp,
    ) -> Result<String, TemplateError> {
        self.expand(text, data, now, Mode::Text)
    }

    /// Fills in `text` as HTML: values are escaped as their place in the page needs.
    pub fn expand_html(
        &self,
        text: &str,
        data: &NotificationData,
        now: Timestamp,
    ) -> Result<String, TemplateError> {
        self.expand(text, data, now, Mode::Html)
    }

    /// The labels of the route with their templates filled in; one that fails shows why.
    pub fn expand_route_labels(&self, data: &NotificationData, now: Timestamp) -> BTreeMap<String, String> {
        let expand = |text: &String| match data.route_labels_rendered {
            true => text.clone(),
            false => self
                .expand_text(text, data, now)
                .unwrap_or_else(|error| format!("<error expanding template: {error}>")),
        };
        data.route_labels.iter().map(|(name, text)| (name.clone(), expand(text))).collect()
    }

    fn expand(
        &self,
        text: &str,
        data: &NotificationData,
        now: Timestamp,
        mode: Mode,
    ) -> Result<String, TemplateError> {
        if !text.contains("{{") && mode == Mode::Text {
            return Ok(text.to_owned());
        }
        let (own, template) = self.read(text)?;
        let library = own.as_ref().unwrap_or(&self.library);
        let start = Start {
            library,
            template: &template,
            data: data.value.clone(),
            variables: Vec::new(),
            mode,
            missing_key: MissingKey::Zero,
        };
        let world = World {
            now,
            external_url: &data.external_url,
            query: None,
            route_labels: Some((&data.route_labels, data.route_labels_rendered)),
        };
        execute(start, world)
    }

    /// Fills in a text about any data, to try a template.
    pub fn try_text(&self, text: &str, trial: &Trial, now: Timestamp) -> Result<String, TemplateError> {
        let (own, template) = self.read(text)?;
        let start = Start {
            library: own.as_ref().unwrap_or(&self.library),
            template: &template,
            data: trial.data.0.clone(),
            variables: Vec::new(),
            mode: trial.mode(),
            missing_key: trial.missing_key(),
        };
        execute(start, World { now, external_url: &trial.external_url, query: None, route_labels: None })
    }
}

/// The text of the defaults, in the template language. Users' files may define the same names again.
pub fn default_templates() -> &'static str {
    include_str!("default.tmpl")
}
