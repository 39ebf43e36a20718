//! Alerts come in: merged with what is known, routed to groups, written down.

use std::sync::Arc;
use std::time::Duration;

use model::{ALERT_NAME, Alert, AlertStatus, Labels, PlantedBug, Timestamp};

use crate::alert_store::{AlertEntry, AlertId};
use crate::alerting::Alerting;
use crate::commits::Then;
use crate::group::{AggregationGroup, GroupId, group_key};
use crate::record::{self, GroupRecord, Key};
use crate::route::RouteId;
use crate::timers::Timer;
use crate::{AlertDraft, AlertError, AlertsAnswer, ReplyTo, merge_alert};

/// How long an alert is known after nobody has to hear of it any more: senders repeat that it ended for a while, and a new
/// episode may overlap with the old one.
const KNOWN_AFTER_END: Duration = Duration::from_secs(15 * 60);

/// An alert is given at least this long to be heard of again after nobody could be heard.
const GRACE_MIN: Duration = Duration::from_secs(60);

impl Alerting {
    pub(crate) fn take_posted(&mut self, drafts: Vec<AlertDraft>, reply: ReplyTo) {
        let mut answer = AlertsAnswer::default();
        let (resolve_timeout, mode) = (self.config.resolve_timeout, self.config.matcher_mode);
        // Alerts of one rule come together, and have the same link: one text for all of them.
        let mut link: Arc<str> = Arc::default();
        for (position, mut draft) in drafts.into_iter().enumerate() {
            match draft.generator_url == link {
                true => draft.generator_url = link.clone(),
                false => link = draft.generator_url.clone(),
            }
            let checked = draft.check(self.now, resolve_timeout, mode);
            if checked.is_err() {
                self.stats.received_invalid += 1;
            }
            match checked.and_then(|alert| self.take_alert(alert)) {
                Ok(()) => answer.taken += 1,
                Err(error) => answer.refused.push((position, error)),
            }
        }
        self.commits.then(Then::Answer(reply, answer));
    }

    /// From our own rules. They hear of a refusal through the counter only: they find the alert again soon.
    pub(crate) fn take_own(&mut self, alert: Alert) {
        let _ = self.take_alert(alert);
    }

    fn take_alert(&mut self, update: Alert) -> Result<(), AlertError> {
        let firing = update.status(self.now) == AlertStatus::Firing;
        match firing {
            true => self.stats.received_firing += 1,
            false => self.stats.received_resolved += 1,
        }
        let known = self.alerts.find(&update.labels);
        let grouped = known.is_some_and(|id| !self.alerts.get(id).groups.is_empty());
        if firing && !grouped {
            self.check_limit(&update.labels)?;
        }
        let before = known.map(|id| self.alerts.get(id)).map(|entry| (entry.alert.clone(), entry.ended));
        let id = match known {
            Some(id) => {
                let merged = merge_alert(&self.alerts.get(id).alert, update, self.now);
                self.replace(id, merged);
                id
            }
            None => self.add_alert(update, false),
        };
        match self.alerts.get(id).status(self.now) {
            AlertStatus::Firing => self.join_groups(id),
            // It ended. Groups that it is in find that out at their next flush; others only care if somebody believes
            // that it fires.
            AlertStatus::Resolved if !grouped => self.rejoin_where_open(id),
            AlertStatus::Resolved => {}
        }
        if before.is_none_or(|(alert, ended)| self.would_mislead(id, &alert, ended)) {
            self.write_alert(id);
        }
        Ok(())
    }

    fn check_limit(&mut self, labels: &Labels) -> Result<(), AlertError> {
        let name = labels.value(ALERT_NAME);
        match self.config.limits.alerts_per_name_max {
            Some(limit) if self.alerts.grouped(name) >= limit => {
                self.stats.refused_by_limit += 1;
                Err(AlertError::TooMany { name: name.to_owned(), limit })
            }
            _ => Ok(()),
        }
    }

