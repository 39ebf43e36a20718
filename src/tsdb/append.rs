//! Appending: find the series, decide about each row, write the log, make it visible.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Labels, SampleValue, Samples, SeriesRef};
use ports::{Append, AppendError, Appended, Rejected, Row, WriteBatch};

use crate::Tsdb;
use crate::chunk::decode_into;
use crate::record::{FloatsWriter, HistogramsWriter, KIND_FLOATS, KIND_HISTOGRAMS, KIND_SERIES, put_series};
use crate::series::{Admission, MemSeries, Newest, logged_bytes};

/// What the appender keeps from batch to batch: only space.
#[derive(Default)]
pub(crate) struct Appender {
    admitted: Vec<Admitted>,
    created: Vec<Arc<MemSeries>>,
}

/// A row that will be stored.
struct Admitted {
    series: Arc<MemSeries>,
    /// Which row of the batch.
    row: usize,
    /// What the series' newest sample was, in case that the log cannot be written.
    before: Option<Newest>,
}

impl Append for Tsdb {
    fn append(&self, batch: &WriteBatch) -> Result<Appended, AppendError> {
        let mut appender = self.appender();
        if self.closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let Appender { admitted, created } = &mut *appender;
        let accepted = self.horizon.load(Ordering::Relaxed)..=self.latest.load(Ordering::Relaxed);
        let mut outcome = Vec::with_capacity(batch.rows.len());
        for (number, row) in batch.rows.iter().enumerate() {
            outcome.push(self.admit(row, number, &accepted, admitted, created));
        }
        let result = self.store(&batch.rows, admitted);
        if result.is_err() {
            self.undo(admitted, created);
        } else {
            for why in outcome.iter().filter_map(|o| o.as_ref().err()) {
                self.counters.rejected(*why);
            }
        }
        let created_count = created.len();
        admitted.clear();
        created.clear();
        result.map_err(AppendError::Log)?;
        self.counters.series_created.add(created_count as u64);
        Ok(Appended { outcome, created: created_count })
    }
}

impl Tsdb {
    /// Decides about one row. An admitted one becomes its series' newest sample at once, so that the next row of the
    /// batch is compared with it.
    fn admit(
        &self,
        row: &Row,
        number: usize,
        accepted: &RangeInclusive<i64>,
        admitted: &mut Vec<Admitted>,
        created: &mut Vec<Arc<MemSeries>>,
    ) -> Result<SeriesRef, Rejected> {
        let at = row.at.as_millis();
        if !accepted.contains(&at) {
            return Err(Rejected::OutOfBounds);
        }
        // What remote write brings is several samples of one series in a row: it is looked for once.
        let last = admitted.last().map(|admitted| &admitted.series).filter(|last| last.labels == row.labels);
        let series = match last.map(Arc::clone).or_else(|| self.find_series(&row.labels, row.hint)) {
            Some(series) => series,
            None => {
                let series = self.create_series(&row.labels)?;
                created.push(Arc::clone(&series));
                series
            }
        };
        let reference = SeriesRef(series.id);
        let mut state = series.state();
        let mut admission = state.admit(at, &row.value);
        if admission == Admission::Compare {
            // Once for each series after a restart, and only if the first sample repeats the last one.
            drop(state);
            let value = self.newest_value(&series);
            state = series.state();
            if let Some(newest) = &mut state.newest {
                newest.value = Some(value.unwrap_or_else(|| row.value.clone()));
            }
            admission = state.admit(at, &row.value);
        }
        match admission {
            Admission::Known => return Ok(reference),
            Admission::Reject(why) => return Err(why),
            Admission::Append | Admission::Compare => {}
        }
        let before = state.newest.replace(Newest { at, value: Some(row.value.clone()) });
        drop(state);
        admitted.push(Admitted { series, row: number, before });
        Ok(reference)
    }

    fn find_series(&self, labels: &Labels, hint: Option<SeriesRef>) -> Option<Arc<MemSeries>> {
        // Comparing is cheap: a caller that keeps its labels hands in the same allocation each time.
        let hinted = hint.and_then(|hint| self.index.by_id(hint.0)).filter(|series| series.labels == *labels);
        hinted.or_else(|| self.index.by_labels(labels))
    }

