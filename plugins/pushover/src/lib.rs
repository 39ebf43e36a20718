//! Notifier: sends to phones and desktops through Pushover, as Alertmanager's `pushover_configs` does.
//!
//! All that is said stands in the query, as Alertmanager sends it. Pushover repeats a message of priority 2 by itself, each
//! `retry` until `expire`.

use foghorn_plugin::notifier::*;
use serde_json::Value;

struct Pushover;

impl Notifier for Pushover {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let said = parameters(notification)?;
        let request = Request::post(API).header("Content-Type", "text/plain");
        let request = said.iter().fold(request, |request, (name, value)| request.query(name, value));
        accepted(&request.send()?.check()?)
    }
}

export_notifier!(Pushover);

const API: &str = "https://api.pushover.net/1/messages.json";
const TITLE_LIMIT: usize = 250;
const MESSAGE_LIMIT: usize = 1024;
const URL_LIMIT: usize = 512;

/// Whether Pushover took the message: it says `"status": 1` when it did.
fn accepted(answer: &Response) -> Result<Option<String>> {
    let said: Value = answer.json().unwrap_or_default();
    match said.get("status") {
        Some(status) if *status != 1 => {
            let errors = said["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
            let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
            let errors = if errors.is_empty() { "no reason".to_owned() } else { errors.join("; ") };
            Err(Error::permanent(format!("Pushover refused the message: {errors}")))
        }
        _ => Ok(None),
    }
}

fn parameters(notification: &Notification) -> Result<Vec<(&'static str, String)>> {
    let title = param::<Option<String>>("title")?.unwrap_or_else(|| notification.heading());
    let mut said = vec![
        ("token", secret("token")?),
        ("user", secret("user_key")?),
        ("title", truncate(&title, TITLE_LIMIT)),
        ("message", message(notification)?),
        ("url", truncate(&text("url")?, URL_LIMIT)),
        ("retry", seconds("retry")?.to_string()),
        ("expire", seconds("expire")?.to_string()),
    ];
    for name in ["url_title", "priority", "device", "sound"] {
        said.push((name, text(name)?));
    }
    for name in ["html", "monospace"] {
        if flag(name)? {
            said.push((name, "1".to_owned()));
        }
    }
    let ttl = seconds("ttl")?;
    if ttl > 0 {
        said.push(("ttl", ttl.to_string()));
    }
    said.sort();
    Ok(said)
}

/// What it says; Pushover refuses a message that says nothing.
fn message(notification: &Notification) -> Result<String> {
    let own = || match flag("html") {
        Ok(true) => notification.lines().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        _ => notification.lines(),
    };
    let message = truncate(&param::<Option<String>>("message")?.unwrap_or_else(own), MESSAGE_LIMIT);
    let message = message.trim();
    Ok(if message.is_empty() { "(no details)".to_owned() } else { message.to_owned() })
}

fn flag(name: &str) -> Result<bool> {
    Ok(param::<Option<bool>>(name)? == Some(true))
}

/// A setting that is a duration, in whole seconds.
fn seconds(name: &str) -> Result<i64> {
    let text = text(name)?;
    let wrong = || Error::config(format!("`{name}` is `{text}`, which is no duration such as `1m30s`"));
    read_seconds(&text).ok_or_else(wrong)
}

/// `1h30m`, `1.5s`, `-2m`, `0`; nothing is 0.
fn read_seconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, behind) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, behind) = behind.split_at(behind.find(is_number).unwrap_or(behind.len()));
        sum += number.parse::<f64>().ok()? * in_seconds(unit)?;
        rest = behind;
    }
    // Whole seconds, but for what only the binary fractions lack.
    Some((sign * ((sum * 1e6).round() / 1e6)) as i64)
}

