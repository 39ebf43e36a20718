//! The one way out: every HTTP request and every mail that Foghorn sends leaves here.
//!
//! In: requests with their reach and options. Out: whole answers, or errors without credentials.
//! Not here: what is sent, and whether it is tried again.
//! Invariant: a request with [`Reach::Hosts`] connects only to an address that was checked against the grant, also
//! after a redirect; the name is resolved once, by us, and the connection goes to what was checked.

mod aws;
mod client;
mod credentials;
mod reach;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use futures_util::StreamExt as _;
use ports::{
    BoxFuture, HttpAuth, HttpOptions, HttpRequest, HttpResponse, Mail, Outgoing, OutgoingError, Reach,
    SmtpServer,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use tokio::time::Instant;

use aws::{KeptPair, Signed};
pub(crate) use client::tls_config;
use client::{build_client, files_of};
use credentials::{Kept, Style, read_credential, take_userinfo};
use reach::Fence;

/// Redirects of one request.
const REDIRECTS_MAX: usize = 10;
/// Redirects of a plugin's request.
const PLUGIN_REDIRECTS_MAX: usize = 3;
/// Clients that are kept, each with its pool of connections. When there are more, all are dropped and made again.
const CLIENTS_MAX: usize = 256;
/// How much of a request's time the rest of an answer may take whose status has come and says all that matters.
const ANSWER_SHARE: f64 = 0.8;
/// How we name ourselves where the request does not.
const USER_AGENT: &str = concat!("Foghorn/", env!("CARGO_PKG_VERSION"));

/// Sends requests with reqwest.
#[derive(Default)]
pub struct HttpOutgoing {
    /// The one that was found last comes first.
    clients: Mutex<Vec<Arc<Known>>>,
    tokens: Mutex<HashMap<Arc<HttpOptions>, Kept>>,
    /// What token servers take from which client: by address and client.
    styles: Mutex<HashMap<(String, String), Style>>,
    /// Keys for AWS that were had.
    pairs: Mutex<HashMap<Arc<HttpOptions>, KeptPair>>,
}

/// A client, and whom it is for.
struct Known {
    options: Arc<HttpOptions>,
    reach: Reach,
    fence: Fence,
    /// What the files held that it is made of.
    files: Vec<Option<String>>,
    client: Client,
    /// The address that was asked for last, and that may be asked for.
    url: Mutex<Option<(String, Url)>>,
}

impl Known {
    /// `address`, if it may be asked for.
    fn url(&self, address: &str) -> Result<Url, OutgoingError> {
        let mut last = self.url.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = last.as_ref().filter(|(known, _)| known == address) {
            return Ok(url.clone());
        }
        let url = Url::parse(address)
            .map_err(|error| OutgoingError::Invalid(format!("the address is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutgoingError::Invalid(format!(
                "the address has the scheme `{}`; only http and https",
                url.scheme()
            )));
        }
        self.fence.check(&url)?;
        *last = Some((address.to_owned(), url.clone()));
        Ok(url)
    }

    /// Comparing all of the options takes longer than the rest of a request; most come with the very same ones again.
    fn is_for(&self, options: &Arc<HttpOptions>, reach: &Reach) -> bool {
        let same_reach = match (&self.reach, reach) {
            (Reach::Hosts(own), Reach::Hosts(other)) => Arc::ptr_eq(own, other) || own == other,
            (own, other) => own == other,
        };
        same_reach && (Arc::ptr_eq(&self.options, options) || self.options == *options)
    }
}

impl HttpOutgoing {
    /// Without connections yet.
    pub fn new() -> Self {
        HttpOutgoing::default()
    }

    fn client(&self, options: &Arc<HttpOptions>, reach: &Reach) -> Result<Arc<Known>, OutgoingError> {
        let files = files_of(options)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = clients.iter().position(|known| known.is_for(options, reach)) {
            clients.swap(0, index);
            // Certificates in files may have changed.
            if clients[0].files == files {
                return Ok(Arc::clone(&clients[0]));
            }
            clients.swap_remove(0);
        }
        let known = Arc::new(Known {
            options: Arc::clone(options),
            reach: reach.clone(),
            fence: Fence::of(reach),
            files,
            client: build_client(options, reach)?,
            url: Mutex::default(),
        });
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.push(Arc::clone(&known));
        Ok(known)
    }

