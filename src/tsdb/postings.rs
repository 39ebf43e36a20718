//! Sets of series ids, as sorted lists without repeats.

/// What is in both.
pub(crate) fn intersect(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    // Much smaller: look its members up one by one. Else walk both.
    if small.len() * 16 < large.len() {
        return small.iter().copied().filter(|id| large.binary_search(id).is_ok()).collect();
    }
    let mut found = Vec::with_capacity(small.len());
    let mut rest = large.iter().peekable();
    for id in small {
        while rest.peek().is_some_and(|other| *other < id) {
            rest.next();
        }
        if rest.peek() == Some(&id) {
            found.push(*id);
        }
    }
    found
}

/// What is in `a` and not in `b`.
pub(crate) fn subtract(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut rest = b.iter().peekable();
    a.iter()
        .copied()
        .filter(|id| {
            while rest.peek().is_some_and(|other| *other < id) {
                rest.next();
            }
            rest.peek() != Some(&id)
        })
        .collect()
}

/// Everything that is in any of the lists. Lists of one label are disjoint, so this is a sort.
pub(crate) fn union<'a>(lists: impl IntoIterator<Item = &'a [u64]>) -> Vec<u64> {
    let (mut all, mut count) = (Vec::new(), 0);
    for list in lists {
        all.extend_from_slice(list);
        count += 1;
    }
    if count > 1 {
        // Runs that ascend: the stable sort merges those.
        all.sort();
        all.dedup();
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set() -> impl Strategy<Value = BTreeSet<u64>> {
        prop_oneof![
            prop::collection::btree_set(0..40u64, 0..20),
            prop::collection::btree_set(0..400u64, 0..300)
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_sets(a in set(), b in set()) {
            let (list_a, list_b): (Vec<u64>, Vec<u64>) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(intersect(&list_a, &list_b), a.intersection(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(subtract(&list_a, &list_b), a.difference(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(union([&list_a[..], &list_b[..]]), a.union(&b).copied().collect::<Vec<_>>());
        }
    }
}
