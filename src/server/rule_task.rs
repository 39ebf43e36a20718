//! One task per rule group: waits for its time, asks each rule's condition, stores what comes out, hands alerts on.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use model::{Alert, LabelsBuilder, Matcher, RelabelRule, Selection, Timestamp};
use ports::{Append, BoxFuture, Change, Clock, Coord, EvalError, Select, WriteBatch};
use rules::{
    ALERTS_FOR_STATE, Condition, External, Found, GroupState, GroupView, RestoreLimits, Rule, RuleGroup,
    Snapshot, StateSample,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::query::{QueryEngine, RuleQuery};
use crate::rule_batches::runs;
use crate::rule_moves::{claims, moves};

/// Changes of one group that may wait; there is one per reload.
const COMMANDS: usize = 8;
/// Rules of a group whose answers are computed at the same time.
const SIDE_BY_SIDE: usize = 4;
/// A reload waits so long for a group that is busy, to have what its rules know.
const MOVE_PATIENCE: Duration = Duration::from_secs(5);
/// Keys of rule state among the journaled alert state.
const STATE_PREFIX: &[u8] = b"rules/";

/// What all groups share and a reload changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RuleSettings {
    pub(crate) external: External,
    pub(crate) relabel: Vec<RelabelRule>,
}

/// Counters of one group.
#[derive(Debug, Default)]
pub(crate) struct RuleStats {
    pub(crate) evaluations: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) iterations: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) template_errors: AtomicU64,
    /// Time of all evaluations of rules, in microseconds.
    pub(crate) rule_micros: AtomicU64,
    /// Time of all iterations.
    pub(crate) group_micros: AtomicU64,
    /// Samples that the last iteration stored.
    pub(crate) last_samples: AtomicU64,
    /// Time of the rules in the last iteration, without what lies between them.
    pub(crate) last_rules_micros: AtomicU64,
}

