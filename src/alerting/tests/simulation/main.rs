//! Random alerts, silences, reloads, crashes and faults, from a seed. Time, disk and receivers are simulated; what must
//! always hold is checked at every message and at the end, when all faults are healed.
//!
//! A failure prints the seed; `FOGHORN_SEED=n cargo test -p alerting --test simulation` runs that one alone, with every
//! message printed. `FOGHORN_SEEDS=n` runs that many.

#![allow(clippy::unwrap_used, reason = "a test")]

mod checks;
mod setup;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use alerting::{
    Alerting, AlertingConfig, Answer, Change, CommitFailure, CommitId, Effect, Event, MatcherMode, ReplyTo,
    SilenceDraft, SilenceId, parse_matchers,
};
use model::{Alert, AlertStatus, Annotations, Labels, Notification, Receipt, Timestamp};

use checks::show;
use setup::{Features, Random, config, pool};

const START: Timestamp = Timestamp::from_secs(1_767_225_600);
const REPEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);
const SEND_EVERY: Duration = Duration::from_secs(60);
const HOLDS_FOR: Duration = Duration::from_secs(4 * 60);
/// Ends are repeated for this long, as Prometheus does.
const ENDS_REPEATED: Duration = Duration::from_secs(15 * 60);
const LENGTH: Duration = Duration::from_secs(2 * 3600);
const SETTLE: Duration = Duration::from_secs(20 * 60);

/// A group at one integration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    group_key: String,
    dedup_key: String,
    receiver: String,
    kind: String,
}

fn stream(message: &Notification) -> Stream {
    Stream {
        group_key: message.group_key.clone(),
        dedup_key: message.dedup_key.clone(),
        receiver: message.receiver.clone(),
        kind: message.integration.clone(),
    }
}

/// A message that reached its receiver.
#[derive(Clone, Debug)]
struct Arrival {
    at: Timestamp,
    message: Notification,
    /// The process learned of it, and wrote that down.
    recorded: bool,
}

