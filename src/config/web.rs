//! The file of `--web.config.file`: TLS, headers and passwords of our own listeners, in the form that Prometheus,
//! Alertmanager and the exporters share.
//!
//! In: its path and a way to read files. Out: a [`WebConfig`] and warnings, or all problems. Not here: what stands in
//! certificates and keys, which is looked at by whoever speaks TLS. Start at [`load_web`].

mod hash;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use model::Secret;

use crate::load::read_tree;
use crate::reader::{At, Context, Fields, short, suggestion};
use crate::tree::Yaml;
use crate::{Catalog, Files, LoadOptions, Problem, Problems};

/// How our listeners are reached. The default is HTTP for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebConfig {
    /// TLS; `None` for plain HTTP.
    pub tls: Option<ServerTls>,
    /// Headers of every answer.
    pub headers: Vec<(String, String)>,
    /// Names and bcrypt hashes; empty for no passwords.
    pub users: BTreeMap<String, Secret<String>>,
    /// How many requests are taken.
    pub requests: Option<RequestLimit>,
}

/// One more request each `interval`, and `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// Requests at once.
    pub burst: u32,
    /// Until there may be one more.
    pub interval: Duration,
}

/// TLS of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Its certificate and those between it and an authority.
    pub cert: Pem,
    /// The certificate's key.
    pub key: Pem,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Who signs clients' certificates; `None` for whom the machine trusts.
    pub client_ca: Option<Pem>,
    /// A client's certificate is for one of these; `None` for any.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// The highest version.
    pub max_version: TlsVersion,
    /// Suites of TLS 1.2 and 1.3, by the names of their registry; `None` for all.
    pub cipher_suites: Option<Vec<&'static str>>,
    /// Groups of the key exchange, by their names here; `None` for all.
    pub curves: Option<Vec<&'static str>>,
}

/// Certificates or a key as PEM, or where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// In the file itself.
    Inline(Secret<String>),
    /// In a file of its own.
    File(PathBuf),
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    None,
    /// A certificate, which may be missing and is not looked at.
    Request,
    /// A certificate, whoever signed it.
    RequireAny,
    /// A certificate that an authority signed, or none.
    VerifyIfGiven,
    /// A certificate that an authority signed.
    RequireAndVerify,
}

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// Reads and checks the file of `--web.config.file`. Files that it names start at its directory, and have to be there.
pub fn load_web(files: &dyn Files, path: &FilePath) -> Result<(WebConfig, Vec<Problem>), Problems> {
    let (catalog, options) =
        (Catalog::default(), LoadOptions { require_files: true, ..LoadOptions::default() });
    let cx = Context::new(files, &catalog, &options);
    let tree = read_tree(&cx, path).filter(|tree| !matches!(tree.yaml, Yaml::Broken));
    let config = tree.and_then(|tree| read(&At::root(&cx, &tree)));
    match (config, cx.has_errors()) {
        (Some(config), false) => Ok((config, cx.into_problems())),
        _ => Err(Problems(cx.into_problems())),
    }
}

fn read(at: &At<'_>) -> Option<WebConfig> {
    let fields = at.fields()?;
    fields.expect_misplaced(&[
        ("tls_config", "write `tls_server_config`"),
        ("basic_auth", "write `basic_auth_users`, with a name and a bcrypt hash for each"),
        ("scrape_configs", "this is a configuration: name it with --config.file"),
        ("route", "this is a configuration: name it with --config.file"),
    ]);
    let config = WebConfig {
        tls: fields.get("tls_server_config").and_then(|at| read_tls(&at)),
        headers: fields.get("http_server_config").and_then(|at| read_http(&at)).unwrap_or_default(),
        users: fields.get("basic_auth_users").and_then(|at| read_users(&at)).unwrap_or_default(),
        requests: fields.get("rate_limit").and_then(|at| read_requests(&at)),
    };
    fields.finish();
    Some(config)
}

/// Headers that may be set, with their values if not every value may be.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

