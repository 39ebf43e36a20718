//! A shell for the state machine in simulated time: a disk, receivers and senders that do what a test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alerting::{
    Alerting, AlertingConfig, Answer, Change, CommitFailure, CommitId, Destination, Effect, Event,
    Integration, Receiver, ReplyTo, Turn,
};
use model::{Alert, Labels, Notification, Receipt, Timestamp};

/// 2026-01-01T00:00:00Z, a Thursday.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// What a receiver does with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Accepts,
    Fails,
    /// Keeps the message until it is told to do something else.
    Hangs,
    /// Asks to be told again at this time, and takes nothing before.
    Busy(Timestamp),
    /// Takes messages and does not answer; at this time they are sent again.
    Mute(Timestamp),
}

impl Manner {
    /// Whether it answers what it kept.
    fn answers(self) -> bool {
        matches!(self, Manner::Accepts | Manner::Fails)
    }
}

/// What the disk does with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskManner {
    Works,
    Fails,
    /// Writes it when it works again.
    Hangs,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) config: Arc<AlertingConfig>,
    pub(crate) alerting: Alerting,
    pub(crate) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) disk_manner: DiskManner,
    /// Commits that wait for the disk.
    held: Vec<(CommitId, Vec<Change>)>,
    pub(crate) manners: BTreeMap<String, Manner>,
    /// Messages that went out, with their time.
    pub(crate) sent: Vec<(Timestamp, Notification)>,
    hanging: Vec<Notification>,
    /// Messages that wait for their turn: when it comes, and whether they may have arrived.
    waiting: Vec<(Timestamp, Notification, bool)>,
    pub(crate) answers: BTreeMap<ReplyTo, Answer>,
    /// Alerts that their sender repeats.
    pub(crate) repeated: BTreeMap<Labels, Alert>,
    next_repeat: Timestamp,
    replies: u64,
}

const REPEAT_EVERY: Duration = Duration::from_secs(60);
const HOLDS_FOR: Duration = Duration::from_secs(4 * 60);

impl World {
    pub(crate) fn new(config: AlertingConfig) -> Self {
        let config = Arc::new(config);
        World {
            now: START,
            alerting: Alerting::new(config.clone(), START),
            config,
            disk: BTreeMap::new(),
            disk_manner: DiskManner::Works,
            held: Vec::new(),
            manners: BTreeMap::new(),
            sent: Vec::new(),
            hanging: Vec::new(),
            waiting: Vec::new(),
            answers: BTreeMap::new(),
            repeated: BTreeMap::new(),
            next_repeat: START + REPEAT_EVERY,
            replies: 0,
        }
    }

    pub(crate) fn reply(&mut self) -> ReplyTo {
        self.replies += 1;
        ReplyTo(self.replies)
    }

