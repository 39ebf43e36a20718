//! `--web.config.file`: TLS, certificates of clients, passwords, and their change while the server runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::peers::{newer, program, run};
use crate::world::{Answer, Foghorn, PATIENCE, eventually, exchange, foghorn, http, write};

/// Hashes of `right` and of `newer`, cheap ones.
const RIGHT: &str = "$2y$04$abcdefghijklmnopqrstuuFmEfrkTQnczNzw475xE2VhDrK1uwJiC";
const NEWER: &str = "$2y$04$abcdefghijklmnopqrstuuVO36BCGUff7SexU8NMFDlJ.z/7T0Rwa";
const CONFIG: &str = "global: { scrape_interval: 200ms, scrape_timeout: 200ms }\nscrape_configs: [{ job_name: foghorn, plugin: foghorn, static_configs: [{ targets: [localhost] }] }]\n";
const TLS: &str = "tls_server_config: { cert_file: tls/server.pem, key_file: tls/server.key";

/// Who vouches for servers and clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn server(&self) -> (String, String) {
        self.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Somebody who trusts this authority alone.
    fn trusting(&self) -> Client {
        Client { ca: self.0.pem(), own: None, password: None }
    }
}

/// How somebody comes to the server.
#[derive(Clone)]
struct Client {
    ca: String,
    own: Option<(String, String)>,
    password: Option<&'static str>,
}

impl Client {
    fn with(&self, own: (String, String)) -> Self {
        Client { own: Some(own), ..self.clone() }
    }

    /// `name:password`, in base64.
    fn knowing(&self, password: &'static str) -> Self {
        Client { password: Some(password), ..self.clone() }
    }

