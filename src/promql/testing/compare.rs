//! Whether an answer is the expected one.

use std::collections::BTreeMap;

use model::{CounterResetHint, Histogram, Labels, Matrix, SampleValue, Series, Timestamp};

use super::expectation::{Expectation, Kind};
use super::{almost_equal, show};
use crate::{Range, Value};

/// Values by time.
type Points = BTreeMap<Timestamp, SampleValue>;

/// The answer against the lines of the script.
pub(super) fn answer(value: &Value, expected: &Expectation, range: Range) -> Result<(), String> {
    if let Some(wanted) = &expected.string {
        return match value {
            Value::String { value, .. } if value == wanted => Ok(()),
            other => Err(format!("expected the string {wanted:?}, got {other:?}")),
        };
    }
    if let Some(wanted) = expected.scalar {
        return match value {
            Value::Scalar { value, .. } if almost_equal(*value, wanted) => Ok(()),
            other => Err(format!("expected the scalar {wanted}, got {other:?}")),
        };
    }
    match value {
        Value::Vector(vector) => {
            if expected.range_vector.is_some() {
                return Err("expected a range vector, got an instant vector".to_owned());
            }
            let got: Vec<(Labels, SampleValue)> =
                vector.iter().map(|s| (s.labels.clone(), s.value.clone())).collect();
            instant(&got, expected)
        }
        Value::Matrix(matrix) => {
            if expected.range_vector.is_none() && range.is_instant() {
                return Err("got a range vector, and none was expected".to_owned());
            }
            let ordered = matrix.windows(2).all(|w| w[0].labels <= w[1].labels);
            if !ordered {
                return Err("series are not sorted by their labels".to_owned());
            }
            over_time(matrix, expected, expected.range_vector.unwrap_or(range))
        }
        Value::Scalar { value, .. } => Err(format!("got the scalar {value}, and none was expected")),
        Value::String { value, .. } => Err(format!("got the string {value:?}, and none was expected")),
    }
}

fn instant(got: &[(Labels, SampleValue)], expected: &Expectation) -> Result<(), String> {
    for (position, line) in expected.series.iter().enumerate() {
        let [Some(wanted)] = &line.values[..] else {
            return Err(format!("{} needs exactly one value", line.labels));
        };
        let Some(found) = got.iter().position(|(labels, _)| *labels == line.labels) else {
            return Err(format!("expected {} is missing; got {}", line.labels, show_all(got)));
        };
        if expected.has(Kind::Ordered) && found != position {
            return Err(format!(
                "expected {} in place {}, but it is in place {}",
                line.labels,
                position + 1,
                found + 1
            ));
        }
        equal(&got[found].1, wanted).map_err(|why| format!("{}: {why}", line.labels))?;
    }
    match got.iter().find(|(labels, _)| !expected.series.iter().any(|line| line.labels == *labels)) {
        Some((labels, value)) => Err(format!("unexpected {labels} {}", show(value))),
        None => Ok(()),
    }
}

fn show_all(got: &[(Labels, SampleValue)]) -> String {
    let lines: Vec<String> = got.iter().map(|(labels, value)| format!("{labels} {}", show(value))).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}

fn over_time(matrix: &Matrix, expected: &Expectation, range: Range) -> Result<(), String> {
    for line in &expected.series {
        let mut wanted = Points::new();
        let mut at = range.start;
        for value in &line.values {
            if at > range.end {
                return Err(format!("{}: the range has fewer steps than there are values", line.labels));
            }
            if let Some(value) = value {
                wanted.insert(at, value.clone());
            }
            at = at.plus_millis(range.step_ms.max(1));
        }
        if wanted.is_empty() {
            continue;
        }
        let Some(series) = matrix.iter().find(|s| s.labels == line.labels) else {
            let all: Vec<String> = matrix.iter().map(|s| s.labels.to_string()).collect();
            return Err(format!("expected {} is missing; got {}", line.labels, all.join(", ")));
        };
        same_points(&points(series), &wanted).map_err(|why| format!("{}: {why}", line.labels))?;
    }
    match matrix.iter().find(|s| !expected.series.iter().any(|line| line.labels == s.labels)) {
        Some(series) => Err(format!("unexpected {} {}", series.labels, show_points(&points(series)))),
        None => Ok(()),
    }
}

