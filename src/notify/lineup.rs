//! The notifications of one integration: which goes next, what follows from its outcome. Decides; does not send.
//!
//! In: notifications, outcomes of attempts, and the time, as what has passed since any fixed moment. Out: attempts to
//! start, and one [`Report`] for each notification, delivered or given up.
//! Not here: clocks, tasks, sockets (`queue`). At most one message of a group is under way: a newer one waits for it,
//! and takes the place of one that still waits.
//! Start at [`Lineup::push`] and [`Lineup::start`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{Notification, PlantedBug, Receipt};
use ports::NotifyError;

use crate::backoff::pause;

/// How many attempts of one integration may run at once.
const CONCURRENT: usize = 4;
/// A server that asks for more time than this is asked again after it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// What became of a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which one.
    pub notification: Arc<Notification>,
    /// Delivered, or why not.
    pub outcome: Result<Receipt, Failure>,
    /// How often it was tried.
    pub attempts: u32,
    /// From the first attempt to the outcome.
    pub took: Duration,
}

/// Why a notification was given up. The next flush of its group tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the last attempt said.
    pub message: String,
    /// Whether the other side refused, so that trying the same again is pointless.
    pub refused: bool,
}

/// Names an attempt that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

/// An attempt to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Give it back to [`Lineup::finish`].
    pub id: AttemptId,
    /// What is sent.
    pub notification: Arc<Notification>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// What the outcome of an attempt led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The notification is through with.
    Done(Report),
    /// It is tried again after this time.
    Again {
        /// Counted from now.
        wait: Duration,
        /// What the attempt said.
        message: String,
        /// Whether the other side asked everybody to wait.
        rate_limited: bool,
    },
}

#[derive(Clone, Debug)]
struct Item {
    notification: Arc<Notification>,
    attempts: u32,
    failures: u32,
    first_attempt: Option<Duration>,
    /// Time that the other side asked us to wait: it does not count against `give_up_after`.
    excused: Duration,
    /// What came for the same group while this one was under way.
    next: Option<Arc<Notification>>,
}

impl Item {
    fn new(notification: Arc<Notification>) -> Self {
        let (attempts, failures, first_attempt, next) = (0, 0, None, None);
        Item { notification, attempts, failures, first_attempt, excused: Duration::ZERO, next }
    }
}

/// The notifications of one integration. Of those that may go the one that came first goes first.
#[derive(Clone, Debug, Default)]
pub struct Lineup {
    /// By arrival.
    items: BTreeMap<u64, Item>,
    /// By incident: no two have the same.
    by_key: HashMap<String, u64>,
    ready: BTreeSet<u64>,
    /// Those that wait for a time.
    later: BTreeSet<(Duration, u64)>,
    running: BTreeSet<u64>,
    arrivals: u64,
    /// The other side asked that nothing comes before.
    not_before: Duration,
    /// One at a time, until one goes through.
    gentle: bool,
}

impl Lineup {
    /// Notifications that wait or are under way.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a notification. One that still waits for the same group is replaced, since the newer one says more.
    pub fn push(&mut self, notification: Arc<Notification>) {
        if let Some(at) = self.by_key.get(&notification.dedup_key) {
            let item = self.items.get_mut(at).expect("what has a key is in line");
            match self.running.contains(at) {
                true => item.next = Some(notification),
                false => item.notification = notification,
            }
            return;
        }
        self.arrivals += 1;
        self.by_key.insert(notification.dedup_key.clone(), self.arrivals);
        self.items.insert(self.arrivals, Item::new(notification));
        self.ready.insert(self.arrivals);
    }

    /// The next attempt, if one may start at `now`. Call it until it says no.
    pub fn start(&mut self, now: Duration) -> Option<Start> {
        if self.running.len() >= self.limit() || now < self.not_before {
            return None;
        }
        while let Some((_, at)) = self.later.first().copied().filter(|(time, _)| *time <= now) {
            self.later.pop_first();
            self.ready.insert(at);
        }
        let at = self.ready.pop_first()?;
        let item = self.items.get_mut(&at).expect("what is ready is in line");
        item.attempts += 1;
        item.first_attempt.get_or_insert(now);
        self.running.insert(at);
        Some(Start {
            id: AttemptId(at),
            notification: Arc::clone(&item.notification),
            attempt: item.attempts,
        })
    }

    fn limit(&self) -> usize {
        if self.gentle { 1 } else { CONCURRENT }
    }

    /// When [`Lineup::start`] is to be asked again if nothing else happens first.
    pub fn next_start(&self) -> Option<Duration> {
        if self.running.len() >= self.limit() {
            return None;
        }
        let first = match self.ready.is_empty() {
            true => self.later.first()?.0,
            false => Duration::ZERO,
        };
        Some(first.max(self.not_before))
    }

    /// An attempt came to its end at `now`. `chance` spreads the pauses.
    pub fn finish(
        &mut self,
        id: AttemptId,
        outcome: Result<Receipt, NotifyError>,
        now: Duration,
        chance: u64,
    ) -> Step {
        self.running.remove(&id.0);
        let item = self.items.get_mut(&id.0).expect("an attempt ends once");
        let (message, after, rate_limited) = match outcome {
            Ok(receipt) => {
                self.gentle = false;
                return Step::Done(self.leave(id, Ok(receipt), now));
            }
            Err(NotifyError::Refused { message }) => {
                return Step::Done(self.leave(id, Err(Failure { message, refused: true }), now));
            }
            Err(NotifyError::Later { message, after, rate_limited }) => (message, after, rate_limited),
        };
        if let Some(newer) = item.next.take() {
            item.notification = newer;
        }
        if rate_limited && PlantedBug::WaitingIsGivingUp.is_planted() {
            return Step::Done(self.leave(id, Err(Failure { message, refused: false }), now));
        }
        if rate_limited {
            self.gentle = true;
            let wait = after.unwrap_or_else(|| pause(1, chance)).min(RETRY_AFTER_MAX);
            item.excused += wait;
            self.not_before = self.not_before.max(now + wait);
            self.later.insert((now + wait, id.0));
            return Step::Again { wait, message, rate_limited };
        }
        item.failures += 1;
        let wait = pause(item.failures, chance).max(after.unwrap_or_default()).min(RETRY_AFTER_MAX);
        let spent = now.saturating_sub(item.first_attempt.unwrap_or(now));
        if (spent + wait).saturating_sub(item.excused) > item.notification.give_up_after {
            let message = format!("{message} ({} attempts)", item.attempts);
            return Step::Done(self.leave(id, Err(Failure { message, refused: false }), now));
        }
        self.later.insert((now + wait, id.0));
        Step::Again { wait, message, rate_limited }
    }

    fn leave(&mut self, id: AttemptId, outcome: Result<Receipt, Failure>, now: Duration) -> Report {
        let item = self.items.remove(&id.0).expect("an attempt ends once");
        self.by_key.remove(&item.notification.dedup_key);
        let took = now.saturating_sub(item.first_attempt.unwrap_or(now));
        // The same message once more needs no second delivery: this report answers both.
        if let Some(newer) = item.next.filter(|newer| newer.id != item.notification.id || outcome.is_err()) {
            self.push(newer);
        }
        Report { notification: item.notification, outcome, attempts: item.attempts, took }
    }
}

#[cfg(test)]
mod tests;
