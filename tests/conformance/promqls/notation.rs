//! Series and histograms in the notation of test files.

use model::{BucketSpan, CounterResetHint, Histogram, Labels, SampleValue};
use promql::{format_histogram, parse_series};
use serde_json::Value;

/// A line of labels and values.
pub(super) fn series(case: &Value) -> Result<(), String> {
    let input = case["input"].as_str().unwrap_or_default();
    match (parse_series(input), case["fail"].as_bool()) {
        (Err(_), Some(true)) => Ok(()),
        (Ok(series), Some(false)) => {
            let labels: Labels = case["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            if series.labels != labels {
                return Err(format!("got {}, wanted {labels}", series.labels));
            }
            let wanted = case["values"].as_array().map(|v| v.iter().map(value).collect::<Vec<_>>());
            let same = wanted.as_ref().is_some_and(|wanted| *wanted == series.values);
            if same { Ok(()) } else { Err(format!("got {:?}, wanted {wanted:?}", series.values)) }
        }
        (got, _) => Err(format!("{input}: {got:?}")),
    }
}

fn value(case: &Value) -> Option<SampleValue> {
    match &case["value"] {
        Value::Number(number) => Some(number.as_f64().unwrap_or(f64::NAN).into()),
        Value::String(text) if text == "StaleNaN" => Some(model::stale_nan().into()),
        Value::String(text) => Some(model::parse_float(text).unwrap_or(f64::NAN).into()),
        _ => None,
    }
}

/// A line of histograms.
pub(super) fn histograms(case: &Value) -> Result<(), String> {
    let input = case["input"].as_str().unwrap_or_default();
    match (parse_series(input), case["fail"].as_bool()) {
        (Err(_), Some(true)) => Ok(()),
        (Ok(series), Some(false)) => {
            let wanted: Vec<Histogram> =
                case["histograms"].as_array().into_iter().flatten().map(histogram).collect();
            let got: Vec<&Histogram> = series
                .values
                .iter()
                .filter_map(|v| match v {
                    Some(SampleValue::Histogram(h)) => Some(&**h),
                    _ => None,
                })
                .collect();
            let same = got.len() == wanted.len() && got.iter().zip(&wanted).all(|(g, w)| *g == w);
            if same { Ok(()) } else { Err(format!("got {got:?}, wanted {wanted:?}")) }
        }
        (got, _) => Err(format!("{input}: {got:?}")),
    }
}

fn histogram(case: &Value) -> Histogram {
    let number = |field: &str| case[field].as_f64().unwrap_or(0.0);
    let numbers = |field: &str| -> Vec<f64> {
        case[field].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let spans = |field: &str| -> Vec<BucketSpan> {
        let span = |span: &Value| BucketSpan {
            offset: span[0].as_i64().unwrap_or_default() as i32,
            length: span[1].as_u64().unwrap_or_default() as u32,
        };
        case[field].as_array().into_iter().flatten().map(span).collect()
    };
    Histogram {
        schema: case["schema"].as_i64().unwrap_or_default() as i32,
        zero_threshold: number("zero_threshold"),
        zero_count: number("zero_count"),
        count: number("count"),
        sum: number("sum"),
        positive_spans: spans("positive_spans"),
        positive_buckets: numbers("positive_buckets"),
        negative_spans: spans("negative_spans"),
        negative_buckets: numbers("negative_buckets"),
        custom_values: numbers("custom_values"),
        counter_reset_hint: match case["counter_reset_hint"].as_str() {
            Some("reset") => CounterResetHint::Reset,
            Some("not_reset") => CounterResetHint::NotReset,
            Some("gauge") => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        },
    }
}

/// A histogram as text, and that text read again.
pub(super) fn histogram_text(case: &Value) -> Result<(), String> {
    let printed = format_histogram(&histogram(&case["histogram"]));
    super::expect(&printed, case["canonical_text"].as_str().unwrap_or_default())?;
    let series = parse_series(&format!("{{}} {printed}")).map_err(|e| e.to_string())?;
    match &series.values[..] {
        [Some(SampleValue::Histogram(again))] => super::expect(&format_histogram(again), &printed),
        other => Err(format!("read as {other:?}")),
    }
}
