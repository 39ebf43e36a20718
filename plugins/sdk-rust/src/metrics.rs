//! The plugin's own metrics, on Foghorn's `/metrics` as `plugin_<plugin>_<name>`. At most 100 series a plugin.

use crate::host;

/// Adds to a counter.
pub fn add(name: &str, labels: &[(&str, &str)], amount: f64) {
    host::metric(host::MetricCall::Add, name, labels, amount);
}

/// Sets a gauge.
pub fn set(name: &str, labels: &[(&str, &str)], value: f64) {
    host::metric(host::MetricCall::Set, name, labels, value);
}

/// Adds an observation to a histogram.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    host::metric(host::MetricCall::Observe, name, labels, value);
}
