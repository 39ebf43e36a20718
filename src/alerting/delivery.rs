//! From a decided notification to the answer of the other side.

use std::sync::Arc;

use model::{AlertStatus, Fingerprint, Notification, PlantedBug, Receipt, Timestamp};

use crate::alerting::Alerting;
use crate::flush::keep_for;
use crate::group::GroupId;
use crate::notification_log::{Attempt, Destination, contains};
use crate::timers::Timer;
use crate::{Decision, Effect, Few, Turn};
use std::time::Duration;

/// Delivery answers on its own when its time is over, and may have to wait before that for as long as the other side asks;
/// this is for when it does not answer at all.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(3600);

/// Answers that are no longer waited for and may still come are remembered up to this many: how long they take cannot be
/// told by a clock that somebody sets.
const OVERDUE_MAX: usize = 10_000;
/// What was decided longer ago than this is decided again before it goes out.
const FRESH: Duration = Duration::from_secs(1);

/// A notification that was decided on and not answered.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub group: Arc<str>,
    pub destination: Destination,
    pub decided: Timestamp,
    /// Until it goes out.
    pub message: Option<Arc<Notification>>,
}

/// A notification that was not answered and is no longer waited for.
#[derive(Debug)]
pub(crate) struct Overdue {
    group: Arc<str>,
    destination: Destination,
    sequence: u64,
    attempt: Box<Attempt>,
}

impl Alerting {
    /// A notification is written down, or cannot be. It goes out, unless that took so long that something else may hold
    /// by now.
    pub(crate) fn go_out(&mut self, id: &Arc<str>) {
        let Some(delivery) = self.deliveries.get_mut(id) else { return };
        if delivery.decided + FRESH >= self.now {
            return self.deliver(id);
        }
        let Some(message) = delivery.message.take() else { return };
        let (notification, to) = (id.clone(), delivery.destination.clone());
        let (dedup_key, may_have_arrived) = (message.dedup_key.clone(), false);
        self.turn(Turn { notification, dedup_key, to, may_have_arrived });
    }

    /// A notification goes out.
    pub(crate) fn deliver(&mut self, id: &Arc<str>) {
        let Some(message) = self.deliveries.get_mut(id).and_then(|delivery| delivery.message.take()) else {
            return;
        };
        let patience = message.give_up_after + DELIVERY_PATIENCE;
        self.timers.set(Timer::Delivery(id.clone()), self.now + patience);
        self.effects.push(Effect::Deliver(message));
    }

    /// A notification could not be written down, and goes out all the same.
    pub(crate) fn deliver_unrecorded(&mut self, id: &Arc<str>, message: &str) {
        if let Some(delivery) = self.deliveries.get(id) {
            let (group, to) = (delivery.group.clone(), delivery.destination.clone());
            let (notification, message) = (id.clone(), message.to_owned());
            self.decide(&group, &to, Few::new(), Decision::Unrecorded { notification, message });
        }
        self.go_out(id);
    }

    /// A notification does not go out: somebody else decides about its group.
    pub(crate) fn abandon(&mut self, id: &Arc<str>, message: &str) {
        let delivery = self.deliveries.get(id);
        if let Some((to, message)) = delivery.and_then(|d| Some((d.destination.clone(), d.message.as_ref()?)))
        {
            // It may be the answer to a turn.
            self.effects.push(Effect::Withdraw { dedup_key: message.dedup_key.clone(), to });
        }
        self.answered(id, Err(message.to_owned()));
    }

    pub(crate) fn delivered(&mut self, id: &Arc<str>, outcome: Result<Receipt, String>) {
        self.timers.clear(&Timer::Delivery(id.clone()));
        self.answered(id, outcome);
    }

