//! The simulation finds every mistake that is planted: how we know that it looks.
//!
//! `cargo test -p simulation --features planted-bugs --test planted -- --nocapture` prints which seed finds what.

use model::PlantedBug;
use simulation::Failure;

/// Seeds that are tried for each.
const SEEDS: u64 = 2000;

fn find(bug: PlantedBug) -> Option<(u64, Failure)> {
    PlantedBug::plant(Some(bug));
    let found = (0..SEEDS).find_map(|seed| Some((seed, simulation::run(seed).err()?)));
    PlantedBug::plant(None);
    found
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    println!("{:<32} {:>5}  invariant", "bug", "seed");
    for bug in PlantedBug::ALL {
        match find(bug) {
            Some((seed, failure)) => {
                let line = failure.problem.lines().next().unwrap_or_default();
                println!("{:<32} {seed:>5}  {line}", format!("{bug:?}"));
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found with {SEEDS} seeds: {missed:?}");
}
