//! The expression language: parser tables, the scripts with their evaluations, and the tests of the script runner.

#[path = "promqls/tree.rs"]
mod tree;

use std::path::Path;

use promql::{ParseOptions, parse};
use serde_json::Value;

use crate::{Report, read_json};

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("promql");
    let cases = |name: &str| -> Vec<Value> {
        let file = read_json(&folder.join(format!("{name}.json")));
        file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default()
    };
    let tables: [(&str, fn(&Value) -> Result<(), String>); 3] = [
        ("parse_expressions", tree::parse_case),
        ("canonical_strings", canonical),
        ("pretty_format", pretty),
    ];
    for (table, check) in tables {
        for case in cases(&format!("parser/{table}")) {
            report.case("promql", table, text(&case, "id"), || check(&case));
        }
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
