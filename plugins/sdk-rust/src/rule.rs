//! Rules: decide what is wrong right now.
//!
//! In: PromQL results. Out: findings. Foghorn does the rest: `hold` (`for`), keeping the start time, resolving,
//! grouping, inhibition and silences. A rule has no network, so that it can be tested, replayed over the past and run
//! on any replica.

pub use crate::query::{self, RangeSeries, Series};
pub use crate::{
    Error, ErrorKind, Labels, Result, Timestamp, clock, export_rule, log, metrics, param, state,
};

/// The condition of a rule.
pub trait Evaluate {
    /// What the plugin says about itself, as JSON: `name`, `every`, `hold`, `labels`, `params`, …
    const MANIFEST: &'static str;

    /// Everything that is wrong at `at`. What is left out is fine. An error changes no alert: firing ones go on.
    fn evaluate(at: Timestamp) -> Result<Vec<Finding>>;
}

/// One thing that is wrong. Its labels identify the alert, together with the rule's name and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Labels of the alert.
    pub labels: Labels,
    /// The value that made it so.
    pub value: f64,
    /// Names and texts.
    pub annotations: Vec<(String, String)>,
}

impl Finding {
    /// A finding.
    pub fn new(labels: Labels, value: f64) -> Self {
        Finding { labels, value, annotations: Vec::new() }
    }

    /// A finding about a series, with its labels (but for the metric's name) and its value.
    pub fn of(series: &Series) -> Self {
        Finding::new(series.labels.clone().with("__name__", ""), series.value)
    }

    /// The same finding with an annotation.
    #[must_use]
    pub fn note(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.annotations.push((name.into(), text.into()));
        self
    }
}

/// Makes a component of a type that implements [`Evaluate`]. Once per crate.
#[macro_export]
macro_rules! export_rule {
    ($plugin:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($crate::Timestamp) -> $crate::Result<Vec<$crate::rule::Finding>> =
            <$plugin as $crate::rule::Evaluate>::evaluate;
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's exports are C functions")]
        const _: () = {
            struct Guest;
            impl $crate::bindings::rule_plugin::exports::foghorn::plugin::manifest::Guest for Guest {
                fn describe() -> String {
                    <$plugin as $crate::rule::Evaluate>::MANIFEST.to_owned()
                }
            }
            impl $crate::bindings::rule_plugin::exports::foghorn::plugin::rule::Guest for Guest {
                fn evaluate(
                    at: i64,
                ) -> Result<
                    Vec<$crate::bindings::rule_plugin::exports::foghorn::plugin::rule::Finding>,
                    $crate::bindings::kit::foghorn::plugin::types::Error,
                > {
                    $crate::glue::evaluate::<$plugin>(at)
                }
            }
    $crate::bindings::rule_plugin::export!(Guest with_types_in $crate::bindings::rule_plugin);
        };
    };
}
