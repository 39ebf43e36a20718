//! From decisions to receivers and back: queues, attempts, answers, and what is wrong with them.

use std::sync::Arc;
use std::time::Duration;

use alerting::{Decision, DecisionRecord, Destination, Event, MuteReason};
use model::{AlertStatus, Notification, NotifyReason, Receipt};
use notify::{Attempt, AttemptId, IntegrationKey, Start, Step};
use ports::{FailureReason, NotifyError};

use super::{ATTEMPT, Later, MINUTE, World};
use crate::plan::{Name, OWN, REPEAT_INTERVAL};
use crate::process::name_of;
use crate::receivers::{Excuses, Manner, stream};
use crate::reference::Belief;

/// What was decided so long ago may be sent without another look: what the queue grants, and time for the disk.
const FRESH: u64 = 1500;

impl World {
    /// What the server knows, at the end of the trace.
    pub(super) fn describe(&mut self) {
        let wall = self.wall();
        let Some(process) = &self.process else { return };
        let view = process.alerting.view(wall);
        let mut lines = Vec::new();
        for alert in &view.alerts {
            let (ends, heard) = (alert.alert.ends_at.since(wall), wall.since(alert.alert.updated_at));
            lines.push(format!(
                "fires {} for {ends:?}, heard {heard:?} ago, {:?}",
                alert.alert.labels, alert.told
            ));
        }
        for group in &view.groups {
            lines.push(format!(
                "group {} in {:?}: {:?}",
                group.key,
                group.next_flush.since(wall),
                group.deliveries
            ));
        }
        for (key, (lineup, _)) in &process.lineups {
            lines.push(format!("queue {key}: {}", lineup.len()));
        }
        for (name, life) in &self.reference.lives {
            lines.push(format!("reference {name:?}: {life:?}"));
        }
        lines.into_iter().for_each(|line| self.note(|| line));
    }

