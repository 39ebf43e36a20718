//! Requests that were answered, under the names of Prometheus and Alertmanager.

use std::collections::BTreeMap;

use api::{DURATION_BOUNDS, RequestCounts, RequestKind, SIZE_BOUNDS, Side, Traffic};

use crate::metrics::Points;

/// Buckets of durations: Prometheus'.
const PROMETHEUS_DURATIONS: [f64; 9] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];
/// Alertmanager's.
const ALERTMANAGER_DURATIONS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets of sizes, of which Alertmanager has one less.
const SIZES: [f64; 8] = [100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Everything that was counted.
pub(crate) fn traffic_points(traffic: &Traffic, points: &mut Points) {
    let gets = traffic.alertmanager_gets();
    #[expect(clippy::cast_precision_loss, reason = "requests under way at one time are few")]
    points.add("alertmanager_http_requests_in_flight", &[("method", "get")], gets as f64);
    // Nobody is turned away for their number.
    points.count("alertmanager_http_concurrency_limit_exceeded_total", &[("method", "get")], 0);
    let series = traffic.series();
    for ((side, labels), counts) in &summed(&series, |kind| match kind.side {
        Side::Prometheus => vec![("handler", kind.handler.clone())],
        Side::Alertmanager => vec![
            ("code", kind.code.to_string()),
            ("handler", kind.handler.clone()),
            ("method", kind.method.to_owned()),
        ],
    }) {
        match side {
            Side::Prometheus => {
                durations(
                    "prometheus_http_request_duration_seconds",
                    labels,
                    counts,
                    &PROMETHEUS_DURATIONS,
                    points,
                );
                sizes("prometheus_http_response_size_bytes", labels, counts, &SIZES, points);
            }
            Side::Alertmanager => {
                durations(
                    "alertmanager_http_request_duration_seconds",
                    labels,
                    counts,
                    &ALERTMANAGER_DURATIONS,
                    points,
                );
            }
        }
    }
    for ((side, labels), counts) in &summed(&series, |kind| match kind.side {
        Side::Prometheus => vec![("code", kind.code.to_string()), ("handler", kind.handler.clone())],
        Side::Alertmanager => vec![("handler", kind.handler.clone()), ("method", kind.method.to_owned())],
    }) {
        match side {
            Side::Prometheus => {
                points.count("prometheus_http_requests_total", &borrowed(labels), counts.count)
            }
            Side::Alertmanager => {
                sizes("alertmanager_http_response_size_bytes", labels, counts, &SIZES[..7], points);
            }
        }
    }
}

type OwnedLabels = Vec<(&'static str, String)>;

fn borrowed(labels: &OwnedLabels) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// The counts of all kinds that get the same labels.
fn summed(
    series: &BTreeMap<RequestKind, RequestCounts>,
    labels_of: impl Fn(&RequestKind) -> OwnedLabels,
) -> BTreeMap<(Side, OwnedLabels), RequestCounts> {
    let mut sums: BTreeMap<(Side, OwnedLabels), RequestCounts> = BTreeMap::new();
    for (kind, counts) in series {
        sums.entry((kind.side, labels_of(kind))).or_default().add(counts);
    }
    sums
}

fn durations(name: &str, labels: &OwnedLabels, counts: &RequestCounts, bounds: &[f64], points: &mut Points) {
    let counted = DURATION_BOUNDS.iter().copied().zip(counts.durations);
    histogram(name, labels, &counted.collect::<Vec<_>>(), bounds, counts.seconds, points);
}

fn sizes(name: &str, labels: &OwnedLabels, counts: &RequestCounts, bounds: &[f64], points: &mut Points) {
    let counted = SIZE_BOUNDS.iter().copied().zip(counts.sizes);
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    let sum = counts.bytes as f64;
    histogram(name, labels, &counted.collect::<Vec<_>>(), bounds, sum, points);
}

/// A histogram with `bounds`, each of which is a bound of what was counted.
fn histogram(
    name: &str,
    labels: &OwnedLabels,
    counted: &[(f64, u64)],
    bounds: &[f64],
    sum: f64,
    points: &mut Points,
) {
    let labels = borrowed(labels);
    let up_to = |bound: f64| counted.iter().filter(|(of, _)| *of <= bound).map(|(_, count)| count).sum();
    let bucket = format!("{name}_bucket");
    for bound in bounds.iter().copied().chain([f64::INFINITY]) {
        let text = if bound.is_finite() { bound_text(bound) } else { "+Inf".to_owned() };
        let labels: Vec<_> = labels.iter().copied().chain([("le", text.as_str())]).collect();
        points.count(&bucket, &labels, up_to(bound));
    }
    points.add(&format!("{name}_sum"), &labels, sum);
    points.count(&format!("{name}_count"), &labels, up_to(f64::INFINITY));
}

/// As the client library of both programs writes it: from a million on with an exponent.
fn bound_text(bound: f64) -> String {
    if bound >= 1e6 { format!("1e+{:02}", bound.log10().round()) } else { bound.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_histograms_are_counted_and_written_as_upstream() {
        for bound in PROMETHEUS_DURATIONS.iter().chain(&ALERTMANAGER_DURATIONS) {
            assert!(DURATION_BOUNDS.contains(bound), "{bound}");
        }
        assert_eq!(SIZES, SIZE_BOUNDS[..8]);
        let texts: Vec<String> = [0.005, 1.0, 120.0, 1e5, 1e6, 1e9].map(bound_text).into();
        assert_eq!(texts, ["0.005", "1", "120", "100000", "1e+06", "1e+09"]);
    }
}
