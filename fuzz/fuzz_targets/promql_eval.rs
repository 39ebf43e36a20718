//! An evaluation ends with an answer within the limit, or with an error; it never panics.
//!
//! The first byte chooses: an expression as text, or one from the grammar of the differential test. The samples are
//! those of that test, from a seed.
#![no_main]

#[path = "../../tests/differential/data.rs"]
#[allow(dead_code)]
mod data;
#[path = "../../tests/differential/grammar.rs"]
#[allow(dead_code)]
mod grammar;
#[path = "../../tests/differential/rng.rs"]
mod rng;

use std::cell::OnceCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use model::{Labels, Timestamp};
use promql::testing::Memory;
use promql::{EvalOptions, ParseOptions, Range, Value};

use grammar::When;

/// Small, so that it is reached.
const SAMPLES_MAX: usize = 20_000;

thread_local! {
    static MEMORY: OnceCell<Memory> = const { OnceCell::new() };
}

fn memory() -> Memory {
    let mut memory = Memory::default();
    for series in data::generate(1) {
        let labels = Labels::from_pairs(series.labels.iter().cloned());
        for (at, value) in series.samples {
            memory.push(&labels, Timestamp::from_millis(at), value);
        }
    }
    memory
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let Some((head, text)) = rest.split_first_chunk::<8>() else { return };
    let number = u64::from_le_bytes(*head);
    let generated = grammar::query(number, number >> 32, &[]);
    let expr = if choice % 2 == 0 { String::from_utf8_lossy(text).into_owned() } else { generated.expr };
    let Ok(expr) = promql::parse(&expr, &ParseOptions::all()) else { return };
    let millis = |seconds: f64| Timestamp::from_millis((seconds * 1000.0).round() as i64);
    let range = match generated.when {
        When::Instant(at) => Range::instant(millis(at)),
        When::Range { start, end, step } => {
            Range::new(millis(start), millis(end), Duration::from_secs_f64(step))
        }
    };
    let options = EvalOptions { samples_max: SAMPLES_MAX, ..EvalOptions::default() };
    MEMORY.with(|cell| {
        let Ok(answer) = cell.get_or_init(memory).query(&expr, range, &options) else { return };
        let samples = match answer.value {
            Value::Vector(vector) => vector.len(),
            Value::Matrix(matrix) => {
                matrix.iter().map(|series| series.floats.len() + series.histograms.len()).sum()
            }
            _ => 1,
        };
        assert!(samples <= SAMPLES_MAX, "{samples} samples in the answer to {expr}");
    });
});
