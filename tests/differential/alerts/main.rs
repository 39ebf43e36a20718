//! The same routing trees in Foghorn and in a real Alertmanager, the same alerts and silences at the same times to both,
//! the same webhooks at the same times from both, and the same alerts, groups and silences in their APIs at the end.
//!
//! `cargo test --test differential_alerts` needs an Alertmanager from 0.33 on (`tests/get-peers` brings one); without it
//! the suite says so and counts as skipped. It runs in real time, so it is as much a test of the machine: a tree that
//! differs is played again, alone with the others that differ, and only what differs each time counts, unless the machine
//! stalled the last time too. Everything comes from a seed:
//!
//! ```text
//! FOGHORN_DIFFERENTIAL_SEED=7      another one
//! FOGHORN_DIFFERENTIAL_TREE=123    one tree alone, with its configuration, its timeline and all messages
//! FOGHORN_DIFFERENTIAL_TREES=N     another number of trees
//! ```
//!
//! What may differ is a table with reasons: [`exceptions`].

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compare;
mod exceptions;
#[allow(dead_code, reason = "shared with the queries")]
#[path = "../rng.rs"]
mod rng;
mod sides;
mod sink;
mod timeline;
mod tree;
#[allow(dead_code, reason = "shared with the other suite of the real binary")]
#[path = "../../it/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use compare::Difference;
use sides::{Play, Run};
use sink::Message;

/// Trees of a run.
const TREES: u64 = 200;
const SEED: u64 = 20_240_101;
/// Milliseconds between the beginnings of two trees.
const PACE: u64 = 220;
/// An event that comes later than this says that the machine stalled: what differs in such a round proves nothing.
const STALL: Duration = Duration::from_millis(tree::STEP / 4);
/// Characters of a difference that are shown before the tree is played again.
const WHAT_MAX: usize = 100;
/// How often a tree that differs is played again.
const REPEATS: u32 = 2;

