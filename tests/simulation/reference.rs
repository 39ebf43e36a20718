//! The reference: who is to know of what, written plainly. No groups, no queues, no log; only what is true outside, and
//! what people who read the documentation would expect from it.
//!
//! Times are milliseconds since the start of the simulation by a clock that nobody sets; `wall` is what the server's
//! clock says at that moment, in milliseconds since the start by that clock. Where nobody outside can know, it says so by
//! two questions: what certainly is, and what may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plan::{KEEP_FIRING, Name, OWN, Pick, Plan, PlannedRoute, QUIET_MINUTES, RECEIVERS};

/// What is true of an alert.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Since when it is found or posted without a break.
    pub held_since: Option<u64>,
    /// The same, but counted anew where a restart or a clock that was set may have interrupted.
    counted_since: u64,
    /// Since when it is to be told.
    pub firing_since: Option<u64>,
    /// Since when it is no longer found, while `keep_firing_for` may keep it.
    lost_since: Option<u64>,
    /// `keep_firing_for` certainly keeps it.
    kept: bool,
    /// It may have ended since it is no longer found: a restart or a clock that was set came between.
    perhaps_over: bool,
    /// The last start of a server that did not know of it by then, or not for sure.
    unknown_at: u64,
    /// Since when it certainly is over.
    pub ended_at: Option<u64>,
    /// When it was last possible that it is muted.
    pub last_muted: Option<u64>,
    /// When it last fired, or may have, if that is over.
    pub last_active: Option<u64>,
}

/// A silence, as the one who made it knows it.
#[derive(Clone, Debug)]
pub struct KnownSilence {
    /// What it mutes.
    pub pick: Pick,
    /// From when, by the server's clock.
    pub starts: u64,
    /// Until when, by the server's clock.
    pub ends: u64,
    /// The same, if it is not known which of several ends it has: the first of them.
    pub ends_first: u64,
    /// When it was confirmed.
    pub confirmed: Option<u64>,
    /// When somebody asked for another end, or its end: from then on nobody can be sure of it.
    pub touched: Option<u64>,
    /// When it was certainly over.
    pub over: Option<u64>,
    /// Somebody ended it while it certainly went on, and that was confirmed.
    pub by_hand: bool,
}

/// The reference.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The configuration in force.
    pub plan: Plan,
    /// Since when.
    pub plan_since: u64,
    /// When the server was last restarted, or its clock set.
    interrupted_at: u64,
    /// Every alert.
    pub lives: BTreeMap<Name, Life>,
    /// Silences by id.
    pub silences: BTreeMap<String, KnownSilence>,
    /// What receivers believe to fire, by receiver and integration.
    pub beliefs: BTreeMap<(Arc<str>, Arc<str>, Name), Belief>,
}

/// A receiver believes that an alert fires.
#[derive(Clone, Debug)]
pub struct Belief {
    /// Since when.
    pub since: u64,
    /// The message that said so.
    pub message: Arc<str>,
    /// The server learned that it was told. What it could not learn it tells again while it is true, and not later.
    pub known: bool,
}

/// How long an alert may go on muting others after it ended: until those who decide have heard of it.
const LINGERS: u64 = 120_000;

impl Reference {
    /// Nothing happened yet.
    pub fn new(plan: Plan) -> Self {
        Reference {
            plan,
            plan_since: 0,
            interrupted_at: 0,
            lives: Name::all().map(|name| (name, Life::default())).collect(),
            silences: BTreeMap::new(),
            beliefs: BTreeMap::new(),
        }
    }

    /// A rule was evaluated, and found this alert or not. A rule that could not be evaluated says nothing.
    pub fn found(&mut self, name: Name, found: bool, now: u64) {
        let hold = match name.alert {
            "Slow" => self.plan.hold * 1000,
            "Full" => 30_000,
            _ => 0,
        };
        let keep = if name.alert == "Slow" { KEEP_FIRING * 1000 } else { 0 };
        let settled = self.interrupted_at + LINGERS;
        let life = self.lives.get_mut(&name).expect("every alert has a life");
        if found {
            if life.held_since.is_none() && life.lost_since.is_none() || life.perhaps_over {
                life.counted_since = now;
            }
            if life.perhaps_over {
                life.firing_since = None;
            }
            life.perhaps_over = false;
            life.held_since.get_or_insert(now);
            (life.lost_since, life.ended_at, life.kept) = (None, None, false);
            if now >= life.counted_since + hold {
                life.firing_since.get_or_insert(now);
            }
            return;
        }
        life.held_since = None;
        if life.firing_since.is_some() {
            if life.lost_since.is_none() {
                (life.lost_since, life.kept) = (Some(now), keep > 0 && now > settled);
            }
            if life.lost_since.is_some_and(|lost| now < lost + keep) {
                return;
            }
        }
        life.last_active = life.firing_since.map(|_| now).or(life.last_active);
        life.ended_at = life.ended_at.or(Some(now));
        (life.firing_since, life.lost_since, life.kept) = (None, None, false);
        life.perhaps_over = false;
    }

