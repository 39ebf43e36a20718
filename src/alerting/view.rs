//! What readers see: alerts with their state, groups, silences, receivers, and who was told when.
//!
//! A view is a value of its own: take one, share it, and read it without touching the state machine. It holds what is true
//! at [`AlertingView::at`]; making one costs a walk over alerts and groups, so share one until [`Alerting::version`] changes
//! or [`AlertingView::holds_until`] comes.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Alert, Fingerprint, Labels, Matcher, NotifyReason, Re2, Timestamp};

use crate::alert_store::AlertEntry;
use crate::alerting::Alerting;
use crate::flush::muting_intervals;
use crate::group::AggregationGroup;
use crate::notification_log::{Destination, LogEntry};
use crate::route::RouteId;
use crate::{Census, Silence, SilenceId, SilenceState};

/// How an alert stands, as API v2 says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// No group looked at it yet: nothing is told so soon after a start.
    Unprocessed,
    /// It is told.
    Active,
    /// It is silenced or inhibited.
    Suppressed,
}

impl AlertState {
    /// `unprocessed`, `active` or `suppressed`.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Unprocessed => "unprocessed",
            AlertState::Active => "active",
            AlertState::Suppressed => "suppressed",
        }
    }
}

/// Everything that readers may ask for.
#[derive(Clone, Debug)]
pub struct AlertingView {
    /// The time for which it was made.
    pub at: Timestamp,
    /// When it may begin to differ though nothing happened: an alert or a silence ends, a silence or a time interval begins.
    pub holds_until: Timestamp,
    /// [`Alerting::version`] of what it shows.
    pub version: u64,
    /// Firing alerts, by fingerprint.
    pub alerts: Vec<AlertView>,
    /// Groups with firing alerts, by labels and receiver.
    pub groups: Vec<GroupView>,
    /// Active ones, soonest end first; then pending ones, soonest start first; then expired ones, latest end first.
    pub silences: Vec<SilenceView>,
    /// In the order of the configuration.
    pub receivers: Vec<ReceiverView>,
}

/// A firing alert.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// The alert.
    pub alert: Arc<Alert>,
    /// Hash of its labels.
    pub fingerprint: Fingerprint,
    /// How it stands.
    pub state: AlertState,
    /// Silences that mute it.
    pub silenced_by: Vec<SilenceId>,
    /// The alert that mutes it, at most one.
    pub inhibited_by: Vec<Fingerprint>,
    /// Receivers of its routes, in the order of the tree. Shared by all alerts of the same routes.
    pub receivers: Arc<[Arc<str>]>,
    /// Who was told of it.
    pub told: Vec<ToldView>,
}

/// An integration that was told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldView {
    /// The integration. Shared by all alerts of the group.
    pub destination: Arc<Destination>,
    /// When the other side accepted the last message about the alert's group.
    pub at: Timestamp,
    /// Why that was sent.
    pub reason: NotifyReason,
}

/// An aggregation group.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Unique, and the same across restarts.
    pub key: Arc<str>,
    /// Alertmanager's text; the same for identical siblings.
    pub group_key: Arc<str>,
    /// Alertmanager's id of the route.
    pub route_id: String,
    /// Labels by which it is grouped.
    pub labels: Labels,
    /// Labels of the route.
    pub route_labels: Labels,
    /// Who is told.
    pub receiver: Arc<str>,
    /// Its firing alerts: positions in [`AlertingView::alerts`], in the order of messages.
    pub alerts: Vec<usize>,
    /// Time intervals that mute it now.
    pub muted_by: Vec<String>,
    /// When it is looked at next.
    pub next_flush: Timestamp,
    /// Whether it was looked at before.
    pub flushed: bool,
    /// How it stands with each integration that was ever told.
    pub deliveries: Vec<DeliveryView>,
}

/// How a group stands with one integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryView {
    /// The integration.
    pub destination: Arc<Destination>,
    /// When and why it was last told, if it was.
    pub told: Option<(Timestamp, NotifyReason)>,
    /// Since when a message is under way, if one is.
    pub in_flight_since: Option<Timestamp>,
    /// When a message was given up that was not delivered since, if so.
    pub failed_at: Option<Timestamp>,
}

