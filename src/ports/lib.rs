//! The seams: traits through which everything replaceable is reached.
//!
//! Six places where users and setups put something of their own ([`Collector`], [`Evaluate`], [`Notifier`], [`Append`],
//! [`Select`], [`Query`]) and five where a simulator stands in for the world ([`Clock`], [`Random`], [`Disk`],
//! [`Outgoing`], [`Coord`]). Not here: any implementation.

mod aws;
mod coord;
mod disk;
mod failure;
mod outgoing;
mod query;
mod storage;
mod target;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use model::{Finding, Notification, Receipt, Timestamp};

pub use aws::{AwsKeys, AwsRole, AwsSigning};
pub use coord::{Change, Condition, Coord, CoordError, Revision};
pub use disk::{Disk, DiskFile};
pub use failure::{FailureReason, NotifyError};
pub use outgoing::{
    Body, HttpAuth, HttpOptions, HttpRequest, HttpResponse, Mail, Outgoing, OutgoingError, Reach, SmtpServer,
    TlsOptions,
};
pub use query::{Query, QueryError, QueryErrorKind, Steps};
pub use storage::{Append, AppendError, Appended, Rejected, Row, Select, SelectError, SeriesSet, WriteBatch};
pub use target::{CollectError, Collector, Payload, Point, Scrape, Target, TextFormat};

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Until when a call may take. Relative, so that no implementation needs to agree about a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The time that is left at the start of the call.
    pub left: Duration,
}

impl Deadline {
    /// A deadline that lies `left` ahead.
    pub const fn after(left: Duration) -> Self {
        Deadline { left }
    }
}

/// The time of day. Only the real one reads the machine's clock; tests, backtests and replays hand down another.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Chance. Seeded in tests.
pub trait Random: Send + Sync {
    /// Sixty-four random bits.
    fn next_u64(&self) -> u64;
}

/// Decides what is wrong at a point in time: the condition of a rule, in PromQL, Rhai or Wasm.
pub trait Evaluate: Send + Sync {
    /// Everything that is wrong at `at`. An error changes no alert.
    fn evaluate<'a>(
        &'a self,
        at: Timestamp,
        query: &'a dyn Query,
    ) -> BoxFuture<'a, Result<Vec<Finding>, EvalError>>;
    /// The condition as people should see it: the PromQL text, or the file of a script.
    fn describe(&self) -> String;
}

/// Why a condition could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What happened, where, what to do.
    pub message: String,
}

/// Tells people or machines about a group of alerts: one integration of a receiver.
pub trait Notifier: Send + Sync {
    /// One attempt. Retrying is never a notifier's business.
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        attempt: u32,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>>;
}
