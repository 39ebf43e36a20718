//! Two hours of samples: gauges, counters with resets, classic and native histograms, gaps, ends, NaN and infinities.
//!
//! They begin an hour before a year ends, so that functions of dates have something to show.

use model::{CounterResetHint, Histogram, METRIC_NAME, SampleValue, stale_nan};
use remote::testing::Sent;

use crate::rng::Rng;

/// The first sample's time, in milliseconds: 2023-12-31T23:00:00Z.
pub(crate) const START: i64 = 1_704_063_600_000;
/// From the first sample to the last.
pub(crate) const SPAN: i64 = 2 * 60 * 60 * 1000;
/// A server takes samples that are older than its newest only within limits: they are sent slice by slice.
const SLICE: i64 = 10 * 60 * 1000;
const STEP: i64 = 15_000;

/// A metric and the labels that its series differ by.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [(&'static str, &'static [&'static str])],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
    Bucket,
    Native,
    Info,
}

const JOBS: &[&str] = &["api", "db"];
const INSTANCES: &[&str] = &["a:1", "b:1", "c:1", "d:1"];
const BOUNDS: &[&str] = &["0.005", "0.05", "0.5", "1", "5", "+Inf"];

/// All metrics; about 230 series.
pub(crate) const METRICS: &[Metric] = &[
    Metric { name: "up", kind: Kind::Gauge, labels: &[("job", JOBS), ("instance", INSTANCES)] },
    Metric {
        name: "temperature",
        kind: Kind::Gauge,
        labels: &[("instance", INSTANCES), ("room", &["kitchen", "attic", "hall", ""])],
    },
    Metric { name: "load", kind: Kind::Gauge, labels: &[("instance", INSTANCES), ("cpu", &["0", "1", "2"])] },
    Metric { name: "memory_bytes", kind: Kind::Gauge, labels: &[("job", JOBS), ("instance", INSTANCES)] },
    Metric {
        name: "special",
        kind: Kind::Gauge,
        labels: &[("kind", &["nan", "inf", "-inf", "0", "-0", "mixed"])],
    },
    Metric { name: "sparse", kind: Kind::Gauge, labels: &[("instance", INSTANCES)] },
    Metric {
        name: "requests_total",
        kind: Kind::Counter,
        labels: &[
            ("job", JOBS),
            ("instance", INSTANCES),
            ("code", &["200", "404", "500"]),
            ("method", &["GET", "POST"]),
        ],
    },
    Metric {
        name: "bytes_total",
        kind: Kind::Counter,
        labels: &[("instance", INSTANCES), ("device", &["eth0", "lo"])],
    },
    Metric {
        name: "latency_seconds_bucket",
        kind: Kind::Bucket,
        labels: &[("job", JOBS), ("instance", INSTANCES), ("le", BOUNDS)],
    },
    Metric {
        name: "latency_seconds_count",
        kind: Kind::Counter,
        labels: &[("job", JOBS), ("instance", INSTANCES)],
    },
    Metric {
        name: "latency_seconds_sum",
        kind: Kind::Counter,
        labels: &[("job", JOBS), ("instance", INSTANCES)],
    },
    Metric {
        name: "duration_seconds",
        kind: Kind::Native,
        labels: &[("job", JOBS), ("instance", INSTANCES)],
    },
    Metric { name: "queue_native", kind: Kind::Native, labels: &[("instance", INSTANCES)] },
    Metric { name: "size_custom", kind: Kind::Native, labels: &[("instance", INSTANCES)] },
    Metric { name: "mixed_native", kind: Kind::Native, labels: &[("instance", &["a:1", "b:1"])] },
    Metric {
        name: "target_info",
        kind: Kind::Info,
        labels: &[("job", JOBS), ("instance", INSTANCES), ("version", &["1"])],
    },
];

/// One series with its samples, in order of time.
pub(crate) struct Generated {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<(i64, SampleValue)>,
}

/// All series of a seed.
pub(crate) fn generate(seed: u64) -> Vec<Generated> {
    let mut all = Vec::new();
    for (number, metric) in METRICS.iter().enumerate() {
        let mut sets: Vec<Vec<(String, String)>> =
            vec![vec![(METRIC_NAME.to_owned(), metric.name.to_owned())]];
        for (name, values) in metric.labels {
            sets = sets
                .into_iter()
                .flat_map(|set| {
                    values.iter().map(move |value| {
                        let mut set = set.clone();
                        if !value.is_empty() {
                            set.push(((*name).to_owned(), (*value).to_owned()));
                        }
                        set
                    })
                })
                .collect();
        }
        for (place, mut labels) in sets.into_iter().enumerate() {
            labels.sort();
            let mut rng = Rng::stream(seed, (number as u64 + 1) << 16 | place as u64);
            let samples = samples(metric, &labels, &mut rng);
            all.push(Generated { labels, samples });
        }
    }
    all
}

