//! The published description of Prometheus' API v1, walked: every operation that we have is called with what it documents and
//! with less and worse, and what comes back is held against the documented shapes.
//!
//! The description is not part of this repository: it is looked for where the conformance suite finds its cases, and without it
//! the walk says so and ends.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::world::{Answer, Foghorn, Target, escape, eventually, http};

/// Operations that are not here: the streaming search is experimental; what concerns blocks, remote read and OTLP needs stores
/// and receivers of their own.
const ABSENT: [&str; 8] = [
    "/search/",
    "/scrape_pools/config",
    "/status/self_metrics",
    "/admin/tsdb/",
    "/read",
    "/write",
    "/otlp/",
    "/features",
];

/// Properties that we add to documented objects: clients pass over what they do not know.
const ADDED: [(&str, &str); 1] = [("Target", "beats")];

struct Walk {
    document: Value,
    server: Foghorn,
    calls: usize,
    problems: Vec<String>,
}

#[test]
fn every_documented_operation_answers_in_its_shape() {
    let corpus = std::env::var_os("FOGHORN_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(corpus.join("http-api/prometheus-openapi-3.1.yaml")) else {
        println!("no description of the API in {}; skipped", corpus.display());
        return;
    };
    let target = Target::start("# HELP up_total Help.\n# TYPE up_total counter\nup_total 1\n");
    let config = format!(
        r#"
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{ targets: ["127.0.0.1:{}", "127.0.0.1:1"] }}]
    relabel_configs: [{{ source_labels: [__address__], regex: "127.0.0.1:1", action: drop }}]
rule_files: [rules.yml]
"#,
        target.port
    );
    let rules =
        "groups: [{name: g, rules: [{alert: Up, expr: up == 1, labels: {a: b}}, {record: r, expr: up}]}]\n";
    let server = Foghorn::start(&[("foghorn.yml", &config), ("rules.yml", rules)]);
    server.wait_for_alert("Up firing");
    eventually("metadata", || server.get("/api/v1/metadata")["data"].get("up_total").map(|_| ()));
    let document: Value = serde_yaml::from_str(&text).unwrap();
    let mut walk = Walk { document, server, calls: 0, problems: Vec::new() };
    walk.operations();
    println!("{} calls", walk.calls);
    assert!(walk.calls > 100, "{} calls", walk.calls);
    assert!(walk.problems.is_empty(), "{}", walk.problems.join("\n"));
}

/// A parameter: where it stands, whether it must be there, what it may be.
struct Param {
    name: String,
    in_path: bool,
    required: bool,
    example: Option<String>,
    bad: Option<&'static str>,
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first().and_then(text_of),
        Value::Null | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// What a parameter of this name and schema must not be.
fn bad_value(name: &str, schema: &Value) -> Option<&'static str> {
    match name {
        "query" | "match[]" | "match_target" => return Some("sum("),
        "type" => return Some("neither"),
        "labels" => return Some("[]"),
        "start" | "end" | "time" => return Some("yesterday"),
        "step" | "timeout" | "lookback_delta" => return Some("for ever"),
        _ => {}
    }
    (schema["type"] == "integer").then_some("many")
}

impl Walk {
    fn operations(&mut self) {
        let paths = self.document["paths"].as_object().unwrap().clone();
        for (path, methods) in &paths {
            if ABSENT
                .iter()
                .any(|absent| path == absent || (absent.ends_with('/') && path.starts_with(absent)))
            {
                continue;
            }
            for method in ["get", "post"] {
                if let Some(operation) = methods.get(method) {
                    self.operation(path, method, operation);
                }
            }
        }
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let params = self.params(operation);
        let wanted = operation["responses"]["200"]["content"]["application/json"]["schema"].clone();
        let required: Vec<&Param> = params.iter().filter(|param| param.required).collect();
        let with = |names: &[&Param]| -> Vec<(String, String)> {
            names.iter().filter_map(|param| Some((param.name.clone(), param.example.clone()?))).collect()
        };
        let full: Vec<&Param> = params.iter().collect();
        for given in [with(&required), with(&full)] {
            // The token is one of the last page.
            let given: Vec<_> = given.into_iter().filter(|(name, _)| name != "group_next_token").collect();
            self.expect(path, method, &given, 200, &wanted);
        }
        let error = json!({"$ref": "#/components/schemas/Error"});
        for param in params.iter().filter(|param| !param.in_path) {
            let others: Vec<_> =
                with(&required).into_iter().filter(|(name, _)| *name != param.name).collect();
            if param.required {
                self.expect(path, method, &others, 400, &error);
            }
            if let Some(bad) = param.bad {
                let given = [others, vec![(param.name.clone(), bad.to_owned())]].concat();
                self.expect(path, method, &given, 400, &error);
            }
        }
    }

