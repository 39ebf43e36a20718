use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A certificate that signs itself, and its key.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn write(directory: &TempDir, name: &str, text: &str) {
    std::fs::write(directory.path().join(name), text).unwrap();
}

const TLS: &str = "tls_server_config: {cert_file: c.pem, key_file: k.pem";

fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    let (certificate, key) = pair();
    write(&directory, "c.pem", &certificate);
    write(&directory, "k.pem", &key);
    write(&directory, "other.pem", &pair().0);
    write(&directory, "nonsense.pem", "nonsense");
    directory
}

#[test]
fn what_files_hold_is_checked() {
    let directory = directory();
    for (text, said) in [
        (format!("{TLS}}}"), Ok(())),
        (format!("{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: c.pem}}"), Ok(())),
        (format!("{TLS}, client_auth_type: RequestClientCert}}"), Ok(())),
        (format!("{TLS}, max_version: TLS12, min_version: TLS12}}"), Ok(())),
        (
            "tls_server_config: {cert_file: other.pem, key_file: k.pem}".to_owned(),
            Err("certificate and key cannot be used together"),
        ),
        (
            "tls_server_config: {cert_file: nonsense.pem, key_file: k.pem}".to_owned(),
            Err("nonsense.pem` cannot be read: there is no certificate in it"),
        ),
        (
            "tls_server_config: {cert_file: c.pem, key_file: nonsense.pem}".to_owned(),
            Err("nonsense.pem` cannot be read"),
        ),
        // Alertmanager takes this, and then refuses every client.
        (
            format!("{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca: nonsense}}"),
            Err("there is no certificate in it"),
        ),
        ("tls_server_config: {cert_file: gone.pem, key_file: k.pem}".to_owned(), Err("does not exist")),
    ] {
        write(&directory, "web.yml", &text);
        let got = check_web(&directory.path().join("web.yml"));
        match said {
            Ok(()) => assert_eq!(got, Ok(Vec::new()), "{text}"),
            Err(said) => assert!(got.as_ref().is_err_and(|why| why.contains(said)), "{text}: {got:?}"),
        }
    }
}

#[test]
fn the_last_version_that_can_be_used_holds() {
    let directory = directory();
    write(&directory, "web.yml", &format!("{TLS}}}"));
    let (web, _) = Web::open(&directory.path().join("web.yml")).unwrap();
    let first = web.current();
    assert!(Arc::ptr_eq(&first, &web.current()), "nothing changed");

    let (certificate, key) = pair();
    write(&directory, "c.pem", &certificate);
    assert!(Arc::ptr_eq(&first, &web.current()), "a certificate without its key");
    write(&directory, "k.pem", &key);
    let second = web.current();
    assert!(!Arc::ptr_eq(&first, &second), "both are new");

    for broken in ["tls_server_config: {", "", "basic_auth_users: {a: b}"] {
        write(&directory, "web.yml", broken);
        assert!(Arc::ptr_eq(&second, &web.current()), "{broken}");
    }
    std::fs::remove_file(directory.path().join("web.yml")).unwrap();
    assert!(Arc::ptr_eq(&second, &web.current()), "the file is gone");

    // A file that was missing is looked for, too.
    let named = "tls_server_config: {cert_file: new.pem, key_file: k.pem}\nhttp_server_config: {headers: {X-Frame-Options: deny}}";
    write(&directory, "web.yml", named);
    assert!(Arc::ptr_eq(&second, &web.current()), "the certificate is missing");
    write(&directory, "new.pem", &certificate);
    assert_eq!(web.current().headers.len(), 1);
}

#[test]
fn a_bucket_fills_again() {
    let limit = RequestLimit { burst: 2, interval: Duration::from_secs(10) };
    let start = Instant::now();
    let mut bucket = Bucket { requests: 2.0, at: start };
    let taken: Vec<bool> = [0, 0, 0, 9, 10, 11, 100, 100, 100]
        .map(|at| bucket.take(limit, start + Duration::from_secs(at)))
        .into();
    assert_eq!(taken, [true, true, false, false, true, false, true, true, false]);
}
