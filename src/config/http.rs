//! HTTP clients: credentials, TLS, proxy. The same keys stand inline in scrape configurations and discoveries, and under
//! `http_config` for Alertmanager's part.

use std::sync::Arc;

use model::Secret;
use ports::{HttpAuth, HttpOptions, TlsOptions};

use crate::Setting;
use crate::reader::{At, Fields};
use crate::shown::Shown;
use crate::url;

/// Headers that the client sets itself.
const RESERVED_HEADERS: [&str; 18] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Whether a header is set by the client itself.
pub(crate) fn is_reserved_header(name: &str) -> bool {
    RESERVED_HEADERS.contains(&name.to_lowercase().as_str())
}

/// The client's keys, which stand among others in `fields`.
pub(crate) fn read_inline(fields: &Fields<'_>, default: &HttpOptions) -> HttpOptions {
    let auth = read_auth(fields);
    let tls = fields.get("tls_config").and_then(|at| read_tls_shown(fields, "tls_config", &at));
    let proxy = read_proxy(fields);
    let follow_redirects = fields.boolean("follow_redirects");
    let enable_http2 = fields.boolean("enable_http2");
    let (headers, header_files) = read_headers(fields);
    let auth_given = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];
    let inherits_auth = !auth_given.iter().any(|key| fields.has(key));
    let proxy_given = ["proxy_url", "no_proxy", "proxy_from_environment"];
    let proxy = if proxy_given.iter().any(|key| fields.has(key)) {
        proxy
    } else {
        Proxy {
            url: default.proxy_url.clone(),
            no_proxy: default.no_proxy.clone(),
            from_environment: default.proxy_from_environment,
        }
    };
    HttpOptions {
        auth: if inherits_auth { default.auth.clone() } else { auth },
        tls: tls.unwrap_or_else(|| default.tls.clone()),
        follow_redirects: follow_redirects.unwrap_or(default.follow_redirects),
        enable_http2: enable_http2.unwrap_or(default.enable_http2),
        proxy_url: proxy.url,
        no_proxy: proxy.no_proxy,
        proxy_from_environment: proxy.from_environment,
        headers,
        header_files,
        aws: None,
    }
}

/// An `http_config` mapping.
pub(crate) fn read(at: &At<'_>, default: &HttpOptions) -> Option<(HttpOptions, Shown)> {
    let fields = at.fields()?;
    let options = read_inline(&fields, default);
    Some((options, fields.finish()))
}

fn read_auth(fields: &Fields<'_>) -> HttpAuth {
    let bearer = fields.secret_or_file("bearer_token", "bearer_token_file");
    let token = if fields.has("bearer_token") { "bearer_token" } else { "bearer_token_file" };
    fields.at_most_one(&["basic_auth", "authorization", "oauth2", token]);
    let basic = fields.get("basic_auth").and_then(|at| read_basic(fields, &at));
    let authorization = fields.get("authorization").and_then(|at| read_authorization(fields, &at));
    let oauth2 = fields.get("oauth2").and_then(|at| read_oauth2(fields, &at));
    let bearer = bearer.map(|token| {
        let (credentials, credentials_file) = inline_and_file(Some(token));
        HttpAuth::Authorization { kind: "Bearer".to_owned(), credentials, credentials_file }
    });
    basic.or(authorization).or(oauth2).or(bearer).unwrap_or_default()
}

/// A secret as `ports` has it: the value, and the file that holds it instead.
pub(crate) fn inline_and_file(secret: Option<Setting>) -> (Secret<String>, Option<String>) {
    match secret {
        Some(Setting::Secret { value, .. }) => (value, None),
        Some(Setting::SecretFile(path)) => (Secret::default(), Some(path.to_string_lossy().into_owned())),
        _ => (Secret::default(), None),
    }
}

fn read_basic(parent: &Fields<'_>, at: &At<'_>) -> Option<HttpAuth> {
    let fields = at.fields()?;
    fields.at_most_one(&["username", "username_file"]);
    let username = fields.text("username").unwrap_or_default();
    let username_file = fields.existing_path("username_file").map(|p| p.to_string_lossy().into_owned());
    let (password, password_file) = inline_and_file(fields.secret_or_file("password", "password_file"));
    parent.show("basic_auth", fields.finish());
    Some(HttpAuth::Basic { username, username_file, password, password_file })
}