fn in_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 7.0 * 86_400.0,
        "y" => 365.0 * 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(Pushover::MANIFEST).secret("token", "t0k").secret("user_key", "u&1")
    }

    fn group() -> Notification {
        Notification { title: "Disk a".into(), alerts: vec![Alert::default()], ..Notification::default() }
    }

    /// The query of what was sent.
    fn sent(host: FakeHost) -> String {
        let host = host.answer(200, r#"{"status":1,"request":"r"}"#);
        assert_eq!(host.run(|| Pushover::notify(&group())), Ok(None));
        let request = host.requests().remove(0);
        assert_eq!((request.method.as_str(), request.body.len()), ("POST", 0));
        assert_eq!(request.headers, [("Content-Type".to_owned(), "text/plain".to_owned())]);
        let query = request.url.strip_prefix("https://api.pushover.net/1/messages.json?");
        query.expect("the address of messages").to_owned()
    }

    #[test]
    fn all_stands_in_the_query() {
        assert_eq!(
            sent(host()),
            "device=&expire=3600&message=firing%3A&priority=0&retry=60&sound=&title=%5BFIRING%3A1%5D%20Disk%20a&token=t0k\
             &url=&url_title=&user=u%261"
        );
        let all = host()
            .param("title", "T")
            .param("message", " <b>x</b> ")
            .param("url", "http://l/?a=b")
            .param("url_title", "ut")
            .param("device", "d")
            .param("sound", "s")
            .param("priority", "2")
            .param("retry", "90s")
            .param("expire", "1h30m")
            .param("ttl", "1500ms")
            .param("html", true);
        assert_eq!(
            sent(all),
            "device=d&expire=5400&html=1&message=%3Cb%3Ex%3C%2Fb%3E&priority=2&retry=90&sound=s&title=T&token=t0k&ttl=1\
             &url=http%3A%2F%2Fl%2F%3Fa%3Db&url_title=ut&user=u%261"
        );
        assert!(sent(host().param("monospace", true)).contains("&monospace=1&"));
    }

    #[test]
    fn texts_have_limits_and_a_message_is_never_empty() {
        let long = "x".repeat(2000);
        let host = host().param("title", long.as_str()).param("message", long.as_str()).param("url", long);
        let query = sent(host);
        for (name, limit) in [("title", 250), ("message", 1024), ("url", 512)] {
            let value = format!("{name}={}%E2%80%A6&", "x".repeat(limit - 1));
            assert!(query.contains(&value), "{name}: {query}");
        }
        assert!(sent(self::host().param("message", " \n ")).contains("&message=%28no%20details%29&"));
    }

    #[test]
    fn durations_are_whole_seconds() {
        for (text, wanted) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("2.3m", Some(138)),
            ("1h0m0.5s", Some(3600)),
            ("999ms", Some(0)),
            ("-1m", Some(-60)),
            ("1d", Some(86_400)),
            ("5", None),
            ("m", None),
            ("1x", None),
            ("1.2.3s", None),
        ] {
            assert_eq!(read_seconds(text), wanted, "{text}");
        }
        let error =
            host().param("retry", "soon").run(|| Pushover::notify(&group())).expect_err("no duration");
        assert_eq!(error.message, "`retry` is `soon`, which is no duration such as `1m30s`");
    }

    #[test]
    fn a_refusal_is_one_whatever_its_status() {
        for (status, body, kind, said) in [
            (
                200,
                r#"{"status":0,"errors":["a","b"]}"#,
                ErrorKind::Permanent,
                "Pushover refused the message: a; b",
            ),
            (200, r#"{"status":0}"#, ErrorKind::Permanent, "Pushover refused the message: no reason"),
            (429, "", ErrorKind::RateLimited, "the server answered with status 429"),
            (500, "", ErrorKind::Retryable, "the server answered with status 500"),
            (400, "no", ErrorKind::Permanent, "the server answered with status 400: no"),
        ] {
            let error = host().answer(status, body).run(|| Pushover::notify(&group())).expect_err("refused");
            assert_eq!((error.kind, error.message.as_str()), (kind, said));
        }
        for taken in ["", "ok", "{}"] {
            assert_eq!(host().answer(200, taken).run(|| Pushover::notify(&group())), Ok(None));
        }
    }
}
