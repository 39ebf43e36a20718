//! The world around the server: time, a disk, receivers, senders, operators. One seed, one thread, one order of events.

mod life;
mod messages;
mod operators;
mod senders;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use alerting::{Answer, Effect, Event, ReplyTo};
use journal::simulated::{Fault, SimDisk};
use model::{Fingerprint, Notification, Timestamp};
use notify::{AttemptId, IntegrationKey};

use crate::plan::{self, Features, HOSTS, Name, OWN};
use crate::process::{Committer, Process, failure_of, name_of};
use crate::receivers::{Manner, Receivers};
use crate::reference::{KnownSilence, Reference};
use crate::setup::{INTERVALS, Setup, labels};
use crate::{Failure, Random, Summary};
use life::Death;
use senders::{Ends, SecondSender};

/// 2026-01-01T00:00:00Z, a Thursday.
const START: Timestamp = Timestamp::from_secs(1_767_225_600);
const MINUTE: u64 = 60_000;
/// For so long things happen; then everything heals.
const LENGTH: u64 = 100 * MINUTE;
/// An attempt that takes longer is cut off.
const ATTEMPT: u64 = 15_000;
/// The server looks at its clock at least this often.
const LONGEST_SLEEP: u64 = 10_000;
const POST_EVERY: u64 = MINUTE;
const CHECK_EVERY: u64 = 20_000;

/// Something that happens at a time.
enum Later {
    /// An operator or fate does something.
    Act,
    /// The group is evaluated, for this time by the server's clock.
    Evaluate(u64, usize, Timestamp),
    /// The other program posts what fires.
    Post,
    /// Another one does.
    PostToo,
    /// The disk has time for what waits.
    Disk(u64),
    /// The process starts.
    Start,
    /// The queue of an integration wakes up.
    Queue(u64, IntegrationKey),
    Arrive(Arc<Notification>),
    Answer(u64, IntegrationKey, AttemptId, Arc<Notification>, Manner),
    /// A queue asks whether a message that waited still holds.
    Turn(u64, notify::Turn),
    /// Whether everybody knows what they should.
    Check,
    /// An alert that was waiting for its group when the process died must have been told by now.
    Overdue(u64, Name, u64),
}

/// What was asked of the server and not answered.
enum Asked {
    /// Under this id, or, if what was there cannot become so, under the other one.
    Silence(String, KnownSilence, String),
    Expire(String),
    Posted(Vec<(Name, bool)>),
}

