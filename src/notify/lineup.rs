//! The notifications of one integration: which goes next, what follows from its outcome. Decides; does not send.
//!
//! In: notifications, outcomes of attempts, and the time, as what has passed since any fixed moment. Out: attempts to
//! start, and one [`Report`] for each notification, delivered or given up.
//! Not here: clocks, tasks, sockets (`queue`). At most one message of a group is under way: a newer one waits for it,
//! and takes the place of one that still waits.
//! Invariant: what is sent was decided a moment ago. When the turn of a message comes that has waited, for room or after
//! an attempt that failed, those who decide are asked first ([`Turn`]); they answer with what holds now
//! ([`Lineup::push`]), or take it back ([`Lineup::withdraw`]).
//! Start at [`Lineup::push`] and [`Lineup::start`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use model::{Notification, PlantedBug, Receipt};
use ports::{FailureReason, NotifyError};

use crate::backoff::pause;
use crate::pace::{PAUSE_MAX, Pace};

/// What was decided less long ago than this is sent without asking again.
const FRESH: Duration = Duration::from_secs(1);

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
    /// Whose fault it is.
    pub reason: FailureReason,
}

/// Names an attempt that runs, or a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

/// What is to be done now.
#[derive(Clone, Debug)]
pub enum Start {
    /// Send.
    Attempt(Attempt),
    /// Ask what holds now.
    Turn(Turn),
}

/// An attempt to start.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Give it back to [`Lineup::finish`].
    pub id: AttemptId,
    /// What is sent.
    pub notification: Arc<Notification>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Whether an attempt before may have arrived.
    pub may_have_arrived: bool,
}

/// The turn of a notification that waited has come.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Give it to [`Lineup::give_up`] if nobody can be asked.
    pub id: AttemptId,
    /// What would be sent as it was decided.
    pub notification: Arc<Notification>,
    /// Whether an attempt at it may have arrived.
    pub may_have_arrived: bool,
}

/// What the outcome of an attempt led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The notification is through with.
    Done(Report),
    /// It is tried again after this time.
    Again {
        /// What was tried.
        notification: Arc<Notification>,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// Counted from now.
        wait: Duration,
        /// What the attempt said.
        message: String,
        /// Whose fault it is; [`FailureReason::RateLimited`] if the other side asked everybody to wait.
        reason: FailureReason,
    },
}

#[derive(Clone, Debug)]
struct Item {
    notification: Arc<Notification>,
    /// Until when it may go without asking.
    fresh_until: Option<Duration>,
    /// In a box: of many that wait, few were tried.
    tried: Option<Box<Tried>>,
    /// What came for the same group while this one was under way.
    next: Option<Arc<Notification>>,
}

/// What became of the attempts at a message.
#[derive(Clone, Debug, Default)]
struct Tried {
    attempts: u32,
    failures: u32,
    first_attempt: Option<Duration>,
    /// Time that the other side asked us to wait: it does not count against `give_up_after`.
    excused: Duration,
    /// One of them may have arrived.
    may_have_arrived: bool,
}

impl Tried {
    /// From the first attempt until now.
    fn took(&self, now: Duration) -> Duration {
        now.saturating_sub(self.first_attempt.unwrap_or(now))
    }
}

impl Item {
    fn new(notification: Arc<Notification>, now: Duration) -> Self {
        Item { notification, fresh_until: Some(now + FRESH), tried: None, next: None }
    }

    fn replace(&mut self, notification: Arc<Notification>, now: Duration) {
        if notification.id == self.notification.id {
            self.fresh_until = Some(now + FRESH);
            self.notification = notification;
        } else {
            // Another message: what became of the older one says nothing of it.
            *self = Item { next: self.next.take(), ..Item::new(notification, now) };
        }
    }
}

/// The notifications of one integration. Of those that may go the one that came first goes first.
#[derive(Clone, Debug, Default)]
pub struct Lineup {
    /// By arrival.
    items: BTreeMap<u64, Item>,
    /// By incident: no two have the same.
    by_key: HashMap<Arc<str>, u64>,
    ready: BTreeSet<u64>,
    /// Those that wait for a time.
    later: BTreeSet<(Duration, u64)>,
    running: BTreeSet<u64>,
    /// Those of which it was asked whether they still hold.
    asked: BTreeSet<u64>,
    arrivals: u64,
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

    /// Adds a notification that was decided on at `now`. One that still waits for the same group is replaced, since the
    /// newer one says more; it may be the answer to a [`Turn`].
    pub fn push(&mut self, notification: Arc<Notification>, now: Duration) {
        if let Some(at) = self.by_key.get(&notification.dedup_key).copied() {
            let item = self.items.get_mut(&at).expect("what has a key is in line");
            if self.running.contains(&at) {
                item.next = Some(notification);
                return;
            }
            item.replace(notification, now);
            if self.asked.remove(&at) {
                self.ready.insert(at);
            }
            return;
        }
        self.arrivals += 1;
        self.by_key.insert(notification.dedup_key.clone(), self.arrivals);
        self.items.insert(self.arrivals, Item::new(notification, now));
        self.ready.insert(self.arrivals);
    }

    /// The answer to a [`Turn`]: nothing is to be told. Without one, nothing happens.
    pub fn withdraw(&mut self, dedup_key: &str) {
        if let Some(at) = self.by_key.get(dedup_key).copied()
            && self.asked.remove(&at)
        {
            self.by_key.remove(dedup_key);
            self.items.remove(&at);
        }
    }

