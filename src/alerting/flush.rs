//! A flush: one attempt to tell about a group. What is muted is left out; each integration is compared with what it was
//! told; alerts that ended leave when nobody has to hear of them any more.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AlertStatus, Annotations, Fingerprint, Labels, Notification, NotifiedAlert, NotifyReason, PlantedBug,
    Timestamp,
};
use smallvec::smallvec;

use crate::Few;
use crate::alert_store::{AlertEntry, AlertId};
use crate::alerting::Alerting;
use crate::commits::Then;
use crate::delivery::Delivery;
use crate::group::GroupId;
use crate::group_key::sha256_hex;
use crate::inhibition::Inhibitor;
use crate::notification_log::{Attempt, Destination, LogEntry, Verdict, contains, plan_flush};
use crate::record::{self, Key};
use crate::silence::Silences;
use crate::stats::Suppressed;
use crate::timers::Timer;
use crate::{
    AlertingConfig, Decision, DecisionRecord, Integration, MuteReason, NotificationOrder, Receiver, Route,
    SkipReason,
};

/// An attempt is given at least this long.
const ATTEMPT_MIN: Duration = Duration::from_secs(10);
/// An entry of the log stays at least this long after its group.
const KEEP_MIN: Duration = Duration::from_secs(3600);

/// What there is to tell of a group, muted alerts left out; sorted by fingerprint.
#[derive(Debug, Default)]
pub(crate) struct Visible {
    firing: Few<(Fingerprint, AlertId)>,
    resolved: Few<(Fingerprint, AlertId)>,
    /// What was left out.
    suppressed: Suppressed,
}

impl Visible {
    fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.resolved.is_empty()
    }

    fn find(&self, alert: Fingerprint) -> Option<AlertId> {
        let in_list = |list: &[(Fingerprint, AlertId)]| {
            list.binary_search_by_key(&alert, |(fingerprint, _)| *fingerprint).ok().map(|at| list[at].1)
        };
        in_list(&self.firing).or_else(|| in_list(&self.resolved))
    }
}

fn fingerprints(alerts: &[(Fingerprint, AlertId)]) -> Few<Fingerprint> {
    alerts.iter().map(|(fingerprint, _)| *fingerprint).collect()
}

pub(crate) fn destination(receiver: &Receiver, integration: &Integration) -> Destination {
    let Integration { kind, index, .. } = integration;
    Destination { receiver: receiver.name.clone(), kind: kind.clone(), index: *index }
}

/// The time intervals that mute a route at `now`.
pub(crate) fn muting_intervals(config: &AlertingConfig, route: &Route, now: Timestamp) -> Vec<String> {
    if PlantedBug::TimeIntervalsAreIgnored.is_planted() {
        return Vec::new();
    }
    if is_outside(config, route, now) {
        return route.active_time_intervals.clone();
    }
    route.mute_time_intervals.iter().filter(|name| holds(config, name, now)).cloned().collect()
}

/// Whether a route is active at certain times, and `now` is none of them.
fn is_outside(config: &AlertingConfig, route: &Route, now: Timestamp) -> bool {
    let active = &route.active_time_intervals;
    !active.is_empty() && !active.iter().any(|name| holds(config, name, now))
}

fn holds(config: &AlertingConfig, interval: &str, now: Timestamp) -> bool {
    config.time_intervals.get(interval).is_some_and(|parts| parts.iter().any(|part| part.contains(now)))
}

/// How long an entry of the log outlives its group.
pub(crate) fn keep_for(config: &AlertingConfig, route: &Route) -> Duration {
    (route.repeat_interval * 2).max(KEEP_MIN).min(config.retention.max(KEEP_MIN))
}

pub(crate) fn give_up_after(route: &Route) -> Duration {
    route.group_interval.max(ATTEMPT_MIN)
}

/// Why an alert is not told now, if so.
fn muted(
    inhibitor: &Inhibitor,
    silences: &Silences,
    entry: &mut AlertEntry,
    intervals: &[String],
    now: Timestamp,
) -> Result<(), Muted> {
    if let Some((by, rule)) = inhibitor.muted_by(&entry.alert.labels, &entry.sides, now) {
        return Err(Muted::Inhibited { by, rule: rule.to_owned() });
    }
    if !intervals.is_empty() {
        return Err(Muted::Other(MuteReason::TimeInterval(intervals.to_vec())));
    }
    match silences.muting(&entry.alert.labels, &mut entry.silences, now) {
        ids if ids.is_empty() => Ok(()),
        ids => Err(Muted::Other(MuteReason::Silenced(ids))),
    }
}

