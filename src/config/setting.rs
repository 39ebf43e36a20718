//! Settings of integrations and discoveries: values as a plugin gets them, with secrets kept apart from text.

use std::path::PathBuf;

use model::Secret;

use crate::typed::Typed;

/// One value of an integration's or a discovery's settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text as it stands. Durations are text too: `30s`.
    Text(String),
    /// Text with a template in it, expanded for each notification.
    Template(String),
    /// A value that nobody sees.
    Secret {
        /// The value.
        value: Secret<String>,
        /// Whether it is a template, expanded for each notification.
        template: bool,
    },
    /// The path of a file that holds a secret, read each time it is needed. Stands under the name without `_file`.
    SecretFile(PathBuf),
    /// A list.
    List(Vec<Setting>),
    /// Names and values, in the order of the file.
    Map(Vec<(String, Setting)>),
    /// A value all of whose texts, and names, are templates, and whose texts are then what they are in YAML: `5` a number,
    /// `{a: b}` a mapping. Texts in what came out are expanded once more, as Alertmanager does.
    Typed(Box<Setting>),
}

/// How often a text may come out of another one: a template that writes itself would never end.
const TYPED_DEPTH_MAX: usize = 32;

impl Setting {
    /// The same under the names that notifiers ask for: a secret in a file stands under its name without `_file`.
    pub(crate) fn without_file_names(settings: Vec<(String, Setting)>) -> Vec<(String, Setting)> {
        let named = |(name, value): (String, Setting)| match value {
            Setting::SecretFile(_) => (name.strip_suffix("_file").unwrap_or(&name).to_owned(), value),
            Setting::Map(entries) => (name, Setting::Map(Setting::without_file_names(entries))),
            other => (name, other),
        };
        settings.into_iter().map(named).collect()
    }

    /// The value of this name in a map.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        match self {
            Setting::Map(entries) => entries.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if it is plain text or a template.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Setting::Text(text) | Setting::Template(text) => Some(text),
            _ => None,
        }
    }

    /// Yes or no, if it is that.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Setting::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as JSON, for the host of a plugin: secrets are in it, and paths of secrets. `expand` fills in a template.
    pub fn to_json<E>(&self, expand: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<String, E> {
        let mut out = String::new();
        self.write_json(expand, &mut out)?;
        Ok(out)
    }

    fn write_json<E>(
        &self,
        expand: &mut dyn FnMut(&str) -> Result<String, E>,
        out: &mut String,
    ) -> Result<(), E> {
        match self {
            Setting::Null => out.push_str("null"),
            Setting::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Setting::Number(number) if number.is_finite() => out.push_str(&number.to_string()),
            Setting::Number(_) => out.push_str("null"),
            Setting::Text(text) => json_text(text, out),
            Setting::Template(text) => json_text(&expand(text)?, out),
            Setting::Secret { value, template: true } => json_text(&expand(value.expose())?, out),
            Setting::Secret { value, template: false } => json_text(value.expose(), out),
            Setting::SecretFile(path) => json_text(&path.to_string_lossy(), out),
            Setting::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_json(expand, out)?;
                }
                out.push(']');
            }
            Setting::Map(entries) => {
                out.push('{');
                for (at, (name, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    match value {
                        Setting::SecretFile(_) => json_text(&format!("{name}_file"), out),
                        _ => json_text(name, out),
                    }
                    out.push(':');
                    value.write_json(expand, out)?;
                }
                out.push('}');
            }
            Setting::Typed(value) => write_typed(&value.typed(expand)?, out),
        }
        Ok(())
    }

    fn typed<E>(&self, expand: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Typed, E> {
        Ok(match self {
            Setting::Null => Typed::Null,
            Setting::Bool(value) => Typed::Bool(*value),
            Setting::Number(number) => Typed::Float(*number),
            Setting::Text(text) | Setting::Template(text) => typed_text(text, expand)?,
            Setting::Secret { value, .. } => typed_text(value.expose(), expand)?,
            Setting::SecretFile(path) => Typed::Text(path.to_string_lossy().into_owned()),
            Setting::List(items) => {
                Typed::List(items.iter().map(|item| item.typed(expand)).collect::<Result<_, E>>()?)
            }
            Setting::Map(entries) => {
                let mut map: Vec<(String, Typed)> = Vec::with_capacity(entries.len());
                for (name, value) in entries {
                    let (name, value) = (expand(name)?, value.typed(expand)?);
                    map.retain(|(known, _)| *known != name);
                    map.push((name, value));
                }
                Typed::Map(map)
            }
            Setting::Typed(value) => value.typed(expand)?,
        })
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Setting::Number(value) => Some(*value),
            _ => None,
        }
    }
}

