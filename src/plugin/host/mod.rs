//! What a plugin may call, each function once: components and scripts reach the same code.
//!
//! A [`Call`] is one call of one plugin: it knows what the plugin may do ([`Profile`]), counts what it does, and keeps its
//! writes to state until the call has succeeded. Every function that can fail answers with a [`HostError`]; none panics
//! on what a plugin hands it. Not here: how values cross into a component (`wasm`) or a script (`script`).

mod aws;
mod clock;
mod config;
mod files;
mod http;
mod log;
mod mail;
mod metrics;
mod query;
mod secrets;
mod settings;
mod state;
mod terms;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::Timestamp;
use ports::{Clock, Outgoing, Random, SmtpServer};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use files::{Entry, FileGrant, FileSystem, Kernel};
pub(crate) use http::{Request, Response};
pub(crate) use log::{Level, LogBudget};
pub(crate) use metrics::{Operation, OwnMetrics};
pub(crate) use query::{Asker, Questions, serve};
pub(crate) use secrets::hex;
pub(crate) use state::StateStore;
pub(crate) use terms::{KeptTerms, RawSettings, Terms};

use crate::grants::HostPattern;
use crate::params::Params;
use crate::stats::PluginStats;
use crate::{ErrorKind, HostError, Kind, Limits, Manifest, SecretSource};
use state::Transaction;

/// What every plugin of a host shares.
pub(crate) struct Services {
    pub(crate) outgoing: Arc<dyn Outgoing>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) state: StateStore,
    /// Stand-ins of secrets are derived from it; new in each process.
    pub(crate) stand_in_key: [u8; 32],
}

/// What a loaded version of a plugin may do, and with what.
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The file, for messages and for the YAML that grants more.
    pub(crate) file: String,
    /// Whether it ships with us.
    pub(crate) bundled: bool,
    pub(crate) manifest: Manifest,
    pub(crate) params: Params,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) secrets: BTreeMap<String, SecretSource>,
    pub(crate) files: FileGrant,
    pub(crate) smtp: BTreeMap<String, SmtpServer>,
    pub(crate) limits: Limits,
    pub(crate) services: Arc<Services>,
    pub(crate) stats: Arc<PluginStats>,
    pub(crate) terms: KeptTerms,
}

/// One call of one plugin.
pub(crate) struct Call {
    pub(crate) profile: Arc<Profile>,
    /// The profile's, or more for a call that is handed much.
    pub(crate) limits: Limits,
    /// For logs: the lines of one call belong together.
    id: u64,
    /// The time that the plugin sees, if it is not the clock's: a rule's evaluation time.
    at: Option<Timestamp>,
    deadline: Instant,
    /// What the receiver's settings come to.
    pub(crate) terms: Arc<Terms>,
    /// The target being scraped: a host beyond the plugin's own grant.
    target: Option<HostPattern>,
    /// Added to each request.
    http_headers: Vec<(&'static str, String)>,
    asker: Option<Asker>,
    /// Set when nobody waits for the answer any more.
    abandoned: AtomicBool,
    used: Mutex<Used>,
    transaction: Mutex<Transaction>,
    resolved: Mutex<Vec<Arc<secrets::Resolved>>>,
}

/// What a call has done so far.
#[derive(Debug, Default)]
struct Used {
    log_lines: u32,
    queries: u32,
    samples: usize,
    requests: u32,
    mails: u32,
    files: u32,
    file_bytes: usize,
    /// The last request.
    exchange: Exchange,
    /// Whether something that was sent was not refused: accepted, or not answered.
    may_have_arrived: bool,
    /// Host function and outcome → how often.
    calls: BTreeMap<(&'static str, &'static str), u64>,
}

/// What the last request of a call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// Nothing was sent, or it never left.
    #[default]
    Nothing,
    /// Nobody answered.
    NoAnswer,
    /// Nobody answered in time.
    TimedOut,
    /// An answer.
    Status {
        status: u16,
        /// The other side takes nothing more for this long.
        pause: Option<Duration>,
    },
}

