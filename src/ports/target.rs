//! Reading targets.

use std::time::Duration;

use bytes::Bytes;
use model::{Labels, Metadata, SampleValue, Timestamp};

use crate::{BoxFuture, Deadline};

/// Reads one target: HTTP exposition, ourselves, an exporter plugin.
pub trait Collector: Send + Sync {
    /// One scrape.
    fn collect<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Scrape, CollectError>>;
}

/// What is read: labels plus an address, whatever reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Labels that its series get; `job` and `instance` among them.
    pub labels: Labels,
    /// Labels before relabelling, for people who ask why a target looks the way it does.
    pub discovered: Labels,
    /// `host:port`, or whatever the discovery gave as `__address__`.
    pub address: String,
    /// The whole address that is fetched; for a plugin target `plugin://NAME/ADDRESS`.
    pub url: String,
    /// `params` of the scrape configuration, after relabelling.
    pub params: Vec<(String, Vec<String>)>,
    /// Time from one scrape to the next.
    pub interval: Duration,
    /// When a scrape is given up.
    pub timeout: Duration,
}

/// The text formats of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// `text/plain; version=0.0.4` and 1.0.0.
    Prometheus,
    /// `application/openmetrics-text`.
    OpenMetrics,
    /// `application/vnd.google.protobuf`, length-delimited `MetricFamily`.
    Protobuf,
}

/// What a collector brought.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A body to be parsed: the scrape loop keeps a cache from series text to storage handle.
    Body {
        /// Uncompressed.
        bytes: Bytes,
        /// How to read it.
        format: TextFormat,
    },
    /// Samples that never were text: plugins, ourselves.
    Points(Vec<Point>),
}

/// One sample of a payload that never was text.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// With the metric name, without the target's labels.
    pub labels: Labels,
    /// The value.
    pub value: SampleValue,
    /// When, if the target says so; else the time of the scrape.
    pub at: Option<Timestamp>,
}

/// One answer of a target.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The samples.
    pub payload: Payload,
    /// Family name → description. Empty for [`Payload::Body`], which holds its own.
    pub metadata: Vec<(String, Metadata)>,
    /// Bytes as they came over the wire, or the size of the columns; for limits and statistics.
    pub wire_bytes: usize,
}

/// Why a target gave no samples. Its `up` is 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CollectError {
    /// What happened, and what to do.
    pub message: String,
}
