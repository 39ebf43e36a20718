//! The queue of one integration: starts attempts, waits between them, gives up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use model::{Notification, Receipt};
use ports::{Deadline, Notifier, NotifyError, Random};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backoff::pause;

/// How many attempts of one integration may run at once.
const CONCURRENT: usize = 4;
/// An attempt that takes longer is cut off and counts as no answer.
const ATTEMPT: Duration = Duration::from_secs(15);
/// A server that asks for more time than this is asked again after it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// What became of a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which one.
    pub notification: Arc<Notification>,
    /// Delivered, or why not.
    pub outcome: Result<Receipt, Failure>,
    /// How often it was tried.
    pub attempts: u32,
    /// From the first attempt to the outcome.
    pub took: Duration,
}

/// Why a notification was given up. The next flush of its group tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the last attempt said.
    pub message: String,
    /// Whether the other side refused, so that trying the same again is pointless.
    pub refused: bool,
}

/// Counters of one queue.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) waiting: AtomicUsize,
    pub(crate) attempts: AtomicU64,
    pub(crate) failed_attempts: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) latency_millis: AtomicU64,
}

struct Item {
    notification: Arc<Notification>,
    attempts: u32,
    failures: u32,
    first_attempt: Option<Instant>,
    /// Time that the other side asked us to wait: it does not count against `give_up_after`.
    excused: Duration,
    ready: Instant,
}

pub(crate) struct Queue {
    pub(crate) incoming: mpsc::Receiver<Notification>,
    pub(crate) notifier: watch::Receiver<Arc<dyn Notifier>>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl Queue {
    /// Runs until the sender is gone and the queue is empty, or until shutdown; what is still waiting then is dropped
    /// without a report: the notification log says that it was not sent, and the next start sends it.
    pub(crate) async fn run(mut self) {
        let mut waiting: VecDeque<Item> = VecDeque::new();
        let mut running: JoinSet<(Item, Result<Receipt, NotifyError>)> = JoinSet::new();
        let mut not_before = Instant::now();
        let mut gentle = false;
        let mut open = true;
        let mut shutdown = self.shutdown.clone();
        loop {
            self.counters.waiting.store(waiting.len() + running.len(), Ordering::Relaxed);
            if !open && waiting.is_empty() && running.is_empty() {
                return;
            }
            let now = Instant::now();
            // After a 429 one at a time, until one goes through.
            let limit = if gentle { 1 } else { CONCURRENT };
            while running.len() < limit && now >= not_before {
                let Some(position) = waiting.iter().position(|item| item.ready <= now) else { break };
                let Some(item) = waiting.remove(position) else { break };
                self.start(item, &mut running);
            }
            let next = waiting.iter().map(|item| item.ready.max(not_before)).min();
            let idle = running.len() >= limit || next.is_none();
            tokio::select! {
                incoming = self.incoming.recv(), if open => match incoming {
                    Some(notification) => enqueue(&mut waiting, notification),
                    None => open = false,
                },
                Some(done) = running.join_next(), if !running.is_empty() => {
                    let Ok((item, outcome)) = done else { continue };
                    if let Some(wait) = self.conclude(item, outcome, &mut waiting, &mut gentle).await {
                        not_before = not_before.max(Instant::now() + wait);
                    }
                }
                () = tokio::time::sleep_until(next.unwrap_or(now)), if !idle => {}
                () = async { shutdown.wait_for(|stop| *stop).await.map(drop).unwrap_or_default() } => return,
            }
        }
    }

    fn start(&self, mut item: Item, running: &mut JoinSet<(Item, Result<Receipt, NotifyError>)>) {
        item.attempts += 1;
        item.first_attempt.get_or_insert_with(Instant::now);
        self.counters.attempts.fetch_add(1, Ordering::Relaxed);
        let notifier = self.notifier.borrow().clone();
        running.spawn(async move {
            let attempt = notifier.notify(&item.notification, item.attempts, Deadline::after(ATTEMPT));
            let outcome = match tokio::time::timeout(ATTEMPT, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => Err(NotifyError::Later {
                    message: format!("no answer within {}", model::format_duration(ATTEMPT)),
                    after: None,
                    rate_limited: false,
                }),
            };
            (item, outcome)
        });
    }

    /// Reports an item or puts it back. Returns how long the whole queue has to wait, if the other side asked for it.
    async fn conclude(
        &self,
        mut item: Item,
        outcome: Result<Receipt, NotifyError>,
        waiting: &mut VecDeque<Item>,
        gentle: &mut bool,
    ) -> Option<Duration> {
        let (message, after, rate_limited) = match outcome {
            Ok(receipt) => {
                *gentle = false;
                self.counters.delivered.fetch_add(1, Ordering::Relaxed);
                self.report(item, Ok(receipt)).await;
                return None;
            }
            Err(NotifyError::Refused { message }) => {
                self.counters.failed_attempts.fetch_add(1, Ordering::Relaxed);
                self.counters.given_up.fetch_add(1, Ordering::Relaxed);
                self.report(item, Err(Failure { message, refused: true })).await;
                return None;
            }
            Err(NotifyError::Later { message, after, rate_limited }) => (message, after, rate_limited),
        };
        self.counters.failed_attempts.fetch_add(1, Ordering::Relaxed);
        if rate_limited {
            self.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
            *gentle = true;
            let wait = after.unwrap_or_else(|| pause(1, self.random.next_u64())).min(RETRY_AFTER_MAX);
            tracing::debug!(receiver = %item.notification.receiver, ?wait, "The receiver asked to wait.");
            item.excused += wait;
            item.ready = Instant::now() + wait;
            waiting.push_front(item);
            return Some(wait);
        }
        item.failures += 1;
        let wait =
            pause(item.failures, self.random.next_u64()).max(after.unwrap_or_default()).min(RETRY_AFTER_MAX);
        let spent = item.first_attempt.map(|first| first.elapsed()).unwrap_or_default();
        if (spent + wait).saturating_sub(item.excused) > item.notification.give_up_after {
            self.counters.given_up.fetch_add(1, Ordering::Relaxed);
            let message = format!("{message} ({} attempts)", item.attempts);
            self.report(item, Err(Failure { message, refused: false })).await;
            return None;
        }
        tracing::debug!(receiver = %item.notification.receiver, %message, ?wait, "Delivery failed; trying again.");
        item.ready = Instant::now() + wait;
        waiting.push_back(item);
        None
    }

    async fn report(&self, item: Item, outcome: Result<Receipt, Failure>) {
        let took = item.first_attempt.map(|first| first.elapsed()).unwrap_or_default();
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.counters.latency_millis.fetch_add(millis, Ordering::Relaxed);
        let report = Report { notification: item.notification, outcome, attempts: item.attempts, took };
        // Nobody listens any more only at shutdown; the log then says that the outcome is unknown.
        let _ = self.reports.send(report).await;
    }
}

/// Adds a notification; one that still waits for the same group is replaced, since the newer one says more.
fn enqueue(waiting: &mut VecDeque<Item>, notification: Notification) {
    let notification = Arc::new(notification);
    match waiting.iter_mut().find(|item| item.notification.dedup_key == notification.dedup_key) {
        Some(item) => item.notification = notification,
        None => waiting.push_back(Item {
            notification,
            attempts: 0,
            failures: 0,
            first_attempt: None,
            excused: Duration::ZERO,
            ready: Instant::now(),
        }),
    }
}