impl RuleStats {
    fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Adds what another one has counted.
    fn absorb(&self, other: &RuleStats) {
        for (mine, other) in [
            (&self.evaluations, &other.evaluations),
            (&self.iterations, &other.iterations),
            (&self.template_errors, &other.template_errors),
            (&self.rule_micros, &other.rule_micros),
            (&self.group_micros, &other.group_micros),
        ] {
            RuleStats::add(mine, other.load(Ordering::Relaxed));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Where alerts go, and what else a group needs.
pub(crate) struct RuleWorld {
    pub(crate) engine: Arc<QueryEngine>,
    pub(crate) append: Arc<dyn Append>,
    pub(crate) store: Arc<dyn Select>,
    pub(crate) coord: Arc<dyn Coord>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alerts: mpsc::Sender<Vec<Alert>>,
    pub(crate) resend_delay: Duration,
    pub(crate) restore: RestoreLimits,
    pub(crate) settings: RwLock<Arc<RuleSettings>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupKey {
    pub(crate) file: String,
    pub(crate) name: String,
}

impl GroupKey {
    fn of(group: &RuleGroup) -> Self {
        GroupKey { file: group.file.clone(), name: group.name.clone() }
    }

    fn state_key(&self) -> Vec<u8> {
        [STATE_PREFIX, self.file.as_bytes(), b";", self.name.as_bytes()].concat()
    }
}

enum Command {
    /// These rules move elsewhere: what they know is given away.
    Release(Vec<String>, oneshot::Sender<Snapshot>),
    Replace(Arc<RuleGroup>, Adopted),
    /// The group is gone: its series end and its alerts are resolved.
    End,
}

/// What rules bring along that moved here.
#[derive(Default)]
struct Adopted {
    snapshots: Vec<Snapshot>,
    /// Goes away when it is written here, and may be forgotten where it came from.
    written: Option<oneshot::Sender<()>>,
}

struct Running {
    group: Arc<RuleGroup>,
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Arc<GroupView>>,
    stats: Arc<RuleStats>,
    task: JoinHandle<()>,
}

/// The tasks of all groups.
pub(crate) struct RuleTasks {
    world: Arc<RuleWorld>,
    running: Mutex<BTreeMap<GroupKey, Running>>,
    ending: Mutex<Vec<JoinHandle<()>>>,
    /// What groups counted that are gone: totals never fall.
    retired: RuleStats,
    stop: watch::Sender<bool>,
    /// What the last process kept, until a group takes it.
    kept: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// When the last process is known to have lived.
    alive_until: Timestamp,
}

impl RuleTasks {
    /// Without groups. `records` is the journaled state; `alive_until` the time of the newest stored sample.
    pub(crate) fn new(world: RuleWorld, records: &[(Vec<u8>, Vec<u8>)], alive_until: Timestamp) -> Self {
        let kept = records.iter().filter(|(key, _)| key.starts_with(STATE_PREFIX)).cloned().collect();
        RuleTasks {
            world: Arc::new(world),
            running: Mutex::default(),
            ending: Mutex::default(),
            retired: RuleStats::default(),
            stop: watch::channel(false).0,
            kept: Mutex::new(kept),
            alive_until,
        }
    }

    /// The groups from now on. Groups that did not change go on untouched; changed ones keep what their rules know, and
    /// rules that moved to another group take it along.
    pub(crate) async fn apply(&self, settings: RuleSettings, groups: Vec<RuleGroup>) {
        *self.world.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        let wanted: BTreeMap<GroupKey, RuleGroup> =
            groups.into_iter().map(|g| (GroupKey::of(&g), g)).collect();
        let mut brought = self.released(&wanted).await;
        let forgotten = self.claimed(&wanted, &mut brought);
        let (mut heirs, mut others, mut written) = (Vec::new(), Vec::new(), Vec::new());
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<GroupKey> =
                running.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
            let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            ending.retain(|task| !task.is_finished());
            for key in gone {
                if let Some(group) = running.remove(&key) {
                    others.push((group.commands, Command::End));
                    self.retired.absorb(&group.stats);
                    ending.push(group.task);
                }
            }
            for (key, group) in wanted {
                let adopted = match brought.remove(&key) {
                    None => Adopted::default(),
                    Some(snapshots) => {
                        let (done, ack) = oneshot::channel();
                        written.push(ack);
                        Adopted { snapshots, written: Some(done) }
                    }
                };
                match running.get_mut(&key) {
                    Some(known) if *known.group == group => {}
                    Some(known) => {
                        known.group = Arc::new(group);
                        let list = if adopted.written.is_some() { &mut heirs } else { &mut others };
                        list.push((
                            known.commands.clone(),
                            Command::Replace(Arc::clone(&known.group), adopted),
                        ));
                    }
                    None => {
                        let started = self.spawn_group(&key, Arc::new(group), adopted);
                        running.insert(key, started);
                    }
                }
            }
        }
        for (target, command) in heirs {
            // A task that ended already has nothing to change.
            let _ = target.send(command).await;
        }
        // What moved is written in its new place before it is forgotten in the old one.
        for ack in written {
            let _ = tokio::time::timeout(MOVE_PATIENCE, ack).await;
        }
        for (target, command) in others {
            let _ = target.send(command).await;
        }
        if !forgotten.is_empty()
            && let Err(error) = self.world.coord.commit(&[], forgotten).await
        {
            tracing::error!(%error, "The state of groups that have other names now was not removed.");
        }
    }

    /// What running groups know of rules that move to another one of `wanted`.
    async fn released(&self, wanted: &BTreeMap<GroupKey, RuleGroup>) -> BTreeMap<GroupKey, Vec<Snapshot>> {
        let asked: Vec<_> = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let before = running.iter().map(|(key, known)| (key.clone(), Arc::clone(&known.group))).collect();
            let commands = |key: &GroupKey| running.get(key).map(|known| known.commands.clone());
            let moves = moves(&before, wanted).into_iter();
            moves.filter_map(|moved| Some((commands(&moved.from)?, moved))).collect()
        };
        let mut brought: BTreeMap<GroupKey, Vec<Snapshot>> = BTreeMap::new();
        for (giver, moved) in asked {
            let (give, given) = oneshot::channel();
            if giver.send(Command::Release(moved.rules, give)).await.is_err() {
                continue;
            }
            // A group that is busy for longer keeps what it knows: it ends there, and begins here.
            if let Ok(Ok(snapshot)) = tokio::time::timeout(MOVE_PATIENCE, given).await {
                brought.entry(moved.to).or_default().push(snapshot);
            }
        }
        brought
    }

    /// Adds what the last process knew of rules whose groups had other names. The answer is what is to be forgotten when
    /// they have written it.
    fn claimed(
        &self,
        wanted: &BTreeMap<GroupKey, RuleGroup>,
        brought: &mut BTreeMap<GroupKey, Vec<Snapshot>>,
    ) -> Vec<Change> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let own: BTreeSet<Vec<u8>> = wanted.keys().map(GroupKey::state_key).collect();
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        for (key, value) in kept.iter().filter(|(key, _)| !own.contains(*key)) {
            // One that cannot be read is reported by the group that it belongs to.
            if let Ok(snapshot) = rules::record::decode(value) {
                keys.push(key.clone());
                records.push(snapshot);
            }
        }
        let before = records.clone();
        let known = |key: &GroupKey| match kept.get(&key.state_key()).map(|v| rules::record::decode(v)) {
            Some(Ok(snapshot)) => snapshot.rules.into_iter().map(|rule| rule.identity).collect(),
            _ => Vec::new(),
        };
        for (key, snapshots) in claims(wanted, known, &mut records) {
            brought.entry(key).or_default().extend(snapshots);
        }
        let mut forgotten = Vec::new();
        for ((key, before), after) in keys.into_iter().zip(before).zip(records) {
            if before == after {
                continue;
            }
            let value = (!after.rules.is_empty()).then(|| rules::record::encode(&after));
            match &value {
                Some(value) => drop(kept.insert(key.clone(), value.clone())),
                None => drop(kept.remove(&key)),
            }
            forgotten.push(Change { key, value });
        }
        forgotten
    }

    fn spawn_group(&self, key: &GroupKey, group: Arc<RuleGroup>, adopted: Adopted) -> Running {
        let state = GroupState::new(Arc::clone(&group));
        let (view_tx, view) = watch::channel(Arc::new(state.view()));
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.state_key());
        let stats = Arc::new(RuleStats::default());
        let task = GroupTask {
            stats: Arc::clone(&stats),
            world: Arc::clone(&self.world),
            key: key.clone(),
            state,
            view: view_tx,
            commands: receiver,
            stop: self.stop.subscribe(),
            alive_until: self.alive_until,
            runs: Default::default(),
            unwritten: false,
            released: false,
        };
        Running { group, commands, view, stats, task: tokio::spawn(task.run(kept, adopted)) }
    }

