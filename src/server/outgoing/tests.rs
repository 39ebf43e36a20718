//! Requests against a server in the same process, and the table of addresses that plugins must not reach.

use model::Secret;
use ports::TlsOptions;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::reach::{Fence, is_internal};
use super::*;
use std::time::Duration;

/// Answers each connection with the next of `answers`, and returns what was asked.
pub(super) async fn serve(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            asked.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (port, task)
}

pub(super) fn get(url: &str, reach: Reach) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        url: Secret::new(url.into()),
        timeout: Duration::from_secs(10),
        response_bytes_max: 1000,
        reach,
        ..HttpRequest::default()
    }
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn reads_a_whole_answer_of_any_status() {
    let (port, _task) = serve(vec![answer("418 Teapot", "x-a: b\r\n", "short")]).await;
    let got =
        HttpOutgoing::new().send(get(&format!("http://127.0.0.1:{port}/"), Reach::Operator)).await.unwrap();
    assert_eq!((got.status, got.header("x-a"), &got.body[..]), (418, Some("b"), &b"short"[..]));
}

#[tokio::test]
async fn a_longer_answer_than_allowed_is_an_error() {
    let (port, _task) = serve(vec![answer("200 OK", "", &"x".repeat(2000))]).await;
    let got = HttpOutgoing::new().send(get(&format!("http://127.0.0.1:{port}/"), Reach::Operator)).await;
    assert_eq!(got.unwrap_err(), OutgoingError::TooLarge(1000));
}

#[tokio::test]
async fn a_partial_answer_is_as_long_as_it_came() {
    let long = "x".repeat(2000);
    let half = "HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 2000\r\n\r\nhalf".to_owned();
    let no_gzip = answer("200 OK", "content-encoding: gzip\r\n", "plain");
    for (answered, status, body) in [
        (answer("200 OK", "", &long), 200, &long[..1000]),
        (answer("500 No", "", &long), 500, &long[..1000]),
        (half, 202, "half"),
        (no_gzip, 200, ""),
    ] {
        let (port, _task) = serve(vec![answered.clone()]).await;
        let mut request = get(&format!("http://127.0.0.1:{port}/"), Reach::Operator);
        (request.partial_answer, request.decompress) = (true, true);
        let got = HttpOutgoing::new().send(request).await.unwrap();
        assert_eq!((got.status, std::str::from_utf8(&got.body).unwrap()), (status, body), "{answered:.60}");
    }
}

#[tokio::test]
async fn a_partial_answer_does_not_wait_for_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _open = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut request = get(&format!("http://127.0.0.1:{port}/"), Reach::Operator);
    (request.partial_answer, request.timeout) = (true, Duration::from_millis(300));
    let got = HttpOutgoing::new().send(request).await.unwrap();
    assert_eq!((got.status, &got.body[..]), (200, &b"half"[..]));
}

/// The `authorization` of each request.
fn authorizations(asked: &[String]) -> Vec<Option<&str>> {
    asked.iter().map(|asked| asked.lines().find_map(|line| line.strip_prefix("authorization: "))).collect()
}

#[tokio::test]
async fn a_user_name_in_the_address_is_a_header() {
    let basic = |username: &str| HttpAuth::Basic {
        username: username.into(),
        username_file: None,
        password: Secret::default(),
        password_file: None,
    };
    for (userinfo, auth, expected) in [
        ("user:pass", HttpAuth::None, Some("Basic dXNlcjpwYXNz")),
        ("user", HttpAuth::None, Some("Basic dXNlcjo=")),
        (":p%40ss+%zz", HttpAuth::None, Some("Basic OnBAc3MrJXp6")),
        ("%C3%BC:", HttpAuth::None, Some("Basic w7w6")),
        ("", HttpAuth::None, None),
        // As upstream: what the address says goes first.
        ("user:pass", basic("other"), Some("Basic dXNlcjpwYXNz")),
        ("", basic("other"), Some("Basic b3RoZXI6")),
    ] {
        let (port, asked) = serve(vec![answer("200 OK", "", "")]).await;
        let reach = Reach::Hosts([format!("127.0.0.1:{port}")].into());
        let mut request = get(&format!("http://{userinfo}@127.0.0.1:{port}/"), reach);
        request.options = Arc::new(HttpOptions { auth, ..HttpOptions::default() });
        HttpOutgoing::new().send(request).await.unwrap();
        assert_eq!(authorizations(&asked.await.unwrap()), [expected], "{userinfo}");
    }
}

