//! Blind secrets: a plugin gets a stand-in, and the host puts the value in as the request leaves.
//!
//! A secret that is a URL has a URL as its stand-in and may go to that URL's host alone; any other may go to the hosts
//! that the plugin is granted. What comes back is searched for the value before the plugin or a log sees it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use memchr::memmem::Finder;
use model::Secret;
use sha2::Sha256;
use url::{Position, Url};

use super::{Call, lock};
use crate::grants::{HostPattern, pattern_of};
use crate::{ErrorKind, HostError, SecretSource};

/// A secret that a call has asked for.
pub(super) struct Resolved {
    pub(super) name: String,
    stand_in: String,
    /// For the stand-in, which is found with and without the `/` at the end of a URL.
    finder: Finder<'static>,
    value: Secret<String>,
    /// The only host that it may go to, if it is a URL.
    bound: Option<HostPattern>,
    /// The ways in which the value may come back.
    forms: Vec<String>,
}

/// How a value is written where a stand-in stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Plain,
    Json,
    Form,
}

/// Shorter values would redact half of every answer, and guard nothing.
const REDACT_MIN: usize = 4;
/// A part of an address that is as long as this is a key, and no word.
const REDACT_KEY_MIN: usize = 12;

impl Call {
    /// The stand-in for a granted secret.
    pub(crate) fn stand_in(&self, name: &str) -> Result<String, HostError> {
        let outcome = self.resolve(name, |resolved| resolved.stand_in.clone());
        self.counted("secret", outcome)
    }

    /// HMAC-SHA-256 of `data` under a granted secret.
    pub(crate) fn hmac_sha256(&self, name: &str, data: &[u8]) -> Result<Vec<u8>, HostError> {
        let outcome = self.resolve(name, |resolved| hmac_sha256(resolved.value.expose().as_bytes(), data));
        self.counted("hmac_sha256", outcome)
    }

    fn resolve<T>(&self, name: &str, then: impl FnOnce(&Resolved) -> T) -> Result<T, HostError> {
        let mut resolved = lock(&self.resolved);
        if let Some(known) = resolved.iter().find(|known| known.name == name) {
            return Ok(then(known));
        }
        let known = match self.terms.resolved(name) {
            Some(known) => known,
            None => {
                let read = Arc::new(self.read_secret(name)?);
                if matches!(self.terms.secrets.get(name), Some(SecretSource::Inline(_))) {
                    self.terms.keep(&read);
                }
                read
            }
        };
        let answer = then(&known);
        resolved.push(known);
        Ok(answer)
    }

