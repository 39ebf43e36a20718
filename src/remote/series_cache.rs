//! Which series the label bytes of a request mean, without building a label set for those that are known.
//!
//! An entry stands under the hash of the bytes as they came; whoever finds one compares the labels, so that two series
//! with the same hash are only slower. Entries that nobody asked for through two turns are forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::fast::RandomState;
use model::{Labels, SeriesRef, Timestamp};

/// How long an entry that nobody asks for stays at least.
const TURN: Duration = Duration::from_secs(15 * 60);
/// Entries of one turn; with more, a turn ends early. About 50 bytes each, and the labels, which the store shares.
const ENTRIES_MAX: usize = 2_000_000;

/// A series as it was stored last.
#[derive(Clone, Debug)]
pub(crate) struct KnownSeries {
    pub(crate) labels: Labels,
    pub(crate) stored: Option<SeriesRef>,
}

/// Keys are hashes already.
#[derive(Clone, Copy, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl BuildHasher for AsIs {
    type Hasher = AsIs;
    fn build_hasher(&self) -> AsIs {
        *self
    }
}

/// The series that senders wrote lately.
#[derive(Default)]
pub(crate) struct SeriesCache {
    random: RandomState,
    young: HashMap<u64, KnownSeries, AsIs>,
    old: HashMap<u64, KnownSeries, AsIs>,
    turned: Option<Timestamp>,
}

impl SeriesCache {
    /// The hash of label bytes. It starts from chance, so that a sender cannot choose bytes that meet.
    #[inline]
    pub(crate) fn key<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> u64 {
        let mut hasher = self.random.build_hasher();
        for part in parts {
            hasher.write(part);
        }
        hasher.finish()
    }

    /// To be called once for each request.
    pub(crate) fn turn(&mut self, now: Timestamp) {
        let started = *self.turned.get_or_insert(now);
        // A clock that goes back starts the turn anew at the latest when it is back where it was.
        if now - TURN >= started || self.young.len() >= ENTRIES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.turned = Some(now);
        }
    }

    /// The entry under `key`, whatever its labels are.
    #[inline]
    pub(crate) fn get(&mut self, key: u64) -> Option<&KnownSeries> {
        if !self.young.contains_key(&key)
            && let Some(entry) = self.old.remove(&key)
        {
            self.young.insert(key, entry);
        }
        self.young.get(&key)
    }

    pub(crate) fn put(&mut self, key: u64, series: KnownSeries) {
        self.young.insert(key, series);
    }

    /// Notes where a series was stored.
    pub(crate) fn stored(&mut self, key: u64, labels: &Labels, at: SeriesRef) {
        if let Some(entry) = self.young.get_mut(&key).filter(|entry| entry.labels == *labels) {
            entry.stored = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_forgotten_after_two_turns() {
        let mut cache = SeriesCache::default();
        let series = |name| KnownSeries { labels: Labels::from([("__name__", name)]), stored: None };
        let at = |minutes: i64| Timestamp::from_secs(minutes * 60);
        cache.turn(at(0));
        cache.put(1, series("a"));
        cache.put(2, series("b"));
        cache.turn(at(16));
        assert!(cache.get(1).is_some());
        cache.turn(at(32));
        assert!(cache.get(1).is_some());
        assert!(cache.get(2).is_none());
    }

    #[test]
    fn the_hash_is_of_all_bytes() {
        let cache = SeriesCache::default();
        let key = |parts: &[&'static [u8]]| cache.key(parts.iter().copied());
        assert_eq!(key(&[b"abc"]), key(&[b"abc"]));
        assert_ne!(key(&[b"abc"]), key(&[b"abd"]));
    }
}
