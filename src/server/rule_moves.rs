//! Rules that move: to a group of another name, or into another file.
//!
//! A rule is the same rule wherever it stands if its kind, name and labels are the same. What it knows goes along: people
//! put their files in order, and nobody is to be told that all alerts ended.
//! In: groups before and after a reload, or records of a process whose groups had other names. Out: who gives what to whom.
//! Not here: carrying it over (`rule_task`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rules::{Rule, RuleGroup, Snapshot};

use crate::rule_task::GroupKey;

/// Rules that leave one group and appear in another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: GroupKey,
    pub(crate) to: GroupKey,
    /// Their identities.
    pub(crate) rules: Vec<String>,
}

fn identities(group: &RuleGroup) -> Vec<String> {
    group.rules.iter().filter(|rule| rule.is_alert()).map(Rule::identity).collect()
}

/// What `group` has and `other` has not; of several equal ones those beyond the other's.
fn beyond(group: &RuleGroup, other: Option<&RuleGroup>) -> Vec<String> {
    let mut left = identities(group);
    for known in other.map(identities).unwrap_or_default() {
        if let Some(at) = left.iter().position(|identity| *identity == known) {
            left.remove(at);
        }
    }
    left
}

/// The moves of a reload.
pub(crate) fn moves(
    before: &BTreeMap<GroupKey, Arc<RuleGroup>>,
    after: &BTreeMap<GroupKey, RuleGroup>,
) -> Vec<Move> {
    let mut lost: HashMap<String, Vec<&GroupKey>> = HashMap::new();
    for (key, group) in before.iter().rev() {
        for identity in beyond(group, after.get(key)) {
            lost.entry(identity).or_default().push(key);
        }
    }
    let mut moves: BTreeMap<(GroupKey, GroupKey), Vec<String>> = BTreeMap::new();
    for (key, group) in after {
        for identity in beyond(group, before.get(key).map(|group| &**group)) {
            if let Some(from) = lost.get_mut(&identity).and_then(Vec::pop) {
                moves.entry((from.clone(), key.clone())).or_default().push(identity);
            }
        }
    }
    moves.into_iter().map(|((from, to), rules)| Move { from, to, rules }).collect()
}

/// What groups find in records that no group of theirs name claims, by group; it is taken out of the records.
pub(crate) fn claims(
    groups: &BTreeMap<GroupKey, RuleGroup>,
    own: impl Fn(&GroupKey) -> Vec<String>,
    unclaimed: &mut [Snapshot],
) -> BTreeMap<GroupKey, Vec<Snapshot>> {
    let mut claims: BTreeMap<GroupKey, Vec<Snapshot>> = BTreeMap::new();
    if unclaimed.iter().all(|record| record.rules.is_empty()) {
        return claims;
    }
    for (key, group) in groups {
        let known = own(key);
        for identity in identities(group).into_iter().filter(|identity| !known.contains(identity)) {
            let found = unclaimed.iter_mut().find_map(|record| {
                let at = record.rules.iter().position(|rule| rule.identity == identity)?;
                Some(Snapshot { at: record.at, rules: vec![record.rules.remove(at)] })
            });
            if let Some(found) = found {
                claims.entry(key.clone()).or_default().push(found);
            }
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rules::{Place, RuleSnapshot};

    use super::*;

    fn place() -> Place {
        Place::default()
    }

    fn key(name: &str) -> GroupKey {
        let (file, name) = name.split_once(';').unwrap();
        GroupKey { file: file.to_owned(), name: name.to_owned() }
    }

    /// `f;a=X,Y f;b=Z`: groups with alerts; `r:X` records.
    fn groups(text: &str) -> BTreeMap<GroupKey, RuleGroup> {
        let group = |word: &str| {
            let (name, rules) = word.split_once('=').unwrap();
            let rule = |name: &str| match name.strip_prefix("r:") {
                Some(name) => Rule::record(name, "vector(1)", Vec::new(), place()),
                None => {
                    let times = (Duration::ZERO, Duration::ZERO);
                    Rule::alert(name, "vector(1)", times, Vec::new(), Vec::new(), place()).unwrap()
                }
            };
            let key = key(name);
            let group = RuleGroup {
                name: key.name.clone(),
                file: key.file.clone(),
                interval: Duration::from_secs(15),
                query_offset: Duration::ZERO,
                limit: 0,
                labels: Vec::new(),
                rules: rules.split(',').map(rule).collect(),
            };
            (key, group)
        };
        text.split_whitespace().map(group).collect()
    }

    #[test]
    fn who_gives_what_to_whom() {
        for (before, after, expected) in [
            ("f;a=X,Y", "f;a=X,Y", ""),
            ("f;a=X,Y", "f;b=X,Y", "f;a>f;b X,Y"),
            ("f;a=X,r:Y", "g;a=X,r:Y", "f;a>g;a X"),
            ("f;a=X,Y f;b=Z", "f;a=X f;b=Z,Y", "f;a>f;b Y"),
            // Gone and new are no move, and neither is a second one beside the first.
            ("f;a=X", "f;a=Y", ""),
            ("f;a=X", "f;a=X f;b=X", ""),
            ("f;a=X,X", "f;a=X f;b=X", "f;a>f;b X"),
            // Each goes to one place.
            ("f;a=X", "f;b=X f;c=X", "f;a>f;b X"),
            ("f;a=X f;b=X", "f;c=X f;d=X", "f;a>f;c X; f;b>f;d X"),
            ("f;a=X f;b=Y", "f;a=Y f;b=X", "f;a>f;b X; f;b>f;a Y"),
        ] {
            let before_groups =
                groups(before).into_iter().map(|(key, group)| (key, Arc::new(group))).collect();
            let name = |key: &GroupKey| format!("{};{}", key.file, key.name);
            let alert = |identity: &String| identity.split(' ').nth(1).unwrap_or_default().to_owned();
            let got: Vec<String> = moves(&before_groups, &groups(after))
                .iter()
                .map(|m| {
                    let rules: Vec<String> = m.rules.iter().map(alert).collect();
                    format!("{}>{} {}", name(&m.from), name(&m.to), rules.join(","))
                })
                .collect();
            assert_eq!(got.join("; "), expected, "{before} -> {after}");
        }
    }

    #[test]
    fn records_without_a_group_are_claimed_once() {
        let groups = groups("f;b=X,Y f;c=X,Z");
        let identity = |name: &str| groups.values().flat_map(identities).find(|i| i.contains(name)).unwrap();
        let rule = |name: &str| RuleSnapshot { identity: identity(name), alerts: Vec::new() };
        let mut records =
            vec![Snapshot { rules: vec![rule("X"), rule("Z")], ..Snapshot::default() }, Snapshot::default()];
        // Of `Z` the group has a record of its own.
        let own = |key: &GroupKey| if key.name == "c" { vec![identity("Z")] } else { Vec::new() };
        let claimed = claims(&groups, own, &mut records);
        let names: Vec<_> = claimed.iter().map(|(key, found)| (key.name.as_str(), found.len())).collect();
        assert_eq!(names, [("b", 1)]);
        assert_eq!(records[0].rules, [rule("Z")]);
    }
}
