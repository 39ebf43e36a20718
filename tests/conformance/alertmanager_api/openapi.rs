//! Answers against an OpenAPI 2.0 document.

use std::collections::HashMap;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

/// What the document says about each answer.
pub(crate) struct Document {
    /// By method, path with `{…}` parts, and status.
    answers: HashMap<(String, String, String), Option<Validator>>,
}

impl Document {
    /// `None` if there is no such file.
    pub(crate) fn read(path: &Path) -> Option<Document> {
        let text = std::fs::read_to_string(path).ok()?;
        let document: Value = serde_yaml::from_str(&text).expect("the document is YAML");
        let base = document["basePath"].as_str().unwrap_or_default().trim_end_matches('/');
        let mut answers = HashMap::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                    let answer = match answer["$ref"].as_str() {
                        Some(place) => document.pointer(place.trim_start_matches('#')).unwrap_or(answer),
                        None => answer,
                    };
                    let validator = answer.get("schema").map(|schema| validator(&document, schema));
                    let key = (method.to_uppercase(), format!("{base}{path}"), status.clone());
                    answers.insert(key, validator);
                }
            }
        }
        Some(Document { answers })
    }

    /// Whether the answer is one that the document knows, in the form that it says.
    pub(crate) fn check(&self, method: &str, path: &str, status: u16, body: &str) -> Result<(), String> {
        let path = path.split('?').next().unwrap_or_default();
        let fits = |known: &str| {
            let parts: Vec<&str> = known.split('/').collect();
            let given: Vec<&str> = path.split('/').collect();
            parts.len() == given.len() && parts.iter().zip(given).all(|(k, g)| k.starts_with('{') || *k == g)
        };
        let found = self.answers.iter().find(|((known_method, known, known_status), _)| {
            known_method == method && *known_status == status.to_string() && fits(known)
        });
        let Some((_, validator)) = found else {
            return Err(format!("the OpenAPI document has no {status} for {method} {path}: {body}"));
        };
        let Some(validator) = validator else { return Ok(()) };
        let json: Value =
            serde_json::from_str(body).map_err(|error| format!("{method} {path}: {error}: {body}"))?;
        let wrong: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{method} {path}: {}", wrong.join("; "))) }
    }
}

fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("definitions".to_owned(), document["definitions"].clone());
        fields.insert("$schema".to_owned(), json!("http://json-schema.org/draft-04/schema#"));
    }
    // A reference alone hides what stands beside it in the old drafts.
    if let Some(place) = schema["$ref"].as_str().map(str::to_owned) {
        schema = json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "allOf": [{"$ref": place}],
            "definitions": document["definitions"].clone(),
        });
    }
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("a schema of the OpenAPI document: {error}"))
}