    fn params(&self, operation: &Value) -> Vec<Param> {
        let listed = operation["parameters"].as_array().into_iter().flatten().map(|param| {
            let name = param["name"].as_str().unwrap_or_default();
            let examples = param["examples"].as_object().into_iter().flat_map(Map::values);
            let example =
                examples.map(|example| &example["value"]).chain([&param["example"]]).find_map(text_of);
            let in_path = param["in"] == "path";
            Param {
                name: name.to_owned(),
                in_path,
                required: param["required"] == true,
                example: if in_path { Some("job".to_owned()) } else { example },
                bad: bad_value(name, &param["schema"]),
            }
        });
        let form = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        let form = self.resolved(form);
        let required = form["required"].as_array().cloned().unwrap_or_default();
        let fields = form["properties"].as_object().into_iter().flatten().map(|(name, schema)| Param {
            name: name.clone(),
            in_path: false,
            required: required.contains(&json!(name)),
            example: text_of(&schema["example"]),
            bad: bad_value(name, schema),
        });
        listed.chain(fields).collect()
    }

    fn expect(&mut self, path: &str, method: &str, given: &[(String, String)], status: u16, schema: &Value) {
        self.calls += 1;
        let mut path = format!("/api/v1{path}");
        let mut pairs = Vec::new();
        for (name, value) in given {
            let place = format!("{{{name}}}");
            if path.contains(&place) {
                path = path.replace(&place, &escape(value));
            } else {
                pairs.push(format!("{}={}", escape(name), escape(value)));
            }
        }
        let pairs = pairs.join("&");
        let answer = if method == "get" {
            http(self.server.port, "GET", &format!("{path}?{pairs}"), &[], "")
        } else {
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            http(self.server.port, "POST", &path, &headers, &pairs)
        };
        let answer: Answer = answer.unwrap_or_else(|| panic!("no answer to {method} {path}"));
        let call = format!("{method} {path}?{pairs}");
        if answer.status != status {
            self.problems.push(format!("{call}: status {}, wanted {status}: {}", answer.status, answer.body));
            return;
        }
        if let Err(why) = self.fits(&answer.json(), schema, "") {
            self.problems.push(format!("{call}: {why}: {}", answer.body));
        }
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => self.document.pointer(pointer).unwrap_or(&Value::Null),
            None => schema,
        }
    }

    /// Whether a value has the shape of a schema, as far as this document's words go.
    fn fits(&self, value: &Value, schema: &Value, name: &str) -> Result<(), String> {
        let name = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()).unwrap_or(name);
        let schema = self.resolved(schema);
        for word in schema.as_object().into_iter().flat_map(Map::keys) {
            const KNOWN: [&str; 13] = [
                "type",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "anyOf",
                "oneOf",
                "enum",
                "format",
                "minItems",
                "maxItems",
                "description",
                "example",
            ];
            assert!(KNOWN.contains(&word.as_str()), "`{word}` is not understood here");
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[word].as_array() {
                let fitting = choices.iter().filter(|choice| self.fits(value, choice, name).is_ok()).count();
                if fitting == 0 || (word == "oneOf" && fitting > 1) {
                    let whys: Vec<String> =
                        choices.iter().filter_map(|choice| self.fits(value, choice, name).err()).collect();
                    return Err(format!("{fitting} of {name}'s choices fit ({})", whys.join("; ")));
                }
            }
        }
        if let Some(kind) = schema["type"].as_str() {
            let is = match kind {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("`{other}` is not a type"),
            };
            if !is {
                return Err(format!("{value} in {name} is no {kind}"));
            }
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Err(format!("{value} is none of {allowed:?}"));
        }
        if schema["format"] == "date-time" && api::parse_time(value.as_str().unwrap_or_default()).is_none() {
            return Err(format!("{value} is no time"));
        }
        if let Some(items) = value.as_array() {
            let count = items.len() as u64;
            if schema["minItems"].as_u64().is_some_and(|min| count < min)
                || schema["maxItems"].as_u64().is_some_and(|max| count > max)
            {
                return Err(format!("{count} items in {value}"));
            }
            for item in items.iter().filter(|_| schema["items"].is_object()) {
                self.fits(item, &schema["items"], name)?;
            }
        }
        self.object_fits(value, schema, name)
    }

    fn object_fits(&self, value: &Value, schema: &Value, name: &str) -> Result<(), String> {
        let Some(object) = value.as_object() else { return Ok(()) };
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(required) {
                return Err(format!("{name} has no `{required}`"));
            }
        }
        for (key, item) in object {
            let schema_of = &schema["properties"][key];
            let others = &schema["additionalProperties"];
            if schema_of.is_object() {
                self.fits(item, schema_of, key)?;
            } else if others.is_object() {
                self.fits(item, others, key)?;
            } else if others == &json!(false) && !ADDED.contains(&(name, key.as_str())) {
                return Err(format!("{name} has `{key}`, which is not documented"));
            }
        }
        Ok(())
    }
}
