//! Requests to AWS: signed with Signature Version 4, with keys that stand in the configuration or are had for a while.
//!
//! Keys that are had are kept until shortly before they end. Errors name whom we asked, never a key.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use model::{Secret, Timestamp};
use ports::{AwsKeys, AwsRole, AwsSigning, Clock as _, HttpAuth, HttpOptions, OutgoingError, Reach};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::credentials::read_credential;
use super::{CLIENTS_MAX, HttpOutgoing, describe, read_answer};
use crate::SystemClock;

/// The header of a temporary pair's token.
pub(super) const SESSION_TOKEN: &str = "x-amz-security-token";
/// What a session of ours is called.
const SESSION: &str = "foghorn";
/// For how long keys are asked for; the least that the Security Token Service gives.
const SESSION_TIME: Duration = Duration::from_secs(900);
/// Keys are not used so shortly before they end.
const SPARE: Duration = Duration::from_secs(60);
/// How long keys are kept that somebody else renews in time.
const GIVEN_TIME: Duration = Duration::from_secs(60);
/// Whoever gives keys on this machine answers at once, or is not there.
const NEAR: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Keys to sign with.
#[derive(Clone)]
pub(super) struct Pair {
    access_key: String,
    secret_key: Secret<String>,
    session_token: Secret<String>,
}

/// A pair that was had, and when it is to be had again.
pub(super) struct KeptPair {
    pair: Pair,
    until: Instant,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) body: &'a [u8],
}

impl HttpOutgoing {
    /// Signs a request whose headers are complete.
    pub(super) async fn sign(
        &self,
        options: &Arc<HttpOptions>,
        signing: &AwsSigning,
        request: &Signed<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), OutgoingError> {
        let pair = self.pair(options, signing).await?;
        sign(request, headers, &pair, &signing.service, &signing.region, SystemClock.now())
    }

    async fn pair(&self, options: &Arc<HttpOptions>, signing: &AwsSigning) -> Result<Pair, OutgoingError> {
        if let (AwsKeys::Held { access_key, secret_key, session_token }, None) =
            (&signing.keys, &signing.role)
        {
            return Ok(Pair {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                session_token: session_token.clone(),
            });
        }
        if let Some(kept) = self.pairs.lock().unwrap_or_else(PoisonError::into_inner).get(options)
            && Instant::now() < kept.until
        {
            return Ok(kept.pair.clone());
        }
        // The same way out as the request's own, without its credentials.
        let way = Arc::new(HttpOptions { auth: HttpAuth::None, aws: None, ..(**options).clone() });
        let (mut pair, mut lifetime) = self.first_pair(&way, signing).await?;
        if let Some(role) = &signing.role {
            pair = self.take_role(&way, signing, role, &pair).await?;
            lifetime = SESSION_TIME - SPARE;
        }
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= CLIENTS_MAX {
            pairs.clear();
        }
        pairs.insert(Arc::clone(options), KeptPair { pair: pair.clone(), until: Instant::now() + lifetime });
        Ok(pair)
    }

