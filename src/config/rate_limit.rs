//! How often a service lets itself be told: `rate_limit` of a receiver, and what services document.

use std::time::Duration;

use crate::reader::{At, Fields};
use crate::shown::Shown;

/// So many messages in so much time, at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Messages; at least one.
    pub messages: usize,
    /// In any stretch of this length.
    pub per: Duration,
}

/// What a service documents about itself.
pub(crate) struct Documented {
    kinds: &'static [&'static str],
    messages: usize,
    per: Duration,
    /// From one message to the next that it takes for a long time.
    pub(crate) steady: Duration,
    /// In words.
    pub(crate) about: &'static str,
}

const DOCUMENTED: [Documented; 4] = [
    Documented {
        kinds: &["discord"],
        messages: 5,
        per: Duration::from_secs(2),
        steady: Duration::from_secs(2),
        about: "Discord takes 5 messages in 2 seconds for a webhook, and 30 in a minute for a channel",
    },
    Documented {
        kinds: &["slack"],
        messages: 1,
        per: Duration::from_secs(1),
        steady: Duration::from_secs(1),
        about: "Slack takes one message a second for a channel",
    },
    Documented {
        kinds: &["telegram"],
        messages: 20,
        per: Duration::from_secs(60),
        steady: Duration::from_secs(3),
        about: "Telegram takes 20 messages a minute for a group",
    },
    Documented {
        kinds: &["msteams", "msteamsv2"],
        messages: 4,
        per: Duration::from_secs(1),
        steady: Duration::from_millis(250),
        about: "Microsoft Teams takes 4 messages a second for a webhook",
    },
];

/// What the service of an integration of this kind documents.
pub(crate) fn documented(kind: &str) -> Option<(RateLimit, &'static Documented)> {
    let found = DOCUMENTED.iter().find(|documented| documented.kinds.contains(&kind))?;
    Some((RateLimit { messages: found.messages, per: found.per }, found))
}

/// `rate_limit` of a receiver: `5/2s` for 5 messages in 2 seconds at each of its integrations, `none` for no limit. `None`
/// if it says nothing: then each integration has what its service documents.
pub(crate) fn read(fields: &Fields<'_>) -> Option<Option<RateLimit>> {
    let at = fields.get("rate_limit")?;
    let text = at.text()?;
    fields.show("rate_limit", Shown::text(&text));
    if text == "none" {
        return Some(None);
    }
    let limit = parse(&text);
    if limit.is_none() {
        wrong(&at, &text);
    }
    limit.map(Some)
}

fn parse(text: &str) -> Option<RateLimit> {
    let (messages, per) = text.split_once('/')?;
    let messages = messages.trim().parse().ok().filter(|messages| *messages > 0)?;
    // `5/m` is one minute.
    let per = per.trim();
    let per = match per.starts_with(|c: char| c.is_ascii_digit()) {
        true => model::parse_duration(per),
        false => model::parse_duration(&format!("1{per}")),
    };
    per.ok().filter(|per| !per.is_zero()).map(|per| RateLimit { messages, per })
}

fn wrong(at: &At<'_>, text: &str) {
    let hint = "messages and a time, such as `5/2s` or `30/1m`; or `none`".to_owned();
    at.error(format!("`{text}` is not a rate"), Some(hint));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_messages_and_a_time() {
        let limit = |messages, millis| Some(RateLimit { messages, per: Duration::from_millis(millis) });
        for (text, expected) in [
            ("5/2s", limit(5, 2000)),
            ("30/1m", limit(30, 60_000)),
            ("1/s", limit(1, 1000)),
            (" 20 / 1m30s ", limit(20, 90_000)),
            ("0/1s", None),
            ("5/0s", None),
            ("5", None),
            ("-1/1s", None),
            ("many/1s", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn knows_what_services_document() {
        assert_eq!(documented("discord").map(|(limit, _)| limit.messages), Some(5));
        assert!(documented("webhook").is_none());
    }
}
