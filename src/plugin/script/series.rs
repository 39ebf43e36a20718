//! What a query answers, as scripts see it: `.value`, `.values`, `.times`, `.labels`, `.id`, and any label by its name.

use std::sync::Arc;

use model::{Labels, Matrix, Vector};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::convert::labels_map;
use super::running::room_for;
use crate::memory::{Charged, uncounted};

/// One series. Cloning is one reference count.
#[derive(Clone, Debug)]
pub(super) struct Series(Arc<Charged<Data>>);

#[derive(Debug)]
struct Data {
    labels: Labels,
    /// Seconds since the epoch.
    times: Vec<f64>,
    values: Vec<f64>,
}

impl Data {
    fn bytes(&self) -> usize {
        let text: usize = self.labels.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
        text + 16 * self.values.len() + 128
    }
}

impl Series {
    pub(super) fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// The newest value.
    pub(super) fn value(&self) -> f64 {
        self.0.values.last().copied().unwrap_or(f64::NAN)
    }
}

/// The series of an instant query; native histograms have no single value and are left out.
pub(super) fn of_vector(vector: Vector) -> Outcome {
    charged(|| {
        let data = vector.into_iter().filter_map(|sample| {
            let values = vec![sample.value.as_float()?];
            Some(Data { labels: sample.labels, times: vec![sample.at.as_secs_f64()], values })
        });
        data.collect()
    })
}

/// The series of a range query.
pub(super) fn of_matrix(matrix: Matrix) -> Outcome {
    charged(|| {
        let data = matrix.into_iter().filter(|series| !series.floats.is_empty()).map(|series| Data {
            times: series.floats.iter().map(|sample| sample.at.as_secs_f64()).collect(),
            values: series.floats.iter().map(|sample| sample.value).collect(),
            labels: series.labels,
        });
        data.collect()
    })
}

type Outcome = Result<Vec<Series>, Box<EvalAltResult>>;

/// The host's answer becomes the script's: made uncounted, and then charged as what it is.
fn charged(make: impl FnOnce() -> Vec<Data>) -> Outcome {
    let mut data = uncounted(make);
    let fits = room_for(data.iter().map(Data::bytes).sum());
    let series = match &fits {
        Ok(()) => data.drain(..).map(|data| data.into_series()).collect(),
        Err(_) => Vec::new(),
    };
    uncounted(|| drop(data));
    fits.map(|()| series)
}

impl Data {
    fn into_series(self) -> Series {
        let bytes = self.bytes();
        Series(Arc::new(Charged::new(self, bytes)))
    }
}

pub(super) fn register(engine: &mut Engine) {
    fn array(values: &[f64]) -> Array {
        values.iter().copied().map(Dynamic::from).collect()
    }
    engine
        .register_type_with_name::<Series>("series")
        .register_get("value", |series: &mut Series| series.value())
        .register_get("values", |series: &mut Series| array(&series.0.values))
        .register_get("times", |series: &mut Series| array(&series.0.times))
        .register_get("labels", |series: &mut Series| -> Map { labels_map(series.labels()) })
        .register_get("id", |series: &mut Series| -> ImmutableString {
            series.labels().fingerprint().to_string().into()
        })
        .register_indexer_get(|series: &mut Series, label: ImmutableString| -> ImmutableString {
            series.labels().value(&label).into()
        })
        .register_fn("to_string", |series: &mut Series| series.labels().to_string())
        .register_fn("to_debug", |series: &mut Series| series.labels().to_string());
}
