//! The same samples in Foghorn and in a real Prometheus, the same generated queries to both, the same answers.
//!
//! `cargo test --test differential` needs a Prometheus from 3.5 on (`tests/get-peers` brings one); without it the suite
//! says so and counts as skipped. Samples go into both by remote write. Everything comes from a seed:
//!
//! ```text
//! FOGHORN_DIFFERENTIAL_SEED=7      another one
//! FOGHORN_DIFFERENTIAL_ONLY=123    one query alone, with both answers in full
//! FOGHORN_DIFFERENTIAL_QUERIES=N   another number of queries
//! ```
//!
//! What may differ is a table with reasons: [`exceptions`].

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answer;
mod calls;
mod data;
mod exceptions;
mod grammar;
mod notes;
mod rng;
#[allow(dead_code, reason = "shared with the other suite of the real binary")]
#[path = "../it/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use remote::Protocol;
use remote::testing::{Sent, body};
use tempfile::TempDir;

use answer::{Answer, Tolerance};
use exceptions::Case;
use grammar::{Query, When};
use notes::Verdict;
use promql::ParseOptions;
use world::{Foghorn, Process, escape, eventually, http};

/// Queries of a run.
const QUERIES: u64 = 3000;
const SEED: u64 = 20_240_101;
/// Other calls of a run.
const CALLS: u64 = 400;
/// Queries under way at a time.
const WORKERS: usize = 2;
/// Features that both sides have behind a flag.
const FEATURES: &str = "promql-experimental-functions,promql-duration-expr";

fn main() -> ExitCode {
    let Some((prometheus, version)) = find_prometheus() else {
        println!("differential: no Prometheus from 3.5 on; tests/get-peers brings one; skipped");
        println!("0 passed, 0 failed, 1 skipped");
        // Where all tests have to run, one that cannot is a failure.
        let required = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    };
    let seed = number("FOGHORN_DIFFERENTIAL_SEED").unwrap_or(SEED);
    let only = number("FOGHORN_DIFFERENTIAL_ONLY");
    let count = number("FOGHORN_DIFFERENTIAL_QUERIES").unwrap_or(QUERIES);
    let series = data::generate(seed);
    println!(
        "differential: {version}, seed {seed}, {} series, {} samples",
        series.len(),
        data::count(&series)
    );
    let sides = Sides::start(&prometheus);
    sides.fill(&data::requests(&series));
    let unknown = sides.unknown_functions();
    println!("differential: not in this Prometheus: {}", unknown.join(" "));
    let numbers: Vec<u64> = only.map_or_else(|| (0..count).collect(), |number| vec![number]);
    let started = Instant::now();
    let findings = ask_all(&sides, seed, &numbers, &unknown);
    let differing = if only.is_none() { sides.compare_calls(seed, &unknown) } else { 0 };
    let code = conclude(&findings, seed, only.is_some(), differing);
    println!("differential: {} queries in {:.0} s", numbers.len(), started.elapsed().as_secs_f64());
    code
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The newest one that is here, if it is new enough: from 3.0 on ranges are open to the left.
fn find_prometheus() -> Option<(PathBuf, String)> {
    let peers = std::env::var_os("FOGHORN_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"), PathBuf::from);
    let places = [peers.join("testing/usr/bin"), peers.join("usr/bin"), PathBuf::from("/usr/bin")];
    places.into_iter().map(|place| place.join("prometheus")).find_map(|program| {
        let output = Command::new(&program).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let version = text.split_once("version ")?.1.split([' ', '+']).next()?.to_owned();
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let new_enough = (parts.next()?, parts.next()?) >= (3, 5);
        new_enough.then(|| (program, format!("Prometheus {version}")))
    })
}

/// Both servers.
struct Sides {
    foghorn: Foghorn,
    prometheus: u16,
    _prometheus: (Process, TempDir),
}

