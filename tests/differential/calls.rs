//! The other calls of the query API: formatting, parsing, series, labels, limits, lookback, statistics.

use serde_json::Value;

use crate::data::{METRICS, SPAN, START};
use crate::grammar::{self, When};
use crate::rng::Rng;
use crate::world::escape;

/// A request of both sides, and how their answers are compared.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) parameters: String,
    compare: Compare,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    /// The data as they are.
    Exactly,
    /// Lists in any order.
    Unordered,
    /// How many there are, and what is said of the rest.
    Count,
    /// What the statistics count.
    Samples,
}

/// The call `number` of a seed.
pub(crate) fn call(seed: u64, number: u64, unknown: &[String]) -> Call {
    let mut rng = Rng::stream(seed, 2 << 40 | number);
    let query = grammar::query(seed, rng.below(1 << 20), unknown);
    let expr = format!("query={}", escape(&query.expr));
    let times = match query.when {
        When::Instant(at) => format!("&time={at}"),
        When::Range { start, end, step } => format!("&start={start}&end={end}&step={step}"),
    };
    let query_path = match query.when {
        When::Instant(_) => "/api/v1/query",
        When::Range { .. } => "/api/v1/query_range",
    };
    let (path, parameters, compare) = match number % 8 {
        0 => ("/api/v1/format_query".to_owned(), expr, Compare::Exactly),
        1 => ("/api/v1/parse_query".to_owned(), expr, Compare::Exactly),
        2 => {
            let selector = escape(&selector(&mut rng));
            let limit = rng.below(5);
            (query_path.to_owned(), format!("query={selector}{times}&limit={limit}"), Compare::Count)
        }
        3 => {
            let lookback = *rng.of(&["1s", "20s", "45", "10m", "1.5", "0", "x"]);
            let expr = format!("query={}", escape(&selector(&mut rng)));
            (query_path.to_owned(), format!("{expr}{times}&lookback_delta={lookback}"), Compare::Unordered)
        }
        4 => {
            // For these Prometheus reads histograms without their buckets, and counts them as smaller.
            let sums = ["_count(", "_sum(", "_avg(", "_stddev(", "_stdvar("];
            let smaller = sums.iter().any(|name| query.expr.contains(&format!("histogram{name}")));
            let compare = if smaller { Compare::Count } else { Compare::Samples };
            (query_path.to_owned(), format!("{expr}{times}&stats=all"), compare)
        }
        5 => ("/api/v1/series".to_owned(), matching(&mut rng, true), Compare::Unordered),
        6 => ("/api/v1/labels".to_owned(), matching(&mut rng, false), Compare::Unordered),
        _ => {
            let label = *rng.of(&["job", "instance", "__name__", "le", "none", "room"]);
            (format!("/api/v1/label/{label}/values"), matching(&mut rng, false), Compare::Unordered)
        }
    };
    Call { path, parameters, compare }
}

fn selector(rng: &mut Rng) -> String {
    let name = rng.of(METRICS).name;
    let matcher =
        *rng.of(&["", "{instance=\"a:1\"}", "{job!=\"db\"}", "{instance=~\"[ab].*\"}", "{none=\"x\"}"]);
    format!("{name}{matcher}")
}

/// `match[]`, a time and a limit, sometimes. The time is one that has samples of every series.
fn matching(rng: &mut Rng, always: bool) -> String {
    let mut parameters = Vec::new();
    let least = u64::from(always);
    for _ in 0..least + rng.below(3 - least) {
        parameters.push(format!("match[]={}", escape(&selector(rng))));
    }
    if rng.chance(30) {
        parameters.push(format!("start={}&end={}", START / 1000, (START + SPAN) / 1000));
    }
    if rng.chance(10) {
        parameters.push("match[]=%7B%7D".to_owned());
    }
    parameters.join("&")
}

/// What is different in two answers, or nothing.
pub(crate) fn difference(call: &Call, ours: &Value, theirs: &Value) -> Option<String> {
    let texts = |json: &Value| -> Vec<String> {
        let of = |name: &str| json[name].as_array().cloned().unwrap_or_default();
        of("warnings").iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if ours["status"] != theirs["status"] {
        return Some(format!("here {ours}, there {theirs}"));
    }
    if ours["status"] != "success" {
        return crate::notes::errors_of(ours, theirs);
    }
    let shown = |name: &str, ours: String, theirs: String| {
        (ours != theirs).then(|| format!("{name} here {ours}, there {theirs}"))
    };
    match call.compare {
        Compare::Exactly => {
            let ours = known_to_3_5(ours["data"].clone());
            shown("data", ours.to_string(), theirs["data"].to_string())
        }
        Compare::Unordered => shown("data", sorted(&ours["data"]), sorted(&theirs["data"])),
        Compare::Count => {
            let count = |json: &Value| json["data"]["result"].as_array().map_or(0, Vec::len);
            let [ours, theirs] = [ours, theirs].map(|json| format!("{} {:?}", count(json), texts(json)));
            shown("results", ours, theirs)
        }
        Compare::Samples => {
            let [ours, theirs] = [ours, theirs]
                .map(|json| json["data"]["stats"]["samples"]["totalQueryableSamples"].to_string());
            shown("samples", ours, theirs)
        }
    }
}

/// A syntax tree without what came after 3.5: `anchored`, `smoothed`, `fill`.
fn known_to_3_5(mut json: Value) -> Value {
    match &mut json {
        Value::Object(all) => {
            all.retain(|name, _| !["anchored", "smoothed", "fillValues"].contains(&name.as_str()));
            all.values_mut().for_each(|value| *value = known_to_3_5(value.take()));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| *value = known_to_3_5(value.take())),
        _ => {}
    }
    json
}

/// As text, with lists in order.
fn sorted(json: &Value) -> String {
    match json {
        Value::Array(all) => {
            let mut all: Vec<String> = all.iter().map(sorted).collect();
            all.sort();
            format!("[{}]", all.join(","))
        }
        Value::Object(all) => {
            let mut all: Vec<String> =
                all.iter().map(|(name, value)| format!("{name}:{}", sorted(value))).collect();
            all.sort();
            format!("{{{}}}", all.join(","))
        }
        other => other.to_string(),
    }
}
