//! Series that a selection found, read one at a time.
//!
//! A selection can name a hundred thousand series. Their samples are not all in memory at once: whoever evaluates has
//! series after series read into the same [`Samples`].

use std::sync::Arc;

use crate::{FloatSample, HistogramSample, Labels, SampleValue, Series, Timestamp};

/// When the counting behind a sample began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartTime {
    /// The time of the sample.
    pub at: Timestamp,
    /// The time at which its counter was zero.
    pub start: Timestamp,
}

/// The samples of one series, oldest first, stale markers included; a buffer for [`SeriesReader::read`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Its numbers in order of time.
    pub floats: Vec<FloatSample>,
    /// Its histograms in order of time.
    pub histograms: Vec<HistogramSample>,
    /// The start times that are known, in order of time: hardly any store has some.
    pub starts: Vec<StartTime>,
}

impl Samples {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Forgets the samples and keeps the space.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.starts.clear();
    }
}

/// Samples that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Of which series, and why.
    pub message: String,
}

/// The answer to a [`crate::Selection`] whose samples are read when they are wanted.
///
/// What is read is what was there when the series were found: a batch that came later is not seen in part.
pub trait SeriesReader: Send + Sync {
    /// How many series were found. Some may turn out to have no sample in the selection's time.
    fn series_len(&self) -> usize;

    /// The labels of the series at `index`, which is less than [`SeriesReader::series_len`].
    fn labels(&self, index: usize) -> &Labels;

    /// Puts the samples from `start` to `end`, both included, into `samples`, in place of what it held. Of a time
    /// outside of the selection's, samples may be missing.
    fn read(
        &self,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut Samples,
    ) -> Result<(), ReadError>;

    /// The newest sample at or before `end`, if it is known without reading.
    fn newest(&self, index: usize, end: Timestamp) -> Option<(Timestamp, SampleValue)> {
        let _ = (index, end);
        None
    }

    /// About how many samples will be read if all series are: what decides where the work is done.
    fn samples_estimate(&self) -> usize;
}

impl<T: SeriesReader + ?Sized> SeriesReader for Arc<T> {
    fn series_len(&self) -> usize {
        (**self).series_len()
    }

    fn labels(&self, index: usize) -> &Labels {
        (**self).labels(index)
    }

    fn read(
        &self,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut Samples,
    ) -> Result<(), ReadError> {
        (**self).read(index, start, end, samples)
    }

    fn newest(&self, index: usize, end: Timestamp) -> Option<(Timestamp, SampleValue)> {
        (**self).newest(index, end)
    }

    fn samples_estimate(&self) -> usize {
        (**self).samples_estimate()
    }
}

/// Series whose samples are in memory already.
impl SeriesReader for Vec<Series> {
    fn series_len(&self) -> usize {
        self.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self[index].labels
    }

    fn read(
        &self,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut Samples,
    ) -> Result<(), ReadError> {
        samples.clear();
        let series = &self[index];
        let floats =
            series.floats.partition_point(|s| s.at < start)..series.floats.partition_point(|s| s.at <= end);
        let histograms = series.histograms.partition_point(|s| s.at < start)
            ..series.histograms.partition_point(|s| s.at <= end);
        samples.floats.extend_from_slice(series.floats.get(floats).unwrap_or_default());
        samples.histograms.extend_from_slice(series.histograms.get(histograms).unwrap_or_default());
        Ok(())
    }

    fn samples_estimate(&self) -> usize {
        self.iter().map(|series| series.floats.len() + series.histograms.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_lies_between_the_times() {
        let floats =
            (1..=5).map(|second| FloatSample { at: Timestamp::from_secs(second), value: second as f64 });
        let series = vec![Series { floats: floats.collect(), ..Series::default() }];
        let mut samples = Samples::default();
        for (start, end, expected) in [(2, 4, vec![2.0, 3.0, 4.0]), (0, 1, vec![1.0]), (4, 2, vec![])] {
            series.read(0, Timestamp::from_secs(start), Timestamp::from_secs(end), &mut samples).unwrap();
            assert_eq!(samples.floats.iter().map(|s| s.value).collect::<Vec<_>>(), expected);
        }
    }
}
