//! The queue of one integration: carries out what the lineup decides.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use model::{Notification, Receipt};
use ports::{Deadline, FailureReason, Notifier, NotifyError, Random};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::endpoint::{Endpoint, SharedPace};
use crate::lineup::{Attempt, AttemptId, Lineup, Start, Step};
use crate::outbox::{IntegrationKey, OutboxEvent};
use crate::trouble::Trouble;
use crate::unsent::UnsentOfQueue;
use crate::untold::{Tells, Untold};

/// What comes in is taken so much at a time: those that run and those who decide are looked at in between.
const BATCH: usize = 128;

/// Counters of one queue.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) waiting: AtomicUsize,
    pub(crate) attempts: AtomicU64,
    pub(crate) failed_attempts: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) given_up: AtomicU64,
    /// Notifications given up, and attempts that were asked to wait, in the order of [`FailureReason::ALL`].
    pub(crate) failures: [AtomicU64; FailureReason::ALL.len()],
    /// Attempts that took no longer than each of [`LATENCY_BOUNDS`] and longer than the one before; the last, longer than all.
    pub(crate) latency: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    pub(crate) latency_millis: AtomicU64,
}

/// The bounds of the latency's buckets, in seconds: those of Alertmanager.
pub(crate) const LATENCY_BOUNDS: [u64; 5] = [1, 5, 10, 15, 20];

impl Counters {
    fn failed(&self, reason: FailureReason) {
        let at = FailureReason::ALL.iter().position(|other| *other == reason);
        self.failures[at.expect("the list has every reason")].fetch_add(1, Ordering::Relaxed);
    }

    fn took(&self, took: Duration) {
        let at = LATENCY_BOUNDS.iter().position(|bound| took <= Duration::from_secs(*bound));
        self.latency[at.unwrap_or(LATENCY_BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.latency_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

/// What comes to a queue.
pub(crate) enum Incoming {
    Notification(Arc<Notification>),
    /// What waits for this incident is not to be told, now that its turn has come.
    Withdraw(Arc<str>),
}

/// What all queues are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    #[default]
    Running,
    /// End when nothing is left.
    Draining,
    /// End.
    Stopped,
}

/// Where a queue's messages go, and at which pace.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) endpoint: Endpoint,
    pub(crate) pace: Arc<SharedPace>,
}

pub(crate) struct Queue {
    pub(crate) incoming: mpsc::Receiver<Incoming>,
    pub(crate) line: watch::Receiver<Line>,
    pub(crate) events: mpsc::Sender<OutboxEvent>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// The same for all queues, since they share paces.
    pub(crate) began: Instant,
    pub(crate) trouble: Trouble,
    pub(crate) unsent: Arc<UnsentOfQueue>,
}

/// An attempt that runs counts for its pace; one that is broken off no longer does.
struct Counted(Option<Arc<SharedPace>>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(pace) = self.0.take() {
            pace.lock().break_off();
            pace.changed.notify_waiters();
        }
    }
}

/// An attempt that came to its end.
struct Ended {
    id: AttemptId,
    counted: Counted,
    took: Duration,
    outcome: Result<Receipt, NotifyError>,
}

/// Makes one attempt. A notifier that panics has not delivered.
async fn attempt(attempt: Attempt, notifier: Arc<dyn Notifier>, limit: Duration, counted: Counted) -> Ended {
    let began = Instant::now();
    let made = async {
        let deadline = Deadline::after(limit);
        let outcome = notifier.notify(&attempt.notification, attempt.attempt, deadline);
        tokio::time::timeout(limit, outcome).await
    };
    let outcome = match AssertUnwindSafe(made).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(NotifyError::Later {
            message: format!("no answer within {}", model::format_duration(limit)),
            after: None,
            reason: FailureReason::ContextDeadlineExceeded,
            may_have_arrived: true,
        }),
        Err(_) => {
            let message = "the notifier broke down; its last log line says where".to_owned();
            Err(NotifyError::Refused { message, reason: FailureReason::Other })
        }
    };
    Ended { id: attempt.id, counted, took: began.elapsed(), outcome }
}

