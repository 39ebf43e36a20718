//! A plugin's own metrics, on our `/metrics` as `plugin_<plugin>_<name>`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use model::{BUCKET_LABEL, Labels, METRIC_NAME, format_float};
use ports::Point;

use super::{Call, limit, lock};
use crate::limits::OWN_SERIES;
use crate::manifest::is_name;
use crate::{ErrorKind, HostError};

/// Upper bounds of the buckets of `observe`, as Prometheus' client libraries have them.
pub(crate) const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq)]
enum Metric {
    Counter(f64),
    Gauge(f64),
    Histogram { buckets: [u64; BUCKETS.len()], count: u64, sum: f64 },
}

impl Metric {
    /// How many series it is.
    fn series(&self) -> usize {
        match self {
            Metric::Counter(_) | Metric::Gauge(_) => 1,
            Metric::Histogram { .. } => BUCKETS.len() + 3,
        }
    }

    fn is_like(&self, other: &Metric) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What is done to a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Add(f64),
    Set(f64),
    Observe(f64),
}

/// A plugin's own metrics: name and labels → value.
#[derive(Debug, Default)]
pub(crate) struct OwnMetrics(Mutex<BTreeMap<(String, Labels), Metric>>);

impl OwnMetrics {
    fn apply(&self, name: &str, labels: Labels, operation: Operation) -> Result<(), HostError> {
        if !is_name(name) {
            return Err(HostError::new(
                ErrorKind::Permanent,
                format!("`{}` is not the name of a metric", name.escape_debug()),
            ));
        }
        if let Some((label, _)) = labels.iter().find(|(label, _)| !is_name(label) || *label == BUCKET_LABEL) {
            return Err(HostError::new(
                ErrorKind::Permanent,
                format!("`{}` cannot be a label of `{name}`", label.escape_debug()),
            ));
        }
        if matches!(operation, Operation::Add(amount) if !(amount >= 0.0 && amount.is_finite())) {
            return Err(HostError::new(
                ErrorKind::Permanent,
                format!("`{name}` is a counter, and only goes up"),
            ));
        }
        let new = match operation {
            Operation::Add(_) => Metric::Counter(0.0),
            Operation::Set(_) => Metric::Gauge(0.0),
            Operation::Observe(_) => Metric::Histogram { buckets: [0; BUCKETS.len()], count: 0, sum: 0.0 },
        };
        let mut metrics = lock(&self.0);
        if let Some((_, other)) = metrics.iter().find(|((other, _), _)| other == name)
            && !other.is_like(&new)
        {
            return Err(HostError::new(
                ErrorKind::Permanent,
                format!("`{name}` is already a metric of another type"),
            ));
        }
        let key = (name.to_owned(), labels);
        if !metrics.contains_key(&key) {
            let series: usize = metrics.values().map(Metric::series).sum();
            if series + new.series() > OWN_SERIES {
                return Err(limit("own_series", format!("more than {OWN_SERIES} series of own metrics")));
            }
        }
        match (metrics.entry(key).or_insert(new), operation) {
            (Metric::Counter(value), Operation::Add(amount)) => *value += amount,
            (Metric::Gauge(value), Operation::Set(to)) => *value = to,
            (Metric::Histogram { buckets, count, sum }, Operation::Observe(value)) => {
                for (bucket, _) in buckets.iter_mut().zip(BUCKETS).filter(|(_, bound)| value <= *bound) {
                    *bucket += 1;
                }
                *count += 1;
                *sum += value;
            }
            _ => unreachable!("a metric of another type was refused above"),
        }
        Ok(())
    }

    /// As samples.
    pub(crate) fn points(&self, plugin: &str, out: &mut Vec<Point>) {
        for ((name, labels), metric) in lock(&self.0).iter() {
            let full = format!("plugin_{plugin}_{name}");
            let mut push = |suffix: &str, le: Option<String>, value: f64| {
                let mut labels = labels.edit();
                labels.set(METRIC_NAME, &format!("{full}{suffix}"));
                if let Some(le) = le {
                    labels.set(BUCKET_LABEL, &le);
                }
                out.push(Point { labels: labels.build(), value: value.into(), at: None });
            };
            match metric {
                Metric::Counter(value) | Metric::Gauge(value) => push("", None, *value),
                Metric::Histogram { buckets, count, sum } => {
                    for (bound, bucket) in BUCKETS.iter().zip(buckets) {
                        push("_bucket", Some(format_float(*bound)), *bucket as f64);
                    }
                    push("_bucket", Some("+Inf".to_owned()), *count as f64);
                    push("_sum", None, *sum);
                    push("_count", None, *count as f64);
                }
            }
        }
    }
}

impl Call {
    /// Changes one of the plugin's own metrics. What is refused is counted, and the plugin goes on.
    pub(crate) fn metric(&self, name: &str, labels: Labels, operation: Operation) {
        let outcome = self.profile.stats.own.apply(name, labels, operation);
        if let Err(error) = self.counted("metric", outcome) {
            tracing::debug!(plugin = %self.profile.name, metric = name, %error, "A plugin's own metric was dropped.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn becomes_samples() {
        let own = OwnMetrics::default();
        own.apply("sent_total", Labels::from([("to", "a")]), Operation::Add(2.0)).unwrap();
        own.apply("sent_total", Labels::from([("to", "a")]), Operation::Add(1.0)).unwrap();
        own.apply("took_seconds", Labels::empty(), Operation::Observe(0.02)).unwrap();
        let mut points = Vec::new();
        own.points("chat", &mut points);
        let lines: Vec<String> =
            points.iter().map(|p| format!("{} {}", p.labels, p.value.as_float().unwrap())).collect();
        assert_eq!(lines[0], "plugin_chat_sent_total{to=\"a\"} 3");
        assert_eq!(lines[3], "plugin_chat_took_seconds_bucket{le=\"0.025\"} 1");
        assert_eq!(lines[14], "plugin_chat_took_seconds_count 1");
    }

    #[test]
    fn refuses_what_would_spoil_the_page() {
        let own = OwnMetrics::default();
        own.apply("a", Labels::empty(), Operation::Set(1.0)).unwrap();
        for (name, labels, operation) in [
            ("a b", Labels::empty(), Operation::Set(1.0)),
            ("a", Labels::empty(), Operation::Add(1.0)),
            ("b", Labels::empty(), Operation::Add(-1.0)),
            ("c", Labels::from([("x y", "1")]), Operation::Set(1.0)),
        ] {
            assert!(own.apply(name, labels, operation).is_err(), "{name}");
        }
        let flood = (0..200).filter(|i| {
            own.apply("n", [("i", i.to_string())].into_iter().collect(), Operation::Set(0.0)).is_ok()
        });
        assert_eq!(flood.count(), OWN_SERIES - 1);
    }
}
