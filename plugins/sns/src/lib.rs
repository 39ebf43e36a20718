//! Notifier: publishes to a topic, an endpoint or a phone through Amazon SNS, as Alertmanager's `sns_configs` does.
//!
//! Signing is the host's: the keys never come here.

use std::collections::BTreeMap;

use foghorn_plugin::notifier::*;
use serde_json::Value;

struct Sns;

impl Notifier for Sns {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let form: Vec<String> = fields(notification)?
            .iter()
            .map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value)))
            .collect();
        let request = Request::post(address()?).header("Content-Type", "application/x-www-form-urlencoded");
        let answer = request.body(form.join("&")).send()?;
        let said = answer.text();
        let code = element(&said, "Code").unwrap_or_default().to_owned();
        answer.check().map_err(|error| match code.as_str() {
            // SNS says so with a 400.
            "Throttling" | "ThrottlingException" | "Throttled" | "KMSThrottling" => {
                Error { kind: ErrorKind::RateLimited, ..error }
            }
            "ExpiredToken" | "InvalidClientTokenId" | "AuthorizationError" => {
                Error { kind: ErrorKind::Unauthorized, ..error }
            }
            _ => error,
        })?;
        Ok(element(&said, "MessageId").map(str::to_owned))
    }
}

export_notifier!(Sns);

const SUBJECT_LIMIT: usize = 100;
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// What goes to a phone.
const PHONE_BYTES_MAX: usize = 1600;

fn address() -> Result<String> {
    let own = text("api_url")?;
    if !own.is_empty() {
        // Requests have no query; theirs is the body.
        return Ok(own.split(['?', '#']).next().unwrap_or_default().to_owned());
    }
    let region = text("region")?;
    if region.is_empty() {
        return Err(Error::config("there is no region: set `region` under `sigv4`, or `api_url`"));
    }
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(format!("https://sns.{region}.{end}/"))
}

/// What is published, by name.
fn fields(notification: &Notification) -> Result<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, value: &str| drop(fields.insert(name.to_owned(), value.to_owned()));
    put("Action", "Publish");
    put("Version", "2010-03-31");
    let mut bytes_max = MESSAGE_BYTES_MAX;
    for (setting, name) in
        [("topic_arn", "TopicArn"), ("target_arn", "TargetArn"), ("phone_number", "PhoneNumber")]
    {
        let to = text(setting)?;
        if to.is_empty() {
            continue;
        }
        put(name, &to);
        if name == "PhoneNumber" {
            bytes_max = PHONE_BYTES_MAX;
        }
        if name == "TopicArn" && to.ends_with(".fifo") {
            put("MessageGroupId", &notification.dedup_key);
            // Of those with the same one SNS takes only the first within five minutes: the same for the attempts at one
            // message, and another for the next, which may say that it is over.
            put("MessageDeduplicationId", &notification.id);
        }
    }
    let subject = param::<Option<String>>("subject")?.unwrap_or_else(|| notification.heading());
    let subject = subject_line(&subject);
    if !subject.trim().is_empty() {
        put("Subject", &subject);
    }
    let message = param::<Option<String>>("message")?.unwrap_or_else(|| notification.lines());
    let mut attributes = attributes()?;
    let kept = &message[..message.floor_char_boundary(bytes_max)];
    if kept.len() < message.len() {
        attributes.insert("truncated".to_owned(), "true".to_owned());
    }
    put("Message", kept);
    for (index, (name, value)) in attributes.iter().enumerate() {
        let entry = format!("MessageAttributes.entry.{}", index + 1);
        put(&format!("{entry}.Name"), name);
        put(&format!("{entry}.Value.DataType"), "String");
        put(&format!("{entry}.Value.StringValue"), value);
    }
    Ok(fields)
}

/// A subject that SNS takes: one line, and not too long.
fn subject_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    truncate(&line, SUBJECT_LIMIT)
}

fn attributes() -> Result<BTreeMap<String, String>> {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Ok(match param::<Value>("attributes")? {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), word(value))).collect(),
        Value::Array(list) => list.iter().map(|one| (word(&one["name"]), word(&one["value"]))).collect(),
        _ => BTreeMap::new(),
    })
}