    /// Lets an event happen now, and everything that follows from it at once.
    pub(crate) fn happen(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut following = Vec::new();
            for effect in self.alerting.step(self.now, event) {
                match effect {
                    Effect::Commit { id, changes } => {
                        if self.disk_manner == DiskManner::Hangs {
                            self.held.push((id, changes));
                            continue;
                        }
                        if self.disk_manner == DiskManner::Fails {
                            let (failure, message) = (CommitFailure::Failed, "disk full".to_owned());
                            following.push(Event::CommitFailed { commit: id, failure, message });
                            continue;
                        }
                        self.write(changes);
                        following.push(Event::Committed(id));
                    }
                    Effect::Deliver(message) => {
                        // What waited for its turn has had it.
                        self.waiting.retain(|(_, waiting, _)| waiting.dedup_key != message.dedup_key);
                        following.extend(self.receive((*message).clone()));
                    }
                    Effect::Withdraw { dedup_key, .. } => {
                        self.waiting.retain(|(_, waiting, _)| waiting.dedup_key != dedup_key);
                    }
                    Effect::Reply { to, answer } => {
                        self.answers.insert(to, answer);
                    }
                }
            }
            following.reverse();
            events.extend(following);
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change.value {
                Some(value) => self.disk.insert(change.key, value),
                None => self.disk.remove(&change.key),
            };
        }
    }

    /// The disk changes its manner; what waits for it is written when it works.
    pub(crate) fn set_disk(&mut self, manner: DiskManner) {
        self.disk_manner = manner;
        if manner == DiskManner::Works {
            for (id, changes) in std::mem::take(&mut self.held) {
                self.write(changes);
                self.happen(Event::Committed(id));
            }
        }
    }

    fn receive(&mut self, message: Notification) -> Option<Event> {
        let name = format!("{}/{}", message.receiver, message.integration);
        let manner = self.manners.get(&name).copied().unwrap_or_default();
        let manner = match manner {
            Manner::Busy(until) | Manner::Mute(until) if until <= self.now => Manner::Accepts,
            manner => manner,
        };
        if !matches!(manner, Manner::Busy(_)) {
            self.sent.push((self.now, message.clone()));
        }
        let notification = message.id.clone();
        match manner {
            Manner::Busy(until) | Manner::Mute(until) => {
                self.waiting.push((until, message, matches!(manner, Manner::Mute(_))));
                None
            }
            Manner::Accepts => Some(Event::Delivered { notification, outcome: Ok(receipt()) }),
            Manner::Fails => {
                Some(Event::Delivered { notification, outcome: Err("refused with status 500".to_owned()) })
            }
            Manner::Hangs => {
                self.hanging.push(message);
                None
            }
        }
    }

    /// A receiver changes its manner; what it kept is answered so.
    pub(crate) fn set_manner(&mut self, name: &str, manner: Manner) {
        self.manners.insert(name.to_owned(), manner);
        let (answered, kept) = std::mem::take(&mut self.hanging)
            .into_iter()
            .partition(|m| manner.answers() && format!("{}/{}", m.receiver, m.integration) == name);
        self.hanging = kept;
        for message in answered {
            let outcome = match manner {
                Manner::Fails => Err("refused with status 500".to_owned()),
                _ => Ok(receipt()),
            };
            self.happen(Event::Delivered { notification: message.id, outcome });
        }
    }

    /// Lets time pass up to and including `until`.
    pub(crate) fn run_until(&mut self, until: Timestamp) {
        loop {
            let wakeup = self.alerting.next_wakeup().unwrap_or(Timestamp::MAX);
            let turn = self.waiting.iter().map(|(at, ..)| *at).min().unwrap_or(Timestamp::MAX);
            let next = wakeup.min(self.next_repeat).min(turn);
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            if next == turn {
                self.take_turn();
            } else if next == self.next_repeat {
                self.next_repeat = next + REPEAT_EVERY;
                let alerts = self.repeated.values().map(|alert| self.held(alert)).collect();
                self.happen(Event::Evaluated(alerts));
            } else {
                self.happen(Event::Tick);
            }
        }
        self.now = self.now.max(until);
    }

    /// The turn of the message that waits for it longest has come.
    fn take_turn(&mut self) {
        let Some((_, message, may_have_arrived)) = self.waiting.iter().min_by_key(|(at, ..)| *at).cloned()
        else {
            return;
        };
        let to = Destination {
            receiver: message.receiver.clone(),
            kind: message.integration.clone(),
            index: message.index,
        };
        let (notification, dedup_key) = (message.id, message.dedup_key.clone());
        self.happen(Event::Turn(Turn { notification, dedup_key: dedup_key.clone(), to, may_have_arrived }));
        let waits = |(at, waiting, _): &(Timestamp, Notification, bool)| {
            *at <= self.now && waiting.dedup_key == dedup_key
        };
        assert!(!self.waiting.iter().any(waits), "a turn is answered");
    }

    fn held(&self, alert: &Alert) -> Alert {
        Alert { ends_at: self.now + HOLDS_FOR, updated_at: self.now, ..alert.clone() }
    }

    /// A rule finds an alert, and goes on finding it.
    pub(crate) fn fire(&mut self, labels: Labels, annotations: model::Annotations, starts_at: Timestamp) {
        let alert = Alert {
            labels: labels.clone(),
            annotations,
            starts_at,
            ends_at: self.now,
            updated_at: self.now,
            generator_url: Default::default(),
            timeout: false,
            value: None,
        };
        let held = self.held(&alert);
        self.repeated.insert(labels, alert);
        self.happen(Event::Evaluated(vec![held]));
    }

    /// A rule no longer finds an alert.
    pub(crate) fn resolve(&mut self, labels: &Labels) {
        if let Some(alert) = self.repeated.remove(labels) {
            let ended = Alert { ends_at: self.now, updated_at: self.now, ..alert };
            self.happen(Event::Evaluated(vec![ended]));
        }
    }

    /// The clock is set forward or back; the rhythm of senders does not change.
    pub(crate) fn set_clock(&mut self, back: bool, by: Duration) {
        let set = |time: Timestamp| if back { time - by } else { time + by };
        (self.now, self.next_repeat) = (set(self.now), set(self.next_repeat));
        self.happen(Event::Tick);
    }

    /// The process dies and comes back after `pause` with what is durable. Senders do not hear of it, and it does not hear
    /// that the clock was set meanwhile.
    pub(crate) fn crash(&mut self, pause: Duration, back: bool, by: Duration) {
        let set = |time: Timestamp| if back { time - by } else { time + by };
        (self.now, self.next_repeat) = (set(self.now + pause), set(self.next_repeat));
        while self.next_repeat <= self.now {
            self.next_repeat = self.next_repeat + REPEAT_EVERY;
        }
        let records: Vec<_> = self.disk.clone().into_iter().collect();
        let restored = Alerting::restore(self.config.clone(), self.now, records);
        assert!(restored.problems.is_empty(), "{:?}", restored.problems);
        self.alerting = restored.alerting;
        self.hanging.clear();
        self.held.clear();
        self.waiting.clear();
        self.happen(Event::Tick);
    }

    pub(crate) fn reload(&mut self, config: AlertingConfig) {
        self.config = Arc::new(config);
        self.happen(Event::Reload(self.config.clone()));
    }
}

fn receipt() -> Receipt {
    Receipt { remember: Some("message-1".to_owned()), pause: None }
}

pub(crate) fn receiver(name: &str, integrations: &[(&str, bool)]) -> Receiver {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let integrations = integrations.iter().map(|(kind, send_resolved)| {
        let count = counts.entry(kind).or_default();
        *count += 1;
        Integration { kind: (*kind).into(), index: *count - 1, send_resolved: *send_resolved }
    });
    Receiver { name: name.into(), labels: Labels::empty(), integrations: integrations.collect() }
}
