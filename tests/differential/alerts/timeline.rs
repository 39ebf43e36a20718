//! What happens to a tree: alerts begin, are repeated, change, end or are heard of no more; silences come and go.

use std::collections::BTreeMap;

use model::{Labels, Timestamp};
use serde_json::{Map, Value, json};

use crate::rng::Rng;
use crate::tree::{BEAT, Condition, LABELS, RESOLVE_TIMEOUT, STEP, Tree, condition};

/// Steps of a timeline in which something may happen.
const STEPS: u64 = 14;
/// Events of an eager tree, each with its own place in the beat.
const EAGER_EVENTS: u64 = 6;
/// How long nothing happens any more while groups are watched.
const TAIL: u64 = 5 * STEP;
const HOUR: i64 = 3_600_000;

/// An alert as a sender posts it. Times are milliseconds since the beginning of the timeline.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    pub(crate) starts: Option<i64>,
    pub(crate) ends: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Post(Vec<Post>),
    /// A silence that others below name by its place.
    Silence {
        place: usize,
        matchers: Vec<Condition>,
        from: i64,
        to: i64,
    },
    /// Gives a silence another end, as `amtool silence update` does.
    Prolong {
        place: usize,
        to: i64,
    },
    Expire {
        place: usize,
    },
    /// Asks for all that there is of the tree.
    Look,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Milliseconds since the beginning of the timeline.
    pub(crate) at: u64,
    pub(crate) action: Action,
}

#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) events: Vec<Event>,
    /// When there is nothing more to watch.
    pub(crate) until: u64,
    /// Whether times are left to the receiver, so that they are not exactly the same.
    pub(crate) assumes: bool,
    /// What alerts there are, by fingerprint.
    pub(crate) alerts: BTreeMap<String, Life>,
}

/// What becomes of an alert, in milliseconds since the beginning of the timeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) labels: BTreeMap<&'static str, String>,
    /// When it was heard to fire.
    begins: Vec<i64>,
    /// When it ended, or was heard to have ended.
    ends: Vec<i64>,
    /// When an end was told again.
    pub(crate) repeated_ends: Vec<i64>,
}

impl Life {
    pub(crate) fn fires(&self, at: i64) -> bool {
        let until = |times: &[i64]| times.iter().filter(|time| **time <= at).count();
        until(&self.begins) > until(&self.ends)
    }

    pub(crate) fn began_before(&self, at: i64) -> bool {
        self.begins.iter().any(|begin| *begin < at)
    }

    pub(crate) fn ended_between(&self, from: i64, to: i64) -> bool {
        self.ends.iter().any(|end| from < *end && *end < to)
    }

    /// How often it was heard that it ended.
    pub(crate) fn times_ended(&self, from: i64, to: i64) -> usize {
        self.ends.iter().chain(&self.repeated_ends).filter(|end| from < **end && **end < to).count()
    }
}

/// What the senders know of an alert.
struct Known {
    life: Life,
    episode: Option<Episode>,
    texts: u64,
}

#[derive(Clone, Copy)]
struct Episode {
    starts: i64,
    ends: i64,
    assumed: bool,
}

impl Known {
    fn fires(&self, at: i64) -> bool {
        self.episode.is_some_and(|episode| episode.ends > at)
    }

