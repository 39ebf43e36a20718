//! The state machine itself: what there is, and which event leads where.

use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use model::{PlantedBug, Timestamp};

use crate::alert_store::{AlertId, AlertStore};
use crate::commits::{Commits, Sealed, Then};
use crate::decision::Decisions;
use crate::delivery::{Delivery, Overdue};
use crate::group::Groups;
use crate::inhibition::Inhibitor;
use crate::intake::after_clock_went_back;
use crate::notification_log::NotificationLog;
use crate::silence::Silences;
use crate::silence_commands::SilenceCommands;
use crate::timers::{Timer, Timers};
use crate::{AlertingConfig, Answer, CommitFailure, CommitId, DecisionRecord, Effect, Event, Sizes, Stats};

/// After how long an unanswered commit counts as failed: telling somebody twice is better than telling nobody.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// How often the notification log is looked through for entries that nobody needs.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// A wake-up this much too late means that the machine slept or the clock was set, and that senders were not heard.
const LATE: Duration = Duration::from_secs(60);
/// A clock that goes back less than this only jitters.
const JITTER_MILLIS: i64 = 1000;

/// The alerting state machine. See the crate's documentation for what it does, and [`Event`] for what moves it.
#[derive(Debug)]
pub struct Alerting {
    pub(crate) config: Arc<AlertingConfig>,
    /// The time of the last step.
    pub(crate) now: Timestamp,
    /// No group is flushed before this time.
    pub(crate) quiet_until: Timestamp,
    pub(crate) alerts: AlertStore,
    pub(crate) groups: Groups,
    pub(crate) log: NotificationLog,
    pub(crate) silences: Silences,
    pub(crate) silence_commands: SilenceCommands,
    pub(crate) inhibitor: Inhibitor,
    pub(crate) timers: Timers,
    pub(crate) commits: Commits,
    /// Notifications that were decided on and not answered, by id.
    pub(crate) deliveries: HashMap<Arc<str>, Delivery>,
    /// Those that were no longer waited for. An answer that comes all the same counts.
    pub(crate) overdue: HashMap<Arc<str>, Overdue>,
    pub(crate) decisions: Decisions,
    pub(crate) stats: Stats,
    pub(crate) version: u64,
    pub(crate) effects: Vec<Effect>,
}

