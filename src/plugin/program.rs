//! What the host calls, in whichever language it is written.

use std::sync::Arc;
use std::time::Duration;

use model::{Finding, Timestamp};
use ports::{BoxFuture, Scrape, Target};
use serde_json::Value;

use crate::host::Call;
use crate::told::Told;
use crate::{CallError, Kind};

/// A prepared script or component. It holds no state between calls: each gets a scope or an instance of its own.
pub(crate) trait Program: Send + Sync {
    /// Everything that is wrong at `at`.
    fn evaluate(&self, call: Arc<Call>, at: Timestamp) -> BoxFuture<'_, Ran<Vec<Finding>>>;
    /// One scrape.
    fn collect(&self, call: Arc<Call>, target: Arc<Target>) -> BoxFuture<'_, Ran<Scrape>>;
    /// One attempt at a notification; the answer is what to remember.
    fn notify(&self, call: Arc<Call>, told: Arc<Told>) -> BoxFuture<'_, Ran<Option<String>>>;
}

/// What came of a call, and what it used.
pub(crate) struct Ran<T> {
    pub(crate) outcome: Result<T, CallError>,
    pub(crate) cpu: Duration,
    /// The most memory that was seen, in bytes.
    pub(crate) memory: usize,
}

/// A program as it was found in a file, before anybody has said what it may do.
pub(crate) struct Loaded {
    pub(crate) kind: Kind,
    /// What it says about itself.
    pub(crate) manifest: Value,
    pub(crate) program: Arc<dyn Program>,
    /// Things to say that are no reason to refuse it.
    pub(crate) warnings: Vec<String>,
    /// The text, if it is a script.
    pub(crate) text: Option<Arc<str>>,
}
