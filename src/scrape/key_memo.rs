//! From a key to the slot that it led to last time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Nothing to guess from.
const NOWHERE: u32 = u32::MAX;

/// Remembers where keys led. Made for keys that come in nearly the same order each time: each entry remembers which one
/// came after it, and a right guess costs one comparison and no hash.
#[derive(Clone, Debug)]
pub(crate) struct KeyMemo<K> {
    index: HashMap<K, u32>,
    entries: Vec<MemoEntry<K>>,
    first: u32,
    /// The entry that was used last in this pass.
    last: u32,
}

#[derive(Clone, Debug)]
struct MemoEntry<K> {
    key: K,
    /// `None`: the key leads nowhere, and that is known.
    slot: Option<u32>,
    /// The pass in which it was used last.
    pass: u64,
    next: u32,
}

impl<K> Default for KeyMemo<K> {
    fn default() -> Self {
        KeyMemo { index: HashMap::new(), entries: Vec::new(), first: NOWHERE, last: NOWHERE }
    }
}

impl<K: Clone + Eq + Hash> KeyMemo<K> {
    /// Begins a pass over keys.
    pub(crate) fn rewind(&mut self) {
        self.last = NOWHERE;
    }

    /// Where `key` led, and whether it is known at all.
    pub(crate) fn find<Q>(&mut self, key: &Q, pass: u64) -> Option<Option<u32>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let guess = match self.entries.get(self.last as usize) {
            Some(last) => last.next,
            None => self.first,
        };
        let is_right = self.entries.get(guess as usize).is_some_and(|entry| entry.key.borrow() == key);
        let found = if is_right { guess } else { *self.index.get(key)? };
        self.follow(found);
        let entry = &mut self.entries[found as usize];
        entry.pass = pass;
        Some(entry.slot)
    }

    /// Remembers that `key`, which is not known, leads to `slot`.
    pub(crate) fn insert(&mut self, key: K, slot: Option<u32>, pass: u64) {
        let Ok(place) = u32::try_from(self.entries.len()) else { return };
        self.index.insert(key.clone(), place);
        self.entries.push(MemoEntry { key, slot, pass, next: NOWHERE });
        self.follow(place);
    }

    /// `place` came after the last one.
    fn follow(&mut self, place: u32) {
        match self.entries.get_mut(self.last as usize) {
            Some(last) => last.next = place,
            None => self.first = place,
        }
        self.last = place;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets keys that were not used in `pass`, and moves the others to where `moved` says their slots are now.
    pub(crate) fn retain(&mut self, pass: u64, moved: impl Fn(u32) -> Option<u32>) {
        let old = std::mem::take(self);
        for entry in old.entries.into_iter().filter(|entry| entry.pass == pass) {
            match entry.slot.map(&moved) {
                Some(None) => {}
                slot => self.insert(entry.key, slot.flatten(), entry.pass),
            }
        }
        self.rewind();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_in_any_order() {
        let mut memo: KeyMemo<String> = KeyMemo::default();
        for (slot, key) in ["a", "b", "c"].into_iter().enumerate() {
            memo.insert(key.to_owned(), Some(slot as u32), 1);
        }
        memo.insert("dropped".to_owned(), None, 1);
        for order in [["a", "b", "c"], ["c", "a", "b"], ["b", "b", "a"]] {
            memo.rewind();
            for key in order {
                let slot = ["a", "b", "c"].iter().position(|k| *k == key).unwrap() as u32;
                assert_eq!(memo.find(key, 2), Some(Some(slot)));
            }
        }
        assert_eq!(memo.find("dropped", 2), Some(None));
        assert_eq!(memo.find("other", 2), None);
    }

    #[test]
    fn forgets_what_was_not_used() {
        let mut memo: KeyMemo<String> = KeyMemo::default();
        for (slot, key) in ["a", "b", "c"].into_iter().enumerate() {
            memo.insert(key.to_owned(), Some(slot as u32), 1);
        }
        memo.rewind();
        memo.find("a", 2);
        memo.find("c", 2);
        memo.retain(2, |slot| (slot != 0).then(|| slot - 1));
        assert_eq!(memo.len(), 1);
        assert_eq!(memo.find("c", 3), Some(Some(1)));
        assert_eq!(memo.find("a", 3), None);
    }
}
