//! Alertmanager's API v2.

use std::sync::Arc;

use alerting::{
    AlertDraft, AlertFilter, AlertingView, SilenceDraft, SilenceId, SilenceView, parse_matcher,
    receiver_matches, silence_is_listed,
};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use model::{Annotations, MatchOp, Matcher, Re2, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::alert_json::{alerts_body, groups_body};
use crate::envelope::json_response;
use crate::params::{Params, parse_time};
use crate::posted_alert::PostedAlert;
use crate::refused::{Refused, TOO_FEW, WRONG_FORMAT, wrong_method};
use crate::rule::object;
use crate::state::{Api, ControlError};

/// The version of Alertmanager whose interface this is: amtool compares it with its own.
const ALERTMANAGER_VERSION: &str = "0.33.0";

pub(crate) fn routes() -> Router<Arc<Api>> {
    let read = |handler: MethodRouter<Arc<Api>>| only(handler, "GET");
    let both = |handler: MethodRouter<Arc<Api>>| only(handler, "GET,POST");
    [
        ("/api/v2/status", read(get(status))),
        ("/api/v2/receivers", read(get(receivers))),
        ("/api/v2/alerts", both(get(alerts).post(post_alerts))),
        ("/api/v2/alerts/groups", read(get(groups))),
        ("/api/v2/silences", both(get(silences).post(put_silence))),
        ("/api/v2/silence/{silenceID}", only(get(silence).delete(expire_silence), "DELETE,GET")),
    ]
    .into_iter()
    // Upstream a slash at the end makes no difference.
    .fold(Router::new(), |router, (path, handlers)| {
        router.route(&format!("{path}/"), handlers.clone()).route(path, handlers)
    })
}

/// `handlers`, and what the other methods are answered. Upstream `HEAD` is one of them.
fn only(handlers: MethodRouter<Arc<Api>>, allowed: &'static str) -> MethodRouter<Arc<Api>> {
    let refuse = move |method: Method| async move { wrong_method(&method, allowed) };
    handlers.head(refuse).fallback(refuse)
}

/// API v1 of Alertmanager: senders that still speak it are told that it is gone, and not that there is nobody.
pub(crate) fn routes_of_old() -> Router<Arc<Api>> {
    let gone = async || {
        let error = "API v1 of Alertmanager is no more; send the same alerts to /api/v2/alerts";
        json_response(StatusCode::GONE, json!({"status": "deprecated", "error": error}).to_string())
    };
    ["alerts", "alerts/groups", "receivers", "silence/{id}", "silences", "status"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(&format!("/api/v1/{path}"), any(gone)))
}

fn bad(message: impl Into<String>) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, message)
}

fn answer(value: &Value) -> Response {
    json_response(StatusCode::OK, value.to_string())
}

async fn view_of(api: &Api) -> Result<Arc<AlertingView>, Refused> {
    let stopping = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    api.views.alerting().await.ok_or_else(stopping)
}

async fn status(State(api): State<Arc<Api>>) -> Response {
    let started = api.views.runtime().started;
    answer(&json!({
        "cluster": {"status": "disabled", "peers": []},
        "versionInfo": {
            "version": ALERTMANAGER_VERSION,
            "revision": format!("foghorn {}", env!("CARGO_PKG_VERSION")),
            "branch": "main",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        },
        "config": {"original": api.views.alertmanager_yaml()},
        "uptime": started.to_string(),
    }))
}

fn matchers_of<'a>(api: &Api, texts: impl Iterator<Item = &'a str>) -> Result<Vec<Matcher>, Refused> {
    texts
        .map(|text| {
            // As Alertmanager: braces are for lists.
            if text.starts_with('{') {
                return Err(bad(format!(
                    "bad matcher format: {text}: a filter is one matcher, without braces"
                )));
            }
            parse_matcher(text, api.matcher_mode)
                .map_err(|error| bad(format!("bad matcher format: {text}: {error}")))
        })
        .collect()
}

async fn receivers(State(api): State<Arc<Api>>, params: Params) -> Result<Response, Refused> {
    let wanted = matchers_of(&api, params.all("receiver_matchers"))?;
    let view = view_of(&api).await?;
    let listed: Vec<Value> = view
        .receivers
        .iter()
        .filter(|receiver| receiver_matches(&receiver.labels, &wanted))
        .map(|receiver| json!({"name": &*receiver.name, "labels": object(receiver.labels.iter())}))
        .collect();
    Ok(answer(&json!(listed)))
}