enum Muted {
    Inhibited { by: AlertId, rule: String },
    Other(MuteReason),
}

impl Alerting {
    pub(crate) fn flush(&mut self, id: GroupId) {
        let config = self.config.clone();
        let route = config.routes.route(self.groups.get(id).route);
        let group = self.groups.get_mut(id);
        group.advance(self.now, route.group_interval);
        let next_flush = group.next_flush;
        self.set_flush(id, next_flush);
        self.stats.flushes += 1;
        let visible = self.observe(id, &config, route);
        // Looks between flushes do not count: nobody was to be told then.
        self.stats.suppressed.add(visible.suppressed);
        if let Some(receiver) = config.receiver(&route.receiver) {
            for integration in &receiver.integrations {
                self.plan(id, route, receiver, integration, &visible);
            }
        }
        self.release(id, &config);
    }

    /// An integration is free again: what it missed meanwhile follows.
    pub(crate) fn flush_one(&mut self, id: GroupId, destination: &Destination) {
        let config = self.config.clone();
        let route = config.routes.route(self.groups.get(id).route);
        let visible = self.observe(id, &config, route);
        if let Some(receiver) = config.receiver(&destination.receiver).filter(|r| r.name == route.receiver) {
            let one = |i: &&Integration| i.kind == destination.kind && i.index == destination.index;
            if let Some(integration) = receiver.integrations.iter().find(one) {
                self.plan(id, route, receiver, integration, &visible);
            }
        }
        self.release(id, &config);
    }

    /// Looks at every alert of a group: which ones ended, which ones are muted and why.
    pub(crate) fn observe(&mut self, id: GroupId, config: &AlertingConfig, route: &Route) -> Visible {
        let now = self.now;
        let intervals = muting_intervals(config, route, now);
        let outside = is_outside(config, route, now);
        let mut visible = Visible::default();
        let members: Few<AlertId> = self.groups.get(id).members.ids().collect();
        for alert in members {
            if self.alerts.get(alert).status(now) == AlertStatus::Resolved {
                self.conclude(alert);
            }
            let entry = self.alerts.get_mut(alert);
            let (fingerprint, ended) = (entry.fingerprint, entry.ended);
            let reason = match muted(&self.inhibitor, &self.silences, entry, &intervals, now) {
                Ok(()) => None,
                Err(Muted::Other(reason)) => Some(reason),
                Err(Muted::Inhibited { by, rule }) => {
                    Some(MuteReason::Inhibited { by: self.alerts.get(by).fingerprint, rule })
                }
            };
            let suppressed = &mut visible.suppressed;
            match &reason {
                None if ended => visible.resolved.push((fingerprint, alert)),
                None => visible.firing.push((fingerprint, alert)),
                Some(MuteReason::Inhibited { .. }) => suppressed.by_inhibition += 1,
                Some(MuteReason::Silenced(_)) => suppressed.by_silence += 1,
                Some(MuteReason::TimeInterval(_)) if outside => suppressed.by_active_time_interval += 1,
                Some(MuteReason::TimeInterval(_)) => suppressed.by_mute_time_interval += 1,
            }
            self.note_mute(id, route, alert, reason);
        }
        visible.firing.sort_unstable();
        visible.resolved.sort_unstable();
        visible
    }

    /// A flush found that an alert ended: from here on that is so, and is written down.
    fn conclude(&mut self, id: AlertId) {
        let entry = self.alerts.get_mut(id);
        if entry.ended {
            return;
        }
        entry.ended = true;
        self.inhibitor.remove(id, &entry.alert.labels, &entry.sides, entry.alert.ends_at);
        self.write_alert(id);
    }

    /// Records a change of why an alert is muted.
    fn note_mute(&mut self, id: GroupId, route: &Route, alert: AlertId, reason: Option<MuteReason>) {
        let group = self.groups.get_mut(id);
        let member = group.members.get_mut(alert).expect("only members are looked at");
        if member.muted.as_deref() == reason.as_ref() {
            return;
        }
        member.muted = reason.clone().map(Box::new);
        let decision = reason.map_or(Decision::Unmuted, Decision::Muted);
        let (group, alerts) = (group.key.clone(), smallvec![self.alerts.get(alert).fingerprint]);
        let receiver = route.receiver.clone();
        self.decisions.push(DecisionRecord {
            at: self.now,
            group,
            receiver,
            integration: None,
            alerts,
            decision,
        });
    }

