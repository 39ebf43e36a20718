//! All queues: one for each integration of each receiver.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Notification, Receipt};
use ports::{BoxFuture, Deadline, Notifier, NotifyError, Random};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::lineup::Report;
use crate::queue::{Counters, Queue};

/// Notifications that may wait for one integration. A full queue makes the alerting task wait, and with it nobody
/// else: at most one notification of a group is under way.
const QUEUE_CAPACITY: usize = 10_000;

/// One integration of one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntegrationKey {
    /// The receiver's name.
    pub receiver: String,
    /// `discord`, `webhook`, …
    pub kind: String,
    /// Position among the receiver's integrations of that kind.
    pub index: usize,
}

impl IntegrationKey {
    /// The integration that a notification is for.
    pub fn of(notification: &Notification) -> Self {
        IntegrationKey {
            receiver: notification.receiver.clone(),
            kind: notification.integration.clone(),
            index: notification.index,
        }
    }
}

impl fmt::Display for IntegrationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}[{}]", self.receiver, self.kind, self.index)
    }
}

/// How one queue is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Whose.
    pub key: IntegrationKey,
    /// Notifications waiting or under way.
    pub waiting: usize,
    /// Attempts so far.
    pub attempts: u64,
    /// Attempts that did not deliver.
    pub failed_attempts: u64,
    /// Attempts that the other side answered with "too many".
    pub rate_limited: u64,
    /// Notifications delivered.
    pub delivered: u64,
    /// Notifications given up.
    pub given_up: u64,
    /// Sum of the time from first attempt to outcome.
    pub latency: Duration,
}

struct Running {
    incoming: mpsc::Sender<Notification>,
    notifier: watch::Sender<Arc<dyn Notifier>>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

/// The queues of all integrations. Owned by the alerting task's shell; [`Outbox::shutdown`] ends it.
pub struct Outbox {
    queues: Mutex<HashMap<IntegrationKey, Running>>,
    retired: Mutex<Vec<JoinHandle<()>>>,
    reports: mpsc::Sender<Report>,
    random: Arc<dyn Random>,
    stop: watch::Sender<bool>,
}

impl Outbox {
    /// Without queues; outcomes go to `reports`.
    pub fn new(reports: mpsc::Sender<Report>, random: Arc<dyn Random>) -> Self {
        let (stop, _) = watch::channel(false);
        Outbox { queues: Mutex::default(), retired: Mutex::default(), reports, random, stop }
    }

    /// The integrations from now on. One that stays keeps its queue and only changes its notifier; one that is gone
    /// still delivers what it has.
    pub fn set_notifiers(&self, notifiers: HashMap<IntegrationKey, Arc<dyn Notifier>>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<IntegrationKey> =
            queues.keys().filter(|key| !notifiers.contains_key(key)).cloned().collect();
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|task| !task.is_finished());
        for key in gone {
            if let Some(running) = queues.remove(&key) {
                retired.push(running.task);
            }
        }
        for (key, notifier) in notifiers {
            match queues.get(&key) {
                Some(running) => {
                    running.notifier.send_replace(notifier);
                }
                None => {
                    queues.insert(key, self.spawn_queue(notifier));
                }
            }
        }
    }

    fn spawn_queue(&self, notifier: Arc<dyn Notifier>) -> Running {
        let (incoming_tx, incoming) = mpsc::channel(QUEUE_CAPACITY);
        let (notifier_tx, notifier) = watch::channel(notifier);
        let counters = Arc::new(Counters::default());
        let queue = Queue {
            incoming,
            notifier,
            reports: self.reports.clone(),
            random: Arc::clone(&self.random),
            counters: Arc::clone(&counters),
            shutdown: self.stop.subscribe(),
        };
        Running { incoming: incoming_tx, notifier: notifier_tx, counters, task: tokio::spawn(queue.run()) }
    }

    /// Queues a notification. One for an integration that does not exist is reported as refused at once.
    pub async fn deliver(&self, notification: Notification) {
        let key = IntegrationKey::of(&notification);
        let incoming = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let running = queues.entry(key).or_insert_with(|| self.spawn_queue(Arc::new(Missing)));
            running.incoming.clone()
        };
        // The receiving side lives as long as the sender that stands in the map.
        let _ = incoming.send(notification).await;
    }

    /// How the queues are doing, sorted.
    pub fn status(&self) -> Vec<QueueStatus> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<QueueStatus> = queues
            .iter()
            .map(|(key, running)| {
                let counters = &running.counters;
                QueueStatus {
                    key: key.clone(),
                    waiting: counters.waiting.load(Ordering::Relaxed),
                    attempts: counters.attempts.load(Ordering::Relaxed),
                    failed_attempts: counters.failed_attempts.load(Ordering::Relaxed),
                    rate_limited: counters.rate_limited.load(Ordering::Relaxed),
                    delivered: counters.delivered.load(Ordering::Relaxed),
                    given_up: counters.given_up.load(Ordering::Relaxed),
                    latency: Duration::from_millis(counters.latency_millis.load(Ordering::Relaxed)),
                }
            })
            .collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Ends all queues: those with nothing under way at once, the others after at most `grace`. What is left then is
    /// sent by the next start.
    pub async fn shutdown(&self, grace: Duration) {
        let tasks: Vec<JoinHandle<()>> = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            queues.drain().map(|(_, running)| running.task).chain(retired.drain(..)).collect()
        };
        let all = async {
            for task in tasks {
                // A queue that panicked has nothing to wait for.
                let _ = task.await;
            }
        };
        tokio::pin!(all);
        if tokio::time::timeout(grace, &mut all).await.is_err() {
            self.stop.send_replace(true);
            all.await;
        }
    }
}

/// Stands in for an integration that no configuration names any more.
struct Missing;

impl Notifier for Missing {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        _attempt: u32,
        _deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        let message = format!("receiver `{}` has no such integration any more", notification.receiver);
        Box::pin(async move { Err(NotifyError::Refused { message }) })
    }
}

#[cfg(test)]
mod tests;
