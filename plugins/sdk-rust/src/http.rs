//! HTTP to hosts that the operator granted, for exporters and notifiers.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, ErrorKind, Result, Timestamp, clock, host};

/// A request that is being put together.
///
/// ```no_run
/// # fn main() -> foghorn_plugin::Result<()> {
/// use foghorn_plugin::{http::Request, json, secret::secret};
///
/// Request::post(secret("webhook_url")?).json(&json!({ "content": "hello" }))?.send()?.check()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole address; may hold a secret's stand-in.
    pub url: String,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The call's remaining time if none.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request with any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Request::new("GET", url)
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Request::new("POST", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        self.url.push_str(&url_encode(name));
        self.url.push('=');
        self.url.push_str(&url_encode(value));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body and its type to JSON.
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        Ok(self.header("Content-Type", "application/json").body(serde_json::to_vec(value)?))
    }

    /// Gives up earlier than the call as a whole.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it. Any status is an answer; an error means that there was none.
    pub fn send(self) -> Result<Response> {
        host::http_send(self)
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status: 200, 404, …
    pub status: u16,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// This answer if it is 2xx, else the error that it means: 429 is [`ErrorKind::RateLimited`] with the time that
    /// the other side asks for, 401 and 403 [`ErrorKind::Unauthorized`], 408, 425 and 5xx [`ErrorKind::Retryable`],
    /// anything else [`ErrorKind::Permanent`].
    pub fn check(self) -> Result<Response> {
        let kind = match self.status {
            200..300 => return Ok(self),
            429 => ErrorKind::RateLimited,
            401 | 403 => ErrorKind::Unauthorized,
            408 | 425 | 500.. => ErrorKind::Retryable,
            _ => ErrorKind::Permanent,
        };
        let retry_after = match kind {
            ErrorKind::RateLimited | ErrorKind::Retryable => self.retry_after(),
            _ => None,
        };
        let body = self.text();
        let said = match excerpt(body.trim()) {
            "" => String::new(),
            said => format!(": {said}"),
        };
        Err(Error {
            kind,
            message: format!("the server answered with status {}{said}", self.status),
            retry_after,
        })
    }

    /// For how long the other side asks us to wait: the header `Retry-After` (seconds or a date), or `retry_after` in
    /// a JSON body (seconds; Telegram's stands in `parameters`). A JSON body says it more exactly, so it goes first.
    fn retry_after(&self) -> Option<Duration> {
        let json: Option<Value> = serde_json::from_slice(&self.body).ok();
        let in_body = json.and_then(|json| {
            json["retry_after"].as_f64().or_else(|| json["parameters"]["retry_after"].as_f64())
        });
        let in_header = || {
            let text = self.header("Retry-After")?.trim();
            let until = |date: Timestamp| (date.0 - clock::now().0).max(0) as f64 / 1000.0;
            text.parse().ok().or_else(|| Timestamp::from_http_date(text).map(until))
        };
        let seconds: f64 = in_body.or_else(in_header)?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// The beginning of a text, for a message.
fn excerpt(text: &str) -> &str {
    let mut end = text.len().min(300);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Percent-encodes all but letters, digits and `-._~`.
pub fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An address with `path` behind its own: its query stays where it was, and what `path` brings is added to it.
pub fn below(base: &str, path: &str) -> String {
    let (base, query) = base.split_once('?').map_or((base, ""), |(base, query)| (base, query));
    let (path, more) = path.split_once('?').map_or((path, ""), |(path, more)| (path, more));
    let query: Vec<&str> = [query, more].into_iter().filter(|query| !query.is_empty()).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}/{}{mark}{}", base.trim_end_matches('/'), path.trim_start_matches('/'), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    fn answer(status: u16, header: &str, body: &str) -> Response {
        let headers = vec![("retry-after".to_owned(), header.to_owned())];
        Response { status, headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn statuses_mean_what_the_field_says() {
        use ErrorKind::*;
        let cases = [
            (204, None),
            (302, Some(Permanent)),
            (400, Some(Permanent)),
            (401, Some(Unauthorized)),
            (403, Some(Unauthorized)),
            (404, Some(Permanent)),
            (408, Some(Retryable)),
            (425, Some(Retryable)),
            (429, Some(RateLimited)),
            (500, Some(Retryable)),
            (503, Some(Retryable)),
        ];
        for (status, kind) in cases {
            assert_eq!(answer(status, "", "").check().err().map(|error| error.kind), kind, "{status}");
        }
    }

    #[test]
    fn reads_how_long_to_wait() {
        let cases = [
            ("", "", None),
            ("2", "", Some(2.0)),
            ("1.5", "{}", Some(1.5)),
            ("soon", "", None),
            ("-1", "", None),
            ("3", r#"{"retry_after": 0.65}"#, Some(0.65)),
            ("", r#"{"parameters": {"retry_after": 5}}"#, Some(5.0)),
            ("Thu, 01 Jan 1970 00:01:30 GMT", "", Some(30.0)),
            ("Thu, 01 Jan 1970 00:00:30 GMT", "", Some(0.0)),
        ];
        for (header, body, seconds) in cases {
            let got = FakeHost::new().now(60_000).run(|| answer(429, header, body).check());
            let got = got.expect_err("429 is an error").retry_after.map(|wait| wait.as_secs_f64());
            assert_eq!(got, seconds, "{header:?} {body:?}");
        }
    }

    #[test]
    fn says_what_the_server_said() {
        let said = answer(400, "", "  invalid form body\n").check().expect_err("400 is an error").message;
        assert_eq!(said, "the server answered with status 400: invalid form body");
        let long = answer(400, "", &"ü".repeat(1000)).check().expect_err("400 is an error").message;
        assert!(long.len() < 400);
    }

    #[test]
    fn a_path_goes_below_an_address() {
        for (base, path, wanted) in [
            ("https://a.test", "v2/x", "https://a.test/v2/x"),
            ("https://a.test/", "/v2/x", "https://a.test/v2/x"),
            ("https://a.test/og?t=1", "v2", "https://a.test/og/v2?t=1"),
            ("https://a.test/og/?t=1", "v2?by=alias", "https://a.test/og/v2?t=1&by=alias"),
            ("https://a.test", "v2?by=alias", "https://a.test/v2?by=alias"),
        ] {
            assert_eq!(below(base, path), wanted);
        }
    }

    #[test]
    fn query_parameters_are_added() {
        let request = Request::get("https://a.test/x").query("q", "a b&c").query("wait", "true");
        assert_eq!(request.url, "https://a.test/x?q=a%20b%26c&wait=true");
    }
}
