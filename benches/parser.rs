//! Reading expressions: short ones of rules, long ones of dashboards.
//!
//! `cargo bench -p benches --bench parser`

#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use model::Timestamp;
use promql::{EvalOptions, ParseOptions, Plan, Range, parse};

const CASES: [(&str, &str); 3] = [
    ("threshold", r#"node_load5{instance="node-0042"} > 100"#),
    (
        "quantile",
        r#"histogram_quantile(0.95, sum by (le, handler) (rate(http_request_duration_seconds_bucket{job="api"}[5m])))"#,
    ),
    (
        "ratio",
        r#"sum by (service) (rate(http_requests_total{code=~"5..",handler=~"/api/.*"}[5m])) / sum by (service) (rate(http_requests_total{handler=~"/api/.*"}[5m])) > 0.05 and on (service) up == 1"#,
    ),
];

fn parser(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser");
    for (name, text) in CASES {
        let options = ParseOptions::default();
        group.bench_function(format!("parse_{name}"), |bencher| {
            bencher.iter(|| parse(black_box(text), &options).is_ok());
        });
        let Ok(expr) = parse(text, &options) else { continue };
        let range = Range::instant(Timestamp::from_secs(1_767_225_600));
        let options = EvalOptions::default();
        group.bench_function(format!("plan_{name}"), |bencher| {
            bencher.iter(|| Plan::new(black_box(&expr), range, &options).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, parser);
criterion_main!(benches);
