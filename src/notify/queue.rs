//! The queue of one integration: carries out what the lineup decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use model::{Notification, Receipt};
use ports::{Deadline, Notifier, NotifyError, Random};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::lineup::{AttemptId, Lineup, Report, Start, Step};

/// An attempt that takes longer is cut off and counts as no answer.
const ATTEMPT: Duration = Duration::from_secs(15);

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

pub(crate) struct Queue {
    pub(crate) incoming: mpsc::Receiver<Notification>,
    pub(crate) notifier: watch::Receiver<Arc<dyn Notifier>>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Attempts that run, each with the lineup's name for it.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Result<Receipt, NotifyError>>,
    ids: HashMap<tokio::task::Id, AttemptId>,
}

impl Running {
    /// The next one that ends. A notifier that panics has not delivered.
    async fn next(&mut self) -> Option<(AttemptId, Result<Receipt, NotifyError>)> {
        let (task, outcome) = match self.tasks.join_next_with_id().await? {
            Ok((task, outcome)) => (task, outcome),
            Err(error) => {
                let message = "the notifier broke down; its last log line says where".to_owned();
                (error.id(), Err(NotifyError::Refused { message }))
            }
        };
        Some((self.ids.remove(&task)?, outcome))
    }
}

impl Queue {
    /// Runs until the sender is gone and the queue is empty, or until shutdown; what is still waiting then is dropped
    /// without a report: the notification log says that it was not sent, and the next start sends it.
    pub(crate) async fn run(mut self) {
        let mut lineup = Lineup::default();
        let mut running = Running::default();
        let mut open = true;
        let mut shutdown = self.shutdown.clone();
        let began = Instant::now();
        loop {
            self.counters.waiting.store(lineup.len(), Ordering::Relaxed);
            if !open && lineup.is_empty() {
                return;
            }
            while let Some(start) = lineup.start(began.elapsed()) {
                self.start(start, &mut running);
            }
            let next = lineup.next_start();
            tokio::select! {
                incoming = self.incoming.recv(), if open => match incoming {
                    Some(notification) => lineup.push(Arc::new(notification)),
                    None => open = false,
                },
                Some((id, outcome)) = running.next(), if !running.tasks.is_empty() => {
                    let step = lineup.finish(id, outcome, began.elapsed(), self.random.next_u64());
                    self.conclude(step).await;
                }
                () = tokio::time::sleep_until(began + next.unwrap_or_default()), if next.is_some() => {}
                () = async { shutdown.wait_for(|stop| *stop).await.map(drop).unwrap_or_default() } => return,
            }
        }
    }

    fn start(&self, start: Start, running: &mut Running) {
        self.counters.attempts.fetch_add(1, Ordering::Relaxed);
        let notifier = self.notifier.borrow().clone();
        let id = start.id;
        let task = running.tasks.spawn(async move {
            let attempt = notifier.notify(&start.notification, start.attempt, Deadline::after(ATTEMPT));
            match tokio::time::timeout(ATTEMPT, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => Err(NotifyError::Later {
                    message: format!("no answer within {}", model::format_duration(ATTEMPT)),
                    after: None,
                    rate_limited: false,
                }),
            }
        });
        running.ids.insert(task.id(), id);
    }

    async fn conclude(&self, step: Step) {
        let counters = &self.counters;
        match step {
            Step::Again { wait, message, rate_limited } => {
                counters.failed_attempts.fetch_add(1, Ordering::Relaxed);
                counters.rate_limited.fetch_add(u64::from(rate_limited), Ordering::Relaxed);
                tracing::debug!(%message, ?wait, rate_limited, "Not delivered; trying again.");
            }
            Step::Done(report) => {
                if report.outcome.is_ok() {
                    counters.delivered.fetch_add(1, Ordering::Relaxed);
                } else {
                    counters.failed_attempts.fetch_add(1, Ordering::Relaxed);
                    counters.given_up.fetch_add(1, Ordering::Relaxed);
                }
                let millis = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
                counters.latency_millis.fetch_add(millis, Ordering::Relaxed);
                // Nobody listens any more only at shutdown; the log then says that the outcome is unknown.
                let _ = self.reports.send(report).await;
            }
        }
    }
}
