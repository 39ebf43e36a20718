//! Exporters: get metrics from something that has no `/metrics` page.
//!
//! In: a target. Out: an [`Exposition`], built row by row and kept in columns, as it crosses the boundary.

use crate::columns::Columns;
pub use crate::http::{self, Request, Response};
pub use crate::secret::{self, secret};
pub use crate::{
    Error, ErrorKind, Labels, Result, Timestamp, clock, export_exporter, files, json, log, metrics, param,
    state,
};

/// Reads one target.
pub trait Collector {
    /// What the plugin says about itself, as JSON: `name`, `needs`, `metrics`, `params`, …
    const MANIFEST: &'static str;

    /// One scrape. An error marks the target as down (`up` is 0), as a failed scrape does.
    fn collect(target: &Target) -> Result<Exposition>;
}

/// What is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// `host:port`, or whatever the discovery gave as `__address__`.
    pub address: String,
    /// Labels that its series will get.
    pub labels: Labels,
    /// `params` of the scrape configuration.
    pub params: Vec<(String, Vec<String>)>,
    /// Time that is left.
    pub timeout: std::time::Duration,
}

/// What kind of numbers a metric family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// Only goes up, or back to zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
    /// Quantiles.
    Summary,
    /// Not known.
    Unknown,
}

impl MetricType {
    /// As the text format writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::Unknown => "untyped",
        }
    }
}

pub(crate) struct Heading {
    pub(crate) name: String,
    pub(crate) kind: MetricType,
    pub(crate) help: String,
    pub(crate) points: u32,
}

/// One scrape.
///
/// ```
/// use foghorn_plugin::exporter::*;
///
/// let mut out = Exposition::new();
/// out.gauge("room_temperature_celsius", "Temperature.").point(&[("room", "attic")], 31.5);
/// let mut doors = out.counter("door_openings_total", "Times that a door was opened.");
/// doors.point(&[("door", "front")], 12.0);
/// doors.point(&[("door", "back")], 3.0);
/// ```
#[derive(Default)]
pub struct Exposition {
    pub(crate) families: Vec<Heading>,
    pub(crate) columns: Columns,
    pub(crate) suffixes: Vec<u32>,
    pub(crate) values: Vec<f64>,
}

impl Exposition {
    /// Nothing yet.
    pub fn new() -> Self {
        Exposition::default()
    }

    /// Begins a family. Its points are added to what this returns.
    pub fn family(&mut self, name: &str, kind: MetricType, help: &str) -> Family<'_> {
        self.families.push(Heading { name: name.to_owned(), kind, help: help.to_owned(), points: 0 });
        Family { out: self }
    }

    /// Begins a family of counters. By custom the name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, MetricType::Counter, help)
    }

    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, MetricType::Gauge, help)
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The scrape as text, for tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let mut points = self.columns.rows().zip(&self.suffixes).zip(&self.values);
        for family in &self.families {
            let _ = writeln!(out, "# HELP {} {}", family.name, family.help);
            let _ = writeln!(out, "# TYPE {} {}", family.name, family.kind.as_str());
            for ((labels, &suffix), value) in points.by_ref().take(family.points as usize) {
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let labels =
                    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                let suffix = &self.columns.symbols[suffix as usize];
                let _ = writeln!(out, "{}{suffix}{labels} {value}", family.name);
            }
        }
        out
    }
}

/// A metric family that is being filled.
pub struct Family<'a> {
    out: &'a mut Exposition,
}

impl Family<'_> {
    /// Adds a point. Labels with an empty value are left out.
    pub fn point(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.sample("", labels, value)
    }

    /// Adds a point whose name is the family's and a suffix: `_bucket`, `_sum`, `_count`.
    pub fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.suffixed(suffix, labels, None, value)
    }

    /// Adds a histogram: for each upper bound, how many observations lie at or below it; their sum and number.
    pub fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        buckets: &[(f64, f64)],
        sum: f64,
        count: f64,
    ) -> &mut Self {
        let infinite = buckets.last().is_some_and(|(bound, _)| *bound == f64::INFINITY);
        let last = (!infinite).then_some((f64::INFINITY, count));
        for (bound, below) in buckets.iter().copied().chain(last) {
            let bound = if bound == f64::INFINITY { "+Inf".to_owned() } else { bound.to_string() };
            self.suffixed("_bucket", labels, Some(("le", &bound)), below);
        }
        self.sample("_sum", labels, sum).sample("_count", labels, count)
    }

    fn suffixed(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        extra: Option<(&str, &str)>,
        value: f64,
    ) -> &mut Self {
        let suffix = self.out.columns.symbol(suffix);
        self.out.suffixes.push(suffix);
        self.out.columns.row(labels.iter().copied().chain(extra));
        self.out.values.push(value);
        if let Some(family) = self.out.families.last_mut() {
            family.points += 1;
        }
        self
    }
}

/// Makes a component of a type that implements [`Collector`]. Once per crate.
#[macro_export]
macro_rules! export_exporter {
    ($plugin:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::exporter::Target) -> $crate::Result<$crate::exporter::Exposition> =
            <$plugin as $crate::exporter::Collector>::collect;
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's exports are C functions")]
        const _: () = {
            struct Guest;
            impl $crate::bindings::exporter_plugin::exports::foghorn::plugin::manifest::Guest for Guest {
                fn describe() -> String {
                    <$plugin as $crate::exporter::Collector>::MANIFEST.to_owned()
                }
            }
            impl $crate::bindings::exporter_plugin::exports::foghorn::plugin::exporter::Guest for Guest {
                fn collect(
                    target: $crate::bindings::exporter_plugin::exports::foghorn::plugin::exporter::Target,
                ) -> Result<
                    $crate::bindings::exporter_plugin::exports::foghorn::plugin::exporter::Exposition,
                    $crate::bindings::kit::foghorn::plugin::types::Error,
                > {
                    $crate::glue::collect::<$plugin>(target)
                }
            }
    $crate::bindings::exporter_plugin::export!(Guest with_types_in $crate::bindings::exporter_plugin);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_text() {
        let mut out = Exposition::new();
        out.gauge("g", "A gauge.").point(&[("b", ""), ("a", "x\"y")], 1.5).point(&[], f64::NAN);
        let mut h = out.family("h", MetricType::Histogram, "A histogram.");
        h.histogram(&[("k", "v")], &[(0.5, 1.0)], 3.0, 2.0);
        assert_eq!(
            out.to_text().lines().collect::<Vec<_>>(),
            [
                "# HELP g A gauge.",
                "# TYPE g gauge",
                r#"g{a="x\"y"} 1.5"#,
                "g NaN",
                "# HELP h A histogram.",
                "# TYPE h histogram",
                r#"h_bucket{k="v",le="0.5"} 1"#,
                r#"h_bucket{k="v",le="+Inf"} 2"#,
                r#"h_sum{k="v"} 3"#,
                r#"h_count{k="v"} 2"#,
            ]
        );
    }
}
