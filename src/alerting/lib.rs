//! Who is told what, when, and why not: the alerting state machine.
//!
//! In: alerts, silences, a configuration, answers from storage and delivery, always with the time. Out: what to make
//! durable, what to deliver, and every decision with its reason.
//! Not here: sockets, tasks, YAML, clocks. The same input in the same state gives the same output, every time.

mod alert;
mod config;
mod decision;
mod event;
mod group_key;
mod inhibition;
mod matcher;
mod receiver;
mod route;
mod silence;
mod time_interval;

pub use alert::{AlertDraft, AlertError, merge_alert, merge_overlapping, notification_order};
pub use config::{AlertingConfig, AlertingLimits, AlertingProblem};
pub use decision::{Decision, DecisionRecord, MuteReason, SkipReason};
pub use event::{Answer, AlertsAnswer, Change, CommitFailure, CommitId, Effect, Event, ReplyTo};
pub use inhibition::InhibitRule;
pub use matcher::{
    MatcherMode, MatcherSyntaxError, match_re, matcher_text, matchers_text, parse_matcher, parse_matchers,
    sort_matchers,
};
pub use receiver::{Integration, Receiver};
pub use route::{GroupBy, Route, RouteId, RouteProblem, RouteSpec, RouteTree};
pub use silence::{Silence, SilenceDraft, SilenceError, SilenceId, SilenceState};
pub use time_interval::{
    MinuteRange, Span, TimeInterval, TimeIntervalError, Zone, parse_days_of_month, parse_months, parse_weekdays,
    parse_years,
};
