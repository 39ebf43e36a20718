//! Aggregation groups: alerts of one route with equal grouping labels, and the rhythm in which they are told.

use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use model::{Labels, Timestamp};

use crate::group_key::group_key_of;
use crate::members::Members;
use crate::notification_log::Destination;
use crate::route::{Route, RouteId};

/// Handle of a group; reused after the group is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(u32);

impl GroupId {
    /// Its place in a table with [`Groups::slots`] places.
    pub(crate) fn slot(self) -> usize {
        self.0 as usize
    }
}

/// Alerts of one route with equal grouping labels.
#[derive(Clone, Debug)]
pub(crate) struct AggregationGroup {
    /// Unique, and the same after a reload or restart.
    pub key: Arc<str>,
    pub route: RouteId,
    pub labels: Labels,
    pub members: Members,
    pub next_flush: Timestamp,
    /// Whether it was flushed before. Until then an alert that is old enough makes it flush at once.
    pub flushed: bool,
    /// Integrations whose last message was still under way at a flush: the newest content follows it.
    pub missed: Vec<Destination>,
}

impl AggregationGroup {
    pub(crate) fn new(key: Arc<str>, route: RouteId, labels: Labels, next_flush: Timestamp) -> Self {
        let (members, missed) = (Members::default(), Vec::new());
        AggregationGroup { key, route, labels, members, next_flush, flushed: false, missed }
    }

    /// [`group_key_text`], without making it anew where there is no identical sibling.
    pub(crate) fn key_text(&self, route: &Route) -> Arc<str> {
        match route.key == route.identity {
            true => self.key.clone(),
            false => group_key_text(route, &self.labels).into(),
        }
    }

    /// A flush happens at `now`: the next one follows in the group's rhythm, which a late flush does not shift.
    pub(crate) fn advance(&mut self, now: Timestamp, group_interval: Duration) {
        // A rhythm below the resolution of time would never let the time pass.
        let group_interval = group_interval.max(Duration::from_millis(1));
        let in_rhythm = self.next_flush + group_interval;
        self.next_flush = if in_rhythm > now { in_rhythm } else { now + group_interval };
        self.flushed = true;
    }
}

/// The key of the group of a route with these labels.
pub(crate) fn group_key(route: &Route, labels: &Labels) -> Arc<str> {
    Arc::from(group_key_of(&route.identity, labels))
}

/// The text that Alertmanager shows for the group; the same for identical siblings.
pub(crate) fn group_key_text(route: &Route, labels: &Labels) -> String {
    group_key_of(&route.key, labels)
}

/// Groups by handle and by key.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    slots: Vec<Option<AggregationGroup>>,
    free: Vec<GroupId>,
    by_key: HashMap<Arc<str>, GroupId>,
}

impl Groups {
    pub(crate) fn find(&self, key: &str) -> Option<GroupId> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn get(&self, id: GroupId) -> &AggregationGroup {
        self.slots[id.0 as usize].as_ref().expect("handles of removed groups are dropped with them")
    }

    pub(crate) fn get_mut(&mut self, id: GroupId) -> &mut AggregationGroup {
        self.slots[id.0 as usize].as_mut().expect("handles of removed groups are dropped with them")
    }

    pub(crate) fn insert(&mut self, group: AggregationGroup) -> GroupId {
        let key = group.key.clone();
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            GroupId(self.slots.len() as u32 - 1)
        });
        self.slots[id.0 as usize] = Some(group);
        self.by_key.insert(key, id);
        id
    }

    pub(crate) fn remove(&mut self, id: GroupId) -> Option<AggregationGroup> {
        let group = self.slots[id.0 as usize].take()?;
        self.by_key.remove(&group.key);
        self.free.push(id);
        Some(group)
    }

    /// All, in the order of handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupId, &AggregationGroup)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((GroupId(at as u32), slot.as_ref()?)))
    }

    pub(crate) fn ids(&self) -> Vec<GroupId> {
        self.iter().map(|(id, _)| id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many places a table by handle needs.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }
}
