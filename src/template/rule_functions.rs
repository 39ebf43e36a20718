//! The functions of labels and annotations.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::{Re2, SampleValue, VectorSample};

use crate::case::{capitals_first, to_lower, to_upper};
use crate::humanize::{
    humanize, humanize_duration, humanize_percentage, humanize_timestamp, humanize1024, number,
    seconds_to_time,
};
use crate::language::builtin::{query_escape, text_of};
use crate::language::exec::Executor;
use crate::language::function::Function;
use crate::language::time::duration;
use crate::language::value::{ANY_MAP, HTML, Param, SAMPLE_NAME, STRING_MAP, Type, VECTOR_NAME, Value};

/// The answer of `query`.
static VECTOR: Type = Type::plain(VECTOR_NAME);
/// One element of it.
static SAMPLE: Type =
    Type { fields: &[("Labels", "Labels"), ("Value", "Value")], ..Type::plain(SAMPLE_NAME) };

/// The functions of labels and annotations, besides the built-in ones.
pub(crate) const RULE_FUNCTIONS: &[Function] = &[
    Function::new("query", &[Param::Str], |executor, v| query(executor, &text_of(&v[0]))),
    Function::new("first", &[Param::Vector], |_, v| first(&v[0])),
    Function::new("label", &[Param::Str, Param::Sample], |_, v| Ok(label(&text_of(&v[0]), &v[1]))),
    Function::new("value", &[Param::Sample], |_, v| Ok(v[0].field("Value").cloned().unwrap_or(Value::Nil))),
    Function::new("strvalue", &[Param::Sample], |_, v| Ok(label("__value__", &v[0]))),
    Function::new("sortByLabel", &[Param::Str, Param::Vector], |_, v| Ok(sort(&text_of(&v[0]), &v[1]))),
    Function::variadic("args", &[], Param::Any, |_, v| Ok(args(v))),
    Function::new("humanize", &[Param::Any], |_, v| Ok(Value::str(humanize(number(&v[0])?)))),
    Function::new("humanize1024", &[Param::Any], |_, v| Ok(Value::str(humanize1024(number(&v[0])?)))),
    Function::new("humanizeDuration", &[Param::Any], |_, v| {
        Ok(Value::str(humanize_duration(number(&v[0])?)))
    }),
    Function::new("humanizePercentage", &[Param::Any], |_, v| {
        Ok(Value::str(humanize_percentage(number(&v[0])?)))
    }),
    Function::new("humanizeTimestamp", &[Param::Any], |_, v| {
        Ok(Value::str(humanize_timestamp(number(&v[0])?)?))
    }),
    Function::new("toTime", &[Param::Any], |_, v| {
        seconds_to_time(number(&v[0])?)?.ok_or_else(|| "not a number, or infinite: not a time".to_owned())
    }),
    Function::new("toDuration", &[Param::Any], |_, v| Ok(duration((number(&v[0])? * 1e9) as i128))),
    Function::new("now", &[], |executor, _| Ok(Value::Float(executor.world.now.as_secs_f64()))),
    Function::new("parseDuration", &[Param::Str], |_, v| parse_duration(&text_of(&v[0]))),
    Function::new("title", &[Param::Str], |_, v| Ok(Value::str(capitals_first(&text_of(&v[0]))))),
    Function::new("toUpper", &[Param::Str], |_, v| Ok(Value::str(to_upper(&text_of(&v[0]))))),
    Function::new("toLower", &[Param::Str], |_, v| Ok(Value::str(to_lower(&text_of(&v[0]))))),
    Function::new("match", &[Param::Str, Param::Str], |_, v| matches(&v[0], &v[1])),
    Function::new("reReplaceAll", &[Param::Str, Param::Str, Param::Str], |_, v| {
        replace_all(&v[0], &v[1], &v[2])
    }),
    Function::new("stripPort", &[Param::Str], |_, v| Ok(Value::str(strip_port(&text_of(&v[0]))))),
    Function::new("stripDomain", &[Param::Str], |_, v| Ok(Value::str(strip_domain(&text_of(&v[0]))))),
    Function::new("urlQueryEscape", &[Param::Str], |_, v| Ok(Value::str(query_escape(&text_of(&v[0]))))),
    Function::new("graphLink", &[Param::Str], |_, v| Ok(link(&v[0], 0))),
    Function::new("tableLink", &[Param::Str], |_, v| Ok(link(&v[0], 1))),
    Function::new("externalURL", &[], |executor, _| Ok(Value::str(executor.world.external_url))),
    Function::new("pathPrefix", &[], |executor, _| Ok(Value::str(url_path(executor.world.external_url)))),
    Function::new("safeHtml", &[Param::Str], |_, v| Ok(Value::Str(text_of(&v[0]).into(), &HTML))),
    Function::new("tmpl", &[Param::Str, Param::Any], |executor, v| {
        let text = executor.run_named(&text_of(&v[0]), v[1].clone())?;
        Ok(Value::Str(text.into(), &HTML))
    }),
];