    fn read_secret(&self, name: &str) -> Result<Resolved, HostError> {
        let source = self.terms.secrets.get(name).ok_or_else(|| self.no_secret(name))?;
        let value = read(source).map_err(|problem| {
            HostError::new(ErrorKind::Config, format!("the secret `{name}` cannot be read: {problem}"))
        })?;
        let id = self.stand_in_id(name);
        let url = Url::parse(value.expose()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let stand_in = if url.is_some() { format!("https://{id}.invalid/") } else { id };
        let bound = url.as_ref().and_then(pattern_of);
        let forms = match &url {
            Some(url) => url_forms(value.expose(), url),
            None => forms(value.expose()),
        };
        let finder = Finder::new(stand_in.trim_end_matches('/')).into_owned();
        Ok(Resolved { name: name.to_owned(), stand_in, finder, value, bound, forms })
    }

    fn no_secret(&self, name: &str) -> HostError {
        let profile = &self.profile;
        HostError::new(
            ErrorKind::Denied,
            format!(
                "the secret `{name}` is not granted; give it in the receiver, or under `plugins:` for {} as `allow: {{ \
                 secrets: {{ {name}: {{ file: /run/secrets/{name} }} }} }}`",
                profile.file
            ),
        )
    }

    fn stand_in_id(&self, name: &str) -> String {
        let profile = &self.profile;
        let text = format!("{}\0{name}", profile.name);
        let digest = hmac_sha256(&profile.services.stand_in_key, text.as_bytes());
        format!("fh-{}", hex(&digest[..16]))
    }

    /// `url` with its stand-ins replaced, and the secrets that are in it.
    pub(super) fn fill_url(&self, url: &str, found: &mut Vec<usize>) -> String {
        let mut url = url.to_owned();
        for (index, known) in lock(&self.resolved).iter().enumerate() {
            if known.bound.is_some() {
                let bare = known.stand_in.trim_end_matches('/');
                if let Some(rest) = url.strip_prefix(bare) {
                    url = join(known.value.expose(), rest);
                    found.push(index);
                }
            } else if url.contains(&known.stand_in) {
                url = filled(&url, &known.stand_in, known.value.expose());
                found.push(index);
            }
        }
        url
    }

    /// `bytes` with their stand-ins replaced, and the secrets that are in them.
    pub(super) fn fill(&self, bytes: Vec<u8>, written: Written, found: &mut Vec<usize>) -> Vec<u8> {
        let mut bytes = bytes;
        for (index, known) in lock(&self.resolved).iter().enumerate() {
            if known.finder.find(&bytes).is_none() {
                continue;
            }
            let stand_in = known.finder.needle();
            let value = known.value.expose();
            let value = match written {
                Written::Plain => value.clone(),
                Written::Json => json_escaped(value),
                Written::Form => url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            };
            bytes = replace(&bytes, known.stand_in.as_bytes(), value.as_bytes());
            bytes = replace(&bytes, stand_in, value.as_bytes());
            found.push(index);
        }
        bytes
    }

    /// The hosts that a request with the secrets `found` may reach: none of them may go further than it is bound.
    pub(super) fn reach(&self, found: &[usize], url: &Url) -> Result<Arc<[String]>, HostError> {
        let resolved = lock(&self.resolved);
        let bound = found.iter().filter_map(|index| {
            let known = resolved.get(*index)?;
            known.bound.as_ref().map(|bound| (known, bound))
        });
        let mut only = None;
        for (known, bound) in bound {
            if !bound.matches(url) {
                return Err(HostError::new(
                    ErrorKind::Denied,
                    format!(
                        "the secret `{}` may go to its own host alone, not to `{}`",
                        known.name,
                        shown(url)
                    ),
                ));
            }
            only = Some(url);
        }
        let Some(target) = &self.target else { return Ok(self.terms.reach(only)) };
        let hosts = self.terms.hosts.iter().chain([target]);
        Ok(hosts
            .filter(|host| only.is_none_or(|url| host.matches(url)))
            .map(HostPattern::to_string)
            .collect())
    }

    /// `bytes` without any secret that this call has asked for.
    pub(super) fn redact(&self, bytes: bytes::Bytes) -> bytes::Bytes {
        let mut out = bytes;
        for known in lock(&self.resolved).iter() {
            for form in &known.forms {
                if find(&out, form.as_bytes()).is_some() {
                    out = replace(&out, form.as_bytes(), b"<secret>").into();
                }
            }
        }
        out
    }

    /// `text` without any secret that this call has asked for.
    pub(crate) fn redact_text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for known in lock(&self.resolved).iter() {
            for form in &known.forms {
                if out.contains(form) {
                    out = out.replace(form, "<secret>");
                }
            }
        }
        out
    }
}

/// A host and port for people: never the path, which may be the secret.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn read(source: &SecretSource) -> Result<Secret<String>, String> {
    let text = match source {
        SecretSource::Inline(secret) => return Ok(secret.clone()),
        SecretSource::Env(name) => {
            std::env::var(name).map_err(|_| format!("the environment variable `{name}` is not set"))?
        }
        SecretSource::File(path) => {
            std::fs::read_to_string(path).map_err(|problem| format!("{}: {problem}", path.display()))?
        }
    };
    let text = text.trim();
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Secret::new(text.to_owned())) }
}

/// A URL with something behind it: a path goes behind its path, a query is added to its own.
fn join(base: &str, rest: &str) -> String {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    match rest.chars().next() {
        None => base.to_owned(),
        Some('?') if base.contains('?') => format!("{base}&{}", &rest[1..]),
        Some('?' | '#') => format!("{base}{rest}"),
        Some(_) => format!("{}/{rest}", base.trim_end_matches('/')),
    }
}

/// `url` with `value` where `stand_in` stood. In the query it is a value like any other there, so that an `&` in it ends
/// nothing; before that it is as it was written, since it may be several parts of a path.
fn filled(url: &str, stand_in: &str, value: &str) -> String {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let written: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    path.replace(stand_in, value) + query.replace(stand_in, &written).as_str()
}

/// The ways in which a value may come back.
fn forms(value: &str) -> Vec<String> {
    if value.len() < REDACT_MIN {
        return Vec::new();
    }
    let mut forms = vec![
        value.to_owned(),
        json_escaped(value),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        BASE64.encode(value),
    ];
    forms.dedup();
    forms
}

