//! Alerts as senders post them to API v2.
//!
//! In: a JSON array. Out: drafts. A storm is hundreds of thousands of these: texts without an escape are taken from the
//! body as they stand, and only the finished label set is copied.

use std::borrow::Cow;
use std::fmt;

use alerting::AlertDraft;
use model::{Annotations, Labels};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::refused::{Refused, WRONG_FORMAT};
use crate::uri::is_uri;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PostedAlert<'a> {
    #[serde(default, borrow)]
    labels: Option<Texts<'a>>,
    #[serde(default, borrow)]
    annotations: Option<Texts<'a>>,
    #[serde(default, borrow)]
    starts_at: Option<Text<'a>>,
    #[serde(default, borrow)]
    ends_at: Option<Text<'a>>,
    #[serde(default, borrow, rename = "generatorURL")]
    generator_url: Option<Text<'a>>,
}

impl PostedAlert<'_> {
    /// Whether it is what the interface says; `position` is its place in the body.
    pub(crate) fn check(&self, position: usize) -> Result<(), Refused> {
        if let Some(Text(url)) = &self.generator_url
            && !url.is_empty()
            && !is_uri(url)
        {
            let message = format!("{position}.generatorURL in body must be of type uri: {url:?}");
            return Err(Refused::not_valid(WRONG_FORMAT, message));
        }
        if self.labels.is_none() {
            return Err(Refused::required(&format!("{position}.labels")));
        }
        Ok(())
    }

    /// Since when it holds, as written.
    pub(crate) fn starts_at(&self) -> Option<&str> {
        self.starts_at.as_ref().map(|text| &*text.0)
    }

    /// Until when it holds, as written.
    pub(crate) fn ends_at(&self) -> Option<&str> {
        self.ends_at.as_ref().map(|text| &*text.0)
    }

    /// The draft, without its times.
    pub(crate) fn draft(self) -> AlertDraft {
        let annotations = self.annotations.unwrap_or_default();
        let labels = self.labels.unwrap_or_default();
        let mut labels = labels.sorted();
        // A label without a text is none; of an annotation even that says something.
        labels.retain(|(_, text)| !text.is_empty());
        AlertDraft {
            labels: Labels::from_sorted(&labels),
            annotations: Annotations::from_sorted(&annotations.sorted()),
            starts_at: None,
            ends_at: None,
            generator_url: self.generator_url.map_or_else(Default::default, |text| text.0.into()),
        }
    }
}

/// A text of the body, borrowed unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl<'de> Visitor<'de> for OfText {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

/// Names and texts of a JSON object, in the order of the body.
#[derive(Default)]
struct Texts<'a>(Vec<(Text<'a>, Text<'a>)>);

impl Texts<'_> {
    /// By name; of equal names the last one counts.
    fn sorted(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = self.0.iter().map(|(name, text)| (&*name.0, &*text.0)).collect();
        // A stable sort keeps equal names in order of arrival.
        all.sort_by(|a, b| a.0.cmp(b.0));
        all.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        all
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTexts;
        impl<'de> Visitor<'de> for OfTexts {
            type Value = Texts<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Texts<'de>, M::Error> {
                let mut texts = Vec::new();
                while let Some((name, text)) = map.next_entry::<_, Option<Text<'de>>>()? {
                    // Senders write `null` for what they do not know; upstream it is an empty text.
                    texts.push((name, text.unwrap_or(Text(Cow::Borrowed("")))));
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(OfTexts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<AlertDraft>, serde_json::Error> {
        let alerts: Vec<PostedAlert<'_>> = serde_json::from_str(text)?;
        Ok(alerts.into_iter().map(PostedAlert::draft).collect())
    }

    #[test]
    fn texts_are_unescaped_sorted_and_unique() {
        let text = r#"[{"labels": {"b": "x\"y", "a": "1", "n\u0061me": "z", "gone": "", "a": "2"}, "annotations": null,
            "generatorURL": null, "startsAt": "2020-01-01T00:00:00Z", "unknown": [1]},
            {"labels": {}, "annotations": {"e": "", "s": "ü\n"}, "generatorURL": "http://g/?a=\u0026"}]"#;
        let drafts = read(text).unwrap();
        assert_eq!(drafts[0].labels, Labels::from([("a", "2"), ("b", "x\"y"), ("name", "z")]));
        assert_eq!((drafts[0].annotations.len(), &*drafts[0].generator_url), (0, ""));
        assert_eq!(drafts[1].annotations, Annotations::from([("e", ""), ("s", "ü\n")]));
        assert_eq!(&*drafts[1].generator_url, "http://g/?a=&");
    }

    #[test]
    fn nothing_is_the_empty_text_as_it_is_in_go() {
        let text = r#"[{"labels": {"a": "x", "b": null}, "annotations": {"runbook": null, "s": "t"}}]"#;
        let drafts = read(text).unwrap();
        assert_eq!(drafts[0].labels, Labels::from([("a", "x")]));
        assert_eq!(drafts[0].annotations, Annotations::from([("runbook", ""), ("s", "t")]));
    }

    #[test]
    fn what_is_no_alert_is_refused() {
        for text in [
            r#"[{"labels": {"a": 1}}]"#,
            r#"[{"labels": []}]"#,
            r#"[{"labels": {}, "labels": {}}]"#,
            r#"[{"labels": {}, "startsAt": 5}]"#,
            r#"{"labels": {}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
