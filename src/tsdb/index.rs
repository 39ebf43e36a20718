//! Which series there are: by labels, by id, and by the values of their labels.
//!
//! The maps are sharded, so that readers and the appender rarely meet. One writer at a time: the appender, or the
//! retention while it keeps the appender away. A reader may see a series in one map and not yet in another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::DashMap;
use model::{Labels, MatchOp, Matcher, Needed};

use crate::postings::{intersect, subtract, union};
use crate::series::MemSeries;

/// So many values are tried one by one before it is worth it to ask what a pattern needs.
const TRIED_MIN: usize = 128;

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

/// Ids in ascending order. Queries share them; an id is added in place if none does at the moment.
type Ids = Arc<Vec<u64>>;

/// The ids of the series that have a label, by the label's value.
#[derive(Default)]
struct Values(BTreeMap<Box<str>, Ids>);

/// Series with neighbouring ids: they are mostly of one target, and mostly found together.
type Page = Box<[Option<Arc<MemSeries>>; PAGE]>;
const PAGE: usize = 256;

/// The series by their ids, which are given in ascending order.
#[derive(Default)]
struct Pages {
    pages: IdMap<Page>,
    len: usize,
}

#[derive(Default)]
pub(crate) struct Index {
    /// With the standard hasher: labels come from targets, which nobody need trust.
    by_labels: DashMap<Labels, Arc<MemSeries>>,
    by_id: RwLock<Pages>,
    names: DashMap<Box<str>, Values>,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.pages().len
    }

    fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages_mut(&self) -> RwLockWriteGuard<'_, Pages> {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<Arc<MemSeries>> {
        self.pages().get(id).cloned()
    }

    pub(crate) fn by_labels(&self, labels: &Labels) -> Option<Arc<MemSeries>> {
        self.by_labels.get(labels).map(|series| Arc::clone(&series))
    }

    /// Adds a series. Its id must be higher than all before.
    pub(crate) fn insert(&self, series: &Arc<MemSeries>) {
        self.pages_mut().insert(Arc::clone(series));
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
            self.pages_mut().remove(series.id);
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
    ///
    /// Labels that must have one certain value come first, the rarest before the others. What is left is small then, mostly:
    /// smaller than the number of values that a regular expression would have to be tried on, so that it is tried on the
    /// series instead.
    pub(crate) fn find(&self, matchers: &[Matcher]) -> Vec<Arc<MemSeries>> {
        let (mut lists, mut others) = (Vec::new(), Vec::new());
        for matcher in matchers {
            match matcher.literals().as_deref() {
                Some([value]) if !value.is_empty() => lists.push(self.ids_with(matcher.name(), value)),
                _ => others.push(matcher),
            }
        }
        lists.sort_unstable_by_key(|ids| ids.len());
        let mut ids: Option<Ids> = None;
        for list in lists {
            ids = Some(match ids {
                Some(ids) => Arc::new(intersect(&ids, &list)),
                None => list,
            });
        }
        let mut on_series = Vec::new();
        for matcher in others {
            if ids.as_ref().is_some_and(|ids| ids.len() < 2 * self.values_to_try(matcher)) {
                on_series.push(matcher);
            } else {
                ids = Some(Arc::new(self.narrowed(ids, matcher)));
            }
        }
        let ids = ids.unwrap_or_else(|| Arc::new(self.all_ids()));
        let mut found = Vec::with_capacity(if on_series.is_empty() { ids.len() } else { 0 });
        // The lock is let go from page to page: the appender may have new series.
        for neighbours in ids.chunk_by(|a, b| page_of(*a) == page_of(*b)) {
            let pages = self.pages();
            let Some(page) = pages.pages.get(&page_of(neighbours[0])) else { continue };
            let series = neighbours.iter().filter_map(|id| page[place_in(*id)].as_ref());
            let fits = |series: &&Arc<MemSeries>| on_series.iter().all(|m| m.matches_labels(&series.labels));
            found.extend(series.filter(fits).cloned());
        }
        found
    }

    /// The ids that a matcher leaves; of all, if there are none before it.
    ///
    /// One that refuses the empty value needs series that have the label. One that accepts it is satisfied by everything but
    /// the series whose value it refuses.
    fn narrowed(&self, ids: Option<Ids>, matcher: &Matcher) -> Vec<u64> {
        if !matcher.matches_empty() {
            let accepted = self.ids_accepted(matcher);
            return ids.map_or_else(|| accepted.clone(), |ids| intersect(&ids, &accepted));
        }
        let refused = self.ids_refused(matcher);
        match ids {
            Some(ids) => subtract(&ids, &refused),
            None => subtract(&self.all_ids(), &refused),
        }
    }

    /// How many values a matcher would have to be tried on.
    fn values_to_try(&self, matcher: &Matcher) -> usize {
        if let Some(literals) = matcher.literals() {
            return literals.len();
        }
        self.names.get(matcher.name()).map_or(0, |values| values.0.len())
    }

    fn ids_with(&self, name: &str, value: &str) -> Ids {
        // The name of no label: all series stand under it.
        let values = if name.is_empty() { None } else { self.names.get(name) };
        values.and_then(|values| values.0.get(value).cloned()).unwrap_or_default()
    }

    fn all_ids(&self) -> Vec<u64> {
        self.names.get(ALL).map_or_else(Vec::new, |values| union(values.0.values().map(|ids| &ids[..])))
    }

    fn ids_accepted(&self, matcher: &Matcher) -> Vec<u64> {
        if matcher.name().is_empty() {
            return Vec::new();
        }
        let Some(values) = self.names.get(matcher.name()) else { return Vec::new() };
        match matcher.literals() {
            Some(literals) => union(literals.iter().filter_map(|l| values.0.get(*l)).map(|ids| &ids[..])),
            None => union(values.accepted(matcher)),
        }
    }

    fn ids_refused(&self, matcher: &Matcher) -> Vec<u64> {
        if matcher.name().is_empty() {
            return Vec::new();
        }
        let Some(values) = self.names.get(matcher.name()) else { return Vec::new() };
        match matcher.op() {
            MatchOp::NotEqual => values.0.get(matcher.pattern()).map_or_else(Vec::new, |ids| ids.to_vec()),
            _ => union(values.0.iter().filter(|(value, _)| !matcher.matches(value)).map(|(_, ids)| &ids[..])),
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

fn page_of(id: u64) -> u64 {
    id / PAGE as u64
}

fn place_in(id: u64) -> usize {
    (id % PAGE as u64) as usize
}

impl Pages {
    fn get(&self, id: u64) -> Option<&Arc<MemSeries>> {
        self.pages.get(&page_of(id))?[place_in(id)].as_ref()
    }

    fn insert(&mut self, series: Arc<MemSeries>) {
        let id = series.id;
        let page = self.pages.entry(page_of(id)).or_insert_with(|| Box::new([const { None }; PAGE]));
        if page[place_in(id)].replace(series).is_none() {
            self.len += 1;
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(page) = self.pages.get_mut(&page_of(id)) else { return };
        if page[place_in(id)].take().is_some() {
            self.len -= 1;
        }
        if page.iter().all(Option::is_none) {
            self.pages.remove(&page_of(id));
        }
    }
}

impl Values {
    fn add(&mut self, value: &str, id: u64) {
        if let Some(ids) = self.0.get_mut(value) {
            Arc::make_mut(ids).push(id);
        } else {
            self.0.insert(Box::from(value), Arc::new(vec![id]));
        }
    }

    fn remove(&mut self, value: &str, gone: &HashSet<u64>) {
        let Some(ids) = self.0.get_mut(value).map(Arc::make_mut) else { return };
        ids.retain(|id| !gone.contains(id));
        if ids.is_empty() {
            self.0.remove(value);
        } else if ids.len() * 4 < ids.capacity() {
            ids.shrink_to_fit();
        }
    }

    /// The ids under each value that the matcher accepts. Of many values, only those are tried that have what its pattern
    /// needs.
    fn accepted<'a>(&'a self, matcher: &Matcher) -> Vec<&'a [u64]> {
        let needed = if self.0.len() > TRIED_MIN { matcher.needed() } else { None };
        let fitting = |(value, ids): (&str, &'a Ids)| matcher.matches(value).then_some(&ids[..]);
        match needed {
            Some(Needed::Values(values)) => {
                let values = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
                values.filter_map(|value| Some((value, self.0.get(value)?))).filter_map(fitting).collect()
            }
            // A prefix may end inside a character: then it is no text to look for.
            Some(Needed::Prefixes(prefixes)) if prefixes.iter().all(|p| std::str::from_utf8(p).is_ok()) => {
                let texts = prefixes.iter().filter_map(|prefix| std::str::from_utf8(prefix).ok());
                let with = |prefix| {
                    let from = (Bound::Included(prefix), Bound::Unbounded);
                    let range = self.0.range::<str, _>(from).map(|(value, ids)| (&**value, ids));
                    range.take_while(move |(value, _)| value.starts_with(prefix))
                };
                texts.flat_map(with).filter_map(fitting).collect()
            }
            _ => self.0.iter().map(|(value, ids)| (&**value, ids)).filter_map(fitting).collect(),
        }
    }
}
