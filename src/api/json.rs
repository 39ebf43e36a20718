//! JSON of query results, written straight from the result.

use std::fmt::Write as _;

use model::{FloatSample, Histogram, HistogramSample, Labels, SampleValue, Series, Timestamp, VectorSample};

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    // What needs no escape goes over in one piece.
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[written..at]);
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        written = at + 1;
    }
    out.push_str(&text[written..]);
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

/// Appends strings as a JSON array.
pub(crate) fn write_strings<'a>(out: &mut String, texts: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, text);
    }
    out.push(']');
}

/// Appends a time as a JSON string, RFC 3339.
pub(crate) fn write_time(out: &mut String, at: Timestamp) {
    let _ = write!(out, "\"{at}\"");
}

/// Appends seconds since 1970: `12`, or `12.345` if there are milliseconds.
pub fn write_timestamp(out: &mut String, at: Timestamp) {
    let millis = at.as_millis();
    if millis < 0 {
        out.push('-');
    }
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    write_digits(out, seconds);
    if rest > 0 {
        let digit = |n: u64| char::from(b'0' + (n % 10) as u8);
        out.extend(['.', digit(rest / 100), digit(rest / 10), digit(rest)]);
    }
}

/// Appends a whole number. Most values and all times are whole: the way through `fmt` costs three times as much.
fn write_digits(out: &mut String, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[first..].iter().map(|digit| char::from(*digit)));
}

/// Whole numbers below this are exact, and have no exponent.
const WHOLE_MAX: f64 = 1e15;

/// Appends a number as the API writes it inside a string: the shortest digits, with an exponent only for very small
/// and very large ones.
pub fn write_sample_value(out: &mut String, value: f64) {
    let size = value.abs();
    if size < WHOLE_MAX && value.trunc() == value && (size > 0.0 || value.is_sign_positive()) {
        if value < 0.0 {
            out.push('-');
        }
        write_digits(out, size as u64);
    } else if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        out.push_str(&model::format_float_exponent(value));
    } else {
        let _ = write!(out, "{value}");
    }
}

fn write_quoted(out: &mut String, value: f64) {
    out.push('"');
    write_sample_value(out, value);
    out.push('"');
}

/// Appends `[time,"value"]`.
pub fn write_float_sample(out: &mut String, sample: FloatSample) {
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

pub(crate) fn write_vector_sample(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    write_labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            out.push_str(",\"value\":");
            write_float_sample(out, FloatSample { at: sample.at, value: *value });
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

pub(crate) fn write_series(out: &mut String, series: &Series) {
    out.push_str("{\"metric\":");
    write_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.push_str(",\"values\":");
        write_list(out, &series.floats, |out, sample| write_float_sample(out, *sample));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (-17.0, "-17"),
            (0.1 + 0.2, "0.30000000000000004"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1000000000000000"),
            (1_234_567_890_123_456_700.0, "1234567890123456800"),
            (1.5, "1.5"),
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (-123e20, "-1.23e+22"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
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
    fn texts() {
        let mut out = String::new();
        write_string(&mut out, "a\"b\\c\nd\te\rf\u{1}g\u{7f}ü€😀<>&");
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\te\\rf\\u0001g\u{7f}ü€😀<>&\"");
        out.clear();
        write_strings(&mut out, ["", "x"]);
        assert_eq!(out, r#"["","x"]"#);
    }
}
