//! What could not be stored, told to the sender: each reason once, with how often and the first example.

use std::fmt::Write as _;

use model::{Timestamp, format_float};
use ports::Rejected;

/// Why something in a request was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The labels name no series.
    Labels,
    /// Not a histogram that can be.
    Histogram,
    /// An exemplar that points nowhere.
    Exemplar,
    /// Too far ahead of the clock.
    Ahead,
    /// The store refused it.
    Store(Rejected),
}

impl Why {
    fn text(&self) -> &'static str {
        match self {
            Why::Labels => "labels that name no series",
            Why::Histogram => "invalid native histogram",
            Why::Exemplar => "invalid exemplar",
            Why::Ahead => "out of bounds, too far in the future",
            Why::Store(Rejected::OutOfOrder) => "out of order sample",
            Why::Store(Rejected::DuplicateTimestamp) => {
                "duplicate sample for timestamp, with another value than the one that is stored"
            }
            Why::Store(Rejected::OutOfBounds) => {
                "out of bounds, older than what is kept or too far in the future"
            }
            Why::Store(Rejected::SeriesLimit) => "the store holds as many series as it may",
        }
    }
}

/// All of a request.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<Reason>);

#[derive(Debug)]
struct Reason {
    why: Why,
    times: usize,
    example: String,
}

impl Refusals {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `times` refusals; the example is only asked for if it is the first of its reason.
    pub(crate) fn add(&mut self, why: Why, times: usize, example: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|reason| reason.why == why) {
            Some(reason) => reason.times += times,
            None => self.0.push(Reason { why, times, example: example() }),
        }
    }

    /// For a person on the sending side.
    pub(crate) fn message(&self) -> String {
        let mut text = String::new();
        for Reason { why, times, example } in &self.0 {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{}: {example}", why.text());
            if *times > 1 {
                let _ = write!(text, " and {} more", times - 1);
            }
        }
        text.push_str("; everything else in the request was stored");
        text
    }
}

/// A sample, as an example.
pub(crate) fn sample(series: &str, at: Timestamp) -> String {
    format!("{series} at {}", format_float(at.as_millis() as f64 / 1000.0))
}
