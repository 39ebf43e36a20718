//! What people can see of targets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Labels, Metadata, Timestamp};
use ports::Target;

/// Scrapes that are remembered of each target.
const BEATS_MAX: usize = 40;

/// All targets at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetsView {
    /// One for each job, by name.
    pub pools: Vec<PoolView>,
}

/// The targets of one job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolView {
    /// The job's name.
    pub job: String,
    /// Targets that are scraped, by address.
    pub active: Vec<TargetView>,
    /// Targets that relabelling dropped, up to the job's limit.
    pub dropped: Vec<DroppedTarget>,
    /// How many were dropped in all.
    pub dropped_count: usize,
    /// What is wrong with the job: targets that cannot be, discovery that fails.
    pub problems: Vec<String>,
}

/// One target that is scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetView {
    /// The job it belongs to.
    pub pool: String,
    /// The labels that its series get.
    pub labels: Labels,
    /// Its labels before relabelling.
    pub discovered: Labels,
    /// What is fetched.
    pub url: String,
    /// How the last scrape went.
    pub health: Health,
    /// Why it failed, or what was wrong although it did not; empty if nothing.
    pub last_error: String,
    /// When it was.
    pub last_scrape: Option<Timestamp>,
    /// How long it took.
    pub last_duration: Duration,
    /// Time from one scrape to the next.
    pub interval: Duration,
    /// When a scrape is given up.
    pub timeout: Duration,
    /// The last scrapes, oldest first.
    pub beats: Vec<Beat>,
}

/// One scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Samples that the target exposed.
    pub samples: usize,
    /// Why it failed.
    pub error: Option<String>,
}

/// How the last scrape of a target went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// There was none yet.
    #[default]
    Unknown,
    /// Well.
    Up,
    /// Not well.
    Down,
}

impl Health {
    /// As the HTTP API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// A target that relabelling dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedTarget {
    /// The job that found it.
    pub pool: String,
    /// Its labels before relabelling.
    pub discovered: Labels,
}

/// A metric family as one target describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyMetadata {
    /// The labels of the target.
    pub target: Labels,
    /// The family's name.
    pub family: String,
    /// Type, help, unit.
    pub metadata: Metadata,
}

/// The one place where a target's state is kept to be seen. The loop writes, everybody reads; locked for a few lines.
#[derive(Debug)]
pub(crate) struct TargetCell {
    pool: String,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct Status {
    target: Arc<Target>,
    health: Health,
    last_error: String,
    beats: VecDeque<Beat>,
    families: Arc<[(String, Metadata)]>,
}

impl TargetCell {
    pub(crate) fn new(pool: String, target: Arc<Target>) -> Self {
        let status = Status {
            target,
            health: Health::Unknown,
            last_error: String::new(),
            beats: VecDeque::new(),
            families: Arc::from([]),
        };
        TargetCell { pool, status: Mutex::new(status) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Status) -> T) -> T {
        act(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The target was found again, maybe with other labels before relabelling or other settings.
    pub(crate) fn set_target(&self, target: Arc<Target>) {
        self.with(|status| status.target = target);
    }

    /// A scrape ended. `warning`: what was wrong although it went well.
    pub(crate) fn beat(&self, beat: Beat, warning: Option<String>) {
        self.with(|status| {
            status.health = if beat.error.is_none() { Health::Up } else { Health::Down };
            status.last_error = beat.error.clone().or(warning).unwrap_or_default();
            if status.beats.len() == BEATS_MAX {
                status.beats.pop_front();
            }
            status.beats.push_back(beat);
        });
    }

    /// Whether the last scrape went well; `None` if there was none.
    pub(crate) fn is_up(&self) -> Option<bool> {
        self.with(|status| match status.health {
            Health::Unknown => None,
            Health::Up => Some(true),
            Health::Down => Some(false),
        })
    }

    pub(crate) fn set_families(&self, families: Arc<[(String, Metadata)]>) {
        self.with(|status| status.families = families);
    }

    pub(crate) fn families(&self) -> (Labels, Arc<[(String, Metadata)]>) {
        self.with(|status| (status.target.labels.clone(), Arc::clone(&status.families)))
    }

    pub(crate) fn view(&self) -> TargetView {
        self.with(|status| TargetView {
            pool: self.pool.clone(),
            labels: status.target.labels.clone(),
            discovered: status.target.discovered.clone(),
            url: status.target.url.clone(),
            health: status.health,
            last_error: status.last_error.clone(),
            last_scrape: status.beats.back().map(|beat| beat.at),
            last_duration: status.beats.back().map_or(Duration::ZERO, |beat| beat.took),
            interval: status.target.interval,
            timeout: status.target.timeout,
            beats: status.beats.iter().cloned().collect(),
        })
    }
}