/// As forms are written: a blank is `+`.
fn form_encoded(text: &str) -> String {
    url_encode(text).replace("%20", "+")
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    const TAKEN: &str =
        "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>";

    fn host() -> FakeHost {
        FakeHost::new()
            .manifest(Sns::MANIFEST)
            .param("region", "eu-west-1")
            .param("subject", "it broke")
            .param("message", "now")
    }

    fn group() -> Notification {
        Notification { id: "n1".into(), dedup_key: "k1".into(), ..Notification::default() }
    }

    fn published(host: FakeHost) -> String {
        let host = host.answer(200, TAKEN);
        assert_eq!(host.run(|| Sns::notify(&group())), Ok(Some("m-1".to_owned())));
        String::from_utf8(host.requests()[0].body.clone()).expect("a form")
    }

    #[test]
    fn publishes_a_form() {
        let host = host()
            .param("topic_arn", "arn:aws:sns:eu-west-1:1:t")
            .param("message", "é + & = ~ *")
            .param("attributes", json!([{ "name": "b", "value": "1 2" }, { "name": "a", "value": "" }]));
        assert_eq!(
            published(host),
            "Action=Publish&Message=%C3%A9+%2B+%26+%3D+~+%2A\
             &MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=String\
             &MessageAttributes.entry.1.Value.StringValue=\
             &MessageAttributes.entry.2.Name=b&MessageAttributes.entry.2.Value.DataType=String\
             &MessageAttributes.entry.2.Value.StringValue=1+2\
             &Subject=it+broke&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1%3At&Version=2010-03-31"
        );
        let map = host_with_target().param("attributes", json!({ "n": 5 }));
        assert!(
            published(map).contains("entry.1.Name=n&MessageAttributes.entry.1.Value.DataType=String&Mess")
        );
    }

    fn host_with_target() -> FakeHost {
        host().param("target_arn", "arn:t")
    }

    #[test]
    fn topics_that_keep_the_order_get_group_and_message() {
        let form = published(host().param("topic_arn", "arn:t.fifo"));
        assert!(form.contains("&MessageDeduplicationId=n1&MessageGroupId=k1&"), "{form}");
        let form = published(host_with_target());
        assert_eq!(form, "Action=Publish&Message=now&Subject=it+broke&TargetArn=arn%3At&Version=2010-03-31");
    }

    #[test]
    fn what_is_too_long_is_cut_and_marked() {
        for (to, size, kept) in
            [("phone_number", 1601, 1600), ("topic_arn", 262_145, 262_144), ("topic_arn", 262_144, 262_144)]
        {
            let form = published(host().param(to, "x").param("message", "a".repeat(size)));
            let message = form.split("Message=").nth(1).and_then(|rest| rest.split('&').next());
            assert_eq!(message.map(str::len), Some(kept), "{to}");
            assert_eq!(form.contains("Name=truncated&"), kept < size, "{to}");
        }
        // Never through the middle of a character.
        let form = published(host().param("phone_number", "x").param("message", "ü".repeat(801) + "a"));
        assert!(form.contains("%C3%BC&MessageAttributes.entry.1.Name=truncated"));
    }

    #[test]
    fn subjects_are_one_short_line() {
        let long = format!("{}…", "ü".repeat(99));
        for (subject, expected) in
            [("a\nb\r\n", "a b  "), (&*"ü".repeat(101), &*long), (" x ", " x "), ("", ""), ("x", "x")]
        {
            assert_eq!(subject_line(subject), expected);
        }
        for nothing in ["", " ", "\n"] {
            assert!(!published(host_with_target().param("subject", nothing)).contains("Subject"));
        }
    }

    #[test]
    fn goes_to_the_regions_address() {
        for (region, own, expected) in [
            ("eu-west-1", "", "https://sns.eu-west-1.amazonaws.com/"),
            ("cn-north-1", "", "https://sns.cn-north-1.amazonaws.com.cn/"),
            ("eu-west-1", "http://localstack:4566/x?y=z", "http://localstack:4566/x"),
        ] {
            let host = host_with_target().param("region", region).param("api_url", own).answer(200, TAKEN);
            host.run(|| Sns::notify(&group())).expect("accepted");
            assert_eq!(host.requests()[0].url, expected);
        }
        let error = host().param("region", "").run(|| Sns::notify(&group())).expect_err("nowhere");
        assert_eq!(error.kind, ErrorKind::Config);
    }

    #[test]
    fn errors_mean_what_their_code_says() {
        for (status, code, kind) in [
            (400, "Throttling", ErrorKind::RateLimited),
            (400, "InvalidParameter", ErrorKind::Permanent),
            (403, "SignatureDoesNotMatch", ErrorKind::Unauthorized),
            (400, "ExpiredToken", ErrorKind::Unauthorized),
            (404, "NotFound", ErrorKind::Permanent),
            (500, "InternalError", ErrorKind::Retryable),
        ] {
            let body = format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
            let host = host_with_target().answer(status, &body);
            assert_eq!(host.run(|| Sns::notify(&group())).expect_err("refused").kind, kind, "{code}");
        }
    }
}
