//! Answers of API v1, and whether two of them say the same.
//!
//! Numbers may differ by [`ULPS_MAX`] units in the last place: sums are added up in another order, and sines and powers
//! come from another library. What two inexact steps in a row do to each other's last places is more than that; how far
//! a result may be off then is [`RELATIVE_MAX`].

use std::collections::BTreeMap;

use serde_json::Value;

/// Units in the last place.
pub(crate) const ULPS_MAX: u64 = 64;
/// For expressions in which the last places of an inexact function go through another function.
pub(crate) const RELATIVE_MAX: f64 = 1e-9;

/// What is left of numbers that cancel.
pub(crate) const NOTHING_MAX: f64 = 1e-15;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `errorType` and `error`.
    pub(crate) error: Option<(String, String)>,
    pub(crate) kind: String,
    /// By labels, as canonical JSON.
    pub(crate) series: BTreeMap<String, Vec<Point>>,
    /// The labels in the order of the answer.
    pub(crate) order: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) at: String,
    pub(crate) value: Number,
}

#[derive(Clone, Debug)]
pub(crate) enum Number {
    Float(f64),
    Histogram(Value),
    Text(String),
}

impl Answer {
    pub(crate) fn read(json: &Value) -> Self {
        let texts = |name: &str| {
            let all = json[name].as_array().into_iter().flatten();
            all.map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
        };
        let mut answer = Answer {
            error: None,
            kind: json["data"]["resultType"].as_str().unwrap_or_default().to_owned(),
            series: BTreeMap::new(),
            order: Vec::new(),
            warnings: texts("warnings"),
            infos: texts("infos"),
        };
        if json["status"] != "success" {
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            answer.error = Some((text("errorType"), text("error")));
            return answer;
        }
        let result = &json["data"]["result"];
        if answer.kind == "scalar" || answer.kind == "string" {
            answer.series.insert(String::new(), points(result, &answer.kind));
            return answer;
        }
        for series in result.as_array().into_iter().flatten() {
            let labels: BTreeMap<&String, &Value> =
                series["metric"].as_object().into_iter().flatten().collect();
            let labels = serde_json::to_string(&labels).unwrap_or_default();
            let mut all = Vec::new();
            for name in ["value", "histogram"] {
                all.extend(points(&series[name], &answer.kind));
            }
            for name in ["values", "histograms"] {
                for one in series[name].as_array().into_iter().flatten() {
                    all.extend(points(one, &answer.kind));
                }
            }
            all.sort_by(|a, b| {
                a.at.parse::<f64>().unwrap_or(0.0).total_cmp(&b.at.parse::<f64>().unwrap_or(0.0))
            });
            answer.order.push(labels.clone());
            answer.series.entry(labels).or_default().extend(all);
        }
        answer
    }
}

/// `[time, value]`, or nothing.
fn points(json: &Value, kind: &str) -> Vec<Point> {
    let Some([at, value]) = json.as_array().map(Vec::as_slice) else { return Vec::new() };
    let value = match value.as_str() {
        Some(text) if kind == "string" => Number::Text(text.to_owned()),
        Some(text) => Number::Float(model::parse_float(text).unwrap_or(f64::NAN)),
        None => Number::Histogram(value.clone()),
    };
    vec![Point { at: at.to_string(), value }]
}

/// How exactly two answers have to agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    pub(crate) inexact: bool,
    /// Whether the order of an answer has a meaning.
    pub(crate) ordered: bool,
}

