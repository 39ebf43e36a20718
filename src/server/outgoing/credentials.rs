//! Credentials of a request: from the configuration, from files that are read anew each time, and tokens of OAuth 2.0.
//!
//! Out: the `Authorization` header. Errors name the file, never what stands in it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ports::{HttpAuth, HttpOptions, OutgoingError, Reach};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use super::{CLIENTS_MAX, HttpOutgoing, describe, read_answer};

/// The answer of a token server.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// A token is not used so shortly before it ends.
const TOKEN_SPARE: Duration = Duration::from_secs(10);
/// For tokens whose server does not say how long they hold.
const TOKEN_UNSAID: Duration = Duration::from_secs(60);

/// A token that is used until it ends, or the secret that it was had for is another one.
pub(super) struct Kept {
    header: String,
    secret: String,
    until: Instant,
}

/// Where a client names itself to a token server. RFC 6749 has every server take the first, and many take the second alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Header,
    Form,
}

/// A credential that stands in a file, without the blanks and line breaks around it.
pub(super) async fn read_credential(file: &str) -> Result<String, OutgoingError> {
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Ok(text.trim().to_owned()),
        // Nothing was sent, and the file may be there in a moment: mounted secrets are replaced while we run.
        Err(error) => {
            Err(OutgoingError::NoConnection(format!("the credentials file `{file}` cannot be read: {error}")))
        }
    }
}

async fn inline_or_file(inline: &str, file: Option<&String>) -> Result<String, OutgoingError> {
    match file {
        Some(file) => read_credential(file).await,
        None => Ok(inline.to_owned()),
    }
}

impl HttpOutgoing {
    /// The `Authorization` header that the options ask for.
    pub(super) async fn authorization(
        &self,
        options: &Arc<HttpOptions>,
    ) -> Result<Option<HeaderValue>, OutgoingError> {
        let text = match &options.auth {
            HttpAuth::None => return Ok(None),
            HttpAuth::Basic { username, username_file, password, password_file } => {
                let user = inline_or_file(username, username_file.as_ref()).await?;
                let password = inline_or_file(password.expose(), password_file.as_ref()).await?;
                format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
            }
            HttpAuth::Authorization { kind, credentials, credentials_file } => {
                let credentials = inline_or_file(credentials.expose(), credentials_file.as_ref()).await?;
                format!("{kind} {credentials}")
            }
            HttpAuth::OAuth2 { .. } => self.token(options).await?,
        };
        let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
            OutgoingError::Invalid("the credentials hold a character that no header may hold".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// `Bearer …` with an OAuth 2.0 token by client credentials; kept until shortly before it ends.
    async fn token(&self, options: &Arc<HttpOptions>) -> Result<String, OutgoingError> {
        let HttpAuth::OAuth2 { client_id, client_secret, client_secret_file, token_url, .. } = &options.auth
        else {
            return Err(OutgoingError::Invalid("no token is configured".to_owned()));
        };
        let secret = inline_or_file(client_secret.expose(), client_secret_file.as_ref()).await?;
        if let Some(kept) = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(options)
            && kept.secret == secret
            && Instant::now() < kept.until
        {
            return Ok(kept.header.clone());
        }
        // Two clients of one server may be registered for different styles.
        let client = (token_url.clone(), client_id.clone());
        let known = self.styles.lock().unwrap_or_else(PoisonError::into_inner).get(&client).copied();
        let mut style = known.unwrap_or(Style::Header);
        let mut asked = self.ask_for_token(&options.auth, &secret, style).await?;
        if asked.is_err() && known.is_none() {
            style = Style::Form;
            asked = self.ask_for_token(&options.auth, &secret, style).await?;
        }
        let (header, lifetime) = asked.map_err(OutgoingError::NoConnection)?;
        self.styles.lock().unwrap_or_else(PoisonError::into_inner).insert(client, style);
        let until = Instant::now() + lifetime.saturating_sub(TOKEN_SPARE);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= CLIENTS_MAX {
            tokens.clear();
        }
        tokens.insert(Arc::clone(options), Kept { header: header.clone(), secret, until });
        Ok(header)
    }

    /// Asks once. An answer without a token is the inner error.
    async fn ask_for_token(
        &self,
        auth: &HttpAuth,
        secret: &str,
        style: Style,
    ) -> Result<Result<(String, Duration), String>, OutgoingError> {
        let HttpAuth::OAuth2 { client_id, scopes, token_url, endpoint_params, client, .. } = auth else {
            return Err(OutgoingError::Invalid("no token is configured".to_owned()));
        };
        let url = Url::parse(token_url)
            .map_err(|error| OutgoingError::Invalid(format!("`token_url` is not a URL: {error}")))?;
        // The operator wrote the address: no plugin can lead this request elsewhere.
        let client = self.client(client, &Reach::Operator)?;
        let mut request = client
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(client_id, secret, scopes, endpoint_params, style));
        if style == Style::Header {
            let pair = BASE64.encode(format!("{}:{}", escaped(client_id), escaped(secret)));
            request = request.header(AUTHORIZATION, format!("Basic {pair}"));
        }
        let response = request.send().await.map_err(|error| match describe(&error) {
            // Whatever became of it, the request that needs the token was not sent.
            OutgoingError::Unreachable(text) | OutgoingError::NoConnection(text) => {
                OutgoingError::NoConnection(format!("the token server: {text}"))
            }
            other => other,
        })?;
        let answer = read_answer(response, TOKEN_BYTES_MAX, false, None).await?;
        Ok(token_in(answer.status, answer.header("content-type").unwrap_or_default(), &answer.body))
    }
}

fn escaped(text: &str) -> String {
    Url::parse_with_params("http://x/", [("", text)])
        .ok()
        .and_then(|url| url.query().map(|query| query.trim_start_matches('=').to_owned()))
        .unwrap_or_default()
}

/// The body of a token request, sorted by name. What the operator adds comes last, and may name another grant.
fn form(
    client_id: &str,
    secret: &str,
    scopes: &[String],
    endpoint_params: &[(String, String)],
    style: Style,
) -> String {
    let mut form = BTreeMap::from([("grant_type", "client_credentials".to_owned())]);
    if !scopes.is_empty() {
        form.insert("scope", scopes.join(" "));
    }
    form.extend(endpoint_params.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if style == Style::Form {
        let named = [("client_id", client_id), ("client_secret", secret)];
        form.extend(
            named
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, value.to_owned())),
        );
    }
    Url::parse_with_params("http://x/", &form)
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

/// The header that a token server's answer makes, and how long it holds.
fn token_in(status: u16, content_type: &str, body: &[u8]) -> Result<(String, Duration), String> {
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(fields)) => {
            for (name, value) in fields {
                // Some servers write the number as text.
                let text = match value {
                    serde_json::Value::String(text) => text,
                    serde_json::Value::Number(number) => number.to_string(),
                    _ => continue,
                };
                said.insert(name, text);
            }
        }
        // Some answer with a form.
        _ if ["application/x-www-form-urlencoded", "text/plain"]
            .iter()
            .any(|kind| content_type.to_ascii_lowercase().starts_with(kind)) =>
        {
            if let Ok(url) = Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(body).trim())) {
                said.extend(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())));
            }
        }
        _ => {}
    }
    let field = |name: &str| said.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let refused = field("error");
    let Some(token) = field("access_token").filter(|_| (200..300).contains(&status) && refused.is_none())
    else {
        // Only the word that RFC 6749 has for it: anything else might repeat what was sent.
        let word = refused
            .filter(|word| word.len() <= 60 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let word = word.map(|word| format!(", `{word}`,")).unwrap_or_default();
        return Err(format!("the token server answered with status {status}{word} and no token"));
    };
    let kind = match field("token_type") {
        None => "Bearer",
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => "Bearer",
        Some(kind) if kind.eq_ignore_ascii_case("mac") => "MAC",
        Some(kind) if kind.eq_ignore_ascii_case("basic") => "Basic",
        Some(kind) => kind,
    };
    let lifetime = field("expires_in").and_then(|seconds| seconds.parse::<f64>().ok());
    let lifetime = lifetime.filter(|seconds| *seconds > 0.0).map(|seconds| seconds.min(f64::from(i32::MAX)));
    Ok((format!("{kind} {token}"), lifetime.map_or(TOKEN_UNSAID, Duration::from_secs_f64)))
}