fn main() -> ExitCode {
    let Some((alertmanager, version)) = find_alertmanager() else {
        println!("differential alerts: no Alertmanager from 0.33 on; tests/get-peers brings one; skipped");
        println!("0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    };
    let seed = number("FOGHORN_DIFFERENTIAL_SEED").unwrap_or(SEED);
    let only = number("FOGHORN_DIFFERENTIAL_TREE");
    let count = number("FOGHORN_DIFFERENTIAL_TREES").unwrap_or(TREES);
    println!("differential alerts: {version}, seed {seed}");
    let started = Instant::now();
    let mut numbers: Vec<u64> = only.map_or_else(|| (0..count).collect(), |number| vec![number]);
    let mut tally = Tally::default();
    for _ in 0..=REPEATS {
        let plays = plays(seed, &numbers);
        let runs = sides::run(&alertmanager, &plays);
        let verdicts: Vec<Verdict> =
            plays.into_iter().zip(runs).map(|(play, run)| judge(play, run)).collect();
        if only.is_some() {
            verdicts.iter().for_each(show_in_full);
        }
        numbers = tally.count(verdicts);
        if numbers.is_empty() {
            break;
        }
    }
    let code = tally.conclude(seed);
    println!("differential alerts: {} trees in {:.0} s", tally.trees, started.elapsed().as_secs_f64());
    code
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn find_alertmanager() -> Option<(PathBuf, String)> {
    let peers = std::env::var_os("FOGHORN_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"), PathBuf::from);
    let program = peers.join("testing/alertmanager");
    let output = Command::new(&program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let version = text.split_once("version ")?.1.split([' ', '+']).next()?.to_owned();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let new_enough = (parts.next()?, parts.next()?) >= (0, 33);
    new_enough.then(|| (program, format!("Alertmanager {version}")))
}

fn plays(seed: u64, numbers: &[u64]) -> Vec<Play> {
    let play = |(at, number): (usize, &u64)| {
        let tree = tree::tree(seed, *number);
        let timeline = timeline::timeline(seed, &tree);
        // Trees begin at different places in the rhythm, so that not all are told at once.
        Play { tree, timeline, offset: at as u64 * PACE + at as u64 % 7 * 13 }
    };
    numbers.iter().enumerate().map(play).collect()
}

/// What came of one tree.
struct Verdict {
    play: Play,
    run: Run,
    /// With the reason why it may be, if there is one.
    differences: Vec<(Difference, Option<&'static str>)>,
}

impl Verdict {
    fn is_right(&self) -> bool {
        self.differences.iter().all(|(_, reason)| reason.is_some())
    }
}

fn judge(play: Play, run: Run) -> Verdict {
    let until = run.began + Duration::from_millis(play.timeline.until);
    let assumes = play.timeline.assumes;
    let differences = compare::differences(&run.ours, &run.theirs, assumes, until)
        .into_iter()
        .chain(compare::end_differences(&run.our_end, &run.their_end, assumes))
        .map(|difference| {
            let reason = exceptions::reason(&play, &run, &difference);
            (difference, reason)
        })
        .collect();
    Verdict { play, run, differences }
}

/// What came of all trees, until now.
#[derive(Default)]
struct Tally {
    trees: usize,
    rounds: u32,
    same: usize,
    messages: usize,
    groups: usize,
    /// Trees that were right only when they were played again.
    later: usize,
    excepted: BTreeMap<&'static str, usize>,
    excepted_trees: usize,
    wrong: Vec<Verdict>,
    /// Whether the machine stalled in the last round.
    stalled: bool,
}

impl Tally {
    /// Counts what is right; returns the numbers of trees that are not.
    fn count(&mut self, verdicts: Vec<Verdict>) -> Vec<u64> {
        if self.rounds == 0 {
            self.trees = verdicts.len();
        }
        let late = verdicts.iter().map(|verdict| verdict.run.late).max().unwrap_or_default();
        let (right, wrong): (Vec<_>, Vec<_>) = verdicts.into_iter().partition(Verdict::is_right);
        for verdict in &right {
            self.messages += verdict.run.theirs.len();
            self.groups += compare::lines(&verdict.run.theirs).len();
            self.later += usize::from(self.rounds > 0);
            match verdict.differences.is_empty() {
                true => self.same += 1,
                false => self.excepted_trees += 1,
            }
            for reason in verdict.differences.iter().filter_map(|(_, reason)| *reason) {
                *self.excepted.entry(reason).or_default() += 1;
            }
        }
        if !wrong.is_empty() {
            println!(
                "differential alerts: {} trees differ; the latest event came {} ms late",
                wrong.len(),
                late.as_millis()
            );
        }
        for verdict in &wrong {
            let unexplained = verdict.differences.iter().filter(|(_, reason)| reason.is_none());
            for (Difference { line: (path, group), what, .. }, _) in unexplained {
                println!("  {path} {group}: {}", what.chars().take(WHAT_MAX).collect::<String>());
            }
        }
        self.rounds += 1;
        self.stalled = late > STALL;
        let numbers = wrong.iter().map(|verdict| verdict.play.tree.number).collect();
        self.wrong = wrong;
        numbers
    }

    fn conclude(&self, seed: u64) -> ExitCode {
        for verdict in &self.wrong {
            for (difference, _) in verdict.differences.iter().filter(|(_, reason)| reason.is_none()) {
                show(verdict, difference);
            }
            println!(
                "  again: FOGHORN_DIFFERENTIAL_SEED={seed} FOGHORN_DIFFERENTIAL_TREE={} cargo test --test differential_alerts",
                verdict.play.tree.number
            );
        }
        println!(
            "differential alerts: {} trees the same; {} messages of {} groups at integrations; {} trees were the same when they were played again",
            self.same, self.messages, self.groups, self.later
        );
        for (reason, count) in &self.excepted {
            println!("differential alerts: {count} groups differ as they may: {reason}");
        }
        let (mut failed, mut skipped) = (self.wrong.len(), self.excepted_trees);
        if failed > 0 && self.stalled {
            println!("differential alerts: {failed} trees are not judged: the machine stalled each time");
            (failed, skipped) = (0, skipped + failed);
        }
        println!("{} passed, {failed} failed, {skipped} skipped", self.same);
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn show(verdict: &Verdict, difference: &Difference) {
    let (path, group) = &difference.line;
    println!(
        "\ntree {}: {path} {group}\n  message {}: {}",
        verdict.play.tree.number, difference.at, difference.what
    );
    println!("  here:");
    difference.ours.iter().for_each(|message| println!("    {}", line(verdict, message)));
    println!("  there:");
    difference.theirs.iter().for_each(|message| println!("    {}", line(verdict, message)));
}

/// A message on one line: when, why, which alerts.
fn line(verdict: &Verdict, message: &Message) -> String {
    let at = message.at.saturating_duration_since(verdict.run.began).as_millis();
    let body = &message.body;
    let alerts = body["alerts"].as_array().into_iter().flatten().map(|alert| {
        let print = alert["fingerprint"].as_str().unwrap_or_default();
        format!("{} {}", alert["status"].as_str().unwrap_or_default(), print.get(..6).unwrap_or(print))
    });
    let alerts: Vec<String> = alerts.collect();
    let reason = body["notification_reason"].as_str().unwrap_or_default();
    let refused = if message.taken { "" } else { ", refused" };
    format!("{at:>5} ms {reason}: {}{refused}", alerts.join(", "))
}

fn show_in_full(verdict: &Verdict) {
    let Play { tree, timeline, .. } = &verdict.play;
    println!("eager: {}\n{:#}\ninhibit: {:#?}", tree.eager, tree.route, tree.inhibit);
    for (receiver, integrations) in &tree.receivers {
        println!("{receiver}: {integrations:?}");
    }
    for event in &timeline.events {
        println!("{:>5} ms {:?}", event.at, event.action);
    }
    for (side, messages) in [("here", &verdict.run.ours), ("there", &verdict.run.theirs)] {
        println!("{side}:");
        for message in messages {
            println!("{} {} {}", line(verdict, message), message.path, message.body);
        }
    }
    println!("here at the end: {:#}", verdict.run.our_end);
    println!("there at the end: {:#}", verdict.run.their_end);
    for (difference, reason) in &verdict.differences {
        show(verdict, difference);
        println!("  {}", reason.unwrap_or("not as it may"));
    }
}