    /// Compares one integration with what there is to tell.
    pub(crate) fn plan(
        &mut self,
        id: GroupId,
        route: &Route,
        receiver: &Receiver,
        integration: &Integration,
        visible: &Visible,
    ) {
        let to = destination(receiver, integration);
        let key = self.groups.get(id).key.clone();
        if self.resume(id, route, &to, visible) {
            return;
        }
        let entry = self.log.get(&key, &to);
        let under_way = entry.is_some_and(|entry| entry.attempt.is_some());
        if under_way && !PlantedBug::SecondMessageWhileUnderWay.is_planted() {
            let missed = &mut self.groups.get_mut(id).missed;
            if !missed.contains(&to) {
                missed.push(to.clone());
            }
            return self.skip(&key, &to, SkipReason::InFlight);
        }
        if visible.is_empty() {
            return self.skip(&key, &to, SkipReason::AllMuted);
        }
        let certain = entry.and_then(LogEntry::certain);
        let told = certain.as_deref();
        let (firing, resolved) = (fingerprints(&visible.firing), fingerprints(&visible.resolved));
        let repeat = route.repeat_interval;
        match plan_flush(told, &firing, &resolved, integration.send_resolved, repeat, self.now) {
            Verdict::Keep(reason) => self.skip(&key, &to, reason),
            Verdict::Tell(reason) => {
                // What ended beside the rest of the group goes along, once; an end alone is a reason to speak only if the
                // integration knows of the alert.
                let told_ended = |alert: &Fingerprint| {
                    told.is_some_and(|told| contains(&told.resolved, *alert) && !told.is_open(*alert))
                };
                let unwanted = firing.is_empty() && !integration.send_resolved;
                let resolved = match integration.send_resolved || unwanted {
                    true => resolved.into_iter().filter(|alert| !told_ended(alert)).collect(),
                    false => Few::new(),
                };
                let (recovered, in_doubt) = (false, false);
                let attempt =
                    Box::new(Attempt { at: self.now, reason, firing, resolved, recovered, in_doubt });
                match unwanted {
                    true => self.note_ended(id, route, &to, attempt),
                    false => self.start(id, route, &to, attempt, visible),
                }
            }
        }
    }

    /// Sends again what was under way when an earlier process stopped: its outcome is not known. Says whether it did.
    fn resume(&mut self, id: GroupId, route: &Route, to: &Destination, visible: &Visible) -> bool {
        let attempt = self.log.get(&self.groups.get(id).key, to).and_then(|entry| entry.attempt.as_ref());
        attempt.is_some_and(|attempt| attempt.recovered) && self.send_again(id, route, to, visible)
    }

    /// Sends again what may have arrived, as the same message. Says whether it did.
    pub(crate) fn send_again(
        &mut self,
        id: GroupId,
        route: &Route,
        to: &Destination,
        visible: &Visible,
    ) -> bool {
        let key = self.groups.get(id).key.clone();
        let Some(entry) = self.log.get_mut(&key, to) else { return false };
        let Some(attempt) = entry.attempt.as_mut() else { return false };
        let before = attempt.clone();
        // What has been muted since is left out; if nothing new is left, nothing is sent now. Should the same be told
        // later, it is the same message: it may have arrived.
        attempt.firing.retain(|alert| visible.find(*alert).is_some());
        attempt.resolved.retain(|alert| visible.find(*alert).is_some());
        attempt.recovered = false;
        if before.recovered && PlantedBug::NewIdAfterRestart.is_planted() {
            entry.sequence += 1;
        }
        if !attempt.tells_more_than(entry.told.as_deref()) {
            (entry.attempt, entry.failed) = (None, Some(before));
            self.write_log(&key, to);
            return false;
        }
        let reason = attempt.reason;
        let alerts = attempt.firing.iter().chain(&attempt.resolved).copied().collect();
        if let Some(notification) = self.prepare(id, route, to, visible) {
            self.deliver(&notification);
            self.decide(&key, to, alerts, Decision::Send { notification, reason, again: true });
        }
        true
    }

    /// Makes the message that the log says is under way; it waits to go out.
    fn prepare(
        &mut self,
        id: GroupId,
        route: &Route,
        to: &Destination,
        visible: &Visible,
    ) -> Option<Arc<str>> {
        let message = self.compose(id, route, to, visible)?;
        let notification = message.id.clone();
        let group = self.groups.get(id).key.clone();
        let (destination, decided, message) = (to.clone(), self.now, Some(Arc::new(message)));
        self.deliveries.insert(notification.clone(), Delivery { group, destination, decided, message });
        Some(notification)
    }

