//! A receiver's settings: what `<name>_configs` says beside the plugin's parameters.
//!
//! Settings that the manifest declares override parameters. A secret NAME is brought by the settings `NAME`, `NAME_file`,
//! `NAME_url` or `NAME_url_file`; if it is a URL, its host is granted for that call, since the operator wrote it. `http_config`,
//! `sigv4` and the settings of an SMTP server are the host's own business.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::Secret;
use ports::{AwsSigning, HttpAuth, HttpOptions, SmtpServer, TlsOptions};
use serde_json::{Map, Value};
use url::Url;

use super::aws;
use crate::SecretSource;
use crate::grants::{HostPattern, pattern_of};

/// The name of the SMTP server that a receiver's own settings describe.
const OWN_SERVER: &str = "smarthost";

/// Name → value, as JSON.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// From name → JSON text. A text that is no JSON is taken as it is.
    pub(crate) fn new(settings: &BTreeMap<String, String>) -> Settings {
        let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
        Settings(settings.iter().map(|(name, text)| (name.clone(), read(text))).collect())
    }

    pub(crate) fn values(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The secrets among `names` that these settings bring.
    pub(crate) fn secrets(&self, names: &[String]) -> BTreeMap<String, SecretSource> {
        let mut secrets = BTreeMap::new();
        for name in names {
            let inline =
                |key: &str| self.text(key).map(|text| SecretSource::Inline(Secret::new(text.to_owned())));
            let file = |key: &str| self.text(key).map(|text| SecretSource::File(PathBuf::from(text)));
            let source = inline(name)
                .or_else(|| file(&format!("{name}_file")))
                .or_else(|| inline(&format!("{name}_url")))
                .or_else(|| file(&format!("{name}_url_file")));
            if let Some(source) = source {
                secrets.insert(name.clone(), source);
            }
        }
        secrets
    }

    /// The hosts that the operator named by writing a URL as one of `secrets`.
    pub(crate) fn hosts(&self, secrets: &BTreeMap<String, SecretSource>) -> Vec<HostPattern> {
        let host = |source: &SecretSource| match source {
            SecretSource::Inline(text) => host_of_url(text.expose()),
            SecretSource::File(path) => host_of_url(&std::fs::read_to_string(path).unwrap_or_default()),
            SecretSource::Env(_) => None,
        };
        secrets.values().filter_map(host).collect()
    }

    /// The client's options: TLS, credentials, proxy, and who signs its requests.
    pub(crate) fn http_options(&self, aws: Option<AwsSigning>) -> Result<Arc<HttpOptions>, String> {
        let config = self.0.get("http_config").filter(|value| !value.is_null());
        if aws.is_none() && config.is_none() {
            return Ok(Arc::default());
        }
        let options = config.map(http_options).transpose();
        let options = options.map_err(|problem| format!("`http_config`: {problem}"))?.unwrap_or_default();
        Ok(Arc::new(HttpOptions { aws, ..options }))
    }

    /// Who signs requests to AWS, if these settings have a `sigv4`; and whether that stays so. A plugin learns the region.
    pub(super) fn aws(&mut self) -> Result<Option<(AwsSigning, bool)>, String> {
        let Some(sigv4) = self.0.get("sigv4") else { return Ok(None) };
        let (signing, lasting) = aws::signing(sigv4, &aws::environment)?;
        self.0.insert("region".to_owned(), Value::from(signing.region.as_str()));
        Ok(Some((signing, lasting)))
    }

    /// A secret that stands in a setting, or in the file that the setting with `_file` names.
    fn credential(&self, name: &str) -> Result<Secret<String>, String> {
        let in_file = format!("{name}_file");
        let text = match (self.text(name), self.text(&in_file)) {
            (Some(text), _) => text.to_owned(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|problem| format!("`{in_file}`: {file}: {problem}"))?,
            (None, None) => String::new(),
        };
        Ok(Secret::new(text))
    }

    /// Whether [`Settings::smtp`] reads a file.
    pub(super) fn smtp_reads_files(&self) -> bool {
        self.text(OWN_SERVER).is_some()
            && ["auth_password_file", "auth_secret_file"].iter().any(|name| self.text(name).is_some())
    }

    /// The SMTP server of an `email_configs` entry, under the name `smarthost`.
    pub(crate) fn smtp(&self) -> Result<Option<(String, SmtpServer)>, String> {
        let Some(smarthost) = self.text(OWN_SERVER) else { return Ok(None) };
        let flag = |name: &str| self.0.get(name).and_then(Value::as_bool);
        let server = SmtpServer {
            smarthost: smarthost.to_owned(),
            hello: self.text("hello").unwrap_or("localhost").to_owned(),
            username: self.text("auth_username").unwrap_or_default().to_owned(),
            identity: self.text("auth_identity").unwrap_or_default().to_owned(),
            password: self.credential("auth_password")?,
            secret: self.credential("auth_secret")?,
            require_tls: flag("require_tls").unwrap_or(true),
            implicit_tls: flag("force_implicit_tls").unwrap_or_else(|| smarthost.ends_with(":465")),
            tls: self.0.get("tls_config").map(tls_options).transpose()?.unwrap_or_default(),
        };
        Ok(Some((OWN_SERVER.to_owned(), server)))
    }
}

