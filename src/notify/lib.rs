//! Delivery: a queue for each integration of each receiver, with deadlines, retries and rate limits.
//!
//! In: notifications that the alerting room decided to send. Out: one [`Report`] for each, delivered or given up; and
//! before one goes out that waited, the question whether it still holds ([`Turn`]).
//! Not here: what is told and to whom (`alerting`), how a message looks (plugins), sockets (`ports::Outgoing`).
//! Start at [`Outbox`].

mod backoff;
mod endpoint;
mod lineup;
mod outbox;
mod pace;
mod queue;
mod trouble;
mod unsent;
mod untold;

pub use endpoint::Endpoint;
pub use lineup::{Attempt, AttemptId, Failure, Lineup, Report, Start, Step, Turn};
pub use outbox::{IntegrationKey, Latency, Outbox, OutboxEvent, QueueStatus};
pub use pace::{Pace, Rate};
pub use unsent::Unsent;