impl Sides {
    fn start(prometheus: &Path) -> Self {
        let directory = Arc::new(TempDir::new().unwrap());
        world::write(directory.path(), "foghorn.yml", "scrape_configs: []\n");
        let args = [
            "--config.file=foghorn.yml",
            "--web.enable-remote-write-receiver",
            "--storage.tsdb.retention.time=100y",
            &format!("--enable-feature={FEATURES}"),
        ];
        let foghorn = Foghorn::start_in(directory, args.map(str::to_owned).into());
        let directory = TempDir::new().unwrap();
        world::write(directory.path(), "prometheus.yml", "scrape_configs: []\n");
        let mut process = Process::start(
            Command::new(prometheus)
                .current_dir(directory.path())
                .args(["--config.file=prometheus.yml", "--web.listen-address=127.0.0.1:0"])
                .args([
                    "--web.enable-remote-write-receiver",
                    "--storage.tsdb.retention.time=100y",
                    "--storage.tsdb.path=data",
                ])
                .args([&format!("--enable-feature={FEATURES},native-histograms")]),
        );
        let listens = process.after("Listening on\" component=web address=");
        let port = listens.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
        eventually("a Prometheus that is ready", || {
            http(port, "GET", "/-/ready", &[], "").filter(|answer| answer.status == 200)
        });
        Sides { foghorn, prometheus: port, _prometheus: (process, directory) }
    }

    fn fill(&self, requests: &[Vec<Sent>]) {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
        for request in requests {
            let body = body(Protocol::V1, request);
            for port in [self.foghorn.port, self.prometheus] {
                let answer = http(port, "POST", "/api/v1/write", &headers, &body).unwrap();
                assert_eq!(answer.status, 204, "{answer:?}");
            }
        }
    }

    /// Functions that this Prometheus does not have.
    fn unknown_functions(&self) -> Vec<String> {
        let unknown = |name: &&str| {
            let path = format!("/api/v1/query?query={}", escape(&format!("{name}()")));
            let answer = http(self.prometheus, "GET", &path, &[], "").unwrap();
            // Some names of newer versions are words of the language in older ones.
            answer.body.contains("unknown function") || answer.body.contains("unexpected")
        };
        promql::functions().iter().map(|f| f.name).filter(unknown).map(str::to_owned).collect()
    }

    fn ask(&self, query: &Query) -> (Answer, Answer) {
        let (path, parameters) = request(query);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let ask = |port| {
            let answer = http(port, "POST", path, &headers, &parameters)
                .unwrap_or_else(|| panic!("no answer to query {}: {}", query.number, query.expr));
            Answer::read(&answer.json())
        };
        (ask(self.foghorn.port), ask(self.prometheus))
    }
}

impl Sides {
    /// Makes the other calls; how many are answered differently.
    fn compare_calls(&self, seed: u64, unknown: &[String]) -> usize {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let mut differing = 0;
        for number in 0..CALLS {
            let call = calls::call(seed, number, unknown);
            let ask = |port| {
                let values = call.path.ends_with("/values");
                let answer = if values {
                    http(port, "GET", &format!("{}?{}", call.path, call.parameters), &[], "")
                } else {
                    http(port, "POST", &call.path, &headers, &call.parameters)
                };
                answer.unwrap_or_else(|| panic!("no answer to {call:?}")).json()
            };
            let (ours, theirs) = (ask(self.foghorn.port), ask(self.prometheus));
            if let Some(difference) = calls::difference(&call, &ours, &theirs) {
                differing += 1;
                println!("\ncall {number}: {} {}\n  {difference}", call.path, call.parameters);
            }
        }
        println!("differential: {} of {CALLS} other calls the same", CALLS as usize - differing);
        differing
    }

    /// What Prometheus answers to a range query, made of instant queries: its `info` of 3.5 takes labels from wrong series
    /// where one is missing at a step of a range (issue 17134, PRs 17135 and 17199).
    fn step_by_step(&self, query: &Query, answer: Answer) -> Answer {
        let When::Range { start, end, step } = query.when else { return answer };
        let mut whole = Answer { series: BTreeMap::new(), order: Vec::new(), error: None, ..answer };
        whole.kind = "matrix".to_owned();
        let [start, end, step] = [start, end, step].map(|seconds| (seconds * 1000.0).round() as i64);
        for at in (start..=end).step_by(step as usize) {
            let when = When::Instant(at as f64 / 1000.0);
            let (_, one) = self.ask(&Query { when, ..query.clone() });
            if one.error.is_some() {
                return one;
            }
            for (labels, points) in one.series {
                whole.series.entry(labels).or_default().extend(points);
            }
        }
        whole
    }
}

