//! Operators and fate: what begins and ends, silences, reloads, a clock that is set.

use std::collections::BTreeMap;
use std::sync::Arc;

use alerting::{Event, ReplyTo, SilenceDraft, SilenceId};
use model::Timestamp;
use rules::ActiveAlert;

use super::life::Death;
use super::{Asked, LONGEST_SLEEP, Later, MINUTE, POST_EVERY, START, World};
use crate::plan::{self, Name, POSTED, Pick};
use crate::reference::KnownSilence;
use crate::setup::{Setup, matchers};

impl World {
    pub(super) fn act(&mut self) -> Result<(), String> {
        let all: Vec<Name> = Name::all().collect();
        let name = *self.random.pick(&all);
        match self.random.below(100) {
            0..34 => self.begin_alert(name)?,
            34..58 => self.end_alert(name)?,
            58..70 if self.features.silences => self.silence(&name)?,
            70..76 if self.features.silences => self.expire()?,
            76..82 if self.features.reloads => self.reload()?,
            82..85 if self.features.crashes => self.die(Death::Between),
            85..89 if self.features.disk_faults => {
                let works = !self.disk_works;
                self.set_disk(works);
                self.broken_until = self.now;
                self.note(|| format!("the disk works: {works}"));
            }
            89..94 if self.features.receiver_faults => {
                self.receivers_work = !self.receivers_work;
                self.broken_until = self.now;
                let works = self.receivers_work;
                self.note(|| format!("receivers work: {works}"));
            }
            94..96 if self.features.clock_steps => self.set_clock(),
            _ => {}
        }
        let (now, wall) = (self.now, self.wall_millis());
        self.reference.look(now, wall);
        Ok(())
    }

    fn begin_alert(&mut self, name: Name) -> Result<(), String> {
        if !self.truth.insert(name) {
            return Ok(());
        }
        self.note(|| format!("{name:?} begins"));
        self.ends_posted.remove(&name);
        if POSTED.contains(&name.alert) { self.post() } else { Ok(()) }
    }

    fn end_alert(&mut self, name: Name) -> Result<(), String> {
        if !self.truth.remove(&name) {
            return Ok(());
        }
        self.note(|| format!("{name:?} ends"));
        if !POSTED.contains(&name.alert) {
            return Ok(());
        }
        if self.random.percent(30) && !self.features.disk_faults {
            // The sender says nothing more: the last end that it gave counts.
            let at = self.now + 6 * MINUTE + self.learns_late();
            self.reference.withdrawn(name, self.now, at);
            return Ok(());
        }
        let at = self.now + POST_EVERY + self.learns_late();
        self.reference.withdrawn(name, self.now, at);
        self.post_end(name)
    }

    /// For how long somebody may post what is no longer true.
    fn learns_late(&self) -> u64 {
        if self.features.two_senders { 2 * POST_EVERY } else { 0 }
    }

    fn silence(&mut self, name: &Name) -> Result<(), String> {
        if self.process.is_none() {
            return Ok(());
        }
        let label = *self.random.pick(&["alertname", "host", "severity"]);
        let mut values = vec![name.label(label)];
        if label == "alertname" && self.random.percent(40) {
            values.push(if values[0] == "Slow" { "Fire" } else { "Slow" });
        }
        let pick = Pick { label, values };
        let wall = self.wall_millis();
        let mut ends = wall + self.random.between(60_000, 25 * MINUTE);
        // Now and then exactly when a group is looked at.
        if self.random.percent(40)
            && let Some(process) = &self.process
            && let Some(next) =
                process.alerting.view(self.wall()).groups.first().map(|group| group.next_flush)
        {
            let at = (next.as_millis() - START.as_millis()).max(0) as u64;
            ends = if at > wall { at } else { ends };
        }
        self.ordinal += 1;
        let reply = ReplyTo(self.ordinal);
        let mut id = format!("silence-{}", self.ordinal);
        let fresh_id = SilenceId::new(&id);
        let mut known = KnownSilence {
            pick,
            starts: wall,
            ends,
            ends_first: ends,
            confirmed: None,
            touched: None,
            over: None,
            by_hand: false,
        };
        let mut edited = None;
        // Or another end for one that is there.
        let active = |silence: &KnownSilence| {
            silence.touched.is_none()
                && silence.over.is_none()
                && wall < silence.ends
                && silence.starts <= wall
        };
        if self.random.percent(30)
            && let Some((old, silence)) = self.reference.silences.iter_mut().find(|(_, s)| active(s))
        {
            silence.touched = Some(self.now);
            known.pick = silence.pick.clone();
            known.starts = silence.starts;
            edited = Some(SilenceId::new(old));
            id = old.clone();
        }
        let draft = SilenceDraft {
            id: edited,
            matcher_sets: vec![matchers(&known.pick.text())],
            starts_at: Some(START.plus_millis(known.starts as i64)),
            ends_at: Some(START.plus_millis(ends as i64)),
            ..SilenceDraft::default()
        };
        self.note(|| format!("silence {id} {} until {ends}", known.pick.text()));
        self.asked.insert(reply, Asked::Silence(id, known, fresh_id.as_str().to_owned()));
        self.step(Event::PutSilence { draft, fresh_id, reply })
    }