    /// With its fingerprint.
    fn into_life(mut self) -> (String, Life) {
        if self.life.begins.len() > self.life.ends.len() {
            self.life.ends.extend(self.episode.map(|episode| episode.ends));
        }
        let labels = Labels::from_pairs(self.life.labels.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
        (labels.fingerprint().to_string(), self.life)
    }
}

/// The timeline of a tree; the same for the same seed.
pub(crate) fn timeline(seed: u64, tree: &Tree) -> Timeline {
    let mut rng = Rng::stream(seed, tree.number * 2 + 1);
    let mut alerts: Vec<Known> = Vec::new();
    for _ in 0..3 + rng.below(4) {
        let labels = labels(&mut rng, tree);
        if alerts.iter().all(|alert| alert.life.labels != labels) {
            let life = Life { labels, ..Life::default() };
            alerts.push(Known { life, episode: None, texts: 0 });
        }
    }
    let mut writer = Writer { rng, alerts, silences: Vec::new(), eager: tree.eager };
    let mut events = Vec::new();
    for at in times(&mut writer.rng, tree.eager) {
        let silences = if writer.rng.chance(20) { writer.silence(at as i64) } else { None };
        let action = silences.unwrap_or_else(|| writer.posts(at as i64));
        events.push(Event { at, action });
    }
    let until = events.last().map_or(0, |event| event.at) + TAIL;
    events.push(Event { at: until, action: Action::Look });
    // Nobody watches any more: groups that went on would only keep the machine busy.
    events.push(Event { at: until, action: Action::Post(writer.last_ends(until as i64)) });
    let assumes = events.iter().any(|event| match &event.action {
        Action::Post(posts) => posts.iter().any(|post| post.starts.is_none() || post.ends.is_none()),
        _ => false,
    });
    let alerts = writer.alerts.into_iter().map(Known::into_life).collect();
    Timeline { events, until, assumes, alerts }
}

fn labels(rng: &mut Rng, tree: &Tree) -> BTreeMap<&'static str, String> {
    let mut labels = BTreeMap::from([("tree", tree.label.clone())]);
    for (at, (name, values)) in LABELS.iter().enumerate() {
        if at < 3 || rng.chance(40) {
            labels.insert(name, (*rng.of(values)).to_owned());
        }
    }
    labels
}

fn times(rng: &mut Rng, eager: bool) -> Vec<u64> {
    if eager {
        let mut beat = 0;
        let place = |at: u64| {
            beat += rng.below(3);
            beat * BEAT + at * BEAT / EAGER_EVENTS
        };
        return (0..EAGER_EVENTS).map(place).collect();
    }
    (0..STEPS).filter(|step| *step == 0 || rng.chance(60)).map(|step| step * STEP).collect()
}

struct Writer {
    rng: Rng,
    alerts: Vec<Known>,
    /// The end of each silence.
    silences: Vec<i64>,
    eager: bool,
}

impl Writer {
    fn posts(&mut self, now: i64) -> Action {
        // Of several alerts that are told at once, nobody says how many are told together.
        let count = if self.eager { 1 } else { 1 + self.rng.below(3) };
        let mut chosen = Vec::new();
        for _ in 0..count {
            let at = self.rng.below(self.alerts.len() as u64) as usize;
            if !chosen.contains(&at) {
                chosen.push(at);
            }
        }
        Action::Post(chosen.into_iter().map(|at| self.post(at, now)).collect())
    }

    fn post(&mut self, at: usize, now: i64) -> Post {
        let fires = self.alerts[at].fires(now);
        let episode = self.alerts[at].episode;
        let (starts, ends) = match episode {
            Some(episode) if fires && self.rng.chance(45) => self.end(episode, now),
            Some(episode) if fires => (self.rng.chance(75).then_some(episode.starts), self.next_end(now)),
            // Senders say for a while that it ended.
            Some(episode) if self.rng.chance(15) => (Some(episode.starts), Some(episode.ends)),
            _ => (self.start(now), self.next_end(now)),
        };
        // An end in the future without a beginning would be a beginning in the future.
        let starts = starts.or(ends.filter(|ends| *ends > now).map(|_| now));
        self.remember(at, starts, ends, now);
        let known = &mut self.alerts[at];
        if self.rng.chance(20) {
            known.texts += 1;
        }
        let mut annotations = BTreeMap::from([("summary", format!("text {}", known.texts))]);
        if self.rng.chance(30) {
            annotations.insert("runbook", "http://run.example/<a>&b".to_owned());
        }
        Post { labels: known.life.labels.clone(), annotations, starts, ends }
    }

