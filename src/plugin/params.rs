//! A plugin's parameters: the manifest's defaults, under the operator's values, under a receiver's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::manifest::{Manifest, Param, kind_of};

/// The values that a call sees. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Arc<BTreeMap<String, Value>>);

impl Params {
    /// The manifest's defaults under the operator's values. All problems at once.
    pub(crate) fn new(
        manifest: &Manifest,
        operator: &BTreeMap<String, Value>,
    ) -> Result<Params, Vec<String>> {
        let mut values: BTreeMap<String, Value> =
            manifest.params.iter().map(|param| (param.name.clone(), param.default.clone())).collect();
        let mut problems = Vec::new();
        for (name, value) in operator {
            match manifest.param(name) {
                Some(param) => match fit(param, value.clone()) {
                    Ok(value) => drop(values.insert(name.clone(), value)),
                    Err(problem) => problems.push(problem),
                },
                None => problems.push(format!("there is no parameter `{name}`; {}", known(manifest))),
            }
        }
        if problems.is_empty() { Ok(Params(Arc::new(values))) } else { Err(problems) }
    }

    /// With a receiver's settings over them: settings that are no parameter are the host's business.
    pub(crate) fn with(
        &self,
        manifest: &Manifest,
        settings: &BTreeMap<String, Value>,
    ) -> Result<Params, String> {
        let mut values = None;
        let nested = settings.get("params").and_then(Value::as_object);
        let all = settings.iter().chain(nested.into_iter().flatten());
        for (name, value) in all {
            if let Some(param) = manifest.param(name).filter(|_| !value.is_null()) {
                let values = values.get_or_insert_with(|| (*self.0).clone());
                values.insert(name.clone(), fit(param, value.clone())?);
            }
        }
        Ok(values.map_or_else(|| self.clone(), |values| Params(Arc::new(values))))
    }

    /// The value, or `None` if the manifest does not declare it. Null if it has no value.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The first required parameter without a value.
    pub(crate) fn missing(&self, manifest: &Manifest) -> Option<String> {
        let missing =
            manifest.params.iter().find(|p| p.required && self.0.get(&p.name).is_none_or(Value::is_null))?;
        let about = if missing.about.is_empty() { String::new() } else { format!(" ({})", missing.about) };
        Some(format!("the parameter `{}`{about} is required and has no value", missing.name))
    }
}

fn known(manifest: &Manifest) -> String {
    if manifest.params.is_empty() {
        return "the plugin has none".to_owned();
    }
    let names: Vec<&str> = manifest.params.iter().map(|p| p.name.as_str()).collect();
    format!("known: {}", names.join(", "))
}

/// `value` in the type that the parameter has. A whole number is also a float where the default is one, a number or a
/// boolean also a text where the default is one: YAML takes `5` and `yes` for what they look like.
fn fit(param: &Param, value: Value) -> Result<Value, String> {
    let wrong = |value: &Value, wanted: &str| {
        Err(format!("the parameter `{}` is {}; it must be {wanted}", param.name, kind_of(value)))
    };
    let wanted = match param.kind.as_str() {
        "" => &param.default,
        "string" | "duration" | "link" => &Value::String(String::new()),
        "number" | "float" => &Value::from(0.0),
        "integer" => &Value::from(0),
        "bool" => &Value::Bool(false),
        "list" => return if value.is_array() { Ok(value) } else { wrong(&value, "a list") },
        "map" => return if value.is_object() { Ok(value) } else { wrong(&value, "a map") },
        _ => return Ok(value),
    };
    match (wanted, value) {
        (Value::Number(wanted), Value::Number(value)) => match (wanted.is_f64(), value.as_f64()) {
            (true, Some(float)) => Ok(Value::from(float)),
            _ if param.kind == "integer" && value.is_f64() => wrong(&Value::Number(value), "a whole number"),
            _ => Ok(Value::Number(value)),
        },
        (Value::String(_), Value::Number(value)) => Ok(Value::String(value.to_string())),
        (Value::String(_), Value::Bool(value)) => Ok(Value::String(value.to_string())),
        (Value::Null, value) => Ok(value),
        (wanted, value) if std::mem::discriminant(wanted) == std::mem::discriminant(&value) => Ok(value),
        (wanted, value) => wrong(&value, kind_of(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        Manifest::from_json(&json!({"name": "x", "params": {
            "limit": 90.0, "show": 10, "name": "a", "url": {"required": true, "type": "string", "about": "where"},
        }}))
        .unwrap()
        .0
    }

    fn operator(value: Value) -> BTreeMap<String, Value> {
        value.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    #[test]
    fn values_take_the_defaults_type() {
        let manifest = manifest();
        let params = Params::new(&manifest, &operator(json!({"limit": 80, "name": 5, "show": 3}))).unwrap();
        assert_eq!(params.get("limit"), Some(&json!(80.0)));
        assert_eq!(params.get("name"), Some(&json!("5")));
        assert_eq!(params.get("show"), Some(&json!(3)));
        assert_eq!(params.get("other"), None);
        assert!(params.missing(&manifest).unwrap().contains("`url` (where) is required"));
    }

    #[test]
    fn all_problems_at_once() {
        let problems =
            Params::new(&manifest(), &operator(json!({"limit": "x", "other": 1}))).unwrap_err().join("; ");
        assert!(problems.contains("`limit` is a text; it must be a number"), "{problems}");
        assert!(problems.contains("no parameter `other`; known: limit, name, show, url"), "{problems}");
    }

    #[test]
    fn settings_lie_over_the_operators_values() {
        let manifest = manifest();
        let params = Params::new(&manifest, &operator(json!({"show": 3, "url": "u"}))).unwrap();
        let settings = operator(json!({"show": 7, "unknown": 1, "params": {"name": "b"}}));
        let params = params.with(&manifest, &settings).unwrap();
        assert_eq!(params.get("show"), Some(&json!(7)));
        assert_eq!(params.get("name"), Some(&json!("b")));
        assert_eq!(params.get("url"), Some(&json!("u")));
    }
}