impl Alerting {
    /// Knows nothing yet. To go on where another process stopped, see [`Alerting::restore`].
    pub fn new(config: Arc<AlertingConfig>, now: Timestamp) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::PruneLog, now + PRUNE_EVERY);
        Alerting {
            quiet_until: now + config.start_delay,
            inhibitor: Inhibitor::new(&config.inhibit_rules),
            config,
            now,
            alerts: AlertStore::default(),
            groups: Groups::default(),
            log: NotificationLog::default(),
            silences: Silences::default(),
            silence_commands: SilenceCommands::default(),
            timers,
            commits: Commits::default(),
            deliveries: HashMap::default(),
            overdue: HashMap::default(),
            decisions: Decisions::default(),
            stats: Stats::default(),
            version: 0,
            effects: Vec::new(),
        }
    }

    /// Applies one event, then everything that is due. The same input in the same state gives the same effects, every
    /// time. Effects are to be carried out in order.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.step_all(now, [event])
    }

    /// [`Alerting::step`] with events that came together: what is to become durable for them is one commit.
    pub fn step_all(&mut self, now: Timestamp, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
        self.set_clock(now);
        events.into_iter().for_each(|event| self.apply(event));
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.version += 1;
            self.fire(timer);
        }
        self.seal();
        std::mem::take(&mut self.effects)
    }

    /// When to call [`Alerting::step`] with [`Event::Tick`] if nothing else happens first.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Changes whenever [`Alerting::view`] may give something else, but for the passing of time itself.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The decisions since the last call, oldest first, and how many were dropped because nobody took them in time.
    pub fn take_decisions(&mut self) -> (Vec<DecisionRecord>, u64) {
        self.decisions.take()
    }

    /// Counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How much is there now.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            alerts: self.alerts.len(),
            groups: self.groups.len(),
            silences: self.silences.len(),
            in_flight: self.deliveries.len(),
            behind: self.commits.is_behind(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<AlertingConfig> {
        &self.config
    }

    fn apply(&mut self, event: Event) {
        if !matches!(event, Event::Tick) {
            self.version += 1;
        }
        match event {
            Event::Tick => {}
            Event::Evaluated(alerts) => {
                for alert in alerts {
                    self.take_own(alert);
                }
            }
            Event::PostAlerts { alerts, reply } => self.take_posted(alerts, reply),
            Event::PutSilence { draft, fresh_id, reply } => self.put_silence(draft, fresh_id, reply),
            Event::ExpireSilence { id, reply } => self.expire_silence(id, reply),
            Event::Committed(id) => self.committed(id),
            Event::CommitFailed { commit, failure, message } => self.commit_failed(commit, failure, &message),
            Event::Delivered { notification, outcome } => self.delivered(&notification, outcome),
            Event::Turn(turn) => self.turn(turn),
            Event::Reload(config) => self.reload(config),
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Flush(group) => self.flush(group),
            Timer::Silence(id) => self.silence_edge(&id),
            Timer::Forget(alert) => self.forget_alert(alert),
            Timer::Commit(id) => self.commit_failed(id, CommitFailure::Unknown, "storage does not answer"),
            Timer::Delivery(id) => self.no_longer_wait(&id),
            Timer::Rewrite => self.rewrite(),
            Timer::PruneLog => {
                self.prune_log();
                self.timers.set(Timer::PruneLog, self.now + PRUNE_EVERY);
            }
        }
    }

    fn set_clock(&mut self, now: Timestamp) {
        let back = self.now.as_millis().saturating_sub(now.as_millis());
        if back > JITTER_MILLIS {
            self.clock_went_back(now, back);
            self.now = now;
            return;
        }
        let before = self.now;
        self.now = self.now.max(now);
        if self.timers.next().is_some_and(|due| due + LATE < self.now) {
            self.grant_grace(before);
            // Of the time that passed nobody could use any to answer.
            self.timers.extend_patience(self.now.since(before));
        }
    }

    /// Nothing may wait for the time that was taken back, and nothing lies in the future that did not before.
    fn clock_went_back(&mut self, now: Timestamp, millis: i64) {
        if !PlantedBug::TimersStayWhenTheClockGoesBack.is_planted() {
            self.timers.shift(-millis);
        }
        self.quiet_until = self.quiet_until.plus_millis(-millis);
        for id in self.groups.ids() {
            let group = self.groups.get_mut(id);
            group.next_flush = group.next_flush.plus_millis(-millis);
        }
        for entry in self.log.iter_mut() {
            if let Some(told) = &mut entry.told {
                told.at = told.at.min(now);
            }
        }
        for id in self.alerts.ids() {
            self.alert_follows_clock(id, now);
        }
        self.silences_follow_clock(now);
    }

    fn alert_follows_clock(&mut self, id: AlertId, now: Timestamp) {
        let entry = self.alerts.get_mut(id);
        // What silences it may have changed with the time.
        entry.silences = Default::default();
        let alert = after_clock_went_back(&entry.alert, entry.ended, self.now, now);
        if alert != *entry.alert {
            self.replace(id, alert);
            self.write_alert(id);
        }
    }

    fn committed(&mut self, id: CommitId) {
        self.timers.clear(&Timer::Commit(id));
        for then in self.commits.succeeded(id) {
            self.go_on(then);
        }
        // The disk works: what it refused before does not wait any longer.
        self.rewrite();
    }

    fn go_on(&mut self, then: Then) {
        match then {
            Then::Deliver(id) => self.go_out(&id),
            Then::Answer(to, answer) => {
                self.effects.push(Effect::Reply { to, answer: Answer::Alerts(answer) })
            }
            Then::Silences => self.silences_stored(),
        }
    }

    fn commit_failed(&mut self, id: CommitId, failure: CommitFailure, message: &str) {
        self.timers.clear(&Timer::Commit(id));
        self.stats.commits_failed += 1;
        for then in self.commits.failed(id) {
            match then {
                // Somebody else decides about this group.
                Then::Deliver(id) if failure == CommitFailure::Conflict => self.abandon(&id, message),
                Then::Deliver(id) => self.deliver_unrecorded(&id, message),
                Then::Answer(to, mut answer) => {
                    answer.not_stored = Some(message.to_owned());
                    self.effects.push(Effect::Reply { to, answer: Answer::Alerts(answer) });
                }
                Then::Silences if failure == CommitFailure::Unknown => {
                    self.silences_not_stored(&format!("it is not known whether it was written: {message}"));
                }
                Then::Silences => self.silences_not_stored(message),
            }
        }
        if let Some(delay) = self.commits.rewrite_delay() {
            self.timers.set(Timer::Rewrite, self.now + delay);
        }
    }

    fn rewrite(&mut self) {
        for key in self.commits.take_unwritten() {
            let value = self.encode_current(&key);
            self.commits.put(key, value);
        }
    }

    /// Turns the changes of this step into one commit.
    fn seal(&mut self) {
        loop {
            match self.commits.seal() {
                Sealed::Empty => return,
                // Nothing to wait for; but what follows may bring changes of its own.
                Sealed::Done(then) => then.into_iter().for_each(|then| self.go_on(then)),
                Sealed::Commit(id, changes) => {
                    self.timers.set(Timer::Commit(id), self.now + COMMIT_PATIENCE);
                    self.effects.push(Effect::Commit { id, changes });
                    return;
                }
            }
        }
    }
}