    /// Ends everything.
    fn last_ends(&self, now: i64) -> Vec<Post> {
        let ended = |known: &Known| Post {
            labels: known.life.labels.clone(),
            annotations: BTreeMap::new(),
            starts: None,
            ends: Some(now),
        };
        self.alerts.iter().map(ended).collect()
    }

    fn start(&mut self, now: i64) -> Option<i64> {
        if self.eager && self.rng.chance(30) {
            return Some(now - 10_000);
        }
        self.rng.chance(75).then(|| now - self.rng.between(0, 40))
    }

    fn next_end(&mut self, now: i64) -> Option<i64> {
        match self.rng.below(4) {
            0 if !self.eager => None,
            1 if !self.eager => Some(now + self.rng.between(1, 6) * STEP as i64),
            _ => Some(now + HOUR),
        }
    }

    fn end(&mut self, episode: Episode, now: i64) -> (Option<i64>, Option<i64>) {
        let ends = (now - self.rng.between(1, 30)).max(episode.starts);
        (self.rng.chance(70).then_some(episode.starts), Some(ends))
    }

    /// What an alert's episode is after a post: overlapping ones are one.
    fn remember(&mut self, at: usize, starts: Option<i64>, ends: Option<i64>, now: i64) {
        let (starts, assumed) = (starts.or(ends).unwrap_or(now), ends.is_none());
        let mut new = Episode { starts, ends: ends.unwrap_or(now + RESOLVE_TIMEOUT as i64), assumed };
        if let Some(old) = self.alerts[at].episode {
            let inside = |time: i64| time > old.starts && time < old.ends;
            if inside(new.starts) || inside(new.ends) {
                new.starts = new.starts.min(old.starts);
                let old_end_counts = if new.ends <= now { old.ends <= now } else { !old.assumed };
                if old_end_counts {
                    new.ends = new.ends.max(old.ends);
                }
            }
        }
        let known = &mut self.alerts[at];
        match (known.episode.map(|old| old.ends), new.ends > now) {
            (Some(end), true) if end > now => {}
            (Some(end), false) if end > now => known.life.ends.push(now),
            (Some(_), false) => known.life.repeated_ends.push(now),
            (end, _) => {
                if known.life.begins.len() > known.life.ends.len() {
                    known.life.ends.extend(end);
                }
                known.life.begins.push(now);
            }
        }
        known.episode = Some(new);
    }

    /// A silence begins, or something happens to one that is there; nothing if that is not possible now.
    fn silence(&mut self, now: i64) -> Option<Action> {
        let place = self.rng.below(self.silences.len() as u64 + 1) as usize;
        let step = if self.eager { HOUR } else { STEP as i64 };
        let Some(end) = self.silences.get(place).copied() else {
            let from = if self.eager { now } else { now + self.rng.below(3) as i64 * step };
            let to = from + self.rng.between(1, 8) * step;
            self.silences.push(to);
            let matchers = (0..=self.rng.below(2)).map(|_| condition(&mut self.rng)).collect();
            return Some(Action::Silence { place, matchers, from, to });
        };
        if end <= now {
            return None;
        }
        if self.rng.chance(60) {
            self.silences[place] = now;
            return Some(Action::Expire { place });
        }
        let to = end + self.rng.between(1, 4) * step;
        self.silences[place] = to;
        Some(Action::Prolong { place, to })
    }
}

impl Post {
    /// As JSON, for a timeline that began at `start`.
    pub(crate) fn json(&self, start: Timestamp) -> Value {
        let mut alert = Map::new();
        alert.insert("labels".into(), json!(self.labels));
        alert.insert("annotations".into(), json!(self.annotations));
        alert.insert("generatorURL".into(), json!("http://rules.example/graph?g0.expr=up+%3D%3D+0"));
        for (name, time) in [("startsAt", self.starts), ("endsAt", self.ends)] {
            if let Some(time) = time {
                alert.insert(name.into(), json!(start.plus_millis(time).to_string()));
            }
        }
        Value::Object(alert)
    }
}
