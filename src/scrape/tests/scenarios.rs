//! Plays `scenarios/*.scenario`: jobs and targets in virtual time, and what comes to be stored.
//!
//! A scenario is a list of commands; lines that begin with `  | ` are what the command above them gives. Playing a scenario
//! writes it anew and compares. `FOGHORN_UPDATE=1` keeps what was written.
//!
//! ```text
//! job NAME key=value …      (re)defines a job; `apply` makes it count
//! remove NAME               removes a job
//! apply
//! answer ADDRESS TYPE       what a target says from now on: the lines that begin with `  > `
//! answer ADDRESS status N   … or a status, or `hang`, or `refuse`
//! wait N scrapes | SECONDSs and show what was stored meanwhile; `up`, but not the other synthetic series
//! reports                   shows the synthetic series of the last scrape of each target
//! targets                   shows the view of targets
//! metadata                  shows what targets say about their families
//! count METRIC              shows a counter of this room
//! unhinted                  how many samples of known series came without the handle of their series
//! store refuses | works
//! stop
//! ```
//! Times are relative to the first scrape.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use std::fmt::Write as _;
use std::path::Path;

use world::World;

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let played = runtime.block_on(play(&text));
        if played == text {
            continue;
        }
        if std::env::var_os("FOGHORN_UPDATE").is_some() {
            std::fs::write(&file, &played).unwrap();
        }
        let _ = writeln!(wrong, "{}:\n{}", file.display(), difference(&text, &played));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The first lines that differ.
fn difference(wanted: &str, got: &str) -> String {
    let (wanted, got): (Vec<_>, Vec<_>) = (wanted.lines().collect(), got.lines().collect());
    let first = wanted.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let part = |lines: &[&str], sign: &str| -> String {
        lines.iter().skip(first).take(12).map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("from line {}\n{}{}", first + 1, part(&wanted, "-"), part(&got, "+"))
}

async fn play(text: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("  | ")).collect();
    for (number, line) in lines.iter().enumerate() {
        let _ = writeln!(out, "{line}");
        if line.is_empty() || line.starts_with('#') || line.starts_with("  > ") {
            continue;
        }
        let body: Vec<&str> =
            lines[number + 1..].iter().map_while(|line| line.strip_prefix("  > ")).collect();
        for shown in world.command(line, &body).await {
            let _ = writeln!(out, "  | {shown}");
        }
    }
    world.stop().await;
    out
}
