//! All queues: one for each integration of each receiver.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Notification, Receipt};
use ports::{BoxFuture, Deadline, FailureReason, Notifier, NotifyError, Random};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::endpoint::{Endpoint, SharedPace};
use crate::lineup::{Report, Turn};
use crate::queue::{Counters, Incoming, LATENCY_BOUNDS, Line, Phase, Queue};
use crate::trouble::Trouble;
use crate::unsent::{Unsent, UnsentOfQueue};

/// Notifications that may wait for one integration. A full queue makes the alerting task wait, and with it nobody
/// else: at most one notification of a group is under way.
const QUEUE_CAPACITY: usize = 10_000;

/// What a queue has to say to those who decide.
#[derive(Clone, Debug)]
pub enum OutboxEvent {
    /// Notifications came to their end, in this order. Never none.
    Done(Vec<Report>),
    /// The turn of a notification has come that waited. It goes out when it is delivered anew, or a newer one in its
    /// place ([`Outbox::deliver`]), and leaves with [`Outbox::withdraw`].
    Turn(Turn),
}

/// One integration of one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntegrationKey {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// `discord`, `webhook`, …
    pub kind: Arc<str>,
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

impl IntegrationKey {
    /// Which one of its receiver's: `discord[0]`.
    pub fn within_receiver(&self) -> String {
        format!("{}[{}]", self.kind, self.index)
    }
}

impl fmt::Display for IntegrationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.receiver, self.within_receiver())
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
    /// By whose fault it was: notifications given up, and attempts that were asked to wait.
    pub failures: BTreeMap<FailureReason, u64>,
    /// How long attempts took.
    pub latency: Latency,
}

/// How long attempts took: a histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Upper bounds in seconds, ascending, each with the number of attempts that took no longer.
    pub buckets: Vec<(u64, u64)>,
    /// All attempts.
    pub count: u64,
    /// The time that they took together.
    pub sum: Duration,
}

impl Latency {
    fn of(counters: &Counters) -> Self {
        let mut count = 0;
        let counts = counters.latency.iter().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        let buckets = LATENCY_BOUNDS.into_iter().zip(counts.collect::<Vec<_>>()).collect();
        let sum = Duration::from_millis(counters.latency_millis.load(Ordering::Relaxed));
        Latency { buckets, count, sum }
    }
}

struct Running {
    incoming: mpsc::Sender<Incoming>,
    line: watch::Sender<Line>,
    counters: Arc<Counters>,
    unsent: Arc<UnsentOfQueue>,
    /// Until it is waited for.
    task: Option<JoinHandle<()>>,
}

/// The queues of all integrations. Owned by the alerting task's shell; [`Outbox::shutdown`] ends it.
pub struct Outbox {
    queues: Mutex<HashMap<IntegrationKey, Running>>,
    /// By address; integrations that tell the same one share its pace.
    paces: Mutex<BTreeMap<String, Arc<SharedPace>>>,
    retired: Mutex<Vec<JoinHandle<()>>>,
    events: mpsc::Sender<OutboxEvent>,
    random: Arc<dyn Random>,
    phase: watch::Sender<Phase>,
    began: Instant,
    /// Where queues run, if not where they are made.
    runtime: Option<Handle>,
}

impl Outbox {
    /// Without queues; outcomes and questions go to `events`.
    pub fn new(events: mpsc::Sender<OutboxEvent>, random: Arc<dyn Random>) -> Self {
        let (phase, _) = watch::channel(Phase::Running);
        Outbox {
            queues: Mutex::default(),
            paces: Mutex::default(),
            retired: Mutex::default(),
            events,
            random,
            phase,
            began: Instant::now(),
            runtime: None,
        }
    }

    /// With queues, and so all attempts, on `runtime`; else they are where [`Outbox::set_endpoints`] is called.
    #[must_use]
    pub fn on(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The integrations from now on. One that stays keeps its queue and only changes where it leads; one that is gone
    /// still delivers what it has, unless it has to ask whether that still holds.
    pub fn set_endpoints(&self, endpoints: HashMap<IntegrationKey, Endpoint>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<IntegrationKey> =
            queues.keys().filter(|key| !endpoints.contains_key(key)).cloned().collect();
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|task| !task.is_finished());
        for key in gone {
            if let Some(running) = queues.remove(&key) {
                retired.extend(running.task);
            }
        }
        for (key, endpoint) in endpoints {
            match queues.get(&key) {
                Some(running) => {
                    let own = Arc::clone(&running.line.borrow().pace);
                    running.line.send_replace(self.line(endpoint, Some(own)));
                }
                None => {
                    queues.insert(key, self.spawn_queue(self.line(endpoint, None)));
                }
            }
        }
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.retain(|_, pace| Arc::strong_count(pace) > 1);
    }