    /// Stores an alert that was not known.
    pub(crate) fn add_alert(&mut self, alert: Alert, ended: bool) -> AlertId {
        let sides = self.inhibitor.sides(&alert.labels);
        let (labels, ends_at) = (alert.labels.clone(), alert.ends_at);
        let entry = AlertEntry {
            fingerprint: labels.fingerprint(),
            ended,
            routes: self.config.routes.matching(&labels),
            groups: Default::default(),
            sides: sides.clone(),
            silences: Default::default(),
            written_end: None,
            alert: Arc::new(alert),
        };
        let id = self.alerts.insert(entry);
        if !ended {
            self.inhibitor.insert(id, &labels, &sides, ends_at);
        }
        id
    }

    /// Puts a newer version in place of an alert.
    pub(crate) fn replace(&mut self, id: AlertId, alert: Alert) {
        let entry = self.alerts.get_mut(id);
        if !entry.ended {
            self.inhibitor.remove(id, &entry.alert.labels, &entry.sides, entry.alert.ends_at);
        }
        entry.ended &= alert.status(self.now) == AlertStatus::Resolved;
        if !entry.ended {
            self.inhibitor.insert(id, &alert.labels, &entry.sides, alert.ends_at);
        }
        entry.alert = Arc::new(alert);
    }

    /// Puts a firing alert into the groups of all its routes.
    pub(crate) fn join_groups(&mut self, id: AlertId) {
        let entry = self.alerts.get(id);
        if entry.groups.len() == entry.routes.len() {
            // One that is repeated is in all of them.
            for group in entry.groups.clone() {
                self.hurry(id, group);
            }
            return self.write_if_new(id);
        }
        for route in self.alerts.get(id).routes.clone() {
            let group = self.group_of(id, route);
            self.join(id, group);
            self.hurry(id, group);
        }
        self.write_if_new(id);
    }

    /// Puts a firing alert into those groups of its routes in which it is not yet.
    pub(crate) fn join_new_groups(&mut self, id: AlertId) {
        for route in self.alerts.get(id).routes.clone() {
            let group = self.group_of(id, route);
            if !self.alerts.get(id).groups.contains(&group) {
                self.join(id, group);
                self.hurry(id, group);
            }
        }
        self.write_if_new(id);
    }

    fn write_if_new(&mut self, id: AlertId) {
        if self.alerts.get(id).written_end.is_none() {
            self.write_alert(id);
        }
    }

    /// The group of a route that an alert belongs to, made if there is none.
    pub(crate) fn group_of(&mut self, id: AlertId, route_id: RouteId) -> GroupId {
        let route = self.config.routes.route(route_id);
        let labels = route.group_by.group_labels(&self.alerts.get(id).alert.labels);
        let key = group_key(route, &labels);
        if let Some(group) = self.groups.find(&key) {
            return group;
        }
        let next_flush = (self.now + route.group_wait).max(self.quiet_until);
        let group = self.groups.insert(AggregationGroup::new(key, route_id, labels, next_flush));
        self.set_flush(group, next_flush);
        self.write_group(group);
        group
    }

    pub(crate) fn join(&mut self, id: AlertId, group: GroupId) {
        self.timers.clear(&Timer::Forget(id));
        self.groups.get_mut(group).members.insert(id);
        self.alerts.join(id, group);
    }

    /// A group that was not flushed yet does not wait for an alert that is older than the wait.
    fn hurry(&mut self, id: AlertId, group_id: GroupId) {
        let group = self.groups.get(group_id);
        let group_wait = self.config.routes.route(group.route).group_wait;
        let starts_at = self.alerts.get(id).alert.starts_at;
        if !group.flushed && starts_at + group_wait < self.now {
            self.set_flush(group_id, group.next_flush.min(self.now.max(self.quiet_until)));
        }
    }

