//! Mails handed over to a small server, which does what each test says.

use std::sync::Mutex;

use model::Secret;
use ports::TlsOptions;
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Who says what.
#[derive(Clone, Default)]
struct Manner {
    /// Lines of the answer to EHLO.
    features: Vec<&'static str>,
    /// Answers to what begins so, instead of the usual ones.
    answers: Vec<(&'static str, &'static str)>,
    tls: Option<Arc<ServerConfig>>,
    /// Whether TLS begins with the first byte.
    implicit: bool,
}

/// Somebody else may have installed one.
fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A server for one conversation.
struct Server {
    smarthost: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(manner: Manner) -> Server {
        Server::start_at("127.0.0.1:0", manner).await
    }

    async fn start_at(address: &str, manner: Manner) -> Server {
        install_provider();
        let listener = TcpListener::bind(address).await.unwrap();
        let smarthost = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&heard);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let tls = manner.tls.clone().map(TlsAcceptor::from);
            if let (true, Some(tls)) = (manner.implicit, &tls) {
                let Ok(stream) = tls.accept(stream).await else { return };
                talk(stream, &manner, &said, true).await;
            } else if let (Some(stream), Some(tls)) = (talk(stream, &manner, &said, true).await, &tls) {
                let Ok(stream) = tls.accept(stream).await else { return };
                said.lock().unwrap().push("(TLS)".to_owned());
                talk(stream, &manner, &said, false).await;
            }
        });
        Server { smarthost, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn heard_mail(&self) -> String {
        let heard = self.heard();
        let from = heard.iter().position(|line| line == "DATA").unwrap();
        let to = heard.iter().position(|line| line == ".").unwrap();
        heard[from + 1..to].join("\n")
    }
}

/// Talks until the other side goes away, or begins TLS: then the stream comes back.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    manner: &Manner,
    heard: &Mutex<Vec<String>>,
    greets: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220-good day\r\n220 mx.test\r\n").await.ok()?;
    }
    let mut in_mail = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        if in_mail && line != "." {
            continue;
        }
        let own = manner.answers.iter().find(|(begin, _)| line.starts_with(begin)).map(|(_, answer)| *answer);
        let answer = match line.split(' ').next().unwrap_or_default() {
            _ if own.is_some() => own.unwrap_or_default().to_owned(),
            "EHLO" => {
                let mut lines = vec!["mx.test"];
                lines.extend(&manner.features);
                let last = lines.len() - 1;
                let sign = |at| if at == last { ' ' } else { '-' };
                let lines: Vec<_> =
                    lines.iter().enumerate().map(|(at, l)| format!("250{}{l}", sign(at))).collect();
                lines.join("\r\n")
            }
            "AUTH" if line == "AUTH LOGIN" => "334 VXNlcm5hbWU6".to_owned(),
            "AUTH" if line == "AUTH CRAM-MD5" => {
                "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+".to_owned()
            }
            "AUTH" => "235 welcome".to_owned(),
            "DATA" => {
                in_mail = true;
                "354 go on".to_owned()
            }
            "STARTTLS" => "220 begin".to_owned(),
            "." => {
                in_mail = false;
                "250 taken".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            "MAIL" | "RCPT" | "HELO" => "250 ok".to_owned(),
            // What an authentication asked for.
            _ => "235 welcome".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        if line == "STARTTLS" && answer.starts_with('2') {
            return Some(stream.into_inner());
        }
    }
}

/// An authority, and what it vouches for.
struct Vouched {
    ca: String,
    server: Arc<ServerConfig>,
    /// The same, for those alone that show a certificate of the authority.
    closed: Arc<ServerConfig>,
    client: (String, String),
}