/// Requests in order of time.
pub(crate) fn requests(all: &[Generated]) -> Vec<Vec<Sent>> {
    let slices = SPAN / SLICE + 1;
    let slice = |number: i64| {
        let times = START + number * SLICE..START + (number + 1) * SLICE;
        let sent = all.iter().map(|series| {
            let mut sent = Sent { labels: series.labels.clone(), ..Sent::default() };
            for (at, value) in series.samples.iter().filter(|(at, _)| times.contains(at)) {
                match value {
                    SampleValue::Float(value) => sent.samples.push((*at, *value)),
                    SampleValue::Histogram(value) => sent.histograms.push((*at, Histogram::clone(value))),
                }
            }
            sent
        });
        sent.filter(|sent| !sent.samples.is_empty() || !sent.histograms.is_empty()).collect()
    };
    (0..slices).map(slice).collect()
}

pub(crate) fn count(all: &[Generated]) -> usize {
    all.iter().map(|series| series.samples.len()).sum()
}

/// When a series has samples: regular with a little jitter, with gaps and ends.
struct Times {
    offset: i64,
    jitter: i64,
    step: i64,
    gaps: Vec<(i64, i64)>,
    /// From here on the series has ended, after a stale marker.
    ends: Vec<(i64, i64)>,
}

impl Times {
    fn new(metric: &Metric, rng: &mut Rng) -> Self {
        let mut times = Times {
            offset: rng.between(0, STEP - 1),
            jitter: rng.between(0, 40),
            step: STEP,
            gaps: Vec::new(),
            ends: Vec::new(),
        };
        if metric.name == "sparse" {
            times.step = 7 * 60 * 1000;
        }
        let stretch = |rng: &mut Rng| {
            let from = rng.between(0, SPAN);
            (from, from + rng.between(60_000, 20 * 60_000))
        };
        for _ in 0..rng.below(3) {
            times.gaps.push(stretch(rng));
        }
        if rng.chance(40) && metric.kind != Kind::Native {
            times.ends.push(stretch(rng));
        }
        times
    }

    /// Times after the start, and whether a stale marker stands there.
    fn all(&self, rng: &mut Rng) -> Vec<(i64, bool)> {
        let mut out = Vec::new();
        let mut ended = false;
        for number in 0..=SPAN / self.step {
            let after = number * self.step + self.offset + rng.between(0, self.jitter);
            if self.gaps.iter().any(|(from, to)| (*from..*to).contains(&after)) {
                continue;
            }
            let end = self.ends.iter().any(|(from, to)| (*from..*to).contains(&after));
            if end && !ended {
                out.push((after, true));
            }
            if !end {
                out.push((after, false));
            }
            ended = end;
        }
        out
    }
}

fn samples(metric: &Metric, labels: &[(String, String)], rng: &mut Rng) -> Vec<(i64, SampleValue)> {
    let times = Times::new(metric, rng).all(rng);
    let label = |name: &str| labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    let mut source = Source::new(metric, label("kind"), label("le"), rng);
    times
        .into_iter()
        .map(|(after, stale)| {
            let value = if stale { SampleValue::Float(stale_nan()) } else { source.next(after, rng) };
            (START + after, value)
        })
        .collect()
}

