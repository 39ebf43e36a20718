//! Label sets as they cross the boundary: a table of symbols and two lists of numbers.
//!
//! Rows are what plugins work with; columns cost a quarter of them at the boundary.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

#[cfg(any(test, target_arch = "wasm32"))]
use crate::{Error, Labels, Result};

/// Label sets, each with its labels by index into `symbols`: the name's, the value's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    /// Each name and value once.
    pub(crate) symbols: Vec<String>,
    /// How many labels each row has.
    pub(crate) counts: Vec<u32>,
    /// The labels of all rows, one after the other.
    pub(crate) pairs: Vec<u32>,
    index: HashMap<String, u32, BuildHasherDefault<Fnv>>,
}

impl Columns {
    /// The index of a symbol.
    pub(crate) fn symbol(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.index.get(text) {
            return known;
        }
        // A table of four billion symbols would not fit into the 4 GiB that a guest can address.
        let next = self.symbols.len() as u32;
        self.symbols.push(text.to_owned());
        self.index.insert(text.to_owned(), next);
        next
    }

    /// Adds a row. Empty values are no labels; the caller's order is kept.
    pub(crate) fn row<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let mut count = 0;
        for (name, value) in labels {
            if !value.is_empty() {
                let (name, value) = (self.symbol(name), self.symbol(value));
                self.pairs.extend([name, value]);
                count += 1;
            }
        }
        self.counts.push(count);
    }

    /// The rows as names and values.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<(&str, &str)>> {
        let mut pairs = self.pairs.chunks_exact(2);
        self.counts.iter().map(move |&count| {
            let row = pairs.by_ref().take(count as usize);
            row.map(|pair| (self.symbols[pair[0] as usize].as_str(), self.symbols[pair[1] as usize].as_str()))
                .collect()
        })
    }
}

/// Reads rows back from columns.
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) fn label_sets(symbols: &[String], counts: &[u32], pairs: &[u32]) -> Result<Vec<Labels>> {
    let broken = || Error::new(crate::ErrorKind::Permanent, "the host's label columns contradict each other");
    let symbol = |at: u32| symbols.get(at as usize).cloned().ok_or_else(broken);
    let mut pairs = pairs.chunks_exact(2);
    let row = |&count: &u32| -> Result<Labels> {
        (0..count)
            .map(|_| {
                let pair = pairs.next().ok_or_else(broken)?;
                Ok((symbol(pair[0])?, symbol(pair[1])?))
            })
            .collect()
    };
    counts.iter().map(row).collect()
}

/// Fowler, Noll and Vo's hash: symbols are short and come from a source that the plugin has asked for itself.
#[derive(Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let mut columns = Columns::default();
        columns.row([("cpu", "0"), ("mode", "idle")]);
        columns.row([]);
        columns.row([("cpu", "1"), ("gone", ""), ("mode", "idle")]);
        assert_eq!(columns.symbols, ["cpu", "0", "mode", "idle", "1"]);
        assert_eq!(columns.rows().last(), Some(vec![("cpu", "1"), ("mode", "idle")]));
        let rows = label_sets(&columns.symbols, &columns.counts, &columns.pairs);
        let wanted = [
            Labels::from([("cpu", "0"), ("mode", "idle")]),
            Labels::new(),
            Labels::from([("cpu", "1"), ("mode", "idle")]),
        ];
        assert_eq!(rows, Ok(wanted.to_vec()));
    }

    #[test]
    fn contradictions_are_errors() {
        for (counts, pairs) in [(vec![1], vec![]), (vec![1], vec![0, 7]), (vec![1], vec![0])] {
            assert!(label_sets(&["a".to_owned()], &counts, &pairs).is_err());
        }
    }
}
