//! Delivery: a queue for each integration of each receiver, with deadlines, retries and rate limits.
//!
//! In: notifications that the alerting room decided to send. Out: one [`Report`] for each, delivered or given up.
//! Not here: what is told and to whom (`alerting`), how a message looks (plugins), sockets (`ports::Outgoing`).
//! Start at [`Outbox`].

mod backoff;
mod lineup;
mod outbox;
mod queue;

pub use lineup::{AttemptId, Failure, Lineup, Report, Start, Step};
pub use outbox::{IntegrationKey, Outbox, QueueStatus};
