//! Making, changing and ending silences: decided at once, stored, and only then in force and confirmed.
//!
//! While some are being stored, further commands wait; then all of them are stored together.

use std::sync::Arc;

use model::{PlantedBug, Timestamp};

use crate::alerting::Alerting;
use crate::commits::Then;
use crate::record::{self, Key};
use crate::silence::{next_edge, plan_expire, plan_put};
use crate::timers::Timer;
use crate::{Answer, Effect, ReplyTo, Silence, SilenceDraft, SilenceError, SilenceId, SilenceState};

#[derive(Debug)]
enum Command {
    Put(SilenceDraft, SilenceId),
    Expire(SilenceId),
}

/// Commands that wait, and those that are being stored.
#[derive(Debug, Default)]
pub(crate) struct SilenceCommands {
    waiting: Vec<(Command, ReplyTo)>,
    storing: Option<Storing>,
}

#[derive(Debug, Default)]
struct Storing {
    /// In the order in which they were decided; a later one replaces an earlier one with the same id.
    changes: Vec<Arc<Silence>>,
    answers: Vec<(ReplyTo, Answer)>,
    /// The clock went back meanwhile: what is written is not what counts, and is written once more.
    clock_went_back: bool,
}

impl Alerting {
    pub(crate) fn put_silence(&mut self, draft: SilenceDraft, fresh_id: SilenceId, reply: ReplyTo) {
        self.silence_commands.waiting.push((Command::Put(draft, fresh_id), reply));
        self.store_waiting();
    }

    pub(crate) fn expire_silence(&mut self, id: SilenceId, reply: ReplyTo) {
        self.silence_commands.waiting.push((Command::Expire(id), reply));
        self.store_waiting();
    }

    fn store_waiting(&mut self) {
        if self.silence_commands.storing.is_some() || self.silence_commands.waiting.is_empty() {
            return;
        }
        let mut storing = Storing::default();
        for (command, reply) in std::mem::take(&mut self.silence_commands.waiting) {
            let answer = self.plan_command(command, &mut storing.changes);
            storing.answers.push((reply, answer));
        }
        for silence in storing.changes.iter().filter(|_| !PlantedBug::SilenceIsNotWritten.is_planted()) {
            self.commits.put(Key::Silence(silence.id.clone()), Some(record::encode_silence(silence)));
        }
        self.silence_commands.storing = Some(storing);
        if PlantedBug::SilenceIsConfirmedTooEarly.is_planted() {
            return self.silences_stored();
        }
        self.commits.then(Then::Silences);
    }

    fn plan_command(&self, command: Command, changes: &mut Vec<Arc<Silence>>) -> Answer {
        match command {
            Command::Put(draft, fresh_id) => {
                let (mode, limits) = (self.config.matcher_mode, &self.config.limits);
                let planned = plan_put(&self.silences, changes, draft, fresh_id, self.now, mode, limits);
                Answer::Silence(planned.map(|(id, planned)| {
                    changes.extend(planned);
                    id
                }))
            }
            Command::Expire(id) => {
                let planned = plan_expire(&self.silences, changes, &id, self.now);
                Answer::Expired(planned.map(|planned| changes.extend(planned)))
            }
        }
    }

    /// The staged silences are durable.
    pub(crate) fn silences_stored(&mut self) {
        let Some(storing) = self.silence_commands.storing.take() else { return };
        for silence in &storing.changes {
            self.watch_silence(silence);
            self.silences.put(silence.clone(), self.now);
        }
        self.write_again(&storing);
        self.answer(storing.answers);
        self.store_waiting();
    }

    /// The staged silences could not be made durable: they never were.
    pub(crate) fn silences_not_stored(&mut self, message: &str) {
        let Some(storing) = self.silence_commands.storing.take() else { return };
        self.write_again(&storing);
        let not_stored = || SilenceError::NotStored(message.to_owned());
        let answers = storing.answers.into_iter().map(|(to, answer)| {
            let answer = match answer {
                Answer::Silence(Ok(_)) => Answer::Silence(Err(not_stored())),
                Answer::Expired(Ok(())) => Answer::Expired(Err(not_stored())),
                refused => refused,
            };
            (to, answer)
        });
        let answers = answers.collect();
        self.answer(answers);
        self.store_waiting();
    }

    /// Writes the silences of a batch as they count now, if its end found another time than its beginning.
    fn write_again(&mut self, storing: &Storing) {
        for silence in storing.changes.iter().filter(|_| storing.clock_went_back) {
            let key = Key::Silence(silence.id.clone());
            let value = self.encode_current(&key);
            self.commits.put(key, value);
        }
    }

    fn answer(&mut self, answers: Vec<(ReplyTo, Answer)>) {
        self.effects.extend(answers.into_iter().map(|(to, answer)| Effect::Reply { to, answer }));
    }

    /// Names the time at which a silence changes by itself, so that readers see it.
    pub(crate) fn watch_silence(&mut self, silence: &Silence) {
        let at = next_edge(silence, self.config.retention, self.now);
        self.timers.set(Timer::Silence(silence.id.clone()), at);
    }

    /// The clock goes back to `now`: what is over stays over, and what mutes goes on muting.
    pub(crate) fn silences_follow_clock(&mut self, now: Timestamp) {
        let before = self.now;
        for (command, _) in &mut self.silence_commands.waiting {
            if let Command::Put(SilenceDraft { starts_at: Some(at), .. }, _) = command
                && *at <= before
            {
                *at = (*at).min(now);
            }
        }
        let mut staged = Vec::new();
        if let Some(storing) = &mut self.silence_commands.storing {
            storing.clock_went_back = true;
            for change in &mut storing.changes {
                staged.push(change.id.clone());
                if let Some(moved) = change.after_clock_went_back(before, now) {
                    *change = Arc::new(moved);
                }
            }
        }
        let silences: Vec<_> = self.silences.iter().cloned().collect();
        for silence in silences {
            let moved = silence.after_clock_went_back(before, now).map(Arc::new);
            if let Some(moved) = &moved {
                // What is being stored is not to be overtaken by what was there before.
                if !staged.contains(&moved.id) {
                    self.commits.put(Key::Silence(moved.id.clone()), Some(record::encode_silence(moved)));
                }
                self.silences.put(moved.clone(), now);
            }
            self.watch_silence(moved.as_ref().unwrap_or(&silence));
        }
    }

    pub(crate) fn silence_edge(&mut self, id: &SilenceId) {
        let Some(silence) = self.silences.get(id).cloned() else { return };
        let over = silence.state(self.now) == SilenceState::Expired;
        if over && silence.ends_at + self.config.retention <= self.now {
            self.silences.remove(id);
            self.commits.put(Key::Silence(id.clone()), None);
        } else {
            self.watch_silence(&silence);
        }
    }
}