/// The ways in which an address may come back: whole, without its host, or what in it looks like a key. Long ones first.
fn url_forms(value: &str, url: &Url) -> Vec<String> {
    let behind_host = &url[Position::BeforePath..Position::AfterQuery];
    // A user name is known to people, unless it is all that there is: then it is a key.
    let key = url.password().unwrap_or_else(|| url.username());
    let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
    let query = url.query().unwrap_or_default();
    let keys = url.path().split('/').chain(query.split(['&', '=']));
    let keys = keys.filter(|key| key.len() >= REDACT_KEY_MIN);
    let whole = [value, behind_host, url.path(), query, &pair, key];
    let parts = whole.into_iter().chain(keys).flat_map(|part| [part.to_owned(), percent_decoded(part)]);
    let mut all: Vec<String> = parts.flat_map(|part| forms(&part)).collect();
    all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    all
}

/// `text` with `%41` read as `A`.
fn percent_decoded(text: &str) -> String {
    // All else that a form would read in its own way is kept from it.
    let escaped = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let decoded = url::form_urlencoded::parse(escaped.as_bytes()).next();
    decoded.map(|(text, _)| text.into_owned()).unwrap_or_default()
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// In hexadecimal, lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() { None } else { memchr::memmem::find(haystack, needle) }
}

fn replace(haystack: &[u8], needle: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(haystack.len());
    let mut rest = haystack;
    while let Some(at) = find(rest, needle) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + needle.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_as_its_place_wants_it() {
        for (url, expected) in [
            ("https://d.com/S/x", "https://d.com/a/b&c=d/x"),
            ("https://d.com/x?t=S&u=S", "https://d.com/x?t=a%2Fb%26c%3Dd&u=a%2Fb%26c%3Dd"),
            ("https://d.com/S?t=S", "https://d.com/a/b&c=d?t=a%2Fb%26c%3Dd"),
        ] {
            assert_eq!(filled(url, "S", "a/b&c=d"), expected, "{url}");
        }
    }

    #[test]
    fn a_url_takes_what_stands_behind_its_stand_in() {
        for (base, rest, expected) in [
            ("https://d.com/w/1", "", "https://d.com/w/1"),
            ("https://d.com/w/1", "/", "https://d.com/w/1"),
            ("https://d.com/w/1", "/?wait=true", "https://d.com/w/1?wait=true"),
            ("https://d.com/w/1?a=b", "/?wait=true", "https://d.com/w/1?a=b&wait=true"),
            ("https://d.com/w/1", "/messages/5", "https://d.com/w/1/messages/5"),
            ("https://d.com/w/1/", "/messages/5", "https://d.com/w/1/messages/5"),
        ] {
            assert_eq!(join(base, rest), expected);
        }
    }

    #[test]
    fn an_address_is_known_by_its_parts() {
        let value = "https://me:p%40ss@x.test/services/T0/abcdefghijkl?token=0123456789ab&v=1";
        let forms = url_forms(value, &Url::parse(value).unwrap());
        for part in [
            value,
            "/services/T0/abcdefghijkl?token=0123456789ab&v=1",
            "/services/T0/abcdefghijkl",
            "%2Fservices%2FT0%2Fabcdefghijkl",
            "token=0123456789ab&v=1",
            "abcdefghijkl",
            "0123456789ab",
            "me:p@ss",
            "p%40ss",
            "p@ss",
            "bWU6cEBzcw==",
        ] {
            assert!(forms.iter().any(|form| form == part), "{part}: {forms:?}");
        }
        assert!(forms.is_sorted_by(|a, b| a.len() >= b.len()), "what is whole goes before its parts");
        let with_key = "http://s3cret-key@x.test/";
        let with_key = url_forms(with_key, &Url::parse(with_key).unwrap());
        for part in ["s3cret-key", "czNjcmV0LWtleTo="] {
            assert!(with_key.iter().any(|form| form == part), "{part}: {with_key:?}");
        }
        for word in ["services", "T0", "x.test", "/", "v", "1", ""] {
            assert!(!forms.iter().any(|form| form == word), "{word}");
        }
    }

    #[test]
    fn replaces_bytes() {
        assert_eq!(replace(b"a-xx-b-xx", b"xx", b"yyy"), b"a-yyy-b-yyy");
        assert_eq!(replace(b"xaxxa", b"xa", b""), b"x");
        assert_eq!(find(b"", b"a"), None);
    }

    #[test]
    fn hmac_of_rfc_4231_case_2() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