    /// An alert that ended joins the groups in which an integration believes that it fires.
    pub(crate) fn rejoin_where_open(&mut self, id: AlertId) {
        let entry = self.alerts.get(id);
        let (fingerprint, labels) = (entry.fingerprint, entry.alert.labels.clone());
        for route_id in entry.routes.clone() {
            let route = self.config.routes.route(route_id);
            let key = group_key(route, &route.group_by.group_labels(&labels));
            let concerns = |entry: &crate::notification_log::LogEntry| {
                entry.is_open(fingerprint) || entry.is_under_way(fingerprint)
            };
            if self.log.of_group(&key).iter().any(|(_, entry)| concerns(entry)) {
                let group = self.group_of(id, route_id);
                self.join(id, group);
            }
        }
        if self.alerts.get(id).groups.is_empty() {
            self.timers.set(Timer::Forget(id), self.now + KNOWN_AFTER_END);
        }
    }

    /// Takes an alert out of a group. One that is in no group any more is forgotten soon, and not written down.
    pub(crate) fn leave(&mut self, id: AlertId, group: GroupId) {
        self.groups.get_mut(group).members.remove(id);
        if !self.alerts.leave(id, group) {
            return;
        }
        self.timers.set(Timer::Forget(id), self.now + KNOWN_AFTER_END);
        let entry = self.alerts.get_mut(id);
        if entry.written_end.take().is_some() {
            self.commits.put(Key::Alert(entry.alert.labels.clone()), None);
        }
    }

    pub(crate) fn forget_alert(&mut self, id: AlertId) {
        let entry = self.alerts.get(id);
        assert!(entry.groups.is_empty(), "an alert is forgotten only when it is in no group");
        if entry.status(self.now) == AlertStatus::Firing {
            // Heard of as firing and in no group: only the clock can have done this. Its sender will repeat it.
            self.timers.set(Timer::Forget(id), self.now + KNOWN_AFTER_END);
            return;
        }
        let entry = self.alerts.remove(id).expect("it was there a moment ago");
        if !entry.ended {
            self.inhibitor.remove(id, &entry.alert.labels, &entry.sides, entry.alert.ends_at);
        }
    }

    pub(crate) fn set_flush(&mut self, group: GroupId, at: Timestamp) {
        self.groups.get_mut(group).next_flush = at;
        self.timers.set(Timer::Flush(group), at);
    }

    /// Whether what is written of an alert would mislead after a restart, now that it is no longer as `before`.
    ///
    /// Senders move the end on each time they repeat an alert. It is written only when half of the time that they gave has
    /// passed: until then the written end is still ahead.
    fn would_mislead(&self, id: AlertId, before: &Alert, ended_before: bool) -> bool {
        let entry = self.alerts.get(id);
        let (alert, Some(written)) = (&entry.alert, entry.written_end) else { return true };
        let same_text =
            alert.annotations == before.annotations && alert.generator_url == before.generator_url;
        let same_start = alert.starts_at == before.starts_at && alert.timeout == before.timeout;
        if !same_text || !same_start || entry.ended != ended_before {
            return true;
        }
        if alert.ends_at <= self.now || alert.ends_at < written {
            return alert.ends_at != written;
        }
        alert.ends_at.since(written) * 2 > alert.ends_at.since(alert.updated_at)
    }

    /// Writes an alert down that somebody may have to hear of.
    pub(crate) fn write_alert(&mut self, id: AlertId) {
        let entry = self.alerts.get_mut(id);
        if entry.groups.is_empty() || PlantedBug::AlertIsNotWritten.is_planted() {
            return;
        }
        entry.written_end = Some(entry.alert.ends_at);
        let value = record::encode_alert(&entry.alert, entry.ended);
        self.commits.put(Key::Alert(entry.alert.labels.clone()), Some(value));
    }

    pub(crate) fn write_group(&mut self, id: GroupId) {
        let group = self.groups.get(id);
        let value =
            record::encode_group(GroupRecord { next_flush: group.next_flush, flushed: group.flushed });
        self.commits.put(Key::Group(group.key.clone()), Some(value));
    }