/// A silence and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceView {
    /// The silence.
    pub silence: Arc<Silence>,
    /// Where it is in its life.
    pub state: SilenceState,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverView {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels, `name` included.
    pub labels: Labels,
}

/// Which alerts a reader wants. The defaults want all.
#[derive(Clone, Debug)]
pub struct AlertFilter {
    /// Active ones too.
    pub active: bool,
    /// Silenced ones too.
    pub silenced: bool,
    /// Inhibited ones too.
    pub inhibited: bool,
    /// Unprocessed ones too.
    pub unprocessed: bool,
    /// Those in groups that a time interval mutes too. Only for groups.
    pub muted: bool,
    /// All must match the alert.
    pub matchers: Vec<Matcher>,
    /// Must match the name of one of its receivers, as a whole.
    pub receiver: Option<Re2>,
    /// All must match the labels of one of its receivers.
    pub receiver_matchers: Vec<Matcher>,
}

impl Default for AlertFilter {
    fn default() -> Self {
        AlertFilter {
            active: true,
            silenced: true,
            inhibited: true,
            unprocessed: true,
            muted: true,
            matchers: Vec::new(),
            receiver: None,
            receiver_matchers: Vec::new(),
        }
    }
}

/// Whether all matchers accept the labels of a receiver; the name is a label too.
pub fn receiver_matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels))
}

/// Whether a silence is listed under a filter: each matcher of the filter is, as it is written, one of its own.
pub fn silence_is_listed(silence: &Silence, filter: &[Matcher]) -> bool {
    silence.matcher_sets.iter().any(|set| filter.iter().all(|matcher| set.contains(matcher)))
}

impl AlertFilter {
    /// Whether an alert of a group is wanted, if the group is.
    pub fn accepts(&self, alert: &AlertView) -> bool {
        let state_wanted = match alert.state {
            AlertState::Active => self.active,
            AlertState::Unprocessed => self.unprocessed,
            AlertState::Suppressed => true,
        };
        state_wanted
            && (self.silenced || alert.silenced_by.is_empty())
            && (self.inhibited || alert.inhibited_by.is_empty())
            && self.matchers.iter().all(|matcher| matcher.matches_labels(&alert.alert.labels))
    }

    /// Whether an alert is wanted, and one of its receivers.
    pub fn wants(&self, view: &AlertingView, alert: &AlertView) -> bool {
        self.accepts(alert) && alert.receivers.iter().any(|name| self.wants_receiver(view, name))
    }

    /// Whether the alerts of a group are wanted that [`AlertFilter::accepts`].
    pub fn wants_group(&self, view: &AlertingView, group: &GroupView) -> bool {
        self.wants_receiver(view, &group.receiver) && (self.muted || group.muted_by.is_empty())
    }

    /// Whether a receiver of this name is wanted.
    pub fn wants_receiver(&self, view: &AlertingView, name: &str) -> bool {
        let by_labels = || {
            let receiver = view.receivers.iter().find(|receiver| *receiver.name == *name);
            receiver.is_some_and(|receiver| receiver_matches(&receiver.labels, &self.receiver_matchers))
        };
        self.receiver.as_ref().is_none_or(|pattern| pattern.is_match(name))
            && (self.receiver_matchers.is_empty() || by_labels())
    }
}

impl AlertingView {
    /// The alerts that a filter wants, by fingerprint.
    pub fn filtered_alerts<'a>(&'a self, filter: &'a AlertFilter) -> impl Iterator<Item = &'a AlertView> {
        self.alerts.iter().filter(move |alert| filter.wants(self, alert))
    }

    /// The groups that a filter wants, each with the alerts that it wants; groups without any are left out.
    pub fn filtered_groups<'a>(&'a self, filter: &AlertFilter) -> Vec<(&'a GroupView, Vec<&'a AlertView>)> {
        let with_alerts = |group: &'a GroupView| {
            let alerts = group.alerts.iter().map(|at| &self.alerts[*at]);
            (group, alerts.filter(|alert| filter.accepts(alert)).collect::<Vec<_>>())
        };
        self.groups
            .iter()
            .filter(|group| filter.wants_group(self, group))
            .map(with_alerts)
            .filter(|(_, alerts)| !alerts.is_empty())
            .collect()
    }

    /// The silence with this id.
    pub fn silence(&self, id: &SilenceId) -> Option<&SilenceView> {
        self.silences.iter().find(|view| view.silence.id == *id)
    }
}

