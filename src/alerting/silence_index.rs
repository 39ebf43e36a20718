//! Finds the silences that may match an alert without trying each.
//!
//! Every set of matchers has an anchor: one matcher that says how the value of a label begins, or what it is. Looking up an
//! alert's labels gives the sets whose anchor fits; only those are tried in full. Sets without such a matcher are always tried.

use std::collections::{BTreeSet, HashMap};

use model::{Labels, MatchOp, Matcher};

use crate::Silence;

/// Anchors of silences, by what they ask for. Silences are named by their age.
#[derive(Debug, Default)]
pub(crate) struct SilenceIndex {
    /// By label name.
    names: HashMap<String, Anchors>,
    unanchored: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Anchors {
    values: HashMap<String, Vec<u64>>,
    prefixes: HashMap<String, Vec<u64>>,
    /// How many prefixes there are of each length in bytes: no other lengths are looked up.
    lengths: HashMap<usize, usize>,
}

/// What a value must be or begin with; one of several.
#[derive(Debug, PartialEq, Eq)]
enum Anchor<'a> {
    Values(Vec<&'a str>),
    Prefixes(Vec<&'a str>),
}

impl SilenceIndex {
    pub(crate) fn insert(&mut self, age: u64, silence: &Silence) {
        for set in &silence.matcher_sets {
            match best_anchor(set) {
                None => {
                    self.unanchored.insert(age);
                }
                Some((name, anchor)) => {
                    let anchors = self.names.entry(name.to_owned()).or_default();
                    match anchor {
                        Anchor::Values(values) => {
                            for value in values {
                                anchors.values.entry(value.to_owned()).or_default().push(age);
                            }
                        }
                        Anchor::Prefixes(prefixes) => {
                            for prefix in prefixes {
                                *anchors.lengths.entry(prefix.len()).or_default() += 1;
                                anchors.prefixes.entry(prefix.to_owned()).or_default().push(age);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Undoes [`SilenceIndex::insert`] with the same values.
    pub(crate) fn remove(&mut self, age: u64, silence: &Silence) {
        self.unanchored.remove(&age);
        for set in &silence.matcher_sets {
            let Some((name, anchor)) = best_anchor(set) else { continue };
            let Some(anchors) = self.names.get_mut(name) else { continue };
            match anchor {
                Anchor::Values(values) => {
                    values.into_iter().for_each(|value| take_out(&mut anchors.values, value, age));
                }
                Anchor::Prefixes(prefixes) => {
                    for prefix in prefixes {
                        take_out(&mut anchors.prefixes, prefix, age);
                        if let Some(count) = anchors.lengths.get_mut(&prefix.len()) {
                            *count -= 1;
                            if *count == 0 {
                                anchors.lengths.remove(&prefix.len());
                            }
                        }
                    }
                }
            }
            if anchors.values.is_empty() && anchors.prefixes.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// Ages of the silences above `after` that may match `labels`, in order.
    pub(crate) fn candidates(&self, labels: &Labels, after: u64) -> BTreeSet<u64> {
        let mut found: BTreeSet<u64> = self.unanchored.range(after + 1..).copied().collect();
        let mut add = |ages: Option<&Vec<u64>>| {
            found.extend(ages.into_iter().flatten().filter(|age| **age > after));
        };
        for (name, anchors) in &self.names {
            let value = labels.value(name);
            add(anchors.values.get(value));
            for length in anchors.lengths.keys() {
                if let Some(prefix) = value.get(..*length) {
                    add(anchors.prefixes.get(prefix));
                }
            }
        }
        found
    }
}

fn take_out(map: &mut HashMap<String, Vec<u64>>, key: &str, age: u64) {
    if let Some(ages) = map.get_mut(key) {
        ages.retain(|other| *other != age);
        if ages.is_empty() {
            map.remove(key);
        }
    }
}

/// The matcher of a set that leaves the fewest candidates: a value before a prefix, a long prefix before a short one.
fn best_anchor(set: &[Matcher]) -> Option<(&str, Anchor<'_>)> {
    let weight = |anchor: &Anchor<'_>| match anchor {
        Anchor::Values(values) => (0, values.len()),
        Anchor::Prefixes(prefixes) => {
            (1, usize::MAX - prefixes.iter().map(|prefix| prefix.len()).min().unwrap_or(0))
        }
    };
    set.iter()
        .filter_map(|matcher| Some((matcher.name(), anchor_of(matcher)?)))
        .min_by_key(|(_, anchor)| weight(anchor))
}

fn anchor_of(matcher: &Matcher) -> Option<Anchor<'_>> {
    if let Some(values) = matcher.literals() {
        return Some(Anchor::Values(values));
    }
    if matcher.op() != MatchOp::Regex {
        return None;
    }
    let prefixes: Vec<&str> = alternatives(matcher.pattern())?.into_iter().map(literal_prefix).collect();
    prefixes.iter().all(|prefix| !prefix.is_empty()).then_some(Anchor::Prefixes(prefixes))
}

/// The alternatives of a pattern at its top level; `None` if that takes more than a look.
fn alternatives(pattern: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in pattern.char_indices() {
        match c {
            // Escapes and classes may hold what only looks like structure.
            '\\' | '[' => return None,
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            '|' if depth == 0 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[start..]);
    Some(parts)
}

/// The plain text with which everything begins that the pattern matches.
fn literal_prefix(pattern: &str) -> &str {
    let end = pattern.find(|c: char| ".+*?()[]{}^$|\\".contains(c)).unwrap_or(pattern.len());
    // What repeats or may be missing is the last plain character.
    match pattern[end..].chars().next() {
        Some('*' | '?' | '{' | '+') => {
            let last = pattern[..end].chars().next_back().map_or(0, char::len_utf8);
            &pattern[..end - last]
        }
        _ => &pattern[..end],
    }
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
            best_anchor(&set).map(|(name, anchor)| format!("{name} {anchor:?}"))
        };
        for (matchers, expected) in [
            ("a=x,b=~\"long-.*\"", Some("a Values([\"x\"])")),
            ("a=~\"x|y\"", Some("a Values([\"x\", \"y\"])")),
            ("a=~\"x.*\",b=~\"long-.*\"", Some("b Prefixes([\"long-\"])")),
            ("a=~\"web-1.+|web-2.*\"", Some("a Prefixes([\"web-1\", \"web-2\"])")),
            ("a=~\"ab*c\"", Some("a Prefixes([\"a\"])")),
            ("a=~\"(x|y)z.*\"", None),
            ("a=~\"x.*|.*y\"", None),
            ("a=~\"(?i)x.*\"", None),
            ("a=~\"[ab]x.*\"", None),
            ("a!=x,b!~\"y.*\"", None),
        ] {
            assert_eq!(anchor(matchers).as_deref(), expected, "{matchers}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_leaves_out_one_that_matches(
            patterns in proptest::collection::vec(("[ab]", "(=|!=|=~|!~)", "[xy|.*?+()ü]{0,5}"), 1..8),
            values in ("[xyü]{0,4}", "[xyü]{0,4}"),
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
