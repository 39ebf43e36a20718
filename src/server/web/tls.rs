//! From the settings of a server's TLS to what answers handshakes.

use std::sync::Arc;

use config::{ClientAuth, Files as _, Pem, ServerTls, TlsVersion};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, SupportedCipherSuite};

use super::certificates::ClientCertificates;
use super::watched::WatchedFiles;

/// TLS with these settings; certificates and keys are read.
pub(super) fn server_config(tls: &ServerTls, files: &WatchedFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider(tls));
    let chain = certificates(&tls.cert, "the certificate", files)?;
    let key = PrivateKeyDer::from_pem_slice(&pem(&tls.key, files)?)
        .map_err(|error| format!("the key{} cannot be read: {error}", place(&tls.key)))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls))
        .map_err(|error| format!("TLS cannot be spoken with these settings: {error}"))?;
    let builder = match client_certificates(tls, &provider, files)? {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key cannot be used together: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn versions(tls: &ServerTls) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let all = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let wanted = tls.min_version..=tls.max_version;
    all.into_iter().filter(|(version, _)| wanted.contains(version)).map(|(_, ours)| ours).collect()
}

/// The algorithms that may be used.
fn provider(tls: &ServerTls) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    if let Some(names) = &tls.cipher_suites {
        // As with the original, those of TLS 1.3 cannot be chosen.
        provider.cipher_suites.retain(|suite| {
            suite.version().version == ProtocolVersion::TLSv1_3 || names.contains(&suite_name(suite).as_str())
        });
    }
    if let Some(names) = &tls.curves {
        let place = |group: &&dyn rustls::crypto::SupportedKxGroup| {
            names.iter().position(|name| *name == curve_name(group.name()))
        };
        provider.kx_groups.retain(|group| place(group).is_some());
        provider.kx_groups.sort_by_key(place);
    }
    provider
}

fn suite_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite())
}

fn curve_name(group: rustls::NamedGroup) -> &'static str {
    match group {
        rustls::NamedGroup::X25519 => "X25519",
        rustls::NamedGroup::secp256r1 => "CurveP256",
        rustls::NamedGroup::secp384r1 => "CurveP384",
        _ => "",
    }
}

/// What clients' certificates are checked by; `None` if none are asked for.
fn client_certificates(
    tls: &ServerTls,
    provider: &Arc<CryptoProvider>,
    files: &WatchedFiles,
) -> Result<Option<ClientCertificates>, String> {
    let is_mandatory = matches!(tls.client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
    let signed = match tls.client_auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::Request | ClientAuth::RequireAny => None,
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
            let roots = Arc::new(roots(tls.client_ca.as_ref(), files)?);
            let checks = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            Some(checks.map_err(|error| format!("clients' certificates cannot be checked: {error}"))?)
        }
    };
    let algorithms = provider.signature_verification_algorithms;
    Ok(Some(ClientCertificates::new(signed, is_mandatory, tls.client_allowed_sans.clone(), algorithms)))
}

/// Who may sign clients' certificates.
fn roots(client_ca: Option<&Pem>, files: &WatchedFiles) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match client_ca {
        Some(pem) => {
            for certificate in certificates(pem, "the clients' certificate authority", files)? {
                let added = store.add(certificate);
                added.map_err(|error| {
                    format!("the clients' certificate authority{} cannot be used: {error}", place(pem))
                })?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

/// The certificates of a PEM text; at least one.
fn certificates(
    source: &Pem,
    what: &str,
    files: &WatchedFiles,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem(source, files)?).collect();
    let all = all.map_err(|error| format!("{what}{} cannot be read: {error}", place(source)))?;
    match all.is_empty() {
        true => Err(format!("{what}{} cannot be read: there is no certificate in it", place(source))),
        false => Ok(all),
    }
}

fn pem(source: &Pem, files: &WatchedFiles) -> Result<Vec<u8>, String> {
    match source {
        Pem::Inline(text) => Ok(text.expose().clone().into_bytes()),
        Pem::File(path) => {
            files.read(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
        }
    }
}

/// For a message: where a PEM text stands.
fn place(source: &Pem) -> String {
    match source {
        Pem::Inline(_) => String::new(),
        Pem::File(path) => format!(" in `{}`", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_may_name_is_what_we_have() {
        let provider = rustls::crypto::ring::default_provider();
        let suites: Vec<String> = provider.cipher_suites.iter().map(suite_name).collect();
        for name in ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]
        {
            assert!(suites.iter().any(|suite| suite == name), "{name} is not among {suites:?}");
        }
        let curves: Vec<&str> = provider.kx_groups.iter().map(|group| curve_name(group.name())).collect();
        assert_eq!(curves, ["X25519", "CurveP256", "CurveP384"]);
    }

    #[test]
    fn suites_and_curves_are_chosen() {
        let tls = ServerTls {
            cert: Pem::File("c".into()),
            key: Pem::File("k".into()),
            client_auth: ClientAuth::None,
            client_ca: None,
            client_allowed_sans: None,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Some(vec!["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]),
            curves: Some(vec!["CurveP384", "X25519"]),
        };
        let chosen = provider(&tls);
        let suites: Vec<String> = chosen.cipher_suites.iter().map(suite_name).collect();
        assert_eq!(
            suites,
            [
                "TLS13_AES_256_GCM_SHA384",
                "TLS13_AES_128_GCM_SHA256",
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
            ]
        );
        let curves: Vec<&str> = chosen.kx_groups.iter().map(|group| curve_name(group.name())).collect();
        assert_eq!(curves, ["CurveP384", "X25519"]);
    }
}
