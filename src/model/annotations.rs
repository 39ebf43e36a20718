//! Free text about an alert.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use crate::label::{LabelsIter, push_pair};

/// Free text about an alert: name → text, in name order. Unlike a label's value a text may be empty.
///
/// Cloning is one reference count, and the text behind it one allocation, in the form of [`crate::Labels`]: an alert is
/// held by rules, groups, views and messages at once, and a tree of a few texts takes three times their bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Annotations(Arc<str>);

impl Annotations {
    /// Without any.
    pub fn new() -> Self {
        Annotations(Arc::default())
    }

    /// From pairs that are sorted by name already, with unique names: the fast way for parsers. Falls back to sorting
    /// if they are not.
    pub fn from_sorted(pairs: &[(&str, &str)]) -> Self {
        if pairs.is_empty() {
            return Annotations::new();
        }
        if !pairs.windows(2).all(|w| w[0].0 < w[1].0) {
            return pairs.iter().copied().collect();
        }
        let mut out = String::with_capacity(pairs.iter().map(|(n, t)| n.len() + t.len() + 4).sum());
        for (name, text) in pairs {
            push_pair(&mut out, name, text);
        }
        Annotations(Arc::from(out))
    }

    /// The text of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, text)| text)
    }

    /// Whether there is a text of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and texts in name order.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter::of(&self.0)
    }

    /// The names in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets one.
    pub fn insert(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.extend([(name.into(), text.into())]);
    }
}

impl Default for Annotations {
    fn default() -> Self {
        Annotations::new()
    }
}

impl From<BTreeMap<String, String>> for Annotations {
    fn from(texts: BTreeMap<String, String>) -> Self {
        let pairs: Vec<(&str, &str)> = texts.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        Annotations::from_sorted(&pairs)
    }
}

impl<N: Into<String>, T: Into<String>, const K: usize> From<[(N, T); K]> for Annotations {
    fn from(pairs: [(N, T); K]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N: Into<String>, T: Into<String>> FromIterator<(N, T)> for Annotations {
    /// In any order; of equal names the last one counts.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, text)| (name.into(), text.into()));
        pairs.collect::<BTreeMap<String, String>>().into()
    }
}

impl<N: Into<String>, T: Into<String>> Extend<(N, T)> for Annotations {
    fn extend<I: IntoIterator<Item = (N, T)>>(&mut self, pairs: I) {
        let known = self.iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        let mut all: BTreeMap<String, String> = known.collect();
        all.extend(pairs.into_iter().map(|(name, text)| (name.into(), text.into())));
        *self = all.into();
    }
}

impl<'a> IntoIterator for &'a Annotations {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

impl Index<&str> for Annotations {
    type Output = str;
    fn index(&self, name: &str) -> &str {
        self.get(name).expect("no annotation of this name")
    }
}

impl PartialOrd for Annotations {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Annotations {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Debug for Annotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_and_unique_and_may_be_empty() {
        let mut all: Annotations = [("b", "2"), ("a", ""), ("b", "3")].into();
        assert_eq!(all.iter().collect::<Vec<_>>(), [("a", ""), ("b", "3")]);
        assert_eq!((all.get("a"), all.get("c"), &all["b"], all.len()), (Some(""), None, "3", 2));
        all.insert("a", "1");
        all.insert("0", "zero");
        assert_eq!(all, Annotations::from_sorted(&[("0", "zero"), ("a", "1"), ("b", "3")]));
        assert_eq!(all, Annotations::from_sorted(&[("b", "3"), ("0", "zero"), ("a", "1")]));
        assert_eq!(format!("{all:?}"), r#"{"0": "zero", "a": "1", "b": "3"}"#);
        assert!(Annotations::new().is_empty() && !all.is_empty());
        assert!(all.contains_key("0") && Annotations::new() < all);
    }
}