    /// Another program posted an alert, and was told that it is taken.
    pub fn posted(&mut self, name: Name, now: u64) {
        let life = self.lives.get_mut(&name).expect("every alert has a life");
        life.held_since.get_or_insert(now);
        life.firing_since.get_or_insert(now);
        life.ended_at = None;
    }

    /// Another program no longer posts it; those who heard of it learn of its end at `at` at the latest.
    pub fn withdrawn(&mut self, name: Name, now: u64, at: u64) {
        let life = self.lives.get_mut(&name).expect("every alert has a life");
        (life.held_since, life.firing_since) = (None, None);
        life.last_active = Some(now.max(at));
        life.ended_at = Some(at);
    }

    /// The server was restarted or its clock was set: what waits for its time may have to wait again.
    pub fn interrupted(&mut self, now: u64) {
        self.interrupted_at = now;
        for life in self.lives.values_mut().filter(|life| life.firing_since.is_none()) {
            life.counted_since = now;
        }
        for life in self.lives.values_mut().filter(|life| life.lost_since.is_some()) {
            (life.lost_since, life.kept, life.perhaps_over) = (Some(now), false, true);
        }
    }

    /// The server was restarted, and certainly knows that these fire. Of the others it has to be told first.
    pub fn restarted(&mut self, now: u64, known: &BTreeSet<Name>) {
        for (_, life) in self.lives.iter_mut().filter(|(name, _)| !known.contains(name)) {
            life.unknown_at = now;
        }
    }

    /// The routes that hear of an alert: below the root all that pick it, up to one that does not go on; else the root.
    pub fn routes(&self, name: &Name) -> impl Iterator<Item = &PlannedRoute> {
        let picks = |route: &&PlannedRoute| route.picks.as_ref().is_none_or(|pick| pick.picks(name));
        let mut stopped = false;
        let heard = self.plan.routes[1..]
            .iter()
            .filter(picks)
            .take_while(move |route| !std::mem::replace(&mut stopped, !route.goes_on));
        let root = &self.plan.routes[0];
        let nobody = !self.plan.routes[1..].iter().any(|route| picks(&route));
        heard.chain(nobody.then_some(root))
    }

    /// Whether the route is quiet at this time of the day.
    pub fn is_quiet(&self, route: &PlannedRoute, wall: u64) -> bool {
        let minute = wall / 60_000 % (24 * 60);
        route.quiet_hour && minute >= u64::from(QUIET_MINUTES.0) && minute < u64::from(QUIET_MINUTES.1)
    }

    /// Whether it may be that this alert fires, as far as those who decide can know.
    pub fn may_fire(&self, name: &Name, now: u64) -> bool {
        let life = &self.lives[name];
        life.held_since.is_some()
            || life.firing_since.is_some()
            || life.last_active.is_some_and(|at| now < at + LINGERS)
    }