    pub(crate) fn no_longer_wait(&mut self, id: &Arc<str>) {
        if let Some(Delivery { group, destination, .. }) = self.deliveries.get(id)
            && let Some(entry) = self.log.get(group, destination)
            && let Some(attempt) = entry.attempt.clone()
        {
            let (group, destination) = (group.clone(), destination.clone());
            let overdue = Overdue { group, destination, sequence: entry.sequence, attempt };
            // Only the last one of each integration counts.
            self.overdue.retain(|_, other| {
                (&other.group, &other.destination) != (&overdue.group, &overdue.destination)
            });
            if self.overdue.len() >= OVERDUE_MAX {
                self.overdue.clear();
            }
            self.overdue.insert(id.clone(), overdue);
        }
        self.answered(id, Err("delivery does not answer".to_owned()));
    }

    /// A message that counts as given up was delivered after all: it need not go out again.
    fn delivered_late(&mut self, id: &Arc<str>, receipt: Receipt) {
        let Some(Overdue { group: key, destination: to, sequence, attempt }) = self.overdue.remove(id) else {
            return;
        };
        // With its group the entry may be gone too.
        let is_last = self.log.get(&key, &to).is_none_or(|entry| {
            entry.attempt.is_none() && entry.failed.is_some() && entry.sequence == sequence
        });
        if is_last {
            let firing = attempt.firing.clone();
            let entry = self.log.entry(&key, &to);
            (entry.sequence, entry.attempt, entry.failed) = (sequence, Some(attempt), None);
            let group = self.groups.find(&key);
            self.accepted(id, &key, &to, group, receipt);
            self.take_back_ended(&firing);
        }
    }

    /// Alerts that ended when nobody seemed to know of them left their groups: now somebody has to hear of their end.
    fn take_back_ended(&mut self, told: &[Fingerprint]) {
        for id in self.alerts.ids() {
            let entry = self.alerts.get(id);
            if entry.status(self.now) == AlertStatus::Resolved && contains(told, entry.fingerprint) {
                self.rejoin_where_open(id);
            }
        }
    }

    fn answered(&mut self, id: &Arc<str>, outcome: Result<Receipt, String>) {
        let Some(Delivery { group: key, destination: to, .. }) = self.deliveries.remove(id) else {
            if let Ok(receipt) = outcome {
                self.delivered_late(id, receipt);
            }
            return;
        };
        let group = self.groups.find(&key);
        match outcome {
            Ok(receipt) => self.accepted(id, &key, &to, group, receipt),
            Err(message) => {
                if PlantedBug::FailureCountsAsDelivered.is_planted() {
                    return self.accepted(id, &key, &to, group, Receipt::default());
                }
                if let Some(entry) = self.log.get_mut(&key, &to) {
                    entry.failed = entry.attempt.take();
                    if PlantedBug::EndIsLostWhenDeliveryFails.is_planted() {
                        let ended =
                            entry.failed.clone().map_or_else(Default::default, |failed| failed.resolved);
                        for alert in ended {
                            entry.forget(alert);
                        }
                    }
                    self.write_log(&key, &to);
                }
                self.stats.notifications.entry(to.kind.clone()).or_default().failed += 1;
                let notification = id.clone();
                self.decide(&key, &to, Few::new(), Decision::Failed { notification, message });
            }
        }
        let Some(group) = group else { return };
        let missed = &mut self.groups.get_mut(group).missed;
        match missed.iter().position(|other| *other == to) {
            Some(at) => {
                missed.remove(at);
                self.flush_one(group, &to);
            }
            None => {
                let config = self.config.clone();
                self.release(group, &config);
            }
        }
    }