    fn connection(&self) -> ClientConnection {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match &self.own {
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
    }

    /// `None` if there is no answer: the handshake failed.
    fn ask(&self, port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let basic = self.password.map(|password| format!("Basic {password}"));
        let authorization = basic.as_deref().map(|basic| ("authorization", basic));
        let headers: Vec<_> = headers.iter().copied().chain(authorization).collect();
        exchange(StreamOwned::new(self.connection(), stream), port, method, path, &headers, b"")
    }

    fn status(&self, port: u16, path: &str) -> Option<u16> {
        self.ask(port, "GET", path, &[]).map(|answer| answer.status)
    }
}

/// A directory with a configuration, `web.yml`, and a certificate of `authority`.
fn directory(authority: &Authority, web: &str) -> Arc<TempDir> {
    let directory = Arc::new(TempDir::new().unwrap());
    write(directory.path(), "foghorn.yml", CONFIG);
    write(directory.path(), "etc/web.yml", web);
    write(directory.path(), "etc/tls/ca.pem", &authority.0.pem());
    rotate(&directory, &authority.server());
    directory
}

fn rotate(directory: &TempDir, (certificate, key): &(String, String)) {
    write(directory.path(), "etc/tls/server.pem", certificate);
    write(directory.path(), "etc/tls/server.key", key);
}

fn start(directory: &Arc<TempDir>) -> Foghorn {
    // One listener that other machines can reach besides.
    let args =
        ["--config.file=foghorn.yml", "--web.config.file=etc/web.yml", "--web.listen-address=0.0.0.0:0"];
    Foghorn::start_unasked(Arc::clone(directory), args.map(str::to_owned).into())
}

/// The port of the listener that other machines can reach.
fn outside(foghorn: &mut Foghorn) -> u16 {
    let address = foghorn.process.after("://0.0.0.0:");
    address.trim_end_matches('/').parse().unwrap()
}

fn ready(foghorn: &Foghorn, client: &Client) {
    eventually("a server that is ready", || {
        (client.status(foghorn.port, "/-/ready") == Some(200)).then_some(())
    });
}

#[test]
fn tls_is_spoken_to_those_who_trust_the_authority() {
    let authority = Authority::new();
    let mut foghorn = start(&directory(&authority, &format!("{TLS} }}")));
    let client = authority.trusting();
    ready(&foghorn, &client);
    assert!(foghorn.process.log().contains(&format!("Foghorn page: https://127.0.0.1:{}/", foghorn.port)));
    assert!(foghorn.process.log().contains("Foghorn alertmanager api: https://"));
    assert_eq!(client.status(foghorn.alertmanager_port, "/api/v2/status"), Some(200));
    assert_eq!(Authority::new().trusting().status(foghorn.port, "/-/ready"), None, "another authority");
    // What a rule's message links to.
    let links = client.ask(foghorn.alertmanager_port, "GET", "/", &[]).unwrap().headers;
    assert!(links.contains(&format!("location: https://localhost:{}/", foghorn.port)), "{links}");

    // Who speaks HTTP is told, and who says nothing holds up nobody.
    let silent = TcpStream::connect(("127.0.0.1", foghorn.port)).unwrap();
    let mut half = TcpStream::connect(("127.0.0.1", foghorn.port)).unwrap();
    half.write_all(&[22, 3, 1]).unwrap();
    let told = http(foghorn.port, "GET", "/metrics", &[], "").unwrap();
    assert_eq!((told.status, told.body.trim()), (400, "Client sent an HTTP request to an HTTPS server."));
    assert_eq!(client.status(foghorn.port, "/metrics"), Some(200));
    let mut rest = Vec::new();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!((&silent).read_to_end(&mut rest).is_ok() && rest.is_empty(), "the silent one is let go");

    // We watch ourselves without going through the door, and a change from outside still needs the token.
    eventually("samples of our own", || {
        let answer = client.ask(foghorn.port, "GET", "/api/v1/query?query=up", &[])?;
        (answer.json()["data"]["result"][0]["value"][1] == "1").then_some(())
    });
    let outside = outside(&mut foghorn);
    assert_eq!(client.ask(outside, "POST", "/-/reload", &[]).unwrap().status, 401);
    assert_eq!(foghorn.process.terminate(), Some(0));
}

#[test]
fn certificates_change_while_the_server_runs() {
    let (old, new) = (Authority::new(), Authority::new());
    let directory = directory(&old, &format!("{TLS} }}"));
    let foghorn = start(&directory);
    ready(&foghorn, &old.trusting());
    let (certificate, key) = new.server();
    write(directory.path(), "etc/tls/server.pem", &certificate);
    assert_eq!(old.trusting().status(foghorn.port, "/-/ready"), Some(200), "the key is still missing");
    write(directory.path(), "etc/tls/server.key", &key);
    assert_eq!(new.trusting().status(foghorn.port, "/-/ready"), Some(200));
    assert_eq!(old.trusting().status(foghorn.port, "/-/ready"), None);

    for broken in ["tls_server_config: {", "basic_auth_users: { a: b }", ""] {
        write(directory.path(), "etc/web.yml", broken);
        assert_eq!(new.trusting().status(foghorn.port, "/-/ready"), Some(200), "{broken}");
        assert_eq!(new.trusting().status(foghorn.port, "/-/ready"), Some(200), "{broken}");
    }
    let said = |what: &str| foghorn.process.log().matches(what).count();
    assert_eq!(
        said("cannot be used; the last version of it holds"),
        3,
        "once for each: {}",
        foghorn.process.log()
    );
    assert_eq!(said("TLS begins and ends only with a restart"), 1);
}

#[test]
fn certificates_of_clients_are_demanded_and_checked() {
    let (authority, other) = (Authority::new(), Authority::new());
    let demand = format!("{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: tls/ca.pem");
    let directory = directory(&authority, &format!("{demand} }}"));
    let mut foghorn = start(&directory);
    let issue = |authority: &Authority, name| authority.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
    let nobody = authority.trusting();
    let (anna, eve) = (nobody.with(issue(&authority, "anna.test")), nobody.with(issue(&other, "anna.test")));
    ready(&foghorn, &anna);
    assert_eq!(nobody.status(foghorn.port, "/-/ready"), None, "no certificate");
    assert_eq!(eve.status(foghorn.port, "/-/ready"), None, "signed by another authority");
    let outside = outside(&mut foghorn);
    assert_eq!(anna.ask(outside, "POST", "/-/reload", &[]).unwrap().status, 200, "who is known may");
    let evil = [("origin", "https://evil.test")];
    assert_eq!(
        anna.ask(outside, "POST", "/-/reload", &evil).unwrap().status,
        403,
        "but no other site's page"
    );

    let ben = nobody.with(issue(&authority, "ben.test"));
    write(directory.path(), "etc/web.yml", &format!("{demand}, client_allowed_sans: [ben.test] }}"));
    assert_eq!(
        (anna.status(foghorn.port, "/-/ready"), ben.status(foghorn.port, "/-/ready")),
        (None, Some(200))
    );
    write(directory.path(), "etc/web.yml", &format!("{demand}, client_allowed_sans: [127.0.0.1] }}"));
    assert_eq!(anna.status(foghorn.port, "/-/ready"), Some(200), "by address");

    // Whoever signed them: a certificate, and no proof.
    write(directory.path(), "etc/web.yml", &format!("{TLS}, client_auth_type: RequireAnyClientCert }}"));
    assert_eq!((nobody.status(outside, "/-/ready"), eve.status(outside, "/-/ready")), (None, Some(200)));
    assert_eq!(eve.ask(outside, "POST", "/-/reload", &[]).unwrap().status, 401);
    let given = format!("{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: tls/ca.pem }}");
    write(directory.path(), "etc/web.yml", &given);
    assert_eq!((nobody.status(outside, "/-/ready"), eve.status(outside, "/-/ready")), (Some(200), None));
    assert_eq!(nobody.ask(outside, "POST", "/-/reload", &[]).unwrap().status, 401);
}

/// `anna:right`, `anna:wrong`, `eve:right`, `anna:newer`.
const ANNA: &str = "YW5uYTpyaWdodA==";
const WRONG: &str = "YW5uYTp3cm9uZw==";
const EVE: &str = "ZXZlOnJpZ2h0";
const ANNA_NEWER: &str = "YW5uYTpuZXdlcg==";

#[test]
fn passwords_are_asked_for_everywhere() {
    let authority = Authority::new();
    let headers = "http_server_config: { headers: { X-Frame-Options: sameorigin } }\n";
    let directory = directory(&authority, &format!("{headers}basic_auth_users: {{ anna: {RIGHT} }}\n"));
    let mut foghorn = start(&directory);
    let ask = |port: u16, method: &str, path: &str, password: Option<&str>, more: &[(&str, &str)]| {
        let basic = password.map(|password| format!("Basic {password}"));
        let given = basic.as_deref().map(|basic| ("authorization", basic));
        let headers: Vec<_> = more.iter().copied().chain(given).collect();
        http(port, method, path, &headers, "")
    };
    eventually("a server that is ready", || {
        ask(foghorn.port, "GET", "/-/ready", Some(ANNA), &[]).filter(|answer| answer.status == 200)
    });
    for (port, path) in [
        (foghorn.port, "/"),
        (foghorn.port, "/-/healthy"),
        (foghorn.port, "/metrics"),
        (foghorn.port, "/api/v1/query?query=up"),
        (foghorn.port, "/nowhere"),
        (foghorn.alertmanager_port, "/api/v2/status"),
        (foghorn.alertmanager_port, "/metrics"),
    ] {
        for password in [None, Some(WRONG), Some(EVE)] {
            let answer = ask(port, "GET", path, password, &[]).unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (401, "Unauthorized\n"), "{path} {password:?}");
            assert!(answer.headers.contains("www-authenticate: Basic\r\n"), "{}", answer.headers);
            assert!(answer.headers.contains("x-frame-options: sameorigin"), "{}", answer.headers);
        }
        let answer = ask(port, "GET", path, Some(ANNA), &[]).unwrap();
        assert!(matches!(answer.status, 200 | 404), "{path}: {answer:?}");
        assert!(answer.headers.contains("x-frame-options: sameorigin"), "{}", answer.headers);
    }
    let outside = outside(&mut foghorn);
    let reload =
        |password, more: &[(&str, &str)]| ask(outside, "POST", "/-/reload", password, more).unwrap().status;
    assert_eq!(reload(None, &[]), 401);
    assert_eq!(reload(Some(ANNA), &[]), 200, "who is known may");
    assert_eq!(reload(Some(ANNA), &[("origin", "http://evil.test")]), 403, "but no other site's page");
    eventually("samples of our own", || {
        let answer = ask(foghorn.port, "GET", "/api/v1/query?query=up", Some(ANNA), &[])?;
        (answer.json()["data"]["result"][0]["value"][1] == "1").then_some(())
    });

