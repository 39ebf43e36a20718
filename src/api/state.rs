//! What the API needs from the server.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use alerting::{AlertingView, MatcherMode};
use model::RelabelRule;
use ports::{BoxFuture, Clock, QueryError, Select};
use promql::{Answer, Range};
use remote::Receiver;

use crate::cors::CorsOrigin;
use crate::guard::Access;
use crate::page::Assets;
use crate::traffic::Traffic;
use crate::views::{
    AlertmanagersView, DeliveryView, DroppedTargetView, FamilyView, GroupView, HealthView, PluginView,
    RuntimeView, StoreView, TargetView,
};

/// Everything that a request may reach.
pub struct Api {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// PromQL.
    pub queries: Arc<dyn Queries>,
    /// Series and labels.
    pub store: Arc<dyn Select>,
    /// What there is to be seen.
    pub views: Arc<dyn Views>,
    /// What can be changed.
    pub control: Arc<dyn Control>,
    /// Who may do what.
    pub access: Access,
    /// Which pages of other sites may read.
    pub cors: CorsOrigin,
    /// The page's files.
    pub assets: Assets,
    /// Our address as others see it, without a slash at its end.
    pub external_url: String,
    /// The path under which everything is served, without a slash at its end; empty at the root.
    pub route_prefix: String,
    /// Whether `/-/reload` and `/-/quit` may be called.
    pub lifecycle: bool,
    /// Whether `stats=all` counts samples by step.
    pub per_step_stats: bool,
    /// Takes samples of other servers; `None` if that is off.
    pub receiver: Option<Arc<Receiver>>,
    /// Requests, counted.
    pub traffic: Arc<Traffic>,
    /// Which matchers and label names Alertmanager's part takes.
    pub matcher_mode: MatcherMode,
}

/// One PromQL query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryRequest {
    /// The expression.
    pub expr: String,
    /// When it is evaluated.
    pub range: Range,
    /// How old a sample may be; the server's default if none.
    pub lookback: Option<Duration>,
    /// How long it may take; never longer than the server allows.
    pub timeout: Option<Duration>,
    /// Whether samples are to be counted by step.
    pub stats: bool,
    /// Whether an account of each part of the expression is wanted.
    pub explain: bool,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The other end of the connection.
    pub client: Option<IpAddr>,
    /// `GET`.
    pub method: String,
    /// The path that was asked for.
    pub path: String,
}

/// What a query found, and how long that took.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryAnswer {
    /// The answer, with its samples and, if asked for, its account.
    pub answer: Answer,
    /// How long it took.
    pub timings: QueryTimings,
}

/// Where the time of a query went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryTimings {
    /// Waiting for other queries.
    pub queued: Duration,
    /// Parsing, planning and finding the series.
    pub prepared: Duration,
    /// Reading samples and computing.
    pub evaluated: Duration,
}

/// Answers PromQL.
pub trait Queries: Send + Sync {
    /// Parses, selects and evaluates. Dropping the future ends the evaluation.
    fn query<'a>(&'a self, request: QueryRequest) -> BoxFuture<'a, Result<QueryAnswer, QueryError>>;
}

/// The server's read side. All of it is cheap: snapshots, no locks around a request.
pub trait Views: Send + Sync {
    /// Alerts, groups, silences, receivers as of now; `None` when the server is stopping.
    fn alerting<'a>(&'a self) -> BoxFuture<'a, Option<Arc<AlertingView>>>;
    /// Rule groups with their rules and active alerts, in order of file and group.
    fn groups(&self) -> Vec<GroupView>;
    /// Targets that are scraped.
    fn targets(&self) -> Vec<TargetView>;
    /// Targets that relabelling dropped, and how many there are by pool.
    fn dropped_targets(&self) -> (Vec<DroppedTargetView>, Vec<(String, usize)>);
    /// The relabelling rules of a scrape pool's targets, in order; `None` if there is no such pool.
    fn relabel_rules(&self, pool: &str) -> Option<Vec<RelabelRule>>;
    /// Metric families by target.
    fn families(&self) -> Vec<FamilyView>;
    /// Plugins.
    fn plugins(&self) -> Vec<PluginView>;
    /// External Alertmanagers.
    fn alertmanagers(&self) -> AlertmanagersView;
    /// The last deliveries, newest first.
    fn deliveries(&self) -> Vec<DeliveryView>;
    /// Notifications that did not get through yet and are tried again, those first that have failed for longest; and how
    /// many wait or are under way, these among them.
    fn trying(&self) -> (Vec<DeliveryView>, usize);
    /// Receivers that tell nobody, since they have no integration.
    fn silent_receivers(&self) -> Vec<Arc<str>>;
    /// The configuration in force with its secrets masked, as YAML.
    fn config_yaml(&self) -> String;
    /// Alertmanager's part of it: what its tools read.
    fn alertmanager_yaml(&self) -> String;
    /// Command-line flags by name.
    fn flags(&self) -> Vec<(String, String)>;
    /// Facts about the process.
    fn runtime(&self) -> RuntimeView;
    /// Facts about the store; the lists hold up to `limit` entries.
    fn store(&self, limit: usize) -> StoreView;
    /// How the server is doing.
    fn health(&self) -> HealthView;
    /// Our own metrics, as text in the format that `accept` asks for, with its content type.
    fn metrics<'a>(&'a self, accept: &'a str) -> BoxFuture<'a, (String, &'static str)>;
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It was right, and could not be done.
    #[error("{0}")]
    Failed(String),
}

/// What can be changed. When an answer is `Ok`, the change survives a crash.
pub trait Control: Send + Sync {
    /// Takes alerts from outside.
    fn post_alerts<'a>(
        &'a self,
        alerts: Vec<alerting::AlertDraft>,
    ) -> BoxFuture<'a, Result<(), ControlError>>;
    /// Creates or changes a silence; the answer is its id.
    fn put_silence<'a>(
        &'a self,
        draft: alerting::SilenceDraft,
    ) -> BoxFuture<'a, Result<String, ControlError>>;
    /// Ends a silence.
    fn expire_silence<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ControlError>>;
    /// Reads the configuration again.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), ControlError>>;
    /// Ends the process.
    fn quit(&self);
    /// One call of an exporter plugin, outside any scrape: its page for others. The answer is text and content type.
    fn exporter_page<'a>(
        &'a self,
        plugin: &'a str,
        accept: &'a str,
    ) -> BoxFuture<'a, Result<(String, &'static str), ControlError>>;
}
