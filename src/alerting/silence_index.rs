//! Finds the silences that may match an alert without trying each.
//!
//! Every set of matchers has an anchor: one matcher that says what the value of a label is, how it begins, or what it
//! contains. Looking up an alert's labels gives the sets whose anchor fits; of those, the ones whose other matchers ask for
//! something that is not there are left out, and only the rest is tried in full. Sets without an anchor are always tried.

use std::collections::{BTreeSet, HashMap};

use model::{Labels, Needed};

use crate::Silence;

/// Anchors of silences, by what they ask for. Silences are named by their age.
#[derive(Debug, Default)]
pub(crate) struct SilenceIndex {
    /// By label name.
    names: HashMap<String, Anchors>,
    unanchored: BTreeSet<u64>,
}

/// For each text, the sets that ask for it.
type ByText = HashMap<Vec<u8>, Vec<Set>>;

#[derive(Debug, Default)]
struct Anchors {
    values: ByText,
    prefixes: ByText,
    /// How many prefixes there are of each length in bytes: no other lengths are looked up.
    lengths: HashMap<usize, usize>,
    /// By the first [`Needed::CONTAINED_MIN`] bytes of what a value contains.
    pieces: ByText,
}

/// One set of matchers.
#[derive(Clone, Debug)]
struct Set {
    age: u64,
    /// What it asks for besides its anchor, by label name; the whole piece, if the anchor is one.
    also: Vec<(String, Needed)>,
}

impl Set {
    fn may_match(&self, labels: &Labels) -> bool {
        self.also.iter().all(|(name, needed)| needed.holds(labels.value(name)))
    }
}

impl SilenceIndex {
    pub(crate) fn insert(&mut self, age: u64, silence: &Silence) {
        for set in &silence.matcher_sets {
            let Some((name, anchor, also)) = anchored(set) else {
                self.unanchored.insert(age);
                continue;
            };
            let anchors = self.names.entry(name).or_default();
            let set = Set { age, also };
            let add = |map: &mut ByText, text: Vec<u8>| map.entry(text).or_default().push(set.clone());
            match anchor {
                Needed::Values(values) => {
                    values.into_iter().for_each(|value| add(&mut anchors.values, value))
                }
                Needed::Prefixes(prefixes) => {
                    for prefix in prefixes {
                        *anchors.lengths.entry(prefix.len()).or_default() += 1;
                        add(&mut anchors.prefixes, prefix);
                    }
                }
                Needed::Contains(piece) => add(&mut anchors.pieces, piece[..Needed::CONTAINED_MIN].to_vec()),
            }
        }
    }

    /// Undoes [`SilenceIndex::insert`] with the same values.
    pub(crate) fn remove(&mut self, age: u64, silence: &Silence) {
        self.unanchored.remove(&age);
        for set in &silence.matcher_sets {
            let Some((name, anchor, _)) = anchored(set) else { continue };
            let Some(anchors) = self.names.get_mut(&name) else { continue };
            match anchor {
                Needed::Values(values) => {
                    values.into_iter().for_each(|value| take_out(&mut anchors.values, &value, age));
                }
                Needed::Prefixes(prefixes) => {
                    for prefix in prefixes {
                        take_out(&mut anchors.prefixes, &prefix, age);
                        if let Some(count) = anchors.lengths.get_mut(&prefix.len()) {
                            *count -= 1;
                            if *count == 0 {
                                anchors.lengths.remove(&prefix.len());
                            }
                        }
                    }
                }
                Needed::Contains(piece) => {
                    take_out(&mut anchors.pieces, &piece[..Needed::CONTAINED_MIN], age);
                }
            }
            if anchors.values.is_empty() && anchors.prefixes.is_empty() && anchors.pieces.is_empty() {
                self.names.remove(&name);
            }
        }
    }

    /// Ages of the silences above `after` that may match `labels`, in order.
    pub(crate) fn candidates(&self, labels: &Labels, after: u64) -> BTreeSet<u64> {
        let mut found: BTreeSet<u64> = self.unanchored.range(after + 1..).copied().collect();
        let mut add = |sets: Option<&Vec<Set>>| {
            let fitting = sets.into_iter().flatten().filter(|set| set.age > after && set.may_match(labels));
            found.extend(fitting.map(|set| set.age));
        };
        for (name, anchors) in &self.names {
            let value = labels.value(name).as_bytes();
            add(anchors.values.get(value));
            for length in anchors.lengths.keys() {
                if let Some(prefix) = value.get(..*length) {
                    add(anchors.prefixes.get(prefix));
                }
            }
            if !anchors.pieces.is_empty() {
                value.windows(Needed::CONTAINED_MIN).for_each(|window| add(anchors.pieces.get(window)));
            }
        }
        found
    }
}