    /// An endpoint with the pace of its address; without one, `own` goes on.
    fn line(&self, endpoint: Endpoint, own: Option<Arc<SharedPace>>) -> Line {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = match &endpoint.address {
            Some(address) => Arc::clone(paces.entry(address.clone()).or_default()),
            None => {
                own.filter(|own| !paces.values().any(|shared| Arc::ptr_eq(shared, own))).unwrap_or_default()
            }
        };
        pace.lock().set_rate(endpoint.rate);
        Line { endpoint, pace }
    }

    fn spawn_queue(&self, line: Line) -> Running {
        let (incoming_tx, incoming) = mpsc::channel(QUEUE_CAPACITY);
        let (line_tx, line) = watch::channel(line);
        let (counters, unsent) = (Arc::new(Counters::default()), Arc::new(UnsentOfQueue::default()));
        let queue = Queue {
            incoming,
            line,
            events: self.events.clone(),
            random: Arc::clone(&self.random),
            counters: Arc::clone(&counters),
            phase: self.phase.subscribe(),
            began: self.began,
            trouble: Trouble::default(),
            unsent: Arc::clone(&unsent),
        };
        let task = Some(match &self.runtime {
            Some(runtime) => runtime.spawn(queue.run()),
            None => tokio::spawn(queue.run()),
        });
        Running { incoming: incoming_tx, line: line_tx, counters, unsent, task }
    }

    /// Queues a notification. One for an integration that does not exist is reported as refused at once.
    pub async fn deliver(&self, notification: impl Into<Arc<Notification>>) {
        let notification = notification.into();
        let key = IntegrationKey::of(&notification);
        let incoming = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            // At the end no queue begins: the log says that this is to be sent, and the next start sends it.
            if !queues.contains_key(&key) && *self.phase.borrow() != Phase::Running {
                return;
            }
            let running = queues
                .entry(key)
                .or_insert_with(|| self.spawn_queue(self.line(Endpoint::new(Arc::new(Missing)), None)));
            running.incoming.clone()
        };
        // A queue that ended at shutdown takes nothing more.
        let _ = incoming.send(Incoming::Notification(notification)).await;
    }

    /// Answers a [`Turn`]: there is nothing to tell about this incident now.
    pub async fn withdraw(&self, key: &IntegrationKey, dedup_key: Arc<str>) {
        let incoming = {
            let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            queues.get(key).map(|running| running.incoming.clone())
        };
        if let Some(incoming) = incoming {
            let _ = incoming.send(Incoming::Withdraw(dedup_key)).await;
        }
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
                    failures: FailureReason::ALL
                        .into_iter()
                        .zip(counters.failures.iter().map(|count| count.load(Ordering::Relaxed)))
                        .collect(),
                    latency: Latency::of(counters),
                }
            })
            .collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Messages that did not get through yet and are tried again, those first that have failed for longest.
    pub fn unsent(&self) -> Vec<Unsent> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.began.elapsed();
        let mut all: Vec<Unsent> = queues.values().flat_map(|running| running.unsent.list(now)).collect();
        all.sort_by(|a, b| {
            let key =
                |unsent: &Unsent| (IntegrationKey::of(&unsent.notification), unsent.notification.id.clone());
            b.failing_for.cmp(&a.failing_for).then_with(|| key(a).cmp(&key(b)))
        });
        all
    }

    /// Ends all queues: each as soon as it has nothing left, all after `grace`. What is left then is sent by the next
    /// start. Until then it is to be asked as ever whether what waited still holds.
    pub async fn shutdown(&self, grace: Duration) {
        self.phase.send_replace(Phase::Draining);
        let tasks: Vec<JoinHandle<()>> = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            queues.values_mut().filter_map(|running| running.task.take()).chain(retired.drain(..)).collect()
        };
        let all = async {
            for task in tasks {
                // A queue that panicked has nothing to wait for.
                let _ = task.await;
            }
        };
        tokio::pin!(all);
        if tokio::time::timeout(grace, &mut all).await.is_err() {
            self.phase.send_replace(Phase::Stopped);
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
        Box::pin(async move { Err(NotifyError::Refused { message, reason: FailureReason::Other }) })
    }
}

#[cfg(test)]
mod tests;