/// A value of a sample.
pub(crate) fn sample_value(value: &SampleValue) -> Value {
    match value {
        SampleValue::Float(number) => Value::Float(*number),
        SampleValue::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
    }
}

fn query(executor: &mut Executor<'_, '_>, expr: &str) -> Result<Value, String> {
    let query = executor.world.query.as_mut().ok_or("queries cannot be asked here")?;
    let vector = query(expr)?;
    Ok(Value::list(&VECTOR, vector.iter().map(sample).collect()))
}

/// An element of a query's answer.
pub(crate) fn sample(sample: &VectorSample) -> Value {
    let labels = Value::string_map(&STRING_MAP, sample.labels.iter());
    Value::structure(&SAMPLE, vec![labels, sample_value(&sample.value)])
}

fn first(vector: &Value) -> Result<Value, String> {
    let first = match vector {
        Value::List(list) => list.items.first().cloned(),
        _ => None,
    };
    first.ok_or_else(|| "the query has no answer, so there is no first element".to_owned())
}

fn label(name: &str, sample: &Value) -> Value {
    match sample.field("Labels") {
        Some(Value::Map(labels)) => labels.get(name),
        _ => Value::str(""),
    }
}

fn sort(by: &str, vector: &Value) -> Value {
    let Value::List(list) = vector else { return Value::list(&VECTOR, Vec::new()) };
    let mut items = list.items.clone();
    items.sort_by_key(|sample| text_of(&label(by, sample)));
    Value::list(list.ty, items)
}

fn args(values: &[Value]) -> Value {
    let entries: BTreeMap<String, Value> =
        values.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone())).collect();
    Value::map(&ANY_MAP, entries)
}

/// Seconds of a duration such as `-1h30m`.
fn parse_duration(text: &str) -> Result<Value, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text),
    };
    let duration = model::parse_duration(digits).map_err(|error| error.to_string())?;
    Ok(Value::Float(sign * duration.as_secs_f64()))
}

/// Whether a pattern is found anywhere in a text.
pub(crate) fn matches(pattern: &Value, text: &Value) -> Result<Value, String> {
    let pattern = Re2::unanchored(&text_of(pattern)).map_err(|error| error.to_string())?;
    Ok(Value::Bool(pattern.is_match(&text_of(text))))
}

/// A text with every match of a pattern replaced.
pub(crate) fn replace_all(pattern: &Value, replacement: &Value, text: &Value) -> Result<Value, String> {
    let pattern = Re2::unanchored(&text_of(pattern)).map_err(|error| error.to_string())?;
    Ok(Value::str(pattern.replace_all(&text_of(text), &text_of(replacement))))
}

/// Host and port of `host:port`, `[v6]:port`; `None` if it is not such a thing.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            inner.split_once(']').and_then(|(host, rest)| Some((host, rest.strip_prefix(':')?)))?
        }
        None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':'))?,
    };
    let brackets = |text: &str| text.contains(['[', ']']);
    (!brackets(host) && !brackets(port) && !port.contains(':')).then_some((host, port))
}

fn strip_port(text: &str) -> String {
    split_host_port(text).map_or(text, |(host, _)| host).to_owned()
}

/// The first part of a host name, with its port. Addresses stay whole.
fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let first = host.split('.').next().unwrap_or(host);
    match (port, first.contains([':', '%'])) {
        ("", _) => first.to_owned(),
        (port, true) => format!("[{first}]:{port}"),
        (port, false) => format!("{first}:{port}"),
    }
}

fn link(expr: &Value, tab: u8) -> Value {
    Value::str(format!("/graph?g0.expr={}&g0.tab={tab}", query_escape(&text_of(expr))))
}

/// The path of a URL.
fn url_path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |slash| &rest[slash..]);
    path.split(['?', '#']).next().unwrap_or("")
}
