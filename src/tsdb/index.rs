//! Which series there are: by labels, by id, and by the values of their labels.
//!
//! The maps are sharded, so that readers and the appender rarely meet. One writer at a time: the appender, or the
//! retention while it keeps the appender away. A reader may see a series in one map and not yet in another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use model::{Labels, MatchOp, Matcher};

use crate::postings::{intersect, subtract, union};
use crate::series::MemSeries;

/// The name under which all series stand; no label has it.
const ALL: &str = "";

/// Hashes ids, which are unique already; spreads them over both ends of the hash.
#[derive(Clone, Copy, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map from ids.
pub(crate) type IdMap<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;

/// The ids of the series that have a label, by the label's value.
#[derive(Default)]
struct Values(BTreeMap<Box<str>, Vec<u64>>);

#[derive(Default)]
pub(crate) struct Index {
    /// With the standard hasher: labels come from targets, which nobody need trust.
    by_labels: DashMap<Labels, Arc<MemSeries>>,
    by_id: DashMap<u64, Arc<MemSeries>, BuildHasherDefault<IdHasher>>,
    names: DashMap<Box<str>, Values>,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<Arc<MemSeries>> {
        self.by_id.get(&id).map(|series| Arc::clone(&series))
    }

    pub(crate) fn by_labels(&self, labels: &Labels) -> Option<Arc<MemSeries>> {
        self.by_labels.get(labels).map(|series| Arc::clone(&series))
    }

    /// Adds a series. Its id must be higher than all before.
    pub(crate) fn insert(&self, series: &Arc<MemSeries>) {
        self.by_id.insert(series.id, Arc::clone(series));
        self.by_labels.insert(series.labels.clone(), Arc::clone(series));
        let all = [(ALL, "")];
        for (name, value) in series.labels.iter().chain(all) {
            // The common case allocates neither name nor value.
            if let Some(mut values) = self.names.get_mut(name) {
                values.add(value, series.id);
                continue;
            }
            self.names.entry(Box::from(name)).or_default().add(value, series.id);
        }
    }

    /// Removes series.
    pub(crate) fn remove(&self, gone: &[Arc<MemSeries>]) {
        if gone.is_empty() {
            return;
        }
        let mut touched: HashMap<&str, HashSet<&str>> = HashMap::new();
        let mut ids: HashSet<u64> = HashSet::new();
        for series in gone {
            self.by_labels.remove(&series.labels);
            self.by_id.remove(&series.id);
            ids.insert(series.id);
            for (name, value) in &series.labels {
                touched.entry(name).or_default().insert(value);
            }
        }
        touched.entry(ALL).or_default().insert("");
        for (name, values) in touched {
            if let Some(mut entry) = self.names.get_mut(name) {
                for value in values {
                    entry.remove(value, &ids);
                }
            }
            self.names.remove_if(name, |_, values| values.0.is_empty());
        }
    }

    /// All series that are there from the beginning to the end, in order of their ids. No shard is locked meanwhile: the
    /// appender is not to wait for a walk over a million series.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<MemSeries>)) {
        for id in self.all_ids() {
            if let Some(series) = self.by_id(id) {
                visit(&series);
            }
        }
    }

    /// The series that all of `matchers` accept, in order of their ids.
    pub(crate) fn find(&self, matchers: &[Matcher]) -> Vec<Arc<MemSeries>> {
        self.find_ids(matchers).into_iter().filter_map(|id| self.by_id(id)).collect()
    }

    /// A matcher that refuses the empty value needs series that have the label: their lists are intersected. One that
    /// accepts it is satisfied by everything but the series whose value it refuses: those are subtracted.
    fn find_ids(&self, matchers: &[Matcher]) -> Vec<u64> {
        let (without, with): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.matches_empty());
        let mut found: Option<Vec<u64>> = None;
        for matcher in with {
            let accepted = self.ids_accepted(matcher);
            let both = match found {
                Some(found) => intersect(&found, &accepted),
                None => accepted,
            };
            if both.is_empty() {
                return both;
            }
            found = Some(both);
        }
        let mut found = found.unwrap_or_else(|| self.all_ids());
        for matcher in without {
            let refused = self.ids_refused(matcher);
            if !refused.is_empty() {
                found = subtract(&found, &refused);
            }
        }
        found
    }

    fn all_ids(&self) -> Vec<u64> {
        self.names.get(ALL).map_or_else(Vec::new, |values| union(values.0.values().map(Vec::as_slice)))
    }

    fn ids_accepted(&self, matcher: &Matcher) -> Vec<u64> {
        if matcher.name().is_empty() {
            return Vec::new();
        }
        let Some(values) = self.names.get(matcher.name()) else { return Vec::new() };
        match matcher.literals() {
            Some(literals) => union(literals.iter().filter_map(|l| values.0.get(*l)).map(Vec::as_slice)),
            None => union(values.accepted(matcher)),
        }
    }

    fn ids_refused(&self, matcher: &Matcher) -> Vec<u64> {
        if matcher.name().is_empty() {
            return Vec::new();
        }
        let Some(values) = self.names.get(matcher.name()) else { return Vec::new() };
        match matcher.op() {
            MatchOp::NotEqual => values.0.get(matcher.pattern()).cloned().unwrap_or_default(),
            _ => union(
                values.0.iter().filter(|(value, _)| !matcher.matches(value)).map(|(_, ids)| ids.as_slice()),
            ),
        }
    }

    /// All label names, sorted.
    pub(crate) fn label_names(&self) -> Vec<String> {
        let names = self.names.iter().map(|entry| entry.key().to_string());
        let mut names: Vec<String> = names.filter(|name| name != ALL).collect();
        names.sort_unstable();
        names
    }

    /// All values of one label, sorted.
    pub(crate) fn label_values(&self, name: &str) -> Vec<String> {
        if name.is_empty() {
            return Vec::new();
        }
        self.names.get(name).map_or_else(Vec::new, |values| values.0.keys().map(|v| v.to_string()).collect())
    }

    /// Shows each label with a value and the number of series that have it.
    pub(crate) fn for_each_pair(&self, mut visit: impl FnMut(&str, &str, usize)) {
        for entry in self.names.iter().filter(|entry| &**entry.key() != ALL) {
            for (value, ids) in &entry.value().0 {
                visit(entry.key(), value, ids.len());
            }
        }
    }
}

impl Values {
    fn add(&mut self, value: &str, id: u64) {
        if let Some(ids) = self.0.get_mut(value) {
            ids.push(id);
        } else {
            self.0.insert(Box::from(value), vec![id]);
        }
    }

    fn remove(&mut self, value: &str, gone: &HashSet<u64>) {
        let Some(ids) = self.0.get_mut(value) else { return };
        ids.retain(|id| !gone.contains(id));
        if ids.is_empty() {
            self.0.remove(value);
        } else if ids.len() * 4 < ids.capacity() {
            ids.shrink_to_fit();
        }
    }

    fn accepted<'a>(&'a self, matcher: &'a Matcher) -> impl Iterator<Item = &'a [u64]> {
        self.0.iter().filter(|(value, _)| matcher.matches(value)).map(|(_, ids)| ids.as_slice())
    }
}
