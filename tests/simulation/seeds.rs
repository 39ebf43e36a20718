//! Many seeds, and those that failed once. `FOGHORN_SEEDS=20000 cargo test --release -p simulation --test seeds` runs
//! that many in a few minutes on two cores, `FOGHORN_FIRST_SEED=n` begins there;
//! `cargo run --release -p simulation -- --show SEED` shows what happens in one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds that found mistakes, with what they found: they always run.
const FOUND: &str = include_str!("seeds.txt");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn remembered() -> impl Iterator<Item = u64> {
    let lines = FOUND.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

#[test]
fn every_seed_tells_all_and_nothing_wrong() {
    let first = number("FOGHORN_FIRST_SEED").unwrap_or(40_000);
    let seeds: Vec<u64> = remembered().chain(first..first + number("FOGHORN_SEEDS").unwrap_or(300)).collect();
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let (messages, crashes, checks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    match std::panic::catch_unwind(|| simulation::run(*seed)) {
                        Ok(Ok(summary)) => {
                            messages.fetch_add(summary.messages, Ordering::Relaxed);
                            crashes.fetch_add(summary.crashes, Ordering::Relaxed);
                            checks.fetch_add(summary.checks, Ordering::Relaxed);
                        }
                        Ok(Err(failure)) => failures.lock().unwrap().push((*seed, failure.problem)),
                        Err(_) => failures.lock().unwrap().push((*seed, "panic".to_owned())),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "add them to seeds.txt when they are fixed: {failures:#?}");
    // A simulation in which nothing happens proves nothing.
    let (messages, crashes, checks) = (messages.into_inner(), crashes.into_inner(), checks.into_inner());
    let enough = seeds.len() as u64;
    assert!(
        messages > 30 * enough && crashes > enough && checks > 20 * enough,
        "{messages} {crashes} {checks}"
    );
}
