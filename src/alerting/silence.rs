//! Silences: an operator's mute.
//!
//! In: a [`SilenceDraft`]. Out: a [`Silence`], stored under an id; for labels, the silences that mute them.
//! A silence's state follows from its window and the time; nothing has to run for it to begin or end. What it mutes never
//! changes: another set of matchers, or a window that cannot be moved so, makes a new silence and expires the old one.
//! Not here: making it durable (`silence_commands`), HTTP.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::{Annotations, Labels, Matcher, PlantedBug, Timestamp, escape_label_value};

use crate::silence_index::SilenceIndex;
use crate::{AlertingLimits, MatcherMode};

/// Names a silence; a UUID where Alertmanager's clients are to read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceId(Arc<str>);

impl SilenceId {
    /// From its text.
    pub fn new(text: &str) -> Self {
        SilenceId(Arc::from(text))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SilenceState {
    /// It mutes.
    Active,
    /// It has not begun.
    Pending,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// `active`, `pending` or `expired`.
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceState::Active => "active",
            SilenceState::Pending => "pending",
            SilenceState::Expired => "expired",
        }
    }
}

/// A silence that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub id: SilenceId,
    /// It mutes what all matchers of any one of these sets accept. API v2 knows one set.
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends; at that moment it no longer mutes.
    pub ends_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Further facts.
    pub annotations: Annotations,
}

impl Silence {
    /// Where it is in its life at `now`.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if self.ends_at == self.updated_at {
            // Somebody ended it, or it was over when the clock went back: it stays so, whatever the clock says later.
            SilenceState::Expired
        } else if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    /// Whether its matchers accept `labels`, whatever its state.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matcher_sets.iter().any(|set| {
            // Plain comparisons first: they decide most cases, and cost least.
            let all = |regex: bool| {
                set.iter()
                    .filter(|matcher| matcher.op().is_regex() == regex)
                    .all(|m| m.matches_labels(labels))
            };
            all(false) && all(true)
        })
    }

    /// Whether it can become `draft` at `now` under the same id: same matchers, and a window that only moves in the future.
    pub fn can_become(&self, draft: &SilenceDraft, now: Timestamp) -> bool {
        let starts_at = draft.starts_at.unwrap_or(now);
        // In another order they count as others, as upstream.
        self.matcher_sets == draft.matcher_sets
            && match self.state(now) {
                // Clients send seconds back; a difference below that is none.
                SilenceState::Active => {
                    let second = |at: Timestamp| at.as_millis().div_euclid(1000);
                    second(starts_at) == second(self.starts_at)
                        && draft.ends_at.is_some_and(|ends_at| ends_at >= now)
                }
                SilenceState::Pending => starts_at >= now,
                SilenceState::Expired => false,
            }
    }

    /// The same after the clock went back, from `before` to `now`, if that changes it: what was over stays over, and what
    /// muted goes on muting.
    pub(crate) fn after_clock_went_back(&self, before: Timestamp, now: Timestamp) -> Option<Silence> {
        let (ends_at, updated_at) = match self.state(before) {
            SilenceState::Pending => return None,
            SilenceState::Active => (self.ends_at, self.updated_at.min(now)),
            // Ended for good: the clock may go back once more while nobody looks.
            SilenceState::Expired => (self.ends_at.min(now), self.ends_at.min(now)),
        };
        let starts_at = self.starts_at.min(now);
        let moved = Silence { starts_at, ends_at, updated_at, ..self.clone() };
        ((starts_at, ends_at) != (self.starts_at, self.ends_at)).then_some(moved)
    }

    /// Ended at `now`; one that never began ends where it begins.
    pub(crate) fn expired(&self, now: Timestamp) -> Silence {
        let mut silence = self.clone();
        if silence.state(now) == SilenceState::Pending {
            silence.starts_at = now;
        }
        silence.ends_at = now;
        silence.updated_at = now;
        silence
    }
}

/// A silence as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SilenceDraft {
    /// The silence to change; a new one if `None`.
    pub id: Option<SilenceId>,
    /// What it mutes: see [`Silence::matcher_sets`].
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// When it begins; now if missing.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Further facts.
    pub annotations: Annotations,
}