impl Alerting {
    /// What is true at `now`.
    pub fn view(&self, now: Timestamp) -> AlertingView {
        let mut firing: Vec<(Fingerprint, &AlertEntry)> = self
            .alerts
            .iter()
            .filter(|(_, entry)| entry.status(now) == model::AlertStatus::Firing)
            .map(|(_, entry)| (entry.fingerprint, entry))
            .collect();
        firing.sort_unstable_by(|(a, left), (b, right)| {
            a.cmp(b).then_with(|| left.alert.labels.cmp(&right.alert.labels))
        });
        let mut groups: Vec<GroupView> =
            self.groups.iter().map(|(_, group)| self.view_group(group, now)).collect();
        let mut position_of = vec![None; self.groups.slots()];
        for (position, (id, _)) in self.groups.iter().enumerate() {
            position_of[id.slot()] = Some(position);
        }
        let logs: Vec<&[(Destination, LogEntry)]> =
            self.groups.iter().map(|(_, group)| self.log.of_group(&group.key)).collect();
        let mut receivers_of: HashMap<&[RouteId], Arc<[Arc<str>]>> = HashMap::new();
        let mut alerts: Vec<AlertView> = Vec::with_capacity(firing.len());
        for (at, (_, entry)) in firing.into_iter().enumerate() {
            let receivers = receivers_of.entry(&entry.routes).or_insert_with(|| {
                entry.routes.iter().map(|id| self.config.routes.route(*id).receiver.clone()).collect()
            });
            let mut view = self.view_alert(entry, Arc::clone(receivers), now);
            for id in &entry.groups {
                let Some(position) = position_of[id.slot()] else { continue };
                let group = &mut groups[position];
                group.alerts.push(at);
                for ((_, log), delivery) in logs[position].iter().zip(&group.deliveries) {
                    if let Some(last) = log.told.as_ref().filter(|told| told.is_open(entry.fingerprint)) {
                        let destination = Arc::clone(&delivery.destination);
                        view.told.push(ToldView { destination, at: last.at, reason: last.reason });
                    }
                }
            }
            alerts.push(view);
        }
        groups.retain(|group| !group.alerts.is_empty());
        for group in &mut groups {
            group.alerts.sort_by_cached_key(|at| crate::NotificationOrder::of(&alerts[*at].alert.labels));
        }
        groups.sort_by(|a, b| {
            crate::order_of_labels(&a.labels, &b.labels)
                .then_with(|| a.receiver.cmp(&b.receiver))
                .then_with(|| a.key.cmp(&b.key))
        });
        let receivers = self.config.receivers.iter();
        AlertingView {
            at: now,
            holds_until: self.holds_until(alerts.iter().map(|view| view.alert.ends_at), now),
            version: self.version,
            alerts,
            groups,
            silences: list_silences(self.silences.iter(), now),
            receivers: receivers
                .map(|receiver| ReceiverView { name: receiver.name.clone(), labels: receiver.api_labels() })
                .collect(),
        }
    }

    /// What [`Alerting::view`] lists, counted. Cheaper by far, as nothing is copied or sorted.
    pub fn census(&self, now: Timestamp) -> Census {
        let firing = || {
            let entries = self.alerts.iter().map(|(_, entry)| entry);
            entries.filter(|entry| entry.status(now) == model::AlertStatus::Firing)
        };
        let mut census = Census {
            at: now,
            holds_until: self.holds_until(firing().map(|entry| entry.alert.ends_at), now),
            version: self.version,
            active: 0,
            suppressed: 0,
            unprocessed: 0,
            groups: self.groups.len() as u64,
            silences: [0; 3],
        };
        for entry in firing() {
            let labels = &entry.alert.labels;
            let muted = !self.silences.muting_uncached(labels, &entry.silences, now).is_empty()
                || self.inhibitor.muted_by(labels, &entry.sides, now).is_some();
            match self.state_of(entry, muted, now) {
                AlertState::Active => census.active += 1,
                AlertState::Suppressed => census.suppressed += 1,
                AlertState::Unprocessed => census.unprocessed += 1,
            }
        }
        for silence in self.silences.iter() {
            let state = match silence.state(now) {
                SilenceState::Active => 0,
                SilenceState::Pending => 1,
                SilenceState::Expired => 2,
            };
            census.silences[state] += 1;
        }
        census
    }

