//! The nouns that every room shares: labels, matchers, timestamps, samples, alerts, notifications.
//!
//! Not here: serialization, storage, HTTP, clocks. A type is here when two rooms speak about it.
//! Start at [`Labels`], [`Sample`] and [`Matcher`].

mod alert;
mod annotations;
mod duration;
mod float;
mod histogram;
mod label;
mod matcher;
mod metadata;
mod name;
mod needed;
mod notification;
mod planted;
mod re2;
mod reader;
mod relabel;
mod sample;
mod secret;
mod series;
mod timestamp;

pub use alert::{Alert, AlertStatus, Finding};
pub use annotations::Annotations;
pub use duration::{
    DurationError, format_duration, format_signed_duration, parse_duration, parse_signed_duration,
};
pub use float::{
    format_float, format_float_exponent, format_float_rounded, format_float_shortest, parse_float,
};
pub use histogram::{
    Aligned, Bucket, CUSTOM_BUCKETS_SCHEMA, Combined, CounterResetHint, Histogram, HistogramMismatch,
    Span as BucketSpan,
};
pub use label::{
    ALERT_NAME, BUCKET_LABEL, Fingerprint, INSTANCE, JOB, Labels, LabelsBuilder, METRIC_NAME,
    escape_label_value, is_legacy_label_name, is_legacy_metric_name,
};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metadata::{Metadata, MetricType};
pub use name::{EscapingScheme, escape_name, is_name, unescape_name};
pub use needed::Needed;
pub use notification::{Notification, NotifiedAlert, NotifyReason, Receipt};
#[doc(hidden)]
pub use planted::PlantedBug;
pub use re2::{Re2, Re2Error};
pub use reader::{ReadError, Samples, SeriesReader, StartTime};
pub use relabel::{RelabelAction, RelabelError, RelabelRule, relabel};
pub use sample::{STALE_NAN_BITS, Sample, SampleValue, is_stale, stale_nan};
pub use secret::Secret;
pub use series::{FloatSample, HistogramSample, Matrix, Selection, Series, SeriesRef, Vector, VectorSample};
pub use timestamp::Timestamp;