fn typed_text<E>(text: &str, expand: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Typed, E> {
    let text = expand(text)?;
    Ok(match Typed::of(&text) {
        Some(value) => again(value, expand, 0),
        None => Typed::Text(text),
    })
}

/// What came out of a text, with the texts in it expanded and read in turn. They may be an alert's: one that is no
/// template, or a wrong one, stays as it is.
fn again<E>(value: Typed, expand: &mut dyn FnMut(&str) -> Result<String, E>, depth: usize) -> Typed {
    match value {
        Typed::Text(text) => {
            if depth >= TYPED_DEPTH_MAX {
                return Typed::Text(text);
            }
            let text = expand(&text).unwrap_or(text);
            match Typed::of(&text) {
                Some(value) => again(value, expand, depth + 1),
                None => Typed::Text(text),
            }
        }
        Typed::List(items) => Typed::List(items.into_iter().map(|item| again(item, expand, depth)).collect()),
        Typed::Map(entries) => {
            let mut map: Vec<(String, Typed)> = Vec::with_capacity(entries.len());
            for (name, value) in entries {
                let (name, value) = (expand(&name).unwrap_or(name), again(value, expand, depth));
                map.retain(|(known, _)| *known != name);
                map.push((name, value));
            }
            Typed::Map(map)
        }
        other => other,
    }
}

fn write_typed(value: &Typed, out: &mut String) {
    match value {
        Typed::Null => out.push_str("null"),
        Typed::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Typed::Integer(number) => out.push_str(&number.to_string()),
        Typed::Float(number) if number.is_finite() => out.push_str(&number.to_string()),
        Typed::Float(_) => out.push_str("null"),
        Typed::Text(text) => json_text(text, out),
        Typed::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_typed(item, out);
            }
            out.push(']');
        }
        Typed::Map(entries) => {
            out.push('{');
            for (at, (name, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                json_text(name, out);
                out.push(':');
                write_typed(value, out);
            }
            out.push('}');
        }
    }
}

fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_templates_expanded_and_secrets_in_it() {
        let value = Setting::Map(vec![
            ("a".into(), Setting::Template("{{ x }}".into())),
            ("b".into(), Setting::List(vec![Setting::Number(2.0), Setting::Number(0.5), Setting::Null])),
            ("c".into(), Setting::Secret { value: Secret::new("s\"\n\u{1}".into()), template: false }),
            ("d".into(), Setting::Bool(true)),
            ("e".into(), Setting::SecretFile("/f".into())),
        ]);
        let json = value.to_json(&mut |text| Ok::<_, ()>(text.to_uppercase())).unwrap();
        assert_eq!(json, r#"{"a":"{{ X }}","b":[2,0.5,null],"c":"s\"\n\u0001","d":true,"e_file":"/f"}"#);
    }

    #[test]
    fn texts_of_a_typed_value_are_read_as_yaml() {
        let text = |text: &str| Setting::Template(text.to_owned());
        // Stands in for the templates: `<NAME>` is filled in.
        let filled = [
            ("<json>", r#"{"n":"5","t":"a <n> b","deep":"{\"x\": \"<n>\"}"}"#),
            ("<wrong>", r#"["<fails>", "1"]"#),
            ("<itself>", "[<itself>, 1]"),
            ("<n>", "3"),
            ("<none>", ""),
        ];
        let mut expand = |text: &str| {
            if text.contains("<fails>") {
                return Err(());
            }
            Ok(filled.iter().fold(text.to_owned(), |text, (name, with)| text.replace(name, with)))
        };
        let mut told = |setting: Setting| Setting::Typed(Box::new(setting)).to_json(&mut expand);
        for (of, wanted) in [
            ("<n>", "3"),
            ("<n>.50", "3.5"),
            ("<none>", "null"),
            ("on", "true"),
            ("n <n>", r#""n 3""#),
            ("{<n>: a, x<n>: b}", r#"{"x3":"b"}"#),
            ("<json>", r#"{"n":5,"t":"a 3 b","deep":{"x":3}}"#),
            ("<wrong>", r#"["<fails>",1]"#),
            ("1e30", "1000000000000000000000000000000"),
        ] {
            assert_eq!(told(text(of)).as_deref(), Ok(wanted), "{of}");
        }
        assert_eq!(told(text("<fails>")), Err(()));
        assert!(told(text("<itself>")).is_ok());
        let map = vec![
            ("k<n>".to_owned(), Setting::List(vec![text("<n>"), Setting::Null, Setting::Bool(true)])),
            ("s".to_owned(), Setting::Secret { value: Secret::new("07".into()), template: false }),
            ("k3".to_owned(), Setting::Number(1.0)),
        ];
        assert_eq!(told(Setting::Map(map)).as_deref(), Ok(r#"{"s":7,"k3":1}"#));
    }
}