pub(crate) struct World {
    random: Random,
    features: Features,
    now: u64,
    /// What the server's clock is ahead, in milliseconds.
    skew: i64,
    later: BTreeMap<(u64, u64), Later>,
    ordinal: u64,
    disk: SimDisk,
    disk_works: bool,
    receivers_work: bool,
    process: Option<Process>,
    boots: u64,
    variant: u64,
    setup: Setup,
    reference: Reference,
    receivers: Receivers,
    names: BTreeMap<Fingerprint, Name>,
    /// What rules find, and what the other program posts.
    truth: BTreeSet<Name>,
    /// Ends that the other program goes on posting until then.
    ends_posted: Ends,
    /// A second sender of the same alerts, if there is one.
    second: SecondSender,
    asked: BTreeMap<ReplyTo, Asked>,
    /// When a message was decided on, by which process, and whether it is one from before a restart.
    decided: BTreeMap<Arc<str>, (u64, u64, bool)>,
    /// When an alert was last told by the group of the root, by name.
    root_told: BTreeMap<Name, u64>,
    /// Alerts that this process was given as firing, and since when.
    given: BTreeMap<Name, u64>,
    /// Alerts of which the server was last told that they ended, and when others began again after that.
    given_ends: BTreeSet<Name>,
    began_again: BTreeMap<Name, u64>,
    /// Alerts that the server certainly knows to fire, also after a restart.
    known_to_fire: BTreeSet<Name>,
    /// When something could not be written last.
    refused_at: u64,
    /// Messages of which it could not be written down that they go out.
    unrecorded: BTreeSet<Arc<str>>,
    /// What the clock said when the server last looked at it, in milliseconds since the start by that clock.
    last_seen: u64,
    /// When everything that the process knew was last written.
    all_written_at: u64,
    /// Alerts of whose end this process was told, and when.
    known_ends: BTreeMap<Name, u64>,
    /// Commits that record that a message was accepted.
    recording: BTreeMap<alerting::CommitId, Arc<str>>,
    /// When the server last wrote a sample.
    alive_until: Timestamp,
    /// When the server wakes up if nothing happens first; among what happens at that time, in this place.
    wake: Option<(u64, u64)>,
    /// Until when something was broken.
    broken_until: u64,
    /// When something last happened that excuses saying the same twice.
    excused_at: u64,
    /// Ends that arrived in the life of this process, and the messages that told them.
    ends: BTreeMap<(Arc<str>, Arc<str>, Name), Arc<str>>,
    /// When the clock was last set.
    clock_set_at: u64,
    healing: bool,
    trace: Option<String>,
    summary: Summary,
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let mut random = Random::new(seed);
        let features = Features::draw(seed, &mut random);
        let plan = plan::plan(0, &features);
        let names = Name::all().map(|name| (labels(&name).fingerprint(), name)).collect();
        World {
            disk: SimDisk::new(random.number()),
            setup: Setup::of(&plan),
            reference: Reference::new(plan),
            random,
            features,
            now: 0,
            skew: 0,
            later: BTreeMap::new(),
            ordinal: 0,
            disk_works: true,
            receivers_work: true,
            process: None,
            boots: 0,
            variant: 0,
            receivers: Receivers::default(),
            names,
            truth: BTreeSet::new(),
            ends_posted: Ends::new(),
            second: SecondSender::default(),
            asked: BTreeMap::new(),
            decided: BTreeMap::new(),
            root_told: BTreeMap::new(),
            given: BTreeMap::new(),

            given_ends: BTreeSet::new(),
            began_again: BTreeMap::new(),
            known_to_fire: BTreeSet::new(),
            refused_at: 0,
            unrecorded: BTreeSet::new(),
            last_seen: 0,
            all_written_at: 0,
            known_ends: BTreeMap::new(),
            recording: BTreeMap::new(),
            alive_until: START,
            wake: None,
            broken_until: 0,
            excused_at: 0,
            ends: BTreeMap::new(),
            clock_set_at: 0,
            healing: false,
            trace: traced.then(String::new),
            summary: Summary::default(),
        }
    }

    /// Lets everything happen. The summary, or the first thing that is wrong.
    pub(crate) fn run(mut self) -> (Result<Summary, Failure>, String) {
        let outcome = self.play();
        if outcome.is_err() {
            self.describe();
        }
        let trace = self.trace.take().unwrap_or_default();
        let features = self.features;
        let fail = |problem| Failure { problem, at_millis: self.now, features };
        (outcome.map(|()| self.summary).map_err(fail), trace)
    }

    fn play(&mut self) -> Result<(), String> {
        self.schedule(0, Later::Start);
        self.schedule(500, Later::Act);
        self.schedule(1500, Later::Post);
        if self.features.two_senders {
            self.schedule(POST_EVERY / 2, Later::PostToo);
        }
        self.schedule(CHECK_EVERY, Later::Check);
        let end = LENGTH + self.calm() + 2 * MINUTE;
        loop {
            let first = self.later.first_key_value().map(|(at, _)| *at);
            let wake = self.wake.filter(|wake| first.is_none_or(|first| *wake < first));
            let Some((at, _)) = wake.or(first).filter(|(at, _)| *at <= end) else { break };
            self.now = at;
            if wake.is_some() {
                self.wake = None;
                self.step(Event::Tick)?;
            } else if let Some((_, later)) = self.later.pop_first() {
                self.happen(later)?;
            }
            if self.now >= LENGTH && !self.healing {
                self.heal()?;
            }
        }
        let behind = self.process.as_ref().is_none_or(|process| process.alerting.sizes().behind);
        if behind {
            Err("durability: something is not written although the disk works".to_owned())
        } else {
            Ok(())
        }
    }

    /// How long after the last fault everybody must know everything: senders of alerts have six minutes after a restart to
    /// say that they still fire, and a group is looked at each minute and a half.
    fn calm(&self) -> u64 {
        if self.features.receiver_faults { 11 * MINUTE } else { 8 * MINUTE }
    }

    fn wall(&self) -> Timestamp {
        START.plus_millis(self.now as i64 + self.skew)
    }

    fn wall_millis(&self) -> u64 {
        (self.wall().as_millis() - START.as_millis()).max(0) as u64
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let skew = if self.skew == 0 { String::new() } else { format!(" ({:+} s)", self.skew / 1000) };
            let _ = writeln!(trace, "{:>9.3}{skew} {}", self.now as f64 / 1000.0, text());
        }
    }

    fn schedule(&mut self, after: u64, later: Later) {
        self.ordinal += 1;
        self.later.insert((self.now + after, self.ordinal), later);
    }

    fn boot(&self) -> Option<u64> {
        self.process.as_ref().map(|process| process.boot)
    }

    fn happen(&mut self, later: Later) -> Result<(), String> {
        match later {
            Later::Act if !self.healing => {
                let pause = self.random.between(500, 80_000);
                self.schedule(pause, Later::Act);
                self.act()?;
            }
            Later::Evaluate(boot, group, at) if self.boot() == Some(boot) => self.evaluate(group, at)?,
            Later::Post => {
                self.schedule(POST_EVERY, Later::Post);
                self.post()?;
            }
            Later::PostToo => {
                self.schedule(POST_EVERY, Later::PostToo);
                self.post_too()?;
            }
            Later::Disk(boot) if self.boot() == Some(boot) => self.write()?,
            Later::Start => self.start()?,
            Later::Queue(boot, key) if self.boot() == Some(boot) => self.pump(&key)?,
            Later::Arrive(message) => self.arrive(&message)?,
            Later::Answer(boot, key, id, message, manner) if self.boot() == Some(boot) => {
                self.answer(&key, id, &message, manner)?;
            }
            Later::Turn(boot, turn) if self.boot() == Some(boot) => self.turn(turn)?,
            Later::Check => {
                self.schedule(CHECK_EVERY, Later::Check);
                self.check()?;
            }
            Later::Overdue(boot, name, since) if self.boot() == Some(boot) => self.overdue(&name, since)?,
            _ => {}
        }
        Ok(())
    }

    /// Effects of one step are carried out in order; the process may die between any two.
    fn step(&mut self, event: Event) -> Result<(), String> {
        let accepted = match &event {
            Event::Delivered { notification, outcome: Ok(_) } => Some(notification.clone()),
            _ => None,
        };
        let (wall, millis) = (self.wall(), self.wall_millis());
        let Some(process) = &mut self.process else { return Ok(()) };
        self.last_seen = millis;
        let effects = process.step(wall, event);
        let (decisions, _) = process.alerting.take_decisions();
        for decision in decisions {
            self.decision(&decision)?;
        }
        let is_commit = |effect: &Effect| matches!(effect, Effect::Commit { .. });
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            if self.features.crashes && !self.healing && self.random.below(600) == 0 {
                let unwritten = is_commit(&effect) || effects.as_slice().iter().any(is_commit);
                self.die(if unwritten { Death::Writing } else { Death::Between });
                return Ok(());
            }
            self.carry_out(effect, accepted.as_deref())?;
        }
        self.sleep();
        Ok(())
    }

    fn sleep(&mut self) {
        let Some(process) = &self.process else { return };
        let due =
            process.alerting.next_wakeup().map_or(u64::MAX, |at| at.since(self.wall()).as_millis() as u64);
        self.ordinal += 1;
        self.wake = Some((self.now + due.min(LONGEST_SLEEP), self.ordinal));
    }

    fn carry_out(&mut self, effect: Effect, accepted: Option<&str>) -> Result<(), String> {
        match effect {
            Effect::Commit { id, changes } => {
                if let Some(notification) = accepted {
                    self.recording.insert(id, notification.into());
                }
                let delay = self.random.between(1, self.slowest_write());
                if let Some(process) = &mut self.process {
                    process.queue(id, changes);
                    let boot = process.boot;
                    self.schedule(delay, Later::Disk(boot));
                }
            }
            Effect::Deliver(message) => self.deliver(message)?,
            Effect::Withdraw { dedup_key, to } => self.withdraw(&dedup_key, &to)?,
            Effect::Reply { to, answer } => self.replied(to, &answer),
        }
        Ok(())
    }

    // The disk.

    /// After this time a disk that works has written.
    fn slowest_write(&self) -> u64 {
        if self.features.slow_disk { 8000 } else { 30 }
    }

    fn set_disk(&mut self, works: bool) {
        self.disk_works = works;
        self.disk.set_capacity(None);
    }

    fn write(&mut self) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.waiting.is_empty() {
            return Ok(());
        }
        let boot = process.boot;
        let mut dies = false;
        if !self.disk_works {
            match self.random.below(4) {
                0 => self.disk.fail_at(self.disk.calls() + self.random.below(3), Fault::Error),
                1 => self.disk.set_capacity(Some(self.disk.used() + self.random.below(200))),
                _ => self.disk.set_capacity(None),
            }
        }
        if self.features.crashes && !self.healing && self.random.below(300) == 0 {
            // In the middle of it.
            self.disk.fail_at(self.disk.calls() + self.random.below(4), Fault::Crash);
            dies = true;
        }
        let answers = process.commit();
        if dies {
            self.excused_at = self.now;
            self.die(Death::Writing);
            return Ok(());
        }
        process.tidy();
        for (committer, answer) in answers {
            if self.boot() != Some(boot) {
                break;
            }
            if let Err(error) = &answer {
                (self.excused_at, self.broken_until, self.refused_at) = (self.now, self.now, self.now);
                self.note(|| format!("not written: {error}"));
            }
            match (committer, answer) {
                (Committer::Alerting(id), Ok(())) => {
                    if let Some(notification) = self.recording.remove(&id) {
                        self.receivers.known.entry(notification).or_default().recorded = true;
                    }
                    self.step(Event::Committed(id))?;
                }
                (Committer::Alerting(commit), Err(error)) => {
                    self.recording.remove(&commit);
                    let (failure, message) = (failure_of(&error), error.to_string());
                    self.step(Event::CommitFailed { commit, failure, message })?;
                }
                (Committer::Rules(group), answer) => {
                    if let Some(process) = &mut self.process {
                        match answer {
                            Ok(()) => drop(process.unwritten.remove(&group)),
                            Err(_) => drop(process.unwritten.insert(group)),
                        }
                    }
                    self.send(group)?;
                }
            }
        }
        if self.process.as_ref().is_some_and(Process::has_written_all) {
            self.all_written_at = self.now;
        }
        Ok(())
    }

    // Rules and senders.

    fn next_evaluation(&mut self, boot: u64, group: usize) {
        let every = (INTERVALS[group] * 1000) as i64;
        let passed = self.wall().as_millis().rem_euclid(every);
        let wait = (every - passed) as u64;
        let at = self.wall().plus_millis(wait as i64);
        self.schedule(wait, Later::Evaluate(boot, group, at));
    }

    fn evaluate(&mut self, group: usize, at: Timestamp) -> Result<(), String> {
        let rules: &[&str] = if group == 0 { &OWN[..2] } else { &OWN[2..] };
        let fails = self.features.failed_evaluations && !self.healing;
        let mut found = Vec::new();
        for rule in rules {
            if fails && self.random.percent(15) {
                found.push(None);
                continue;
            }
            found.push(Some(
                self.truth.iter().filter(|name| name.alert == *rule).copied().collect::<Vec<_>>(),
            ));
        }
        let now = self.now;
        for (rule, found) in rules.iter().zip(&found) {
            for host in HOSTS {
                if let Some(found) = found {
                    let name = Name { alert: rule, host };
                    self.reference.found(name, found.contains(&name), now);
                } else {
                    self.broken_until = self.broken_until.max(now);
                }
            }
        }
        self.note(|| format!("rules of group {group} find {found:?} at {at:?}"));
        let Some(process) = &mut self.process else { return Ok(()) };
        let changed = process.evaluate(group, &found, at);
        self.alive_until = self.alive_until.max(at);
        let boot = process.boot;
        // The server's loop: late evaluations are missed ones, and a clock that went back starts the rhythm anew.
        let interval = Duration::from_secs(INTERVALS[group]);
        let (next, wall) = (at + interval, self.wall());
        if next > wall && next.since(wall) <= interval {
            self.schedule(next.since(wall).as_millis() as u64, Later::Evaluate(boot, group, next));
        } else {
            self.next_evaluation(boot, group);
        }
        if changed {
            let delay = self.random.between(1, self.slowest_write());
            if let Some(process) = &mut self.process {
                process.keep(group, wall);
                self.schedule(delay, Later::Disk(boot));
            }
            return Ok(());
        }
        self.send(group)
    }

    fn send(&mut self, group: usize) -> Result<(), String> {
        let wall = self.wall();
        let Some(process) = &mut self.process else { return Ok(()) };
        let alerts = process.alerts_to_send(group, wall);
        if alerts.is_empty() {
            return Ok(());
        }
        let names: Vec<(Name, bool)> =
            alerts.iter().filter_map(|alert| Some((name_of(&alert.labels)?, alert.ends_at > wall))).collect();
        self.note(|| format!("rules send {names:?}, the first until {:?}", alerts[0].ends_at));
        self.step(Event::Evaluated(alerts))?;
        self.note_given(&names);
        Ok(())
    }

    fn note_given(&mut self, names: &[(Name, bool)]) {
        if self.process.is_none() {
            return;
        }
        for (name, fires) in names {
            if *fires {
                self.given.entry(*name).or_insert(self.now);
                self.known_ends.remove(name);
                if self.given_ends.remove(name) {
                    self.began_again.insert(*name, self.now);
                }
            } else {
                self.given.remove(name);
                self.known_to_fire.remove(name);
                self.given_ends.insert(*name);
                self.known_ends.entry(*name).or_insert(self.now);
                self.root_told.remove(name);
            }
        }
    }

    fn replied(&mut self, to: ReplyTo, answer: &Answer) {
        let now = self.now;
        match (self.asked.remove(&to), answer) {
            (Some(Asked::Silence(id, known, _)), Answer::Silence(Ok(stored))) => {
                self.note(|| format!("{stored} is in force"));
                // By a clock that was set back meanwhile it begins now.
                let starts = known.starts.min(self.wall_millis());
                let known = KnownSilence { confirmed: Some(now), starts, ..known };
                if stored.as_str() != id
                    && let Some(old) = self.reference.silences.get_mut(&id)
                {
                    old.touched.get_or_insert(now);
                }
                self.reference.silences.insert(stored.as_str().to_owned(), known);
            }
            // It is not known whether it is there.
            (Some(Asked::Silence(id, known, fresh)), _) => {
                self.reference.perhaps(fresh, known.clone(), now);
                self.reference.perhaps(id, known, now);
            }
            (Some(Asked::Expire(id)), Answer::Expired(Ok(()))) => {
                let wall = self.wall_millis();
                if let Some(silence) = self.reference.silences.get_mut(&id) {
                    silence.by_hand |= wall < silence.ends_first && silence.over.is_none();
                    silence.over.get_or_insert(now);
                }
            }
            (Some(Asked::Posted(names)), Answer::Alerts(_)) => {
                for (name, _) in names.into_iter().filter(|(name, fires)| *fires && self.truth.contains(name))
                {
                    self.reference.posted(name, now);
                }
            }
            _ => {}
        }
        let wall = self.wall_millis();
        self.reference.look(now, wall);
    }

    /// From here on nothing goes wrong.
    fn heal(&mut self) -> Result<(), String> {
        self.healing = true;
        self.note(|| "everything heals".to_owned());
        self.set_disk(true);
        self.receivers_work = true;
        self.broken_until = self.now;
        self.schedule(0, Later::Start);
        for id in self.reference.silences.keys().cloned().collect::<Vec<_>>() {
            self.expire_one(&id)?;
        }
        let (now, wall) = (self.now, self.wall_millis());
        self.reference.look(now, wall);
        Ok(())
    }

    /// Whether everybody knows what they should.
    fn check(&mut self) -> Result<(), String> {
        let (now, wall) = (self.now, self.wall_millis());
        self.reference.look(now, wall);
        if !self.disk_works || !self.receivers_work || self.process.is_none() {
            self.broken_until = now;
        }
        let calm = self.calm();
        if self.broken_until + calm > now {
            return Ok(());
        }
        self.summary.checks += 1;
        match self.reference.unlearned(now - calm)[..] {
            [] => Ok(()),
            ref problems => Err(problems.join("\n")),
        }
    }
}