/// What is different, or nothing.
pub(crate) fn difference(ours: &Answer, theirs: &Answer, tolerance: Tolerance) -> Option<String> {
    match (&ours.error, &theirs.error) {
        (Some(_), Some(_)) => return None,
        (Some((_, error)), None) => return Some(format!("only Foghorn fails: {error}")),
        (None, Some((_, error))) => return Some(format!("only Prometheus fails: {error}")),
        (None, None) => {}
    }
    if ours.kind != theirs.kind {
        return Some(format!("kind {} here, {} there", ours.kind, theirs.kind));
    }
    if let Some(labels) = ours.series.keys().find(|labels| !theirs.series.contains_key(*labels)) {
        return Some(format!("only Foghorn has {labels}"));
    }
    for (labels, theirs) in &theirs.series {
        let Some(ours) = ours.series.get(labels) else {
            return Some(format!("only Prometheus has {labels}"));
        };
        if let Some(difference) = series_difference(ours, theirs, tolerance) {
            return Some(format!("{labels}: {difference}"));
        }
    }
    if tolerance.ordered {
        let values = |answer: &Answer| -> Vec<Number> {
            let points = answer.order.iter().filter_map(|labels| answer.series.get(labels));
            let unsigned = |value: &Number| match value {
                Number::Float(value) => Number::Float(value + 0.0),
                other => other.clone(),
            };
            points.flatten().map(|point| unsigned(&point.value)).collect()
        };
        // Which of two zeros comes first is nobody's business.
        let (ours, theirs) = (values(ours), values(theirs));
        if ours.len() != theirs.len() || !ours.iter().zip(&theirs).all(|(a, b)| same(a, b, tolerance)) {
            return Some(format!("in another order: {ours:?} here, {theirs:?} there"));
        }
    }
    None
}

fn series_difference(ours: &[Point], theirs: &[Point], tolerance: Tolerance) -> Option<String> {
    let times = |points: &[Point]| points.iter().map(|point| point.at.clone()).collect::<Vec<_>>();
    if times(ours) != times(theirs) {
        return Some(format!("steps {:?} here, {:?} there", times(ours), times(theirs)));
    }
    ours.iter().zip(theirs).find(|(a, b)| !same(&a.value, &b.value, tolerance)).map(|(a, b)| {
        let far = match (&a.value, &b.value) {
            (Number::Float(a), Number::Float(b)) => format!(", {} units in the last place", ulps(*a, *b)),
            _ => String::new(),
        };
        format!("at {}: {} here, {} there{far}", a.at, a.value.shown(), b.value.shown())
    })
}

impl Number {
    fn shown(&self) -> String {
        match self {
            Number::Float(value) => format!("{value:?}"),
            Number::Histogram(json) => json.to_string(),
            Number::Text(text) => text.clone(),
        }
    }
}

pub(crate) fn same(a: &Number, b: &Number, tolerance: Tolerance) -> bool {
    match (a, b) {
        (Number::Float(a), Number::Float(b)) => close(*a, *b, tolerance),
        (Number::Text(a), Number::Text(b)) => a == b,
        (Number::Histogram(a), Number::Histogram(b)) => same_json(a, b, tolerance),
        _ => false,
    }
}

/// Histograms are objects and lists of numbers in text form.
fn same_json(a: &Value, b: &Value, tolerance: Tolerance) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same_json(a, b, tolerance)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b, tolerance))
        }
        (Value::String(a), Value::String(b)) => match (model::parse_float(a), model::parse_float(b)) {
            (Some(a), Some(b)) => close(a, b, tolerance),
            _ => a == b,
        },
        _ => a == b,
    }
}

fn close(a: f64, b: f64, tolerance: Tolerance) -> bool {
    if ulps(a, b) <= ULPS_MAX {
        return true;
    }
    let size = a.abs().max(b.abs());
    tolerance.inexact && size.is_finite() && (a - b).abs() <= (size * RELATIVE_MAX).max(NOTHING_MAX)
}

/// How many numbers lie between two; 0 for two that are NaN.
fn ulps(a: f64, b: f64) -> u64 {
    if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) {
        return 0;
    }
    // A zero has a sign, and it is shown.
    if a == b || a.is_nan() || b.is_nan() || a.is_infinite() || b.is_infinite() {
        return u64::MAX;
    }
    // Folded so that neighbours are neighbours through zero.
    let place = |value: f64| {
        let bits = value.to_bits() as i64;
        if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }
    };
    place(a).abs_diff(place(b))
}
