//! The alerts of a group, by handle.
//!
//! A group by a label that differs for each alert has one: that takes no allocation.

use std::collections::BTreeMap;

use crate::MuteReason;
use crate::alert_store::AlertId;

/// An alert in a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    /// Why it was not told at the last flush; a change is a decision. In a box, since most are told.
    pub muted: Option<Box<MuteReason>>,
}

/// The alerts of a group.
#[derive(Clone, Debug)]
pub(crate) enum Members {
    One(AlertId, Member),
    /// None, or several at some time.
    Some(BTreeMap<AlertId, Member>),
}

impl Default for Members {
    fn default() -> Self {
        Members::Some(BTreeMap::new())
    }
}

impl Members {
    /// Adds an alert, unless it is there.
    pub(crate) fn insert(&mut self, id: AlertId) {
        match self {
            Members::One(first, _) if *first == id => {}
            Members::One(first, member) => {
                let first = (*first, std::mem::take(member));
                *self = Members::Some(BTreeMap::from([first, (id, Member::default())]));
            }
            Members::Some(members) if members.is_empty() => *self = Members::One(id, Member::default()),
            Members::Some(members) => drop(members.entry(id).or_default()),
        }
    }

    pub(crate) fn remove(&mut self, id: AlertId) {
        match self {
            Members::One(first, _) if *first == id => *self = Members::default(),
            Members::One(..) => {}
            Members::Some(members) => drop(members.remove(&id)),
        }
    }

    pub(crate) fn get_mut(&mut self, id: AlertId) -> Option<&mut Member> {
        match self {
            Members::One(first, member) => (*first == id).then_some(member),
            Members::Some(members) => members.get_mut(&id),
        }
    }

    /// All, in the order of handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AlertId, &Member)> {
        let (one, several) = match self {
            Members::One(id, member) => (Some((*id, member)), None),
            Members::Some(members) => (None, Some(members)),
        };
        one.into_iter().chain(several.into_iter().flatten().map(|(id, member)| (*id, member)))
    }

    /// The handles, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = AlertId> {
        self.iter().map(|(id, _)| id)
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Members::One(..) => 1,
            Members::Some(members) => members.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn is_a_sorted_set() {
        let (mut members, mut plain) = (Members::default(), BTreeSet::new());
        let steps =
            [(true, 3), (true, 3), (false, 1), (true, 1), (true, 2), (false, 3), (false, 1), (false, 2)];
        for (joins, id) in steps.map(|(joins, number)| (joins, AlertId::of_slot(number))) {
            if joins {
                members.insert(id);
                plain.insert(id);
            } else {
                members.remove(id);
                plain.remove(&id);
            }
            assert!(members.ids().eq(plain.iter().copied()), "{members:?}");
            assert_eq!((members.len(), members.is_empty()), (plain.len(), plain.is_empty()));
            assert_eq!(members.get_mut(id).is_some(), plain.contains(&id));
        }
    }
}
