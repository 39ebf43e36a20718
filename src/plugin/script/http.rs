//! HTTP in scripts: four ways to send, one kind of answer, and `check`.

use std::time::Duration;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};
use url::form_urlencoded::Serializer;

use super::convert::{parse_json, seconds, to_json, to_text};
use super::fault::{throw, thrown};
use super::running::{call, room_for, wait};
use crate::host::{Request, Response};
use crate::memory::uncounted;
use crate::{ErrorKind, HostError};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What a request was answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    host: ImmutableString,
    status: u16,
    headers: Map,
    body: ImmutableString,
}

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("http", |method: &str, url: &str, options: Map| send(method, url, options))
        .register_fn("http_get", |url: &str| send("GET", url, Map::new()))
        .register_fn("http_get", |url: &str, options: Map| send("GET", url, options))
        .register_fn("http_post", |url: &str| send("POST", url, Map::new()))
        .register_fn("http_post", |url: &str, options: Map| send("POST", url, options))
        .register_fn("secret", |name: &str| call()?.stand_in(name).map_err(thrown))
        .register_fn("check", check)
        .register_type_with_name::<Answer>("answer")
        .register_get("status", |answer: &mut Answer| i64::from(answer.status))
        .register_get("ok", |answer: &mut Answer| (200..300).contains(&answer.status))
        .register_get("body", |answer: &mut Answer| answer.body.clone())
        .register_get("headers", |answer: &mut Answer| answer.headers.clone())
        .register_get("json", |answer: &mut Answer| parse_json(&answer.body))
        .register_fn("to_string", |answer: &mut Answer| format!("answer {}", answer.status))
        .register_fn("to_debug", |answer: &mut Answer| format!("answer {}", answer.status));
}

fn send(method: &str, url: &str, options: Map) -> Outcome<Answer> {
    let request = request(method, url, options)?;
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let call = call()?;
    let response = wait(call.http_send(request))?;
    answer(host.unwrap_or_default(), response)
}

/// The answer as the script's own: copied, so that it is counted, and the host's bytes given back uncounted.
fn answer(host: String, response: Response) -> Outcome<Answer> {
    room_for(2 * response.body.len())?;
    // The stand-in of a secret is no host that means anything to people.
    let host = if host.starts_with("fh-") { "the server".into() } else { host.into() };
    let headers = response.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    let answer = Answer {
        host,
        status: response.status,
        headers: headers.collect(),
        body: String::from_utf8_lossy(&response.body).into_owned().into(),
    };
    uncounted(|| drop(response));
    Ok(answer)
}

fn request(method: &str, url: &str, options: Map) -> Outcome<Request> {
    let mut request = Request { method: method.to_owned(), url: url.to_owned(), ..Request::default() };
    let wrong = |message: String| throw(ErrorKind::Permanent, message);
    // What the body is, for each option that gives one.
    let mut bodies: Vec<Option<&str>> = Vec::new();
    for (name, value) in options {
        match name.as_str() {
            "headers" => {
                let map = map(&name, &value)?;
                request.headers =
                    map.iter().map(|(name, value)| (name.to_string(), to_text(value))).collect();
            }
            "query" => request.url = with_query(&request.url, &map(&name, &value)?),
            "json" => {
                request.body = to_json(&value)?.to_string().into_bytes();
                bodies.push(Some("application/json"));
            }
            "form" => {
                request.body = form(&map(&name, &value)?).into_bytes();
                bodies.push(Some("application/x-www-form-urlencoded"));
            }
            "body" => {
                request.body = to_text(&value).into_bytes();
                bodies.push(None);
            }
            "timeout" => request.timeout = Some(seconds(&value)?),
            other => {
                return Err(wrong(format!(
                    "a request has no option `{other}`; known: headers, query, json, form, body, timeout"
                )));
            }
        }
    }
    if bodies.len() > 1 {
        return Err(wrong("a request has one of `json`, `form` and `body`, not several".to_owned()));
    }
    let says = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let (false, Some(Some(kind))) = (says, bodies.first()) {
        request.headers.push(("Content-Type".to_owned(), (*kind).to_owned()));
    }
    Ok(request)
}

fn map(name: &str, value: &Dynamic) -> Outcome<Map> {
    value
        .clone()
        .try_cast::<Map>()
        .ok_or_else(|| throw(ErrorKind::Permanent, format!("the option `{name}` of a request is a map")))
}

/// A list as a value repeats its name.
fn pairs(map: &Map) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in map {
        match value.read_lock::<Array>() {
            Some(items) => pairs.extend(items.iter().map(|item| (name.to_string(), to_text(item)))),
            None => pairs.push((name.to_string(), to_text(value))),
        }
    }
    pairs
}

fn form(map: &Map) -> String {
    let mut out = Serializer::new(String::new());
    out.extend_pairs(pairs(map));
    out.finish()
}

fn with_query(url: &str, map: &Map) -> String {
    let query = form(map);
    if query.is_empty() {
        return url.to_owned();
    }
    let (rest, fragment) = url.split_once('#').map_or((url, None), |(rest, fragment)| (rest, Some(fragment)));
    let separator = if rest.contains('?') { '&' } else { '?' };
    let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
    format!("{rest}{separator}{query}{fragment}")
}

/// Throws what is right for anything but 2xx.
fn check(answer: Answer) -> Outcome<()> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let kind = match answer.status {
        429 => ErrorKind::RateLimited,
        401 | 403 => ErrorKind::Unauthorized,
        408 | 425 | 500..=599 => ErrorKind::Retryable,
        _ => ErrorKind::Permanent,
    };
    let body: String = answer.body.chars().take(200).collect();
    let said = if body.trim().is_empty() { String::new() } else { format!(": {}", body.trim()) };
    let message = format!("{} answered with status {}{said}", answer.host, answer.status);
    let retry_after =
        matches!(kind, ErrorKind::RateLimited | ErrorKind::Retryable).then(|| retry_after(&answer));
    Err(thrown(HostError { retry_after: retry_after.flatten(), ..HostError::new(kind, message) }))
}

/// `Retry-After` in seconds or as a date, or `retry_after` in a JSON body, as Discord has it.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let header = answer.headers.get("retry-after").map(to_text);
    let from_header = header.and_then(|text| {
        let seconds = text.trim().parse::<f64>().ok().or_else(|| {
            let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
            Some(at.as_second() as f64 - call().ok()?.now().as_secs_f64())
        })?;
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    });
    let from_body = || {
        let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
        Duration::try_from_secs_f64(body.get("retry_after")?.as_f64()?.max(0.0)).ok()
    };
    from_body().or(from_header)
}
