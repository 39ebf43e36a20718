//! Requests against a server in the same process, and the table of addresses that plugins must not reach.

use model::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::reach::{check_name, is_internal};
use super::*;

/// Answers each connection with the next of `answers`, and returns what was asked.
async fn serve(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
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

fn get(url: &str, reach: Reach) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        url: Secret::new(url.into()),
        timeout: Duration::from_secs(10),
        response_bytes_max: 1000,
        reach,
        ..HttpRequest::default()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
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

#[tokio::test]
async fn a_plugin_is_not_redirected_out_of_its_grant() {
    let (port, _task) =
        serve(vec![answer("302 Found", "location: http://169.254.169.254/latest\r\n", "")]).await;
    let reach = Reach::Hosts(vec![format!("127.0.0.1:{port}")]);
    let got = HttpOutgoing::new().send(get(&format!("http://127.0.0.1:{port}/"), reach)).await;
    assert!(matches!(got, Err(OutgoingError::Denied(_))), "{got:?}");
}

#[tokio::test]
async fn a_granted_name_that_leads_inside_is_refused() {
    let got =
        HttpOutgoing::new().send(get("http://localhost/", Reach::Hosts(vec!["localhost".into()]))).await;
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
        ("discord.com", "https://user@discord.com/", false),
        ("discord.com:8443", "https://discord.com:8443/", true),
        ("*.example.org", "https://a.example.org/", true),
        ("*.example.org", "https://example.org/", false),
        ("*.example.org", "https://aexample.org/", false),
        ("10.0.0.7:80", "http://10.0.0.7/", true),
        ("10.0.0.7:80", "http://10.0.0.8/", false),
        ("[::1]:9999", "http://[::1]:9999/", true),
    ] {
        let got = check_name(&Reach::Hosts(vec![grant.into()]), &Url::parse(url).unwrap());
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
        let got = check_name(&Reach::Hosts(vec!["example.org".into()]), &Url::parse(url).unwrap());
        assert!(got.is_err(), "{url}");
    }
}