fn request(query: &Query) -> (&'static str, String) {
    let expr = escape(&query.expr);
    match query.when {
        When::Instant(time) => ("/api/v1/query", format!("query={expr}&time={time}")),
        When::Range { start, end, step } => {
            ("/api/v1/query_range", format!("query={expr}&start={start}&end={end}&step={step}"))
        }
    }
}

/// What came of one query.
struct Finding {
    query: Query,
    ours: Answer,
    theirs: Answer,
    difference: Option<String>,
    excepted: Option<&'static str>,
    notes: Verdict,
}

fn ask_all(sides: &Sides, seed: u64, numbers: &[u64], unknown: &[String]) -> Vec<Finding> {
    let next = AtomicU64::new(0);
    let mut findings: Vec<Finding> = std::thread::scope(|scope| {
        let worker = || {
            let mut found = Vec::new();
            while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                found.push(examine(sides, grammar::query(seed, *number, unknown)));
            }
            found
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    findings.sort_by_key(|finding| finding.query.number);
    findings
}

fn examine(sides: &Sides, query: Query) -> Finding {
    let (ours, theirs) = sides.ask(&query);
    // What cannot be read here has no answer to compare; what the errors say is compared below.
    let tree = promql::parse(&query.expr, &ParseOptions::all()).ok();
    let theirs = if tree.as_ref().is_some_and(|tree| exceptions::calls(tree, &["info"])) {
        sides.step_by_step(&query, theirs)
    } else {
        theirs
    };
    let tolerance = Tolerance {
        inexact: tree.as_ref().is_some_and(exceptions::is_inexact),
        ordered: exceptions::is_ordered(&query),
    };
    let difference = answer::difference(&ours, &theirs, tolerance);
    let ask = |expr: &str| sides.ask(&Query { expr: expr.to_owned(), ..query.clone() });
    let excepted = tree.as_ref().filter(|_| difference.is_some()).and_then(|tree| {
        let case = Case { query: &query, tree, ours: &ours, theirs: &theirs, tolerance, ask: &ask };
        exceptions::reason(&case)
    });
    let notes =
        if difference.is_some() { Verdict::Same } else { notes::compare(&query.expr, &ours, &theirs) };
    Finding { query, ours, theirs, difference, excepted, notes }
}

fn conclude(findings: &[Finding], seed: u64, in_full: bool, differing: usize) -> ExitCode {
    let (mut same, mut failed, mut both_fail, mut empty) = (0, 0, 0, 0);
    let mut excepted: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        let Finding { query, ours, theirs, difference, .. } = finding;
        if in_full {
            println!("{} {:?}\n  here:  {ours:?}\n  there: {theirs:?}", query.expr, query.when);
        }
        match (difference, finding.excepted, &finding.notes) {
            (None, _, Verdict::Same) => same += 1,
            (Some(_), Some(reason), _) => *excepted.entry(reason).or_default() += 1,
            (None, _, Verdict::MayDiffer(reason)) => *excepted.entry(reason).or_default() += 1,
            (Some(difference), None, _) | (None, _, Verdict::Differs(difference)) => {
                failed += 1;
                println!("\nquery {}: {}\n  {:?}\n  {difference}", query.number, query.expr, query.when);
                println!(
                    "  again: FOGHORN_DIFFERENTIAL_SEED={seed} FOGHORN_DIFFERENTIAL_ONLY={} cargo test --test differential",
                    query.number
                );
            }
        }
        both_fail += usize::from(ours.error.is_some() && theirs.error.is_some());
        empty += usize::from(theirs.error.is_none() && theirs.series.is_empty());
    }
    println!("differential: {same} the same, of these {both_fail} fail on both sides and {empty} are empty");
    for (reason, count) in &excepted {
        println!("differential: {count} differ as they may: {reason}");
    }
    let excepted: usize = excepted.values().sum();
    failed += differing;
    println!("{same} passed, {failed} failed, {excepted} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
