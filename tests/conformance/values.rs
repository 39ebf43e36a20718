//! Durations, fingerprints, names.

use std::path::Path;

use model::{
    EscapingScheme, Labels, escape_name, format_duration, format_signed_duration, is_legacy_label_name,
    is_legacy_metric_name, is_name, parse_duration, parse_signed_duration, unescape_name,
};
use serde_json::Value;

use crate::{Report, bytes_of, read_json};

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let cases = |name: &str| -> Vec<Value> {
        let file = read_json(&corpus.join("values").join(format!("{name}.json")));
        file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default()
    };
    for case in cases("durations") {
        report.case("values", "durations", case["id"].as_str().unwrap_or_default(), || duration(&case));
    }
    for case in cases("names") {
        report.case("values", "names", case["id"].as_str().unwrap_or_default(), || name(&case));
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
    let parsed = if case["negative_allowed"] == true {
        parse_signed_duration(text).map(|ms| (ms.to_string(), format_signed_duration(ms)))
    } else {
        parse_duration(text).map(|d| (d.as_millis().to_string(), format_duration(d)))
    };
    match (parsed, case["valid"].as_bool()) {
        (Ok((millis, printed)), Some(true)) => {
            expect(&millis, &case["ms"].to_string())?;
            expect(&printed, case["printed"].as_str().unwrap_or_default())
        }
        (Err(_), Some(false)) => Ok(()),
        (parsed, _) => Err(format!("{text:?}: {parsed:?}")),
    }
}

fn name(case: &Value) -> Result<(), String> {
    let bytes = bytes_of(&case["input"]);
    let text = String::from_utf8_lossy(&bytes);
    let wanted = |field: &str| case[field].as_str().unwrap_or_default();
    match wanted("kind") {
        "escaping" => {
            for (field, scheme) in [
                ("underscores", EscapingScheme::Underscores),
                ("dots", EscapingScheme::Dots),
                ("values", EscapingScheme::Values),
            ] {
                let escaped = escape_name(&text, scheme);
                expect(&escaped, wanted(field))?;
                match scheme {
                    EscapingScheme::Dots => {
                        expect(&unescape_name(&escaped, scheme), wanted("dots_unescaped"))?
                    }
                    EscapingScheme::Values => expect(&unescape_name(&escaped, scheme), &text)?,
                    _ => {}
                }
            }
            Ok(())
        }
        "metric name validity" | "label name validity" => {
            let legacy = std::str::from_utf8(&bytes).is_ok_and(|name| {
                if wanted("kind").starts_with("metric") {
                    is_legacy_metric_name(name)
                } else {
                    is_legacy_label_name(name)
                }
            });
            expect(&legacy.to_string(), &case["legacy"].to_string())?;
            expect(&is_name(&bytes).to_string(), &case["utf8"].to_string())
        }
        _ => expect(&unescape_name(&text, EscapingScheme::Values), wanted("output")),
    }
}