    /// The value of a key as things are now.
    pub(crate) fn encode_current(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Alert(labels) => {
                let entry = self.alerts.get(self.alerts.find(labels)?);
                entry.written_end.map(|_| record::encode_alert(&entry.alert, entry.ended))
            }
            Key::Group(key) => {
                let group = self.groups.get(self.groups.find(key)?);
                let (next_flush, flushed) = (group.next_flush, group.flushed);
                Some(record::encode_group(GroupRecord { next_flush, flushed }))
            }
            Key::Log(group, destination) => self.log.get(group, destination).map(record::encode_log),
            Key::Silence(id) => self.silences.get(id).map(|silence| record::encode_silence(silence)),
        }
    }

    /// Senders could not be heard for a while: alerts that fired at `heard_until` are not over only because nobody
    /// repeated them. Each gets the time that its sender gives it, within bounds.
    pub(crate) fn grant_grace(&mut self, heard_until: Timestamp) {
        for id in self.alerts.ids() {
            let entry = self.alerts.get(id);
            if entry.status(heard_until) == AlertStatus::Resolved {
                continue;
            }
            let end = grace_end(&entry.alert, self.now, self.config.resolve_timeout);
            if entry.alert.ends_at < end {
                let alert = Alert { ends_at: end, ..(*entry.alert).clone() };
                self.replace(id, alert);
            }
        }
    }
}

/// An alert after the clock went back, from `before` to `now`: it did not begin in the future, is not over later than it
/// was, and fires on for as long as it would have.
pub(crate) fn after_clock_went_back(known: &Alert, ended: bool, before: Timestamp, now: Timestamp) -> Alert {
    let until = match known.status(before) {
        AlertStatus::Firing if !ended => now + known.ends_at.since(before),
        _ => now,
    };
    let back = before.as_millis().saturating_sub(now.as_millis());
    let starts_at = match known.starts_at > now {
        true => known.starts_at.plus_millis(-back).min(now),
        false => known.starts_at,
    };
    let updated_at = known.updated_at.min(now);
    Alert { starts_at, ends_at: known.ends_at.min(until), updated_at, ..known.clone() }
}