fn take_out(map: &mut ByText, key: &[u8], age: u64) {
    if let Some(sets) = map.get_mut(key) {
        sets.retain(|set| set.age != age);
        if sets.is_empty() {
            map.remove(key);
        }
    }
}

/// The matcher of a set that leaves the fewest candidates, and what the others ask for: a few values before a prefix or a
/// piece, a long text before a short one.
fn anchored(set: &[model::Matcher]) -> Option<(String, Needed, Vec<(String, Needed)>)> {
    let mut all: Vec<(String, Needed)> =
        set.iter().filter_map(|matcher| Some((matcher.name().to_owned(), matcher.needed()?))).collect();
    let weight = |needed: &Needed| match needed {
        Needed::Values(values) => (0, values.len()),
        Needed::Prefixes(prefixes) => (1, usize::MAX - prefixes.iter().map(Vec::len).min().unwrap_or(0)),
        Needed::Contains(piece) => (1, usize::MAX - piece.len()),
    };
    let best = (0..all.len()).min_by_key(|at| weight(&all[*at].1))?;
    let (name, anchor) = all.swap_remove(best);
    if matches!(anchor, Needed::Contains(_)) {
        all.push((name.clone(), anchor.clone()));
    }
    Some((name, anchor, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MatcherMode, SilenceId, parse_matchers};
    use model::Timestamp;

    fn silence(sets: &[&str]) -> Silence {
        let set = |text: &&str| parse_matchers(text, MatcherMode::Fallback).unwrap();
        Silence {
            id: SilenceId::new("s"),
            matcher_sets: sets.iter().map(set).collect(),
            starts_at: Timestamp::EPOCH,
            ends_at: Timestamp::MAX,
            updated_at: Timestamp::EPOCH,
            created_by: String::new(),
            comment: String::new(),
            annotations: Default::default(),
        }
    }

    #[test]
    fn finds_an_anchor() {
        let anchor = |text: &str| {
            let set = parse_matchers(text, MatcherMode::Fallback).unwrap();
            let text = |all: Vec<Vec<u8>>| {
                all.into_iter().map(|one| String::from_utf8(one).unwrap()).collect::<Vec<_>>().join(" ")
            };
            anchored(&set).map(|(name, anchor, also)| {
                let (kind, texts) = match anchor {
                    Needed::Values(values) => ("=", text(values)),
                    Needed::Prefixes(prefixes) => ("^", text(prefixes)),
                    Needed::Contains(piece) => ("*", text(vec![piece])),
                };
                format!("{name} {kind} {texts}, {}", also.len())
            })
        };
        for (matchers, expected) in [
            ("a=x,b=~\"long-.*\"", Some("a = x, 1")),
            ("a=~\"x|y\"", Some("a = x y, 0")),
            ("a=~\"x.*\",b=~\"long-.*\"", Some("b ^ long-, 1")),
            ("a=~\"web-1.+|web-2.*\"", Some("a ^ web-1 web-2, 0")),
            ("a=~\"web-[0-9]+-5-.*\",b=~\"ns-(5|x5)\"", Some("b = ns-5 ns-x5, 1")),
            ("a=~\".*-long.*\"", Some("a * -long, 1")),
            ("a=~\"x.*|.*y\"", None),
            ("a!=x,b!~\"y.*\"", None),
        ] {
            assert_eq!(anchor(matchers).as_deref(), expected, "{matchers}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_leaves_out_one_that_matches(
            patterns in proptest::collection::vec(("[ab]", "(=|!=|=~|!~)", "[xy|.*?+()ü]{0,7}"), 1..8),
            values in ("[xyü]{0,5}", "[xyü]{0,5}"),
        ) {
            let silences: Vec<Silence> = patterns
                .iter()
                .filter_map(|(name, op, pattern)| {
                    parse_matchers(&format!("{name}{op}\"{pattern}\""), MatcherMode::Fallback).ok()
                })
                .map(|set| Silence { matcher_sets: vec![set], ..silence(&[]) })
                .collect();
            let mut index = SilenceIndex::default();
            for (age, silence) in silences.iter().enumerate() {
                index.insert(age as u64 + 1, silence);
            }
            let labels = Labels::from([("a", values.0.as_str()), ("b", values.1.as_str())]);
            let candidates = index.candidates(&labels, 0);
            for (age, silence) in silences.iter().enumerate() {
                proptest::prop_assert!(!silence.matches(&labels) || candidates.contains(&(age as u64 + 1)), "{silence:?}");
            }
            for (age, silence) in silences.iter().enumerate() {
                index.remove(age as u64 + 1, silence);
            }
            proptest::prop_assert!(index.names.is_empty() && index.unanchored.is_empty());
        }
    }
}
