//! A list that is short: an alert has one route and one group as a rule, and a message one alert.
//!
//! One item takes no allocation. In and out as a slice; it grows by [`Few::push`] and shrinks by [`Few::retain`].

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::{iter, option, vec};

/// A list of mostly one item.
#[derive(Clone)]
pub struct Few<T>(Items<T>);

#[derive(Clone)]
enum Items<T> {
    None,
    One(T),
    Several(Vec<T>),
}

impl<T> Few<T> {
    /// Without items.
    pub fn new() -> Self {
        Few(Items::None)
    }

    /// Of one item.
    pub fn one(item: T) -> Self {
        Few(Items::One(item))
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        if let Items::Several(items) = &mut self.0 {
            return items.push(item);
        }
        self.0 = match std::mem::replace(&mut self.0, Items::None) {
            Items::One(first) => Items::Several(vec![first, item]),
            _ => Items::One(item),
        }
    }

    /// Keeps the items that `keep` accepts, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        match &mut self.0 {
            Items::None => {}
            Items::One(item) => {
                if !keep(item) {
                    self.0 = Items::None;
                }
            }
            Items::Several(items) => items.retain(keep),
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Items::None => &[],
            Items::One(item) => std::slice::from_ref(item),
            Items::Several(items) => items,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Items::None => &mut [],
            Items::One(item) => std::slice::from_mut(item),
            Items::Several(items) => items,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        Few(match (items.next(), items.next()) {
            (None, _) => Items::None,
            (Some(item), None) => Items::One(item),
            (Some(first), Some(second)) => Items::Several([first, second].into_iter().chain(items).collect()),
        })
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = iter::Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, several) = match self.0 {
            Items::None => (None, Vec::new()),
            Items::One(item) => (Some(item), Vec::new()),
            Items::Several(items) => (None, items),
        };
        one.into_iter().chain(several)
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_list() {
        let mut few: Few<u64> = Few::new();
        let mut list: Vec<u64> = Vec::new();
        for item in 0..4 {
            assert_eq!((&*few, few.len()), (&*list, list.len()));
            assert_eq!(few, list.iter().copied().collect());
            few.push(item);
            list.push(item);
        }
        for gone in [2, 0, 3, 7, 1] {
            few.retain(|item| *item != gone);
            list.retain(|item| *item != gone);
            assert_eq!(*few, *list);
        }
        assert!(few.is_empty());
        few.push(5);
        few.retain(|_| true);
        assert_eq!(format!("{few:?}"), "[5]");
        few.push(3);
        few.sort_unstable();
        assert_eq!(few.clone().into_iter().collect::<Vec<_>>(), [3, 5]);
        few.retain(|_| false);
        assert_eq!(few, Few::new());
    }

    #[test]
    fn takes_no_more_room_than_a_vec() {
        assert_eq!(size_of::<Few<u64>>(), size_of::<Vec<u64>>());
    }
}