    pub(super) fn decision(&mut self, record: &DecisionRecord) -> Result<(), String> {
        let names: Vec<Name> =
            record.alerts.iter().filter_map(|alert| self.names.get(alert)).copied().collect();
        let (now, wall) = (self.now, self.wall_millis());
        self.note(|| format!("{:?} {:?} {names:?} {:?}", record.receiver, record.group, record.decision));
        match &record.decision {
            Decision::Send { notification, again, .. } => {
                self.decided.insert(notification.clone(), (now, self.boots, *again));
                for name in &names {
                    self.may_be_told(name, &record.receiver, 0)?;
                    if record.group.starts_with("{}:") {
                        self.root_told.insert(*name, now);
                    }
                }
            }
            // Should it have arrived all the same, nobody knows.
            Decision::Withdrawn { notification } => {
                self.receivers.known.entry(notification.clone()).or_default().given_up = true;
            }
            Decision::Unrecorded { notification, .. } => {
                self.unrecorded.insert(notification.clone());
            }
            Decision::Muted(MuteReason::Silenced(ids)) => {
                for id in ids {
                    let silence = self.reference.silences.get(id.as_str());
                    let may = silence.is_none_or(|silence| {
                        silence.over.is_none_or(|over| now <= over)
                            && silence.starts <= wall
                            && wall < silence.ends
                            || silence.touched.is_some() && silence.over.is_none()
                    });
                    if !may {
                        return Err(format!("wrong reason: {names:?} is held back by {id}, which is over"));
                    }
                }
            }
            Decision::Muted(MuteReason::Inhibited { by, .. }) => {
                let by = self.names.get(by).copied();
                let explained = names.iter().all(|name| {
                    by.is_some_and(|by| self.reference.explained_by(name).any(|other| other == by))
                });
                if !explained {
                    return Err(format!("wrong reason: {by:?} does not explain {names:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Nothing that certainly is muted, and was at least `for_millis` ago, is told.
    fn may_be_told(&self, name: &Name, receiver: &str, for_millis: u64) -> Result<(), String> {
        let (now, wall) = (self.now.saturating_sub(for_millis), self.wall_millis());
        if let Some(id) = self.reference.silenced_by(name, now, wall) {
            return Err(format!("muted: {name:?} is told although {id} silences it"));
        }
        let quiet = |wall| self.reference.is_quiet(&self.reference.plan.routes[1], wall);
        if receiver == "every" && quiet(wall) && quiet(wall.saturating_sub(for_millis)) {
            return Err(format!("muted: {name:?} is told in the quiet hour"));
        }
        // A reload may have brought the rule only now.
        let in_force = self.reference.plan_since <= now;
        for other in self.reference.explained_by(name).filter(|_| in_force) {
            let fires = self.given.get(&other).is_some_and(|since| since + 1 < now)
                && self.reference.lives[&other].held_since.is_some();
            if fires && self.broken_until + MINUTE < now && self.reference.goes_on(&other, now) {
                return Err(format!("muted: {name:?} is told although {other:?} explains it"));
            }
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, message: Arc<Notification>) -> Result<(), String> {
        self.summary.messages += 1;
        let (decided, _, again) = self.decided.get(&message.id).copied().unwrap_or((self.now, 0, true));
        let of = |status| message.alerts.iter().filter(move |alert| alert.status == status);
        if message.alerts.is_empty() {
            return Err("empty: a message without alerts".to_owned());
        }
        let said = |labels: &model::Labels| {
            let key = (message.receiver.clone(), message.integration.clone(), labels.clone());
            self.receivers.said_firing.contains(&key)
        };
        if message.status == AlertStatus::Resolved
            && !of(AlertStatus::Resolved).any(|alert| said(&alert.labels))
        {
            return Err(format!("resolved before firing: {}", show(&message)));
        }
        for alert in of(AlertStatus::Resolved) {
            if let Some(name) =
                name_of(&alert.labels).filter(|name| !again && self.reference.end_is_a_lie(name, decided))
            {
                return Err(format!("false end: {name:?} goes on: {}", show(&message)));
            }
        }
        for alert in of(AlertStatus::Firing) {
            let key = (message.receiver.clone(), message.integration.clone(), alert.labels.clone());
            self.receivers.said_firing.insert(key);
        }
        let (key, now) = (IntegrationKey::of(&message), Duration::from_millis(self.now));
        if let Some(process) = &mut self.process {
            process.lineup(&key).0.push(message, now);
        }
        self.pump(&key)
    }

    /// The server has nothing to tell any more.
    pub(super) fn withdraw(&mut self, dedup_key: &str, to: &Destination) -> Result<(), String> {
        let Destination { receiver, kind, index } = to.clone();
        let key = IntegrationKey { receiver, kind, index };
        self.note(|| format!("taken back at {key}"));
        if let Some(process) = &mut self.process {
            process.lineup(&key).0.withdraw(dedup_key);
        }
        self.pump(&key)
    }

    /// A queue asks whether a message still holds.
    pub(super) fn turn(&mut self, turn: notify::Turn) -> Result<(), String> {
        let message = turn.notification;
        self.note(|| format!("turn of {}", message.id));
        let to = Destination {
            receiver: message.receiver.clone(),
            kind: message.integration.clone(),
            index: message.index,
        };
        self.step(Event::Turn(alerting::Turn {
            notification: message.id.clone(),
            dedup_key: message.dedup_key.clone(),
            to,
            may_have_arrived: turn.may_have_arrived,
        }))
    }

    /// Starts what may start.
    pub(super) fn pump(&mut self, key: &IntegrationKey) -> Result<(), String> {
        let now = Duration::from_millis(self.now);
        while let Some(process) = &mut self.process {
            let (lineup, pace) = process.lineup(key);
            match lineup.start(now, pace) {
                None => break,
                Some(Start::Attempt(attempt)) => self.attempt(key, attempt)?,
                Some(Start::Turn(turn)) => {
                    let (boot, delay) = (process.boot, self.random.between(1, 5));
                    self.schedule(delay, Later::Turn(boot, turn));
                }
            }
        }
        if let Some(process) = &mut self.process {
            let (lineup, pace) = process.lineup(key);
            let Some(next) = lineup.next_start(pace) else { return Ok(()) };
            let boot = process.boot;
            let after = next.saturating_sub(now).as_millis() as u64;
            self.schedule(after.max(1), Later::Queue(boot, key.clone()));
        }
        Ok(())
    }

    fn attempt(&mut self, key: &IntegrationKey, attempt: Attempt) -> Result<(), String> {
        let Some(boot) = self.boot() else { return Ok(()) };
        let Attempt { id, notification, attempt, may_have_arrived } = attempt;
        self.note(|| format!("attempt {attempt} of {}", show(&notification)));
        if self.receivers.asked_to_wait.get(key).is_some_and(|until| self.now < *until) {
            return Err(format!("impatient: it was asked to wait: {}", show(&notification)));
        }
        if !self.receivers.under_way.insert(stream(&notification)) {
            return Err(format!("two at once: {}", show(&notification)));
        }
        self.still_holds(&notification, may_have_arrived)?;
        // What began again is told again.
        let names = notification.alerts.iter().filter_map(|alert| name_of(&alert.labels));
        let began =
            |name: Name| self.reference.lives[&name].held_since.max(self.began_again.get(&name).copied());
        let begun = names.filter_map(began).max();
        let excuses = Excuses {
            since: self.excused_at.max(begun.unwrap_or(0)),
            boot,
            disk_is_sound: !self.features.disk_faults,
            repeat_millis: REPEAT_INTERVAL * 1000,
        };
        if let Some(problem) = self.receivers.attempted(&notification, self.wall(), &excuses) {
            return Err(format!("{problem}: {}", show(&notification)));
        }
        let manner = self.manner(key);
        let (arrives, answers) = match manner {
            Manner::Accepts(delay) => (Some(delay / 2), delay),
            Manner::ForgetsToAnswer(delay) => (Some(delay), ATTEMPT),
            Manner::Hangs => (None, ATTEMPT),
            Manner::Refuses | Manner::Rejects | Manner::AsksToWait(_) => (None, 50),
        };
        if let Some(delay) = arrives {
            self.schedule(delay, Later::Arrive(Arc::clone(&notification)));
        }
        let answer = Later::Answer(boot, key.clone(), id, notification, manner);
        self.schedule(answers, answer);
        Ok(())
    }

    /// What goes out is what holds now, however long it waited: nothing in it is muted, what ended is not said to fire,
    /// and what joined the group is there. What may have arrived before may be said as it was, but for what is muted.
    fn still_holds(&self, message: &Notification, may_have_arrived: bool) -> Result<(), String> {
        if self.clock_set_at + MINUTE > self.now && self.clock_set_at > 0 {
            return Ok(());
        }
        for alert in message.alerts.iter() {
            let Some(name) = name_of(&alert.labels) else { continue };
            self.may_be_told(&name, &message.receiver, FRESH)?;
        }
        let fires = |name: &Name| {
            let mut firing = message.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
            firing.any(|alert| name_of(&alert.labels) == Some(*name))
        };
        let (.., again) = self.decided.get(&message.id).copied().unwrap_or((self.now, 0, true));
        if may_have_arrived || again || self.reference.plan_since + MINUTE > self.now {
            return Ok(());
        }
        // Of two senders the one says that it is over, and the other that it is not.
        let certain = |name: &Name| !self.features.two_senders || OWN.contains(&name.alert);
        for name in Name::all().filter(|name| fires(name) && certain(name)) {
            if self.known_ends.get(&name).is_some_and(|at| at + FRESH < self.now) {
                return Err(format!("old: {name:?} is over, and that is known: {}", show(message)));
            }
        }
        for (name, since) in &self.given {
            let life = &self.reference.lives[name];
            let (now, wall) = (self.now, self.wall_millis());
            let muted = [0, FRESH].iter().any(|ago| {
                self.reference.may_be_muted(name, now.saturating_sub(*ago), wall.saturating_sub(*ago))
            });
            let unmuted = !muted && life.last_muted.is_none_or(|at| at + FRESH < now);
            let of_group = self.reference.routes(name).any(|route| {
                let below =
                    route.picks.as_ref().map_or(String::new(), |pick| format!("/{{{}}}", pick.text()));
                message.group_key.starts_with(&format!("{{}}{below}:"))
                    && message.group_labels.iter().all(|(label, value)| name.label(label) == value)
                    && route.group_by.as_ref().is_none_or(|labels| labels.len() == message.group_labels.len())
            });
            // What was given may wait again by now: `for` was raised.
            let goes_on = life.held_since.is_some() && life.firing_since.is_some();
            let belongs = of_group && since + FRESH < self.now && goes_on && unmuted;
            if belongs && !fires(name) {
                return Err(format!("old: {name:?} fires and is left out: {}", show(message)));
            }
        }
        Ok(())
    }

    fn manner(&mut self, key: &IntegrationKey) -> Manner {
        let quick = self.random.between(20, 600);
        if self.features.rate_limits
            && let Some(until) = self.receivers.over_limit(key, self.now)
        {
            return Manner::AsksToWait(self.random.percent(80).then_some(until - self.now));
        }
        if self.receivers_work {
            return Manner::Accepts(quick);
        }
        match self.random.below(100) {
            0..25 => Manner::Refuses,
            25..35 => Manner::Rejects,
            35..50 => Manner::ForgetsToAnswer(quick),
            50..60 => Manner::Hangs,
            60..80 => Manner::AsksToWait(Some(self.random.between(1000, 120_000))),
            80..90 => Manner::Accepts(self.random.between(1000, 14_000)),
            _ => Manner::Accepts(quick),
        }
    }

    pub(super) fn arrive(&mut self, message: &Arc<Notification>) -> Result<(), String> {
        self.note(|| format!("arrives: {} {}", message.id, show(message)));
        let (decided, boot) =
            self.decided.get(&message.id).map_or((self.now, 0), |(at, boot, _)| (*at, *boot));
        for alert in message.alerts.iter() {
            let Some(name) = name_of(&alert.labels) else { continue };
            let key = (message.receiver.clone(), message.integration.clone(), name);
            match alert.status {
                AlertStatus::Firing => {
                    self.reference
                        .beliefs
                        .insert(key, Belief { since: decided, message: message.id.clone(), known: false });
                }
                AlertStatus::Resolved => {
                    self.reference.beliefs.remove(&key);
                    match self.boot() == Some(boot) {
                        true => drop(self.ends.insert(key, message.id.clone())),
                        false => self.end_is_forgotten(key, message.id.clone()),
                    }
                }
            }
        }
        let wall = self.wall();
        self.receivers.arrive(message, self.now, wall);
        Ok(())
    }

    pub(super) fn answer(
        &mut self,
        key: &IntegrationKey,
        id: AttemptId,
        message: &Arc<Notification>,
        manner: Manner,
    ) -> Result<(), String> {
        let later = |message: &str, after, reason| {
            let may_have_arrived = reason == FailureReason::ContextDeadlineExceeded;
            Err(NotifyError::Later { message: message.to_owned(), after, reason, may_have_arrived })
        };
        let outcome = match manner {
            Manner::Accepts(_) => Ok(Receipt::default()),
            Manner::Rejects => Err(NotifyError::Refused {
                message: "refused with status 400".to_owned(),
                reason: FailureReason::ClientError,
            }),
            Manner::Refuses => later("refused with status 503", None, FailureReason::ServerError),
            Manner::ForgetsToAnswer(_) | Manner::Hangs => {
                later("no answer within 15s", None, FailureReason::ContextDeadlineExceeded)
            }
            Manner::AsksToWait(millis) => {
                later("too many", millis.map(Duration::from_millis), FailureReason::RateLimited)
            }
        };
        if let Manner::AsksToWait(Some(millis)) = manner {
            let until = self.receivers.asked_to_wait.entry(key.clone()).or_default();
            *until = (*until).max(self.now + millis);
        }
        self.receivers.under_way.remove(&stream(message));
        let boot = self.boot();
        if outcome.is_ok() {
            self.receivers.known.entry(message.id.clone()).or_default().answered = boot;
            for alert in message.alerts.iter() {
                let Some(name) = name_of(&alert.labels) else { continue };
                let key = (message.receiver.clone(), message.integration.clone(), name);
                if let Some(belief) = self.reference.beliefs.get_mut(&key).filter(|b| b.message == message.id)
                {
                    belief.known = true;
                }
            }
        }
        let (now, chance) = (Duration::from_millis(self.now), self.random.number());
        let Some(process) = &mut self.process else { return Ok(()) };
        let (lineup, pace) = process.lineup(key);
        let step = lineup.finish(id, outcome, now, chance, pace);
        if matches!(manner, Manner::ForgetsToAnswer(_) | Manner::Hangs) {
            self.receivers.known.entry(message.id.clone()).or_default().in_doubt = true;
        }
        if let Step::Done(report) = step {
            let in_doubt = self.receivers.known.get(&message.id).is_some_and(|known| known.in_doubt);
            if report.outcome.is_err() && matches!(manner, Manner::AsksToWait(_)) && !in_doubt {
                return Err("given up: the receiver only asked to wait".to_owned());
            }
            if report.outcome.is_err() {
                self.receivers.known.entry(report.notification.id.clone()).or_default().given_up = true;
            }
            let outcome = report.outcome.map_err(|failure| failure.message);
            self.note(|| format!("outcome of {}: {outcome:?}", report.notification.id));
            self.step(Event::Delivered { notification: report.notification.id.clone(), outcome })?;
        }
        self.pump(key)
    }
}

fn show(message: &Notification) -> String {
    let alerts: Vec<String> =
        message.alerts.iter().map(|a| format!("{} {}", a.status.as_str(), a.labels)).collect();
    let reason: NotifyReason = message.reason;
    format!("{}/{}: {}: {}", message.receiver, message.integration, reason.as_str(), alerts.join(", "))
}