    /// The keys before any role is taken on, and for how long they hold.
    async fn first_pair(
        &self,
        way: &Arc<HttpOptions>,
        signing: &AwsSigning,
    ) -> Result<(Pair, Duration), OutgoingError> {
        match &signing.keys {
            AwsKeys::Held { access_key, secret_key, session_token } => Ok((
                Pair {
                    access_key: access_key.clone(),
                    secret_key: secret_key.clone(),
                    session_token: session_token.clone(),
                },
                GIVEN_TIME,
            )),
            AwsKeys::WebIdentity { role_arn, session_name, token_file } => {
                let token = read_credential(token_file).await?;
                let form = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("RoleArn", role_arn),
                    ("RoleSessionName", if session_name.is_empty() { SESSION } else { session_name }),
                    ("Version", "2011-06-15"),
                    ("WebIdentityToken", &token),
                ];
                let pair = self.ask_sts(way, signing, &form, None).await?;
                Ok((pair, SESSION_TIME - SPARE))
            }
            AwsKeys::Container { url, token, token_file } => {
                let token = match token_file {
                    Some(file) => read_credential(file).await?,
                    None => token.expose().clone(),
                };
                let token = (!token.is_empty()).then_some((AUTHORIZATION, token));
                let answer = self.ask_near("the container's credentials", Method::GET, url, token).await?;
                Ok((given(&answer)?, GIVEN_TIME))
            }
            AwsKeys::Machine { url, looked } => {
                let asked = match url {
                    Some(url) => self.ask_machine(url).await,
                    None => Err("the machine is not asked for any".to_owned()),
                };
                let hint = "set `access_key` and `secret_key` under `sigv4`";
                asked.map(|pair| (pair, GIVEN_TIME)).map_err(|why| {
                    OutgoingError::NoConnection(format!(
                        "there are no keys for AWS {looked}, and {why}; {hint}"
                    ))
                })
            }
        }
    }

    /// Exchanges keys for those of a role.
    async fn take_role(
        &self,
        way: &Arc<HttpOptions>,
        signing: &AwsSigning,
        role: &AwsRole,
        pair: &Pair,
    ) -> Result<Pair, OutgoingError> {
        let seconds = SESSION_TIME.as_secs().to_string();
        let mut form = vec![("Action", "AssumeRole"), ("DurationSeconds", seconds.as_str())];
        if !role.external_id.is_empty() {
            form.push(("ExternalId", &role.external_id));
        }
        form.extend([
            ("RoleArn", role.arn.as_str()),
            ("RoleSessionName", SESSION),
            ("Version", "2011-06-15"),
        ]);
        self.ask_sts(way, signing, &form, Some(pair)).await
    }

    /// Asks the Security Token Service, signed if there are keys to sign with.
    async fn ask_sts(
        &self,
        way: &Arc<HttpOptions>,
        signing: &AwsSigning,
        form: &[(&str, &str)],
        pair: Option<&Pair>,
    ) -> Result<Pair, OutgoingError> {
        let url = Url::parse(&signing.sts_url)
            .map_err(|error| OutgoingError::Invalid(format!("the address of STS is not a URL: {error}")))?;
        let body = Url::parse_with_params("http://x/", form)
            .ok()
            .and_then(|url| url.query().map(str::to_owned))
            .unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(pair) = pair {
            let request = Signed { method: &Method::POST, url: &url, body: body.as_bytes() };
            sign(&request, &mut headers, pair, "sts", &signing.region, SystemClock.now())?;
        }
        // The operator's own settings name it: no plugin can lead this request elsewhere.
        let client = self.client(way, &Reach::Operator)?;
        let sent = client.client.post(url).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| unsent("STS", &describe(&error)))?;
        let answer = read_answer(response, ANSWER_BYTES_MAX, false, None).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let field = |name: &str| element(&text, name);
        if answer.status == 200
            && let (Some(access_key), Some(secret_key), Some(session_token)) =
                (field("AccessKeyId"), field("SecretAccessKey"), field("SessionToken"))
        {
            return Ok(Pair {
                access_key,
                secret_key: Secret::new(secret_key),
                session_token: Secret::new(session_token),
            });
        }
        // Its name of the error only: the rest may repeat what was sent.
        let word =
            field("Code").filter(|word| word.len() <= 60 && word.bytes().all(|b| b.is_ascii_alphanumeric()));
        let word = word.map(|word| format!(", `{word}`,")).unwrap_or_default();
        Err(OutgoingError::NoConnection(format!(
            "STS answered with status {}{word} and no keys",
            answer.status
        )))
    }

    /// The keys of the machine itself.
    async fn ask_machine(&self, url: &str) -> Result<Pair, String> {
        let url = url.trim_end_matches('/');
        let what = "the machine's metadata service";
        let ask = async |method: Method, path: &str, header: (&'static str, &str)| {
            let header = (HeaderName::from_static(header.0), header.1.trim().to_owned());
            let asked = self.ask_near(what, method, &format!("{url}/latest/{path}"), Some(header)).await;
            asked.map_err(|error| error.to_string())
        };
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let token = ask(Method::PUT, "api/token", lifetime).await?;
        let token = ("x-aws-ec2-metadata-token", token.as_str());
        let path = "meta-data/iam/security-credentials/";
        let roles = ask(Method::GET, path, token).await?;
        let role = roles.lines().next().unwrap_or_default().trim();
        let answer = ask(Method::GET, &format!("{path}{role}"), token).await?;
        given(&answer).map_err(|error| error.to_string())
    }

    /// Asks somebody on this machine, or right beside it.
    async fn ask_near(
        &self,
        what: &str,
        method: Method,
        url: &str,
        header: Option<(HeaderName, String)>,
    ) -> Result<String, OutgoingError> {
        let url = Url::parse(url)
            .map_err(|error| OutgoingError::Invalid(format!("{what}: the address is not a URL: {error}")))?;
        // No proxy knows what is near us.
        let client = self.client(&Arc::default(), &Reach::Operator)?;
        let mut request = client.client.request(method, url).timeout(NEAR);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| unsent(what, &describe(&error)))?;
        let answer = read_answer(response, ANSWER_BYTES_MAX, false, None).await?;
        match answer.status {
            200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            status => Err(OutgoingError::NoConnection(format!("{what} answered with status {status}"))),
        }
    }
}

