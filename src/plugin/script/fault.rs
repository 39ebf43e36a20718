//! Errors of scripts: from the host into a script, and out of a script to people.

use std::time::Duration;

use model::format_duration;
use rhai::{Dynamic, EvalAltResult, Map, ParseErrorType, Position};

use super::running::{Running, Stop};
use crate::host::Call;
use crate::{CallError, ErrorKind, Fault, HostError, LoadError, Place};

/// Functions of the other kinds, and why they are not there.
const ELSEWHERE: [(&str, &str); 4] = [
    ("http", "a rule has no network: an exporter fetches, and the rule queries what it has fetched"),
    ("query", "only a rule queries"),
    ("fire", "only a rule fires"),
    ("gauge counter histogram", "only an exporter has points"),
];

/// An error of the host as a script catches it: `#{ kind, message, retry_after, limit }`.
pub(super) fn thrown(error: HostError) -> Box<EvalAltResult> {
    let mut map = Map::new();
    map.insert("kind".into(), error.kind.as_str().into());
    map.insert("message".into(), error.message.into());
    if let Some(after) = error.retry_after {
        map.insert("retry_after".into(), after.as_secs_f64().into());
    }
    if let Some(limit) = error.limit {
        map.insert("limit".into(), limit.into());
    }
    EvalAltResult::ErrorRuntime(map.into(), Position::NONE).into()
}

/// An error of kind `kind`.
pub(super) fn throw(kind: ErrorKind, message: impl Into<String>) -> Box<EvalAltResult> {
    thrown(HostError::new(kind, message))
}

pub(super) fn place(position: Position) -> Option<Place> {
    Some(Place { line: position.line()?, column: position.position().unwrap_or(1) })
}

/// A script that is not one.
pub(super) fn not_a_script(file: &str, error: &rhai::ParseError) -> LoadError {
    let hint = match error.err_type() {
        ParseErrorType::Reserved(word)
        | ParseErrorType::BadInput(rhai::LexError::ImproperSymbol(word, _))
            if word == "for" =>
        {
            Some("in META, Prometheus' `for` is written `hold`".to_owned())
        }
        _ => None,
    };
    LoadError { place: place(error.position()), hint, ..LoadError::new(file, error.err_type().to_string()) }
}

/// What went wrong at the top level of a script.
pub(super) fn not_described(file: &str, error: &EvalAltResult, running: &Running) -> LoadError {
    let (inner, position) = innermost(error);
    let message = match running.stopped() {
        Some(stop) => format!("the top level of the script was stopped (limit `{}`)", stop.limit()),
        None => format!("at the top level: {}; only constants and functions stand there", plain(inner)),
    };
    LoadError { place: place(position), ..LoadError::new(file, message) }
}

/// What went wrong in a call.
pub(super) fn failed(call: &Call, error: &EvalAltResult, running: &Running) -> CallError {
    let profile = &call.profile;
    let (inner, position) = innermost(error);
    let base = CallError {
        plugin: profile.name.clone(),
        function: profile.kind.function(),
        kind: ErrorKind::Retryable,
        fault: Fault::Broken,
        message: String::new(),
        limit: None,
        retry_after: None,
        place: place(position).map(|place| Box::new((profile.file.clone(), place))),
    };
    let stopped = |limit: &'static str, message: String| CallError {
        kind: ErrorKind::Limit,
        // A call that waited too long may have waited for others.
        fault: if limit == "time" { Fault::Broken } else { Fault::Stopped },
        message,
        limit: Some(limit),
        ..base.clone()
    };
    match inner {
        EvalAltResult::ErrorTerminated(..) => {
            let stop = running.stopped().unwrap_or(Stop::Time);
            stopped(stop.limit(), stop_message(stop, running, running.time(profile)))
        }
        EvalAltResult::ErrorTooManyOperations(_) => {
            stopped("operations", stop_message(Stop::Operations, running, running.time(profile)))
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            stopped("depth", format!("calls itself more than {} deep", super::engine::CALL_DEPTH))
        }
        EvalAltResult::ErrorTooManyVariables(_) => {
            stopped("variables", format!("has more than {} variables", super::engine::VARIABLES))
        }
        EvalAltResult::ErrorRuntime(value, _) => reported(value, base),
        _ => CallError { message: explained(inner), ..base },
    }
}

