//! A result as JSON: 100 series of 1,000 values each, whole ones and fractions.
//!
//! `cargo bench -p benches --bench answers`

#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::hint::black_box;

use api::AnswerText;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{FloatSample, Labels, Series, Timestamp};
use promql::Value;

const SERIES: u64 = 100;
const VALUES: u64 = 1_000;

fn matrix(value: impl Fn(u64) -> f64) -> Vec<Series> {
    let series = |s: u64| Series {
        labels: [("__name__", "http_requests_total".to_owned()), ("instance", format!("host-{s}:9100"))]
            .into_iter()
            .collect::<Labels>(),
        floats: (0..VALUES)
            .map(|i| FloatSample {
                at: Timestamp::from_millis(1_700_000_000_000 + (i * 15_000) as i64),
                value: value(s * VALUES + i),
            })
            .collect(),
        histograms: Vec::new(),
    };
    (0..SERIES).map(series).collect()
}

fn answers(c: &mut Criterion) {
    let mut group = c.benchmark_group("answers");
    group.throughput(Throughput::Elements(SERIES * VALUES));
    for (name, matrix) in
        [("whole", matrix(|i| i as f64 * 17.0)), ("fractions", matrix(|i| (i as f64 + 0.1).sqrt()))]
    {
        group.bench_function(name, |b| {
            b.iter_batched(
                || matrix.clone(),
                |matrix| {
                    let text = AnswerText::new(Value::Matrix(matrix), "", &[], &[]);
                    black_box(text.map(|chunk| chunk.len()).sum::<usize>())
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, answers);
criterion_main!(benches);