/// Until when an alert may at least be taken to fire if its sender could not be heard until `now`.
pub(crate) fn grace_end(alert: &Alert, now: Timestamp, resolve_timeout: Duration) -> Timestamp {
    let given = alert.ends_at.since(alert.updated_at);
    now + given.min(resolve_timeout).max(GRACE_MIN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::NotifyReason;

    use super::*;
    use crate::{AlertingConfig, Effect, Event, Integration, Receiver, RouteSpec, RouteTree};

    fn config() -> Arc<AlertingConfig> {
        let spec = RouteSpec { receiver: Some("ops".into()), ..Default::default() };
        let integrations = vec![Integration { kind: "webhook".into(), index: 0, send_resolved: true }];
        let receiver = Receiver { name: "ops".into(), labels: Labels::empty(), integrations };
        Arc::new(AlertingConfig::new(RouteTree::build(&spec), vec![receiver]))
    }

    fn secs(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn alert(starts: i64, ends: i64, heard: i64) -> Alert {
        Alert {
            labels: Labels::from([("alertname", "A")]),
            annotations: Default::default(),
            starts_at: secs(starts),
            ends_at: secs(ends),
            updated_at: secs(heard),
            generator_url: Arc::default(),
            timeout: false,
            value: Some(1.0),
        }
    }

    /// Steps, stores and delivers; returns the reasons of what was sent.
    fn step(
        alerting: &mut Alerting,
        disk: &mut BTreeMap<Vec<u8>, Vec<u8>>,
        now: i64,
        event: Event,
    ) -> Vec<NotifyReason> {
        let (mut sent, mut events) = (Vec::new(), vec![event]);
        while let Some(event) = events.pop() {
            for effect in alerting.step(secs(now), event) {
                match effect {
                    Effect::Commit { id, changes } => {
                        for change in changes {
                            match change.value {
                                Some(value) => disk.insert(change.key, value),
                                None => disk.remove(&change.key),
                            };
                        }
                        events.push(Event::Committed(id));
                    }
                    Effect::Deliver(message) => {
                        sent.push(message.reason);
                        let outcome = Ok(Default::default());
                        events.push(Event::Delivered { notification: message.id.clone(), outcome });
                    }
                    Effect::Reply { .. } | Effect::Withdraw { .. } => {}
                }
            }
        }
        sent
    }

    #[test]
    fn an_end_is_told_even_if_the_alert_itself_was_lost() {
        let mut disk = BTreeMap::new();
        let mut alerting = Alerting::new(config(), secs(0));
        step(&mut alerting, &mut disk, 0, Event::Evaluated(vec![alert(0, 240, 0)]));
        let sent = step(&mut alerting, &mut disk, 30, Event::Tick);
        assert_eq!(sent, [NotifyReason::FirstNotification]);
        disk.retain(|key, _| key[0] != b'A');
        let mut alerting = Alerting::restore(config(), secs(40), disk.clone()).alerting;
        step(&mut alerting, &mut disk, 40, Event::Tick);
        step(&mut alerting, &mut disk, 50, Event::Evaluated(vec![alert(0, 45, 50)]));
        let sent = step(&mut alerting, &mut disk, 80, Event::Tick);
        assert_eq!(sent, [NotifyReason::AllAlertsResolved]);
        step(&mut alerting, &mut disk, 400, Event::Tick);
        assert!(disk.keys().all(|key| key[0] == b'L'), "only the log stays");
    }

    #[test]
    fn repeated_alerts_are_written_only_now_and_then() {
        let mut disk = BTreeMap::new();
        let mut alerting = Alerting::new(config(), secs(0));
        let mut commits = 0;
        for now in (0..1200).step_by(60) {
            let effects = alerting.step(secs(now), Event::Evaluated(vec![alert(0, now + 240, now)]));
            for effect in effects {
                if let Effect::Commit { id, changes } = effect {
                    commits += usize::from(changes.iter().any(|change| change.key[0] == b'A'));
                    step(&mut alerting, &mut disk, now, Event::Committed(id));
                }
            }
        }
        assert!((5..=10).contains(&commits), "{commits} times in 20 minutes");
        // A text that changes is written at once.
        let mut changed = alert(0, 1500, 1201);
        changed.annotations.insert("summary", "more");
        let effects = alerting.step(secs(1201), Event::Evaluated(vec![changed]));
        assert!(matches!(effects[..], [Effect::Commit { .. }]), "{effects:?}");
    }

    #[test]
    fn counts_alerts_of_one_name() {
        let mut config = (*config()).clone();
        config.limits.alerts_per_name_max = Some(1);
        let (mut alerting, mut disk) = (Alerting::new(config.into(), secs(0)), BTreeMap::new());
        let mut other = alert(0, 240, 0);
        other.labels = Labels::from([("alertname", "A"), ("host", "b")]);
        let both = vec![alert(0, 240, 0), other.clone()];
        step(&mut alerting, &mut disk, 0, Event::Evaluated(both));
        assert_eq!((alerting.sizes().alerts, alerting.stats().refused_by_limit), (1, 1));
        // The one that is known may be repeated; when it is over there is room.
        step(&mut alerting, &mut disk, 30, Event::Evaluated(vec![alert(0, 300, 30)]));
        assert_eq!(alerting.stats().refused_by_limit, 1);
        step(&mut alerting, &mut disk, 70, Event::Evaluated(vec![alert(0, 70, 70)]));
        step(&mut alerting, &mut disk, 330, Event::Tick);
        other.ends_at = secs(900);
        step(&mut alerting, &mut disk, 400, Event::Evaluated(vec![other]));
        assert_eq!((alerting.sizes().groups, alerting.stats().refused_by_limit), (1, 1));
    }
}