fn vouched() -> Vouched {
    install_provider();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |usage| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["mx.test".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &ca).unwrap(), key)
    };
    let (server, key) = issue(ExtendedKeyUsagePurpose::ServerAuth);
    let chain = || vec![CertificateDer::from(server.der().to_vec())];
    let own = || PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let (client, client_key) = issue(ExtendedKeyUsagePurpose::ClientAuth);
    Vouched {
        ca: ca.pem(),
        server: Arc::new(
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain(), own()).unwrap(),
        ),
        closed: Arc::new(
            ServerConfig::builder()
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain(), own())
                .unwrap(),
        ),
        client: (client.pem(), client_key.serialize_pem()),
    }
}

fn plain(server: &Server) -> SmtpServer {
    SmtpServer { smarthost: server.smarthost.clone(), hello: "fog.test".to_owned(), ..SmtpServer::default() }
}

fn known(server: &Server) -> SmtpServer {
    SmtpServer {
        username: "fog".to_owned(),
        password: Secret::new("canary-password".to_owned()),
        secret: Secret::new("canary-secret".to_owned()),
        ..plain(server)
    }
}

fn mail() -> Mail {
    Mail {
        from: "Fog Horn <fog@a.test>".to_owned(),
        to: vec!["\"Öps, night\" <ops@b.test>".to_owned(), "c@b.test".to_owned()],
        headers: vec![("Subject".to_owned(), "Düsk".to_owned()), ("X-Team".to_owned(), "ops".to_owned())],
        text: "one\n.two\n.\nthree".to_owned(),
        html: String::new(),
        id: "n1/1".to_owned(),
    }
}

/// What became of a mail to a server of this manner.
async fn tried(
    manner: Manner,
    settings: fn(&Server) -> SmtpServer,
) -> (Result<String, OutgoingError>, Vec<String>) {
    let server = Server::start(manner).await;
    let outcome = send(&settings(&server), mail()).await;
    (outcome, server.heard())
}

#[tokio::test]
async fn a_mail_is_handed_over_as_it_is() {
    let server = Server::start(Manner { features: vec!["8BITMIME"], ..Manner::default() }).await;
    let id = send(&plain(&server), mail()).await.unwrap();
    let heard = server.heard();
    assert_eq!(
        heard[..5],
        [
            "EHLO fog.test",
            "MAIL FROM:<fog@a.test> BODY=8BITMIME",
            "RCPT TO:<ops@b.test>",
            "RCPT TO:<c@b.test>",
            "DATA"
        ]
    );
    let text = server.heard_mail();
    assert!(text.contains(&format!("Message-ID: {id}")), "{text}");
    assert!(
        text.contains("From: \"Fog Horn\" <fog@a.test>") || text.contains("From: Fog Horn <fog@a.test>"),
        "{text}"
    );
    assert!(text.contains("Subject: =?utf-8?b?"), "{text}");
    assert!(text.contains("X-Team: ops") && text.contains("Date: "), "{text}");
    assert!(text.trim_end().ends_with("one\n..two\n..\nthree"), "{text}");
}

