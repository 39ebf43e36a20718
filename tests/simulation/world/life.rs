//! The life of the process: it starts, dies, and comes back with what is on the disk.

use std::sync::Arc;

use alerting::{Event, SilenceId};

use super::{Asked, LONGEST_SLEEP, Later, MINUTE, START, World};
use crate::plan::Name;
use crate::process::Process;
use crate::reference::Belief;
use crate::setup::Setup;

/// When the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// Between two effects, neither of them a write.
    Between,
    /// In the middle of a write, or just before: what it was to write may be lost.
    Writing,
}

impl World {
    pub(super) fn start(&mut self) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        self.boots += 1;
        let Setup { alerting, rules } = self.setup.clone();
        let process = Process::start(self.boots, &self.disk, alerting, &rules, self.wall(), self.alive_until);
        self.process = Some(process.map_err(|error| format!("durability: the start fails: {error}"))?);
        self.note(|| "start".to_owned());
        self.broken_until = self.now;
        let (now, boot) = (self.now, self.boots);
        self.reference.interrupted(now);
        self.reference.restarted(now, &self.known_to_fire);
        for group in 0..rules.len() {
            self.next_evaluation(boot, group);
        }
        self.confirmed_silences_are_there()?;
        self.step(Event::Tick)
    }

    /// An acknowledged silence survives everything.
    fn confirmed_silences_are_there(&mut self) -> Result<(), String> {
        let Some(process) = &self.process else { return Ok(()) };
        let (now, wall) = (self.now, self.wall_millis());
        let view = process.alerting.view(self.wall());
        for (id, silence) in &self.reference.silences {
            let counts = silence.confirmed.is_some()
                && silence.touched.is_none()
                && silence.over.is_none()
                && wall < silence.ends;
            let there = view.silence(&SilenceId::new(id)).is_some_and(|view| {
                view.silence.ends_at.as_millis() - START.as_millis() == silence.ends as i64
            });
            if counts && !there {
                return Err(format!("durability: {id} was confirmed and is gone, {now}"));
            }
        }
        Ok(())
    }

    pub(super) fn die(&mut self, death: Death) {
        let Some(process) = self.process.take() else { return };
        self.wake = None;
        self.summary.crashes += 1;
        // What waits for a disk that fails may have waited before, and be written again now.
        let again = !self.disk_works && !process.waiting.is_empty();
        let behind = process.alerting.sizes().behind || !process.unwritten.is_empty() || again;
        let written = process.has_written_all() && death == Death::Between;
        let sound = written && self.disk_works;
        let pause = match self.random.percent(25) {
            true => self.random.between(1000, 15 * MINUTE),
            false => self.random.between(500, 5000),
        };
        self.note(|| format!("the process dies, for {pause} ms"));
        if self.clock_set_at > 0 && (self.clock_set_at + LONGEST_SLEEP > self.now || !written) {
            // It may not have noticed, or may not have written what follows from it, and the next one cannot know.
            for silence in self.reference.silences.values_mut().filter(|silence| !silence.by_hand) {
                silence.over = None;
                silence.touched.get_or_insert(self.now);
            }
        }
        if sound && pause < 30_000 {
            self.expect_the_waiting(pause);
        }
        if self.features.power_cuts {
            self.disk.power_cut()
        } else {
            self.disk.kill()
        }
        self.set_disk(true);
        (self.excused_at, self.broken_until) = (self.now.max(self.excused_at), self.now + pause);
        if sound {
            // Nothing was lost: what was recorded needs no excuse.
            self.excused_at = self.excused_at.min(self.now);
        }
        for (key, message) in std::mem::take(&mut self.ends) {
            self.end_is_forgotten(key, message);
        }
        // What the server learned and did not write down, it does not know any more.
        for belief in self.reference.beliefs.values_mut() {
            // That it was told may be written, and the alert itself not.
            belief.known &= written || belief.since < self.all_written_at;
            belief.known &= self.receivers.known.get(&belief.message).is_some_and(|known| known.recorded);
        }
        self.receivers.under_way.clear();
        self.receivers.asked_to_wait.clear();
        self.recording.clear();
        // What it was given a moment ago may not be written.
        let (now, sound, written_in) = (self.now, !behind, self.slowest_write() + 1000);
        self.known_ends.clear();
        // What was refused was tried again then, and not before.
        let written = |since: u64| sound && since.max(self.refused_at) + written_in < now;
        let given = std::mem::take(&mut self.given).into_iter();
        self.known_to_fire.extend(given.filter(|(_, since)| written(*since)).map(|(name, _)| name));
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let Asked::Silence(id, known, fresh) = asked {
                // It may have become a new one.
                self.reference.perhaps(fresh, known.clone(), self.now);
                self.reference.perhaps(id, known, self.now);
            }
        }
        self.schedule(pause, Later::Start);
    }

    /// An end that went out although it could not be written down is forgotten with the process: the next one goes on
    /// thinking that those who were told believe in the alert, and nobody can tell it otherwise.
    pub(super) fn end_is_forgotten(&mut self, key: (Arc<str>, Arc<str>, Name), message: Arc<str>) {
        let recorded = self.receivers.known.get(&message).is_some_and(|known| known.recorded);
        if self.unrecorded.contains(&message) && !recorded {
            let belief = Belief { since: self.now, message, known: false };
            self.reference.beliefs.entry(key).or_insert(belief);
        }
    }

    /// Alerts that wait for their group when the process dies do not wait longer because of that.
    fn expect_the_waiting(&mut self, pause: u64) {
        let wait = self.reference.plan.routes[0].group_wait * 1000;
        let since: Vec<(Name, u64)> = self.given.iter().map(|(name, since)| (*name, *since)).collect();
        for (name, since) in since {
            let alone =
                Name::all().filter(|other| other.alert == name.alert && *other != name).all(|other| {
                    let life = &self.reference.lives[&other];
                    life.held_since.is_none() && life.ended_at.is_none_or(|at| at + 30 * MINUTE < self.now)
                });
            let life = &self.reference.lives[&name];
            let fresh = life.last_muted.is_none_or(|at| at + MINUTE < since);
            let to_root = self.reference.routes(&name).any(|route| route.picks.is_none());
            // What ended while nobody listened goes on explaining for as long as its sender has time to say so.
            let ended_lately = |other: Name| {
                self.reference.lives[&other].last_active.is_some_and(|at| at + 30 * MINUTE > self.now)
            };
            let fresh = fresh && !self.reference.explained_by(&name).any(ended_lately);
            if alone && fresh && to_root && since + 1000 < self.now && !self.root_told.contains_key(&name) {
                let due = (since + wait).max(self.now + pause) + self.slowest_write() + 2000;
                let boot = self.boots + 1;
                self.schedule(due - self.now, Later::Overdue(boot, name, since));
            }
        }
    }

    pub(super) fn overdue(&mut self, name: &Name, since: u64) -> Result<(), String> {
        let (now, wall) = (self.now, self.wall_millis());
        self.reference.look(now, wall);
        let life = &self.reference.lives[name];
        // Of two senders the one may say by now that it is over.
        let goes_on = life.firing_since.is_some_and(|at| at <= since)
            && life.held_since.is_some()
            && !self.given_ends.contains(name);
        let unmuted = life.last_muted.is_none_or(|at| at < since);
        // A clock that was set starts the wait anew, also one that was set while nobody ran.
        let calm = (self.clock_set_at == 0 || self.clock_set_at < since)
            && self.reference.plan_since < since
            && self.excused_at <= self.broken_until
            && self.disk_works;
        let knows = ("ops".into(), "webhook".into(), *name);
        let told = self.root_told.get(name).is_some_and(|at| *at >= since)
            || self.reference.beliefs.contains_key(&knows);
        if goes_on && unmuted && calm && !told {
            return Err(format!(
                "late: {name:?} waited for its group when the process died, and waits still"
            ));
        }
        Ok(())
    }
}