    let status = |password| ask(foghorn.port, "GET", "/-/ready", Some(password), &[]).unwrap().status;
    write(directory.path(), "etc/web.yml", &format!("basic_auth_users: {{ anna: {NEWER} }}\n"));
    assert_eq!((status(ANNA), status(ANNA_NEWER)), (401, 200), "a new password");
    write(directory.path(), "etc/web.yml", "basic_auth_users: { anna: newer }\n");
    assert_eq!((status(ANNA), status(ANNA_NEWER)), (401, 200), "a broken file changes nothing");
    write(directory.path(), "etc/web.yml", "rate_limit: { burst: 2, interval: 1h }\n");
    assert_eq!([status(ANNA), status(ANNA), status(ANNA)], [200, 200, 429]);
    for secret in ["right", "newer", "$2y$04"] {
        assert!(!foghorn.process.log().contains(secret), "{}", foghorn.process.log());
    }
}

#[test]
fn a_file_that_cannot_be_used_is_said_before_anything_starts() {
    let directory = directory(&Authority::new(), &format!("{TLS}, client_ca_fil: x }}"));
    for args in [
        &["--config.file=foghorn.yml", "--web.config.file=etc/web.yml"][..],
        &["check", "etc/web.yml"],
        &["check", "--web-config", "etc/web.yml"],
    ] {
        let output = foghorn().current_dir(directory.path()).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("unknown key `client_ca_fil`\n  --> etc/web.yml:1:"), "{args:?}: {said}");
        assert!(said.contains("did you mean `client_ca_file`?"), "{args:?}: {said}");
    }
    write(directory.path(), "etc/web.yml", &format!("{TLS} }}"));
    let output = foghorn().current_dir(directory.path()).args(["check", "etc/web.yml"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn amtool_and_promtool_come_in_with_a_certificate_and_a_password() {
    let amtools = [program("amtool"), newer("amtool")];
    let promtools = [program("promtool"), newer("promtool")];
    let authority = Authority::new();
    let web = format!("{TLS} }}\nbasic_auth_users: {{ anna: {RIGHT} }}\n");
    let directory = directory(&authority, &web);
    let client = "basic_auth: { username: anna, password: right }\ntls_config: { ca_file: etc/tls/ca.pem }\n";
    let client = client.replace("etc/tls", &directory.path().join("etc/tls").to_string_lossy());
    write(directory.path(), "client.yml", &client);
    write(directory.path(), "wrong.yml", &client.replace("right", "wrong"));
    let foghorn = start(&directory);
    ready(&foghorn, &authority.trusting().knowing(ANNA));
    let file = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let url = format!("--alertmanager.url=https://localhost:{}", foghorn.alertmanager_port);
    for amtool in amtools.into_iter().flatten() {
        for (name, comes_in) in [("client.yml", true), ("wrong.yml", false)] {
            let (text, ok) = run(&amtool, &["--http.config.file", &file(name), &url, "alert", "query"]);
            assert_eq!(ok, comes_in, "{name}: {text}");
        }
    }
    for promtool in promtools.into_iter().flatten() {
        for (password, comes_in) in [("right", true), ("wrong", false)] {
            // Older ones have no flag for a client's settings.
            let url = format!("https://anna:{password}@localhost:{}", foghorn.port);
            let mut command = Command::new(&promtool);
            command.env("SSL_CERT_FILE", directory.path().join("etc/tls/ca.pem"));
            let output = command.args(["query", "instant", &url, "1"]).output().unwrap();
            assert_eq!(output.status.success(), comes_in, "{password}: {output:?}");
        }
        let (text, ok) = run(&promtool, &["check", "web-config", &file("etc/web.yml")]);
        assert!(ok, "the same file is promtool's, too: {text}");
    }
}