fn read_authorization(parent: &Fields<'_>, at: &At<'_>) -> Option<HttpAuth> {
    let fields = at.fields()?;
    let kind = fields.text_or("type", "Bearer").trim().to_owned();
    let kind = if kind.is_empty() { "Bearer".to_owned() } else { kind };
    if let Some(at) = fields.get("type").filter(|_| kind.eq_ignore_ascii_case("basic")) {
        at.error(
            "`type` cannot be `Basic`",
            Some("use `basic_auth` with `username` and `password`".to_owned()),
        );
    }
    let (credentials, credentials_file) =
        inline_and_file(fields.secret_or_file("credentials", "credentials_file"));
    parent.show("authorization", fields.finish());
    Some(HttpAuth::Authorization { kind, credentials, credentials_file })
}

/// The grant by a signed assertion instead of a secret.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn read_oauth2(parent: &Fields<'_>, at: &At<'_>) -> Option<HttpAuth> {
    let fields = at.fields()?;
    let client_id = fields.text("client_id").unwrap_or_default();
    let token_url =
        fields.get("token_url").and_then(|at| url::shown(&fields, "token_url", &at)).unwrap_or_default();
    let grant = fields.choice_or("grant_type", &["client_credentials", JWT_BEARER], "");
    let (client_secret, client_secret_file) =
        inline_and_file(fields.secret_or_file("client_secret", "client_secret_file"));
    let key = fields.secret_or_file("client_certificate_key", "client_certificate_key_file");
    fields.text("client_certificate_key_id");
    let algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];
    fields.choice_or("signature_algorithm", &algorithms, "");
    fields.text("iss");
    fields.text("audience");
    if let Some(claims) = fields.get("claims") {
        claims.entries();
        fields.show("claims", crate::schema::plain_shown(claims.node));
    }
    let scopes = fields.texts("scopes");
    let endpoint_params = fields.text_map("endpoint_params");
    let tls = fields.get("tls_config").and_then(|at| read_tls_shown(&fields, "tls_config", &at));
    let proxy = read_proxy(&fields);
    let client = HttpOptions {
        tls: tls.unwrap_or_default(),
        proxy_url: proxy.url,
        no_proxy: proxy.no_proxy,
        proxy_from_environment: proxy.from_environment,
        ..HttpOptions::default()
    };
    if client_id.is_empty() {
        fields.missing("client_id", None);
    }
    if token_url.is_empty() {
        fields.missing("token_url", None);
    }
    if let Some(at) = fields.get("grant_type").filter(|_| grant == JWT_BEARER) {
        warn_unused(&at, "this grant is read and checked, and not asked for: use a client secret");
    }
    if grant == JWT_BEARER && key.is_none() {
        fields.missing("client_certificate_key_file", Some("this grant signs with a key".to_owned()));
    }
    parent.show("oauth2", fields.finish());
    Some(HttpAuth::OAuth2 {
        client_id,
        client_secret,
        client_secret_file,
        scopes,
        token_url,
        endpoint_params,
        client: Arc::new(client),
    })
}

/// Says that a key has no effect in this server.
fn warn_unused(at: &At<'_>, what: &str) {
    if !at.cx.catalog.everything {
        at.at_key().warn(what, None);
    }
}

/// Versions of TLS, oldest first.
const TLS_VERSIONS: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];

/// A `tls_config` mapping, shown in `parent` under `key`.
pub(crate) fn read_tls_shown(parent: &Fields<'_>, key: &str, at: &At<'_>) -> Option<TlsOptions> {
    let (options, shown) = read_tls(at)?;
    parent.show(key, shown);
    Some(options)
}

pub(crate) fn read_tls(at: &At<'_>) -> Option<(TlsOptions, Shown)> {
    let fields = at.fields()?;
    for pair in [["ca", "ca_file"], ["cert", "cert_file"]] {
        fields.at_most_one(&pair);
    }
    let path = |key| fields.existing_path(key).map(|p| p.to_string_lossy().into_owned());
    let (ca_file, cert_file) = (path("ca_file"), path("cert_file"));
    let (ca, cert) = (fields.text("ca"), fields.text("cert"));
    let key = fields.secret_or_file("key", "key_file");
    let has_cert = cert.is_some() || cert_file.is_some();
    if has_cert && key.is_none() {
        fields.missing("key_file", Some("a certificate needs its key".to_owned()));
    }
    if key.is_some() && !has_cert {
        fields.missing("cert_file", Some("a key needs its certificate".to_owned()));
    }
    let server_name = fields.text("server_name");
    let insecure_skip_verify = fields.boolean("insecure_skip_verify").unwrap_or(false);
    let version = |key| Some(fields.choice_or(key, &TLS_VERSIONS, "")).filter(|v| !v.is_empty());
    let (min_version, max_version) = (version("min_version"), version("max_version"));
    let rank = |v: &Option<String>| v.as_ref().and_then(|v| TLS_VERSIONS.iter().position(|t| t == v));
    if let (Some(min), Some(max)) = (rank(&min_version), rank(&max_version))
        && min > max
        && let Some(at) = fields.get("max_version")
    {
        at.error("`max_version` is older than `min_version`", None);
    }
    let (key, key_file) = inline_and_file(key);
    let key = Some(key).filter(|key| !key.expose().is_empty());
    let options = TlsOptions {
        ca,
        ca_file,
        cert,
        cert_file,
        key,
        key_file,
        server_name,
        insecure_skip_verify,
        min_version,
        max_version,
    };
    Some((options, fields.finish()))
}