    /// The request's own headers, those of the operator, and the credentials: `in_url` are those of its address.
    async fn headers(
        &self,
        request: &HttpRequest,
        in_url: Option<HeaderValue>,
    ) -> Result<HeaderMap, OutgoingError> {
        let mut headers = headers_of(&request.headers)?;
        let mut added = headers_of(&request.options.headers)?;
        for (name, file) in &request.options.header_files {
            let value = (name.clone(), model::Secret::new(read_credential(file).await?));
            for (name, value) in &headers_of(&[value])? {
                added.append(name.clone(), value.clone());
            }
        }
        // What the operator wrote stands in place of what we would say, with all its values.
        for name in added.keys() {
            headers.remove(name);
        }
        for (name, value) in &added {
            headers.append(name.clone(), value.clone());
        }
        if let Some(in_url) = in_url.filter(|_| !headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, in_url);
        }
        // A request that brings its own key, as some services' notifiers do, is not given another.
        let own = headers.contains_key(AUTHORIZATION);
        let oauth = matches!(request.options.auth, HttpAuth::OAuth2 { .. });
        if (!own || oauth)
            && let Some(authorization) = self.authorization(&request.options).await?
        {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(headers)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, OutgoingError> {
        let began = Instant::now();
        let known = self.client(&request.options, &request.reach)?;
        let mut url = known.url(request.url.expose())?;
        let mut method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| OutgoingError::Invalid(format!("`{}` is not an HTTP method", request.method)))?;
        let mut headers = self.headers(&request, take_userinfo(&mut url)).await?;
        if request.decompress {
            headers.insert(reqwest::header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let mut body = request.body.clone();
        if let Some(signing) = &request.options.aws {
            let signed = Signed { method: &method, url: &url, body: &body };
            self.sign(&request.options, signing, &signed, &mut headers).await?;
        }
        let until = began + request.timeout.mul_f64(ANSWER_SHARE);
        let limit = if request.reach == Reach::Operator { REDIRECTS_MAX } else { PLUGIN_REDIRECTS_MAX };
        // Whom the credentials in `headers` are for; none as long as nobody else was asked.
        let mut origin = None;
        for _ in 0..=limit {
            // Credentials go to the origin they are for, and nowhere else.
            let headers_now = match origin.as_ref().is_none_or(|origin| origin_of(&url) == *origin) {
                true => headers.clone(),
                false => headers
                    .iter()
                    .filter(|(n, _)| !is_credential(n))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect(),
            };
            let mut sent = reqwest::Request::new(method.clone(), url.clone());
            *sent.headers_mut() = headers_now;
            *sent.body_mut() = Some(body.clone().into());
            let response = known.client.execute(sent).await.map_err(|error| describe(&error))?;
            let status = response.status();
            let location = response.headers().get(reqwest::header::LOCATION).and_then(|l| l.to_str().ok());
            if let Some(location) =
                location.filter(|_| status.is_redirection() && request.options.follow_redirects)
            {
                let mut next = url.join(location).map_err(|_| {
                    OutgoingError::Unreachable("the redirect does not lead to a URL".to_owned())
                })?;
                if !matches!(next.scheme(), "http" | "https")
                    || (url.scheme() == "https" && next.scheme() == "http")
                {
                    return Err(OutgoingError::Denied(
                        "the redirect leads to a less secure scheme".to_owned(),
                    ));
                }
                if matches!(status.as_u16(), 301..=303) && method != reqwest::Method::HEAD {
                    method = reqwest::Method::GET;
                    body = bytes::Bytes::new();
                    headers.remove(reqwest::header::CONTENT_TYPE);
                }
                known.fence.check(&next)?;
                origin.get_or_insert_with(|| origin_of(&url));
                if let Some(in_url) = take_userinfo(&mut next) {
                    headers.insert(AUTHORIZATION, in_url);
                    origin = Some(origin_of(&next));
                }
                url = next;
                continue;
            }
            return {
                let until = request.partial_answer.then_some(until);
                read_answer(response, request.response_bytes_max, request.decompress, until).await
            };
        }
        Err(OutgoingError::Unreachable(format!("more than {limit} redirects")))
    }
}

impl Outgoing for HttpOutgoing {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, OutgoingError>> {
        Box::pin(async move {
            let timeout = request.timeout;
            // Pinned here: the future of an exchange has thousands of bytes, and would be copied.
            let exchange = std::pin::pin!(self.exchange(request));
            match tokio::time::timeout(timeout, exchange).await {
                Ok(outcome) => outcome,
                Err(_) => Err(OutgoingError::Timeout(timeout)),
            }
        })
    }

    fn mail<'a>(
        &'a self,
        server: &'a SmtpServer,
        mail: Mail,
    ) -> BoxFuture<'a, Result<String, OutgoingError>> {
        Box::pin(crate::mail::send(server, mail))
    }
}