/// The header that names a notification.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// What is special about one call, beside the profile.
#[derive(Default)]
pub(crate) struct CallSetup {
    /// The time that the plugin sees, if it is not the clock's.
    pub(crate) at: Option<Timestamp>,
    /// The time that the call may take, if it is less than the limit.
    pub(crate) time: Option<Duration>,
    /// A receiver's settings.
    pub(crate) settings: RawSettings,
    /// The target being scraped.
    pub(crate) target: Option<HostPattern>,
    /// Added to each request.
    pub(crate) http_headers: Vec<(&'static str, String)>,
    /// Where queries go.
    pub(crate) asker: Option<Asker>,
    /// About how many bytes the plugin is handed.
    pub(crate) handed: usize,
}

impl Call {
    /// Begins a call. An error is about the receiver's settings.
    pub(crate) fn new(profile: &Arc<Profile>, setup: CallSetup) -> Result<Call, HostError> {
        let config = |message: String| HostError::new(ErrorKind::Config, message);
        let terms = profile.terms.of(profile, &setup.settings).map_err(config)?;
        let mut limits = profile.limits.handed(setup.handed);
        limits.time = setup.time.map_or(limits.time, |time| time.min(limits.time));
        Ok(Call {
            limits,
            id: profile.services.random.next_u64(),
            at: setup.at,
            deadline: Instant::now() + limits.time,
            terms,
            target: setup.target,
            http_headers: setup.http_headers,
            asker: setup.asker,
            abandoned: AtomicBool::new(false),
            used: Mutex::default(),
            transaction: Mutex::new(profile.services.state.begin(&profile.name)),
            resolved: Mutex::default(),
            profile: Arc::clone(profile),
        })
    }

    /// What the last request came to, and whether anything that was sent may have been accepted.
    pub(crate) fn exchanged(&self) -> (Exchange, bool) {
        let used = self.used();
        (used.exchange, used.may_have_arrived)
    }

    /// A request that only asks, and was answered: it told nobody.
    fn note_question(&self, exchange: Exchange) {
        self.used().exchange = exchange;
    }

    fn note_exchange(&self, exchange: Exchange) {
        let mut used = self.used();
        used.exchange = exchange;
        used.may_have_arrived |= match exchange {
            Exchange::Nothing => false,
            Exchange::NoAnswer | Exchange::TimedOut => true,
            // A gateway does not know what became of what it passed on.
            Exchange::Status { status, .. } => status < 300 || matches!(status, 408 | 502 | 504),
        };
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// One of `slots`, or `None` if none comes free within the call's time.
    pub(crate) async fn slot<'a>(&self, slots: &'a Semaphore) -> Option<SemaphorePermit<'a>> {
        // Mostly there is one, and then no time has to be watched.
        if let Ok(slot) = slots.try_acquire() {
            return Some(slot);
        }
        let slot = tokio::time::timeout(self.left(), slots.acquire()).await.ok()?;
        Some(slot.expect("the semaphore is never closed"))
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether the call is to stop for a reason other than CPU and memory.
    pub(crate) fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// The call succeeded: keeps what it wrote.
    pub(crate) async fn commit(&self) -> Result<(), HostError> {
        let transaction = std::mem::take(&mut *lock(&self.transaction));
        self.profile.services.state.commit(&self.profile.name, transaction, self.now()).await
    }

    /// Books the host functions that were called, whatever became of the call.
    pub(crate) fn close(&self) {
        let calls = std::mem::take(&mut self.used().calls);
        self.profile.stats.host_calls(calls);
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        lock(&self.used)
    }

    /// Counts a host call under its outcome and hands the outcome on.
    fn counted<T>(&self, call: &'static str, outcome: Result<T, HostError>) -> Result<T, HostError> {
        let name = match &outcome {
            Ok(_) => "ok",
            Err(error) => error.kind.as_str(),
        };
        *self.used().calls.entry((call, name)).or_default() += 1;
        outcome
    }

    /// Waits for `work`, but not past the call's deadline.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, HostError> {
        tokio::time::timeout(self.left(), work).await.map_err(|_| {
            limit("time", format!("not done within {}", model::format_duration(self.limits.time)))
        })
    }
}

/// A poisoned lock guards plain numbers and maps here: they are as right as before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A limit of the sandbox that a host function noticed.
fn limit(name: &'static str, message: impl Into<String>) -> HostError {
    HostError::limit(name, message)
}