/// The user name and password of an address as the header that they stand for; the address is without them then.
pub(super) fn take_userinfo(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = percent_decoded(url.username());
    pair.push(b':');
    pair.extend(percent_decoded(url.password().unwrap_or_default()));
    // Only an address without a host refuses these, and it has none to begin with.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let text = format!("Basic {}", BASE64.encode(pair));
    let mut value = HeaderValue::from_str(&text).expect("base64 is made of letters that a header may hold");
    value.set_sensitive(true);
    Some(value)
}

/// `text` with `%41` read as `A`; what is no such thing stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_token_servers() {
        for (status, kind, body, wanted) in [
            (200, "application/json", r#"{"access_token":"t","expires_in":3600}"#, Ok(("Bearer t", 3600))),
            (
                200,
                "application/json",
                r#"{"access_token":"t","token_type":"bearer","expires_in":"30"}"#,
                Ok(("Bearer t", 30)),
            ),
            (200, "", r#"{"access_token":"t","token_type":"MAC"}"#, Ok(("MAC t", 60))),
            (200, "", r#"{"access_token":"t","token_type":"DPoP","expires_in":0}"#, Ok(("DPoP t", 60))),
            (200, "text/plain; charset=utf-8", "access_token=a%2Bb&expires_in=5", Ok(("Bearer a+b", 5))),
            (
                200,
                "application/json",
                "access_token=a",
                Err("the token server answered with status 200 and no token"),
            ),
            (
                401,
                "application/json",
                r#"{"error":"invalid_client"}"#,
                Err("the token server answered with status 401, `invalid_client`, and no token"),
            ),
            (
                200,
                "",
                r#"{"error":"Not CANARY","access_token":"t"}"#,
                Err("the token server answered with status 200 and no token"),
            ),
            (503, "", "", Err("the token server answered with status 503 and no token")),
        ] {
            let got = token_in(status, kind, body.as_bytes());
            let got = got.as_ref().map(|(header, lifetime)| (header.as_str(), lifetime.as_secs()));
            assert_eq!(got.map_err(String::as_str), wanted, "{body}");
        }
    }

    #[test]
    fn forms_of_token_requests() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let scopes = ["a".to_owned(), "b c".to_owned()];
        for (scopes, params, style, wanted) in [
            (&[][..], &[][..], Style::Header, "grant_type=client_credentials"),
            (
                &scopes[..],
                &[("audience", "x&y")][..],
                Style::Form,
                "audience=x%26y&client_id=me&client_secret=p+w&grant_type=client_credentials&scope=a+b+c",
            ),
            (&[], &[("grant_type", "password")], Style::Header, "grant_type=password"),
        ] {
            assert_eq!(form("me", "p w", scopes, &pairs(params), style), wanted);
        }
        assert_eq!(escaped("a:b c"), "a%3Ab+c");
    }
}
