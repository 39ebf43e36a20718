//! Instances of notifiers that wait for the next message of the same integration.
//!
//! In a storm an instance would be made and thrown away for each message, which costs more than what it does. So one that
//! has delivered serves the next message of the same integration: never of another receiver, whose secrets and hosts are
//! others, and never after an error, so that what a trap broke is gone. Each is thrown away after [`CALLS_MAX`] calls, when
//! it has grown, or when nothing came for [`WAITS`].

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::Instance;

use super::guest::Run;
use crate::host::{Terms, lock};

/// Instances that wait at most: the pool has room for them beside those that run.
pub(super) const KEPT_MAX: usize = 8;
/// Calls of one instance.
const CALLS_MAX: u32 = 128;
/// An instance that holds more memory is thrown away.
const MEMORY_MAX: usize = 4 << 20;
/// For how long one waits.
const WAITS: Duration = Duration::from_secs(1);

/// An instance between two calls, or in one.
pub(super) struct Kept {
    pub(super) run: Run,
    pub(super) instance: Instance,
    /// Whom it serves.
    pub(super) terms: Arc<Terms>,
    /// How many calls it has served.
    pub(super) calls: u32,
}

/// Those that wait, the one that has waited longest first.
#[derive(Default)]
pub(super) struct Waiting(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    kept: Vec<(Instant, Kept)>,
    /// Whether somebody throws away those that wait too long.
    watched: bool,
}

impl Waiting {
    /// One that serves calls on `terms`.
    pub(super) fn take(&self, terms: &Arc<Terms>) -> Option<Kept> {
        let mut inner = lock(&self.0);
        let index = inner.kept.iter().rposition(|(_, kept)| Arc::ptr_eq(&kept.terms, terms))?;
        Some(inner.kept.remove(index).1)
    }

    /// Keeps one that has served a call, unless it has served enough.
    pub(super) fn put(&self, mut kept: Kept) {
        if kept.calls >= CALLS_MAX || kept.run.memory() > MEMORY_MAX {
            return;
        }
        kept.run.rest();
        let mut inner = lock(&self.0);
        // Thrown away before the next one waits: the pool has room for no more.
        if inner.kept.len() >= KEPT_MAX {
            drop(inner.kept.remove(0));
        }
        inner.kept.push((Instant::now(), kept));
        if !inner.watched {
            inner.watched = true;
            tokio::spawn(watch(Arc::downgrade(&self.0)));
        }
    }
}

/// Throws away those that wait too long, until none is left.
async fn watch(waiting: Weak<Mutex<Inner>>) {
    loop {
        tokio::time::sleep(WAITS).await;
        let Some(waiting) = waiting.upgrade() else { return };
        let mut inner = lock(&waiting);
        let now = Instant::now();
        inner.kept.retain(|(since, _)| now.duration_since(*since) < WAITS);
        inner.watched = !inner.kept.is_empty();
        if !inner.watched {
            return;
        }
    }
}
