//! Values of scripts to and from JSON, labels, lengths of time.

use std::fmt;
use std::time::Duration;

use model::{Annotations, Labels, LabelsBuilder, METRIC_NAME, Timestamp, parse_duration};
use rhai::{Array, Dynamic, EvalAltResult, ImmutableString, Map};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::fault::throw;
use super::running::{room_for, still_running};
use super::series::Series;
use crate::ErrorKind;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// How deep a value may nest to become JSON.
const DEPTH: usize = 64;

/// Bytes that an element of an array or map may cost at most, beyond its text.
const ELEMENT_BYTES: usize = 64;

/// From JSON, trusted to be small: a manifest's parameters, a target.
pub(super) fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => from_number(number),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(from_json).collect::<Array>().into(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.as_str().into(), from_json(v))).collect::<Map>().into()
        }
    }
}

fn from_number(number: &Number) -> Dynamic {
    match number.as_i64() {
        Some(whole) => whole.into(),
        None => number.as_f64().unwrap_or(f64::NAN).into(),
    }
}

/// Reads JSON of any size, and stops when it grows beyond what the script may hold.
pub(super) fn parse_json(text: &str) -> Outcome<Dynamic> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|problem| {
        still_running()
            .err()
            .unwrap_or_else(|| throw(ErrorKind::Permanent, format!("this is not JSON: {problem}")))
    })
}

/// One value of a JSON text.
struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Dynamic;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dynamic, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Dynamic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Dynamic, E> {
        Ok(Dynamic::UNIT)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Dynamic, E> {
        Ok(i64::try_from(value).map_or_else(|_| (value as f64).into(), Into::into))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Dynamic, A::Error> {
        let mut array = Array::new();
        while let Some(item) = items.next_element_seed(Seed)? {
            // A vector doubles: what it holds now may be allocated once more.
            room_for(ELEMENT_BYTES + if array.len() == array.capacity() { array.len() * 16 } else { 0 })
                .map_err(|_| A::Error::custom("too large"))?;
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Dynamic, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Seed)?;
            room_for(ELEMENT_BYTES + key.len()).map_err(|_| A::Error::custom("too large"))?;
            map.insert(key.into(), value);
        }
        Ok(map.into())
    }
}

/// To JSON. Numbers that JSON cannot write become null; functions cannot become anything.
pub(super) fn to_json(value: &Dynamic) -> Outcome<Value> {
    at_depth(value, DEPTH)
}

fn at_depth(value: &Dynamic, depth: usize) -> Outcome<Value> {
    let deeper = || {
        depth
            .checked_sub(1)
            .ok_or_else(|| throw(ErrorKind::Permanent, format!("a value nests more than {DEPTH} deep")))
    };
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.as_bool() {
        return Ok(Value::Bool(value));
    }
    if let Ok(value) = value.as_int() {
        return Ok(Value::from(value));
    }
    if let Ok(value) = value.as_float() {
        return Ok(Number::from_f64(value).map_or(Value::Null, Value::Number));
    }
    if let Ok(value) = value.as_char() {
        return Ok(Value::String(value.to_string()));
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(Value::String(text.to_string()));
    }
    if let Some(items) = value.read_lock::<Array>() {
        let depth = deeper()?;
        return items.iter().map(|item| at_depth(item, depth)).collect::<Outcome<Vec<_>>>().map(Value::Array);
    }
    if let Some(map) = value.read_lock::<Map>() {
        let depth = deeper()?;
        let entries = map.iter().map(|(key, value)| Ok((key.to_string(), at_depth(value, depth)?)));
        return entries.collect::<Outcome<serde_json::Map<_, _>>>().map(Value::Object);
    }
    if let Some(series) = value.read_lock::<Series>() {
        return Ok(Value::String(series.labels().to_string()));
    }
    Err(throw(ErrorKind::Permanent, format!("{} cannot become JSON", value.type_name())))
}

/// As text: a string without quotes, nothing as the empty text.
pub(super) fn to_text(value: &Dynamic) -> String {
    if value.is_unit() { String::new() } else { value.to_string() }
}

/// A number, whole or not.
pub(super) fn number(value: &Dynamic) -> Outcome<f64> {
    if let Ok(whole) = value.as_int() {
        return Ok(whole as f64);
    }
    if let Ok(truth) = value.as_bool() {
        return Ok(f64::from(u8::from(truth)));
    }
    value.as_float().map_err(|found| throw(ErrorKind::Permanent, format!("{found} is not a number")))
}

/// A length of time: seconds, or a text such as `5m`.
pub(super) fn seconds(value: &Dynamic) -> Outcome<Duration> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return parse_duration(&text).map_err(|problem| throw(ErrorKind::Permanent, problem.to_string()));
    }
    let seconds = number(value)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| throw(ErrorKind::Permanent, format!("{seconds} s is not a length of time")))
}

/// Seconds since the epoch.
pub(super) fn time(at: Timestamp) -> Dynamic {
    at.as_secs_f64().into()
}

/// A map of labels. Values may be of any kind.
pub(super) fn labels(map: &Map) -> Outcome<Labels> {
    let mut labels = LabelsBuilder::new();
    for (name, value) in map {
        if !model::is_legacy_label_name(name) || name.as_str() == METRIC_NAME {
            return Err(throw(ErrorKind::Permanent, format!("`{name}` cannot be the name of a label")));
        }
        labels.set(name, &to_text(value));
    }
    Ok(labels.build())
}

pub(super) fn annotations(map: &Map) -> Annotations {
    map.iter().map(|(name, value)| (name.to_string(), to_text(value))).collect()
}

pub(super) fn labels_map(labels: &Labels) -> Map {
    labels.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

pub(super) fn annotations_map(annotations: &Annotations) -> Map {
    annotations.iter().map(|(name, value)| (name.into(), value.into())).collect()
}