fn filter_of(api: &Api, params: &Params) -> Result<AlertFilter, Refused> {
    let receiver = params
        .get("receiver")
        .map(|pattern| {
            Re2::anchored(pattern).map_err(|error| bad(format!("failed to parse receiver param: {error}")))
        })
        .transpose()?;
    Ok(AlertFilter {
        active: params.yes("active", true),
        silenced: params.yes("silenced", true),
        inhibited: params.yes("inhibited", true),
        unprocessed: params.yes("unprocessed", true),
        muted: params.yes("muted", true),
        matchers: matchers_of(api, params.all("filter"))?,
        receiver,
        receiver_matchers: matchers_of(api, params.all("receiver_matchers"))?,
    })
}

fn annotations_json(annotations: &Annotations) -> Value {
    object(annotations.iter())
}

async fn alerts(State(api): State<Arc<Api>>, params: Params) -> Result<Response, Refused> {
    let filter = filter_of(&api, &params)?;
    Ok(json_body(alerts_body(view_of(&api).await?, filter)))
}

async fn groups(State(api): State<Arc<Api>>, params: Params) -> Result<Response, Refused> {
    let filter = filter_of(&api, &params)?;
    Ok(json_body(groups_body(view_of(&api).await?, filter)))
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A time in a body. Go's zero time and an empty text mean that there is none; without a time it is midnight, without
/// seconds the minute's begin, and without a zone UTC.
fn body_time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refused> {
    let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01T00:00:00")) else {
        return Ok(None);
    };
    let time = match (text.as_bytes().get(10), text.len()) {
        (None, 10) => parse_time(&format!("{text}T00:00:00Z")),
        (Some(b'T'), 16) => parse_time(&format!("{text}:00Z")),
        (Some(b'T'), _) => parse_time(text).or_else(|| parse_time(&format!("{text}Z"))),
        (Some(b' '), 19) => parse_time(&format!("{}Z", text.replacen(' ', "T", 1))),
        _ => None,
    };
    let wrong = || unreadable(format!("parsing {name} failed: `{text}` is not a time; write RFC 3339"));
    time.map(Some).ok_or_else(wrong)
}

/// Bodies are JSON. Browsers cannot send that from another site without asking first.
fn check_json(headers: &HeaderMap) -> Result<(), Refused> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    {
        return Ok(());
    }
    let named = if content_type.is_empty() { "application/octet-stream" } else { content_type };
    Err(Refused::wrong_media_type(format!(
        "unsupported media type {named:?}, only [application/json] are allowed"
    )))
}

fn unreadable(message: String) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, message)
}

fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, Refused> {
    if body.is_empty() {
        return Err(Refused::required(what));
    }
    serde_json::from_slice(body)
        .map_err(|error| unreadable(format!("parsing {what} body from \"\" failed: {error}")))
}

