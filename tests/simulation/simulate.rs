//! Runs many seeds, or shows one.
//!
//! `simulate [--from N] [--seeds N] [--threads N]`, `simulate --show SEED`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn option(name: &str) -> Option<u64> {
    let mut args = std::env::args().skip_while(|arg| arg != name);
    args.nth(1)?.replace('_', "").parse().ok()
}

fn main() -> std::process::ExitCode {
    if std::env::args().any(|arg| arg == "--help") {
        println!("simulate [--from N] [--seeds N] [--threads N]    runs seeds, and lists those that fail");
        println!("simulate --show SEED                             runs one, and prints what happens");
        return std::process::ExitCode::SUCCESS;
    }
    if let Some(seed) = option("--show") {
        let (outcome, trace) = simulation::trace(seed);
        println!("{trace}\n{outcome:#?}");
        return if outcome.is_ok() { 0.into() } else { 1.into() };
    }
    let (from, seeds) = (option("--from").unwrap_or(0), option("--seeds").unwrap_or(20_000));
    let next = AtomicU64::new(from);
    let failed = Mutex::new(Vec::new());
    let (messages, crashes, checks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..option("--threads").unwrap_or(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    if (seed - from) % 100_000 == 99_999 {
                        eprintln!("{} seeds", seed - from + 1);
                    }
                    let outcome = std::panic::catch_unwind(|| simulation::run(seed));
                    match outcome {
                        Ok(Ok(summary)) => {
                            messages.fetch_add(summary.messages, Ordering::Relaxed);
                            crashes.fetch_add(summary.crashes, Ordering::Relaxed);
                            checks.fetch_add(summary.checks, Ordering::Relaxed);
                        }
                        Ok(Err(failure)) => {
                            let line = failure.problem.lines().next().unwrap_or_default();
                            println!("seed {seed} at {:.1} s: {line}", failure.at_millis as f64 / 1000.0);
                            failed.lock().expect("nobody panics with it").push(seed);
                        }
                        Err(_) => {
                            println!("seed {seed}: panic");
                            failed.lock().expect("nobody panics with it").push(seed);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    println!(
        "{seeds} seeds from {from}: {} fail; {} messages, {} crashes, {} comparisons",
        failed.len(),
        messages.into_inner(),
        crashes.into_inner(),
        checks.into_inner()
    );
    if failed.is_empty() { 0.into() } else { 1.into() }
}
