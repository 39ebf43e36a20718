//! Notifier: sends to people, departments and tags of a company in WeChat Work, as Alertmanager's `wechat_configs` does.
//!
//! Messages need a token, which is had for the company's secret and kept while it holds. WeChat answers 200 to everything;
//! what became of it is the `errcode` in the body.

mod token;

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

use token::Token;

struct WeChat;

impl Notifier for WeChat {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let message = message(notification)?;
        let kept = Token::kept()?;
        let was_kept = kept.is_some();
        let mut token = kept.map_or_else(Token::ask, Ok)?;
        let mut answer = send(&message, &token)?;
        // One that was kept may have ended before its time.
        if was_kept && is_about_token(&answer) {
            token = Token::ask()?;
            answer = send(&message, &token)?;
        }
        accepted(&answer).map_err(|error| token.hidden(error))?;
        for (name, what) in
            [("invaliduser", "people"), ("invalidparty", "departments"), ("invalidtag", "tags")]
        {
            if let Some(unknown) = answer[name].as_str().filter(|unknown| !unknown.is_empty()) {
                let fields = [("who", unknown)];
                log::write(log::Level::Warn, format!("WeChat does not know all of the {what}"), &fields);
            }
        }
        Ok(None)
    }
}

export_notifier!(WeChat);

/// As forms and queries are written: a blank is `+`.
pub(crate) fn form_encoded(text: &str) -> String {
    url_encode(text).replace("%20", "+")
}

fn message(notification: &Notification) -> Result<Value> {
    let own: Option<String> = param("message")?;
    let content = own.unwrap_or_else(|| format!("{}\n{}", notification.heading(), notification.lines()));
    let kind = text("message_type")?;
    let (words, markdown) = if kind == "markdown" { ("", &*content) } else { (&*content, "") };
    let mut message = Map::new();
    for (name, setting) in
        [("touser", "to_user"), ("toparty", "to_party"), ("totag", "to_tag"), ("agentid", "agent_id")]
    {
        let value = text(setting)?;
        if !value.is_empty() {
            message.insert(name.to_owned(), value.into());
        }
    }
    message.insert("msgtype".to_owned(), kind.into());
    message.insert("safe".to_owned(), "0".into());
    message.insert("text".to_owned(), json!({ "content": words }));
    message.insert("markdown".to_owned(), json!({ "content": markdown }));
    Ok(message.into())
}

/// The address of the API, with a `/` at its end, and the query that messages have behind it.
pub(crate) fn base_and_query(address: &str) -> (String, String) {
    let (base, query) = address.split_once('?').unwrap_or((address, ""));
    (format!("{}/", base.trim_end_matches('/')), query.to_owned())
}

/// What WeChat says to a message.
fn send(message: &Value, token: &Token) -> Result<Value> {
    let (base, query) = base_and_query(&text("api_url")?);
    let mut url = format!("{base}message/send?access_token={}", form_encoded(token.text()));
    if !query.is_empty() {
        url += &format!("&{query}");
    }
    let sent = Request::post(url).json(message)?.send().and_then(Response::check);
    read(&sent.map_err(|error| token.hidden(error))?).map_err(|error| token.hidden(error))
}

/// An answer of WeChat. What is none came from something in between.
pub(crate) fn read(answer: &Response) -> Result<Value> {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if said["errcode"].is_i64() || said["access_token"].is_string() {
        return Ok(said);
    }
    let text = answer.text();
    let beginning = truncate(text.trim(), 300);
    Err(Error::retryable(format!("WeChat's answer is not the JSON that it should be: `{beginning}`")))
}

/// Whether the token was refused.
fn is_about_token(said: &Value) -> bool {
    matches!(said["errcode"].as_i64(), Some(40001 | 40014 | 41001 | 42001))
}

