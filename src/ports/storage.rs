//! Storing and reading samples.

use std::sync::Arc;

use model::{Labels, Matcher, SampleValue, Selection, Series, SeriesReader, SeriesRef, Timestamp};

use crate::BoxFuture;

/// Takes samples; the TSDB, or a `Vec` in tests.
pub trait Append: Send + Sync {
    /// Appends a batch: written to the log as one record, visible when this returns. Rows that cannot be stored are
    /// counted in the answer; the others are stored.
    fn append(&self, batch: &WriteBatch) -> Result<Appended, AppendError>;
}

/// Samples that belong together: one scrape, one evaluation.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// In any order; of one series, in order of time.
    pub rows: Vec<Row>,
}

/// One sample to be stored.
#[derive(Clone, Debug)]
pub struct Row {
    /// The series, with its metric name.
    pub labels: Labels,
    /// Where the series was stored last time, if the caller remembers; a wrong or old one is only slower.
    pub hint: Option<SeriesRef>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: SampleValue,
}

/// Why one row was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// Older than the series' newest sample.
    OutOfOrder,
    /// The series has another value at this time.
    DuplicateTimestamp,
    /// Outside the time that the head accepts.
    OutOfBounds,
    /// The store's limit of series is reached.
    SeriesLimit,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Appended {
    /// For each row in order, where it went, or why it did not.
    pub outcome: Vec<Result<SeriesRef, Rejected>>,
    /// How many series were new.
    pub created: usize,
}

/// A batch of which nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log could not be written: a full disk, say. Recovers by itself when writing works again.
    #[error("samples cannot be stored: {0}")]
    Log(#[source] std::io::Error),
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
}

/// Finds series; the TSDB, a remote store, both merged.
pub trait Select: Send + Sync + 'static {
    /// Series that match, with their samples in the selection's time; series without a sample there are left out.
    /// Sorted by labels.
    fn select<'a>(&'a self, selection: &'a Selection) -> BoxFuture<'a, Result<SeriesSet, SelectError>>;
    /// The same series, in any order, to be read one after the other: nothing is decoded before it is wanted. Some may turn out to
    /// have no sample.
    fn find(
        self: Arc<Self>,
        selection: Selection,
    ) -> BoxFuture<'static, Result<Arc<dyn SeriesReader>, SelectError>> {
        Box::pin(async move {
            let set = self.select(&selection).await?;
            let reader: Arc<dyn SeriesReader> = Arc::new(set.series);
            Ok(reader)
        })
    }
    /// The label sets of series that match all of `matchers` and have a sample in the time. Sorted.
    fn series<'a>(
        &'a self,
        matchers: &'a [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SelectError>>;
    /// The label names of such series. Sorted. Without matchers: of all series, if there are samples in the time.
    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>>;
    /// The values of `name` in such series. Sorted. Without matchers: of all series, if there are samples in the time.
    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>>;
}

/// The answer to a selection.
#[derive(Clone, Debug, Default)]
pub struct SeriesSet {
    /// Sorted by labels.
    pub series: Vec<Series>,
}

/// Why a selection has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectError {
    /// What happened.
    pub message: String,
}
