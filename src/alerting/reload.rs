//! Another configuration is in force: groups whose route and labels are the same go on, with their alerts and the log.
//!
//! Every group that was flushed before is looked at at once, so that the new configuration takes effect now and not at the
//! next tick; what was told stays told. Inhibition and silences are in place before that.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{AlertStatus, PlantedBug};

use crate::AlertingConfig;
use crate::alert_store::AlertId;
use crate::alerting::Alerting;
use crate::group::{GroupId, group_key};
use crate::inhibition::Inhibitor;
use crate::record::Key;

impl Alerting {
    pub(crate) fn reload(&mut self, config: Arc<AlertingConfig>) {
        self.config = config;
        self.inhibitor = Inhibitor::new(&self.config.inhibit_rules);
        let alerts = self.alerts.ids();
        for id in &alerts {
            self.look_up_again(*id);
        }
        let mut kept = BTreeSet::new();
        for id in &alerts {
            self.keep_membership(*id, &mut kept);
        }
        if PlantedBug::ReloadForgetsWhatWasTold.is_planted() {
            self.log.iter_mut().for_each(|entry| entry.told = None);
            self.groups.ids().into_iter().for_each(|id| self.set_flush(id, self.now));
        }
        for group in self.groups.ids() {
            if !kept.contains(&group) {
                self.dissolve(group);
            }
        }
        for id in alerts {
            if self.alerts.get(id).status(self.now) == AlertStatus::Firing {
                self.join_new_groups(id);
            }
        }
        for group in self.groups.ids() {
            self.look_at_once(group);
        }
        let silences: Vec<_> = self.silences.iter().cloned().collect();
        for silence in silences {
            self.watch_silence(&silence);
        }
    }

    /// What follows from an alert's labels under the new configuration.
    fn look_up_again(&mut self, id: AlertId) {
        let entry = self.alerts.get_mut(id);
        let labels = &entry.alert.labels;
        entry.routes = self.config.routes.matching(labels);
        entry.sides = self.inhibitor.sides(labels);
        if !entry.ended {
            self.inhibitor.insert(id, labels, &entry.sides, entry.alert.ends_at);
        }
    }

    /// The groups of an alert that exist in the new configuration too.
    fn keep_membership(&mut self, id: AlertId, kept: &mut BTreeSet<GroupId>) {
        let entry = self.alerts.get(id);
        let mut stays = BTreeSet::new();
        for route_id in entry.routes.clone() {
            let route = self.config.routes.route(route_id);
            let labels = route.group_by.group_labels(&self.alerts.get(id).alert.labels);
            if let Some(group) = self.groups.find(&group_key(route, &labels)) {
                self.groups.get_mut(group).route = route_id;
                stays.insert(group);
            }
        }
        for group in self.alerts.get(id).groups.clone() {
            if stays.contains(&group) {
                kept.insert(group);
            } else {
                self.leave(id, group);
            }
        }
    }

    /// Removes a group that the new configuration does not know, or that has no alert left.
    fn dissolve(&mut self, id: GroupId) {
        let members: Vec<AlertId> = self.groups.get(id).members.ids().collect();
        for alert in members {
            self.leave(alert, id);
        }
        self.remove_group(id);
    }

    fn look_at_once(&mut self, id: GroupId) {
        let group = self.groups.get(id);
        let group_wait = self.config.routes.route(group.route).group_wait;
        let at = match group.flushed {
            true => self.now,
            false => group.next_flush.min(self.now + group_wait),
        };
        self.set_flush(id, at.max(self.quiet_until));
    }

    /// Drops entries of the log that nobody needs: their group is gone for long, or their integration is.
    pub(crate) fn prune_log(&mut self) {
        let (groups, config, now) = (&self.groups, &self.config, self.now);
        let dropped = self.log.prune(|group, to, entry| {
            let in_use = groups.find(group).is_some_and(|id| {
                let route = config.routes.route(groups.get(id).route);
                route.receiver == to.receiver
                    && config.receiver(&to.receiver).is_some_and(|receiver| {
                        receiver.integrations.iter().any(|i| i.kind == to.kind && i.index == to.index)
                    })
            });
            let waits = entry.attempt.as_ref().is_some_and(|attempt| !attempt.recovered);
            let remembered = entry.told.as_ref().is_some_and(|told| told.keep_until > now);
            in_use || waits || remembered
        });
        for (group, to) in dropped {
            self.commits.put(Key::Log(group, to), None);
        }
    }
}
