//! Bytes ↔ samples: Prometheus text, OpenMetrics, protobuf.
//!
//! In: the body of a scrape and its [`Format`]. Out: an iterator over [`Entry`], in the order of the body; a sample
//! borrows its series text from the body, and its labels are only built when asked for, so that a scrape loop can
//! recognise series by their text. The other way: [`Family`] values → [`write_text`] and [`write_openmetrics`].
//! Not here: where bytes come from, timestamps of scrapes, relabelling.
//!
//! Two degrees of strictness: [`parse`] reads whatever Prometheus' scrape parsers read; [`check_text`] and
//! [`check_openmetrics`] refuse what the formats forbid, for linting and for files that people write.
//! Start at [`parse`] and [`Entry`].

mod error;

mod content_type;
mod protocol;

mod entry;
mod label_block;
mod number;
mod start_times;
mod text;

mod native;
mod proto;
mod protobuf;

mod parser;

mod family;
mod page;
mod write;

mod strict_openmetrics;
mod strict_text;

pub use content_type::{ContentTypeError, choose_format};
pub use entry::{DuplicateLabel, Entry, Exemplar, SampleEntry};
pub use error::ParseError;
pub use family::{Family, FamilySample, group_families};
pub use page::write_page;
pub use parser::{Options, Parser, parse};
pub use proto::{
    BucketMessage, BucketSpanMessage, CounterMessage, ExemplarMessage, GaugeMessage, HistogramMessage,
    LabelPairMessage, MetricFamilyMessage, MetricMessage, QuantileMessage, SummaryMessage, TimestampMessage,
    UntypedMessage, encode_families,
};
pub use protocol::{Format, Protocol, accept_header};
pub use strict_openmetrics::check_openmetrics;
pub use strict_text::check_text;
pub use write::{OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE, write_openmetrics, write_text};
