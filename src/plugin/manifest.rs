//! The manifest: what a plugin says about itself, `META` in a script and `manifest.describe()` in a component.
//!
//! In: the JSON document. Out: a [`Manifest`] and warnings about fields that nobody knows. Not here: what the operator
//! says (`spec`), and whether it is granted (`grants`).

use std::collections::BTreeMap;
use std::time::Duration;

use model::{MetricType, parse_duration};
use serde_json::{Map, Value};

use crate::LimitOverrides;

/// What a plugin says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Its name; the `alertname` of a rule.
    pub name: String,
    /// One sentence for people.
    pub about: String,
    /// Its own version, for people.
    pub version: String,
    /// Parameters, by name.
    pub params: Vec<Param>,
    /// What it asks the operator for.
    pub needs: Needs,
    /// A rule's interval.
    pub every: Option<Duration>,
    /// How long a finding must hold before the alert fires: Prometheus' `for`.
    pub hold: Duration,
    /// How long an alert fires on after its last finding.
    pub keep_firing: Duration,
    /// Labels that a rule adds to each finding.
    pub labels: BTreeMap<String, String>,
    /// Annotations that a rule adds to each finding.
    pub annotations: BTreeMap<String, String>,
    /// An exporter's metrics: family name → type and help.
    pub metrics: BTreeMap<String, MetricHelp>,
    /// Limits below the defaults.
    pub limits: LimitOverrides,
}

/// A declared parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// The value unless the operator gives another; null if there is none.
    pub default: Value,
    /// For people.
    pub about: String,
    /// Whether it must be given.
    pub required: bool,
    /// `string`, `number`, `integer`, `bool`, `list`, `map`, `duration`, or `link`: an address for people, where the plugin
    /// itself sends nothing. Empty if the default says it.
    pub kind: String,
}

/// What a plugin asks the operator for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Hosts; `{target}` is the target being scraped, `{NAME}` the host of the secret or parameter NAME.
    pub hosts: Vec<String>,
    /// Names of secrets.
    pub secrets: Vec<String>,
    /// Paths and globs.
    pub files: Vec<String>,
    /// Names of SMTP servers.
    pub smtp: Vec<String>,
}

/// What an exporter says about one of its metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricHelp {
    /// The help text.
    pub help: String,
    /// The type, if said.
    pub kind: Option<MetricType>,
    /// The unit, or empty.
    pub unit: String,
}

impl Manifest {
    /// Reads the document. Beside the manifest: warnings about unknown fields. An error names the field.
    pub fn from_json(document: &Value) -> Result<(Manifest, Vec<String>), String> {
        let fields = Fields::of("the manifest", document)?;
        let name = fields.text("name")?.ok_or("the manifest has no `name`")?;
        if !is_name(&name) {
            return Err(format!(
                "`name` is `{name}`; a plugin's name is letters, digits and `_`, and starts with no digit"
            ));
        }
        let mut warnings = Vec::new();
        let mut manifest = Manifest {
            name,
            about: fields.text("about")?.unwrap_or_default(),
            version: fields.text("version")?.unwrap_or_default(),
            params: params(fields.map("params")?)?,
            needs: Needs::default(),
            every: fields.duration("every")?,
            hold: fields.duration("hold")?.unwrap_or_default(),
            keep_firing: fields.duration("keep_firing")?.unwrap_or_default(),
            labels: fields.texts("labels")?,
            annotations: fields.texts("annotations")?,
            metrics: metrics(fields.map("metrics")?)?,
            limits: LimitOverrides::default(),
        };
        if manifest.every == Some(Duration::ZERO) {
            return Err("`every` is 0; a rule needs an interval such as `15s`".to_owned());
        }
        if let Some(needs) = fields.get("needs") {
            let needs = Fields::of("`needs`", needs)?;
            manifest.needs = Needs {
                hosts: needs.list("hosts")?,
                secrets: needs.list("secrets")?,
                files: needs.list("files")?,
                smtp: needs.list("smtp")?,
            };
            needs.unknown(&["hosts", "secrets", "files", "smtp"], &mut warnings);
        }
        if let Some(limits) = fields.get("limits") {
            let limits = Fields::of("`limits`", limits)?;
            manifest.limits = LimitOverrides {
                cpu: limits.duration("cpu")?,
                time: limits.duration("time")?,
                memory: limits.size("memory")?,
                findings: limits.size("findings")?,
                points: limits.size("points")?,
            };
            limits.unknown(&["cpu", "time", "memory", "findings", "points"], &mut warnings);
        }
        fields.unknown(&KNOWN, &mut warnings);
        if fields.get("for").is_some() {
            warnings.push("`for` is written `hold` in a manifest".to_owned());
        }
        Ok((manifest, warnings))
    }