fn origin_of(url: &Url) -> (String, String, Option<u16>) {
    (url.scheme().to_owned(), url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default())
}

fn is_credential(name: &HeaderName) -> bool {
    *name == AUTHORIZATION
        || *name == reqwest::header::COOKIE
        || *name == reqwest::header::PROXY_AUTHORIZATION
        || name.as_str() == aws::SESSION_TOKEN
}

fn headers_of(pairs: &[(String, model::Secret<String>)]) -> Result<HeaderMap, OutgoingError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| OutgoingError::Invalid(format!("`{name}` is not a header's name")))?;
        let value = HeaderValue::from_bytes(value.expose().as_bytes()).map_err(|_| {
            OutgoingError::Invalid(format!("the value of header `{name}` holds a control character"))
        })?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// Reads the answer. With `until`, one that is too long, breaks off or goes on after that moment is taken as far as it
/// came.
async fn read_answer(
    response: reqwest::Response,
    bytes_max: usize,
    decompress: bool,
    until: Option<Instant>,
) -> Result<HttpResponse, OutgoingError> {
    let status = response.status().as_u16();
    let packed = decompress
        && response
            .headers()
            .get(reqwest::header::CONTENT_ENCODING)
            .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let mut wire = BytesMut::new();
    let reading = read_body(response, bytes_max, &mut wire);
    match until {
        None => reading.await?,
        Some(until) => drop(tokio::time::timeout_at(until, reading).await),
    }
    let wire_bytes = wire.len();
    let body = match packed {
        false => wire.freeze(),
        true => {
            let (body, outcome) = unpack(&wire, bytes_max);
            outcome.or_else(|error| if until.is_some() { Ok(()) } else { Err(error) })?;
            body.into()
        }
    };
    Ok(HttpResponse { status, headers, body, wire_bytes })
}

/// Reads at most `bytes_max` bytes into `wire`; what came before an error is there.
async fn read_body(
    response: reqwest::Response,
    bytes_max: usize,
    wire: &mut BytesMut,
) -> Result<(), OutgoingError> {
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| describe(&error))?;
        let room = bytes_max - wire.len();
        wire.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Err(OutgoingError::TooLarge(bytes_max));
        }
    }
    Ok(())
}

/// Unpacks gzip, never to more than `bytes_max`; what came before an error is there.
fn unpack(packed: &[u8], bytes_max: usize) -> (Vec<u8>, Result<(), OutgoingError>) {
    use std::io::Read as _;
    let mut out = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(packed).take(bytes_max as u64 + 1).read_to_end(&mut out);
    let outcome = match read {
        Ok(_) if out.len() > bytes_max => Err(OutgoingError::TooLarge(bytes_max)),
        Ok(_) => Ok(()),
        Err(error) => {
            Err(OutgoingError::Unreachable(format!("the answer says it is gzip and is not: {error}")))
        }
    };
    out.truncate(bytes_max);
    (out, outcome)
}

/// The error for people: the innermost cause, without the URL, which may hold a credential.
fn describe(error: &reqwest::Error) -> OutgoingError {
    if let Some(denied) = reach::denied_cause(error) {
        return OutgoingError::Denied(denied);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let what = if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else if error.is_builder() {
        return OutgoingError::Invalid(format!("the request cannot be built: {cause}"));
    } else {
        "no answer"
    };
    let own = std::ptr::eq(cause as *const _ as *const u8, error as *const _ as *const u8);
    let text = if own { what.to_owned() } else { format!("{what}: {cause}") };
    match error.is_connect() {
        true => OutgoingError::NoConnection(text),
        false => OutgoingError::Unreachable(text),
    }
}

#[cfg(test)]
mod tests;