    /// The alerts that mute this one if they fire.
    pub fn explained_by(&self, name: &Name) -> impl Iterator<Item = Name> {
        let name = *name;
        let equal = self.plan.inhibition.as_ref().map(|inhibition| inhibition.equal);
        let equal = equal.filter(|_| name.label("severity") == "warning");
        let explains = move |equal: &'static str| {
            let same = move |other: &Name| other.label(equal) == name.label(equal);
            Name::all().filter(|other| other.label("severity") == "critical").filter(same)
        };
        equal.into_iter().flat_map(explains)
    }

    /// Whether it may be that the alert is muted.
    pub fn may_be_muted(&self, name: &Name, now: u64, wall: u64) -> bool {
        let silenced = self.silences.values().any(|silence| {
            silence.pick.picks(name)
                && wall < silence.ends + 1000
                && silence.over.is_none_or(|over| now <= over)
        });
        silenced
            || self.explained_by(name).any(|other| self.may_fire(&other, now))
            || self.routes(name).any(|route| self.is_quiet(route, wall))
    }

    /// A silence that certainly mutes the alert, and did at least `since`, if there is one.
    pub fn silenced_by(&self, name: &Name, since: u64, wall: u64) -> Option<&String> {
        let mutes = |silence: &KnownSilence| {
            silence.pick.picks(name)
                && silence.confirmed.is_some_and(|confirmed| confirmed < since)
                && silence.touched.is_none()
                && silence.over.is_none()
                && silence.starts <= wall
                && wall < silence.ends
        };
        self.silences.iter().find(|(_, silence)| mutes(silence)).map(|(id, _)| id)
    }

    /// Somebody asked for this silence, or for this end of one, and does not know whether it is there.
    pub fn perhaps(&mut self, id: String, asked: KnownSilence, now: u64) {
        let (ends, asked) = (asked.ends, KnownSilence { touched: Some(now), ..asked });
        let silence = self.silences.entry(id).or_insert(asked);
        silence.ends_first = silence.ends_first.min(ends);
        silence.ends = silence.ends.max(ends);
        silence.touched.get_or_insert(now);
    }

    /// Notes who may be muted now. To be called whenever something changes, and often enough besides.
    pub fn look(&mut self, now: u64, wall: u64) {
        for name in Name::all() {
            if self.may_be_muted(&name, now, wall) {
                self.lives.get_mut(&name).expect("every alert has a life").last_muted = Some(now);
            }
        }
    }

    /// What receivers should have learned, nothing having gone wrong since `calm`, and have not: alerts that fire and of
    /// which they do not know, and alerts that are over and in which they believe.
    pub fn unlearned(&self, calm: u64) -> Vec<String> {
        let mut problems = Vec::new();
        if self.plan_since > calm {
            return problems;
        }
        for (name, life) in &self.lives {
            let unmuted = |since: u64| life.last_muted.is_none_or(|at| at < since);
            if life.firing_since.is_some_and(|at| at < calm) && unmuted(calm) {
                for route in self.routes(name) {
                    for (kind, _) in integrations(route.receiver) {
                        let key = (route.receiver.into(), (*kind).into(), *name);
                        if !self.beliefs.contains_key(&key) {
                            problems
                                .push(format!("untold: {}/{kind} does not know of {name:?}", route.receiver));
                        }
                    }
                }
            }
            let Some(ended) = life.ended_at.filter(|ended| *ended < calm) else { continue };
            // Ends of what is muted are not told.
            if !unmuted(ended.saturating_sub(LINGERS)) {
                continue;
            }
            for (receiver, kinds) in RECEIVERS {
                for (kind, _) in kinds.iter().filter(|(_, tells_ends)| *tells_ends) {
                    let belief = self.beliefs.get(&(receiver.into(), (*kind).into(), *name));
                    // Those who were told under another configuration may never hear of it again.
                    let binding = |belief: &Belief| {
                        belief.known && belief.since > self.plan_since && unmuted(belief.since)
                    };
                    if belief.is_some_and(binding) {
                        problems.push(format!("unended: {receiver}/{kind} still believes in {name:?}"));
                    }
                }
            }
        }
        problems
    }

    /// Whether it is certain that the alert goes on, and did for a while.
    pub fn goes_on(&self, name: &Name, now: u64) -> bool {
        let life = &self.lives[name];
        let long = long_enough(name);
        life.firing_since.is_some_and(|since| since + long < now)
            && (life.held_since.is_some_and(|since| since + long < now) || life.kept)
    }

    /// Whether it is a lie that the alert ended: it goes on, and the server had the time to hear of it. One that was down
    /// may tell the end of an episode that was over when it went down, although another one has begun.
    pub fn end_is_a_lie(&self, name: &Name, now: u64) -> bool {
        self.goes_on(name, now) && self.lives[name].unknown_at + long_enough(name) < now
    }
}

/// After this time everybody has heard of an alert, if nothing is wrong.
fn long_enough(name: &Name) -> u64 {
    let own = OWN.contains(&name.alert);
    if own { 2 * 60_000 } else { 3 * 60_000 }
}

/// The integrations of a receiver.
pub(crate) fn integrations(receiver: &str) -> &'static [(&'static str, bool)] {
    RECEIVERS.iter().find(|(name, _)| *name == receiver).map_or(&[], |(_, kinds)| kinds)
}
