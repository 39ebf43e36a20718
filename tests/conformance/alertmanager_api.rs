//! Requests to Alertmanager's API v2, sent to a whole server. Every answer is also checked against the OpenAPI document.

mod expectation;
mod openapi;

use std::path::{Path, PathBuf};
use std::time::Duration;

use alerting::MatcherMode;
use model::{Secret, Timestamp};
use ports::{HttpRequest, Outgoing as _};
use serde_json::{Map, Value, json};
use server::{HttpOutgoing, Options, Server};

use self::expectation::Seen;
use self::openapi::Document;
use crate::{Report, read_json};

const AREA: &str = "alertmanager";
const TABLE: &str = "api_v2_scenarios";
/// For cases that do not say how the server is configured.
const ANY_CONFIG: &str = "route: {receiver: default}\nreceivers: [{name: default}]\n";
/// A silence's id that no server has given out.
const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let Some(file) = read_json(&corpus.join(AREA).join(format!("{TABLE}.json"))) else { return };
    let document = Document::read(&corpus.join("http-api/alertmanager-openapi-v2.yaml"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be had");
    let dir = tempfile::tempdir().expect("a directory for temporary files");
    for (place, case) in file["cases"].as_array().into_iter().flatten().enumerate() {
        let id = case["id"].as_str().unwrap_or_default();
        let (home, cache) = (dir.path().join(place.to_string()), dir.path().join("cache"));
        report.case(AREA, TABLE, id, || runtime.block_on(check(case, home, cache, document.as_ref())));
    }
}

/// A receiver of webhooks that takes everything.
async fn sink() -> Result<String, String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 65_536];
                // What it says does not matter here.
                let _ = stream.read(&mut bytes).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                    .await;
            });
        }
    });
    Ok(address.to_string())
}

async fn check(
    case: &Value,
    home: PathBuf,
    cache: PathBuf,
    document: Option<&Document>,
) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&home).map_err(io)?;
    let config = case["config"].as_str().unwrap_or(ANY_CONFIG).replace("${RECEIVER_1}", &sink().await?);
    let file = home.join("alertmanager.yml");
    std::fs::write(&file, config).map_err(io)?;
    let matcher_mode = if case["mode"] == "classic" { MatcherMode::Classic } else { MatcherMode::default() };
    let options =
        Options { matcher_mode, plugin_cache: cache, ..Options::new(vec![file], home.join("data")) };
    let server = Server::start(options).await.map_err(|error| error.to_string())?;
    let address = server.pages().first().copied().ok_or("the server listens nowhere")?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (_reload, reload) = tokio::sync::mpsc::channel(1);
    let goes_on = tokio::spawn(server.run(
        async move {
            let _ = stopped.await;
        },
        reload,
    ));
    let mut session = Session {
        base: format!("http://{address}"),
        client: HttpOutgoing::new(),
        document,
        started: Timestamp::from_millis(millis_now()),
        saved: Map::new(),
        last_silence: usual_silence(),
    };
    let mut outcome = Ok(());
    for (place, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        outcome = session.step(step).await.map_err(|error| format!("step {place}: {error}"));
        if outcome.is_err() {
            break;
        }
    }
    let _ = stop.send(());
    goes_on.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    outcome
}

fn millis_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

fn usual_silence() -> Value {
    json!({
        "matchers": [{"name": "a", "value": "b", "isRegex": false}],
        "startsAt": "now", "endsAt": "now+1h", "createdBy": "somebody", "comment": "quiet",
    })
}

struct Session<'a> {
    base: String,
    client: HttpOutgoing,
    document: Option<&'a Document>,
    started: Timestamp,
    /// Ids by the names that later steps use.
    saved: Map<String, Value>,
    last_silence: Value,
}

