//! The shell that puts the rooms together: clock, tasks, sockets, reload, shutdown.
//!
//! The only room that sees all others. Start at [`run`].

mod alerting_task;
mod clock;
mod deliveries;
mod delivery_thread;
mod files;
mod mail;
mod map;
mod metrics;
mod notifiers;
mod others;
mod outgoing;
mod ownership;
mod points;
mod query;
mod query_log;
mod request_target;
mod rule_batches;
mod rule_moves;
mod rule_task;
mod rule_tests;
mod run;
mod running;
mod scripts;
mod smtp;
mod summary;
mod traffic_points;
mod web;

pub use alerting::AlertingLimits;
pub use clock::{SystemClock, SystemRandom};
pub use files::{DiskFiles, built_in_config};
pub use map::AlertingOptions;
pub use outgoing::HttpOutgoing;
pub use query::{QueryEngine, QueryLimits};
pub use rule_tests::{TestOutcome, test_rules};
pub use run::{Options, Server, StartError, run};
pub use running::catalog;
pub use web::check_web;