/// What an alert's sender knows.
#[derive(Clone, Debug)]
struct Sent {
    starts_at: Timestamp,
    ended_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct KnownSilence {
    acknowledged_at: Timestamp,
    /// `None` while nobody ended it.
    expired_at: Option<Timestamp>,
    ends_at: Timestamp,
    labels: (String, String),
}

/// Something of the world outside that happens later.
#[derive(Clone, Debug)]
enum Later {
    /// The disk answers the oldest commit.
    Disk,
    Answer {
        id: String,
        outcome: Result<Receipt, String>,
    },
}

struct Simulation {
    random: Random,
    features: Features,
    now: Timestamp,
    config: Arc<AlertingConfig>,
    variant: u64,
    machine: Alerting,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Commits on their way to the disk, in order.
    writing: VecDeque<(CommitId, Vec<Change>, Timestamp)>,
    disk_works: bool,
    receivers_work: bool,
    later: BTreeMap<(Timestamp, u64), Later>,
    ordinal: u64,
    /// Messages that went out and were not answered, and until when an answer may be waited for.
    under_way: BTreeMap<Stream, (String, Timestamp)>,
    /// Commits that record an accepted message, and its id.
    recording: BTreeMap<CommitId, String>,
    arrivals: BTreeMap<Stream, Vec<Arrival>>,
    /// What each receiver believes to fire.
    believed: BTreeMap<Stream, BTreeSet<Labels>>,
    senders: BTreeMap<Labels, Sent>,
    silences: BTreeMap<SilenceId, KnownSilence>,
    asked: BTreeMap<ReplyTo, (SilenceId, Option<KnownSilence>)>,
    /// When the process last died with something unwritten, or the configuration changed: what excuses a repetition.
    last_loss: Timestamp,
    crashes: u32,
    messages: u32,
    trace: Option<String>,
}

impl Simulation {
    fn new(seed: u64, traced: bool) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        let mut even = || random.percent(50);
        let features = Features {
            silences: even(),
            inhibition: even(),
            reloads: even(),
            crashes: even(),
            disk_faults: even(),
            receiver_faults: even(),
        };
        let config = Arc::new(config(0, features.inhibition));
        Simulation {
            random,
            features,
            now: START,
            machine: Alerting::new(config.clone(), START),
            config,
            variant: 0,
            disk: BTreeMap::new(),
            writing: VecDeque::new(),
            disk_works: true,
            receivers_work: true,
            later: BTreeMap::new(),
            ordinal: 0,
            under_way: BTreeMap::new(),
            recording: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            believed: BTreeMap::new(),
            senders: BTreeMap::new(),
            silences: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_loss: Timestamp::MIN,
            crashes: 0,
            messages: 0,
            trace: traced.then(String::new),
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "{:>8.3} {}", self.now.since(START).as_secs_f64(), text());
        }
    }

    fn schedule(&mut self, after: Duration, later: Later) {
        self.ordinal += 1;
        self.later.insert((self.now + after, self.ordinal), later);
    }

    fn step(&mut self, event: Event) {
        let accepted = match &event {
            Event::Delivered { notification, outcome: Ok(_) } => Some(notification.clone()),
            _ => None,
        };
        let effects = self.machine.step(self.now, event);
        for effect in effects {
            // The process may die between any two effects.
            if self.features.crashes && self.now < START + LENGTH && self.random.below(400) == 0 {
                self.crash();
                return;
            }
            match effect {
                Effect::Commit { id, changes } => {
                    if let Some(notification) = &accepted {
                        self.recording.insert(id, notification.clone());
                    }
                    let delay = self.random.millis(50);
                    let at = self.now + delay;
                    self.writing.push_back((id, changes, at));
                    self.schedule(delay, Later::Disk);
                }
                Effect::Deliver(message) => self.deliver(*message),
                Effect::Reply { to, answer } => self.answered(to, answer),
            }
        }
    }

    fn deliver(&mut self, message: Notification) {
        self.messages += 1;
        let key = stream(&message);
        self.note(|| format!("deliver {} {:?} {}", message.id, key, show(&message)));
        let patience = self.now + message.give_up_after + Duration::from_secs(60);
        let before = self.under_way.insert(key.clone(), (message.id.clone(), patience));
        if let Some((before, _)) = before.filter(|(_, patience)| self.now < *patience) {
            self.fail(&format!("{before} is under way to {key:?}, and {} goes out", message.id));
        }
        self.check_message(&message);
        let id = message.id.clone();
        let luck = self.random.below(100);
        let works = self.receivers_work;
        let delay = match self.random.percent(10) {
            true => self.random.millis(100_000),
            false => self.random.millis(500),
        };
        let (arrives, outcome) = match luck {
            _ if works => (true, Some(Ok(Receipt::default()))),
            0..50 => (false, Some(Err("refused".to_owned()))),
            50..65 => (true, Some(Err("connection reset after the request was read".to_owned()))),
            65..75 => (true, None),
            75..85 => (false, None),
            _ => (true, Some(Ok(Receipt::default()))),
        };
        if arrives {
            self.arrive(message);
        }
        if let Some(outcome) = outcome {
            self.schedule(delay, Later::Answer { id, outcome });
        }
    }

    fn arrive(&mut self, message: Notification) {
        let arrival = Arrival { at: self.now, message, recorded: false };
        self.arrivals.entry(stream(&arrival.message)).or_default().push(arrival);
    }

    /// The process learns that a message was accepted: from here on it may rely on it. What arrived without its learning
    /// of it counts as not told, and is told again while it is true.
    fn accepted(&mut self, key: &Stream, id: &str) {
        let arrivals = self.arrivals.get(key).map_or(&[][..], Vec::as_slice);
        let Some(arrival) = arrivals.iter().rev().find(|arrival| arrival.message.id == id) else { return };
        let believed = self.believed.entry(key.clone()).or_default();
        for alert in &arrival.message.alerts {
            match alert.status {
                AlertStatus::Firing => believed.insert(alert.labels.clone()),
                AlertStatus::Resolved => believed.remove(&alert.labels),
            };
        }
    }

    fn answered(&mut self, to: ReplyTo, answer: Answer) {
        // An end that was not stored may have come all the same: `expired_at` says from when nobody can know.
        let Some((_, Some(mut silence))) = self.asked.remove(&to) else { return };
        if let Answer::Silence(Ok(stored)) = answer {
            silence.acknowledged_at = self.now;
            self.note(|| format!("silence {stored:?} is in force"));
            self.silences.insert(stored, silence);
        }
    }

    fn happen(&mut self, later: Later) {
        match later {
            Later::Disk => self.write_oldest(),
            Later::Answer { id, outcome } => {
                let waiting = self.under_way.iter().find(|(_, (other, _))| *other == id);
                let Some(key) = waiting.map(|(key, _)| key.clone()) else { return };
                self.under_way.remove(&key);
                if outcome.is_ok() {
                    self.accepted(&key, &id);
                }
                self.step(Event::Delivered { notification: id, outcome });
            }
        }
    }

    fn write_oldest(&mut self) {
        let Some((id, changes, _)) = self.writing.pop_front() else { return };
        let luck = self.random.below(100);
        if !self.disk_works && luck < 80 {
            // Sometimes it was written although it does not look so.
            if luck < 20 {
                self.write(changes);
            }
            let failure = if luck < 40 { CommitFailure::Unknown } else { CommitFailure::Failed };
            self.recording.remove(&id);
            self.last_loss = self.now;
            self.step(Event::CommitFailed { commit: id, failure, message: "disk full".to_owned() });
            return;
        }
        self.write(changes);
        if let Some(notification) = self.recording.remove(&id) {
            for arrival in self.arrivals.values_mut().flatten() {
                arrival.recorded |= arrival.message.id == notification;
            }
        }
        self.step(Event::Committed(id));
    }

    fn write(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change.value {
                Some(value) => self.disk.insert(change.key, value),
                None => self.disk.remove(&change.key),
            };
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        // Some of what was on its way is on the disk: a prefix.
        let written = self.random.below(self.writing.len() as u64 + 1);
        for _ in 0..written {
            if let Some((_, changes, _)) = self.writing.pop_front() {
                self.write(changes);
            }
        }
        if !self.writing.is_empty() || self.machine.sizes().behind {
            self.last_loss = self.now;
        }
        self.writing.clear();
        self.recording.clear();
        self.later.clear();
        self.under_way.clear();
        // Whoever asked for an end of a silence and heard nothing cannot know.
        for (id, silence) in std::mem::take(&mut self.asked).into_values() {
            if silence.is_none()
                && let Some(silence) = self.silences.get_mut(&id)
            {
                silence.expired_at = Some(silence.expired_at.unwrap_or(self.now));
            }
        }
        let pause = match self.random.percent(30) {
            true => self.random.millis(20 * 60_000),
            false => self.random.millis(5000),
        };
        self.now = self.now + pause;
        self.note(|| "restart".to_owned());
        let records: Vec<_> = self.disk.clone().into_iter().collect();
        let restored = Alerting::restore(self.config.clone(), self.now, records);
        assert!(restored.problems.is_empty(), "{:?}", restored.problems);
        self.machine = restored.alerting;
        self.step(Event::Tick);
        self.send_all();
    }

    /// Senders repeat what fires, and for a while what ended.
    fn send_all(&mut self) {
        let now = self.now;
        let alert = |(labels, sent): (&Labels, &Sent)| Alert {
            labels: labels.clone(),
            annotations: Annotations::new(),
            starts_at: sent.starts_at,
            ends_at: sent.ended_at.unwrap_or(now + HOLDS_FOR),
            updated_at: now,
            generator_url: String::new(),
            timeout: false,
            value: None,
        };
        let alerts: Vec<Alert> = self.senders.iter().map(alert).collect();
        self.senders.retain(|_, sent| sent.ended_at.is_none_or(|ended| now < ended + ENDS_REPEATED));
        self.step(Event::Evaluated(alerts));
    }

    fn act(&mut self) {
        let pool = pool();
        let labels = pool[self.random.below(pool.len() as u64) as usize].clone();
        match self.random.below(100) {
            0..40 if self.senders.get(&labels).is_none_or(|sent| sent.ended_at.is_some()) => {
                self.note(|| format!("fire {labels}"));
                self.senders.insert(labels, Sent { starts_at: self.now, ended_at: None });
                self.send_all();
            }
            40..65 => {
                let now = self.now;
                if let Some(sent) = self.senders.get_mut(&labels).filter(|sent| sent.ended_at.is_none()) {
                    sent.ended_at = Some(now);
                    self.note(|| format!("resolve {labels}"));
                    self.send_all();
                }
            }
            65..73 if self.features.silences => self.put_silence(&labels),
            73..78 if self.features.silences => self.expire_silence(),
            78..82 if self.features.reloads => self.reload(),
            82..86 if self.features.crashes => self.crash(),
            86..90 if self.features.disk_faults => {
                self.disk_works = !self.disk_works;
                let works = self.disk_works;
                self.note(|| format!("disk works: {works}"));
            }
            90..96 if self.features.receiver_faults => {
                self.receivers_work = !self.receivers_work;
                let works = self.receivers_work;
                self.note(|| format!("receivers work: {works}"));
            }
            _ => {}
        }
    }

    fn put_silence(&mut self, labels: &Labels) {
        let name = ["alertname", "host", "kind"][self.random.below(3) as usize];
        let value = labels.value(name).to_owned();
        self.ordinal += 1;
        let id = SilenceId::new(&format!("silence-{}", self.ordinal));
        let ends_at = self.now + Duration::from_secs(60 + self.random.below(1200));
        let draft = SilenceDraft {
            matcher_sets: vec![parse_matchers(&format!("{name}={value}"), MatcherMode::Fallback).unwrap()],
            ends_at: Some(ends_at),
            ..SilenceDraft::default()
        };
        let reply = ReplyTo(self.ordinal);
        let (acknowledged_at, labels) = (self.now, (name.to_owned(), value));
        let known = KnownSilence { acknowledged_at, expired_at: None, ends_at, labels };
        self.asked.insert(reply, (id.clone(), Some(known)));
        self.note(|| format!("silence {draft:?}"));
        self.step(Event::PutSilence { draft, fresh_id: id, reply });
    }

    fn expire_silence(&mut self) {
        let Some(id) = self.silences.keys().next_back().cloned() else { return };
        self.ordinal += 1;
        let reply = ReplyTo(self.ordinal);
        let now = self.now;
        if let Some(silence) = self.silences.get_mut(&id).filter(|silence| silence.expired_at.is_none()) {
            silence.expired_at = Some(now);
        }
        self.asked.insert(reply, (id.clone(), None));
        self.note(|| format!("expire {id}"));
        self.step(Event::ExpireSilence { id, reply });
    }

    fn reload(&mut self) {
        let before = self.variant;
        self.variant = self.random.below(3);
        if self.variant != before {
            // An alert that changes groups is told by the other one.
            self.last_loss = self.now;
        }
        self.config = Arc::new(config(self.variant, self.features.inhibition));
        let variant = self.variant;
        self.note(|| format!("reload {variant}"));
        self.step(Event::Reload(self.config.clone()));
    }

    fn run(mut self) -> (u32, u32, Option<String>) {
        let end = START + LENGTH;
        let mut next_send = START + SEND_EVERY;
        let mut next_act = START;
        let mut healed_at = None;
        loop {
            let later = self.later.keys().next().map_or(Timestamp::MAX, |(at, _)| *at);
            let wakeup = self.machine.next_wakeup().unwrap_or(Timestamp::MAX);
            let next = later.min(wakeup).min(next_send).min(next_act);
            if healed_at.is_some_and(|at| next > at + SETTLE) {
                break;
            }
            self.now = self.now.max(next);
            if next == later {
                if let Some((_, later)) = self.later.pop_first() {
                    self.happen(later);
                }
            } else if next == wakeup {
                self.step(Event::Tick);
            } else if next == next_send {
                next_send = self.now + SEND_EVERY;
                self.send_all();
            } else if self.now < end {
                next_act = self.now + Duration::from_millis(500) + self.random.millis(90_000);
                self.act();
            } else {
                next_act = Timestamp::MAX;
                healed_at = Some(self.now);
                self.heal();
            }
        }
        self.check_end();
        (self.messages, self.crashes, self.trace)
    }

    fn heal(&mut self) {
        self.note(|| "heal".to_owned());
        self.disk_works = true;
        self.receivers_work = true;
        let view = self.machine.view(self.now);
        for id in view.silences.iter().map(|view| view.silence.id.clone()) {
            self.ordinal += 1;
            let now = self.now;
            if let Some(silence) = self.silences.get_mut(&id).filter(|silence| silence.expired_at.is_none()) {
                silence.expired_at = Some(now);
            }
            let reply = ReplyTo(self.ordinal);
            self.step(Event::ExpireSilence { id, reply });
        }
    }

    fn fail(&self, problem: &str) -> ! {
        if let Some(trace) = &self.trace {
            println!("{trace}");
        }
        panic!("at {:?}, {:?}: {problem}", self.now.since(START), self.features);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_seed_tells_all_and_nothing_twice() {
    if let Some(seed) = number("FOGHORN_SEED") {
        let (_, _, trace) = Simulation::new(seed, true).run();
        println!("{}", trace.unwrap_or_default());
        return;
    }
    let (mut messages, mut crashes) = (0, 0);
    for seed in 0..number("FOGHORN_SEEDS").unwrap_or(200) {
        let outcome = std::panic::catch_unwind(|| Simulation::new(seed, false).run());
        match outcome {
            Ok((sent, died, _)) => {
                messages += sent;
                crashes += died;
            }
            Err(_) => panic!("seed {seed} fails; FOGHORN_SEED={seed} shows what happened"),
        }
    }
    // A simulation in which nothing happens proves nothing.
    assert!(messages > 300 && crashes > 30, "{messages} messages, {crashes} crashes");
}