#[derive(Default)]
struct Proxy {
    url: Option<Secret<String>>,
    no_proxy: String,
    from_environment: bool,
}

fn read_proxy(fields: &Fields<'_>) -> Proxy {
    let url = fields.get("proxy_url").and_then(|at| url::shown(fields, "proxy_url", &at));
    let no_proxy = fields.text("no_proxy").unwrap_or_default();
    let from_environment = fields.boolean("proxy_from_environment").unwrap_or(false);
    if from_environment {
        for key in ["proxy_url", "no_proxy"] {
            if let Some(at) = fields.get(key) {
                let what = format!("`{key}` and `proxy_from_environment` are both set");
                at.at_key().error(what, Some("keep one".to_owned()));
            }
        }
    } else if let Some(at) = fields.get("no_proxy").filter(|_| url.is_none()) {
        at.at_key().error("`no_proxy` without `proxy_url` does nothing", Some("add `proxy_url`".to_owned()));
    }
    if let Some(at) = fields.get("proxy_connect_header") {
        if url.is_none() && !from_environment {
            at.at_key().error("`proxy_connect_header` without a proxy does nothing", None);
        } else {
            warn_unused(&at, "`proxy_connect_header` is read and checked, and not sent");
        }
        let mut shown = Vec::new();
        for (name, at) in at.entries().unwrap_or_default() {
            let values = at.texts().unwrap_or_default();
            shown.push((name, Shown::List(values.iter().map(|_| Shown::masked()).collect())));
        }
        fields.show("proxy_connect_header", Shown::Map(shown));
    }
    Proxy { url: url.map(Secret::new), no_proxy, from_environment }
}

type Headers = (Vec<(String, Secret<String>)>, Vec<(String, String)>);

fn read_headers(fields: &Fields<'_>) -> Headers {
    let mut headers: Headers = Default::default();
    let Some(at) = fields.get("http_headers") else { return headers };
    let mut shown = Vec::new();
    for (name, at) in at.entries().unwrap_or_default() {
        if is_reserved_header(&name) {
            at.at_key().error(format!("header `{name}` cannot be set here"), None);
        }
        let Some(inner) = at.fields() else { continue };
        for value in inner.texts("values") {
            headers.0.push((name.clone(), Secret::new(value)));
        }
        let secrets = inner.get("secrets").and_then(|at| at.list()).unwrap_or_default();
        for secret in &secrets {
            let text = secret.secret_text(Some("files")).unwrap_or_default();
            headers.0.push((name.clone(), Secret::new(text)));
        }
        if !secrets.is_empty() {
            inner.show("secrets", Shown::List(secrets.iter().map(|_| Shown::masked()).collect()));
        }
        for file in inner.get("files").and_then(|at| at.list()).unwrap_or_default() {
            let Some(path) = file.text() else { continue };
            headers.1.push((name.clone(), file.resolve(&path).to_string_lossy().into_owned()));
        }
        inner.texts("files");
        shown.push((name, inner.finish()));
    }
    fields.show("http_headers", Shown::Map(shown));
    headers
}

