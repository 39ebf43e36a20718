//! Lists of targets as `file_sd_configs` and `http_sd_configs` read them.
//!
//! ```yaml
//! - targets: ["a:9100", "b:9100"]
//!   labels: {env: test}
//! ```

use granit_parser::{Event, Parser};
use model::Labels;

use crate::TargetGroup;

/// A list that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetListError(String);

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Json,
    Yaml,
}

/// Reads a list of target groups from YAML, of which JSON is a part.
pub fn parse_target_list(text: &str) -> Result<Vec<TargetGroup>, TargetListError> {
    parse(text, Notation::Yaml)
}

pub(crate) fn parse(text: &str, notation: Notation) -> Result<Vec<TargetGroup>, TargetListError> {
    let node = match notation {
        Notation::Json => {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|error| TargetListError(format!("not JSON: {error}")))?;
            from_json(value)
        }
        Notation::Yaml => parse_yaml(text)?,
    };
    match node {
        Node::Null => Ok(Vec::new()),
        Node::List(groups) => groups.into_iter().map(group).collect(),
        _ => Err(TargetListError("expected a list of groups, each with `targets` and `labels`".to_owned())),
    }
}

/// As much of a document as lists of targets need.
#[derive(Debug)]
enum Node {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

fn from_json(value: serde_json::Value) -> Node {
    match value {
        serde_json::Value::Null => Node::Null,
        serde_json::Value::String(text) => Node::Text(text),
        serde_json::Value::Array(items) => Node::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            Node::Map(entries.into_iter().map(|(key, value)| (key, from_json(value))).collect())
        }
        other => Node::Text(other.to_string()),
    }
}

/// A collection that is being read.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

fn parse_yaml(text: &str) -> Result<Node, TargetListError> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = Node::Null;
    for next in Parser::new_from_str(text) {
        let (event, _) = next.map_err(|error| TargetListError(format!("not YAML: {error}")))?;
        let node = match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == granit_parser::ScalarStyle::Plain;
                let is_null = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                if is_null { Node::Null } else { Node::Text(text.into_owned()) }
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Node::List(items),
                Some(Open::Map(entries, _)) => Node::Map(entries),
                None => continue,
            },
            Event::Alias(_) => {
                return Err(TargetListError("aliases are not supported in lists of targets".to_owned()));
            }
            // Only the first document counts.
            Event::DocumentEnd => break,
            _ => continue,
        };
        match open.last_mut() {
            None => root = node,
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(entries, key)) => match (key.take(), node) {
                (Some(key), node) => entries.push((key, node)),
                (None, Node::Text(text)) => *key = Some(text),
                (None, _) => return Err(TargetListError("a key must be text".to_owned())),
            },
        }
    }
    Ok(root)
}

fn group(node: Node) -> Result<TargetGroup, TargetListError> {
    let wrong = |text: String| Err(TargetListError(text));
    let Node::Map(entries) = node else {
        return wrong("a group must be a mapping with `targets` and `labels`".to_owned());
    };
    let mut group = TargetGroup::default();
    for (key, value) in entries {
        match (key.as_str(), value) {
            (_, Node::Null) => {}
            ("targets", Node::List(items)) => {
                let addresses = items.into_iter().map(|item| match item {
                    Node::Text(address) => Ok(address),
                    _ => Err(TargetListError("each of `targets` must be text".to_owned())),
                });
                let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
                group.targets = TargetGroup::of(addresses, Labels::empty()).targets;
            }
            ("labels", Node::Map(pairs)) => {
                let pairs = pairs.into_iter().map(|(name, value)| match value {
                    Node::Text(value) => Ok((name, value)),
                    Node::Null => Ok((name, String::new())),
                    _ => Err(TargetListError(format!("label `{name}` must be text"))),
                });
                group.labels = pairs.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
            }
            ("targets", _) => return wrong("`targets` must be a list".to_owned()),
            ("labels", _) => return wrong("`labels` must be a mapping".to_owned()),
            (other, _) => {
                return wrong(format!("`{other}` is not known; a group has `targets` and `labels`"));
            }
        }
    }
    Ok(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_notations() {
        let expected =
            vec![TargetGroup::of(["a:1", "b:2"], Labels::from([("env", "test"), ("port", "9100")]))];
        let json = r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "test", "port": "9100"}}]"#;
        let yaml = "- targets: [a:1, 'b:2']\n  labels:\n    env: test\n    port: 9100\n";
        assert_eq!(parse(json, Notation::Json), Ok(expected.clone()));
        assert_eq!(parse(json, Notation::Yaml), Ok(expected.clone()));
        assert_eq!(parse(yaml, Notation::Yaml), Ok(expected));
        assert_eq!(parse("", Notation::Yaml), Ok(Vec::new()));
        assert_eq!(parse("null", Notation::Json), Ok(Vec::new()));
        assert_eq!(parse("[]", Notation::Json), Ok(Vec::new()));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("a: 1", "expected a list of groups"),
            ("- a", "a group must be a mapping"),
            ("- target: [a]", "`target` is not known"),
            ("- targets: a", "`targets` must be a list"),
            ("- targets: [[a]]", "each of `targets` must be text"),
            ("- labels: {a: [1]}", "label `a` must be text"),
            ("- [", "not YAML"),
        ] {
            let got = parse(text, Notation::Yaml).unwrap_err().to_string();
            assert!(got.starts_with(error), "{text}: {got}");
        }
    }
}