#[tokio::test]
async fn a_user_name_stays_with_its_own_address() {
    let (last, asked_last) = serve(vec![answer("200 OK", "", ""), answer("200 OK", "", "")]).await;
    let there = format!("location: http://127.0.0.1:{last}/\r\n");
    let there_as_b = format!("location: http://b:b@127.0.0.1:{last}/\r\n");
    let (first, asked_first) = serve(vec![
        answer("307 Again", "location: /two\r\n", ""),
        answer("307 There", &there, ""),
        answer("307 There", &there_as_b, ""),
    ])
    .await;
    let outgoing = HttpOutgoing::new();
    for _ in 0..2 {
        outgoing.send(get(&format!("http://a:a@127.0.0.1:{first}/"), Reach::Operator)).await.unwrap();
    }
    let a = Some("Basic YTph");
    assert_eq!(authorizations(&asked_first.await.unwrap()), [a, a, a]);
    assert_eq!(authorizations(&asked_last.await.unwrap()), [None, Some("Basic Yjpi")]);
}

#[tokio::test]
async fn errors_never_show_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/hook/canary-7");
    let error = HttpOutgoing::new().send(get(&url, Reach::Operator)).await.unwrap_err();
    assert!(matches!(error, OutgoingError::NoConnection(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_origin() {
    let (second, asked) = serve(vec![answer("200 OK", "", "there")]).await;
    let (first, _task) =
        serve(vec![answer("302 Found", &format!("location: http://127.0.0.1:{second}/\r\n"), "")]).await;
    let mut request = get(&format!("http://127.0.0.1:{first}/"), Reach::Operator);
    request.options = Arc::new(HttpOptions {
        auth: HttpAuth::Authorization {
            kind: "Bearer".into(),
            credentials: Secret::new("canary".into()),
            credentials_file: None,
        },
        ..HttpOptions::default()
    });
    let got = HttpOutgoing::new().send(request).await.unwrap();
    assert_eq!(&got.body[..], b"there");
    assert!(!asked.await.unwrap()[0].contains("canary"));
}

/// The headers of a request as it arrived, names in lower case, without those of the connection.
fn told(request: &str) -> Vec<(String, String)> {
    let head = request.split("\r\n\r\n").next().unwrap_or_default();
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let pairs = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    pairs.filter(|(name, _)| !["host", "accept", "content-length"].contains(&name.as_str())).collect()
}

fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn all_headers_of_the_operator_are_sent_and_files_are_trimmed() {
    let directory = tempfile::TempDir::new().unwrap();
    let (port, asked) = serve(vec![answer("200 OK", "", "")]).await;
    let mut request = get(&format!("http://127.0.0.1:{port}/"), Reach::Operator);
    request.headers =
        [("x-a", "ours"), ("x-b", "ours")].map(|(n, v)| (n.into(), Secret::new(v.into()))).into();
    request.options = Arc::new(HttpOptions {
        headers: [("X-A", "one"), ("X-A", " two ")].map(|(n, v)| (n.into(), Secret::new(v.into()))).into(),
        header_files: vec![("X-A".into(), file(&directory, "header", " \tthr\u{e9}e\r\n\n"))],
        auth: HttpAuth::Basic {
            username: "me".into(),
            username_file: None,
            password: Secret::default(),
            password_file: Some(file(&directory, "password", "  p w\n")),
        },
        ..HttpOptions::default()
    });
    HttpOutgoing::new().send(request).await.unwrap();
    let wanted = [
        ("x-b", "ours"),
        ("x-a", "one"),
        ("x-a", " two "),
        ("x-a", "thr\u{e9}e"),
        ("authorization", "Basic bWU6cCB3"),
        ("user-agent", USER_AGENT),
    ];
    let mut told = told(&asked.await.unwrap()[0]);
    let mut wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Their order among themselves is kept, and that of different names says nothing.
    told.sort_by(|a, b| a.0.cmp(&b.0));
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_request_that_names_itself_and_has_a_key_keeps_both() {
    let (port, asked) = serve(vec![answer("200 OK", "", "")]).await;
    let mut request = get(&format!("http://127.0.0.1:{port}/"), Reach::Operator);
    let own = [("user-agent", "mine/1"), ("authorization", "GenieKey k")];
    request.headers = own.map(|(n, v)| (n.into(), Secret::new(v.into()))).into();
    request.options = Arc::new(HttpOptions {
        auth: HttpAuth::Authorization {
            kind: "Bearer".into(),
            credentials: Secret::new("t".into()),
            credentials_file: None,
        },
        ..HttpOptions::default()
    });
    HttpOutgoing::new().send(request).await.unwrap();
    let told = told(&asked.await.unwrap()[0]);
    assert_eq!(told, own.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_missing_file_of_credentials_is_named_and_nothing_is_sent() {
    for auth in [
        HttpAuth::Authorization {
            kind: "Bearer".into(),
            credentials: Secret::default(),
            credentials_file: Some("/nowhere/token".into()),
        },
        oauth("http://127.0.0.1:1/".into(), Some("/nowhere/token".into())),
    ] {
        let mut request = get("http://127.0.0.1:1/", Reach::Operator);
        request.options = Arc::new(HttpOptions { auth, ..HttpOptions::default() });
        let error = HttpOutgoing::new().send(request).await.unwrap_err();
        let OutgoingError::NoConnection(text) = &error else { panic!("{error:?}") };
        assert!(text.starts_with("the credentials file `/nowhere/token` cannot be read: "), "{text}");
    }
}

fn oauth(token_url: String, client_secret_file: Option<String>) -> HttpAuth {
    HttpAuth::OAuth2 {
        client_id: "me:1".into(),
        client_secret: Secret::new("s 1".into()),
        client_secret_file,
        scopes: vec!["x".into(), "y".into()],
        token_url,
        endpoint_params: vec![("audience".into(), "z".into())],
        client: Arc::default(),
    }
}

#[tokio::test]
async fn a_token_is_asked_for_with_basic_then_in_the_form_and_the_way_is_remembered() {
    let directory = tempfile::TempDir::new().unwrap();
    let secret = file(&directory, "secret", " s 1\n");
    let token =
        |text: &str| answer("200 OK", "", &format!(r#"{{"access_token":"{text}","expires_in":3600}}"#));
    let refused = answer("401 Unauthorized", "", r#"{"error":"invalid_client"}"#);
    let (tokens, asked) = serve(vec![refused, token("one"), token("two")]).await;
    let (port, told_there) = serve(vec![answer("200 OK", "", ""); 3]).await;
    let outgoing = HttpOutgoing::new();
    let options = Arc::new(HttpOptions {
        auth: oauth(format!("http://127.0.0.1:{tokens}/"), Some(secret)),
        ..HttpOptions::default()
    });
    // Not the reach of a plugin: the token server is the operator's choice alone.
    let reach = Reach::Hosts([format!("127.0.0.1:{port}")].into());
    for round in 0..3 {
        let mut request = get(&format!("http://127.0.0.1:{port}/"), reach.clone());
        request.options = Arc::clone(&options);
        outgoing.send(request).await.unwrap();
        if round == 1 {
            file(&directory, "secret", "s2");
        }
    }
    let keys: Vec<_> = told_there.await.unwrap().iter().map(|asked| told(asked)[0].1.clone()).collect();
    assert_eq!(keys, ["Bearer one", "Bearer one", "Bearer two"]);
    let asked = asked.await.unwrap();
    let bodies: Vec<&str> = asked.iter().map(|text| text.split("\r\n\r\n").nth(1).unwrap()).collect();
    let form = |secret| {
        format!("audience=z&client_id=me%3A1&client_secret={secret}&grant_type=client_credentials&scope=x+y")
    };
    assert_eq!(bodies, ["audience=z&grant_type=client_credentials&scope=x+y", &form("s+1"), &form("s2")]);
    let named = |asked: &str| told(asked).into_iter().find(|(name, _)| name == "authorization");
    // `me%3A1:s+1`: each part is written as in a form, so that a colon in it is none between them.
    assert_eq!(named(&asked[0]).unwrap().1, "Basic bWUlM0ExOnMrMQ==");
    assert_eq!((named(&asked[1]), named(&asked[2])), (None, None));
    assert!(told(&asked[0]).contains(&("user-agent".to_owned(), USER_AGENT.to_owned())));
}

#[tokio::test]
async fn a_refused_token_is_no_answer_of_the_other_side() {
    let refused =
        answer("401 Unauthorized", "", r#"{"error":"invalid_client","error_description":"canary"}"#);
    let (tokens, _asked) = serve(vec![refused; 2]).await;
    let mut request = get("http://127.0.0.1:1/", Reach::Operator);
    let auth = oauth(format!("http://127.0.0.1:{tokens}/"), None);
    request.options = Arc::new(HttpOptions { auth, ..HttpOptions::default() });
    let error = HttpOutgoing::new().send(request).await.unwrap_err();
    let text = "the token server answered with status 401, `invalid_client`, and no token";
    assert_eq!(error, OutgoingError::NoConnection(text.to_owned()));
}

#[tokio::test]
async fn a_plugin_is_not_redirected_out_of_its_grant() {
    let (port, _task) =
        serve(vec![answer("302 Found", "location: http://169.254.169.254/latest\r\n", "")]).await;
    let reach = Reach::Hosts([format!("127.0.0.1:{port}")].into());
    let got = HttpOutgoing::new().send(get(&format!("http://127.0.0.1:{port}/"), reach)).await;
    assert!(matches!(got, Err(OutgoingError::Denied(_))), "{got:?}");
}

#[tokio::test]
async fn a_granted_name_that_leads_inside_is_refused() {
    let got = HttpOutgoing::new()
        .send(get("http://localhost/", Reach::Hosts(["localhost".to_owned()].into())))
        .await;
    let Err(OutgoingError::Denied(message)) = got else { panic!("{got:?}") };
    assert!(message.contains("internal address"), "{message}");
}

#[test]
fn grants_cover_names_and_ports() {
    for (grant, url, covered) in [
        ("discord.com", "https://discord.com/api", true),
        ("discord.com", "https://DISCORD.com./api", true),
        ("discord.com", "https://discord.com:444/api", false),
        ("discord.com", "https://evil-discord.com/", false),
        ("discord.com", "https://discord.com.evil.org/", false),
        ("discord.com", "https://discord.com@evil.org/", false),
        ("discord.com:8443", "https://discord.com:8443/", true),
        ("*.example.org", "https://a.example.org/", true),
        ("*.example.org", "https://example.org/", false),
        ("*.example.org", "https://aexample.org/", false),
        ("10.0.0.7:80", "http://10.0.0.7/", true),
        ("10.0.0.7:80", "http://10.0.0.8/", false),
        ("[::1]:9999", "http://[::1]:9999/", true),
    ] {
        let got = Fence::of(&Reach::Hosts([grant.to_owned()].into())).check(&Url::parse(url).unwrap());
        assert_eq!(got.is_ok(), covered, "{grant} for {url}: {got:?}");
    }
}

#[test]
fn internal_addresses_in_every_disguise() {
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ] {
        assert!(is_internal(address.parse().unwrap()), "{address}");
    }
    for address in ["8.8.8.8", "162.159.137.232", "2606:4700::1", "::ffff:8.8.8.8"] {
        assert!(!is_internal(address.parse().unwrap()), "{address}");
    }
    // A URL in another notation of the same address is normalised before it is checked.
    for url in ["http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://[::ffff:7f00:1]/"] {
        let got =
            Fence::of(&Reach::Hosts(["example.org".to_owned()].into())).check(&Url::parse(url).unwrap());
        assert!(got.is_err(), "{url}");
    }
}

/// Speaks TLS for as long as it is asked, as a server with this certificate.
pub(super) async fn serve_tls(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> u16 {
    client::install_provider();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not like the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = vec![0; 4096];
            let _ = stream.read(&mut buffer).await.unwrap();
            stream.write_all(answer("200 OK", "", "hello").as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_is_for_the_name_that_the_operator_gave() {
    let made = rcgen::generate_simple_self_signed(vec!["srv.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let port = serve_tls(made.cert.der().clone(), key).await;
    let directory = tempfile::TempDir::new().unwrap();
    let (authority, outgoing) = (file(&directory, "ca.pem", &made.cert.pem()), HttpOutgoing::new());
    for (name, expected) in [
        (Some("srv.example"), None),
        (Some("other.example"), Some("not valid for name \"other.example\"")),
        (Some("no name"), Some("`server_name` cannot be checked")),
        // Without a name the address counts.
        (None, Some("not valid for name \"127.0.0.1\"")),
        (Some(""), Some("not valid for name \"127.0.0.1\"")),
    ] {
        let tls = TlsOptions {
            ca_file: Some(authority.clone()),
            server_name: name.map(str::to_owned),
            ..TlsOptions::default()
        };
        let mut request = get(&format!("https://127.0.0.1:{port}/"), Reach::Operator);
        request.options = Arc::new(HttpOptions { tls, ..HttpOptions::default() });
        match (outgoing.send(request).await, expected) {
            (Ok(got), None) => assert_eq!(&got.body[..], b"hello"),
            (Err(error), Some(text)) => assert!(error.to_string().contains(text), "{name:?}: {error}"),
            (got, _) => panic!("{name:?}: {got:?}"),
        }
    }
    // The authority goes, and with it the client that knew it.
    std::fs::write(&authority, "").unwrap();
    let tls = TlsOptions {
        ca_file: Some(authority),
        server_name: Some("srv.example".to_owned()),
        ..TlsOptions::default()
    };
    let mut request = get(&format!("https://127.0.0.1:{port}/"), Reach::Operator);
    request.options = Arc::new(HttpOptions { tls, ..HttpOptions::default() });
    assert!(outgoing.send(request).await.is_err());
}
