//! Unit tests of rules, and rule files as the command line checks them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Files, LoadOptions, MemoryFiles, RuleAction};
use promql::ParseOptions;
use rules::{Place, Rule, RuleGroup};
use serde_json::Value;

use super::{block_on, text};
use crate::{Report, read_json};

/// The folder of the corpus.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let mut there = MemoryFiles::default();
        for entry in std::fs::read_dir(pattern.parent().unwrap_or(Path::new("."))).into_iter().flatten() {
            there.files.insert(entry?.path(), Vec::new());
        }
        there.glob(pattern)
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }
}

pub(super) fn run(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("rules").join("command-line");
    let table = "command-line/expectations";
    let file = read_json(&folder.join("expectations.json")).unwrap_or_default();
    for case in file["cases"].as_array().into_iter().flatten() {
        let path = folder.join("testdata").join(text(case, "file"));
        let check = match text(case, "kind") {
            "rule unit test" => unit_test_case,
            "check rules" => rules_case,
            _ => continue,
        };
        report.case("rules", table, text(case, "id"), || check(&path, case));
    }
    let folder = corpus.join("alert-generator");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.to_string_lossy().ends_with(".unittest.yaml")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        report.case("alert-generator", "unit_tests", &name, || run_file(path, &[], &LoadOptions::default()));
    }
}

/// The groups of a rule file.
pub(super) fn rule_groups(path: &Path) -> Result<Vec<RuleGroup>, String> {
    load(path, &LoadOptions::default(), Duration::from_secs(60))
}

fn load(path: &Path, options: &LoadOptions, interval: Duration) -> Result<Vec<RuleGroup>, String> {
    let loaded = config::check_rules(&Disk, &[path.to_owned()], options).map_err(|p| p.to_string())?;
    let group = |group: config::RuleGroupConfig| -> Result<RuleGroup, String> {
        let rule = |rule: config::RuleConfig| -> Result<Rule, String> {
            let place = Place { file: group.file.display().to_string(), line: rule.place.line as usize };
            match rule.action {
                RuleAction::Record { name } => Ok(Rule::record(&name, &rule.expr, rule.labels, place)),
                RuleAction::Alert { name, hold, keep_firing } => {
                    let annotations = rule.annotations.into_iter().collect();
                    Rule::alert(&name, &rule.expr, (hold, keep_firing), rule.labels, annotations, place)
                        .map_err(|error| error.to_string())
                }
            }
        };
        Ok(RuleGroup {
            name: group.name.clone(),
            file: group.file.display().to_string(),
            interval: group.interval.unwrap_or(interval),
            query_offset: group.query_offset.unwrap_or_default(),
            limit: usize::try_from(group.limit).unwrap_or(usize::MAX),
            labels: group.labels.clone(),
            rules: group.rules.into_iter().map(rule).collect::<Result<_, _>>()?,
        })
    };
    loaded.groups.into_iter().map(group).collect()
}

/// What a case allows: parts of the language, keys that nobody knows.
fn options_of(case: &Value) -> LoadOptions {
    let on = |name: &str| case["features"].as_array().into_iter().flatten().any(|feature| feature == name);
    let promql = ParseOptions {
        experimental_functions: on("promql-experimental-functions"),
        extended_selectors: on("promql-extended-range-selectors"),
        fill_modifiers: on("promql-binop-fill-modifiers"),
        ..ParseOptions::default()
    };
    LoadOptions { promql, ignore_unknown_keys: on("ignore unknown fields"), ..LoadOptions::default() }
}

fn exit_as_expected(case: &Value, outcome: Result<(), String>) -> Result<(), String> {
    match (outcome, case["expect_exit"].as_i64()) {
        (Ok(()), Some(0)) | (Err(_), Some(1)) => Ok(()),
        (Ok(()), _) => Err("passes, and should not".to_owned()),
        (Err(error), _) => Err(error),
    }
}

fn rules_case(path: &Path, case: &Value) -> Result<(), String> {
    let outcome = load(path, &options_of(case), Duration::from_secs(60));
    exit_as_expected(case, outcome.map(|_| ()))
}

fn unit_test_case(path: &Path, case: &Value) -> Result<(), String> {
    let only: Vec<String> = case["only_tests_matching"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    exit_as_expected(case, run_file(path, &only, &options_of(case)))
}

/// Runs a file of unit tests; only tests whose name matches one of `only`, unless that is empty.
fn run_file(path: &Path, only: &[String], options: &LoadOptions) -> Result<(), String> {
    let chosen = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
    let outcomes = block_on(server::test_rules(path, options, &chosen))?;
    let failures: Vec<String> = outcomes
        .into_iter()
        .filter(|test| !test.failures.is_empty())
        .map(|test| format!("{}: {}", test.name, test.failures.join("\n")))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}
