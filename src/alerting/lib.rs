//! Who is told what, when, and why not: the alerting state machine.
//!
//! In: alerts, silences, a configuration, answers from storage and delivery, always with the time. Out: what to make
//! durable, what to deliver, and every decision with its reason.
//! Not here: sockets, tasks, YAML, clocks. The same input in the same state gives the same output, every time.

mod config;
mod group_key;
mod inhibition;
mod matcher;
mod receiver;
mod route;
mod time_interval;

pub use config::{AlertingConfig, AlertingLimits, AlertingProblem};
pub use inhibition::InhibitRule;
pub use matcher::{
    MatcherMode, MatcherSyntaxError, match_re, matcher_text, matchers_text, parse_matcher, parse_matchers,
    sort_matchers,
};
pub use receiver::{Integration, Receiver};
pub use route::{GroupBy, Route, RouteId, RouteProblem, RouteSpec, RouteTree};
pub use time_interval::{
    MinuteRange, Span, TimeInterval, TimeIntervalError, Zone, parse_days_of_month, parse_months, parse_weekdays,
    parse_years,
};