    /// All groups, in order of file and name.
    pub(crate) fn views(&self) -> Vec<(Arc<GroupView>, Arc<RuleStats>)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().map(|group| (Arc::clone(&group.view.borrow()), Arc::clone(&group.stats))).collect()
    }

    /// The totals over all groups that there are or were.
    pub(crate) fn totals(&self) -> RuleStats {
        let totals = RuleStats::default();
        totals.absorb(&self.retired);
        self.views().iter().for_each(|(_, stats)| totals.absorb(stats));
        totals
    }

    /// Ends all tasks; what a rule is asked at that time is left unanswered. Nothing is resolved: the next start goes on.
    pub(crate) async fn shutdown(&self) {
        self.stop.send_replace(true);
        let tasks: Vec<JoinHandle<()>> = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
                .into_values()
                .map(|group| group.task)
                .chain(ending.drain(..))
                .collect()
        };
        for task in tasks {
            // A task that panicked has said so on its own.
            let _ = task.await;
        }
    }
}

struct GroupTask {
    world: Arc<RuleWorld>,
    key: GroupKey,
    state: GroupState,
    view: watch::Sender<Arc<GroupView>>,
    commands: mpsc::Receiver<Command>,
    stop: watch::Receiver<bool>,
    alive_until: Timestamp,
    /// What the rules know could not be written down.
    unwritten: bool,
    /// Rules moved away. They are still here until the next command, and must not find anew what they gave away.
    released: bool,
    stats: Arc<RuleStats>,
    runs: (Option<Arc<RuleGroup>>, Vec<Range<usize>>),
}

