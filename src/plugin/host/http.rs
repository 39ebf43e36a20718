//! HTTP to hosts that the operator granted.
//!
//! The name is checked here, with a message that says what to grant; every resolved address and every redirect are
//! checked by [`ports::Outgoing`], which connects to the address that it checked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Secret;
use ports::{HttpRequest, HttpResponse, OutgoingError, Reach};
use url::Url;

use super::secrets::{Written, shown};
use super::{Call, Exchange, limit};
use crate::grants::HostPattern;
use crate::{ErrorKind, HostError, Kind};

/// A request as a plugin describes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The call's remaining time if none.
    pub(crate) timeout: Option<Duration>,
}

/// An answer, without secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// Headers that say where a message goes or how it is framed: the client's business.
const OWN_HEADERS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "proxy-authorization",
    "proxy-connection",
];
const HEADERS: usize = 100;
const HEADER_BYTES: usize = 64 * 1024;

impl Call {
    /// Sends one request. Any status is `Ok`; an error means that there was no answer.
    pub(crate) async fn http_send(&self, request: Request) -> Result<Response, HostError> {
        let outcome = match self.prepare(request) {
            Ok(request) => self.exchange(request).await,
            Err(error) => Err(error),
        };
        let outcome =
            outcome.map_err(|error| HostError { message: self.redact_text(&error.message), ..error });
        self.counted("http", outcome)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<Response, HostError> {
        let asks = matches!(request.method.as_str(), "GET" | "HEAD");
        let sent = self.in_time(self.profile.services.outgoing.send(request)).await;
        let exchange = match &sent {
            Ok(Ok(answer)) => Exchange::Status { status: answer.status, pause: pause(answer) },
            Ok(Err(error)) => unanswered(error),
            Err(_) => Exchange::TimedOut,
        };
        match exchange {
            // Some gateways are told with a GET: without an answer that may have happened.
            Exchange::Status { .. } if asks => self.note_question(exchange),
            _ => self.note_exchange(exchange),
        }
        let answer = sent?.map_err(no_answer)?;
        let headers = answer.headers.into_iter().map(|(name, value)| (name, self.redact_text(&value)));
        Ok(Response { status: answer.status, headers: headers.collect(), body: self.redact(answer.body) })
    }

    /// The request as it leaves: checked, with the secrets in it.
    fn prepare(&self, request: Request) -> Result<HttpRequest, HostError> {
        let limits = &self.limits;
        self.count_request()?;
        if request.body.len() > limits.request_bytes {
            return Err(limit(
                "request_bytes",
                format!(
                    "a request body of {} bytes; {} are allowed",
                    request.body.len(),
                    limits.request_bytes
                ),
            ));
        }
        let written = check_headers(&request.headers)?;
        let mut found = Vec::new();
        let address = self.fill_url(&request.url, &mut found);
        let url = self.terms.url(&address, parse)?;
        let mut headers: Vec<(String, Secret<String>)> = self
            .http_headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new(value.clone())))
            .collect();
        for (name, value) in request.headers {
            let value = self.fill(value.into_bytes(), Written::Plain, &mut found);
            let value = String::from_utf8(value).expect("texts were put into a text");
            headers.push((name, Secret::new(value)));
        }
        let body = self.fill(request.body, written, &mut found);
        self.granted(&url)?;
        let reach = self.reach(&found, &url)?;
        Ok(HttpRequest {
            method: method(&request.method)?,
            url: Secret::new(address),
            headers,
            body: body.into(),
            timeout: request.timeout.map_or(self.left(), |timeout| timeout.min(self.left())),
            response_bytes_max: limits.response_bytes,
            // A message that was accepted is not to be sent again because of what else the answer says.
            partial_answer: self.profile.kind == Kind::Notifier,
            decompress: true,
            reach: Reach::Hosts(reach),
            options: Arc::clone(&self.terms.http_options),
        })
    }

    fn count_request(&self) -> Result<(), HostError> {
        let mut used = self.used();
        if used.requests >= self.limits.requests {
            return Err(limit(
                "requests",
                format!("more than {} requests in one call", self.limits.requests),
            ));
        }
        used.requests += 1;
        Ok(())
    }

    /// Whether the host of `url` is granted.
    fn granted(&self, url: &Url) -> Result<(), HostError> {
        let hosts = || self.terms.hosts.iter().chain(&self.target);
        if hosts().any(|host| host.matches(url)) {
            return Ok(());
        }
        let wanted = shown(url);
        let granted: Vec<String> = hosts().map(HostPattern::to_string).collect();
        let granted = if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
        Err(HostError::new(
            ErrorKind::Denied,
            format!(
                "the host `{wanted}` is not granted (granted: {granted}); to grant it, add `allow: {{ hosts: [\"{wanted}\"] \
                 }}` for {} under `plugins:`",
                self.profile.file
            ),
        ))
    }
}