/// The options as a value with the keys of the configuration, for the host of a plugin. `None` if all are defaults.
pub(crate) fn to_setting(options: &HttpOptions) -> Option<Setting> {
    if *options == HttpOptions::default() {
        return None;
    }
    let mut map = Vec::new();
    let text = |value: &str| Setting::Text(value.to_owned());
    let secret = |value: &Secret<String>| Setting::Secret { value: value.clone(), template: false };
    let optional = |map: &mut Vec<(String, Setting)>, key: &str, value: &Option<String>| {
        if let Some(value) = value {
            map.push((key.to_owned(), text(value)));
        }
    };
    let mut auth = Vec::new();
    let auth_key = match &options.auth {
        HttpAuth::None => "",
        HttpAuth::Basic { username, username_file, password, password_file } => {
            auth.push(("username".to_owned(), text(username)));
            optional(&mut auth, "username_file", username_file);
            auth.push(("password".to_owned(), secret(password)));
            optional(&mut auth, "password_file", password_file);
            "basic_auth"
        }
        HttpAuth::Authorization { kind, credentials, credentials_file } => {
            auth.push(("type".to_owned(), text(kind)));
            auth.push(("credentials".to_owned(), secret(credentials)));
            optional(&mut auth, "credentials_file", credentials_file);
            "authorization"
        }
        HttpAuth::OAuth2 {
            client_id,
            client_secret,
            client_secret_file,
            scopes,
            token_url,
            endpoint_params,
            client,
        } => {
            auth.push(("client_id".to_owned(), text(client_id)));
            auth.push(("client_secret".to_owned(), secret(client_secret)));
            optional(&mut auth, "client_secret_file", client_secret_file);
            auth.push(("scopes".to_owned(), Setting::List(scopes.iter().map(|s| text(s)).collect())));
            auth.push(("token_url".to_owned(), text(token_url)));
            let params = endpoint_params.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            auth.push(("endpoint_params".to_owned(), Setting::Map(params)));
            connection_settings(client, &mut auth);
            "oauth2"
        }
    };
    if !auth.is_empty() {
        map.push((auth_key.to_owned(), Setting::Map(auth)));
    }
    map.push(("follow_redirects".to_owned(), Setting::Bool(options.follow_redirects)));
    map.push(("enable_http2".to_owned(), Setting::Bool(options.enable_http2)));
    connection_settings(options, &mut map);
    if !options.headers.is_empty() || !options.header_files.is_empty() {
        map.push(("http_headers".to_owned(), header_setting(options)));
    }
    Some(Setting::Map(map))
}

/// TLS and proxy with the keys of the configuration.
fn connection_settings(options: &HttpOptions, map: &mut Vec<(String, Setting)>) {
    if options.tls != TlsOptions::default() {
        map.push(("tls_config".to_owned(), tls_setting(&options.tls)));
    }
    if let Some(url) = &options.proxy_url {
        map.push(("proxy_url".to_owned(), Setting::Secret { value: url.clone(), template: false }));
    }
    if !options.no_proxy.is_empty() {
        map.push(("no_proxy".to_owned(), Setting::Text(options.no_proxy.clone())));
    }
    if options.proxy_from_environment {
        map.push(("proxy_from_environment".to_owned(), Setting::Bool(true)));
    }
}

/// A `tls_config` as a value with the keys of the configuration.
pub(crate) fn tls_setting(tls: &TlsOptions) -> Setting {
    let mut map = Vec::new();
    let texts = [
        ("ca", &tls.ca),
        ("ca_file", &tls.ca_file),
        ("cert", &tls.cert),
        ("cert_file", &tls.cert_file),
        ("key_file", &tls.key_file),
        ("server_name", &tls.server_name),
        ("min_version", &tls.min_version),
        ("max_version", &tls.max_version),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            map.push((key.to_owned(), Setting::Text(value.clone())));
        }
    }
    if let Some(key) = &tls.key {
        map.push(("key".to_owned(), Setting::Secret { value: key.clone(), template: false }));
    }
    if tls.insecure_skip_verify {
        map.push(("insecure_skip_verify".to_owned(), Setting::Bool(true)));
    }
    Setting::Map(map)
}

fn header_setting(options: &HttpOptions) -> Setting {
    let mut names: Vec<&String> =
        options.headers.iter().map(|(n, _)| n).chain(options.header_files.iter().map(|(n, _)| n)).collect();
    names.sort();
    names.dedup();
    let of = |name: &String| {
        let values = options.headers.iter().filter(|(n, _)| n == name);
        let secrets = values.map(|(_, v)| Setting::Secret { value: v.clone(), template: false }).collect();
        let files = options.header_files.iter().filter(|(n, _)| n == name);
        let files = files.map(|(_, path)| Setting::Text(path.clone())).collect();
        Setting::Map(vec![
            ("secrets".to_owned(), Setting::List(secrets)),
            ("files".to_owned(), Setting::List(files)),
        ])
    };
    Setting::Map(names.into_iter().map(|name| (name.clone(), of(name))).collect())
}