/// Where the values of one series come from.
enum Source {
    Constant(f64),
    Flipping,
    Special,
    Wandering { value: f64, step: f64, decimals: f64 },
    Growing { value: f64, most: i64, whole: bool },
    Histogram { buckets: Vec<(i32, f64)>, sum: f64, schema: i32, kind: HistogramKind },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HistogramKind {
    Counter,
    Gauge,
    Custom,
    /// Floats and histograms take turns.
    Mixed,
}

impl Source {
    fn new(metric: &Metric, kind: &str, bound: &str, rng: &mut Rng) -> Self {
        let histogram = |kind, rng: &mut Rng| {
            let first = if kind == HistogramKind::Custom { 0 } else { rng.between(-3, 2) as i32 };
            let count = if kind == HistogramKind::Custom { 4 } else { rng.between(3, 8) as i32 };
            let buckets = (first..first + count).map(|index| (index, rng.below(5) as f64)).collect();
            Source::Histogram { buckets, sum: 0.0, schema: rng.between(0, 2) as i32, kind }
        };
        match (metric.name, kind) {
            ("up", _) => Source::Flipping,
            ("special", "nan") => Source::Constant(f64::NAN),
            ("special", "inf") => Source::Constant(f64::INFINITY),
            ("special", "-inf") => Source::Constant(f64::NEG_INFINITY),
            ("special", "0") => Source::Constant(0.0),
            ("special", "-0") => Source::Constant(-0.0),
            ("special", _) => Source::Special,
            ("target_info", _) => Source::Constant(1.0),
            ("temperature", _) => Source::Wandering { value: 20.0, step: 3.0, decimals: 10.0 },
            ("load", _) => Source::Wandering { value: 1.0, step: 0.5, decimals: 100.0 },
            ("memory_bytes", _) => Source::Wandering { value: 4e9, step: 4096.0 * 1000.0, decimals: 1.0 },
            ("sparse", _) => Source::Wandering { value: 0.0, step: 100.0, decimals: 1000.0 },
            ("latency_seconds_bucket", _) => {
                let place = BOUNDS.iter().position(|b| *b == bound).unwrap_or(0) as i64;
                Source::Growing { value: 0.0, most: 3 * (place + 1), whole: true }
            }
            ("latency_seconds_sum", _) => Source::Growing { value: 0.0, most: 4, whole: false },
            ("bytes_total", _) => Source::Growing { value: 1e12, most: 10_000_000, whole: true },
            ("duration_seconds", _) => histogram(HistogramKind::Counter, rng),
            ("queue_native", _) => histogram(HistogramKind::Gauge, rng),
            ("size_custom", _) => histogram(HistogramKind::Custom, rng),
            ("mixed_native", _) => histogram(HistogramKind::Mixed, rng),
            _ => Source::Growing { value: rng.below(1000) as f64, most: 50, whole: true },
        }
    }

    fn next(&mut self, after: i64, rng: &mut Rng) -> SampleValue {
        match self {
            Source::Constant(value) => (*value).into(),
            Source::Flipping => f64::from(u8::from(!rng.chance(5))).into(),
            Source::Special => {
                let all = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.5, -2.25, 1e300, 1e-300];
                (*rng.of(&all)).into()
            }
            Source::Wandering { value, step, decimals } => {
                let change = rng.between(-1000, 1000) as f64 / 1000.0 * *step;
                if rng.chance(70) {
                    *value = ((*value + change) * *decimals).round() / *decimals;
                }
                (*value).into()
            }
            Source::Growing { value, most, whole } => {
                if rng.chance(1) {
                    *value = 0.0;
                }
                *value += rng.between(0, *most) as f64 * if *whole { 1.0 } else { 0.125 };
                (*value).into()
            }
            Source::Histogram { buckets, sum, schema, kind } => {
                if *kind == HistogramKind::Mixed && (after / SLICE) % 2 == 1 {
                    return (rng.below(10) as f64).into();
                }
                if rng.chance(2) {
                    // Counting starts anew, perhaps with another resolution.
                    buckets.iter_mut().for_each(|(_, count)| *count = 0.0);
                    *sum = 0.0;
                    *schema = rng.between(0, 2) as i32;
                }
                for (_, count) in buckets.iter_mut() {
                    let change = rng.below(4) as f64;
                    *count = if *kind == HistogramKind::Gauge && rng.chance(40) {
                        (*count - change).max(0.0)
                    } else {
                        *count + change
                    };
                }
                *sum += rng.below(100) as f64 * 0.25;
                SampleValue::Histogram(histogram(buckets, *sum, *schema, *kind).into())
            }
        }
    }
}

fn histogram(buckets: &[(i32, f64)], sum: f64, schema: i32, kind: HistogramKind) -> Histogram {
    let mut histogram = Histogram { schema, sum, ..Histogram::default() };
    histogram.set_positive(buckets.iter().copied());
    histogram.count = buckets.iter().map(|(_, count)| count).sum();
    match kind {
        HistogramKind::Custom => {
            histogram.schema = model::CUSTOM_BUCKETS_SCHEMA;
            histogram.custom_values = vec![0.1, 1.0, 2.5];
        }
        HistogramKind::Gauge => histogram.counter_reset_hint = CounterResetHint::Gauge,
        HistogramKind::Counter | HistogramKind::Mixed => {
            histogram.zero_threshold = 0.001;
            histogram.zero_count = buckets[0].1;
            histogram.count += histogram.zero_count;
            histogram.set_negative(buckets.iter().take(2).copied());
            histogram.count += histogram.negative_buckets.iter().sum::<f64>();
        }
    }
    histogram
}
