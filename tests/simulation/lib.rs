//! The server in a world that goes wrong, from a seed: rules, alerting, the journal on a simulated disk and the queues
//! of integrations, against a small [`Reference`] that says plainly who is to know of what.
//!
//! One seed, one thread, virtual time: the same seed gives the same run, every time. Checked at every decision, message
//! and start: nothing muted is told, nothing ends that did not begin or that goes on, nothing is repeated without a
//! recorded cause, no receiver is asked again before the time that it named, what was confirmed is there, a reload takes
//! nothing from rules and moves no group that waits. Checked every 20 seconds, when nothing has been broken for long
//! enough: everybody knows what fires, and of nothing that is over.
//! Start at [`run`]; `cargo run --release -p simulation -- --help` runs many.

mod plan;
mod process;
mod random;
mod receivers;
mod reference;
mod setup;
mod world;

pub use plan::{Features, Name, Pick, Plan, PlannedInhibition, PlannedRoute};
pub use random::Random;
pub use reference::{Belief, KnownSilence, Life, Reference};

/// What happened in a run. One in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that went out.
    pub messages: u64,
    /// How often the process died.
    pub crashes: u64,
    /// How often everybody's knowledge was compared with the truth.
    pub checks: u64,
}

/// What went wrong first.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Begins with the invariant, up to the colon.
    pub problem: String,
    /// When, in milliseconds since the start.
    pub at_millis: u64,
    /// What the seed lets happen.
    pub features: Features,
}

impl Failure {
    /// The invariant that is broken.
    pub fn invariant(&self) -> &str {
        self.problem.split(':').next().unwrap_or_default()
    }
}

/// Runs one seed.
pub fn run(seed: u64) -> Result<Summary, Failure> {
    world::World::new(seed, false).run().0
}

/// Runs one seed, and says what happened, line by line.
pub fn trace(seed: u64) -> (Result<Summary, Failure>, String) {
    world::World::new(seed, true).run()
}
