//! What a query took: `stats`, and the tree of `explain`.

use std::time::Duration;

use promql::{Explain, QuerySamples, Range};
use serde_json::{Value, json};

use crate::state::QueryTimings;

/// `{"timings":…,"samples":…}`, in seconds. Samples stand by step if they were counted so.
pub fn stats_json(timings: &QueryTimings, counted: &QuerySamples, range: Range) -> Value {
    let total = timings.prepared + timings.evaluated;
    let mut samples = json!({"totalQueryableSamples": counted.total, "peakSamples": counted.peak});
    if !counted.per_step.is_empty() {
        let time = |step: usize| {
            let millis = range.start.as_millis() + i64::try_from(step).unwrap_or(0) * range.step_ms;
            if millis % 1000 == 0 { json!(millis / 1000) } else { json!(millis as f64 / 1000.0) }
        };
        let by_step = counted.per_step.iter().enumerate().map(|(step, count)| json!([time(step), count]));
        samples["totalQueryableSamplesPerStep"] = by_step.collect();
    }
    json!({
        "timings": {
            "evalTotalTime": total.as_secs_f64(),
            // Series come out in their order: sorting is no step of its own.
            "resultSortTime": 0.0,
            "queryPreparationTime": timings.prepared.as_secs_f64(),
            "innerEvalTime": timings.evaluated.as_secs_f64(),
            "execQueueTime": timings.queued.as_secs_f64(),
            "execTotalTime": (timings.queued + total).as_secs_f64(),
        },
        "samples": samples,
    })
}

/// A node of the account and what is under it. Its place is in bytes of the query's text.
pub(crate) fn explain_json(node: &Explain) -> Value {
    json!({
        "text": node.text,
        "kind": node.kind,
        "start": node.span.start,
        "end": node.span.end,
        "series": node.series,
        "values": node.values,
        "samples": node.samples,
        "peakSamples": node.peak,
        "seconds": Duration::from_nanos(node.nanos).as_secs_f64(),
        "children": node.children.iter().map(explain_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    #[test]
    fn shape() {
        let range =
            Range { start: Timestamp::from_millis(1500), end: Timestamp::from_millis(3000), step_ms: 500 };
        let samples = QuerySamples { total: 7, peak: 4, per_step: vec![3, 4], ..QuerySamples::default() };
        let timings = QueryTimings {
            queued: Duration::from_millis(250),
            prepared: Duration::from_millis(500),
            evaluated: Duration::from_secs(1),
        };
        assert_eq!(
            stats_json(&timings, &samples, range),
            json!({
                "timings": {
                    "evalTotalTime": 1.5, "resultSortTime": 0.0, "queryPreparationTime": 0.5,
                    "innerEvalTime": 1.0, "execQueueTime": 0.25, "execTotalTime": 1.75,
                },
                "samples": {
                    "totalQueryableSamples": 7, "peakSamples": 4,
                    "totalQueryableSamplesPerStep": [[1.5, 3], [2, 4]],
                },
            })
        );
        let none = stats_json(&QueryTimings::default(), &QuerySamples::default(), range);
        assert_eq!(none["samples"], json!({"totalQueryableSamples": 0, "peakSamples": 0}));
    }
}
