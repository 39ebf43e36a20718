//! Clients: TLS, proxy, resolver.

use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use ports::{HttpOptions, OutgoingError, Reach, TlsOptions};
use reqwest::Client;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::reach::CheckedResolver;

static PROVIDER: Once = Once::new();
/// The machine's certificate authorities, read once a process: that takes longer than a hundred requests, and every
/// client wants them, so what is installed later needs a restart. A machine without any is fine as long as nobody speaks
/// TLS; then the handshake says what is missing.
static AUTHORITIES: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(store)
});

/// A client for requests with these options and this reach.
pub(super) fn build_client(options: &HttpOptions, reach: &Reach) -> Result<Client, OutgoingError> {
    let tls = tls_config(&options.tls)?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(super::USER_AGENT)
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(90));
    if !options.enable_http2 {
        builder = builder.http1_only();
    }
    builder = match (&options.proxy_url, options.proxy_from_environment) {
        (Some(proxy), _) => {
            let invalid = |_| OutgoingError::Invalid("`proxy_url` is not the address of a proxy".to_owned());
            let proxy = reqwest::Proxy::all(proxy.expose()).map_err(invalid)?;
            builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&options.no_proxy)))
        }
        // The operator asked for it, in the same place as for a proxy by address.
        (None, true) => builder,
        // Unasked the environment's proxy is never used: it would hide where a request goes.
        (None, false) => builder.no_proxy(),
    };
    if let Reach::Hosts(granted) = reach {
        // The way to the proxy is the operator's: it may lead inside, though no request may be for it.
        let proxies = proxies(options).into_iter().map(|host| format!("{host} private"));
        let granted = granted.iter().cloned().chain(proxies).collect();
        builder = builder.dns_resolver(Arc::new(CheckedResolver { granted }));
    }
    builder.build().map_err(|error| OutgoingError::Invalid(format!("no client can be made: {error}")))
}

/// What the files hold that a client is made of: when one changes, so must the client.
pub(super) fn files_of(options: &HttpOptions) -> Result<Vec<Option<String>>, OutgoingError> {
    let tls = &options.tls;
    if (&tls.ca_file, &tls.cert_file, &tls.key_file) == (&None, &None, &None) {
        return Ok(Vec::new());
    }
    [&tls.ca_file, &tls.cert_file, &tls.key_file]
        .into_iter()
        .map(|file| inline_or_file(None, file.as_deref()))
        .collect()
}

/// The hosts of the proxies that the options name.
fn proxies(options: &HttpOptions) -> Vec<String> {
    let named = match (&options.proxy_url, options.proxy_from_environment) {
        (Some(proxy), _) => vec![proxy.expose().clone()],
        (None, true) => ["http_proxy", "https_proxy", "all_proxy"]
            .into_iter()
            .flat_map(|name| [name.to_owned(), name.to_uppercase()])
            .filter_map(|name| std::env::var(name).ok())
            .collect(),
        (None, false) => Vec::new(),
    };
    let host = |text: &String| {
        let text = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        reqwest::Url::parse(&text).ok()?.host_str().map(str::to_owned)
    };
    named.iter().filter_map(host).collect()
}

/// The provider of TLS' algorithms, installed once a process.
pub(crate) fn install_provider() {
    PROVIDER.call_once(|| {
        // Somebody else may have installed one; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// TLS with these options.
pub(crate) fn tls_config(options: &TlsOptions) -> Result<ClientConfig, OutgoingError> {
    install_provider();
    let versions = versions(options)?;
    let builder = ClientConfig::builder_with_protocol_versions(&versions);
    let builder = if options.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate))
    } else if let Some(name) = options.server_name.as_deref().filter(|name| !name.is_empty()) {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(NamedServer::new(name, options)?))
    } else {
        builder.with_root_certificates(roots(options)?)
    };
    let cert = inline_or_file(options.cert.as_deref(), options.cert_file.as_deref())?;
    let key = inline_or_file(options.key.as_ref().map(|k| k.expose().as_str()), options.key_file.as_deref())?;
    let config = match (cert, key) {
        (Some(cert), Some(key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.as_bytes()).collect();
            let chain = chain
                .map_err(|e| OutgoingError::Invalid(format!("the client certificate cannot be read: {e}")))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|e| OutgoingError::Invalid(format!("the client key cannot be read: {e}")))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| OutgoingError::Invalid(format!("client certificate and key do not fit: {e}")))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(config)
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, OutgoingError> {
    let rank = |text: &Option<String>, missing: u8| match text.as_deref() {
        None | Some("") => Ok(missing),
        Some("TLS10") => Ok(10),
        Some("TLS11") => Ok(11),
        Some("TLS12") => Ok(12),
        Some("TLS13") => Ok(13),
        Some(other) => {
            Err(OutgoingError::Invalid(format!("`{other}` is not a TLS version; write TLS12 or TLS13")))
        }
    };
    let (low, high) = (rank(&options.min_version, 12)?, rank(&options.max_version, 13)?);
    let all = [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)];
    let chosen: Vec<_> = all.into_iter().filter(|(v, _)| (low..=high).contains(v)).map(|(_, v)| v).collect();
    if chosen.is_empty() {
        return Err(OutgoingError::Invalid(
            "no TLS version is left between `min_version` and `max_version`; Foghorn speaks TLS 1.2 and 1.3"
                .to_owned(),
        ));
    }
    Ok(chosen)
}

/// The certificate authorities that these options name, or else the machine's.
fn roots(options: &TlsOptions) -> Result<Arc<RootCertStore>, OutgoingError> {
    let Some(pem) = inline_or_file(options.ca.as_deref(), options.ca_file.as_deref())? else {
        return Ok(Arc::clone(&AUTHORITIES));
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate
            .map_err(|e| OutgoingError::Invalid(format!("the certificate authority cannot be read: {e}")))?;
        store
            .add(certificate)
            .map_err(|e| OutgoingError::Invalid(format!("the certificate authority cannot be used: {e}")))?;
    }
    Ok(Arc::new(store))
}

fn inline_or_file(inline: Option<&str>, file: Option<&str>) -> Result<Option<String>, OutgoingError> {
    match (inline, file) {
        (Some(text), _) if !text.is_empty() => Ok(Some(text.to_owned())),
        (_, Some(file)) if !file.is_empty() => std::fs::read_to_string(file)
            .map(Some)
            .map_err(|error| OutgoingError::Invalid(format!("`{file}` cannot be read: {error}"))),
        _ => Ok(None),
    }
}

/// `server_name`: the certificate must be for this name, whatever the address says. The address is still what the server
/// is told (SNI): a server that chooses its certificate by that chooses by the address.
#[derive(Debug)]
struct NamedServer {
    name: ServerName<'static>,
    checks: Arc<WebPkiServerVerifier>,
}

impl NamedServer {
    fn new(name: &str, options: &TlsOptions) -> Result<Self, OutgoingError> {
        let invalid = |error: &dyn std::fmt::Display| {
            OutgoingError::Invalid(format!("`server_name` cannot be checked: {error}"))
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|error| invalid(&error))?;
        let checks = WebPkiServerVerifier::builder(roots(options)?).build();
        Ok(NamedServer { name, checks: checks.map_err(|error| invalid(&error))? })
    }
}

impl ServerCertVerifier for NamedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.checks.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.checks.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.checks.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.checks.supported_verify_schemes()
    }
}

/// `insecure_skip_verify`: the operator wants any certificate accepted.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