fn parse(address: &str) -> Result<Url, HostError> {
    let wrong = |message: String| HostError::new(ErrorKind::Permanent, message);
    // Not the address itself: it may hold a secret.
    let url = Url::parse(address)
        .map_err(|problem| wrong(format!("the URL of the request is wrong: {problem}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!(
            "the URL has the scheme `{}`; only http and https are sent",
            url.scheme()
        )));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("the URL of the request has no host".to_owned()));
    }
    Ok(url)
}

fn method(name: &str) -> Result<String, HostError> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let upper = name.to_ascii_uppercase();
    if known.contains(&upper.as_str()) {
        return Ok(upper);
    }
    Err(HostError::new(
        ErrorKind::Permanent,
        format!("`{}` is not a method; known: {}", name.escape_debug(), known.join(", ")),
    ))
}

/// Checks a request's headers; how stand-ins in its body are to be written.
fn check_headers(headers: &[(String, String)]) -> Result<Written, HostError> {
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS || size > HEADER_BYTES {
        return Err(limit(
            "headers",
            format!("more than {HEADERS} headers, or {HEADER_BYTES} bytes of them"),
        ));
    }
    let mut written = Written::Plain;
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        let is_token = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token || value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            return Err(HostError::new(
                ErrorKind::Permanent,
                format!("the header `{}` is not one that can be sent", name.escape_debug()),
            ));
        }
        if OWN_HEADERS.contains(&lower.as_str()) {
            return Err(HostError::new(
                ErrorKind::Denied,
                format!("the header `{name}` is set by the host alone"),
            ));
        }
        if lower == "content-type" {
            written = match value.to_ascii_lowercase() {
                kind if kind.contains("json") => Written::Json,
                kind if kind.contains("x-www-form-urlencoded") => Written::Form,
                _ => Written::Plain,
            };
        }
    }
    Ok(written)
}

/// How long the other side takes nothing more, if it says: Discord's headers, with a remainder of none.
fn pause(answer: &HttpResponse) -> Option<Duration> {
    let none_left = answer.header("x-ratelimit-remaining")?.trim() == "0";
    let seconds: f64 = answer.header("x-ratelimit-reset-after")?.trim().parse().ok()?;
    none_left.then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// What a request without an answer came to.
pub(super) fn unanswered(error: &OutgoingError) -> Exchange {
    match error {
        OutgoingError::Denied(_) | OutgoingError::Invalid(_) | OutgoingError::NoConnection(_) => {
            Exchange::Nothing
        }
        // In HTTP's words: the server's own fault for now, ours for good.
        OutgoingError::Refused { code, .. } => {
            Exchange::Status { status: if *code < 500 { 503 } else { 400 }, pause: None }
        }
        OutgoingError::Timeout(_) => Exchange::TimedOut,
        OutgoingError::Unreachable(_) | OutgoingError::TooLarge(_) => Exchange::NoAnswer,
    }
}

pub(super) fn no_answer(error: OutgoingError) -> HostError {
    let kind = match &error {
        OutgoingError::Denied(_) => ErrorKind::Denied,
        OutgoingError::Invalid(_) => ErrorKind::Permanent,
        // 53x is about who we are.
        OutgoingError::Refused { code: 530 | 534 | 535 | 538, .. } => ErrorKind::Unauthorized,
        OutgoingError::Refused { code: 500.., .. } => ErrorKind::Permanent,
        OutgoingError::Refused { .. } => ErrorKind::Retryable,
        OutgoingError::NoConnection(_) | OutgoingError::Unreachable(_) | OutgoingError::Timeout(_) => {
            ErrorKind::Retryable
        }
        OutgoingError::TooLarge(_) => return limit("response_bytes", error.to_string()),
    };
    HostError::new(kind, error.to_string())
}
