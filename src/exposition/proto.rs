//! The messages of `io.prometheus.client`, and their delimited encoding.
//!
//! ```text
//! body     = { length message }      length: varint, bytes of the message
//! message  = MetricFamily
//! ```
//! Fields are those of the public schema; unknown ones are skipped.

#![expect(missing_docs, reason = "the fields are those of the public schema")]

use prost::Message;

/// `LabelPair`
#[derive(Clone, PartialEq, Message)]
pub struct LabelPairMessage {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// `Gauge`
#[derive(Clone, PartialEq, Message)]
pub struct GaugeMessage {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// `Untyped`
#[derive(Clone, PartialEq, Message)]
pub struct UntypedMessage {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, PartialEq, Message)]
pub struct TimestampMessage {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `Exemplar`
#[derive(Clone, PartialEq, Message)]
pub struct ExemplarMessage {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPairMessage>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub timestamp: Option<TimestampMessage>,
}

/// `Counter`
#[derive(Clone, PartialEq, Message)]
pub struct CounterMessage {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    #[prost(message, optional, tag = "2")]
    pub exemplar: Option<ExemplarMessage>,
    #[prost(message, optional, tag = "3")]
    pub created_timestamp: Option<TimestampMessage>,
}

/// `Quantile`
#[derive(Clone, PartialEq, Message)]
pub struct QuantileMessage {
    #[prost(double, optional, tag = "1")]
    pub quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
}

/// `Summary`
#[derive(Clone, PartialEq, Message)]
pub struct SummaryMessage {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<QuantileMessage>,
    #[prost(message, optional, tag = "4")]
    pub created_timestamp: Option<TimestampMessage>,
}

/// `Bucket`
#[derive(Clone, PartialEq, Message)]
pub struct BucketMessage {
    #[prost(uint64, optional, tag = "1")]
    pub cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "4")]
    pub cumulative_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub exemplar: Option<ExemplarMessage>,
}

/// `BucketSpan`
#[derive(Clone, PartialEq, Message)]
pub struct BucketSpanMessage {
    #[prost(sint32, optional, tag = "1")]
    pub offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub length: Option<u32>,
}

/// `Histogram`
#[derive(Clone, PartialEq, Message)]
pub struct HistogramMessage {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "4")]
    pub sample_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<BucketMessage>,
    #[prost(message, optional, tag = "15")]
    pub created_timestamp: Option<TimestampMessage>,
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub zero_count: Option<u64>,
    #[prost(double, optional, tag = "8")]
    pub zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    pub negative_span: Vec<BucketSpanMessage>,
    #[prost(sint64, repeated, packed = "false", tag = "10")]
    pub negative_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    pub negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpanMessage>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub positive_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    pub positive_count: Vec<f64>,
    #[prost(message, repeated, tag = "16")]
    pub exemplars: Vec<ExemplarMessage>,
}

/// `Metric`
#[derive(Clone, PartialEq, Message)]
pub struct MetricMessage {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPairMessage>,
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<GaugeMessage>,
    #[prost(message, optional, tag = "3")]
    pub counter: Option<CounterMessage>,
    #[prost(message, optional, tag = "4")]
    pub summary: Option<SummaryMessage>,
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<UntypedMessage>,
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<HistogramMessage>,
    #[prost(int64, optional, tag = "6")]
    pub timestamp_ms: Option<i64>,
}

/// `MetricFamily`
#[derive(Clone, PartialEq, Message)]
pub struct MetricFamilyMessage {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    /// 0 counter, 1 gauge, 2 summary, 3 untyped, 4 histogram, 5 gauge histogram.
    #[prost(int32, optional, tag = "3")]
    pub kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<MetricMessage>,
    #[prost(string, optional, tag = "5")]
    pub unit: Option<String>,
}

/// A body of these messages.
pub fn encode_families(families: &[MetricFamilyMessage]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}