/// Fails if WeChat did.
pub(crate) fn accepted(said: &Value) -> Result<()> {
    let code = said["errcode"].as_i64().unwrap_or_default();
    let kind = match code {
        0 => return Ok(()),
        // A token that is asked for anew may hold.
        40014 | 41001 | 42001 => ErrorKind::Retryable,
        // It is busy.
        -1 | 50001 | 50002 => ErrorKind::Retryable,
        45009 | 45011 | 45033 => ErrorKind::RateLimited,
        40001 | 40013 | 40056 | 48002 | 60011 | 60020 => ErrorKind::Unauthorized,
        _ => ErrorKind::Permanent,
    };
    let words = said["errmsg"].as_str().filter(|words| !words.is_empty()).unwrap_or("no reason");
    Err(Error::new(kind, format!("WeChat refused with code {code}: {}", truncate(words, 300))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    const OK: &str = r#"{ "errcode": 0, "errmsg": "ok" }"#;
    const TOKEN: &str = r#"{ "errcode": 0, "errmsg": "ok", "access_token": "t0/k +&", "expires_in": 7200 }"#;

    fn host() -> FakeHost {
        FakeHost::new()
            .manifest(WeChat::MANIFEST)
            .secret("api_secret", "s3cret")
            .param("corp_id", "co rp")
            .param("to_user", "@all")
            .param("message", "now")
    }

    fn refused(code: i64) -> String {
        json!({ "errcode": code, "errmsg": "why" }).to_string()
    }

    fn tell(host: &FakeHost) -> Result<Option<String>> {
        host.run(|| WeChat::notify(&Notification::default()))
    }

    fn urls(host: &FakeHost) -> Vec<String> {
        let short = |url: &str| url.replace("https://qyapi.weixin.qq.com/cgi-bin/", "");
        host.requests().iter().map(|request| short(&request.url)).collect()
    }

    const ASK: &str = "gettoken?corpid=co+rp&corpsecret=s3cret";
    const SEND: &str = "message/send?access_token=t0%2Fk+%2B%26";

    #[test]
    fn asks_for_a_token_and_keeps_it() {
        let host = host().answer(200, TOKEN).answer(200, OK).answer(200, OK);
        assert_eq!(tell(&host), Ok(None));
        assert_eq!(tell(&host), Ok(None));
        assert_eq!(urls(&host), [ASK, SEND, SEND]);
        // Bytes are kept as a list of numbers.
        let plain = json!(b"t0/k").to_string();
        let plain = plain.trim_matches(['[', ']']);
        let kept = host.state();
        assert_eq!(kept.len(), 1);
        for (key, value) in kept {
            let value = String::from_utf8(value).expect("JSON");
            assert!(!value.contains(plain) && !key.contains("s3cret"), "{key} {value}");
        }
        // Another secret, and another company, have others.
        let host = host.secret("api_secret", "other").answer(200, TOKEN).answer(200, OK);
        tell(&host).expect("accepted");
        let host = host.param("corp_id", "other").answer(200, TOKEN).answer(200, OK);
        tell(&host).expect("accepted");
        assert_eq!(host.requests().iter().filter(|request| request.method == "GET").count(), 3);
    }

    #[test]
    fn says_it_to_whom_it_is_for() {
        let host =
            host().param("to_user", "").param("to_party", "1|2").param("to_tag", "t").param("agent_id", "7");
        for (kind, words, markdown) in [("text", "now", ""), ("markdown", "", "now")] {
            let host = host.clone().param("message_type", kind).answer(200, TOKEN).answer(200, OK);
            tell(&host).expect("accepted");
            let requests = host.requests();
            let body = &requests.last().expect("a message").body;
            let body: Value = serde_json::from_slice(body).expect("a JSON body");
            assert_eq!(
                body,
                json!({
                    "toparty": "1|2",
                    "totag": "t",
                    "agentid": "7",
                    "msgtype": kind,
                    "safe": "0",
                    "text": { "content": words },
                    "markdown": { "content": markdown },
                })
            );
        }
    }

    #[test]
    fn a_token_that_has_ended_is_asked_for_anew() {
        let first = host().answer(200, TOKEN).answer(200, OK);
        tell(&first).expect("accepted");
        let host =
            first.answer(200, &refused(42001)).answer(200, &TOKEN.replace("t0/k +&", "new")).answer(200, OK);
        assert_eq!(tell(&host), Ok(None));
        assert_eq!(urls(&host)[2..], [SEND, ASK, "message/send?access_token=new"]);
        let host = host.answer(200, OK);
        tell(&host).expect("accepted");
        assert_eq!(urls(&host)[5..], ["message/send?access_token=new"]);
        // One that is new and refused all the same is not asked for again at once.
        let host = self::host().answer(200, TOKEN).answer(200, &refused(42001));
        assert_eq!(tell(&host).expect_err("refused").kind, ErrorKind::Retryable);
        assert_eq!(host.requests().len(), 2);
    }

    #[test]
    fn a_refusal_with_status_200_is_one() {
        for (token, message, kind, says) in [
            (
                refused(40001),
                "",
                ErrorKind::Unauthorized,
                "asking for a token: WeChat refused with code 40001: why",
            ),
            (refused(-1), "", ErrorKind::Retryable, "asking for a token: WeChat refused with code -1: why"),
            (
                "{ \"errcode\": 0 }".to_owned(),
                "",
                ErrorKind::Unauthorized,
                "asking for a token: WeChat gave none",
            ),
            (
                TOKEN.to_owned(),
                r#"{ "errcode": 81013, "errmsg": "user t0/k +&" }"#,
                ErrorKind::Permanent,
                "WeChat refused with code 81013: user <secret>",
            ),
            (
                TOKEN.to_owned(),
                r#"{ "errcode": 45009 }"#,
                ErrorKind::RateLimited,
                "WeChat refused with code 45009: no reason",
            ),
            (
                TOKEN.to_owned(),
                "<html>t0/k +&",
                ErrorKind::Retryable,
                "WeChat's answer is not the JSON that it should be: `<html><secret>`",
            ),
        ] {
            let host = host().answer(200, &token).answer(200, message);
            let error = tell(&host).expect_err("refused");
            assert_eq!((error.kind, error.message.as_str()), (kind, says));
        }
        for status in [500, 429] {
            let host = host().answer(200, TOKEN).answer(status, "");
            assert!(tell(&host).is_err());
        }
    }

    #[test]
    fn whom_it_does_not_know_is_logged() {
        let host = host()
            .answer(200, TOKEN)
            .answer(200, r#"{ "errcode": 0, "invaliduser": "a|b", "invalidtag": "" }"#);
        tell(&host).expect("accepted by the others");
        let lines: Vec<String> = host.lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["WeChat does not know all of the people who=a|b"]);
    }

    #[test]
    fn messages_keep_the_query_of_the_address() {
        let host = host().param("api_url", "http://x/api?a=b").answer(200, TOKEN).answer(200, OK);
        tell(&host).expect("accepted");
        let expected = [
            "http://x/api/gettoken?corpid=co+rp&corpsecret=s3cret".to_owned(),
            "http://x/api/message/send?access_token=t0%2Fk+%2B%26&a=b".to_owned(),
        ];
        assert_eq!(urls(&host), expected);
    }
}