async fn post_alerts(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    check_json(&headers)?;
    let posted: Option<Vec<PostedAlert<'_>>> = read_json(&body, "alerts")?;
    let drafts = posted
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(position, alert)| {
            alert.check(position)?;
            let starts_at = body_time("startsAt", alert.starts_at())?;
            let ends_at = body_time("endsAt", alert.ends_at())?;
            Ok(AlertDraft { starts_at, ends_at, ..alert.draft() })
        })
        .collect::<Result<Vec<_>, Refused>>()?;
    api.control.post_alerts(drafts).await?;
    Ok(StatusCode::OK.into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostableMatcher {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    is_regex: Option<bool>,
    #[serde(default)]
    is_equal: Option<bool>,
}

impl PostableMatcher {
    fn matcher(self, position: usize) -> Result<Matcher, Refused> {
        let required = |name: &str| Refused::required(&format!("matchers.{position}.{name}"));
        let is_regex = self.is_regex.ok_or_else(|| required("isRegex"))?;
        let name = self.name.ok_or_else(|| required("name"))?;
        let value = self.value.ok_or_else(|| required("value"))?;
        let op = match (self.is_equal.unwrap_or(true), is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (false, true) => MatchOp::NotRegex,
        };
        if name.is_empty() {
            return Err(bad("invalid silence: a matcher has no name"));
        }
        Matcher::for_alerts(name, op, value).map_err(|error| bad(format!("invalid silence: {error}")))
    }
}

/// What is missing is said in the interface's own words, and not by the reader of JSON.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PostableSilence {
    id: Option<String>,
    matchers: Option<Vec<PostableMatcher>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

async fn put_silence(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    check_json(&headers)?;
    let posted = read_json::<Option<PostableSilence>>(&body, "silence")?.unwrap_or_default();
    // In the order in which upstream looks.
    let comment = posted.comment.ok_or_else(|| Refused::required("comment"))?;
    let created_by = posted.created_by.ok_or_else(|| Refused::required("createdBy"))?;
    let ends_at = posted.ends_at.ok_or_else(|| Refused::required("endsAt"))?;
    let matchers = posted.matchers.ok_or_else(|| Refused::required("matchers"))?;
    if matchers.is_empty() {
        return Err(Refused::not_valid(TOO_FEW, "matchers in body should have at least 1 items"));
    }
    let matchers = matchers.into_iter().enumerate().map(|(position, matcher)| matcher.matcher(position));
    let matchers = matchers.collect::<Result<_, _>>()?;
    let starts_at = posted.starts_at.ok_or_else(|| Refused::required("startsAt"))?;
    let draft = SilenceDraft {
        id: posted.id.filter(|id| !id.is_empty()).map(|id| SilenceId::new(&id)),
        matcher_sets: vec![matchers],
        starts_at: body_time("startsAt", Some(&starts_at))?,
        ends_at: body_time("endsAt", Some(&ends_at))?,
        created_by,
        comment,
        annotations: posted.annotations.unwrap_or_default().into(),
    };
    let id = api.control.put_silence(draft).await?;
    Ok(answer(&json!({"silenceID": id})))
}

fn silence_json(view: &SilenceView) -> Value {
    let silence = &view.silence;
    // API v2 knows one set of matchers.
    let matchers = silence.matcher_sets.first().map(Vec::as_slice).unwrap_or_default();
    json!({
        "id": silence.id.as_str(),
        "status": {"state": view.state.as_str()},
        "updatedAt": silence.updated_at.to_string(),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": silence.ends_at.to_string(),
        "startsAt": silence.starts_at.to_string(),
        "annotations": annotations_json(&silence.annotations),
        "matchers": matchers.iter().map(|matcher| json!({
            "name": matcher.name(),
            "value": matcher.pattern(),
            "isRegex": matcher.op().is_regex(),
            "isEqual": matcher.op().is_positive(),
        })).collect::<Vec<_>>(),
    })
}

async fn silences(State(api): State<Arc<Api>>, params: Params) -> Result<Response, Refused> {
    let wanted = matchers_of(&api, params.all("filter"))?;
    let states = [
        ("active", params.yes("active", true)),
        ("pending", params.yes("pending", true)),
        ("expired", params.yes("expired", true)),
    ];
    let view = view_of(&api).await?;
    let listed: Vec<Value> = view
        .silences
        .iter()
        .filter(|silence| silence_is_listed(&silence.silence, &wanted))
        .filter(|silence| states.iter().any(|(name, shown)| *shown && *name == silence.state.as_str()))
        .map(silence_json)
        .collect();
    Ok(answer(&json!(listed)))
}

/// Ids are UUIDs; another text is a mistake of the client, and not an id that is not there.
fn check_id(id: &str) -> Result<(), Refused> {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    let hex = id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if hex && parts == [8, 4, 4, 4, 12] {
        return Ok(());
    }
    Err(Refused::not_valid(WRONG_FORMAT, format!("silenceID in path must be of type uuid: {id:?}")))
}

async fn silence(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, Refused> {
    check_id(&id)?;
    let view = view_of(&api).await?;
    match view.silence(&SilenceId::new(&id)) {
        Some(silence) => Ok(answer(&silence_json(silence))),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

async fn expire_silence(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response, Refused> {
    check_id(&id)?;
    match api.control.expire_silence(&id).await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(ControlError::NotFound(_)) => Ok(StatusCode::NOT_FOUND.into_response()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_bodies() {
        assert_eq!(body_time("t", Some("0001-01-01T00:00:00Z")).ok().flatten(), None);
        assert_eq!(
            body_time("t", Some("1970-01-01T00:00:01Z")).ok().flatten(),
            Some(Timestamp::from_secs(1))
        );
        for (text, seconds) in [
            ("2020-01-01", 1_577_836_800),
            ("2020-01-01T00:01", 1_577_836_860),
            ("2020-01-01T00:00:02", 1_577_836_802),
            ("2020-01-01 00:00:02", 1_577_836_802),
            ("2020-01-01T01:00:00+01:00", 1_577_836_800),
        ] {
            let time = body_time("t", Some(text)).ok().flatten();
            assert_eq!(time, Some(Timestamp::from_secs(seconds)), "{text}");
        }
        for text in ["12", "2020-01-01 00:01", "2020-01-01X00:00:00Z", "2020-01-01T", "äöüäöüäöü"] {
            assert!(body_time("t", Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_uuids() {
        assert!(check_id("0b2a1c3d-0000-4000-8000-0123456789ab").is_ok());
        assert!(check_id("abc").is_err());
    }
}