    fn start(
        &mut self,
        id: GroupId,
        route: &Route,
        to: &Destination,
        attempt: Box<Attempt>,
        visible: &Visible,
    ) {
        let key = self.groups.get(id).key.clone();
        let now_millis = u64::try_from(self.now.as_millis()).unwrap_or(0);
        let entry = self.log.entry(&key, to);
        let same =
            |before: &Attempt| (&before.firing, &before.resolved) == (&attempt.firing, &attempt.resolved);
        if entry.waited.as_deref().is_some_and(same) {
            // Nothing changed while it waited: what is written down holds.
            entry.attempt = entry.waited.take();
            if let Some(notification) = self.prepare(id, route, to, visible) {
                self.deliver(&notification);
            }
            return;
        }
        let anew = entry.waited.is_none();
        // The same content again after it was given up is the same message: it may have arrived after all.
        if !entry.failed.as_deref().is_some_and(same) {
            entry.sequence = attempt.sequence_at(now_millis).max(entry.sequence + 1);
        }
        // What is doubtful now stays so, whatever becomes of this message.
        if let Some(Cow::Owned(certain)) = entry.certain() {
            entry.told = Some(Box::new(certain));
        }
        entry.failed = None;
        entry.skipped = None;
        let alerts = attempt.firing.iter().chain(&attempt.resolved).copied().collect();
        let reason = attempt.reason;
        entry.attempt = Some(attempt);
        self.write_log(&key, to);
        self.write_group(id);
        self.stats.notifications.entry(to.kind.clone()).or_default().sent += u64::from(anew);
        if let Some(notification) = self.prepare(id, route, to, visible) {
            self.commits.then(Then::Deliver(notification.clone()));
            self.decide(&key, to, alerts, Decision::Send { notification, reason, again: false });
        }
    }

    /// The last alert ended and the integration does not want to hear of it: only the log does.
    fn note_ended(&mut self, id: GroupId, route: &Route, to: &Destination, attempt: Box<Attempt>) {
        let key = self.groups.get(id).key.clone();
        let (now, keep) = (self.now, keep_for(&self.config, route));
        let entry = self.log.entry(&key, to);
        entry.attempt = Some(attempt);
        entry.accept(now, None, keep, |_| false);
        self.write_log(&key, to);
        self.skip(&key, to, SkipReason::ResolvedNotWanted);
    }

    fn compose(
        &self,
        id: GroupId,
        route: &Route,
        to: &Destination,
        visible: &Visible,
    ) -> Option<Notification> {
        let group = self.groups.get(id);
        let entry = self.log.get(&group.key, to)?;
        let attempt = entry.attempt.as_deref()?;
        let tell = |status| move |alert: &Fingerprint| Some((status, visible.find(*alert)?));
        let firing = attempt.firing.iter().filter_map(tell(AlertStatus::Firing));
        let resolved = attempt.resolved.iter().filter_map(tell(AlertStatus::Resolved));
        let mut told: Vec<(AlertStatus, &AlertEntry)> =
            firing.chain(resolved).map(|(status, alert)| (status, self.alerts.get(alert))).collect();
        told.sort_by_cached_key(|(_, entry)| NotificationOrder::of(&entry.alert.labels));
        let alerts: Arc<[NotifiedAlert]> =
            told.into_iter().map(|(status, entry)| notified(entry, status)).collect();
        Some(Notification {
            id: entry.notification_id(&group.key, to),
            // Alertmanager's incident key, so that incidents that are open survive a change to us; for the second of two
            // identical siblings one of our own.
            dedup_key: sha256_hex(&[group.key.as_bytes()], 64),
            receiver: to.receiver.clone(),
            integration: to.kind.clone(),
            index: to.index,
            status: match attempt.firing[..] {
                [] => AlertStatus::Resolved,
                _ => AlertStatus::Firing,
            },
            reason: attempt.reason,
            group_labels: group.labels.clone(),
            common_labels: common_labels(&alerts),
            common_annotations: common_annotations(&alerts),
            route_labels: route.labels.clone(),
            alerts,
            external_url: self.config.external_url.clone(),
            settings: Default::default(),
            previous: match attempt.reason {
                NotifyReason::FirstNotification => None,
                _ => entry.told.as_ref().and_then(|told| told.remember.clone()),
            },
            at: attempt.at,
            give_up_after: give_up_after(route),
            group_key: group.key_text(route),
        })
    }

