//! Annotations: what the answer should be read with.

use std::collections::HashMap;

use model::{Timestamp, format_float_rounded, format_float_shortest};

use crate::Span;

/// At most this many of each level are shown.
const SHOWN_MAX: usize = 10;
/// Far more than are shown, so that the count of the rest means something, and bounded all the same.
const KEPT_MAX: usize = 1000;

/// Warnings and infos, each text once: of several places that it is about, the last one is shown.
#[derive(Default)]
pub(crate) struct Notes {
    warnings: Level,
    infos: Level,
}

impl Notes {
    /// Something that may make the answer wrong.
    pub(crate) fn warn(&mut self, span: Span, message: impl std::fmt::Display) {
        self.warnings.add(span, message.to_string(), None);
    }

    /// Something worth knowing.
    pub(crate) fn info(&mut self, span: Span, message: impl std::fmt::Display) {
        self.infos.add(span, message.to_string(), None);
    }

    /// Buckets had to be repaired: all that is said of them under one message is said in one note.
    pub(crate) fn repaired(&mut self, span: Span, message: String, repairs: Repairs) {
        self.infos.add(span, message, Some(repairs));
    }

    /// Warnings and infos for the answer.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<String>) {
        (self.warnings.shown("warning"), self.infos.shown("info"))
    }
}

/// What was repaired in buckets whose counts fell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repairs {
    /// The lowest and the highest bound of a bucket that was.
    pub(crate) bounds: (f64, f64),
    /// By how much a count fell at most.
    pub(crate) largest_drop: f64,
    /// The first and the last evaluation, in milliseconds.
    pub(crate) times: (i64, i64),
    /// How many histograms at how many times.
    pub(crate) count: u64,
}

impl Repairs {
    fn join(&mut self, more: Repairs) {
        self.bounds = (self.bounds.0.min(more.bounds.0), self.bounds.1.max(more.bounds.1));
        self.largest_drop = self.largest_drop.max(more.largest_drop);
        self.times = (self.times.0.min(more.times.0), self.times.1.max(more.times.1));
        self.count += more.count;
    }

    fn text(&self) -> String {
        let [lowest, highest] = [self.bounds.0, self.bounds.1].map(format_float_shortest);
        let drop = format_float_rounded(self.largest_drop, 2);
        let [first, last] = [self.times.0, self.times.1].map(to_the_second);
        let count = self.count;
        format!(
            ", from buckets {lowest} to {highest}, with a max diff of {drop}, over {count} samples from {first} to {last}"
        )
    }
}

/// RFC 3339, UTC.
fn to_the_second(millis: i64) -> String {
    let text = Timestamp::from_millis(millis / 1000 * 1000).to_string();
    text.replace(".000Z", "Z")
}

#[derive(Default)]
struct Level {
    notes: Vec<Note>,
    places: HashMap<String, usize>,
}

struct Note {
    message: String,
    span: Span,
    repairs: Option<Repairs>,
}

impl Level {
    fn add(&mut self, span: Span, message: String, repairs: Option<Repairs>) {
        // A note mostly follows its like.
        let latest = self.notes.last().filter(|note| note.message == message).map(|_| self.notes.len() - 1);
        let known = latest.or_else(|| self.places.get(&message).copied());
        match known {
            Some(place) => {
                let note = &mut self.notes[place];
                note.span = span;
                if let (Some(known), Some(more)) = (&mut note.repairs, repairs) {
                    known.join(more);
                }
            }
            None if self.notes.len() < KEPT_MAX => {
                self.places.insert(message.clone(), self.notes.len());
                self.notes.push(Note { message, span, repairs });
            }
            None => {}
        }
    }

    fn shown(self, level: &str) -> Vec<String> {
        let rest = self.notes.len().saturating_sub(SHOWN_MAX);
        let text = |note: Note| {
            let Note { message, span, repairs } = note;
            let detail = repairs.map(|repairs| repairs.text()).unwrap_or_default();
            format!("PromQL {level}: {message}{detail} ({}:{})", span.line, span.column)
        };
        let mut shown: Vec<String> = self.notes.into_iter().take(SHOWN_MAX).map(text).collect();
        if rest > 0 {
            shown.push(format!("{rest} more {level} annotations omitted"));
        }
        shown
    }
}
