//! JSON of query results, written straight from the result.

use std::fmt::Write as _;

use model::{FloatSample, Histogram, HistogramSample, Labels, SampleValue, Series, Timestamp, VectorSample};
use promql::Value;

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a label set as a JSON object.
pub(crate) fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_string(out, value);
    }
    out.push('}');
}

/// Appends seconds since 1970: `12`, or `12.345` if there are milliseconds.
pub fn write_timestamp(out: &mut String, at: Timestamp) {
    let millis = at.as_millis();
    if millis < 0 {
        out.push('-');
    }
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    let _ = write!(out, "{seconds}");
    if rest > 0 {
        let _ = write!(out, ".{rest:03}");
    }
}

/// Appends a number as the API writes it inside a string: the shortest digits, with an exponent only for very small
/// and very large ones.
pub fn write_sample_value(out: &mut String, value: f64) {
    let size = value.abs();
    if size != 0.0 && size.is_finite() && !(1e-6..1e21).contains(&size) {
        // `1e-7`, `1e+21`.
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                let _ = write!(out, "{mantissa}e+{exponent}");
            }
            _ => out.push_str(&text),
        }
        return;
    }
    out.push_str(&model::format_float(value));
}

fn write_quoted(out: &mut String, value: f64) {
    out.push('"');
    write_sample_value(out, value);
    out.push('"');
}

fn write_float(out: &mut String, sample: FloatSample) {
    out.push('[');
    write_timestamp(out, sample.at);
    out.push(',');
    write_quoted(out, sample.value);
    out.push(']');
}

fn write_histogram_sample(out: &mut String, sample: &HistogramSample) {
    out.push('[');
    write_timestamp(out, sample.at);
    out.push(',');
    write_histogram(out, &sample.value);
    out.push(']');
}

/// Count, sum, and the non-empty buckets as `[boundaries, lower, upper, count]`: 0 open left, 1 open right, 2 both open,
/// 3 both closed.
fn write_histogram(out: &mut String, histogram: &Histogram) {
    out.push_str("{\"count\":");
    write_quoted(out, histogram.count);
    out.push_str(",\"sum\":");
    write_quoted(out, histogram.sum);
    let mut first = true;
    for bucket in histogram.populated_buckets() {
        if bucket.count == 0.0 {
            continue;
        }
        out.push_str(if std::mem::take(&mut first) { ",\"buckets\":[" } else { "," });
        let boundaries = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        let _ = write!(out, "[{boundaries},");
        write_quoted(out, bucket.lower);
        out.push(',');
        write_quoted(out, bucket.upper);
        out.push(',');
        write_quoted(out, bucket.count);
        out.push(']');
    }
    if !first {
        out.push(']');
    }
    out.push('}');
}

fn write_vector_sample(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    write_labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            out.push_str(",\"value\":");
            write_float(out, FloatSample { at: sample.at, value: *value });
        }
        SampleValue::Histogram(histogram) => {
            out.push_str(",\"histogram\":[");
            write_timestamp(out, sample.at);
            out.push(',');
            write_histogram(out, histogram);
            out.push(']');
        }
    }
    out.push('}');
}

fn write_series(out: &mut String, series: &Series) {
    out.push_str("{\"metric\":");
    write_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.push_str(",\"values\":");
        write_list(out, &series.floats, |out, sample| write_float(out, *sample));
    }
    if !series.histograms.is_empty() {
        out.push_str(",\"histograms\":");
        write_list(out, &series.histograms, write_histogram_sample);
    }
    out.push('}');
}

fn write_list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// `{"resultType":…,"result":…` without the closing brace, so that statistics can follow.
pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Scalar { at, value } => {
            out.push_str(r#"{"resultType":"scalar","result":"#);
            write_float(out, FloatSample { at: *at, value: *value });
        }
        Value::String { at, value } => {
            out.push_str(r#"{"resultType":"string","result":["#);
            write_timestamp(out, *at);
            out.push(',');
            write_string(out, value);
            out.push(']');
        }
        Value::Vector(vector) => {
            out.push_str(r#"{"resultType":"vector","result":"#);
            write_list(out, vector, write_vector_sample);
        }
        Value::Matrix(matrix) => {
            out.push_str(r#"{"resultType":"matrix","result":"#);
            write_list(out, matrix, write_series);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        for (value, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (123e20, "1.23e+22"),
            (1e20, "100000000000000000000"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = String::new();
            write_sample_value(&mut out, value);
            assert_eq!(out, text);
        }
        for (millis, text) in [(0, "0"), (1, "0.001"), (1500, "1.500"), (-1, "-0.001"), (-61_000, "-61")] {
            let mut out = String::new();
            write_timestamp(&mut out, Timestamp::from_millis(millis));
            assert_eq!(out, text);
        }
    }

    #[test]
    fn results() {
        let labels = Labels::from([("__name__", "up"), ("path", "a\"\n\u{1}")]);
        let sample = VectorSample { labels: labels.clone(), at: Timestamp::from_secs(2), value: 1.0.into() };
        let mut out = String::new();
        write_value(&mut out, &Value::Vector(vec![sample]));
        assert_eq!(
            out,
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","path":"a\"\n\u0001"},"value":[2,"1"]}]"#
        );
        let series = Series {
            labels,
            floats: vec![FloatSample { at: Timestamp::EPOCH, value: 0.5 }],
            histograms: vec![],
        };
        out.clear();
        write_value(&mut out, &Value::Matrix(vec![series]));
        assert!(out.ends_with(r#""values":[[0,"0.5"]]}]"#), "{out}");
    }
}
