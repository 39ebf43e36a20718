//! Finding series in the index, and decoding what they hold: twenty machines, half an hour at five seconds.
//!
//! `cargo bench -p benches --bench selectors`

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::time::Duration;

use benches::World;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Samples, Selection};
use promql::parse_selector;

const CASES: [(&str, &str); 6] = [
    ("name_and_instance", r#"node_load5{instance="node-0007"}"#),
    ("name", "http_requests_total"),
    ("name_and_regex", r#"node_load1{instance=~"node-000.|node-0019"}"#),
    ("name_and_classes", r#"http_requests_total{code=~"5..",handler=~"/api/.*"}"#),
    ("everything", r#"{job="bench"}"#),
    ("names_by_regex", r#"{__name__=~"node_.*",mode!~"idle|user"}"#),
];

fn selectors(criterion: &mut Criterion) {
    let world = World::load(20, Duration::from_secs(1800));
    let selection = |text: &str, seconds: u64| Selection {
        matchers: parse_selector(text).unwrap(),
        start: world.end - Duration::from_secs(seconds),
        end: world.end,
    };
    let mut group = criterion.benchmark_group("find");
    for (name, text) in CASES {
        let wanted = selection(text, 300);
        group.throughput(Throughput::Elements(world.find(wanted.clone()).series_len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| world.find(wanted.clone()).series_len()));
    }
    group.finish();
    let mut group = criterion.benchmark_group("read");
    let mut samples = Samples::default();
    for (name, text, seconds) in [
        ("counters_5m", "http_requests_total", 300),
        ("counters_30m", "http_requests_total", 1800),
        ("gauges_30m", "container_memory_rss", 1800),
    ] {
        let wanted = selection(text, seconds);
        let reader = world.find(wanted.clone());
        let mut all = || -> usize {
            let read = |index| {
                reader.read(index, wanted.start, wanted.end, &mut samples).unwrap();
                samples.len()
            };
            (0..reader.series_len()).map(read).sum()
        };
        group.throughput(Throughput::Elements(all() as u64));
        group.bench_function(name, |bencher| bencher.iter(&mut all));
    }
    group.finish();
}

criterion_group!(benches, selectors);
criterion_main!(benches);