/// Whatever became of a request for keys, the one that needs them was not sent.
fn unsent(what: &str, error: &OutgoingError) -> OutgoingError {
    OutgoingError::NoConnection(format!("{what}: {error}"))
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The keys in an answer of a container or a machine.
fn given(answer: &str) -> Result<Pair, OutgoingError> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let pair = Pair {
        access_key: field("AccessKeyId"),
        secret_key: Secret::new(field("SecretAccessKey")),
        session_token: Secret::new(field("Token")),
    };
    match pair.access_key.is_empty() || pair.secret_key.expose().is_empty() {
        true => Err(OutgoingError::NoConnection("what should give keys for AWS gave none".to_owned())),
        false => Ok(pair),
    }
}

/// Adds the time, the session's token and the signature. What is signed of the headers is the content's type, the host, and
/// what is added here.
fn sign(
    request: &Signed<'_>,
    headers: &mut HeaderMap,
    pair: &Pair,
    service: &str,
    region: &str,
    now: Timestamp,
) -> Result<(), OutgoingError> {
    // `2026-01-02T03:04:05.678Z` without what is between the digits, and without the milliseconds.
    let time: String = now.to_string().chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    let (day, time) = (time[..8].to_owned(), time + "Z");
    let mut add = |name: &'static str, text: &str| -> Result<(), OutgoingError> {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            OutgoingError::Invalid("the keys for AWS hold a character that no header may hold".to_owned())
        })?;
        value.set_sensitive(name != "x-amz-date");
        headers.insert(name, value);
        Ok(())
    };
    add("x-amz-date", &time)?;
    if !pair.session_token.expose().is_empty() {
        add(SESSION_TOKEN, pair.session_token.expose())?;
    }
    let mut host = request.url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = request.url.port() {
        host += &format!(":{port}");
    }
    let mut signed = vec![("host", host)];
    for name in ["content-type", "x-amz-date", SESSION_TOKEN] {
        if let Some(value) = headers.get(name) {
            signed.push((name, String::from_utf8_lossy(value.as_bytes()).trim().to_owned()));
        }
    }
    signed.sort();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut query: Vec<(String, String)> =
        request.url.query_pairs().map(|(name, value)| (escaped(&name, ""), escaped(&value, ""))).collect();
    query.sort();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{:x}",
        request.method,
        escaped(request.url.path(), "/"),
        query.join("&"),
        Sha256::digest(request.body),
    );
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{:x}", Sha256::digest(canonical));
    let mut key = format!("AWS4{}", pair.secret_key.expose()).into_bytes();
    for part in [day.as_str(), region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature: String = mac(&key, &text).iter().map(|byte| format!("{byte:02x}")).collect();
    let credential = format!("{}/{scope}", pair.access_key);
    let text =
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        OutgoingError::Invalid("the keys for AWS hold a character that no header may hold".to_owned())
    })?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Percent-encodes all but letters, digits, `-._~` and what is in `kept`.
fn escaped(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