/// The first evaluation time after `now`: times are multiples of the interval, shifted by a hash of the group, so that
/// groups are spread and a restart keeps their rhythm.
fn next_time(key: &GroupKey, interval: Duration, now: Timestamp) -> Timestamp {
    let every = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut labels = LabelsBuilder::new();
    labels.set("file", &key.file).set("name", &key.name);
    let hash = labels.build().fingerprint().0;
    let shift = i64::try_from(hash % every.unsigned_abs()).unwrap_or(0);
    let passed = (now.as_millis() - shift).rem_euclid(every);
    now.plus_millis(every - passed)
}

impl GroupTask {
    async fn run(mut self, kept: Option<Vec<u8>>, adopted: Adopted) {
        self.restore(kept).await;
        self.adopt(adopted).await;
        self.view.send_replace(Arc::new(self.state.view()));
        let mut at = next_time(&self.key, self.state.group().interval, self.world.clock.now());
        loop {
            let wait = at.since(self.world.clock.now());
            let mut stop = self.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(wait), if !self.released => {
                    self.evaluate(at).await;
                    at = self.following(at);
                }
                command = self.commands.recv() => match command {
                    Some(Command::Release(rules, give)) => {
                        let given = self.state.release(&rules, self.world.clock.now());
                        self.released = true;
                        if let Err(given) = give.send(given) {
                            // Whom it was for did not wait so long.
                            self.take_in(given);
                            self.released = false;
                        }
                    }
                    Some(Command::Replace(group, adopted)) => {
                        self.released = false;
                        let old = self.state.group().interval;
                        let rows = self.state.replace(group, self.world.clock.now());
                        self.store(rows);
                        self.adopt(adopted).await;
                        self.keep().await;
                        // What was taken in, or written for long, is as of now: an evaluation as of an earlier time
                        // would take the clock for one that was set back.
                        let now = self.world.clock.now();
                        if self.state.group().interval != old || at < now {
                            at = next_time(&self.key, self.state.group().interval, now);
                        }
                    }
                    Some(Command::End) => return self.end().await,
                    None => return,
                },
                () = async { stop.wait_for(|stop| *stop).await.map(drop).unwrap_or_default() } => return,
            }
        }
    }

    /// The evaluation time after `at`; times that have passed already are counted as missed.
    fn following(&self, at: Timestamp) -> Timestamp {
        let interval = self.state.group().interval;
        let now = self.world.clock.now();
        let next = at + interval;
        if next > now {
            // The clock went back by more than an interval: start over from what it says now.
            return if next.since(now) > interval { next_time(&self.key, interval, now) } else { next };
        }
        let skipped = now.since(next).as_millis() / interval.as_millis().max(1) + 1;
        RuleStats::add(&self.stats.missed, u64::try_from(skipped).unwrap_or(u64::MAX));
        next_time(&self.key, interval, now)
    }

    async fn restore(&mut self, kept: Option<Vec<u8>>) {
        let now = self.world.clock.now();
        match kept.as_deref().map(rules::record::decode) {
            Some(Ok(snapshot)) => {
                return self.state.restore(snapshot, self.alive_until, now, &self.world.restore);
            }
            Some(Err(error)) => {
                tracing::warn!(file = %self.key.file, group = %self.key.name, %error, "Kept rule state cannot be read; using stored series.");
            }
            None => {}
        }
        let start = now - self.world.restore.outage_tolerance;
        let selection = Selection {
            matchers: vec![Matcher::equal(model::METRIC_NAME, ALERTS_FOR_STATE)],
            start,
            end: now,
        };
        let Ok(set) = self.world.store.select(&selection).await else { return };
        let samples: Vec<StateSample> = set
            .series
            .into_iter()
            .filter_map(|series| {
                let last = series.floats.iter().rev().find(|sample| !model::is_stale(sample.value))?;
                Some(StateSample {
                    labels: series.labels.clone(),
                    at: last.at,
                    since: Timestamp::from_secs_f64(last.value),
                })
            })
            .collect();
        self.state.recall(&samples, self.world.restore);
    }

    /// Takes in what rules knew where they were before, and writes it down.
    async fn adopt(&mut self, adopted: Adopted) {
        let Some(written) = adopted.written else { return };
        adopted.snapshots.into_iter().for_each(|snapshot| self.take_in(snapshot));
        self.keep().await;
        // Who waits for it may have lost patience.
        let _ = written.send(());
    }

    fn take_in(&mut self, snapshot: Snapshot) {
        self.state.restore(snapshot, self.alive_until, self.world.clock.now(), &self.world.restore);
    }

    async fn evaluate(&mut self, at: Timestamp) {
        let started = Instant::now();
        let settings = Arc::clone(&self.world.settings.read().unwrap_or_else(PoisonError::into_inner));
        let group = Arc::clone(self.state.group());
        let mut changed = false;
        let (mut samples, mut rules_micros) = (0, 0);
        let engine = Arc::clone(&self.world.engine);
        let asked = engine.for_rules(&group.file, &group.name);
        let mut found = VecDeque::new();
        let mut runs = self.runs(&group).iter().cloned().collect::<VecDeque<_>>();
        for (index, rule) in group.rules.iter().enumerate() {
            if *self.stop.borrow() {
                return;
            }
            if let Some(run) = runs.pop_front_if(|run| run.start == index) {
                let mut stop = self.stop.clone();
                found = tokio::select! {
                    found = find(&group.rules[run], at - group.query_offset, &asked) => found,
                    // Queries that nobody waits for end by themselves.
                    _ = stop.wait_for(|stop| *stop) => return,
                };
            }
            // Each rule stands in one run.
            let Some((outcome, asking)) = found.pop_front() else { return };
            let rule_started = Instant::now();
            let mut query = |text: &str| engine.instant_now(text, at);
            let outcome = self.state.apply(index, outcome, at, asking, &settings.external, &mut query);
            let took = micros(asking + rule_started.elapsed());
            rules_micros += took;
            RuleStats::add(&self.stats.rule_micros, took);
            RuleStats::add(&self.stats.evaluations, 1);
            match outcome {
                Ok(evaluated) => {
                    samples += evaluated.rows.len() as u64;
                    changed |= !evaluated.changes.is_empty();
                    for error in &evaluated.template_errors {
                        RuleStats::add(&self.stats.template_errors, 1);
                        tracing::warn!(file = %group.file, group = %group.name, rule = %rule.name, %error, "A template failed; the alert is raised with the error in its place.");
                    }
                    for change in &evaluated.changes {
                        tracing::debug!(rule = %rule.name, alert = %change.alert.labels, reason = change.reason.as_str(), "Alert changed.");
                    }
                    if !evaluated.rows.is_empty() {
                        asked.forget(&evaluated.rows);
                        self.store_of(index, evaluated.rows);
                    }
                }
                Err(error) => {
                    RuleStats::add(&self.stats.failures, 1);
                    tracing::warn!(file = %group.file, group = %group.name, rule = %rule.name, %error, "Rule evaluation failed; its alerts stay as they are.");
                }
            }
        }
        // What is told is on disk first: a crash between the two must not forget since when an alert holds.
        if changed || self.unwritten {
            self.keep().await;
        }
        let now = self.world.clock.now();
        let alerts: Vec<Alert> = self
            .state
            .alerts_to_send(now, self.world.resend_delay, &settings.external)
            .iter()
            .filter_map(|alert| rules::outgoing(alert, &settings.external, &settings.relabel))
            .collect();
        if !alerts.is_empty() {
            // The alerting task ends last.
            let _ = self.world.alerts.send(alerts).await;
        }
        RuleStats::add(&self.stats.iterations, 1);
        RuleStats::add(&self.stats.group_micros, micros(started.elapsed()));
        self.stats.last_samples.store(samples, Ordering::Relaxed);
        self.stats.last_rules_micros.store(rules_micros, Ordering::Relaxed);
        self.state.finish(at, started.elapsed());
        self.view.send_replace(Arc::new(self.state.view()));
    }

    /// Which rules may be asked together; worked out once for each version of the group.
    fn runs(&mut self, group: &Arc<RuleGroup>) -> &[Range<usize>] {
        if !self.runs.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, group)) {
            let reads = |rule: &Rule| match &rule.condition {
                Condition::Promql(expr) => self.world.engine.selectors(expr),
                Condition::Plugin(_) => None,
            };
            self.runs = (Some(Arc::clone(group)), runs(&group.rules, reads));
        }
        &self.runs.1
    }

    fn store(&self, rows: Vec<ports::Row>) -> Option<ports::Appended> {
        if rows.is_empty() {
            return None;
        }
        match self.world.append.append(&WriteBatch { rows }) {
            Ok(appended) => Some(appended),
            Err(error) => {
                tracing::error!(file = %self.key.file, group = %self.key.name, %error, "Results of rules were not stored.");
                None
            }
        }
    }

    fn store_of(&mut self, index: usize, rows: Vec<ports::Row>) {
        if let Some(appended) = self.store(rows.clone()) {
            self.state.stored(index, &rows, &appended.outcome);
        }
    }

    /// Writes down what the group's rules know.
    async fn keep(&mut self) {
        let snapshot = self.state.snapshot(self.world.clock.now());
        let value = (!snapshot.rules.is_empty()).then(|| rules::record::encode(&snapshot));
        let change = Change { key: self.key.state_key(), value };
        let written = self.world.coord.commit(&[], vec![change]).await;
        self.unwritten = written.is_err();
        if let Err(error) = written {
            tracing::error!(file = %self.key.file, group = %self.key.name, %error, "Rule state was not written, and is tried again at the next evaluation; a restart before that would forget it.");
        }
    }

    /// The group is gone: its series end, its firing alerts are resolved.
    async fn end(mut self) {
        let now = self.world.clock.now();
        let rows = self.state.end(now);
        self.store(rows);
        let settings = Arc::clone(&self.world.settings.read().unwrap_or_else(PoisonError::into_inner));
        let group = Arc::clone(self.state.group());
        let mut resolved = Vec::new();
        for index in 0..group.rules.len() {
            let mut query = |_: &str| Ok(Vec::new());
            // Finding nothing is how an alert ends; one that must go on for a while after that is not held back by it.
            let found = Ok(rules::Found::Findings(Vec::new()));
            if self.state.apply(index, found, now, Duration::ZERO, &settings.external, &mut query).is_err() {
                continue;
            }
        }
        resolved.extend(
            self.state
                .alerts_to_send(now, Duration::ZERO, &settings.external)
                .iter()
                .map(|alert| Alert { ends_at: alert.ends_at.min(now), ..alert.clone() })
                .filter_map(|alert| rules::outgoing(&alert, &settings.external, &settings.relabel)),
        );
        if !resolved.is_empty() {
            let _ = self.world.alerts.send(resolved).await;
        }
        let change = Change { key: self.key.state_key(), value: None };
        if let Err(error) = self.world.coord.commit(&[], vec![change]).await {
            tracing::error!(file = %self.key.file, group = %self.key.name, %error, "The state of a removed group was not removed.");
        }
    }
}