fn read_http(at: &At<'_>) -> Option<Vec<(String, String)>> {
    let fields = at.fields()?;
    // HTTP/2 is only ever an offer, and we do not make it.
    fields.boolean("http2");
    let mut headers = Vec::new();
    for (name, at) in fields.get("headers").and_then(|at| at.entries()).unwrap_or_default() {
        let Some(value) = at.text() else { continue };
        let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            let hint = suggestion(&name, HEADERS.iter().map(|(name, _)| *name), "possible");
            at.at_key().error(format!("header `{}` cannot be set", short(&name)), hint);
            continue;
        };
        if !values.is_empty() && !values.contains(&value.as_str()) {
            let hint = suggestion(&value, values.iter().copied(), "possible");
            at.error(format!("`{}` is not a value of `{name}`", short(&value)), hint);
        } else if value.chars().any(char::is_control) {
            at.error("a header's value is one line", None);
        } else {
            headers.push((name, value));
        }
    }
    fields.finish();
    Some(headers)
}

fn read_users(at: &At<'_>) -> Option<BTreeMap<String, Secret<String>>> {
    let mut users = BTreeMap::new();
    for (name, at) in at.entries()? {
        let Some(text) = at.secret_text(None) else { continue };
        let hint = || Some("make one with `htpasswd -nBC 10 \"\"`".to_owned());
        let hash = match hash::check(&text) {
            Ok(hash) => hash,
            Err(hash::Wrong::NoHash(what)) => {
                at.secret_error(format!("this is not a bcrypt hash: {what}"), hint());
                continue;
            }
            Err(hash::Wrong::NeverMatches) => {
                at.warn("no password matches this hash", hint());
                text
            }
        };
        if name.contains(':') {
            at.at_key().warn("a name with a colon cannot be sent", None);
        }
        users.insert(name, Secret::new(hash));
    }
    Some(users)
}

fn read_requests(at: &At<'_>) -> Option<RequestLimit> {
    let fields = at.fields()?;
    let burst = fields.unsigned_or("burst", 0);
    let interval = fields.get("interval").and_then(|at| match at.scalar() {
        // A bare number counts nanoseconds, as everywhere in Go.
        Some(scalar) if scalar.plain && scalar.text.bytes().all(|byte| byte.is_ascii_digit()) => {
            at.unsigned().map(Duration::from_nanos)
        }
        _ => at.duration(),
    });
    if let (0, Some(at), true) = (burst, fields.get("interval"), interval.is_some_and(|i| !i.is_zero())) {
        at.at_key().error("without a `burst` no request would be taken", None);
    }
    fields.finish();
    let interval = interval.filter(|interval| !interval.is_zero())?;
    Some(RequestLimit { burst: u32::try_from(burst).unwrap_or(u32::MAX), interval })
}

