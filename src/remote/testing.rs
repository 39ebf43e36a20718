//! What a sender sends: requests for tests, in either protocol.

use model::{Histogram, MetricType};

use crate::protocol::Protocol;

/// One series of a request.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Names and values, as they are to stand there.
    pub labels: Vec<(String, String)>,
    /// Milliseconds and values.
    pub samples: Vec<(i64, f64)>,
    /// Milliseconds and native histograms; written as whole numbers if all of its counts are.
    pub histograms: Vec<(i64, Histogram)>,
    /// Labels, value, milliseconds.
    pub exemplars: Vec<(Vec<(String, String)>, f64, i64)>,
    /// Type, help and unit. Protocol 1.0 sends them beside the series, under its name.
    pub metadata: Option<(MetricType, String, String)>,
}

impl Sent {
    /// A series without samples.
    pub fn series(labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sent { labels, ..Sent::default() }
    }

    /// With these samples.
    #[must_use]
    pub fn samples(mut self, samples: &[(i64, f64)]) -> Self {
        self.samples.extend_from_slice(samples);
        self
    }

    /// With one histogram.
    #[must_use]
    pub fn histogram(mut self, at: i64, histogram: Histogram) -> Self {
        self.histograms.push((at, histogram));
        self
    }
}

/// The body of a request, compressed.
pub fn body(protocol: Protocol, series: &[Sent]) -> Vec<u8> {
    compressed(&message(protocol, series))
}

/// In snappy's block format.
pub fn compressed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(message)
        .expect("a message of a test is not longer than snappy takes")
}

/// The message of a request.
pub fn message(protocol: Protocol, series: &[Sent]) -> Vec<u8> {
    match protocol {
        Protocol::V1 => v1(series),
        Protocol::V2 => v2(series),
    }
}

fn v1(series: &[Sent]) -> Vec<u8> {
    let mut out = Vec::new();
    for sent in series {
        let mut one = Vec::new();
        put_labels(&mut one, &sent.labels);
        for (at, value) in &sent.samples {
            put_bytes(&mut one, 2, &sample(*at, *value));
        }
        for (labels, value, at) in &sent.exemplars {
            let mut exemplar = Vec::new();
            put_labels(&mut exemplar, labels);
            put_double(&mut exemplar, 2, *value);
            put_varint(&mut exemplar, 3, *at as u64);
            put_bytes(&mut one, 3, &exemplar);
        }
        for (at, value) in &sent.histograms {
            put_bytes(&mut one, 4, &histogram(*at, value));
        }
        put_bytes(&mut out, 1, &one);
    }
    for sent in series {
        if let Some((kind, help, unit)) = &sent.metadata {
            let mut one = Vec::new();
            put_varint(&mut one, 1, type_number(*kind));
            let name = sent.labels.iter().find(|(name, _)| name == model::METRIC_NAME);
            put_bytes(&mut one, 2, name.map_or("", |(_, value)| value).as_bytes());
            put_bytes(&mut one, 4, help.as_bytes());
            put_bytes(&mut one, 5, unit.as_bytes());
            put_bytes(&mut out, 3, &one);
        }
    }
    out
}

fn put_labels(out: &mut Vec<u8>, labels: &[(String, String)]) {
    for (name, value) in labels {
        let mut label = Vec::new();
        put_bytes(&mut label, 1, name.as_bytes());
        put_bytes(&mut label, 2, value.as_bytes());
        put_bytes(out, 1, &label);
    }
}

/// The table of symbols while a request is written.
struct Symbols<'a>(Vec<&'a str>);

impl<'a> Symbols<'a> {
    fn number(&mut self, text: &'a str) -> u64 {
        let place = self.0.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        });
        place as u64
    }

    fn refs(&mut self, labels: &'a [(String, String)]) -> Vec<u8> {
        let mut packed = Vec::new();
        for (name, value) in labels {
            varint(&mut packed, self.number(name));
            varint(&mut packed, self.number(value));
        }
        packed
    }
}

fn v2(series: &[Sent]) -> Vec<u8> {
    let mut symbols = Symbols(vec![""]);
    let mut all = Vec::new();
    for sent in series {
        let mut one = Vec::new();
        put_bytes(&mut one, 1, &symbols.refs(&sent.labels));
        for (at, value) in &sent.samples {
            put_bytes(&mut one, 2, &sample(*at, *value));
        }
        for (at, value) in &sent.histograms {
            put_bytes(&mut one, 3, &histogram(*at, value));
        }
        for (labels, value, at) in &sent.exemplars {
            let mut exemplar = Vec::new();
            put_bytes(&mut exemplar, 1, &symbols.refs(labels));
            put_double(&mut exemplar, 2, *value);
            put_varint(&mut exemplar, 3, *at as u64);
            put_bytes(&mut one, 4, &exemplar);
        }
        if let Some((kind, help, unit)) = &sent.metadata {
            let mut metadata = Vec::new();
            put_varint(&mut metadata, 1, type_number(*kind));
            put_varint(&mut metadata, 3, symbols.number(help));
            put_varint(&mut metadata, 4, symbols.number(unit));
            put_bytes(&mut one, 5, &metadata);
        }
        put_bytes(&mut all, 5, &one);
    }
    let mut out = Vec::new();
    for symbol in symbols.0 {
        put_bytes(&mut out, 4, symbol.as_bytes());
    }
    out.extend(all);
    out
}

fn type_number(kind: MetricType) -> u64 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

fn sample(at: i64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    put_double(&mut out, 1, value);
    put_varint(&mut out, 2, at as u64);
    out
}

fn histogram(at: i64, value: &Histogram) -> Vec<u8> {
    let mut out = Vec::new();
    let counts = [value.count, value.zero_count];
    let all = counts.iter().chain(&value.positive_buckets).chain(&value.negative_buckets);
    let whole = all.clone().all(|count| count.fract() == 0.0 && *count >= 0.0 && *count < 1e15);
    if whole {
        put_varint(&mut out, 1, value.count as u64);
        put_varint(&mut out, 6, value.zero_count as u64);
    } else {
        put_double(&mut out, 2, value.count);
        put_double(&mut out, 7, value.zero_count);
    }
    put_double(&mut out, 3, value.sum);
    put_varint(&mut out, 4, zigzag(i64::from(value.schema)));
    put_double(&mut out, 5, value.zero_threshold);
    let sides = [
        (8, 9, 10, &value.negative_spans, &value.negative_buckets),
        (11, 12, 13, &value.positive_spans, &value.positive_buckets),
    ];
    for (spans_field, deltas_field, counts_field, spans, buckets) in sides {
        for span in spans {
            let mut one = Vec::new();
            put_varint(&mut one, 1, zigzag(i64::from(span.offset)));
            put_varint(&mut one, 2, u64::from(span.length));
            put_bytes(&mut out, spans_field, &one);
        }
        let mut packed = Vec::new();
        let mut last = 0;
        for count in buckets {
            if whole {
                varint(&mut packed, zigzag(*count as i64 - last));
                last = *count as i64;
            } else {
                packed.extend_from_slice(&count.to_le_bytes());
            }
        }
        put_bytes(&mut out, if whole { deltas_field } else { counts_field }, &packed);
    }
    put_varint(&mut out, 14, value.counter_reset_hint as u64);
    put_varint(&mut out, 15, at as u64);
    let bounds: Vec<u8> = value.custom_values.iter().flat_map(|bound| bound.to_le_bytes()).collect();
    put_bytes(&mut out, 16, &bounds);
    out
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_varint(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn put_double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