impl Session<'_> {
    async fn step(&mut self, step: &Value) -> Result<(), String> {
        if let Some(seconds) = step["wait_s"].as_f64() {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            return Ok(());
        }
        let order = match step["given"].as_str() {
            Some(given) => self.make_silences(given).await?,
            None => Vec::new(),
        };
        let (method, path) =
            step["request"].as_str().and_then(|request| request.split_once(' ')).ok_or("no request")?;
        let path = self.path(path).await?;
        let body = self.body(method, &path, step)?;
        let (status, text) = self.send(method, &path, step.get("query"), body.as_deref()).await?;
        let said = || format!("{method} {path} {}: {status} {text}", body.as_deref().unwrap_or_default());
        match step["expect_status"].as_u64() {
            Some(expected) if expected != u64::from(status) => {
                return Err(format!("{expected} expected, {}", said()));
            }
            None if status != 200 => return Err(format!("200 expected, {}", said())),
            _ => {}
        }
        if let Some(part) = step["error_contains"].as_str().filter(|part| !text.contains(part)) {
            return Err(format!("`{part}` is missing, {}", said()));
        }
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(name) = step["save"].as_str() {
            self.saved.insert(name.to_owned(), json["silenceID"].clone());
        }
        if step.get("expect_body").is_some_and(|expected| *expected != json) {
            return Err(format!("{} expected, {}", step["expect_body"], said()));
        }
        if let Some(names) = step.get("expect_names") {
            let found: Value =
                json.as_array().into_iter().flatten().map(|item| item["name"].clone()).collect();
            if found != *names {
                return Err(format!("names {names} expected, {}", said()));
            }
        }
        let Some(expectation) = step["expect"].as_str() else { return Ok(()) };
        let listed = match json.get("silenceID").and_then(Value::as_str) {
            // What was made of it can be seen.
            Some(id) => self.get(&format!("/api/v2/silence/{id}")).await?,
            None => json,
        };
        let seen = Seen { answer: &listed, saved: &self.saved, order: &order };
        seen.check(expectation).map_err(|error| format!("{error} ({expectation}), {}", said()))
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let (_, text) = self.send("GET", path, None, None).await?;
        serde_json::from_str(&text).map_err(|error| format!("GET {path}: {error}"))
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        query: Option<&Value>,
        body: Option<&str>,
    ) -> Result<(u16, String), String> {
        let mut url = format!("{}{path}", self.base);
        for (name, values) in query.and_then(Value::as_object).into_iter().flatten() {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let sign = if url.contains('?') { '&' } else { '?' };
                url.push_str(&format!("{sign}{name}={}", percent_encoded(value)));
            }
        }
        let mut request = HttpRequest {
            method: method.to_owned(),
            url: Secret::new(url),
            timeout: Duration::from_secs(30),
            response_bytes_max: 10_000_000,
            ..HttpRequest::default()
        };
        if let Some(body) = body {
            request.headers.push(("content-type".to_owned(), Secret::new("application/json".to_owned())));
            request.body = body.to_owned().into();
        }
        let answer = self.client.send(request).await.map_err(|error| format!("{method} {path}: {error}"))?;
        let (status, text) = (answer.status, String::from_utf8_lossy(&answer.body).into_owned());
        if let Some(document) = self.document {
            document.check(method, path, status, &text)?;
        }
        Ok((status, text))
    }

    /// The path with ids in place of what stands for them.
    async fn path(&mut self, path: &str) -> Result<String, String> {
        let Some((head, wanted)) = path.split_once('<') else {
            let (place, query) = path.split_once('?').unwrap_or((path, ""));
            let place: Vec<&str> = place
                .split('/')
                .map(|part| {
                    let name = part.trim_start_matches("${").trim_end_matches('}');
                    self.saved.get(name).and_then(Value::as_str).unwrap_or(part)
                })
                .collect();
            let place = place.join("/");
            return Ok(if query.is_empty() { place } else { format!("{place}?{query}") });
        };
        if wanted.contains("unknown") {
            return Ok(format!("{head}{UNKNOWN_ID}"));
        }
        let id = self.put_silence(&usual_silence()).await?;
        if wanted.contains("expired") {
            self.send("DELETE", &format!("/api/v2/silence/{id}"), None, None).await?;
        }
        Ok(format!("{head}{id}"))
    }

    async fn put_silence(&self, silence: &Value) -> Result<String, String> {
        let body = self.with_times(silence).to_string();
        let (status, text) = self.send("POST", "/api/v2/silences", None, Some(&body)).await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        answer["silenceID"].as_str().map(str::to_owned).ok_or_else(|| format!("no silence: {status} {text}"))
    }

    fn body(&mut self, method: &str, path: &str, step: &Value) -> Result<Option<String>, String> {
        if let Some(text) = step["body_json"].as_str() {
            // Taken over from a test of the reading alone: by now its times have passed.
            let mut body: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            body["startsAt"] = "now".into();
            body["endsAt"] = "now+1h".into();
            return Ok(Some(self.with_times(&body).to_string()));
        }
        let body = match &step["body"] {
            Value::Null if method == "POST" && path.ends_with("/silences") => {
                let mut silence = usual_silence();
                silence["id"] = step["id"].clone();
                silence
            }
            Value::Null => return Ok(None),
            Value::String(words) if words.starts_with("the same silence") => {
                let mut silence = self.last_silence.clone();
                silence["id"] = words.split('"').nth(1).unwrap_or_default().into();
                silence
            }
            Value::String(words) => return Err(format!("a body that cannot be read: {words}")),
            body => body.clone(),
        };
        if path.ends_with("/silences") {
            self.last_silence = body.clone();
        }
        Ok(Some(self.with_times(&body).to_string()))
    }

    /// `now`, `now+5m`, and the time at which the case began.
    fn with_times(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.with_times(value))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.with_times(item)).collect(),
            Value::String(text) if text == "same as the alert" => self.started.to_string().into(),
            Value::String(text) => match text.strip_prefix("now") {
                Some("") => Timestamp::from_millis(millis_now()).to_string().into(),
                Some(shift) => {
                    let sign = if shift.starts_with('-') { -1 } else { 1 };
                    match model::parse_duration(&shift[1..]) {
                        Ok(by) => Timestamp::from_millis(millis_now() + sign * by.as_millis() as i64)
                            .to_string()
                            .into(),
                        Err(_) => value.clone(),
                    }
                }
                None => value.clone(),
            },
            other => other.clone(),
        }
    }

    /// Silences as a case describes them: `STATE START-END (PLACE)`, clock times of one day. The answer is their ids by
    /// the place at which they are to be listed. Only the order of the times can be kept: the clock is the real one.
    async fn make_silences(&self, given: &str) -> Result<Vec<String>, String> {
        let described = given.rsplit_once("): ").map_or(given, |(_, list)| list);
        let mut silences: Vec<(&str, i64, i64, usize)> = described
            .split(", ")
            .map(described_silence)
            .collect::<Option<_>>()
            .ok_or("silences that cannot be read")?;
        // Those that end first are ended first.
        silences.sort_by_key(|(_, _, end, _)| *end);
        let mut places: Vec<(usize, String)> = Vec::new();
        for (state, start, end, place) in silences {
            let (starts, ends) = match state {
                "pending" => (format!("now+{}m", 60 + start), "now+48h".to_owned()),
                _ => ("now".to_owned(), format!("now+{}m", 60 + end)),
            };
            let mut silence = usual_silence();
            silence["startsAt"] = starts.into();
            silence["endsAt"] = ends.into();
            let id = self.put_silence(&silence).await?;
            if state == "expired" {
                self.send("DELETE", &format!("/api/v2/silence/{id}"), None, None).await?;
                // Ends are told apart by the millisecond.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            places.push((place, id));
        }
        places.sort();
        Ok(places.into_iter().map(|(_, id)| id).collect())
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// `active 12:00-13:00 (1)`: state, minutes of start and end, place.
fn described_silence(text: &str) -> Option<(&str, i64, i64, usize)> {
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        Some(hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
    };
    let mut words = text.split(' ');
    let state = words.next()?;
    let (start, end) = words.next()?.split_once('-')?;
    let place = words.next()?.trim_matches(['(', ')']).parse().ok()?;
    Some((state, minutes(start)?, minutes(end)?, place))
}
