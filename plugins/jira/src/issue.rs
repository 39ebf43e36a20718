//! The fields of an issue.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

use crate::jql::label;

/// Jira refuses longer ones.
const SUMMARY_LIMIT: usize = 255;
const DESCRIPTION_LIMIT: usize = 32_767;

/// What is sent to open an issue, or to update the one of this key.
pub(crate) fn body(notification: &Notification, as_document: bool, updated: Option<&str>) -> Result<Value> {
    let mut fields = Map::new();
    fields.insert("project".into(), json!({ "key": text("project")? }));
    fields.insert("issuetype".into(), json!({ "name": text("issue_type")? }));
    let summary = Field::of("summary", "template")?;
    if summary.is_sent(updated) {
        let text = summary.text().unwrap_or_else(|| notification.heading());
        fields.insert("summary".into(), truncate(&text, SUMMARY_LIMIT).into());
    }
    let description = Field::of("description", "template")?;
    if description.is_sent(updated) {
        let text = description.text().unwrap_or_else(|| notification.lines());
        let text = truncate(&text, DESCRIPTION_LIMIT);
        let value = if as_document { document(&text)? } else { text.into() };
        if value != "" {
            fields.insert("description".into(), value);
        }
    }
    let labels = Field::of("labels", "values")?;
    if labels.is_sent(updated) {
        let mut all = labels.texts();
        all.push(label(notification));
        all.sort();
        fields.insert("labels".into(), all.into());
    }
    let priority = text("priority")?;
    if !priority.is_empty() {
        fields.insert("priority".into(), json!({ "name": priority }));
    }
    for name in ["custom_fields", "fields"] {
        fields.extend(param::<Option<Map<String, Value>>>(name)?.unwrap_or_default());
    }
    Ok(json!({ "fields": fields }))
}

/// A setting that is a value, or a map that also says whether it goes into updates.
struct Field {
    value: Value,
    updates: bool,
}

impl Field {
    fn of(name: &str, inner: &str) -> Result<Field> {
        Ok(match param::<Value>(name)? {
            Value::Object(mut map) => Field {
                updates: map.get("enable_update") != Some(&Value::Bool(false)),
                value: map.remove(inner).unwrap_or_default(),
            },
            value => Field { value, updates: true },
        })
    }

    fn is_sent(&self, updated: Option<&str>) -> bool {
        self.updates || updated.is_none()
    }

    fn text(&self) -> Option<String> {
        self.value.as_str().map(str::to_owned)
    }

    fn texts(&self) -> Vec<String> {
        let list = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }
}

/// A description for the third version of the API: the document that the template wrote, or one made of its text.
fn document(text: &str) -> Result<Value> {
    let text = text.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            Error::permanent(format!(
                "`description` begins like a document in JSON and is none: {error}; it may also be plain text"
            ))
        });
    }
    if text.is_empty() {
        return Ok(Value::String(String::new()));
    }
    // An empty text is refused: between paragraphs stands nothing, and between lines a break.
    let paragraph = |text: &str| {
        let lines: Vec<Value> =
            text.lines().filter(|l| !l.is_empty()).map(|l| json!({ "type": "text", "text": l })).collect();
        let mut content: Vec<Value> = Vec::new();
        for line in lines {
            if !content.is_empty() {
                content.push(json!({ "type": "hardBreak" }));
            }
            content.push(line);
        }
        json!({ "type": "paragraph", "content": content })
    };
    let paragraphs = text.split("\n\n").filter(|part| !part.trim().is_empty());
    let content: Vec<Value> = paragraphs.map(paragraph).collect();
    Ok(json!({ "type": "doc", "version": 1, "content": content }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().param("project", "OPS").param("issue_type", "Bug")
    }

    fn fields(host: &FakeHost, as_document: bool, updated: Option<&str>) -> Result<Value> {
        let group =
            Notification { dedup_key: "k1".into(), title: "Disk a".into(), ..Notification::default() };
        host.run(|| body(&group, as_document, updated)).map(|mut body| body["fields"].take())
    }

    #[test]
    fn all_settings_have_their_field() {
        let host = host()
            .param("summary", "it broke")
            .param("description", "how")
            .param("labels", json!(["zz", "AA"]))
            .param("priority", "High")
            .param("fields", json!({ "customfield_1": { "value": 5 }, "summary": "mine" }))
            .param("custom_fields", json!({ "customfield_2": true }));
        assert_eq!(
            fields(&host, false, None),
            Ok(json!({
                "project": { "key": "OPS" },
                "issuetype": { "name": "Bug" },
                "summary": "mine",
                "description": "how",
                "labels": ["AA", "ALERT{k1}", "zz"],
                "priority": { "name": "High" },
                "customfield_1": { "value": 5 },
                "customfield_2": true,
            }))
        );
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let host = host().param("summary", "ü".repeat(256)).param("description", "ü".repeat(32_768));
        let fields = fields(&host, false, None).expect("a body");
        for (name, limit) in [("summary", 255), ("description", 32_767)] {
            let text = fields[name].as_str().expect("a text");
            assert_eq!((text.chars().count(), text.ends_with('…')), (limit, true), "{name}");
        }
    }

    #[test]
    fn what_is_not_to_be_updated_is_sent_once() {
        let once = |name: &str, value: Value| json!({ name: value, "enable_update": false });
        let host = host()
            .param("summary", once("template", "s".into()))
            .param("description", once("template", "d".into()))
            .param("labels", once("values", json!(["l"])));
        let first = fields(&host, false, None).expect("a body");
        assert_eq!(
            (&first["summary"], &first["description"], &first["labels"]),
            (&json!("s"), &json!("d"), &json!(["ALERT{k1}", "l"]))
        );
        let later = fields(&host, false, Some("OPS-7")).expect("a body");
        assert_eq!(later, json!({ "project": { "key": "OPS" }, "issuetype": { "name": "Bug" } }));
        let host = host.param("summary", json!({ "template": "t", "enable_update": true }));
        assert_eq!(fields(&host, false, Some("OPS-7")).expect("a body")["summary"], "t");
    }

    #[test]
    fn the_third_version_takes_documents() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        let paragraph = |content: Value| json!({ "type": "paragraph", "content": content });
        for (description, expected) in [
            (
                r#" { "type": "doc", "version": 1, "content": [] } "#,
                json!({ "type": "doc", "version": 1, "content": [] }),
            ),
            (
                "\none\ntwo\n\n\nthree\n",
                json!({ "type": "doc", "version": 1, "content": [
                    paragraph(json!([text("one"), { "type": "hardBreak" }, text("two")])),
                    paragraph(json!([text("three")])),
                ] }),
            ),
            (" \n ", Value::Null),
        ] {
            let fields = fields(&host().param("description", description), true, None).expect("a body");
            assert_eq!(fields["description"], expected, "{description}");
        }
        let error = fields(&host().param("description", "{ \"a\": "), true, None).expect_err("no JSON");
        assert_eq!(error.kind, ErrorKind::Permanent);
        assert!(error.message.starts_with("`description` begins like a document"), "{error}");
    }
}