    /// The next thing to do, if anything may be done at `now`. Call it until it says no.
    pub fn start(&mut self, now: Duration, pace: &mut Pace) -> Option<Start> {
        while let Some((_, at)) = self.later.first().copied().filter(|(time, _)| *time <= now) {
            self.later.pop_first();
            self.ready.insert(at);
        }
        if !pace.allows(now, self.asked.len()) {
            return None;
        }
        let at = self.ready.pop_first()?;
        let item = self.items.get_mut(&at).expect("what is ready is in line");
        let fresh = item.fresh_until.is_some_and(|until| now <= until);
        if !fresh && !PlantedBug::OldContentAfterWaiting.is_planted() {
            self.asked.insert(at);
            let notification = Arc::clone(&item.notification);
            let may_have_arrived = item.tried.as_ref().is_some_and(|tried| tried.may_have_arrived);
            return Some(Start::Turn(Turn { id: AttemptId(at), notification, may_have_arrived }));
        }
        let tried = item.tried.get_or_insert_default();
        tried.attempts += 1;
        tried.first_attempt.get_or_insert(now);
        self.running.insert(at);
        pace.begin();
        Some(Start::Attempt(Attempt {
            id: AttemptId(at),
            notification: Arc::clone(&item.notification),
            attempt: tried.attempts,
            may_have_arrived: tried.may_have_arrived,
        }))
    }

    /// When [`Lineup::start`] is to be asked again if nothing else happens first.
    pub fn next_start(&self, pace: &Pace) -> Option<Duration> {
        let first = match self.ready.is_empty() {
            true => self.later.first()?.0,
            false => Duration::ZERO,
        };
        pace.next(self.asked.len()).map(|next| next.max(first))
    }

    /// An attempt came to its end at `now`. `chance` spreads the pauses.
    pub fn finish(
        &mut self,
        id: AttemptId,
        outcome: Result<Receipt, NotifyError>,
        now: Duration,
        chance: u64,
        pace: &mut Pace,
    ) -> Step {
        self.running.remove(&id.0);
        pace.end(now);
        let item = self.items.get_mut(&id.0).expect("an attempt ends once");
        let (message, after, reason, may_have_arrived) = match outcome {
            Ok(receipt) => {
                pace.delivered(now, receipt.pause);
                return Step::Done(self.leave(id, Ok(receipt), now));
            }
            Err(NotifyError::Refused { message, reason }) => {
                return Step::Done(self.leave(id, Err(Failure { message, refused: true, reason }), now));
            }
            Err(NotifyError::Later { message, after, reason, may_have_arrived }) => {
                (message, after, reason, may_have_arrived)
            }
        };
        let tried = item.tried.get_or_insert_default();
        tried.may_have_arrived |= may_have_arrived;
        let (notification, attempt) = (Arc::clone(&item.notification), tried.attempts);
        if let Some(newer) = item.next.take() {
            item.replace(newer, now);
        }
        // Whatever held before: it is asked again.
        item.fresh_until = None;
        let given_up = |message| Failure { message, refused: false, reason };
        let rate_limited = reason == FailureReason::RateLimited;
        if rate_limited && PlantedBug::WaitingIsGivingUp.is_planted() {
            return Step::Done(self.leave(id, Err(given_up(message)), now));
        }
        let tried = item.tried.get_or_insert_default();
        let wait = match rate_limited {
            true => after.unwrap_or_else(|| pause(1, chance)),
            false => {
                tried.failures += 1;
                pause(tried.failures, chance).max(after.unwrap_or_default())
            }
        };
        let wait = wait.min(PAUSE_MAX);
        if rate_limited {
            pace.rest(now + wait);
            tried.excused += wait;
        }
        // What certainly did not arrive is decided anew before it goes, and waits for as long as it is asked to; what may
        // have arrived can only be said again as it was, and not for ever.
        if !rate_limited || tried.may_have_arrived {
            let spent = tried.took(now) + wait;
            let excused = if tried.may_have_arrived { Duration::ZERO } else { tried.excused };
            if spent.saturating_sub(excused) > item.notification.give_up_after {
                let message = format!("{message} ({} attempts)", tried.attempts);
                return Step::Done(self.leave(id, Err(given_up(message)), now));
            }
        }
        self.later.insert((now + wait, id.0));
        Step::Again { notification, attempt, wait, message, reason }
    }

    /// Nobody can be asked any more whether a notification still holds: those of which it was asked are given up.
    pub fn give_up_asked(&mut self, message: &str, now: Duration) -> Vec<Report> {
        let asked = std::mem::take(&mut self.asked);
        let give_up = |at| {
            let failure = Failure {
                message: message.to_owned(),
                refused: false,
                reason: FailureReason::ContextCanceled,
            };
            self.leave(AttemptId(at), Err(failure), now)
        };
        asked.into_iter().map(give_up).collect()
    }

    fn leave(&mut self, id: AttemptId, outcome: Result<Receipt, Failure>, now: Duration) -> Report {
        let item = self.items.remove(&id.0).expect("an attempt ends once");
        self.by_key.remove(&item.notification.dedup_key);
        let tried = item.tried.unwrap_or_default();
        // The same message once more needs no second delivery: this report answers both.
        if let Some(newer) = item.next.filter(|newer| newer.id != item.notification.id || outcome.is_err()) {
            self.push(newer, now);
        }
        Report { notification: item.notification, outcome, attempts: tried.attempts, took: tried.took(now) }
    }
}

#[cfg(test)]
mod tests;
