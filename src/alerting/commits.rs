//! Which changes are being made durable, and what waits for them.
//!
//! All changes of one step are one commit. What failed to be written is written again later, from the state as it is then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;

use crate::record::Key;
use crate::{AlertsAnswer, Change, CommitId, ReplyTo};

/// What happens when a commit is durable, or failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Then {
    /// This notification goes out.
    Deliver(Arc<str>),
    /// A sender of alerts hears of it.
    Answer(ReplyTo, AlertsAnswer),
    /// The staged silences count.
    Silences,
}

#[derive(Debug, Default)]
struct Pending {
    keys: Vec<Key>,
    then: Vec<Then>,
}

/// How a batch ends.
pub(crate) enum Sealed {
    /// Nothing was in it.
    Empty,
    /// Nothing has to become durable first.
    Done(Vec<Then>),
    /// These do.
    Commit(CommitId, Vec<Change>),
}

const REWRITE_FIRST: Duration = Duration::from_secs(1);
const REWRITE_LAST: Duration = Duration::from_secs(15);
/// Room for the keys of a usual batch: what one request of alerts leads to.
const PLACES_KEPT: usize = 512;

/// The batch of the current step, and the commits that nobody answered yet.
#[derive(Debug)]
pub(crate) struct Commits {
    last: u64,
    /// In the order in which their keys came.
    batch: Vec<(Key, Option<Vec<u8>>)>,
    /// Where in the batch a key stands.
    places: HashMap<Key, usize>,
    then: Vec<Then>,
    pending: BTreeMap<CommitId, Pending>,
    /// Keys whose last change is not durable.
    unwritten: BTreeSet<Key>,
    rewrite_after: Duration,
}

impl Default for Commits {
    fn default() -> Self {
        Commits {
            last: 0,
            batch: Vec::new(),
            places: HashMap::default(),
            then: Vec::new(),
            pending: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            rewrite_after: REWRITE_FIRST,
        }
    }
}

impl Commits {
    /// Adds a change to the current batch.
    pub(crate) fn put(&mut self, key: Key, value: Option<Vec<u8>>) {
        let place = *self.places.entry(key.clone()).or_insert(self.batch.len());
        match self.batch.get_mut(place) {
            Some((_, before)) => *before = value,
            None => self.batch.push((key, value)),
        }
    }

    /// Adds something that waits for the current batch.
    pub(crate) fn then(&mut self, then: Then) {
        self.then.push(then);
    }

    /// Ends the current batch.
    pub(crate) fn seal(&mut self) -> Sealed {
        let (batch, then) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.then));
        // One large batch is no reason to keep as much room for those that follow.
        self.places.clear();
        self.places.shrink_to(PLACES_KEPT);
        if batch.is_empty() {
            if then.is_empty() {
                return Sealed::Empty;
            }
            // What these wait for may be part of an earlier commit.
            return match self.pending.last_entry() {
                Some(mut last) => {
                    last.get_mut().then.extend(then);
                    Sealed::Empty
                }
                None => Sealed::Done(then),
            };
        }
        self.last += 1;
        let id = CommitId(self.last);
        if self.is_behind() {
            for (key, _) in &batch {
                self.unwritten.remove(key);
            }
        }
        let (mut keys, mut changes) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for (key, value) in batch {
            changes.push(Change { key: key.encode(), value });
            keys.push(key);
        }
        self.pending.insert(id, Pending { keys, then });
        Sealed::Commit(id, changes)
    }

    /// A commit is durable: what waited for it. Empty if it was answered before.
    pub(crate) fn succeeded(&mut self, id: CommitId) -> Vec<Then> {
        let Some(pending) = self.pending.remove(&id) else { return Vec::new() };
        self.rewrite_after = REWRITE_FIRST;
        pending.then
    }

    /// A commit failed: what waited for it.
    pub(crate) fn failed(&mut self, id: CommitId) -> Vec<Then> {
        let Some(pending) = self.pending.remove(&id) else { return Vec::new() };
        for key in pending.keys {
            // A later commit that is under way brings a newer value.
            if !self.pending.range(id..).any(|(_, later)| later.keys.contains(&key)) {
                self.unwritten.insert(key);
            }
        }
        pending.then
    }

    /// How long to wait before writing again what could not be written; longer each time.
    pub(crate) fn rewrite_delay(&mut self) -> Option<Duration> {
        if self.unwritten.is_empty() {
            return None;
        }
        let delay = self.rewrite_after;
        self.rewrite_after = (delay * 2).min(REWRITE_LAST);
        Some(delay)
    }

    /// The keys that have to be written again.
    pub(crate) fn take_unwritten(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.unwritten)
    }

    /// Whether something is not durable that should be.
    pub(crate) fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::Group(name.into())
    }

    fn commit(commits: &mut Commits) -> CommitId {
        match commits.seal() {
            Sealed::Commit(id, _) => id,
            _ => panic!("nothing to commit"),
        }
    }

    #[test]
    fn an_answer_waits_for_what_was_written_before() {
        let mut commits = Commits::default();
        commits.put(key("a"), None);
        let first = commit(&mut commits);
        commits.then(Then::Silences);
        assert!(matches!(commits.seal(), Sealed::Empty));
        assert_eq!(commits.succeeded(first), [Then::Silences]);
        assert_eq!(commits.succeeded(first), []);
        commits.then(Then::Silences);
        assert!(matches!(commits.seal(), Sealed::Done(then) if then == [Then::Silences]));
    }

    #[test]
    fn writes_again_what_failed_unless_something_newer_is_under_way() {
        let mut commits = Commits::default();
        commits.put(key("a"), None);
        commits.put(key("b"), None);
        let first = commit(&mut commits);
        commits.put(key("a"), None);
        let second = commit(&mut commits);
        commits.failed(first);
        assert_eq!(commits.unwritten, BTreeSet::from([key("b")]));
        assert_eq!(commits.rewrite_delay(), Some(REWRITE_FIRST));
        assert_eq!(commits.rewrite_delay(), Some(REWRITE_FIRST * 2));
        commits.failed(second);
        assert_eq!(commits.take_unwritten(), BTreeSet::from([key("a"), key("b")]));
        assert!(!commits.is_behind());
    }
}