/// Why a silence is not made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// No silence has this id.
    #[error("silence not found: {0}")]
    NotFound(SilenceId),
    /// It cannot be as it is written.
    #[error("invalid silence: {0}")]
    Invalid(String),
    /// Its window lies in the past or is empty.
    #[error("{0}")]
    Window(String),
    /// A limit is reached.
    #[error("{0}")]
    Limit(String),
    /// It could not be made durable, and does not count.
    #[error("the silence could not be stored: {0}")]
    NotStored(String),
}

impl SilenceDraft {
    /// Whether it can be a silence, without regard to the time.
    pub fn check(&self, mode: MatcherMode) -> Result<(), SilenceError> {
        let invalid = |what: String| Err(SilenceError::Invalid(what));
        if self.matcher_sets.is_empty() {
            return invalid("at least one matcher required".to_owned());
        }
        for (position, set) in self.matcher_sets.iter().enumerate() {
            if set.is_empty() {
                return invalid(format!("matcher set {position} is empty; at least one matcher required"));
            }
            if let Some((index, matcher)) =
                set.iter().enumerate().find(|(_, matcher)| !mode.is_label_name(matcher.name()))
            {
                return invalid(format!(
                    "invalid label matcher {index}: invalid label name \"{}\"",
                    escape_label_value(matcher.name())
                ));
            }
            // What an exception leaves over is not everything: "all but" is meant so.
            if set.iter().all(|matcher| matcher.op().is_positive() && matcher.matches_empty()) {
                return invalid(
                    "at least one matcher must not match the empty string; as it is, it would mute everything"
                        .to_owned(),
                );
            }
        }
        match (self.starts_at, self.ends_at) {
            (_, None) => invalid("invalid zero end timestamp; say when it ends".to_owned()),
            (Some(starts_at), Some(ends_at)) if ends_at < starts_at => {
                invalid("end time must not be before start time".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn bytes(&self) -> usize {
        let matchers = self.matcher_sets.iter().flatten().map(|m| m.name().len() + m.pattern().len() + 8);
        let annotations = self.annotations.iter().map(|(name, text)| name.len() + text.len() + 4);
        matchers.chain(annotations).sum::<usize>() + self.created_by.len() + self.comment.len() + 64
    }
}

/// The silences that are stored, and what they mute.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    /// By order of creation. What a silence mutes never changes, so an alert's verdict about one stays valid for good,
    /// and only silences that were created since have to be looked at.
    by_age: BTreeMap<u64, Arc<Silence>>,
    ages: HashMap<SilenceId, u64>,
    next_age: u64,
    index: SilenceIndex,
}

/// Which silences match an alert, as far as they were looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct SilenceCache {
    /// Silences below this age were looked at.
    seen: u64,
    /// Those that match, whatever their state.
    matching: Vec<u64>,
}

/// Changes of silences that belong together: stored all, or none.
pub(crate) type SilenceChanges = Vec<Arc<Silence>>;

impl Silences {
    pub(crate) fn get(&self, id: &SilenceId) -> Option<&Arc<Silence>> {
        self.by_age.get(self.ages.get(id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.by_age.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Stores a silence under its id.
    pub(crate) fn put(&mut self, silence: Arc<Silence>, now: Timestamp) {
        // One that is given another end when it is just over mutes again, and alerts have forgotten that it matches.
        let expired = |silence: &Silence| silence.state(now) == SilenceState::Expired;
        if self.get(&silence.id).is_some_and(|known| expired(known)) && !expired(&silence) {
            self.remove(&silence.id);
        }
        let age = *self.ages.entry(silence.id.clone()).or_insert_with(|| {
            self.next_age += 1;
            self.next_age
        });
        // What it mutes is the same as before, if it was there before.
        if !self.by_age.contains_key(&age) {
            self.index.insert(age, &silence);
        }
        self.by_age.insert(age, silence);
    }

    /// Forgets a silence.
    pub(crate) fn remove(&mut self, id: &SilenceId) {
        if let Some(age) = self.ages.remove(id)
            && let Some(silence) = self.by_age.remove(&age)
        {
            self.index.remove(age, &silence);
        }
    }

    /// The silences that mute `labels` at `now`, oldest first. `cache` belongs to these labels.
    pub(crate) fn muting(&self, labels: &Labels, cache: &mut SilenceCache, now: Timestamp) -> Vec<SilenceId> {
        // An expired silence never comes back.
        let matches =
            |silence: &Silence| silence.state(now) != SilenceState::Expired && silence.matches(labels);
        if cache.seen < self.next_age {
            let candidates = self.index.candidates(labels, cache.seen).into_iter();
            cache.matching.extend(candidates.filter(|age| self.by_age.get(age).is_some_and(|s| matches(s))));
        }
        cache.seen = self.next_age;
        self.active_of(cache, now)
    }

    /// As [`Silences::muting`], without remembering.
    pub(crate) fn muting_uncached(
        &self,
        labels: &Labels,
        cache: &SilenceCache,
        now: Timestamp,
    ) -> Vec<SilenceId> {
        if cache.seen == self.next_age {
            let active = |age: &u64| self.by_age.get(age).filter(|s| s.state(now) == SilenceState::Active);
            return cache.matching.iter().filter_map(active).map(|silence| silence.id.clone()).collect();
        }
        self.muting(labels, &mut cache.clone(), now)
    }

    fn active_of(&self, cache: &mut SilenceCache, now: Timestamp) -> Vec<SilenceId> {
        let mut muting = Vec::new();
        cache.matching.retain(|age| {
            let Some(silence) = self.by_age.get(age) else { return false };
            let state = silence.state(now);
            let too_late = PlantedBug::SilenceEndsTooLate.is_planted() && now == silence.ends_at;
            if state == SilenceState::Active || PlantedBug::SilenceNeverEnds.is_planted() || too_late {
                muting.push(silence.id.clone());
            }
            state != SilenceState::Expired || PlantedBug::SilenceNeverEnds.is_planted()
        });
        muting
    }
}

/// What a request to make or change a silence comes to: the id to answer with, and the silences to store.
/// `staged` are changes that were decided already and are being stored.
pub(crate) fn plan_put(
    silences: &Silences,
    staged: &[Arc<Silence>],
    draft: SilenceDraft,
    fresh_id: SilenceId,
    now: Timestamp,
    mode: MatcherMode,
    limits: &AlertingLimits,
) -> Result<(SilenceId, SilenceChanges), SilenceError> {
    let starts_at = draft.starts_at.unwrap_or(now);
    if draft.ends_at.is_some_and(|ends_at| ends_at <= starts_at) {
        return Err(SilenceError::Window(
            "failed to create silence: start time must be before end time".to_owned(),
        ));
    }
    if draft.ends_at.is_some_and(|ends_at| ends_at < now) {
        return Err(SilenceError::Window(
            "failed to create silence: end time can't be in the past".to_owned(),
        ));
    }
    draft.check(mode)?;
    if let Some(max) = limits.silence_bytes_max.filter(|max| draft.bytes() > *max) {
        return Err(SilenceError::Limit(format!(
            "the silence has {} bytes, the limit is {max}; shorten its matchers or comment",
            draft.bytes()
        )));
    }
    let known = match &draft.id {
        Some(id) => Some(lookup(silences, staged, id).ok_or_else(|| SilenceError::NotFound(id.clone()))?),
        None => None,
    };
    let silence = |id: SilenceId, starts_at: Timestamp| Silence {
        id,
        matcher_sets: draft.matcher_sets.clone(),
        starts_at,
        ends_at: draft.ends_at.unwrap_or(starts_at),
        updated_at: now,
        created_by: draft.created_by.clone(),
        comment: draft.comment.clone(),
        annotations: draft.annotations.clone(),
    };
    if let Some(known) = &known
        && known.can_become(&draft, now)
    {
        let changed = silence(known.id.clone(), starts_at);
        return Ok((known.id.clone(), vec![Arc::new(changed)]));
    }
    let new_ids = staged.iter().filter(|s| silences.get(&s.id).is_none()).count();
    if let Some(max) = limits.silences_max.filter(|max| silences.len() + new_ids + 1 > *max) {
        return Err(SilenceError::Limit(format!(
            "there are {} silences, expired ones included; the limit is {max}",
            silences.len() + new_ids
        )));
    }
    let mut changes = vec![Arc::new(silence(fresh_id.clone(), starts_at.max(now)))];
    if let Some(known) = known
        && known.state(now) != SilenceState::Expired
    {
        changes.push(Arc::new(known.expired(now)));
    }
    Ok((fresh_id, changes))
}

/// What a request to end a silence comes to. Ending one that is over is no error, and changes nothing.
pub(crate) fn plan_expire(
    silences: &Silences,
    staged: &[Arc<Silence>],
    id: &SilenceId,
    now: Timestamp,
) -> Result<SilenceChanges, SilenceError> {
    let known = lookup(silences, staged, id).ok_or_else(|| SilenceError::NotFound(id.clone()))?;
    Ok(match known.state(now) {
        SilenceState::Expired => Vec::new(),
        _ => vec![Arc::new(known.expired(now))],
    })
}

fn lookup(silences: &Silences, staged: &[Arc<Silence>], id: &SilenceId) -> Option<Arc<Silence>> {
    staged.iter().rev().find(|silence| silence.id == *id).or_else(|| silences.get(id)).cloned()
}

/// When a silence's state changes next, or when it is to be forgotten.
pub(crate) fn next_edge(silence: &Silence, retention: Duration, now: Timestamp) -> Timestamp {
    match silence.state(now) {
        SilenceState::Pending => silence.starts_at,
        SilenceState::Active => silence.ends_at,
        SilenceState::Expired => silence.ends_at + retention,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_matchers;

    fn secs(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn draft(matchers: &str, starts: i64, ends: i64) -> SilenceDraft {
        SilenceDraft {
            matcher_sets: vec![parse_matchers(matchers, MatcherMode::Fallback).unwrap()],
            starts_at: Some(secs(starts)),
            ends_at: Some(secs(ends)),
            ..Default::default()
        }
    }

    fn put(
        silences: &mut Silences,
        draft: SilenceDraft,
        fresh: &str,
        now: i64,
    ) -> Result<SilenceId, SilenceError> {
        let limits =
            AlertingLimits { silences_max: Some(3), silence_bytes_max: Some(500), ..Default::default() };
        let id = SilenceId::new(fresh);
        let (id, changes) = plan_put(silences, &[], draft, id, secs(now), MatcherMode::Fallback, &limits)?;
        for change in changes {
            silences.put(change, secs(now));
        }
        Ok(id)
    }

    fn muting(silences: &Silences, cache: &mut SilenceCache, labels: &Labels, now: i64) -> String {
        let ids = silences.muting(labels, cache, secs(now));
        ids.iter().map(SilenceId::as_str).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn mutes_in_its_window_only() {
        let mut silences = Silences::default();
        put(&mut silences, draft("a=b", 100, 200), "s1", 0).unwrap();
        let (labels, mut cache) = (Labels::from([("a", "b")]), SilenceCache::default());
        for (now, expected) in [(0, ""), (99, ""), (100, "s1"), (199, "s1"), (200, "")] {
            assert_eq!(muting(&silences, &mut cache, &labels, now), expected, "{now}");
        }
        put(&mut silences, draft("a=~\"b|c\"", 200, 300), "s2", 200).unwrap();
        put(&mut silences, draft("a=c", 200, 300), "s3", 200).unwrap();
        assert_eq!(muting(&silences, &mut cache, &labels, 200), "s2");
        assert_eq!(cache.matching.len(), 1, "expired silences leave the cache");
    }

    #[test]
    fn changes_in_place_where_it_can() {
        let mut silences = Silences::default();
        put(&mut silences, draft("a=b,c=d", 0, 100), "s1", 0).unwrap();
        let change = |matchers, starts, ends| SilenceDraft {
            id: Some(SilenceId::new("s1")),
            ..draft(matchers, starts, ends)
        };
        // Longer or shorter: the same silence.
        assert_eq!(put(&mut silences, change("a=b,c=d", 0, 500), "x", 10).unwrap().as_str(), "s1");
        // Another start, or other matchers: a new one, and the old one ends.
        assert_eq!(put(&mut silences, change("a=b,c=d", 5, 500), "s2", 10).unwrap().as_str(), "s2");
        assert_eq!(silences.get(&SilenceId::new("s1")).unwrap().ends_at, secs(10));
        assert_eq!(silences.get(&SilenceId::new("s2")).unwrap().starts_at, secs(10), "never in the past");
        // An expired one is not revived; its history stays.
        assert_eq!(put(&mut silences, change("a=b,c=d", 0, 500), "s3", 20).unwrap().as_str(), "s3");
        assert!(matches!(put(&mut silences, draft("a=b", 20, 30), "s4", 20), Err(SilenceError::Limit(_))));
    }

    #[test]
    fn the_same_matchers_in_another_order_make_a_new_silence_as_upstream() {
        let matcher = |name: &str| model::Matcher::equal(name, "x");
        let draft = |names: [&str; 2], id: Option<&str>| SilenceDraft {
            id: id.map(SilenceId::new),
            matcher_sets: vec![names.map(matcher).to_vec()],
            ..draft("a=b", 0, 100)
        };
        for (stored, posted, same) in
            [(["a", "b"], ["a", "b"], true), (["b", "a"], ["b", "a"], true), (["a", "b"], ["b", "a"], false)]
        {
            let mut silences = Silences::default();
            put(&mut silences, draft(stored, None), "old", 0).unwrap();
            let id = put(&mut silences, draft(posted, Some("old")), "new", 10).unwrap();
            assert_eq!(id.as_str(), if same { "old" } else { "new" }, "{stored:?} {posted:?}");
        }
    }

    #[test]
    fn refuses() {
        let mut silences = Silences::default();
        let no_end = SilenceDraft { ends_at: None, ..draft("a=b", 0, 1) };
        let unknown = SilenceDraft { id: Some(SilenceId::new("nope")), ..draft("a=b", 0, 10) };
        let long = SilenceDraft { comment: "x".repeat(500), ..draft("a=b", 0, 10) };
        for (draft, expected) in [
            (draft("", 0, 10), "invalid silence: matcher set 0 is empty"),
            (draft("a=~\".*\"", 0, 10), "invalid silence: at least one matcher must not match"),
            (draft("a=b", 10, 10), "failed to create silence: start time"),
            (draft("a=b", -20, -10), "failed to create silence: end time"),
            (no_end, "invalid silence: invalid zero end"),
            (unknown, "silence not found: nope"),
            (long, "the silence has"),
        ] {
            let error = put(&mut silences, draft, "x", 0).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(silences.len(), 0);
        // All but one.
        assert!(put(&mut silences, draft("a!=b", 0, 10), "x", 0).is_ok());
    }

    #[test]
    fn ends_when_told_to() {
        let mut silences = Silences::default();
        put(&mut silences, draft("a=b", 50, 100), "s1", 0).unwrap();
        let id = SilenceId::new("s1");
        let changes = plan_expire(&silences, &[], &id, secs(10)).unwrap();
        assert_eq!((changes[0].starts_at, changes[0].ends_at), (secs(10), secs(10)));
        silences.put(changes[0].clone(), secs(0));
        assert!(plan_expire(&silences, &[], &id, secs(20)).unwrap().is_empty());
        assert!(plan_expire(&silences, &[], &SilenceId::new("s2"), secs(20)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_set_mutes_exactly_if_every_matcher_accepts(values in proptest::collection::vec("[ab]{0,2}", 3), order in 0usize..6) {
            let mut matchers = parse_matchers("x=a,y!~\"b.*\",z=~\"a|b\"", MatcherMode::Fallback).unwrap();
            let expected = values[0] == "a" && !values[1].starts_with('b') && (values[2] == "a" || values[2] == "b");
            matchers.rotate_left(order % 3);
            if order >= 3 { matchers.swap(0, 1); }
            let silence = Silence {
                id: SilenceId::new("s"), matcher_sets: vec![matchers], starts_at: secs(0), ends_at: secs(1),
                updated_at: secs(0), created_by: String::new(), comment: String::new(), annotations: Annotations::new(),
            };
            let labels = Labels::from([("x", values[0].as_str()), ("y", &values[1]), ("z", &values[2])]);
            proptest::prop_assert_eq!(silence.matches(&labels), expected);
        }
    }
}
