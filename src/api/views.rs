//! What there is to be seen, in the API's own shapes; `server` fills them in from the rooms.

use std::sync::Arc;
use std::time::Duration;

use model::{Fingerprint, Labels, Metadata, Timestamp};

/// A rule group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// Time from one evaluation to the next.
    pub interval: Duration,
    /// How many alerts or series a rule may give; 0 is no limit.
    pub limit: usize,
    /// How long the last evaluation took.
    pub evaluation_time: Duration,
    /// When it was; `None` before the first.
    pub last_evaluation: Option<Timestamp>,
    /// Its rules in order.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleView {
    /// The alert's or series' name.
    pub name: String,
    /// The condition: PromQL, or the file of a script.
    pub query: String,
    /// The language of the condition: `promql`, `rhai`, `wasm`.
    pub language: &'static str,
    /// Labels that it adds, as written.
    pub labels: Labels,
    /// `ok`, `err`, or `unknown` before the first evaluation.
    pub health: &'static str,
    /// Why the last evaluation failed, or empty.
    pub last_error: String,
    /// How long the last evaluation took.
    pub evaluation_time: Duration,
    /// When it was.
    pub last_evaluation: Option<Timestamp>,
    /// The rest.
    pub kind: RuleKindView,
}

/// What a rule makes.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKindView {
    /// Series.
    Recording,
    /// Alerts.
    Alerting {
        /// How long the condition must hold.
        hold: Duration,
        /// How long an alert goes on after it.
        keep_firing: Duration,
        /// As written.
        annotations: Vec<(String, String)>,
        /// Pending and firing ones.
        alerts: Vec<AlertView>,
    },
}

/// One pending or firing alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    /// Its labels.
    pub labels: Labels,
    /// Its annotations, filled in.
    pub annotations: Vec<(String, String)>,
    /// `pending` or `firing`.
    pub state: &'static str,
    /// Since when the condition holds.
    pub active_at: Timestamp,
    /// Since when it only goes on because of `keep_firing_for`.
    pub keep_firing_since: Option<Timestamp>,
    /// The condition's value.
    pub value: f64,
}

/// One scrape in short.
#[derive(Clone, Debug, PartialEq)]
pub struct BeatView {
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, or `None`.
    pub error: Option<String>,
}

/// A target that is scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetView {
    /// The scrape configuration.
    pub pool: String,
    /// What is fetched, without credentials.
    pub url: String,
    /// Before relabelling.
    pub discovered: Labels,
    /// After relabelling.
    pub labels: Labels,
    /// `up`, `down`, or `unknown` before the first scrape.
    pub health: &'static str,
    /// Why the last scrape failed, or empty.
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
    pub beats: Vec<BeatView>,
}

/// A target that relabelling dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedTargetView {
    /// The scrape configuration.
    pub pool: String,
    /// Before relabelling.
    pub discovered: Labels,
}

/// A metric family of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyView {
    /// The target's labels.
    pub target: Labels,
    /// The family's name.
    pub name: String,
    /// What it says about itself.
    pub metadata: Metadata,
}

/// External Alertmanagers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertmanagersView {
    /// Addresses that alerts are sent to.
    pub active: Vec<String>,
    /// Addresses that relabelling dropped.
    pub dropped: Vec<String>,
}

/// A notification that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryView {
    /// When it ended; of one that is tried again, when the first attempt failed.
    pub at: Timestamp,
    /// Whose.
    pub receiver: Arc<str>,
    /// `discord`, `webhook`, …
    pub integration: Arc<str>,
    /// Its position among the receiver's integrations of that kind, from 0.
    pub index: usize,
    /// The group's labels.
    pub group_labels: Labels,
    /// Which group.
    pub group_key: Arc<str>,
    /// Why it is told.
    pub reason: &'static str,
    /// How many alerts are firing.
    pub firing: usize,
    /// How many are resolved.
    pub resolved: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// What became of it.
    pub outcome: DeliveryOutcome,
}

/// What became of a notification.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryOutcome {
    /// It came to its end.
    Ended {
        /// Why it was not delivered, or `None` if it was.
        error: Option<String>,
        /// From the first attempt on.
        took: Duration,
        /// Its alerts.
        alerts: Vec<Fingerprint>,
    },
    /// It did not get through yet and is tried again.
    TriedAgain {
        /// Why the last attempt failed.
        error: String,
    },
}

/// A plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginView {
    /// The name under which it is used.
    pub name: String,
    /// `rule`, `exporter`, `notifier`.
    pub kind: &'static str,
    /// `wasm`, `rhai`.
    pub language: &'static str,
    /// Where it came from.
    pub source: String,
    /// Hash of its bytes.
    pub digest: String,
    /// Its own words.
    pub about: String,
    /// Its own version.
    pub version: String,
    /// `active`, `degraded`, `quarantined`, `failed`.
    pub state: String,
    /// Why it is not active, or empty.
    pub problem: String,
    /// Hosts that it may reach.
    pub hosts: Vec<String>,
    /// Names of secrets that it may use.
    pub secrets: Vec<String>,
    /// Files that it may read.
    pub files: Vec<String>,
    /// The last calls, newest first.
    pub calls: Vec<PluginCallView>,
}

/// One call of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginCallView {
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it gave, or why it failed.
    pub outcome: Result<String, String>,
}

/// Facts about the process.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeView {
    /// When it started.
    pub started: Timestamp,
    /// Its working directory.
    pub working_directory: String,
    /// The machine's name.
    pub hostname: String,
    /// Whether the last reload worked.
    pub reload_ok: bool,
    /// When it was.
    pub last_reload: Timestamp,
    /// Damaged parts that were found at the start.
    pub corruptions: u64,
    /// Processors in use.
    pub processors: usize,
    /// How long samples are kept.
    pub retention: String,
}

/// Facts about the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreView {
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Pairs of label and value.
    pub label_pairs: u64,
    /// The oldest sample.
    pub oldest: Option<Timestamp>,
    /// The newest sample.
    pub newest: Option<Timestamp>,
    /// Metric names with the most series.
    pub series_by_name: Vec<(String, u64)>,
    /// Labels with the most values.
    pub values_by_label: Vec<(String, u64)>,
    /// Labels whose values take the most memory, in bytes.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Pairs with the most series.
    pub series_by_pair: Vec<(String, u64)>,
}

/// How the server is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthView {
    /// Whether it can answer: replayed, configured.
    pub ready: bool,
    /// What is wrong, in words for people; empty if nothing is.
    pub problems: Vec<String>,
    /// Samples appended since the start.
    pub samples_appended: u64,
    /// What was restored at the start.
    pub replay: String,
}