/// The host of a URL that the operator wrote; `None` for any other text.
pub(super) fn host_of_url(text: &str) -> Option<HostPattern> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    pattern_of(&url)
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("`{what}` is not a map"))
}

fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn secret(map: &Map<String, Value>, name: &str) -> Secret<String> {
    Secret::new(text(map, name).unwrap_or_default())
}

fn flag(map: &Map<String, Value>, name: &str, default: bool) -> bool {
    map.get(name).and_then(Value::as_bool).unwrap_or(default)
}

fn http_options(config: &Value) -> Result<HttpOptions, String> {
    let map = object(config, "http_config")?;
    let mut options = HttpOptions {
        auth: http_auth(map)?,
        follow_redirects: flag(map, "follow_redirects", true),
        enable_http2: flag(map, "enable_http2", true),
        ..connection(map)?
    };
    for (name, header) in map.get("http_headers").and_then(Value::as_object).into_iter().flatten() {
        let of = |kind: &str| {
            let values = header.get(kind).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        for value in of("values").into_iter().chain(of("secrets")) {
            options.headers.push((name.clone(), Secret::new(value)));
        }
        options.header_files.extend(of("files").into_iter().map(|file| (name.clone(), file)));
    }
    Ok(options)
}

/// TLS and proxy.
fn connection(map: &Map<String, Value>) -> Result<HttpOptions, String> {
    Ok(HttpOptions {
        tls: map.get("tls_config").filter(|v| !v.is_null()).map(tls_options).transpose()?.unwrap_or_default(),
        proxy_url: text(map, "proxy_url").map(Secret::new),
        no_proxy: text(map, "no_proxy").unwrap_or_default(),
        proxy_from_environment: flag(map, "proxy_from_environment", false),
        ..HttpOptions::default()
    })
}

fn http_auth(map: &Map<String, Value>) -> Result<HttpAuth, String> {
    let part = |name: &str| map.get(name).filter(|value| !value.is_null());
    if let Some(basic) = part("basic_auth") {
        let basic = object(basic, "basic_auth")?;
        return Ok(HttpAuth::Basic {
            username: text(basic, "username").unwrap_or_default(),
            username_file: text(basic, "username_file"),
            password: secret(basic, "password"),
            password_file: text(basic, "password_file"),
        });
    }
    if let Some(authorization) = part("authorization") {
        let authorization = object(authorization, "authorization")?;
        return Ok(HttpAuth::Authorization {
            kind: text(authorization, "type").unwrap_or_else(|| "Bearer".to_owned()),
            credentials: secret(authorization, "credentials"),
            credentials_file: text(authorization, "credentials_file"),
        });
    }
    if let Some(oauth) = part("oauth2") {
        let oauth = object(oauth, "oauth2")?;
        let scopes = oauth.get("scopes").and_then(Value::as_array).into_iter().flatten();
        let params = oauth.get("endpoint_params").and_then(Value::as_object).into_iter().flatten();
        return Ok(HttpAuth::OAuth2 {
            client_id: text(oauth, "client_id").unwrap_or_default(),
            client_secret: secret(oauth, "client_secret"),
            client_secret_file: text(oauth, "client_secret_file"),
            scopes: scopes.filter_map(Value::as_str).map(str::to_owned).collect(),
            token_url: text(oauth, "token_url").unwrap_or_default(),
            endpoint_params: params.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
            client: Arc::new(connection(oauth)?),
        });
    }
    let bearer = text(map, "bearer_token");
    let bearer_file = text(map, "bearer_token_file");
    if bearer.is_some() || bearer_file.is_some() {
        return Ok(HttpAuth::Authorization {
            kind: "Bearer".to_owned(),
            credentials: Secret::new(bearer.unwrap_or_default()),
            credentials_file: bearer_file,
        });
    }
    Ok(HttpAuth::None)
}

fn tls_options(config: &Value) -> Result<TlsOptions, String> {
    let map = object(config, "tls_config")?;
    Ok(TlsOptions {
        ca: text(map, "ca"),
        ca_file: text(map, "ca_file"),
        cert: text(map, "cert"),
        cert_file: text(map, "cert_file"),
        key: text(map, "key").map(Secret::new),
        key_file: text(map, "key_file"),
        server_name: text(map, "server_name"),
        insecure_skip_verify: flag(map, "insecure_skip_verify", false),
        min_version: text(map, "min_version"),
        max_version: text(map, "max_version"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::new(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a_receivers_url_is_a_secret_and_grants_its_host() {
        let settings = settings(&[
            ("webhook_url", "\"http://sink.lan:9999/api\""),
            ("title", "\"http://evil.example/\""),
        ]);
        let secrets = settings.secrets(&["webhook".to_owned(), "token".to_owned()]);
        assert_eq!(
            secrets["webhook"],
            SecretSource::Inline(Secret::new("http://sink.lan:9999/api".to_owned()))
        );
        assert_eq!(secrets.len(), 1);
        let hosts: Vec<String> = settings.hosts(&secrets).iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["sink.lan:9999 private"]);
    }

    #[test]
    fn an_email_config_is_a_server() {
        let settings = settings(&[
            ("smarthost", "\"mail.example.org:587\""),
            ("auth_username", "\"u\""),
            ("auth_password", "\"p\""),
            ("require_tls", "false"),
        ]);
        let (name, server) = settings.smtp().unwrap().unwrap();
        assert_eq!((name.as_str(), server.smarthost.as_str()), ("smarthost", "mail.example.org:587"));
        assert!(!server.require_tls && !server.implicit_tls);
        assert_eq!(server.password.expose(), "p");
        for (smarthost, force, implicit) in [
            ("mx.test:465", None, true),
            ("mx.test:465", Some("false"), false),
            ("mx.test:587", Some("true"), true),
            ("mx.test:587", None, false),
        ] {
            let smarthost = format!("\"{smarthost}\"");
            let mut pairs =
                vec![("smarthost", smarthost.as_str()), ("auth_secret", "\"s\""), ("auth_identity", "\"i\"")];
            pairs.extend(force.map(|force| ("force_implicit_tls", force)));
            let (_, server) = self::settings(&pairs).smtp().unwrap().unwrap();
            assert_eq!(server.implicit_tls, implicit, "{pairs:?}");
            assert_eq!((server.secret.expose().as_str(), server.identity.as_str()), ("s", "i"));
            assert!(server.require_tls);
        }
        let missing = self::settings(&[("smarthost", "\"a:1\""), ("auth_secret_file", "\"/none\"")]).smtp();
        assert!(missing.unwrap_err().starts_with("`auth_secret_file`: /none: "));
    }

    #[test]
    fn http_config_becomes_options() {
        let config = r#"{"authorization": {"credentials": "t"}, "tls_config": {"insecure_skip_verify": true},
            "follow_redirects": false, "http_headers": {"X-A": {"values": ["1"], "files": ["/f"]}}}"#;
        let options = settings(&[("http_config", config)]).http_options(None).unwrap();
        assert!(matches!(&options.auth, HttpAuth::Authorization { kind, .. } if kind == "Bearer"));
        assert!(options.tls.insecure_skip_verify && !options.follow_redirects);
        assert_eq!(options.header_files, [("X-A".to_owned(), "/f".to_owned())]);
        assert!(settings(&[("http_config", "5")]).http_options(None).is_err());
    }
}
