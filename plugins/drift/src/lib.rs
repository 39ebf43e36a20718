//! Rule: a model's output has moved away from what it was over the past day, or has crossed a limit.
//!
//! With the parameter `limit` it is the plain rule `metric > limit`. Without, it compares the mean of the last minutes
//! with the day's, in standard deviations; it starts above `start` and stops only below `stop`. State: the models that
//! drift, under `drifting/LABELS`, for a day.

use std::time::Duration;

use foghorn_plugin::rule::*;

struct Drift;

impl Evaluate for Drift {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn evaluate(_at: Timestamp) -> Result<Vec<Finding>> {
        let metric: String = param("metric")?;
        match param("limit")? {
            Some(limit) => above(&metric, limit),
            None => adrift(&metric),
        }
    }
}

export_rule!(Drift);

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

fn above(metric: &str, limit: f64) -> Result<Vec<Finding>> {
    let series = query::instant(metric)?;
    let high = series.iter().filter(|model| model.value > limit);
    let finding = |model: &Series| {
        let summary = format!("{metric}{} is {:.3} (limit {limit})", place(&model.labels), model.value);
        Finding::of(model).note("summary", summary)
    };
    Ok(high.map(finding).collect())
}

fn adrift(metric: &str) -> Result<Vec<Finding>> {
    let (start, stop): (f64, f64) = (param("start")?, param("stop")?);
    let (window, least): (usize, usize) = (param("window")?, param("min_samples")?);
    let mut findings = Vec::new();
    for model in query::back(metric, DAY, MINUTE)? {
        let values = model.values();
        if values.len() < least.max(1) {
            continue;
        }
        let (usual, spread) = mean_and_spread(&values);
        let (recent, _) = mean_and_spread(&values[values.len().saturating_sub(window.max(1))..]);
        // A constant model has no deviation to measure in, and NaN is no distance.
        let distance = ((recent - usual) / spread).abs();
        if !distance.is_finite() {
            continue;
        }
        let key = format!("drifting/{}", text(&model.labels));
        let drifting = state::get(&key)?.unwrap_or(false);
        if distance > if drifting { stop } else { start } {
            state::set_for(&key, &true, DAY)?;
            let summary = format!("{metric}{} is {distance:.1} σ from its daily mean", place(&model.labels));
            let description = format!("recent {recent:.3}, usual {usual:.3} ± {spread:.3}");
            let labels = model.labels.with("__name__", "");
            findings.push(
                Finding::new(labels, distance).note("summary", summary).note("description", description),
            );
        } else if drifting {
            state::delete(&key);
        }
    }
    Ok(findings)
}

/// Mean and standard deviation of all values, as PromQL's `avg_over_time` and `stddev_over_time`.
fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Where a model runs, for a sentence.
fn place(labels: &Labels) -> String {
    match labels.get("instance") {
        "" => String::new(),
        instance => format!(" on {instance}"),
    }
}

fn text(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(Drift::MANIFEST)
    }

    /// A day of values around 0.5 with the given ones at its end.
    fn day(last: &[f64]) -> Vec<RangeSeries> {
        let usual = (0..400).map(|i| if i % 2 == 0 { 0.4 } else { 0.6 });
        let values = usual.chain(last.iter().copied()).enumerate();
        vec![RangeSeries {
            labels: Labels::from([("__name__", "model_result"), ("instance", "a")]),
            points: values.map(|(i, value)| (Timestamp(i as i64 * 60_000), value)).collect(),
        }]
    }

    fn evaluate(host: &FakeHost) -> Vec<Finding> {
        host.run(|| Drift::evaluate(Timestamp(0))).expect("evaluates")
    }

    #[test]
    fn with_a_limit_it_is_a_comparison() {
        let rows: [(&[(&str, &str)], f64); 2] =
            [(&[("__name__", "model_result"), ("instance", "a")], 0.8), (&[("instance", "b")], 0.75)];
        let found = evaluate(&host().param("limit", 0.75).instant("model_result", &rows));
        let wanted = Finding::new(Labels::from([("instance", "a")]), 0.8)
            .note("summary", "model_result on a is 0.800 (limit 0.75)");
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn starts_above_one_edge_and_stops_below_another() {
        let host = host();
        let mut distances = Vec::new();
        // Ten minutes far away, a little less far, far less, a little less far again.
        for last in [0.95, 0.78, 0.6, 0.78] {
            let host = host.clone().range("model_result", day(&[last; 10]));
            distances.push(evaluate(&host).first().map(|finding| finding.value > 3.0));
        }
        assert_eq!(distances, [Some(true), Some(false), None, None]);
        assert!(host.state().is_empty());
    }

    #[test]
    fn the_young_and_the_constant_are_not_judged() {
        assert!(evaluate(&host().param("min_samples", 1000).range("model_result", day(&[9.0]))).is_empty());
        let mut constant = day(&[]);
        constant[0].points.iter_mut().for_each(|point| point.1 = 0.5);
        assert!(evaluate(&host().range("model_result", constant)).is_empty());
        assert!(evaluate(&host().range("model_result", day(&[f64::NAN]))).is_empty());
    }
}
