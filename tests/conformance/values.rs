//! Durations, fingerprints, names.

use std::path::Path;

use model::{Labels, format_duration, parse_duration};
use serde_json::Value;

use crate::{Report, read_json};

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let cases = |name: &str| -> Vec<Value> {
        let file = read_json(&corpus.join("values").join(format!("{name}.json")));
        file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default()
    };
    for case in cases("durations") {
        report.case("values", "durations", case["id"].as_str().unwrap_or_default(), || duration(&case));
    }
    for case in cases("fingerprints") {
        report.case("values", "fingerprints", case["id"].as_str().unwrap_or_default(), || {
            let labels: Labels = case["labels"]
                .as_object()
                .ok_or("no labels")?
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            expect(&labels.fingerprint().to_string(), case["fingerprint_hex"].as_str().unwrap_or_default())
        });
    }
}

fn expect(got: &str, wanted: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("got {got}, wanted {wanted}")) }
}

fn duration(case: &Value) -> Result<(), String> {
    let text = case["text"].as_str().unwrap_or_default();
    let parsed = parse_duration(text);
    match (parsed, case["valid"].as_bool()) {
        (Ok(duration), Some(true)) => {
            expect(&duration.as_millis().to_string(), &case["ms"].to_string())?;
            expect(&format_duration(duration), case["printed"].as_str().unwrap_or_default())
        }
        (Err(_), Some(false)) => Ok(()),
        (parsed, _) => Err(format!("{text:?}: {parsed:?}")),
    }
}
