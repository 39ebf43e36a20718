//! Runs test cases that other projects wrote: `cargo test --test conformance -- --nocapture`.
//!
//! The corpus is not part of this repository. It is read from the folder in `FOGHORN_CONFORMANCE`, else from
//! `../shared/conformance` beside the checkout; without either, the suite says so and counts as skipped.
//!
//! `known/AREA.txt` lists cases that are known to fail, one `TABLE ID` a line. A listed case that passes fails the
//! run until it is taken off the list, so the lists only shrink. With `FOGHORN_CONFORMANCE` set the lists do not
//! apply and the counts are plain. `FOGHORN_CONFORMANCE_SHOW=AREA/TABLE` prints why cases of a table fail;
//! `FOGHORN_CONFORMANCE_LIST=1` prints the failing ids in the form of the lists.

#[cfg(feature = "alertmanager")]
mod alertmanager;
#[cfg(feature = "alertmanager-http")]
mod alertmanager_api;
#[cfg(feature = "config")]
mod configuration;
#[cfg(feature = "exposition")]
mod expositions;
#[cfg(feature = "http-api")]
mod http_api;
#[cfg(feature = "node-exporter")]
mod node_exporter;
#[cfg(feature = "promql")]
mod promqls;
#[cfg(feature = "remote-write")]
mod remote_write;
#[cfg(feature = "rules")]
mod rule;
#[cfg(feature = "templates")]
mod templates;
#[cfg(feature = "values")]
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Outcomes by area and table.
#[derive(Default)]
struct Report {
    tables: BTreeMap<(String, String), Vec<(String, Result<(), String>)>>,
}

impl Report {
    /// Notes the outcome of one case. A panic is a failure of that case alone.
    fn case(&mut self, area: &str, table: &str, id: &str, run: impl FnOnce() -> Result<(), String>) {
        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        });
        self.tables.entry((area.to_owned(), table.to_owned())).or_default().push((id.to_owned(), outcome));
    }
}

/// A JSON file of the corpus; `None` if the corpus does not have it.
#[allow(dead_code, reason = "not every area reads JSON")]
fn read_json(path: &Path) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Text that the corpus may write as `{"$bytes_hex": "…"}` when it is not UTF-8.
#[allow(dead_code, reason = "not every area reads bytes")]
fn bytes_of(value: &serde_json::Value) -> Vec<u8> {
    match value.get("$bytes_hex").and_then(|hex| hex.as_str()) {
        Some(hex) => {
            (0..hex.len() / 2).filter_map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()).collect()
        }
        None => value.as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn known_failures(area: &str) -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("known").join(format!("{area}.txt"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(table, id)| (table.to_owned(), id.trim().to_owned()))
        .collect()
}

fn main() -> ExitCode {
    let chosen = std::env::var_os("FOGHORN_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let lists_apply = chosen.is_none();
    let corpus = chosen.unwrap_or(beside);
    if !corpus.is_dir() {
        println!("conformance: no corpus at {}; skipped", corpus.display());
        println!("0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    // Cases that panic are reported as failures; the default hook would print a backtrace for each.
    if std::env::var_os("FOGHORN_CONFORMANCE_SHOW").is_none() {
        std::panic::set_hook(Box::new(|_| ()));
    }
    let mut report = Report::default();
    #[cfg(feature = "values")]
    values::run(&corpus, &mut report);
    #[cfg(feature = "promql")]
    promqls::run(&corpus, &mut report);
    #[cfg(feature = "templates")]
    templates::run(&corpus, &mut report);
    #[cfg(feature = "exposition")]
    expositions::run(&corpus, &mut report);
    #[cfg(feature = "config")]
    configuration::run(&corpus, &mut report);
    #[cfg(feature = "rules")]
    rule::run(&corpus, &mut report);
    #[cfg(feature = "alertmanager")]
    alertmanager::run(&corpus, &mut report);
    #[cfg(feature = "remote-write")]
    remote_write::run(&corpus, &mut report);
    #[cfg(feature = "alertmanager-http")]
    alertmanager_api::run(&corpus, &mut report);
    #[cfg(feature = "node-exporter")]
    node_exporter::run(&corpus, &mut report);
    #[cfg(feature = "http-api")]
    http_api::run(&corpus, &mut report);
    let _ = std::panic::take_hook();
    conclude(&report, lists_apply)
}

fn conclude(report: &Report, lists_apply: bool) -> ExitCode {
    let show = std::env::var("FOGHORN_CONFORMANCE_SHOW").unwrap_or_default();
    let list = std::env::var_os("FOGHORN_CONFORMANCE_LIST").is_some();
    let (mut passed, mut unexpected, mut known_count) = (0, 0, 0);
    let mut ran = BTreeSet::new();
    for ((area, table), cases) in &report.tables {
        let known = if lists_apply { known_failures(area) } else { BTreeSet::new() };
        let ok = cases.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        println!("conformance {area}/{table}: {ok} of {}", cases.len());
        passed += ok;
        for (id, outcome) in cases {
            ran.insert((area.clone(), table.clone(), id.clone()));
            let listed = known.contains(&(table.clone(), id.clone()));
            match outcome {
                Ok(()) if listed => {
                    println!("  {table} {id} passes now: take it off tests/conformance/known/{area}.txt");
                    unexpected += 1;
                }
                Ok(()) => {}
                Err(why) => {
                    if list {
                        println!("{table} {id}");
                    }
                    if show == format!("{area}/{table}") || (lists_apply && !listed && !list) {
                        println!("  {id}: {why}");
                    }
                    if listed { known_count += 1 } else { unexpected += 1 }
                }
            }
        }
    }
    for area in report.tables.keys().map(|(area, _)| area).collect::<BTreeSet<_>>() {
        for (table, id) in if lists_apply { known_failures(area) } else { BTreeSet::new() } {
            if !ran.contains(&(area.clone(), table.clone(), id.clone())) {
                println!("  {table} {id} is listed in tests/conformance/known/{area}.txt and does not exist");
                unexpected += 1;
            }
        }
    }
    println!("conformance: {known_count} known to fail");
    println!("{passed} passed, {unexpected} failed, {known_count} skipped");
    if unexpected == 0 || !lists_apply { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