type Asked = (Result<Found, EvalError>, Duration);

/// What a rule finds, and how long that took.
fn ask<'a>(rule: &'a Rule, at: Timestamp, asked: &'a RuleQuery<'_>) -> BoxFuture<'a, Asked> {
    Box::pin(async move {
        let started = Instant::now();
        let found = rule.condition.evaluate(at, asked).await;
        (found, started.elapsed())
    })
}

/// What rules find that do not depend on each other. Large ones are worked on side by side.
async fn find(rules: &[Rule], at: Timestamp, asked: &RuleQuery<'_>) -> VecDeque<Asked> {
    let asking: Vec<BoxFuture<'_, Asked>> = rules.iter().map(|rule| ask(rule, at, asked)).collect();
    futures_util::stream::iter(asking).buffered(SIDE_BY_SIDE).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluation_times_are_a_fixed_rhythm() {
        let key = GroupKey { file: "a".into(), name: "b".into() };
        let interval = Duration::from_secs(15);
        let first = next_time(&key, interval, Timestamp::from_secs(1000));
        assert!(first > Timestamp::from_secs(1000) && first <= Timestamp::from_secs(1015));
        assert_eq!(next_time(&key, interval, first), first + interval);
        assert_eq!(next_time(&key, interval, first.plus_millis(-1)), first);
    }
}
