//! Receivers of messages, and what they know: what arrived, and whether the server learned that it did.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::{AlertStatus, Labels, Notification, Timestamp};
use notify::IntegrationKey;

/// What one attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It arrives and is answered after so many milliseconds.
    Accepts(u64),
    /// It is refused at once, and may be tried again.
    Refuses,
    /// It is refused for good.
    Rejects,
    /// It arrives, and the answer is lost.
    ForgetsToAnswer(u64),
    /// Nothing arrives and nothing is answered.
    Hangs,
    /// The server is asked to come back, in so many milliseconds if it says so.
    AsksToWait(Option<u64>),
}

/// What is told of one group at one integration.
pub(crate) type Stream = (Arc<str>, Arc<str>, Arc<str>);

pub(crate) fn stream(message: &Notification) -> Stream {
    (message.receiver.clone(), message.integration.clone(), message.dedup_key.clone())
}

/// The last message that arrived on a stream.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: Arc<str>,
    pub(crate) at: u64,
    pub(crate) wall: Timestamp,
    pub(crate) content: Vec<(AlertStatus, Labels, Timestamp)>,
}

/// What the server knows of a message that arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The process that was answered.
    pub(crate) answered: Option<u64>,
    /// It wrote that down.
    pub(crate) recorded: bool,
    pub(crate) arrived: bool,
    /// The server was told that it could not be delivered.
    pub(crate) given_up: bool,
    /// The server waited for an answer in vain.
    pub(crate) in_doubt: bool,
}

#[derive(Default)]
pub(crate) struct Receivers {
    pub(crate) last: BTreeMap<Stream, Arrival>,
    pub(crate) known: BTreeMap<Arc<str>, Known>,
    /// Attempts that run, by stream.
    pub(crate) under_way: BTreeSet<Stream>,
    /// Alerts that a message said fire, by receiver and integration.
    pub(crate) said_firing: BTreeSet<(Arc<str>, Arc<str>, Labels)>,
    /// Until when an integration was asked to wait.
    pub(crate) asked_to_wait: BTreeMap<IntegrationKey, u64>,
    /// When an integration was last served, if it is one with a limit.
    served: BTreeMap<IntegrationKey, VecDeque<u64>>,
}

/// A receiver with a limit takes this many messages in [`LIMIT_MILLIS`].
const LIMIT: usize = 3;
const LIMIT_MILLIS: u64 = 20_000;

/// What excuses a message that says the same again.
pub(crate) struct Excuses {
    /// The last time when something was lost, set or changed.
    pub(crate) since: u64,
    /// The process that runs.
    pub(crate) boot: u64,
    /// Whether the disk never fails in this simulation.
    pub(crate) disk_is_sound: bool,
    pub(crate) repeat_millis: u64,
}

impl Receivers {
    /// A message arrives.
    pub(crate) fn arrive(&mut self, message: &Arc<Notification>, now: u64, wall: Timestamp) {
        self.known.entry(message.id.clone()).or_default().arrived = true;
        let content = content(message);
        self.last.insert(stream(message), Arrival { id: message.id.clone(), at: now, wall, content });
    }

    /// What a receiver with a limit says to one more message: until when it is to wait, if so.
    pub(crate) fn over_limit(&mut self, key: &IntegrationKey, now: u64) -> Option<u64> {
        let served = self.served.entry(key.clone()).or_default();
        served.retain(|at| now < at + LIMIT_MILLIS);
        if served.len() < LIMIT {
            served.push_back(now);
            return None;
        }
        served.front().map(|first| first + LIMIT_MILLIS)
    }

    /// The server begins to send a message. Says what is wrong with that.
    pub(crate) fn attempted(
        &self,
        message: &Notification,
        wall: Timestamp,
        excuses: &Excuses,
    ) -> Option<String> {
        let learned = |known: &Known| known.recorded || known.answered == Some(excuses.boot);
        if let Some(known) = self.known.get(&message.id).filter(|known| known.arrived) {
            return learned(known)
                .then(|| format!("duplicate: {} was delivered, and goes out again", message.id));
        }
        let last = self.last.get(&stream(message))?;
        let early = wall.as_millis() - last.wall.as_millis() < excuses.repeat_millis as i64;
        if last.content != content(message) || !early || last.at <= excuses.since {
            return None;
        }
        let known = self.known.get(&last.id)?;
        if learned(known) {
            return Some(format!("duplicate: {} says what {} said", message.id, last.id));
        }
        let same_message = excuses.disk_is_sound && !known.given_up;
        same_message.then(|| format!("duplicate: {} was under way as {}", message.id, last.id))
    }
}

/// What a message says, in order.
fn content(message: &Notification) -> Vec<(AlertStatus, Labels, Timestamp)> {
    let mut content: Vec<_> =
        message.alerts.iter().map(|a| (a.status, a.labels.clone(), a.starts_at)).collect();
    content.sort();
    content
}
