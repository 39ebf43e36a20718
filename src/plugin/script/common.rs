//! What every script may call: parameters, time, log, state, own metrics.

use bytes::Bytes;
use model::Labels;
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use super::convert::{from_json, labels, number, parse_json, seconds, time, to_json, to_text};
use super::fault::{throw, thrown};
use super::running::call;
use crate::ErrorKind;
use crate::host::{Level, Operation};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("param", |name: &str| param(name))
        .register_fn("now", || Ok::<_, Box<EvalAltResult>>(time(call()?.now())))
        .register_fn("warn", |text: Dynamic| say(Level::Warn, &text))
        .register_fn("error", |text: Dynamic| say(Level::Error, &text));
    state(engine);
    metrics(engine);
}

fn param(name: &str) -> Outcome<Dynamic> {
    let call = call()?;
    match call.param(name) {
        Some(value) => Ok(from_json(value)),
        None => Err(throw(ErrorKind::Config, call.unknown_param(name))),
    }
}

fn say(level: Level, text: &Dynamic) -> Outcome<()> {
    call()?.log(level, &to_text(text), &[]);
    Ok(())
}

fn state(engine: &mut Engine) {
    fn get(key: &str) -> Outcome<Dynamic> {
        let Some(value) = call()?.state_get(key) else { return Ok(Dynamic::UNIT) };
        match std::str::from_utf8(&value) {
            Ok(text) => parse_json(text).or_else(|_| Ok(text.into())),
            Err(_) => Ok(Dynamic::UNIT),
        }
    }
    fn set(key: &str, value: &Dynamic, ttl: Option<&Dynamic>) -> Outcome<()> {
        let ttl = ttl.map(seconds).transpose()?;
        let value = Bytes::from(to_json(value)?.to_string());
        call()?.state_set(key, value, ttl).map_err(thrown)
    }
    engine
        .register_fn("state_get", get)
        .register_fn("state_set", |key: &str, value: Dynamic| set(key, &value, None))
        .register_fn("state_set", |key: &str, value: Dynamic, ttl: Dynamic| set(key, &value, Some(&ttl)))
        .register_fn("state_del", |key: &str| -> Outcome<()> {
            call()?.state_delete(key);
            Ok(())
        })
        .register_fn("state_keys", |prefix: &str| -> Outcome<Array> {
            Ok(call()?.state_keys(prefix).into_iter().map(Dynamic::from).collect())
        });
}

fn metrics(engine: &mut Engine) {
    fn apply(name: &str, labels: Labels, operation: Operation) -> Outcome<()> {
        call()?.metric(name, labels, operation);
        Ok(())
    }
    let operations: [(&str, fn(f64) -> Operation); 3] = [
        ("metric_add", Operation::Add),
        ("metric_set", Operation::Set),
        ("metric_observe", Operation::Observe),
    ];
    for (function, operation) in operations {
        engine
            .register_fn(function, move |name: &str, value: Dynamic| {
                apply(name, Labels::empty(), operation(number(&value)?))
            })
            .register_fn(function, move |name: &str, with: Map, value: Dynamic| {
                apply(name, labels(&with)?, operation(number(&value)?))
            });
    }
}