    /// The declared parameter of this name.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|p| p.name == name)
    }
}

const KNOWN: [&str; 12] = [
    "name",
    "about",
    "version",
    "params",
    "needs",
    "every",
    "hold",
    "keep_firing",
    "labels",
    "annotations",
    "metrics",
    "limits",
];

/// Whether `name` is `[A-Za-z_][A-Za-z0-9_]*`.
pub(crate) fn is_name(name: &str) -> bool {
    model::is_legacy_label_name(name) && name.len() <= 128
}

/// A JSON object whose fields are read by type; errors name the field.
struct Fields<'a> {
    what: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(what: &'a str, value: &'a Value) -> Result<Self, String> {
        let map = value.as_object().ok_or_else(|| format!("{what} is {}, not a map", kind_of(value)))?;
        Ok(Fields { what, map })
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| format!("`{name}` is {}, not a text", kind_of(value)))?;
        Ok(Some(text.to_owned()))
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse_duration(&text).map(Some).map_err(|problem| format!("`{name}`: {problem}"))
    }

    /// A number of bytes or things: a number, or a text such as `64MiB`.
    fn size(&self, name: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let size = match value {
            Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            Value::String(text) => parse_size(text),
            _ => None,
        };
        size.map(Some)
            .ok_or_else(|| format!("`{name}` is {value}; write a number, or one with a unit such as `64MiB`"))
    }

    fn list(&self, name: &str) -> Result<Vec<String>, String> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let wrong = || format!("`{name}` is {}, not a list of texts", kind_of(value));
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    fn map(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| format!("`{name}` is {}, not a map", kind_of(value)))
    }

    fn texts(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let Some(map) = self.map(name)? else { return Ok(BTreeMap::new()) };
        map.iter()
            .map(|(key, value)| {
                let text = value
                    .as_str()
                    .ok_or_else(|| format!("`{name}.{key}` is {}, not a text", kind_of(value)))?;
                Ok((key.clone(), text.to_owned()))
            })
            .collect()
    }

    fn unknown(&self, known: &[&str], warnings: &mut Vec<String>) {
        for name in self.map.keys().filter(|name| !known.contains(&name.as_str())) {
            warnings.push(format!("{} has no field `{name}`; known: {}", self.what, known.join(", ")));
        }
    }
}

fn params(map: Option<&Map<String, Value>>) -> Result<Vec<Param>, String> {
    let mut params = Vec::new();
    for (name, value) in map.into_iter().flatten() {
        if !is_name(name) {
            return Err(format!("`params.{name}`: a parameter's name is letters, digits and `_`"));
        }
        params.push(match value {
            Value::Object(long) if is_long_form(long) => {
                let fields = Fields { what: "a parameter", map: long };
                Param {
                    name: name.clone(),
                    default: long.get("default").cloned().unwrap_or(Value::Null),
                    about: fields.text("about")?.unwrap_or_default(),
                    required: long.get("required").and_then(Value::as_bool).unwrap_or(false),
                    kind: fields.text("type")?.unwrap_or_default(),
                }
            }
            default => Param {
                name: name.clone(),
                default: default.clone(),
                about: String::new(),
                required: false,
                kind: String::new(),
            },
        });
    }
    Ok(params)
}

