//! Two sequences of webhooks, group by group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::sink::Message;
use crate::tree::STEP;

/// Messages that differ by less are told at the same time: less than a step, the smallest time between two ticks.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(STEP * 3 / 4);
/// So much may differ what each side read from its own clock.
const CLOCKS_MILLIS: u64 = 200;

/// One group at one integration: path and group key.
pub(crate) type Line = (String, String);

/// The first difference in a line.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) line: Line,
    /// How many messages were the same before.
    pub(crate) at: usize,
    pub(crate) ours: Vec<Message>,
    pub(crate) theirs: Vec<Message>,
    pub(crate) what: String,
    /// The alert, if it is one that is shown differently at the end.
    pub(crate) alert: Option<String>,
}

/// By line, in order.
pub(crate) fn lines(messages: &[Message]) -> BTreeMap<Line, Vec<Message>> {
    let mut lines: BTreeMap<Line, Vec<Message>> = BTreeMap::new();
    for message in messages {
        let group = message.body["groupKey"].as_str().unwrap_or_default().to_owned();
        lines.entry((message.path.clone(), group)).or_default().push(message.clone());
    }
    lines
}

/// The first difference of each line. Messages within [`TOLERANCE`] of `until` may be missing on one side.
pub(crate) fn differences(
    ours: &[Message],
    theirs: &[Message],
    assumes: bool,
    until: Instant,
) -> Vec<Difference> {
    let (mut ours, mut theirs) = (lines(ours), lines(theirs));
    let all: BTreeSet<Line> = ours.keys().chain(theirs.keys()).cloned().collect();
    let mut found = Vec::new();
    for line in all {
        let ours = ours.remove(&line).unwrap_or_default();
        let theirs = theirs.remove(&line).unwrap_or_default();
        let longer = ours.len().max(theirs.len());
        let first = (0..longer).find_map(|at| {
            let what = match (ours.get(at), theirs.get(at)) {
                (Some(ours), Some(theirs)) => message_difference(ours, theirs, assumes),
                (Some(message), None) if message.at + TOLERANCE < until => {
                    Some("only Foghorn tells this".into())
                }
                (None, Some(message)) if message.at + TOLERANCE < until => {
                    Some("only Alertmanager tells this".into())
                }
                _ => None,
            };
            what.map(|what| (at, what))
        });
        if let Some((at, what)) = first {
            found.push(Difference { line, at, ours, theirs, what, alert: None });
        }
    }
    found
}

/// What the API shows differently when the timeline is over.
pub(crate) fn end_differences(ours: &Value, theirs: &Value, assumes: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    for question in ["alerts", "groups", "silences"] {
        let (mut ours, mut theirs) = (shown(question, &ours[question]), shown(question, &theirs[question]));
        let all: BTreeSet<String> = ours.keys().chain(theirs.keys()).cloned().collect();
        for key in all {
            let what = match (ours.remove(&key), theirs.remove(&key)) {
                (Some(ours), Some(theirs)) => {
                    body_difference(&ours, &theirs, "", assumes || question == "silences")
                }
                (Some(_), None) => Some("only Foghorn shows this".to_owned()),
                (None, _) => Some("only Alertmanager shows this".to_owned()),
            };
            let Some(what) = what else { continue };
            let alert = key.rsplit(' ').next().filter(|_| question != "silences").map(str::to_owned);
            let line = (format!("/api/v2/{question}"), key);
            found.push(Difference { line, at: 0, ours: Vec::new(), theirs: Vec::new(), what, alert });
        }
    }
    found
}

/// What an answer shows, by alert, by group and alert, or by matchers, without what each side makes up for itself.
fn shown(question: &str, answer: &Value) -> BTreeMap<String, Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = answer.as_array().into_iter().flatten();
    match question {
        "alerts" => list.map(|alert| (text(&alert["fingerprint"]), alert_shown(alert))).collect(),
        "groups" => list
            .flat_map(|group| {
                let name = format!("{} {}", group["receiver"]["name"], group["labels"]);
                let alerts = group["alerts"].as_array().into_iter().flatten();
                alerts
                    .map(move |alert| (format!("{name} {}", text(&alert["fingerprint"])), alert_shown(alert)))
            })
            .collect(),
        _ => list
            .map(|silence| {
                let mut silence = silence.clone();
                for name in ["id", "updatedAt", "annotations"] {
                    silence.as_object_mut().map(|silence| silence.remove(name));
                }
                (silence["matchers"].to_string(), silence)
            })
            .collect(),
    }
}

/// Of several alerts that inhibit any may be named, and silences have names of their own on each side.
fn alert_shown(alert: &Value) -> Value {
    let mut alert = alert.clone();
    alert.as_object_mut().map(|alert| alert.remove("updatedAt"));
    for name in ["inhibitedBy", "silencedBy"] {
        let by = alert["status"][name].as_array().map_or(0, Vec::len);
        alert["status"][name] = if name == "silencedBy" { by.into() } else { (by > 0).into() };
    }
    if let Some(receivers) = alert["receivers"].as_array_mut() {
        receivers.sort_by_key(Value::to_string);
    }
    alert
}

fn message_difference(ours: &Message, theirs: &Message, assumes: bool) -> Option<String> {
    if let Some(what) = body_difference(&ours.body, &theirs.body, "", assumes) {
        return Some(what);
    }
    if ours.taken != theirs.taken {
        return Some(format!("taken: {} here, {} there", ours.taken, theirs.taken));
    }
    let apart = ours.at.max(theirs.at) - ours.at.min(theirs.at);
    (apart > TOLERANCE).then(|| format!("{} ms apart", apart.as_millis()))
}

/// What is different in two JSON texts; `at` says where.
fn body_difference(ours: &Value, theirs: &Value, at: &str, assumes: bool) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => object_difference(ours, theirs, at, assumes),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| body_difference(a, b, &format!("{at}[{index}]"), assumes)),
        (Value::String(a), Value::String(b)) if at.ends_with(".startsAt") || at.ends_with(".endsAt") => {
            let millis = |text: &str| api::parse_time(text).map(model::Timestamp::as_millis);
            let same = match (millis(a), millis(b)) {
                (Some(a), Some(b)) => a.abs_diff(b) <= if assumes { CLOCKS_MILLIS } else { 0 },
                _ => false,
            };
            (!same).then(|| format!("{at}: {a} here, {b} there"))
        }
        _ if ours == theirs => None,
        _ => Some(format!("{at}: {ours} here, {theirs} there")),
    }
}

/// What newer Alertmanagers than the one here say.
const NEWER: &[&str] = &["routeLabels"];

fn object_difference(
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    at: &str,
    assumes: bool,
) -> Option<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    names.into_iter().find_map(|name| match (ours.get(name), theirs.get(name)) {
        (Some(ours), Some(theirs)) => body_difference(ours, theirs, &format!("{at}.{name}"), assumes),
        (Some(_), None) if NEWER.contains(&name.as_str()) => None,
        (ours, theirs) => Some(format!("{at}.{name}: {ours:?} here, {theirs:?} there")),
    })
}
