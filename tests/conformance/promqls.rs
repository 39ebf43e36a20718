//! The expression language: parser tables, the scripts with their evaluations, and the tests of the script runner.

#[path = "promqls/notation.rs"]
mod notation;
#[path = "promqls/tree.rs"]
mod tree;

use std::panic::catch_unwind;
use std::path::Path;

use model::Timestamp;
use promql::testing::{Memory, Texts, run as run_script};
use promql::{EvalOptions, ParseOptions, Range, parse};
use serde_json::Value;

use crate::{Report, read_json};

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("promql");
    let cases = |name: &str| -> Vec<Value> {
        let file = read_json(&folder.join(format!("{name}.json")));
        file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default()
    };
    let tables: [(&str, fn(&Value) -> Result<(), String>); 6] = [
        ("parse_expressions", tree::parse_case),
        ("canonical_strings", canonical),
        ("pretty_format", pretty),
        ("series_descriptions", notation::series),
        ("histogram_series", notation::histograms),
        ("histogram_canonical_text", notation::histogram_text),
    ];
    for (table, check) in tables {
        for case in cases(&format!("parser/{table}")) {
            report.case("promql", table, text(&case, "id"), || check(&case));
        }
    }
    for (table, scripts) in [("promqltest", "promqltest"), ("reference-values", "reference-values")] {
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join(scripts)).into_iter().flatten().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in files {
            let Ok(script) = std::fs::read_to_string(file.path()) else { continue };
            let name = file.file_name().to_string_lossy().trim_end_matches(".test").to_owned();
            let outcomes = catch_unwind(|| run_script(&script, Texts::Ignored));
            for outcome in outcomes.unwrap_or_default() {
                let id = format!("{name}:{}", outcome.line);
                let result = outcome.result.map_err(|why| format!("{}: {why}", outcome.text));
                report.case("promql", table, &id, || result);
            }
        }
    }
    dashboards(corpus, report);
    for case in cases("runner_selftests") {
        report.case("promql", "runner_selftests", text(&case, "id"), || {
            let outcomes = run_script(text(&case, "script"), Texts::Compared);
            let failure = outcomes.iter().find_map(|o| o.result.as_ref().err());
            match (failure, case["passes"].as_bool()) {
                (None, Some(true)) | (Some(_), Some(false)) => Ok(()),
                (Some(why), _) => Err(why.clone()),
                (None, _) => Err("passes, and should not".to_owned()),
            }
        });
    }
}

/// The queries of dashboards: all of them parse, and none fails on an empty storage.
fn dashboards(corpus: &Path, report: &mut Report) {
    let file = read_json(&corpus.join("dashboards").join("expressions.json"));
    for case in file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default() {
        let Some(query) = case["resolved"].as_str() else { continue };
        report.case("promql", "dashboards", text(&case, "id"), || {
            let expr = parse(query, &ParseOptions::default()).map_err(|e| format!("{query}: {e}"))?;
            let again =
                parse(&expr.to_string(), &ParseOptions::default()).map_err(|e| format!("{expr}: {e}"))?;
            expect(&again.to_string(), &expr.to_string())?;
            let range = Range::instant(Timestamp::from_secs(1_700_000_000));
            let answer =
                Memory::default().query(&expr, range, &EvalOptions::default()).map_err(|e| e.to_string())?;
            match answer.value {
                promql::Value::Vector(vector) if !vector.is_empty() && !query.contains("vector(") => {
                    Err(format!("{query}: {vector:?}"))
                }
                _ => Ok(()),
            }
        });
    }
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_default()
}

fn expect(got: &str, wanted: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("got\n{got}\nwanted\n{wanted}")) }
}

fn canonical(case: &Value) -> Result<(), String> {
    let print = |text: &str| -> Result<String, String> {
        Ok(parse(text, &ParseOptions::all()).map_err(|e| format!("{text}: {e}"))?.to_string())
    };
    let out = text(case, "out");
    expect(&print(text(case, "in"))?, out)?;
    expect(&print(out)?, out)
}

fn pretty(case: &Value) -> Result<(), String> {
    let expr = parse(text(case, "in"), &ParseOptions::all()).map_err(|e| e.to_string())?;
    expect(&expr.pretty_within(10), text(case, "out"))
}