fn read_tls(at: &At<'_>) -> Option<ServerTls> {
    let fields = at.fields()?;
    let cert = pem(&fields, "cert", "cert_file");
    let key = pem(&fields, "key", "key_file");
    let client_ca = pem(&fields, "client_ca", "client_ca_file");
    let policy = fields.get("client_auth_type").filter(|at| at.text().is_some_and(|text| !text.is_empty()));
    let client_auth = policy.as_ref().and_then(read_client_auth).unwrap_or_default();
    let (low, high) = (read_version(&fields, "min_version"), read_version(&fields, "max_version"));
    let (low, high) = (low.unwrap_or(12), high.unwrap_or(13));
    if let Some(at) = fields.get("max_version").filter(|_| high < low.max(12)) {
        let hint = "Foghorn speaks TLS 1.2 and 1.3: write TLS12 or TLS13";
        at.error("no version is left between `min_version` and `max_version`", Some(hint.to_owned()));
    }
    if let Some(at) = fields.get("min_version").filter(|_| low < 12) {
        at.warn("TLS 1.0 and 1.1 are not spoken; 1.2 is the lowest version", None);
    }
    let cipher_suites = names(&fields, "cipher_suites", "cipher suite", &SUITES);
    let curves = names(&fields, "curve_preferences", "curve", &CURVES);
    fields.boolean("prefer_server_cipher_suites");
    let sans_at = fields.get("client_allowed_sans");
    let client_allowed_sans = sans_at.as_ref().and_then(|at| at.texts());

    let wanted = cert.is_some() || key.is_some() || client_ca.is_some() || policy.is_some();
    if wanted && cert.is_none() {
        fields.missing("cert_file", Some("name the file of the certificate".to_owned()));
    }
    if wanted && key.is_none() {
        fields.missing("key_file", Some("name the file of the certificate's key".to_owned()));
    }
    if client_ca.is_some() && policy.is_none_or(|at| at.text().as_deref() == Some("NoClientCert")) {
        let hint = "write `client_auth_type: RequireAndVerifyClientCert`";
        fields
            .at
            .error("who signs clients' certificates is set, and none is asked for", Some(hint.to_owned()));
    }
    let demanded = matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
    if let Some(at) = sans_at.filter(|_| wanted && !demanded) {
        let hint = "write `client_auth_type: RequireAndVerifyClientCert`";
        at.at_key().error("names are checked only where certificates are demanded", Some(hint.to_owned()));
    }
    fields.finish();
    Some(ServerTls {
        cert: cert?,
        key: key?,
        client_auth,
        client_ca,
        client_allowed_sans,
        min_version: if low > 12 { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
        max_version: if high > 12 { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
        cipher_suites,
        curves,
    })
}

/// The file if there is one, else what stands here.
fn pem(fields: &Fields<'_>, inline: &'static str, file: &'static str) -> Option<Pem> {
    let is_empty = |at: &At<'_>| at.text().is_none_or(|text| text.is_empty());
    let here = fields.get(inline).filter(|at| !is_empty(at));
    let here = match inline {
        "key" => here.and_then(|_| fields.secret(inline, None)),
        _ => here.and_then(|at| at.text()).map(Secret::new),
    };
    match fields.get(file).filter(|at| !is_empty(at)) {
        Some(_) => fields.existing_path(file).map(Pem::File),
        None => here.map(Pem::Inline),
    }
}

const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    // The name of old, which is still taken.
    ("RequireClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
];

fn read_client_auth(at: &At<'_>) -> Option<ClientAuth> {
    let text = at.text()?;
    let found = CLIENT_AUTH.iter().find(|(name, _)| *name == text).map(|(_, policy)| *policy);
    if found.is_none() {
        let hint = suggestion(&text, CLIENT_AUTH.iter().map(|(name, _)| *name), "possible");
        at.error(format!("`{}` is not a value of `client_auth_type`", short(&text)), hint);
    }
    found
}

fn read_version(fields: &Fields<'_>, key: &'static str) -> Option<u8> {
    let at = fields.get(key)?;
    let text = at.text()?;
    let versions = [("TLS10", 10), ("TLS11", 11), ("TLS12", 12), ("TLS13", 13)];
    let found = versions.iter().find(|(name, _)| *name == text).map(|(_, version)| *version);
    if found.is_none() {
        let hint = Some("write TLS12 or TLS13".to_owned());
        at.error(format!("`{}` is not a TLS version", short(&text)), hint);
    }
    found
}

/// What files name and whether we speak it.
const SUITES: [(&str, bool); 22] = [
    ("TLS_AES_128_GCM_SHA256", true),
    ("TLS_AES_256_GCM_SHA384", true),
    ("TLS_CHACHA20_POLY1305_SHA256", true),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", true),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", true),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", true),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", true),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", true),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", true),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", false),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", false),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", false),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", false),
    // Older releases know these, newer ones do not.
    ("TLS_RSA_WITH_AES_128_CBC_SHA", false),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", false),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", false),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", false),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", false),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", false),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", false),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", false),
    ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", false),
];

const CURVES: [(&str, bool); 4] =
    [("X25519", true), ("CurveP256", true), ("CurveP384", true), ("CurveP521", false)];

/// The names of a list that we speak; an error if there are names and we speak none of them.
fn names(
    fields: &Fields<'_>,
    key: &'static str,
    noun: &str,
    known: &[(&'static str, bool)],
) -> Option<Vec<&'static str>> {
    let at = fields.get(key)?;
    let items = at.list().filter(|items| !items.is_empty())?;
    let mut spoken = Vec::new();
    let mut unknown = false;
    for item in &items {
        let Some(text) = item.text() else { continue };
        match known.iter().find(|(name, _)| *name == text) {
            Some((name, true)) => spoken.push(*name),
            Some((_, false)) => item.warn(format!("Foghorn does not have the {noun} `{text}`"), None),
            None => {
                unknown = true;
                let hint = suggestion(&text, known.iter().map(|(name, _)| *name), "possible");
                item.error(format!("unknown {noun} `{}`", short(&text)), hint);
            }
        }
    }
    // Suites of TLS 1.3 cannot be chosen, and so are always there; a list of others may leave none for 1.2.
    if spoken.is_empty() && !unknown {
        let ours: Vec<&str> = known.iter().filter(|(_, ours)| *ours).map(|(name, _)| *name).collect();
        at.at_key()
            .error(format!("Foghorn has none of these {noun}s"), Some(format!("it has {}", ours.join(", "))));
    }
    Some(spoken)
}