    /// When a view with alerts that end at `ends`, made at `now`, may begin to differ by the passing of time alone.
    fn holds_until(&self, ends: impl Iterator<Item = Timestamp>, now: Timestamp) -> Timestamp {
        let silences = self.silences.iter().flat_map(|silence| [silence.starts_at, silence.ends_at]);
        // Time intervals begin and end with a minute.
        let minute = Timestamp::from_millis((now.as_millis().div_euclid(60_000) + 1).saturating_mul(60_000));
        let minute = (!self.config.time_intervals.is_empty()).then_some(minute);
        let all = ends.chain(silences).chain(minute).chain([self.quiet_until]);
        all.filter(|at| *at > now).min().unwrap_or(Timestamp::MAX)
    }

    /// An alert without what its groups say about it.
    fn view_alert(&self, entry: &AlertEntry, receivers: Arc<[Arc<str>]>, now: Timestamp) -> AlertView {
        let labels = &entry.alert.labels;
        let silenced_by = self.silences.muting_uncached(labels, &entry.silences, now);
        let by = self.inhibitor.muted_by(labels, &entry.sides, now);
        let inhibited_by: Vec<Fingerprint> =
            by.into_iter().map(|(id, _)| self.alerts.get(id).fingerprint).collect();
        let muted = !silenced_by.is_empty() || !inhibited_by.is_empty();
        AlertView {
            alert: entry.alert.clone(),
            fingerprint: entry.fingerprint,
            state: self.state_of(entry, muted, now),
            silenced_by,
            inhibited_by,
            receivers,
            told: Vec::new(),
        }
    }

    fn state_of(&self, entry: &AlertEntry, muted: bool, now: Timestamp) -> AlertState {
        let looked_at = || entry.groups.iter().any(|group| self.groups.get(*group).flushed);
        match muted {
            true => AlertState::Suppressed,
            false if now < self.quiet_until && !looked_at() => AlertState::Unprocessed,
            false => AlertState::Active,
        }
    }

    fn view_group(&self, group: &AggregationGroup, now: Timestamp) -> GroupView {
        let route = self.config.routes.route(group.route);
        let deliveries = self.log.of_group(&group.key).iter().map(|(destination, log)| DeliveryView {
            destination: Arc::new(destination.clone()),
            told: log.told.as_ref().map(|told| (told.at, told.reason)),
            in_flight_since: log.attempt.as_ref().map(|attempt| attempt.at),
            failed_at: log.failed.as_ref().map(|failed| failed.at),
        });
        GroupView {
            key: group.key.clone(),
            group_key: group.key_text(route),
            route_id: route.id.clone(),
            labels: group.labels.clone(),
            route_labels: route.labels.clone(),
            receiver: route.receiver.clone(),
            alerts: Vec::new(),
            muted_by: muting_intervals(&self.config, route, now),
            next_flush: group.next_flush,
            flushed: group.flushed,
            deliveries: deliveries.collect(),
        }
    }
}

/// Silences in the order in which they are listed.
pub fn list_silences<'a>(
    silences: impl Iterator<Item = &'a Arc<Silence>>,
    now: Timestamp,
) -> Vec<SilenceView> {
    let mut list: Vec<SilenceView> =
        silences.map(|silence| SilenceView { silence: silence.clone(), state: silence.state(now) }).collect();
    list.sort_by(|a, b| {
        let by_time = match a.state {
            SilenceState::Active => a.silence.ends_at.cmp(&b.silence.ends_at),
            SilenceState::Pending => a.silence.starts_at.cmp(&b.silence.starts_at),
            SilenceState::Expired => b.silence.ends_at.cmp(&a.silence.ends_at),
        };
        a.state.cmp(&b.state).then(by_time).then_with(|| a.silence.id.cmp(&b.silence.id))
    });
    list
}

#[cfg(test)]
mod tests;
