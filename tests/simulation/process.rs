//! One process of the server, without sockets, tasks and a clock: rules, alerting, the journal and the queues, and what
//! the shell does between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alerting::{Alerting, AlertingConfig, CommitFailure, CommitId, Effect, Event};
use journal::simulated::SimDisk;
use journal::{Commit, LocalCoordOptions, StateLog};
use model::{Alert, Finding, Labels, Timestamp};
use notify::{IntegrationKey, Lineup, Pace, Rate};
use ports::{Change, CoordError, EvalError};
use rules::{External, Found, GroupState, RestoreLimits, RuleGroup};

use crate::plan::Name;
use crate::setup::found_labels;

const JOURNAL: &str = "journal/alerting";
const RESEND_DELAY: Duration = Duration::from_secs(60);

/// Whose commit it is.
pub(crate) enum Committer {
    Alerting(CommitId),
    /// The group at this position goes on when it is answered.
    Rules(usize),
}

/// A process.
pub(crate) struct Process {
    pub(crate) boot: u64,
    pub(crate) alerting: Alerting,
    pub(crate) groups: Vec<GroupState>,
    pub(crate) lineups: BTreeMap<IntegrationKey, (Lineup, Pace)>,
    journal: StateLog,
    /// Groups whose state could not be written.
    pub(crate) unwritten: BTreeSet<usize>,
    /// Commits that wait for the disk.
    pub(crate) waiting: VecDeque<(Committer, Vec<Change>)>,
}

fn state_key(at: usize) -> Vec<u8> {
    format!("rules/rules.yml;group{at}").into_bytes()
}

impl Process {
    /// Starts with what is on the disk.
    pub(crate) fn start(
        boot: u64,
        disk: &SimDisk,
        config: Arc<AlertingConfig>,
        groups: &[Arc<RuleGroup>],
        now: Timestamp,
        alive_until: Timestamp,
    ) -> Result<Process, String> {
        // Small snapshots, so that there are many.
        let options = LocalCoordOptions { snapshot_bytes: 8 << 10, reserve_bytes: 0 };
        let (journal, _) =
            StateLog::open(disk.disk(), Path::new(JOURNAL), options).map_err(|error| error.to_string())?;
        let (rules, records): (Vec<_>, Vec<_>) =
            journal.entries().into_iter().partition(|(key, _)| key.starts_with(b"rules/"));
        let restored = Alerting::restore(config, now, records);
        if !restored.problems.is_empty() {
            return Err(format!("unreadable records: {:?}", restored.problems));
        }
        let groups = groups.iter().enumerate().map(|(at, group)| {
            let mut state = GroupState::new(Arc::clone(group));
            if let Some((_, value)) = rules.iter().find(|(key, _)| *key == state_key(at)) {
                let snapshot = rules::record::decode(value).map_err(|error| error.to_string())?;
                state.restore(snapshot, alive_until, now, &RestoreLimits::default());
            }
            Ok(state)
        });
        let groups = groups.collect::<Result<Vec<_>, String>>()?;
        let (alerting, lineups, waiting) = (restored.alerting, BTreeMap::new(), VecDeque::new());
        let unwritten = BTreeSet::new();
        Ok(Process { boot, alerting, groups, lineups, journal, unwritten, waiting })
    }

    pub(crate) fn step(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.alerting.step(now, event)
    }

    /// A group is evaluated; `None` is a condition that fails. Says whether what it knows is to be written first.
    pub(crate) fn evaluate(&mut self, at: usize, found: &[Option<Vec<Name>>], now: Timestamp) -> bool {
        let mut changed = false;
        for (index, found) in found.iter().enumerate() {
            let found = match found {
                None => Err(EvalError { message: "no answer".to_owned() }),
                Some(names) => Ok(Found::Findings(
                    names
                        .iter()
                        .map(|name| Finding {
                            labels: found_labels(name),
                            value: 1.0,
                            annotations: Default::default(),
                        })
                        .collect(),
                )),
            };
            let mut query = |_: &str| Ok(Vec::new());
            let group = &mut self.groups[at];
            let outcome = group.apply(index, found, now, Duration::ZERO, &External::default(), &mut query);
            changed |= outcome.is_ok_and(|evaluated| !evaluated.changes.is_empty());
        }
        changed || self.unwritten.contains(&at)
    }

    /// Queues what a group knows for the disk.
    pub(crate) fn keep(&mut self, at: usize, now: Timestamp) {
        let snapshot = self.groups[at].snapshot(now);
        let value = (!snapshot.rules.is_empty()).then(|| rules::record::encode(&snapshot));
        self.waiting.push_back((Committer::Rules(at), vec![Change { key: state_key(at), value }]));
    }

    pub(crate) fn alerts_to_send(&mut self, at: usize, now: Timestamp) -> Vec<Alert> {
        self.groups[at].alerts_to_send(now, RESEND_DELAY, &External::default())
    }

    pub(crate) fn queue(&mut self, id: CommitId, changes: Vec<alerting::Change>) {
        let changes = changes.into_iter().map(|c| Change { key: c.key, value: c.value }).collect();
        self.waiting.push_back((Committer::Alerting(id), changes));
    }

    /// Writes everything that waits with one fsync.
    pub(crate) fn commit(&mut self) -> Vec<(Committer, Result<(), CoordError>)> {
        let (committers, commits): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).map(|(committer, changes)| (committer, Commit::of(changes))).unzip();
        let answers = self.journal.commit(commits).into_iter().map(|answer| answer.map(drop));
        committers.into_iter().zip(answers).collect()
    }

    /// Whether nothing of what it knows would be forgotten.
    pub(crate) fn has_written_all(&self) -> bool {
        self.waiting.is_empty() && self.unwritten.is_empty() && !self.alerting.sizes().behind
    }

    /// What the journal does when nobody waits for it.
    pub(crate) fn tidy(&mut self) {
        self.journal.tidy();
    }

    pub(crate) fn lineup(&mut self, key: &IntegrationKey) -> (&mut Lineup, &mut Pace) {
        // Three messages in two seconds: few enough that some have to wait for room.
        let pace = || Pace::new(Some(Rate { messages: 3, per: Duration::from_secs(2) }));
        let (lineup, pace) = self.lineups.entry(key.clone()).or_insert_with(|| (Lineup::default(), pace()));
        (lineup, pace)
    }
}

pub(crate) fn failure_of(error: &CoordError) -> CommitFailure {
    match error {
        CoordError::Failed(_) => CommitFailure::Failed,
        CoordError::Unknown(_) => CommitFailure::Unknown,
        CoordError::Conflict => CommitFailure::Conflict,
    }
}

/// The labels of an alert as posted and told.
pub(crate) fn name_of(labels: &Labels) -> Option<Name> {
    Name::of(labels)
}