    /// Lets alerts that ended leave the group, if nobody there has to hear of them any more.
    pub(crate) fn release(&mut self, id: GroupId, config: &AlertingConfig) {
        let group = self.groups.get(id);
        let key = group.key.clone();
        let route = config.routes.route(group.route);
        let integrations = config.receiver(&route.receiver).map_or(&[][..], |r| &r.integrations);
        let mut leaving = Vec::new();
        for (alert, member) in group.members.iter() {
            let entry = self.alerts.get(alert);
            if !entry.ended {
                continue;
            }
            let log = self.log.of_group(&key);
            let concerns = |integration: &Integration| {
                let of = |(to, _): &&(Destination, LogEntry)| {
                    to.receiver == route.receiver
                        && to.kind == integration.kind
                        && to.index == integration.index
                };
                log.iter().find(of).is_some_and(|(_, log)| {
                    let waits =
                        integration.send_resolved && member.muted.is_none() && log.is_open(entry.fingerprint);
                    waits || log.is_under_way(entry.fingerprint)
                })
            };
            if !integrations.iter().any(concerns) {
                leaving.push((alert, entry.fingerprint, member.muted.is_some()));
            }
        }
        for (alert, fingerprint, muted) in leaving {
            self.leave(alert, id);
            let mut known = Vec::new();
            for (to, entry) in self.log.of_group_mut(&key) {
                if entry.forget(fingerprint) {
                    known.push((to.clone(), record::encode_log(entry)));
                }
            }
            for (to, value) in known {
                self.commits.put(Key::Log(key.clone(), to.clone()), Some(value));
                if muted {
                    self.decide(&key, &to, smallvec![fingerprint], Decision::EndedMuted);
                }
            }
        }
        if self.groups.get(id).members.is_empty() {
            self.remove_group(id);
        }
    }

    pub(crate) fn remove_group(&mut self, id: GroupId) {
        if let Some(group) = self.groups.remove(id) {
            self.timers.clear(&Timer::Flush(id));
            self.log.drop_empty(&group.key);
            self.commits.put(Key::Group(group.key), None);
        }
    }

    pub(crate) fn write_log(&mut self, group: &Arc<str>, to: &Destination) {
        let value = self.log.get(group, to).map(record::encode_log);
        self.commits.put(Key::Log(group.clone(), to.clone()), value);
    }

    /// Records that an integration is not told, if that was not the last thing that was recorded about it.
    fn skip(&mut self, group: &Arc<str>, to: &Destination, reason: SkipReason) {
        let entry = self.log.entry(group, to);
        if entry.skipped == Some(reason) {
            return;
        }
        entry.skipped = Some(reason);
        self.decide(group, to, Few::new(), Decision::Skip(reason));
    }

    pub(crate) fn decide(
        &mut self,
        group: &Arc<str>,
        to: &Destination,
        alerts: Few<Fingerprint>,
        decision: Decision,
    ) {
        self.decisions.push(DecisionRecord {
            at: self.now,
            group: group.clone(),
            receiver: to.receiver.clone(),
            integration: Some((to.kind.clone(), to.index)),
            alerts,
            decision,
        });
    }
}

fn notified(entry: &AlertEntry, status: AlertStatus) -> NotifiedAlert {
    let alert = &entry.alert;
    NotifiedAlert {
        status,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        value: alert.value,
        starts_at: alert.starts_at,
        ends_at: (status == AlertStatus::Resolved).then_some(alert.ends_at),
        fingerprint: entry.fingerprint,
        generator_url: alert.generator_url.clone(),
    }
}

fn common_labels(alerts: &[NotifiedAlert]) -> Labels {
    let Some((first, rest)) = alerts.split_first() else { return Labels::empty() };
    if rest.is_empty() {
        return first.labels.clone();
    }
    let mut common: Vec<(&str, &str)> = first.labels.iter().collect();
    for alert in rest {
        common.retain(|(name, value)| alert.labels.get(name) == Some(*value));
        if common.is_empty() {
            break;
        }
    }
    Labels::from_sorted(&common)
}

fn common_annotations(alerts: &[NotifiedAlert]) -> Annotations {
    let Some((first, rest)) = alerts.split_first() else { return Annotations::new() };
    if rest.is_empty() {
        return first.annotations.clone();
    }
    let mut common: Vec<(&str, &str)> = first.annotations.iter().collect();
    for alert in rest {
        common.retain(|(name, text)| alert.annotations.get(name) == Some(*text));
        if common.is_empty() {
            break;
        }
    }
    Annotations::from_sorted(&common)
}