/// A map is the long form of a parameter if it has only the long form's fields, and one of those that say so.
fn is_long_form(map: &Map<String, Value>) -> bool {
    map.keys().all(|key| matches!(key.as_str(), "type" | "default" | "about" | "required"))
        && ["type", "default", "required"].iter().any(|key| map.contains_key(*key))
}

fn metrics(map: Option<&Map<String, Value>>) -> Result<BTreeMap<String, MetricHelp>, String> {
    let mut metrics = BTreeMap::new();
    for (name, value) in map.into_iter().flatten() {
        let help = match value {
            Value::String(help) => MetricHelp { help: help.clone(), ..MetricHelp::default() },
            Value::Object(map) => {
                let fields = Fields { what: "a metric", map };
                let kind = match fields.text("type")? {
                    Some(kind) => Some(metric_type(&kind).ok_or_else(|| {
                        format!("`metrics.{name}.type` is `{kind}`; known: counter, gauge, histogram, summary, unknown")
                    })?),
                    None => None,
                };
                MetricHelp {
                    help: fields.text("help")?.unwrap_or_default(),
                    kind,
                    unit: fields.text("unit")?.unwrap_or_default(),
                }
            }
            other => return Err(format!("`metrics.{name}` is {}, not its help text", kind_of(other))),
        };
        metrics.insert(name.clone(), help);
    }
    Ok(metrics)
}

fn metric_type(name: &str) -> Option<MetricType> {
    [MetricType::Counter, MetricType::Gauge, MetricType::Histogram, MetricType::Summary, MetricType::Unknown]
        .into_iter()
        .find(|kind| kind.as_str() == name)
}

/// `64MiB`, `500kB`, `1000`.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// What a value is, with its article.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_all_fields() {
        let (manifest, warnings) = Manifest::from_json(&json!({
            "name": "X", "about": "a", "version": "1", "every": "15s", "hold": "3m", "keep_firing": "1m",
            "params": { "limit": 90.0, "map": { "a": 1 }, "url": { "type": "string", "required": true } },
            "needs": { "hosts": ["{target}"], "secrets": ["s"] },
            "labels": { "severity": "warning" },
            "metrics": { "m": "Help.", "c_total": { "type": "counter", "help": "C." } },
            "limits": { "cpu": "10ms", "memory": "1MiB" },
        }))
        .unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(manifest.every, Some(Duration::from_secs(15)));
        assert_eq!(manifest.param("limit").unwrap().default, json!(90.0));
        assert_eq!(manifest.param("map").unwrap().default, json!({ "a": 1 }));
        assert!(manifest.param("url").unwrap().required);
        assert_eq!(manifest.limits.memory, Some(1 << 20));
        assert_eq!(manifest.metrics["c_total"].kind, Some(MetricType::Counter));
    }

    #[test]
    fn says_what_is_wrong() {
        for (document, expected) in [
            (json!([]), "the manifest is a list, not a map"),
            (json!({}), "the manifest has no `name`"),
            (json!({"name": "a b"}), "`name` is `a b`"),
            (json!({"name": "a", "every": 5}), "`every` is a number, not a text"),
            (json!({"name": "a", "every": "0"}), "`every` is 0"),
            (json!({"name": "a", "hold": "3x"}), "`hold`: `3x` is not a duration"),
            (json!({"name": "a", "needs": {"hosts": "x"}}), "`hosts` is a text, not a list of texts"),
            (json!({"name": "a", "limits": {"memory": "lots"}}), "`memory` is \"lots\""),
            (json!({"name": "a", "labels": {"x": 1}}), "`labels.x` is a number, not a text"),
        ] {
            let problem = Manifest::from_json(&document).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn unknown_fields_are_reported_not_refused() {
        let (_, warnings) = Manifest::from_json(&json!({"name": "a", "evry": "1s", "for": "1m"})).unwrap();
        assert_eq!(warnings.len(), 3);
        assert!(warnings[0].contains("no field `evry`"));
        assert!(warnings[2].contains("written `hold`"));
    }
}