fn stop_message(stop: Stop, running: &Running, time: Duration) -> String {
    match stop {
        Stop::Cpu => format!("used more than {} of CPU time", format_duration(running.bounds.cpu)),
        Stop::Memory => format!("held more than {} of memory", bytes(running.bounds.memory)),
        Stop::Time => format!("not done within {}", format_duration(time)),
        Stop::Operations => format!("did more than {} operations", running.bounds.operations),
    }
}

/// `16MiB`, or the number of bytes.
pub(crate) fn bytes(count: usize) -> String {
    match count {
        count if count > 0 && count % (1 << 20) == 0 => format!("{}MiB", count >> 20),
        count if count > 0 && count % (1 << 10) == 0 => format!("{}KiB", count >> 10),
        count => format!("{count} bytes"),
    }
}

/// What a script has thrown: a host's error that it did not catch, or something of its own.
fn reported(value: &Dynamic, base: CallError) -> CallError {
    let Some(map) = value.read_lock::<Map>() else {
        return CallError { fault: Fault::Reported, message: value.to_string(), ..base };
    };
    let text = |name: &str| map.get(name).map(ToString::to_string);
    let kind = text("kind").and_then(|kind| ErrorKind::parse(&kind)).unwrap_or(ErrorKind::Retryable);
    let limit = text("limit").and_then(|limit| known_limit(&limit));
    let after = map.get("retry_after").and_then(|after| super::convert::seconds(after).ok());
    CallError {
        kind,
        fault: if kind == ErrorKind::Limit { Fault::Stopped } else { Fault::Reported },
        message: text("message").unwrap_or_else(|| value.to_string()),
        limit,
        retry_after: after.filter(|_| matches!(kind, ErrorKind::Retryable | ErrorKind::RateLimited)),
        ..base
    }
}

/// The limits that host functions name. A script cannot make up others.
fn known_limit(name: &str) -> Option<&'static str> {
    [
        "steps",
        "queries",
        "samples",
        "state",
        "request_bytes",
        "response_bytes",
        "requests",
        "headers",
        "mails",
        "recipients",
        "file_bytes",
        "files",
        "findings",
        "points",
        "time",
    ]
    .into_iter()
    .find(|known| *known == name)
}

/// The error without the calls around it, and where it is.
fn innermost(error: &EvalAltResult) -> (&EvalAltResult, Position) {
    let mut inner = error;
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, _, next, _) = inner {
        inner = next;
        if !inner.position().is_none() {
            position = inner.position();
        }
    }
    (inner, position)
}

/// The message without the place, which stands elsewhere.
fn plain(error: &EvalAltResult) -> String {
    let mut error = match error {
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            return format!("there is no function {signature}");
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => return format!("there is no variable `{name}`"),
        other => other.to_string(),
    };
    if let Some(at) = error.rfind(" (line ") {
        error.truncate(at);
    }
    error
}

/// The message, and what is behind it where people stumble.
fn explained(error: &EvalAltResult) -> String {
    let message = plain(error);
    let EvalAltResult::ErrorFunctionNotFound(signature, _) = error else { return message };
    let name = signature.split([' ', '(']).next().unwrap_or("");
    let why = ELSEWHERE.iter().find(|(names, _)| {
        names
            .split(' ')
            .any(|known| name == known || name.strip_prefix(known).is_some_and(|r| r.starts_with('_')))
    });
    why.map_or_else(|| message.clone(), |(_, why)| format!("{message}; {why}"))
}