    fn expire(&mut self) -> Result<(), String> {
        let wall = self.wall_millis();
        let goes_on = |(id, silence): (&String, &KnownSilence)| (wall < silence.ends).then(|| id.clone());
        let ids: Vec<String> = self.reference.silences.iter().filter_map(goes_on).collect();
        if ids.is_empty() || self.process.is_none() {
            return Ok(());
        }
        let id = self.random.pick(&ids).clone();
        self.expire_one(&id)
    }

    pub(super) fn expire_one(&mut self, id: &str) -> Result<(), String> {
        let now = self.now;
        if let Some(silence) = self.reference.silences.get_mut(id) {
            silence.touched.get_or_insert(now);
        }
        self.ordinal += 1;
        let reply = ReplyTo(self.ordinal);
        self.asked.insert(reply, Asked::Expire(id.to_owned()));
        self.note(|| format!("expire {id}"));
        self.step(Event::ExpireSilence { id: SilenceId::new(id), reply })
    }

    fn reload(&mut self) -> Result<(), String> {
        let variant = if self.random.percent(50) { self.variant } else { self.random.below(4) };
        let same = variant == self.variant;
        self.variant = variant;
        let plan = plan::plan(variant, &self.features);
        self.note(|| format!("reload {variant}"));
        self.setup = Setup::of(&plan);
        if !same {
            // An alert that changes groups is told by the other one.
            (self.excused_at, self.reference.plan_since) = (self.now, self.now);
        }
        let Setup { alerting, rules } = self.setup.clone();
        if plan.hold > self.reference.plan.hold {
            // What was not found for so long waits again, and nobody is told until it fires again.
            self.given.retain(|name, _| name.alert != "Slow");
        }
        self.reference.plan = plan;
        let wall = self.wall();
        let before = self.waiting();
        let Some(process) = &mut self.process else { return Ok(()) };
        let boot = process.boot;
        for (at, group) in rules.into_iter().enumerate() {
            if *process.groups[at].group() != group {
                process.groups[at].replace(group, wall);
                process.keep(at, wall);
            }
        }
        self.schedule(5, Later::Disk(boot));
        // What is new is told at once; that nothing is told again is seen when it goes out.
        self.step(Event::Reload(alerting))?;
        self.goes_on_waiting(before, same, boot)
    }

    /// What rules know, and for each group that was not looked at yet when it will be.
    fn waiting(&self) -> (Vec<ActiveAlert>, BTreeMap<Arc<str>, Timestamp>) {
        let Some(process) = &self.process else { return Default::default() };
        let wall = self.wall();
        let rules = process.groups.iter().flat_map(|group| group.snapshot(wall).rules);
        let groups = process.alerting.view(wall).groups.into_iter().filter(|group| !group.flushed);
        let waiting =
            groups.filter(|group| group.next_flush > wall).map(|group| (group.key, group.next_flush));
        (rules.flat_map(|rule| rule.alerts).collect(), waiting.collect())
    }

    /// A reload takes nothing from rules, and no group waits longer or shorter because of it.
    fn goes_on_waiting(
        &self,
        (alerts, groups): (Vec<ActiveAlert>, BTreeMap<Arc<str>, Timestamp>),
        same: bool,
        boot: u64,
    ) -> Result<(), String> {
        // A process that notices only now that the clock was set moves all times with it.
        let clock_was_set = self.clock_set_at > 0 && self.clock_set_at + LONGEST_SLEEP > self.now;
        if self.boot() != Some(boot) || clock_was_set {
            return Ok(());
        }
        let (alerts_now, groups_now) = self.waiting();
        if alerts != alerts_now {
            return Err(format!("reload: rules knew {alerts:?}, and now {alerts_now:?}"));
        }
        for (key, at) in groups {
            let moved = match groups_now.get(&key) {
                Some(now) => *now != at,
                None => same,
            };
            if moved {
                return Err(format!("reload: {key} waited until {at:?}, and now {:?}", groups_now.get(&key)));
            }
        }
        Ok(())
    }

    fn set_clock(&mut self) {
        let step = if self.random.percent(50) { 3_600_000 } else { -3_600_000 };
        // Not before the start, for the sake of unsigned times.
        if self.now as i64 + self.skew + step < 0 {
            return;
        }
        let now = self.now;
        let running = self.process.is_some();
        for silence in self.reference.silences.values_mut().filter(|silence| !silence.by_hand) {
            match running {
                // It saw that it was over, before the clock went on or back.
                true if silence.ends <= self.last_seen && silence.touched.is_none() => {
                    silence.over.get_or_insert(now);
                }
                true => {}
                // A process that starts later cannot know what the clock said before.
                false => {
                    silence.over = None;
                    silence.touched.get_or_insert(now);
                }
            }
        }
        // One that was over before it was stored stays so.
        for asked in self.asked.values_mut() {
            if let Asked::Silence(_, known, _) = asked
                && known.ends <= self.last_seen
            {
                known.touched.get_or_insert(now);
            }
        }
        self.skew += step;
        self.clock_set_at = self.now;
        self.note(|| format!("the clock is set by {step} ms"));
        (self.excused_at, self.broken_until) = (self.now, self.now + LONGEST_SLEEP);
        let (now, wall) = (self.now, self.wall_millis());
        self.reference.interrupted(now);
        // What mutes goes on muting if the clock goes back. Whoever is down does not notice.
        for silence in self.reference.silences.values_mut().filter(|silence| silence.starts > wall) {
            match running {
                true => silence.starts = wall,
                false => drop(silence.touched.get_or_insert(now)),
            }
        }
    }
}
