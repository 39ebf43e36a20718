//! Why an alert is told or not told, now: the decisions of a flush, without making one.

use std::sync::Arc;

use model::{Alert, AlertStatus, Fingerprint, Labels, NotifyReason, Timestamp};

use crate::alert_store::AlertEntry;
use crate::alerting::Alerting;
use crate::flush::{destination, muting_intervals};
use crate::group::{AggregationGroup, group_key, group_key_text};
use crate::notification_log::{Destination, Verdict, plan_flush};
use crate::{MuteReason, Route, RouteId, SkipReason, Told};

/// Why an alert with some labels is told or not.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The alert, if it is known.
    pub alert: Option<Arc<Alert>>,
    /// Whether it fires, if it is known.
    pub status: Option<AlertStatus>,
    /// Whether another alert or a silence mutes it.
    pub muted: Option<MuteReason>,
    /// Every route that hears of it, in the order of the tree.
    pub routes: Vec<RouteExplanation>,
}

/// What happens on one route.
#[derive(Clone, Debug)]
pub struct RouteExplanation {
    /// Positions from the root of the tree.
    pub path: Vec<usize>,
    /// Alertmanager's id of the route.
    pub route_id: String,
    /// Who is told.
    pub receiver: String,
    /// Alertmanager's text for the group.
    pub group_key: String,
    /// Labels by which it is grouped.
    pub group_labels: Labels,
    /// Time intervals that mute the route now.
    pub muted_by: Vec<String>,
    /// When the group is looked at next, if there is one.
    pub next_flush: Option<Timestamp>,
    /// How many alerts are in the group.
    pub alerts: usize,
    /// Every integration of the receiver.
    pub integrations: Vec<IntegrationExplanation>,
}

/// What one integration would hear if the group were flushed now.
#[derive(Clone, Debug)]
pub struct IntegrationExplanation {
    /// The integration.
    pub destination: Destination,
    /// What it was last told of the group.
    pub told: Option<Told>,
    /// Whether it believes that the alert fires.
    pub knows: bool,
    /// What a flush would decide.
    pub verdict: Result<NotifyReason, SkipReason>,
}

impl Alerting {
    /// Why an alert with these labels is told or not, at `now`. The alert need not be known.
    pub fn explain(&self, now: Timestamp, labels: &Labels) -> Explanation {
        let entry = self.alerts.find(labels).map(|id| self.alerts.get(id));
        let routes = match entry {
            Some(entry) => entry.routes.clone(),
            None => self.config.routes.matching(labels),
        };
        let muted = match entry {
            Some(entry) => self.muted_now(entry, now),
            None => self.muted_labels(labels, now),
        };
        let fingerprint = labels.fingerprint();
        Explanation {
            alert: entry.map(|entry| entry.alert.clone()),
            status: entry.map(|entry| entry.status(now)),
            muted,
            routes: routes.into_iter().map(|id| self.explain_route(now, id, labels, fingerprint)).collect(),
        }
    }

    fn muted_labels(&self, labels: &Labels, now: Timestamp) -> Option<MuteReason> {
        let sides = self.inhibitor.sides(labels);
        if let Some((by, rule)) = self.inhibitor.muted_by(labels, &sides, now) {
            let by = self.alerts.get(by).fingerprint;
            return Some(MuteReason::Inhibited { by, rule: rule.to_owned() });
        }
        let silences = self.silences.muting_uncached(labels, &Default::default(), now);
        (!silences.is_empty()).then_some(MuteReason::Silenced(silences))
    }

    fn muted_now(&self, entry: &AlertEntry, now: Timestamp) -> Option<MuteReason> {
        let labels = &entry.alert.labels;
        if let Some((by, rule)) = self.inhibitor.muted_by(labels, &entry.sides, now) {
            let by = self.alerts.get(by).fingerprint;
            return Some(MuteReason::Inhibited { by, rule: rule.to_owned() });
        }
        let silences = self.silences.muting_uncached(labels, &entry.silences, now);
        (!silences.is_empty()).then_some(MuteReason::Silenced(silences))
    }

    fn explain_route(
        &self,
        now: Timestamp,
        id: RouteId,
        labels: &Labels,
        fingerprint: Fingerprint,
    ) -> RouteExplanation {
        let route = self.config.routes.route(id);
        let group_labels = route.group_by.group_labels(labels);
        let key = group_key(route, &group_labels);
        let group = self.groups.find(&key).map(|id| self.groups.get(id));
        let muted_by = muting_intervals(&self.config, route, now);
        let (firing, resolved) = match group {
            Some(group) if muted_by.is_empty() => self.visible_now(group, now),
            _ => Default::default(),
        };
        let integrations = self.config.receiver(&route.receiver).map_or(Vec::new(), |receiver| {
            let explain = |integration: &crate::Integration| {
                let to = destination(receiver, integration);
                let entry = self.log.get(&key, &to);
                let told = entry.and_then(|entry| entry.told.as_deref());
                let in_flight = entry.is_some_and(|entry| entry.attempt.is_some());
                IntegrationExplanation {
                    verdict: verdict(route, told, in_flight, &firing, &resolved, integration, now),
                    knows: told.is_some_and(|told| told.is_open(fingerprint)),
                    told: told.cloned(),
                    destination: to,
                }
            };
            receiver.integrations.iter().map(explain).collect()
        });
        RouteExplanation {
            path: route.path.clone(),
            route_id: route.id.clone(),
            receiver: route.receiver.to_string(),
            group_key: group_key_text(route, &group_labels),
            group_labels,
            muted_by,
            next_flush: group.map(|group| group.next_flush),
            alerts: group.map_or(0, |group| group.members.len()),
            integrations,
        }
    }

    fn visible_now(&self, group: &AggregationGroup, now: Timestamp) -> (Vec<Fingerprint>, Vec<Fingerprint>) {
        let (mut firing, mut resolved) = (Vec::new(), Vec::new());
        for id in group.members.ids() {
            let entry = self.alerts.get(id);
            if self.muted_now(entry, now).is_none() {
                match entry.status(now) {
                    AlertStatus::Firing => firing.push(entry.fingerprint),
                    AlertStatus::Resolved => resolved.push(entry.fingerprint),
                }
            }
        }
        (firing, resolved)
    }
}

fn verdict(
    route: &Route,
    told: Option<&Told>,
    in_flight: bool,
    firing: &[Fingerprint],
    resolved: &[Fingerprint],
    integration: &crate::Integration,
    now: Timestamp,
) -> Result<NotifyReason, SkipReason> {
    if in_flight {
        return Err(SkipReason::InFlight);
    }
    if firing.is_empty() && resolved.is_empty() {
        return Err(SkipReason::AllMuted);
    }
    match plan_flush(told, firing, resolved, integration.send_resolved, route.repeat_interval, now) {
        Verdict::Tell(NotifyReason::AllAlertsResolved) if !integration.send_resolved => {
            Err(SkipReason::ResolvedNotWanted)
        }
        Verdict::Tell(reason) => Ok(reason),
        Verdict::Keep(reason) => Err(reason),
    }
}