impl Queue {
    /// Runs until the sender is gone and the queue is empty, or until shutdown; what is still waiting then is dropped
    /// without a report: the notification log says that it was not sent, and the next start sends it.
    ///
    /// Attempts run in this task: few run at once, and none holds the thread, so that a message costs no task of its own.
    pub(crate) async fn run(mut self) {
        let mut lineup = Lineup::default();
        let mut running = FuturesUnordered::new();
        // What those who decide were not told yet. They may be waiting for us meanwhile, so nothing here waits for them.
        let mut untold = Untold::default();
        let mut open = true;
        let (mut phase, mut changed_line, events) =
            (self.phase.clone(), self.line.clone(), self.events.clone());
        let mut line = changed_line.borrow_and_update().clone();
        loop {
            // What is there already goes in one turn of this loop.
            for _ in 0..BATCH {
                match self.incoming.try_recv() {
                    Ok(incoming) => self.take(incoming, &mut lineup),
                    Err(_) => break,
                }
            }
            self.counters.waiting.store(lineup.len(), Ordering::Relaxed);
            let now_phase = *phase.borrow_and_update();
            let ends = !open || now_phase == Phase::Draining;
            if now_phase == Phase::Stopped {
                return;
            }
            if changed_line.has_changed().unwrap_or(false) {
                line = changed_line.borrow_and_update().clone();
            }
            let pace = Arc::clone(&line.pace);
            let room = pace.changed.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let next = {
                let mut pace = pace.lock();
                let now = self.began.elapsed();
                while let Some(start) = lineup.start(now, &mut pace) {
                    match start {
                        Start::Attempt(next) => {
                            self.counters.attempts.fetch_add(1, Ordering::Relaxed);
                            let counted = Counted(Some(Arc::clone(&line.pace)));
                            let limit = line.endpoint.attempt_limit(&next.notification);
                            running.push(attempt(next, Arc::clone(&line.endpoint.notifier), limit, counted));
                        }
                        Start::Turn(turn) if open => untold.ask(turn),
                        Start::Turn(_) => self.give_up_asked(&mut lineup, now, &mut untold),
                    }
                }
                lineup.next_start(&pace)
            };
            let tells = untold.tell(&events, ends);
            if ends && lineup.is_empty() && untold.is_empty() {
                return;
            }
            let until = next.map(|next| self.began + next).into_iter().chain(tells.at()).min();
            let wait = tokio::time::sleep_until(until.unwrap_or(self.began));
            tokio::select! {
                incoming = self.incoming.recv(), if open => match incoming {
                    Some(incoming) => self.take(incoming, &mut lineup),
                    None => {
                        open = false;
                        // Nobody answers any more what was asked.
                        untold.forget_turns();
                        self.give_up_asked(&mut lineup, self.began.elapsed(), &mut untold);
                    }
                },
                permit = events.reserve(), if tells == Tells::NoRoom => untold.send(permit),
                Some(Ended { id, mut counted, took, outcome }) = running.next(), if !running.is_empty() => {
                    self.counters.took(took);
                    let (now, chance) = (self.began.elapsed(), self.random.next_u64());
                    let Some(pace) = counted.0.take() else { continue };
                    let step = lineup.finish(id, outcome, now, chance, &mut pace.lock());
                    pace.changed.notify_waiters();
                    self.conclude(step, now, &mut untold);
                }
                () = wait, if until.is_some() => {}
                () = &mut room => {}
                Ok(()) = changed_line.changed() => line = changed_line.borrow_and_update().clone(),
                Ok(()) = phase.changed() => {}
            }
        }
    }

    fn take(&self, incoming: Incoming, lineup: &mut Lineup) {
        match incoming {
            Incoming::Notification(message) => lineup.push(message, self.began.elapsed()),
            Incoming::Withdraw(dedup_key) => {
                lineup.withdraw(&dedup_key);
                self.unsent.over(&dedup_key);
            }
        }
    }

    fn give_up_asked(&mut self, lineup: &mut Lineup, now: Duration, untold: &mut Untold) {
        for report in lineup.give_up_asked("its integration is gone", now) {
            self.conclude(Step::Done(report), now, untold);
        }
    }

    /// Counts what an attempt led to; those who decide hear of it when it was the last one.
    fn conclude(&mut self, step: Step, now: Duration, untold: &mut Untold) {
        let counters = &self.counters;
        match step {
            Step::Again { notification, attempt, wait, message, reason } => {
                counters.failed_attempts.fetch_add(1, Ordering::Relaxed);
                let rate_limited = reason == FailureReason::RateLimited;
                if rate_limited {
                    counters.rate_limited.fetch_add(1, Ordering::Relaxed);
                    counters.failed(reason);
                }
                let line = self.trouble.failed(&notification.dedup_key, now);
                let key = IntegrationKey::of(&notification);
                let (integration, again_in) = (key.within_receiver(), model::format_duration(wait));
                let group = &notification.group_key;
                match line {
                    Some(line) => tracing::warn!(
                        receiver = %key.receiver, %integration, %group, attempt, error = %message, %reason, %again_in,
                        failing_for = %model::format_duration(line.for_long), other_failures = line.others,
                        "Notification not delivered; trying again."
                    ),
                    None => tracing::debug!(
                        receiver = %key.receiver, %integration, %group, attempt, error = %message, %reason, %again_in,
                        "Notification not delivered; trying again."
                    ),
                }
                self.unsent.failed(notification, attempt, &message, now);
            }
            Step::Done(report) => {
                self.unsent.over(&report.notification.dedup_key);
                match &report.outcome {
                    Ok(_) => {
                        counters.delivered.fetch_add(1, Ordering::Relaxed);
                        if let Some(failed_for) = self.trouble.delivered(&report.notification.dedup_key, now)
                        {
                            let key = IntegrationKey::of(&report.notification);
                            tracing::info!(
                                receiver = %key.receiver, integration = %key.within_receiver(),
                                group = %report.notification.group_key, attempts = report.attempts,
                                failed_for = %model::format_duration(failed_for),
                                "Notification delivered after failed attempts."
                            );
                        }
                    }
                    Err(failure) => {
                        counters.failed_attempts.fetch_add(1, Ordering::Relaxed);
                        counters.given_up.fetch_add(1, Ordering::Relaxed);
                        counters.failed(failure.reason);
                    }
                }
                untold.report(report);
            }
        }
    }
}