fn points(series: &Series) -> Points {
    let floats = series.floats.iter().map(|s| (s.at, SampleValue::Float(s.value)));
    let histograms = series.histograms.iter().map(|s| (s.at, SampleValue::Histogram(s.value.clone())));
    floats.chain(histograms).collect()
}

fn show_points(points: &Points) -> String {
    let shown: Vec<String> =
        points.iter().map(|(at, v)| format!("{} @[{}]", show(v), at.as_millis())).collect();
    shown.join(" ")
}

fn same_points(got: &Points, wanted: &Points) -> Result<(), String> {
    let differ = || format!("got {}, wanted {}", show_points(got), show_points(wanted));
    if got.len() != wanted.len() {
        return Err(differ());
    }
    for ((got_at, got), (wanted_at, wanted)) in got.iter().zip(wanted) {
        if got_at != wanted_at {
            return Err(differ());
        }
        equal(got, wanted).map_err(|why| format!("at {}: {why}; {}", got_at.as_millis(), differ()))?;
    }
    Ok(())
}

fn equal(got: &SampleValue, wanted: &SampleValue) -> Result<(), String> {
    let same = match (got, wanted) {
        (SampleValue::Float(got), SampleValue::Float(wanted)) => almost_equal(*got, *wanted),
        (SampleValue::Histogram(got), SampleValue::Histogram(wanted)) => same_histogram(got, wanted),
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("got {}, wanted {}", show(got), show(wanted))) }
}

fn same_histogram(got: &Histogram, wanted: &Histogram) -> bool {
    let populated = |(_, count): &(i32, f64)| *count != 0.0;
    let same_buckets = |got: Vec<(i32, f64)>, wanted: Vec<(i32, f64)>| {
        got.len() == wanted.len()
            && got.iter().zip(&wanted).all(|(g, w)| g.0 == w.0 && almost_equal(g.1, w.1))
    };
    let hint = wanted.counter_reset_hint;
    got.schema == wanted.schema
        && almost_equal(got.zero_threshold, wanted.zero_threshold)
        && almost_equal(got.zero_count, wanted.zero_count)
        && almost_equal(got.count, wanted.count)
        && almost_equal(got.sum, wanted.sum)
        && got.custom_values.len() == wanted.custom_values.len()
        && got.custom_values.iter().zip(&wanted.custom_values).all(|(g, w)| almost_equal(*g, *w))
        && same_buckets(
            got.positive().filter(populated).collect(),
            wanted.positive().filter(populated).collect(),
        )
        && same_buckets(
            got.negative().filter(populated).collect(),
            wanted.negative().filter(populated).collect(),
        )
        && (hint == CounterResetHint::Unknown || hint == got.counter_reset_hint)
}

/// Whether a range query's answer holds the same at `at` as the instant query's.
pub(super) fn same_at(instant: &Value, matrix: &Matrix, at: Timestamp) -> Result<(), String> {
    let ranged: Vec<(Labels, SampleValue)> = matrix
        .iter()
        .filter_map(|series| points(series).remove(&at).map(|value| (series.labels.clone(), value)))
        .collect();
    same_values(&values(instant), &ranged)
}

/// Whether two answers of instant queries are the same, in any order.
pub(super) fn same(one: &Value, other: &Value) -> Result<(), String> {
    same_values(&values(one), &values(other))
}

fn values(value: &Value) -> Vec<(Labels, SampleValue)> {
    match value {
        Value::Vector(vector) => vector.iter().map(|s| (s.labels.clone(), s.value.clone())).collect(),
        Value::Scalar { value, .. } => vec![(Labels::empty(), SampleValue::Float(*value))],
        Value::String { .. } | Value::Matrix(_) => Vec::new(),
    }
}

fn same_values(one: &[(Labels, SampleValue)], other: &[(Labels, SampleValue)]) -> Result<(), String> {
    if one.len() != other.len() {
        return Err(format!("got {}, wanted {}", show_all(other), show_all(one)));
    }
    for (labels, value) in one {
        match other.iter().find(|(l, _)| l == labels) {
            Some((_, other)) => equal(other, value).map_err(|why| format!("{labels}: {why}"))?,
            None => return Err(format!("{labels} is missing; got {}", show_all(other))),
        }
    }
    Ok(())
}