    fn accepted(
        &mut self,
        id: &Arc<str>,
        key: &Arc<str>,
        to: &Destination,
        group: Option<GroupId>,
        receipt: Receipt,
    ) {
        let config = self.config.clone();
        let group = group.map(|group| self.groups.get(group));
        let keep = group.map_or(config.retention, |g| keep_for(&config, config.routes.route(g.route)));
        let send_resolved = config.receiver(&to.receiver).is_some_and(|receiver| {
            let one = |i: &&crate::Integration| i.kind == to.kind && i.index == to.index;
            receiver.integrations.iter().find(one).is_some_and(|integration| integration.send_resolved)
        });
        // Alerts that are there and may come to an end that has to be told. Who was told nothing before holds none of them.
        let told_before = self.log.get(key, to).is_some_and(|entry| entry.told.is_some());
        let mut members: Vec<_> = group
            .filter(|_| told_before)
            .iter()
            .flat_map(|group| group.members.ids())
            .map(|alert| self.alerts.get(alert))
            .filter(|entry| send_resolved || !entry.ended)
            .map(|entry| entry.fingerprint)
            .collect();
        members.sort_unstable();
        let is_member = |alert| members.binary_search(&alert).is_ok();
        if let Some(entry) = self.log.get_mut(key, to) {
            entry.accept(self.now, receipt.remember, keep, is_member);
            if !PlantedBug::ToldIsNotWritten.is_planted() {
                self.write_log(key, to);
            }
        }
        self.decide(key, to, Few::new(), Decision::Delivered { notification: id.clone() });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::Labels;

    use super::*;
    use crate::{
        AlertDraft, AlertingConfig, Event, GroupBy, Integration, Receiver, ReplyTo, RouteSpec, RouteTree,
    };

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn machine() -> Alerting {
        let group_by = Some(GroupBy::All);
        let group_wait = Some(Duration::ZERO);
        let spec = RouteSpec { receiver: Some("ops".into()), group_by, group_wait, ..Default::default() };
        let integrations = vec![Integration { kind: "webhook".into(), index: 0, send_resolved: true }];
        let receiver = Receiver { name: "ops".into(), labels: Labels::empty(), integrations };
        Alerting::new(Arc::new(AlertingConfig::new(RouteTree::build(&spec), vec![receiver])), NOW)
    }

    /// Carries out effects until nothing follows; what is to be delivered, and how many commits that took.
    fn carry_out(
        machine: &mut Alerting,
        mut effects: Vec<Effect>,
        disk: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> (Vec<Arc<str>>, usize) {
        let (mut messages, mut commits) = (Vec::new(), 0);
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    Effect::Commit { id, changes } => {
                        commits += 1;
                        for change in changes {
                            match change.value {
                                Some(value) => drop(disk.insert(change.key, value)),
                                None => drop(disk.remove(&change.key)),
                            }
                        }
                        effects.extend(machine.step(NOW, Event::Committed(id)));
                    }
                    Effect::Deliver(message) => messages.push(message.id.clone()),
                    Effect::Reply { .. } | Effect::Withdraw { .. } => {}
                }
            }
        }
        (messages, commits)
    }

    #[test]
    fn outcomes_that_come_together_lead_where_each_alone_leads_with_one_commit() {
        let run = |together: bool| {
            let (mut machine, mut disk) = (machine(), BTreeMap::new());
            let alert = |name| AlertDraft {
                labels: Labels::from([("alertname", name)]),
                starts_at: Some(NOW),
                ..Default::default()
            };
            let alerts = ["a", "b", "c"].map(alert).into();
            let effects = machine.step(NOW, Event::PostAlerts { alerts, reply: ReplyTo(0) });
            let (messages, _) = carry_out(&mut machine, effects, &mut disk);
            let outcomes = [Ok(Receipt::default()), Err("busy".to_owned()), Ok(Receipt::default())];
            let events: Vec<Event> = messages
                .into_iter()
                .zip(outcomes)
                .map(|(notification, outcome)| Event::Delivered { notification, outcome })
                .collect();
            let steps = match together {
                true => vec![events],
                false => events.into_iter().map(|event| vec![event]).collect(),
            };
            let mut commits = 0;
            for events in steps {
                let effects = machine.step_all(NOW, events);
                commits += carry_out(&mut machine, effects, &mut disk).1;
            }
            (commits, disk, machine.take_decisions(), machine.next_wakeup())
        };
        let (together, alone) = (run(true), run(false));
        assert_eq!((together.0, alone.0), (1, 3));
        assert_eq!((together.1, together.2, together.3), (alone.1, alone.2, alone.3));
    }
}
