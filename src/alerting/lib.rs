//! Who is told what, when, and why not: the alerting state machine.
//!
//! In: alerts, silences, a configuration, answers from storage and delivery, always with the time. Out: what to make
//! durable, what to deliver, and every decision with its reason.
//! Not here: sockets, tasks, YAML, clocks. The same input in the same state gives the same output, every time.
//! Start at [`Alerting::step`]; for configurations at [`RouteTree::check`], for readers at [`Alerting::view`].

mod alert;
mod alert_store;
mod alerting;
mod commits;
mod config;
mod decision;
mod delivery;
mod event;
mod explain;
mod flush;
mod group;
mod group_key;
mod inhibition;
mod intake;
mod matcher;
mod members;
mod notification_log;
mod receiver;
mod record;
mod reload;
mod restore;
mod route;
mod silence;
mod silence_commands;
mod silence_index;
mod stats;
mod time_interval;
mod timers;
mod turn;
mod view;

pub use alert::{AlertDraft, AlertError, NotificationOrder, merge_alert, merge_overlapping, order_of_labels};
pub use alerting::Alerting;
pub use config::{AlertingConfig, AlertingLimits, AlertingProblem};
pub use decision::{Decision, DecisionRecord, MuteReason, SkipReason};
pub use event::{AlertsAnswer, Answer, Change, CommitFailure, CommitId, Effect, Event, ReplyTo, Turn};
pub use explain::{Explanation, IntegrationExplanation, RouteExplanation};
pub use inhibition::InhibitRule;
pub use matcher::{
    MatcherMode, MatcherSyntaxError, match_re, matcher_text, matchers_text, parse_matcher, parse_matchers,
    sort_matchers,
};
pub use notification_log::{Destination, Told, Verdict, plan_flush};
pub use receiver::{Integration, Receiver};
pub use record::RecordError;
pub use restore::Restored;
pub use route::{GroupBy, Route, RouteId, RouteProblem, RouteSpec, RouteTree};
pub use silence::{Silence, SilenceDraft, SilenceError, SilenceId, SilenceState};
pub use stats::{Census, NotificationCount, Sizes, Stats, Suppressed};
pub use time_interval::{
    MinuteRange, Span, TimeInterval, TimeIntervalError, Zone, parse_days_of_month, parse_months,
    parse_weekdays, parse_years,
};
pub use view::{
    AlertFilter, AlertState, AlertView, AlertingView, DeliveryView, GroupView, ReceiverView, SilenceView,
    ToldView, list_silences, receiver_matches, silence_is_listed,
};

/// A list of mostly one item, which takes no allocation then: the groups of an alert, the alerts of a message.
pub type Few<T> = smallvec::SmallVec<[T; 1]>;
