//! The alerts that are known.

use std::sync::Arc;

use foldhash::HashMap;
use model::{ALERT_NAME, Alert, AlertStatus, Fingerprint, Labels, Timestamp};

use crate::Few;
use crate::group::GroupId;
use crate::inhibition::Sides;
use crate::route::RouteId;
use crate::silence::SilenceCache;

/// Handle of a stored alert; reused after the alert is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AlertId(u32);

#[cfg(test)]
impl AlertId {
    pub(crate) fn of_slot(slot: u32) -> Self {
        AlertId(slot)
    }
}

/// An alert and what was found out about its labels, which never change.
#[derive(Debug)]
pub(crate) struct AlertEntry {
    pub alert: Arc<Alert>,
    pub fingerprint: Fingerprint,
    /// A flush found that it ended. From then on only its sender can revive it; a clock that is set back cannot.
    pub ended: bool,
    /// The routes that hear of it.
    pub routes: Few<RouteId>,
    /// The groups it is in. An alert that ended leaves a group when nobody there has to hear of it any more.
    pub groups: Few<GroupId>,
    pub sides: Sides,
    pub silences: SilenceCache,
    /// The end that was last written down, if the alert is.
    pub written_end: Option<Timestamp>,
}

impl AlertEntry {
    pub(crate) fn status(&self, now: Timestamp) -> AlertStatus {
        if self.ended { AlertStatus::Resolved } else { self.alert.status(now) }
    }
}

/// Alerts by handle and by labels.
#[derive(Debug, Default)]
pub(crate) struct AlertStore {
    slots: Vec<Option<AlertEntry>>,
    free: Vec<AlertId>,
    by_labels: HashMap<Labels, AlertId>,
    /// How many alerts of each `alertname` are in groups.
    grouped_by_name: HashMap<String, usize>,
}

impl AlertStore {
    pub(crate) fn find(&self, labels: &Labels) -> Option<AlertId> {
        self.by_labels.get(labels).copied()
    }

    pub(crate) fn get(&self, id: AlertId) -> &AlertEntry {
        self.slots[id.0 as usize].as_ref().expect("handles of forgotten alerts are dropped with them")
    }

    pub(crate) fn get_mut(&mut self, id: AlertId) -> &mut AlertEntry {
        self.slots[id.0 as usize].as_mut().expect("handles of forgotten alerts are dropped with them")
    }

    pub(crate) fn insert(&mut self, entry: AlertEntry) -> AlertId {
        let labels = entry.alert.labels.clone();
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            AlertId(self.slots.len() as u32 - 1)
        });
        self.slots[id.0 as usize] = Some(entry);
        self.by_labels.insert(labels, id);
        id
    }

    pub(crate) fn remove(&mut self, id: AlertId) -> Option<AlertEntry> {
        let entry = self.slots[id.0 as usize].take()?;
        self.by_labels.remove(&entry.alert.labels);
        self.free.push(id);
        Some(entry)
    }

    /// All, in the order of handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AlertId, &AlertEntry)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((AlertId(at as u32), slot.as_ref()?)))
    }

    pub(crate) fn ids(&self) -> Vec<AlertId> {
        self.iter().map(|(id, _)| id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Notes that an alert is in a group.
    pub(crate) fn join(&mut self, id: AlertId, group: GroupId) {
        let entry = self.get_mut(id);
        let first = entry.groups.is_empty();
        if !entry.groups.contains(&group) {
            entry.groups.push(group);
        }
        if first {
            let name = entry.alert.labels.value(ALERT_NAME).to_owned();
            *self.grouped_by_name.entry(name).or_default() += 1;
        }
    }

    /// Notes that an alert left a group; says whether it was the last one.
    pub(crate) fn leave(&mut self, id: AlertId, group: GroupId) -> bool {
        let entry = self.get_mut(id);
        let before = entry.groups.len();
        entry.groups.retain(|other| *other != group);
        if before == 0 || !entry.groups.is_empty() {
            return false;
        }
        let name = entry.alert.labels.value(ALERT_NAME).to_owned();
        if let Some(count) = self.grouped_by_name.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.grouped_by_name.remove(&name);
            }
        }
        true
    }

    /// How many alerts of an `alertname` are in groups.
    pub(crate) fn grouped(&self, name: &str) -> usize {
        self.grouped_by_name.get(name).copied().unwrap_or(0)
    }
}
