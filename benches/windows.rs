//! Functions over windows, one family after the other: a thousand steps of 15 s over a counter and a gauge at 5 s, in memory.
//!
//! `cargo bench -p benches --bench windows`

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::{FloatSample, Labels, Series, Timestamp};
use promql::{EvalOptions, ParseOptions, Plan, Range, parse};

const STEPS: i64 = 1000;
const STEP: i64 = 15;

/// A counter that grows by random steps and is reset twice, or the gauge of its steps.
fn series(name: &str, counter: bool) -> Series {
    let (mut state, mut total) = (17u64, 0u64);
    let sample = |at: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = state >> 54;
        total = if at % 6000 == 0 { 0 } else { total + step };
        FloatSample { at: Timestamp::from_secs(at), value: if counter { total } else { step } as f64 }
    };
    let floats = (0..STEPS * STEP + 7200).step_by(5).map(sample).collect();
    Series { labels: Labels::from([("__name__", name)]), floats, histograms: Vec::new() }
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows");
    group.throughput(Throughput::Elements(STEPS as u64));
    for (function, metric) in [
        ("rate", "x_total"),
        ("irate", "x_total"),
        ("resets", "x_total"),
        ("sum_over_time", "x"),
        ("avg_over_time", "x"),
        ("max_over_time", "x"),
        ("stddev_over_time", "x"),
        ("deriv", "x"),
        ("quantile_over_time", "x"),
    ] {
        for window in ["1m", "5m", "1h"] {
            let scalar = if function == "quantile_over_time" { "0.9, " } else { "" };
            let text = format!("{function}({scalar}{metric}[{window}])");
            let expr = parse(&text, &ParseOptions::default()).unwrap();
            let range = Range::new(
                Timestamp::from_secs(7200),
                Timestamp::from_secs(7200 + (STEPS - 1) * STEP),
                Duration::from_secs(STEP as u64),
            );
            let options = EvalOptions::default();
            let plan = Plan::new(&expr, range, &options).unwrap();
            let data = [vec![series(metric, metric == "x_total")]];
            group.bench_function(BenchmarkId::new(function, window), |bencher| {
                bencher.iter(|| plan.eval(&expr, &data, &options).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
