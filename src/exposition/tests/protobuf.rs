//! Protobuf bodies: what is read from messages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use exposition::{
    BucketMessage, BucketSpanMessage, CounterMessage, Entry, ExemplarMessage, Format, GaugeMessage,
    HistogramMessage, LabelPairMessage, MetricFamilyMessage, MetricMessage, Options, QuantileMessage,
    SummaryMessage, TimestampMessage, encode_families, parse,
};
use model::SampleValue;

fn family(name: &str, kind: i32, metric: MetricMessage) -> MetricFamilyMessage {
    MetricFamilyMessage {
        name: Some(name.to_owned()),
        help: Some("Help.".to_owned()),
        kind: Some(kind),
        metric: vec![metric],
        unit: None,
    }
}

fn label(name: &str, value: &str) -> LabelPairMessage {
    LabelPairMessage { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

/// The samples of a body as text.
fn read(families: &[MetricFamilyMessage], options: &Options) -> Vec<String> {
    let body = encode_families(families);
    let lines = parse(&body, Format::Protobuf, options).filter_map(|entry| match entry {
        Ok(Entry::Sample(sample)) => {
            let labels = sample.labels().unwrap();
            let value = match &sample.value {
                SampleValue::Float(value) => value.to_string(),
                SampleValue::Histogram(h) => {
                    format!(
                        "schema {} positive {:?} negative {:?}",
                        h.schema, h.positive_buckets, h.negative_buckets
                    )
                }
            };
            let time = |what: &str, at: Option<model::Timestamp>| {
                at.map_or(String::new(), |at| format!(" {what} {}", at.as_millis()))
            };
            let exemplars: String =
                sample.exemplars().iter().map(|e| format!(" # {} {}", e.labels, e.value)).collect();
            Some(format!(
                "{labels} {value}{}{}{exemplars}",
                time("at", sample.at),
                time("from", sample.start)
            ))
        }
        Ok(_) => None,
        Err(error) => Some(format!("error: {error}")),
    });
    lines.collect()
}

#[test]
fn counters_gauges_and_summaries() {
    let counter = MetricMessage {
        label: vec![label("b", "1"), label("a", "2"), label("c", "")],
        counter: Some(CounterMessage {
            value: Some(3.5),
            exemplar: Some(ExemplarMessage {
                label: vec![label("id", "x")],
                value: Some(1.0),
                timestamp: None,
            }),
            created_timestamp: Some(TimestampMessage { seconds: 5, nanos: 250_000_000 }),
        }),
        timestamp_ms: Some(1234),
        ..MetricMessage::default()
    };
    let gauge = MetricMessage {
        gauge: Some(GaugeMessage { value: Some(f64::from_bits(model::STALE_NAN_BITS)) }),
        ..MetricMessage::default()
    };
    let summary = MetricMessage {
        summary: Some(SummaryMessage {
            sample_count: Some(2),
            sample_sum: Some(0.5),
            quantile: vec![QuantileMessage { quantile: Some(1.0), value: Some(0.25) }],
            created_timestamp: None,
        }),
        ..MetricMessage::default()
    };
    let families = [family("c_total", 0, counter), family("g", 1, gauge), family("s", 2, summary)];
    let options = Options { start_times: true, ..Options::default() };
    assert_eq!(
        read(&families, &options),
        [
            r#"c_total{a="2", b="1"} 3.5 at 1234 from 5250 # {id="x"} 1"#,
            "g NaN",
            "s_count 2",
            "s_sum 0.5",
            r#"s{quantile="1.0"} 0.25"#,
        ]
    );
    // The stale marker is ours to set.
    let body = encode_families(&families[1..2]);
    let gauge = parse(&body, Format::Protobuf, &options).last().unwrap().unwrap();
    assert!(matches!(gauge, Entry::Sample(sample) if !sample.value.is_stale()));
}

#[test]
fn histograms_of_both_kinds() {
    let histogram = HistogramMessage {
        sample_count: Some(6),
        sample_sum: Some(9.0),
        bucket: vec![BucketMessage {
            upper_bound: Some(1.0),
            cumulative_count: Some(4),
            ..BucketMessage::default()
        }],
        schema: Some(1),
        zero_threshold: Some(0.001),
        positive_span: vec![BucketSpanMessage { offset: Some(-1), length: Some(2) }],
        positive_delta: vec![3, -1],
        negative_span: vec![BucketSpanMessage { offset: Some(0), length: Some(1) }],
        negative_delta: vec![1],
        ..HistogramMessage::default()
    };
    let metric = MetricMessage { histogram: Some(histogram), ..MetricMessage::default() };
    let families = [family("h", 4, metric)];
    let native = "h schema 1 positive [3.0, 2.0] negative [1.0]";
    let classic = ["h_count 6", "h_sum 9", r#"h_bucket{le="1.0"} 4"#, r#"h_bucket{le="+Inf"} 6"#];
    assert_eq!(read(&families, &Options::default()), [native]);
    let both = Options { keep_classic: true, ..Options::default() };
    assert_eq!(read(&families, &both), [&[native], &classic[..]].concat());
    let neither = Options { native_histograms: false, ..Options::default() };
    assert_eq!(read(&families, &neither), classic);
}

#[test]
fn what_cannot_be_is_refused() {
    let histogram = |change: fn(&mut HistogramMessage)| {
        let mut histogram = HistogramMessage {
            positive_span: vec![BucketSpanMessage { offset: Some(0), length: Some(1) }],
            positive_delta: vec![1],
            ..HistogramMessage::default()
        };
        change(&mut histogram);
        family("h", 4, MetricMessage { histogram: Some(histogram), ..MetricMessage::default() })
    };
    for (family, error) in [
        (family("", 1, MetricMessage::default()), "a family without a name"),
        (family("m", 9, MetricMessage::default()), "family `m` has the unknown type 9"),
        (family("m", 1, MetricMessage::default()), "a metric of family `m` has no gauge"),
        (histogram(|h| h.positive_delta.clear()), "`h`: spans of 1 buckets, but 0 counts"),
        (histogram(|h| h.positive_delta[0] = -1), "`h`: a bucket with a negative count"),
        (histogram(|h| h.positive_span[0].length = Some(u32::MAX)), "`h`: spans of 4294967295 buckets"),
        (histogram(|h| h.schema = Some(9)), "`h`: schema 9 of a native histogram is not supported"),
    ] {
        let got = read(&[family], &Options::default()).join("\n");
        assert!(got.starts_with(&format!("error: line 1, column 1: {error}")), "{got}");
    }
    let mut body = encode_families(&[family("m", 1, MetricMessage::default())]);
    body.pop();
    assert!(parse(&body, Format::Protobuf, &Options::default()).last().unwrap().is_err());
}