#[test]
fn one_message_has_one_id_and_headers_of_the_user_count() {
    let letter = |mail: Mail| compose(mail, "mx.test", Timestamp::from_secs(0)).unwrap();
    let text = |letter: &Letter| String::from_utf8(letter.bytes.clone()).unwrap();
    assert_eq!(letter(mail()).id, letter(mail()).id, "an attempt and the next one");
    assert_ne!(letter(mail()).id, letter(Mail { id: "n2/1".to_owned(), ..mail() }).id);
    let nameless = || letter(Mail { id: String::new(), ..mail() }).id;
    assert_ne!(nameless(), nameless());
    let headers = [
        ("From", "Desk <desk@a.test>"),
        ("to", "undisclosed"),
        ("Message-ID", "<own@a.test>"),
        ("References", "<thread@a.test>"),
        ("Content-Type", "text/evil"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let letter = letter(Mail { headers, html: "<b>x</b>".to_owned(), ..mail() });
    assert_eq!((letter.id.as_str(), letter.envelope.from.as_str()), ("<own@a.test>", "fog@a.test"));
    assert_eq!(letter.envelope.to, ["ops@b.test", "c@b.test"]);
    let text = text(&letter);
    for line in [
        "desk@a.test",
        "to: undisclosed\r\n",
        "References: <thread@a.test>\r\n",
        "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
        "Content-Type: multipart/alternative;",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("evil") && text.matches("ops@b.test").count() == 0, "{text}");
    for from in ["nobody", "a@x.test, b@x.test"] {
        assert!(
            compose(Mail { from: from.to_owned(), ..mail() }, "mx.test", Timestamp::from_secs(0)).is_err()
        );
    }
}

#[tokio::test]
async fn the_servers_first_way_to_authenticate_with_a_secret_is_taken() {
    for (offered, settings, expected) in [
        (
            "AUTH LOGIN PLAIN",
            known as fn(&Server) -> SmtpServer,
            vec!["AUTH LOGIN", "Zm9n", "Y2FuYXJ5LXBhc3N3b3Jk"],
        ),
        ("AUTH PLAIN LOGIN", known, vec!["AUTH PLAIN AGZvZwBjYW5hcnktcGFzc3dvcmQ="]),
        ("auth=PLAIN", known, vec!["AUTH PLAIN AGZvZwBjYW5hcnktcGFzc3dvcmQ="]),
        (
            "AUTH PLAIN",
            |server| SmtpServer { identity: "ops".to_owned(), ..known(server) },
            vec!["AUTH PLAIN b3BzAGZvZwBjYW5hcnktcGFzc3dvcmQ="],
        ),
        // The example of RFC 2195.
        (
            "AUTH XOAUTH2 CRAM-MD5 PLAIN",
            |server| SmtpServer {
                username: "tim".to_owned(),
                secret: Secret::new("tanstaaftanstaaf".to_owned()),
                ..plain(server)
            },
            vec!["AUTH CRAM-MD5", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"],
        ),
        (
            "AUTH CRAM-MD5 LOGIN",
            |server| SmtpServer { secret: Secret::default(), ..known(server) },
            vec!["AUTH LOGIN", "Zm9n", "Y2FuYXJ5LXBhc3N3b3Jk"],
        ),
        ("SIZE 1000", known, vec![]),
        ("AUTH PLAIN", plain, vec![]),
    ] {
        let (outcome, heard) = tried(
            Manner {
                features: vec![offered],
                answers: vec![("Zm9n", "334 UGFzc3dvcmQ6")],
                ..Manner::default()
            },
            settings,
        )
        .await;
        assert!(outcome.is_ok(), "{offered}: {outcome:?}");
        assert_eq!(
            heard[1..heard.len()].iter().take_while(|line| !line.starts_with("MAIL")).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn refusals_are_told_without_secrets() {
    let auth = |answers| Manner { features: vec!["AUTH PLAIN"], answers, ..Manner::default() };
    for (manner, settings, expected) in [
        (
            auth(vec![("AUTH", "535 5.7.8 bad canary-password AGZvZwBjYW5hcnktcGFzc3dvcmQ=")]),
            known as fn(&Server) -> SmtpServer,
            "refused authentication by PLAIN: 535 5.7.8 bad <secret> <secret>",
        ),
        (
            auth(vec![("RCPT TO:<c@", "550 no such user")]),
            known,
            "refused the recipient c@b.test: 550 no such user",
        ),
        (auth(vec![("MAIL", "452 full")]), known, "refused the sender fog@a.test: 452 full"),
        (auth(vec![(".", "554 spam")]), known, "refused the mail: 554 spam"),
        (auth(vec![("EHLO", "no SMTP at all")]), known, "its answer is no SMTP"),
        (
            Manner { features: vec!["AUTH GSSAPI NTLM"], ..Manner::default() },
            known,
            "it offers GSSAPI, NTLM, and there is a secret for none that is known here",
        ),
        (
            Manner::default(),
            |server| SmtpServer { require_tls: true, ..known(server) },
            "it does not offer STARTTLS, and `require_tls` is true, which is the default; set `require_tls: false`",
        ),
    ] {
        let (outcome, heard) = tried(manner, settings).await;
        let error = outcome.unwrap_err();
        let refused = matches!(&error, OutgoingError::Refused { .. });
        assert_eq!(refused, expected.starts_with("refused"), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("canary"), "{error}");
        assert!(!heard.contains(&"DATA".to_owned()) || expected.contains("spam"), "{heard:?}");
    }
}

#[tokio::test]
async fn a_password_in_the_clear_stays_on_this_machine() {
    // An address that does not say by itself that it is this machine's.
    let server =
        Server::start_at("127.0.0.2:0", Manner { features: vec!["AUTH PLAIN"], ..Manner::default() }).await;
    let error = send(&known(&server), mail()).await.unwrap_err().to_string();
    assert!(error.contains("the connection is not encrypted"), "{error}");
    assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));
}

#[tokio::test]
async fn tls_begins_when_asked_for_or_at_once() {
    let vouched = vouched();
    let options = |server: &Server, tls: TlsOptions| SmtpServer { require_tls: true, tls, ..known(server) };
    let trusted = TlsOptions {
        ca: Some(vouched.ca.clone()),
        server_name: Some("mx.test".to_owned()),
        ..TlsOptions::default()
    };
    let manner = |config: &Arc<ServerConfig>, implicit| Manner {
        features: vec!["STARTTLS", "AUTH PLAIN"],
        tls: Some(Arc::clone(config)),
        implicit,
        ..Manner::default()
    };
    let server = Server::start(manner(&vouched.server, false)).await;
    send(&options(&server, trusted.clone()), mail()).await.unwrap();
    let heard = server.heard();
    assert_eq!(heard[..4], ["EHLO fog.test", "STARTTLS", "(TLS)", "EHLO fog.test"]);
    assert!(heard[4].starts_with("AUTH PLAIN"), "{heard:?}");

    let server = Server::start(manner(&vouched.server, true)).await;
    let implicit = SmtpServer { implicit_tls: true, ..options(&server, trusted.clone()) };
    send(&implicit, mail()).await.unwrap();
    assert!(!server.heard().contains(&"STARTTLS".to_owned()));

    // Whom nobody vouches for, by another name, or with another version of TLS.
    for (tls, expected) in [
        (
            TlsOptions { server_name: Some("mx.test".to_owned()), ..TlsOptions::default() },
            "TLS failed: invalid peer certificate",
        ),
        (TlsOptions { server_name: None, ..trusted.clone() }, "TLS failed: invalid peer certificate"),
        (
            TlsOptions {
                min_version: Some("TLS13".to_owned()),
                max_version: Some("TLS12".to_owned()),
                ..trusted.clone()
            },
            "no TLS version is left",
        ),
        (
            TlsOptions { ca_file: Some("/none".to_owned()), ca: None, ..trusted.clone() },
            "`/none` cannot be read",
        ),
    ] {
        let server = Server::start(manner(&vouched.server, false)).await;
        let error = send(&options(&server, tls), mail()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));
    }
    let server = Server::start(manner(&vouched.server, false)).await;
    let any = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    send(&options(&server, any), mail()).await.unwrap();

    // A server that wants to see a certificate too.
    let server = Server::start(manner(&vouched.closed, true)).await;
    let implicit = |server: &Server, tls| SmtpServer { implicit_tls: true, ..options(server, tls) };
    assert!(send(&implicit(&server, trusted.clone()), mail()).await.is_err());
    let server = Server::start(manner(&vouched.closed, true)).await;
    let (cert, key) = vouched.client.clone();
    let shown = TlsOptions { cert: Some(cert), key: Some(Secret::new(key)), ..trusted };
    send(&implicit(&server, shown), mail()).await.unwrap();
}
