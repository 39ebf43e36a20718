//! Messages that did not get through yet and are tried again, for those who look.
//!
//! In: what became of attempts. Out: [`Unsent`], for people. Only failures are written down, so that a message that gets
//! through at once costs nothing here. Not here: when an attempt is made again (`lineup`), log lines (`trouble`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Notification;

/// A message whose last attempt failed, and that is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent {
    /// Which one.
    pub notification: Arc<Notification>,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt said.
    pub error: String,
    /// How long ago the first attempt failed.
    pub failing_for: Duration,
}

/// Those of one queue, by incident. Never more than the queue holds.
#[derive(Debug, Default)]
pub(crate) struct UnsentOfQueue(Mutex<BTreeMap<Arc<str>, Failing>>);

#[derive(Debug)]
struct Failing {
    since: Duration,
    notification: Arc<Notification>,
    attempts: u32,
    error: String,
}

impl UnsentOfQueue {
    /// An attempt failed, and another one follows.
    pub(crate) fn failed(&self, notification: Arc<Notification>, attempts: u32, error: &str, now: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = all.get(&notification.dedup_key).map_or(now, |failing| failing.since);
        let key = Arc::clone(&notification.dedup_key);
        all.insert(key, Failing { since, notification, attempts, error: error.to_owned() });
    }

    /// A message came to its end, or is not to be told any more.
    pub(crate) fn over(&self, dedup_key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(dedup_key);
    }

    /// All that there are at `now`.
    pub(crate) fn list(&self, now: Duration) -> Vec<Unsent> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unsent = |failing: &Failing| Unsent {
            notification: Arc::clone(&failing.notification),
            attempts: failing.attempts,
            error: failing.error.clone(),
            failing_for: now.saturating_sub(failing.since),
        };
        all.values().map(unsent).collect()
    }
}
