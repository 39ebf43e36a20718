//! Annotations: what the answer should be read with.

use crate::Span;

/// At most this many of each level are shown.
const SHOWN_MAX: usize = 10;

/// Warnings and infos, each text once.
#[derive(Default)]
pub(crate) struct Notes {
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Notes {
    /// Something that may make the answer wrong.
    pub(crate) fn warn(&mut self, span: Span, message: impl std::fmt::Display) {
        note(&mut self.warnings, format!("PromQL warning: {message} ({}:{})", span.line, span.column));
    }

    /// Something worth knowing.
    pub(crate) fn info(&mut self, span: Span, message: impl std::fmt::Display) {
        note(&mut self.infos, format!("PromQL info: {message} ({}:{})", span.line, span.column));
    }

    /// Warnings and infos for the answer.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<String>) {
        (shortened(self.warnings, "warning"), shortened(self.infos, "info"))
    }
}

fn note(notes: &mut Vec<String>, text: String) {
    // Far more than are shown, so that the count of the rest means something, and bounded all the same.
    if notes.len() < 1000 && !notes.contains(&text) {
        notes.push(text);
    }
}

fn shortened(mut notes: Vec<String>, level: &str) -> Vec<String> {
    let rest = notes.len().saturating_sub(SHOWN_MAX);
    if rest > 0 {
        notes.truncate(SHOWN_MAX);
        notes.push(format!("{rest} more {level} annotations omitted"));
    }
    notes
}