    fn create_series(&self, labels: &Labels) -> Result<Arc<MemSeries>, Rejected> {
        if self.options.series_max.is_some_and(|max| self.index.len() >= max) {
            return Err(Rejected::SeriesLimit);
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let series = Arc::new(MemSeries::new(id, labels.clone()));
        self.index.insert(&series);
        self.counters.label_pairs.add(labels.len() as u64);
        self.counters.label_bytes.add(logged_bytes(labels));
        Ok(series)
    }

    /// Writes the log and then the head.
    fn store(&self, rows: &[Row], admitted: &[Admitted]) -> io::Result<()> {
        if admitted.is_empty() {
            return Ok(());
        }
        let written = self.wal.append_with(|segment, batch| {
            declare(admitted.iter().map(|a| &a.series), segment, batch);
            log_rows(rows, admitted, batch);
        });
        let segment = written.inspect_err(|_| self.counters.wal_failures.add(1))?.segment;
        self.make_visible(rows, admitted, segment);
        Ok(())
    }

    fn make_visible(&self, rows: &[Row], admitted: &[Admitted], segment: u64) {
        let mut unsaved = Vec::new();
        let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
        let visible = self.visible.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for Admitted { series, row, .. } in admitted {
            let row = &rows[*row];
            let at = row.at.as_millis();
            if self.append_to_head(series, at, &row.value, segment) {
                unsaved.push(Arc::clone(series));
            }
            oldest = oldest.min(at);
            newest = newest.max(at);
        }
        drop(visible);
        self.oldest.fetch_min(oldest, Ordering::Relaxed);
        self.newest.fetch_max(newest, Ordering::Relaxed);
        self.counters.samples_appended.add(admitted.len() as u64);
        self.queue_unsaved(unsaved);
    }

    /// Appends one sample to its series' open chunk; whether the series now has to be queued for saving.
    pub(crate) fn append_to_head(
        &self,
        series: &MemSeries,
        at: i64,
        value: &SampleValue,
        segment: u64,
    ) -> bool {
        let mut state = series.state();
        let had_open = state.open.is_some();
        let closed = state.append(at, value, segment);
        if !had_open {
            self.counters.open_chunks.add(1);
        }
        if closed {
            self.counters.closed_chunks.add(1);
            let bytes = state.closed.last().map_or(0, |chunk| chunk.memory_bytes());
            self.counters.chunk_memory_bytes.add(bytes as u64);
        }
        closed && !std::mem::replace(&mut state.queued, true)
    }

    /// The log could not be written: nothing of the batch happened.
    fn undo(&self, admitted: &mut Vec<Admitted>, created: &[Arc<MemSeries>]) {
        for Admitted { series, before, .. } in admitted.drain(..).rev() {
            series.state().newest = before;
            series.declared_in_wal.store(0, Ordering::Relaxed);
        }
        for series in created {
            self.counters.label_pairs.sub(series.labels.len() as u64);
            self.counters.label_bytes.sub(logged_bytes(&series.labels));
        }
        self.index.remove(created);
    }

    /// The value of a series' newest sample, from its chunk. `None` if the chunk cannot be read.
    fn newest_value(&self, series: &MemSeries) -> Option<SampleValue> {
        let chunk = {
            let state = series.state();
            match &state.open {
                Some(open) => open.to_chunk(),
                None => state.closed.last()?.clone(),
            }
        };
        let bytes = self.chunk_bytes(&chunk).ok()?;
        let mut samples = Samples::default();
        decode_into(&mut samples, chunk.encoding, &bytes, chunk.last(), chunk.last())?;
        let float = samples.floats.pop().map(|sample| SampleValue::Float(sample.value));
        float.or_else(|| samples.histograms.pop().map(|sample| SampleValue::Histogram(sample.value)))
    }
}

/// Repeats the series records that the segment does not have yet. The marks are set back if the write fails.
fn declare<'a>(series: impl Iterator<Item = &'a Arc<MemSeries>>, segment: u64, batch: &mut journal::Batch) {
    let mut undeclared =
        series.filter(|series| series.declared_in_wal.swap(segment, Ordering::Relaxed) != segment).peekable();
    if undeclared.peek().is_some() {
        batch.push_with(KIND_SERIES, |out| {
            for series in undeclared {
                put_series(out, series.id, &series.labels);
            }
        });
    }
}

/// Writes the rows in their order, each run of numbers and each run of histograms as one record: a series that changes
/// from one to the other within a batch must be read back in its order.
fn log_rows(rows: &[Row], admitted: &[Admitted], batch: &mut journal::Batch) {
    let is_float = |a: &Admitted| matches!(rows[a.row].value, SampleValue::Float(_));
    for run in admitted.chunk_by(|a, b| is_float(a) == is_float(b)) {
        let base = rows[run[0].row].at.as_millis();
        if is_float(&run[0]) {
            batch.push_with(KIND_FLOATS, |out| {
                let mut writer = FloatsWriter::new(out, base);
                for Admitted { series, row, .. } in run {
                    if let SampleValue::Float(value) = rows[*row].value {
                        writer.push(out, series.id, rows[*row].at.as_millis(), value);
                    }
                }
            });
        } else {
            batch.push_with(KIND_HISTOGRAMS, |out| {
                let mut writer = HistogramsWriter::new(out, base);
                for Admitted { series, row, .. } in run {
                    if let SampleValue::Histogram(histogram) = &rows[*row].value {
                        writer.push(out, series.id, rows[*row].at.as_millis(), histogram);
                    }
                }
            });
        }
    }
}
