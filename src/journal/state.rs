//! What is committed, as it stands in memory: keys and their values, in the order of keys.
//!
//! In: changes. Out: values, and the commits that they come from. A key and its value are one allocation: there is one
//! entry for each alert, each group and each message that was told, and most are small.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use ports::Revision;

/// A key, its value, and the commit that it comes from; what was there at the start comes from none.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The key, then the value.
    bytes: Box<[u8]>,
    key_bytes: u32,
    revision: Revision,
}

impl Entry {
    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_bytes as usize]
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.bytes[self.key_bytes as usize..]
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }
}

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

/// What is committed.
#[derive(Debug, Default)]
pub(crate) struct State {
    entries: BTreeSet<Entry>,
    /// Of all keys and values.
    bytes: u64,
}

impl State {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8], revision: Revision) {
        // Longer keys do not come from a record, which is shorter.
        let key_bytes = u32::try_from(key.len()).expect("a key is shorter than a record");
        let entry = Entry { bytes: [key, value].concat().into(), key_bytes, revision };
        self.bytes += entry.bytes.len() as u64;
        let before = self.entries.replace(entry);
        self.bytes -= before.map_or(0, |entry| entry.bytes.len() as u64);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        let before = self.entries.take(key);
        self.bytes -= before.map_or(0, |entry| entry.bytes.len() as u64);
    }

    /// Those whose key starts with `prefix`, in order.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
        let from = self.entries.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |entry| entry.key().starts_with(prefix))
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_value_of_each_key() {
        let mut state = State::default();
        let keys = |state: &State, prefix: &[u8]| -> Vec<Vec<u8>> {
            state.with_prefix(prefix).map(|entry| entry.key().to_vec()).collect()
        };
        for (key, value, revision) in
            [("b", "1", 1), ("a", "", 1), ("b", "22", 2), ("ba", "3", 3), ("c", "", 4)]
        {
            state.put(key.as_bytes(), value.as_bytes(), Revision(revision));
        }
        assert_eq!(keys(&state, b"b"), [b"b".to_vec(), b"ba".to_vec()]);
        assert_eq!(keys(&state, b"").len(), 4);
        let b = state.get(b"b").unwrap();
        assert_eq!((b.value(), b.revision()), (&b"22"[..], Revision(2)));
        assert_eq!(state.bytes(), 3 + 1 + 3 + 1);
        state.remove(b"ba");
        state.remove(b"none");
        assert_eq!((state.bytes(), state.get(b"ba").is_none()), (5, true));
    }
}
