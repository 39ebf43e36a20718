//! Query parameters, and the JSON text of results.

use std::path::Path;

use api::{AnswerText, Params, parse_step, parse_time, write_float_sample};
use model::{
    BucketSpan, CounterResetHint, FloatSample, Histogram, HistogramSample, Labels, Series, Timestamp,
    VectorSample,
};
use serde_json::Value;

use crate::{Report, read_json};

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let file = read_json(&corpus.join("http-api/prometheus_values.json"));
    for case in file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default() {
        report.case("http-api", "prometheus_values", case["id"].as_str().unwrap_or_default(), || one(&case));
    }
}

fn one(case: &Value) -> Result<(), String> {
    let kind = case["kind"].as_str().unwrap_or_default();
    if kind.starts_with("duration") {
        duration(case)
    } else if kind.starts_with("time") {
        time(case)
    } else if kind.starts_with("response") {
        encoding(case)
    } else {
        Err(format!("`{kind}` is not a kind that this suite knows"))
    }
}

fn text(case: &Value) -> &str {
    case["text"].as_str().unwrap_or_default()
}

fn duration(case: &Value) -> Result<(), String> {
    let wanted = if case["valid"] == true { case["ms"].as_f64() } else { None };
    let got = parse_step(text(case));
    if got.map(|millis| millis as f64) == wanted {
        Ok(())
    } else {
        Err(format!("got {got:?}, wanted {wanted:?}"))
    }
}

/// An empty time is no time; an empty parameter is one that was not given.
fn time(case: &Value) -> Result<(), String> {
    let given = case["error_prefix"].is_string() || (text(case).is_empty() && case["valid"] == true);
    if given {
        return time_parameter(case);
    }
    let wanted = if case["valid"] == true { case["unix_s"].as_f64() } else { None };
    match (parse_time(text(case)), wanted) {
        (None, None) => Ok(()),
        (Some(got), Some(wanted)) if (got.as_secs_f64() - wanted).abs() < 0.000_6 => Ok(()),
        // The ends of time are too far away for the milliseconds of a float.
        (Some(got), Some(wanted)) if got.as_secs_f64() == wanted || wanted.abs() > 9.0e15 => Ok(()),
        (got, wanted) => Err(format!("got {got:?}, wanted {wanted:?}")),
    }
}

fn time_parameter(case: &Value) -> Result<(), String> {
    let got = Params::parse(&format!("foo={}", text(case))).time("foo");
    match (got, case["error_prefix"].as_str()) {
        (Ok(None), None) => Ok(()),
        (Err(error), Some(prefix)) if error.message.contains(prefix) => Ok(()),
        (got, prefix) => Err(format!("got {got:?}, wanted {prefix:?}")),
    }
}

fn encoding(case: &Value) -> Result<(), String> {
    let value = &case["value"];
    let got = match value["result_type"].as_str() {
        None => {
            let mut out = String::from(r#"{"status":"success","data":"#);
            write_float_sample(&mut out, float_sample(value)?);
            out.push('}');
            out
        }
        Some(kind) => AnswerText::new(result(kind, &value["result"])?, "", &[], &[]).collect(),
    };
    let wanted = case["json"].as_str().unwrap_or_default();
    if got == wanted { Ok(()) } else { Err(format!("\n    got    {got}\n    wanted {wanted}")) }
}

fn result(kind: &str, value: &Value) -> Result<promql::Value, String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(match kind {
        "matrix" => promql::Value::Matrix(items.iter().map(series).collect::<Result<_, _>>()?),
        "vector" => promql::Value::Vector(items.iter().map(vector_sample).collect::<Result<_, _>>()?),
        "scalar" => {
            let FloatSample { at, value } = float_sample(value)?;
            promql::Value::Scalar { at, value }
        }
        "string" => promql::Value::String {
            at: at(value)?,
            value: value["value"].as_str().unwrap_or_default().to_owned(),
        },
        other => return Err(format!("`{other}` is not a kind of result")),
    })
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn at(value: &Value) -> Result<Timestamp, String> {
    value["t_ms"].as_i64().map(Timestamp::from_millis).ok_or_else(|| format!("no t_ms in {value}"))
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::String(text) => model::parse_float(text),
        other => other.as_f64(),
    }
    .ok_or_else(|| format!("{value} is not a number"))
}

fn float_sample(value: &Value) -> Result<FloatSample, String> {
    Ok(FloatSample { at: at(value)?, value: number(&value["value"])? })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn series(value: &Value) -> Result<Series, String> {
    let floats = list(&value["floats"]).iter().map(float_sample).collect::<Result<_, _>>()?;
    let histograms = list(&value["histograms"])
        .iter()
        .map(|sample| Ok(HistogramSample { at: at(sample)?, value: histogram(&sample["histogram"])?.into() }))
        .collect::<Result<_, String>>()?;
    Ok(Series { labels: labels(&value["labels"]), floats, histograms })
}

fn vector_sample(value: &Value) -> Result<VectorSample, String> {
    let content = if value["histogram"].is_object() {
        model::SampleValue::Histogram(histogram(&value["histogram"])?.into())
    } else {
        number(&value["value"])?.into()
    };
    Ok(VectorSample { labels: labels(&value["labels"]), at: at(value)?, value: content })
}

fn histogram(value: &Value) -> Result<Histogram, String> {
    let numbers = |name: &str| list(&value[name]).iter().map(number).collect::<Result<Vec<f64>, _>>();
    let spans = |name: &str| -> Result<Vec<BucketSpan>, String> {
        let span = |span: &Value| -> Option<BucketSpan> {
            let offset = i32::try_from(span[0].as_i64()?).ok()?;
            Some(BucketSpan { offset, length: u32::try_from(span[1].as_u64()?).ok()? })
        };
        let found: Option<Vec<BucketSpan>> = list(&value[name]).iter().map(span).collect();
        found.ok_or_else(|| format!("{} are not spans", value[name]))
    };
    Ok(Histogram {
        schema: value["schema"].as_i64().and_then(|n| i32::try_from(n).ok()).ok_or("no schema")?,
        zero_threshold: value["zero_threshold"].as_f64().unwrap_or_default(),
        zero_count: value["zero_count"].as_f64().unwrap_or_default(),
        count: number(&value["count"])?,
        sum: number(&value["sum"])?,
        positive_spans: spans("positive_spans")?,
        positive_buckets: numbers("positive_buckets")?,
        negative_spans: spans("negative_spans")?,
        negative_buckets: numbers("negative_buckets")?,
        custom_values: numbers("custom_values")?,
        counter_reset_hint: CounterResetHint::default(),
    })
}
