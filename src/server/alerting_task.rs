//! The owner of the alerting state machine: one task, fed by a channel.
//!
//! In: alerts of rules and senders, silences, outcomes of deliveries, configurations. Out: changes to be made durable,
//! notifications to the outbox, answers to those who wait. The machine decides; this task only carries.

use std::sync::Arc;
use std::time::Duration;

use alerting::{
    AlertDraft, Alerting, AlertingConfig, AlertingView, AlertsAnswer, Answer, Census, CommitFailure,
    CommitId, Decision, DecisionRecord, Destination, Effect, Event, ReplyTo, SilenceDraft, SilenceError,
    SilenceId, Stats, Turn,
};
use foldhash::HashMap;
use model::{Alert, Timestamp};
use notify::{IntegrationKey, Outbox, OutboxEvent, Report};
use ports::{Clock, Coord, CoordError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deliveries::Deliveries;

/// Wake-ups that may wait. When it is full, rule groups and senders wait, and nothing is lost.
const WAKES: usize = 1024;
/// Commits that may wait for the disk; they are written together.
const COMMITS: usize = 1024;
/// The time from one commit to the next while there is something to commit: each is a sync of the disk and a wake-up of
/// this task, for one change or for hundreds. After a pause the first does not wait.
const BETWEEN_COMMITS: Duration = Duration::from_millis(2);
/// Without a wake-up the machine is asked at least this often, so that a clock that was set counts soon.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// How long a view is kept that nobody asks for again.
const VIEW_KEPT: Duration = Duration::from_secs(60);

/// Everything that can wake the alerting task. A new variant is a new cause.
pub(crate) enum Wake {
    Evaluated(Vec<Alert>),
    PostAlerts(Vec<AlertDraft>, oneshot::Sender<AlertsAnswer>),
    PutSilence(SilenceDraft, oneshot::Sender<Result<SilenceId, SilenceError>>),
    ExpireSilence(SilenceId, oneshot::Sender<Result<(), SilenceError>>),
    View(oneshot::Sender<Arc<AlertingView>>),
    Numbers(oneshot::Sender<Numbers>),
    Reload(Arc<AlertingConfig>),
    Stop,
}

/// What metrics show of the state machine.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    /// What there is.
    pub(crate) census: Census,
    /// What happened.
    pub(crate) stats: Stats,
    /// Alerts that were taken in, and how long that took.
    pub(crate) taken_in: (u64, Duration),
}

/// Speaks to the task.
#[derive(Clone)]
pub(crate) struct AlertingHandle {
    wakes: mpsc::Sender<Wake>,
}

/// What is said to somebody who asks a server that is stopping.
const STOPPING: &str = "the server is stopping";

impl AlertingHandle {
    pub(crate) async fn send(&self, wake: Wake) {
        // The task ends last; what comes after it has nobody to tell.
        let _ = self.wakes.send(wake).await;
    }

    async fn ask<T>(&self, wake: impl FnOnce(oneshot::Sender<T>) -> Wake) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.wakes.send(wake(reply)).await.ok()?;
        answer.await.ok()
    }

    pub(crate) async fn post_alerts(&self, alerts: Vec<AlertDraft>) -> Result<AlertsAnswer, String> {
        self.ask(|reply| Wake::PostAlerts(alerts, reply)).await.ok_or_else(|| STOPPING.to_owned())
    }

    pub(crate) async fn put_silence(&self, draft: SilenceDraft) -> Result<SilenceId, SilenceError> {
        self.ask(|reply| Wake::PutSilence(draft, reply))
            .await
            .unwrap_or_else(|| Err(SilenceError::NotStored(STOPPING.to_owned())))
    }

    pub(crate) async fn expire_silence(&self, id: SilenceId) -> Result<(), SilenceError> {
        self.ask(|reply| Wake::ExpireSilence(id, reply))
            .await
            .unwrap_or_else(|| Err(SilenceError::NotStored(STOPPING.to_owned())))
    }

    pub(crate) async fn view(&self) -> Option<Arc<AlertingView>> {
        self.ask(Wake::View).await
    }

    /// What there is, and what was counted.
    pub(crate) async fn numbers(&self) -> Option<Numbers> {
        self.ask(Wake::Numbers).await
    }
}

enum Waiting {
    Alerts(oneshot::Sender<AlertsAnswer>),
    Silence(oneshot::Sender<Result<SilenceId, SilenceError>>),
    Expired(oneshot::Sender<Result<(), SilenceError>>),
}

pub(crate) struct AlertingTask {
    core: Alerting,
    clock: Arc<dyn Clock>,
    outbox: Arc<Outbox>,
    deliveries: Arc<Deliveries>,
    commits: mpsc::Sender<(CommitId, Vec<ports::Change>)>,
    waiting: HashMap<ReplyTo, Waiting>,
    next_reply: u64,
    view: Option<Seen>,
    /// Kept while it holds: a scrape asks for it again and again.
    census: Option<Census>,
    taken_in: (u64, Duration),
}

/// The last view, and when it was asked for.
struct Seen {
    view: Arc<AlertingView>,
    asked: Timestamp,
}

/// Starts the task, which does nothing until it is woken once: with the configuration, when there are notifiers. `core`
/// was restored already; `first` is what the restoring asked for.
pub(crate) fn spawn_alerting(
    core: Alerting,
    first: Vec<Effect>,
    clock: Arc<dyn Clock>,
    coord: Arc<dyn Coord>,
    outbox: Arc<Outbox>,
    events: mpsc::Receiver<OutboxEvent>,
    deliveries: Arc<Deliveries>,
) -> (AlertingHandle, JoinHandle<()>) {
    let (wakes_tx, wakes) = mpsc::channel(WAKES);
    let (commits_tx, commits) = mpsc::channel(COMMITS);
    // No larger than what `commits` lets through; were it bounded, it and `commits` could wait for each other.
    let (answers_tx, answers) = mpsc::unbounded_channel();
    let committer = tokio::spawn(commit_all(coord, commits, answers_tx));
    let task = AlertingTask {
        core,
        clock,
        outbox,
        deliveries,
        commits: commits_tx,
        waiting: HashMap::default(),
        next_reply: 0,
        view: None,
        census: None,
        taken_in: (0, Duration::ZERO),
    };
    let handle = AlertingHandle { wakes: wakes_tx };
    let join = tokio::spawn(async move {
        task.run(first, wakes, events, answers).await;
        // Its channel is closed now: what waits is written, then it ends.
        let _ = committer.await;
    });
    (handle, join)
}

/// What became of a commit.
type Committed = (CommitId, Result<(), CoordError>);

/// Writes commits in their order; those that wait together go to the disk together.
async fn commit_all(
    coord: Arc<dyn Coord>,
    mut commits: mpsc::Receiver<(CommitId, Vec<ports::Change>)>,
    answers: mpsc::UnboundedSender<Committed>,
) {
    let mut next = Instant::now();
    while let Some((id, mut changes)) = commits.recv().await {
        tokio::time::sleep_until(next).await;
        let mut ids = vec![id];
        while let Ok((id, more)) = commits.try_recv() {
            ids.push(id);
            changes.extend(more);
        }
        // The keys of one commit differ; of several with one key the last one is what is to be.
        if ids.len() > 1 {
            keep_last(&mut changes);
        }
        next = Instant::now() + BETWEEN_COMMITS;
        let outcome = coord.commit(&[], changes).await.map(drop);
        for id in ids {
            // Who asked may have ended; what waits is written all the same.
            let _ = answers.send((id, outcome.clone()));
        }
    }
}

/// Keeps of changes with the same key the last one, in the order in which they came.
fn keep_last(changes: &mut Vec<ports::Change>) {
    let mut last: HashMap<&[u8], usize> =
        HashMap::with_capacity_and_hasher(changes.len(), Default::default());
    for (index, change) in changes.iter().enumerate() {
        last.insert(&change.key, index);
    }
    if last.len() == changes.len() {
        return;
    }
    let mut keep = vec![false; changes.len()];
    last.into_values().for_each(|index| keep[index] = true);
    let mut keep = keep.into_iter();
    changes.retain(|_| keep.next().unwrap_or(true));
}

impl AlertingTask {
    async fn run(
        mut self,
        first: Vec<Effect>,
        mut wakes: mpsc::Receiver<Wake>,
        mut events: mpsc::Receiver<OutboxEvent>,
        mut answers: mpsc::UnboundedReceiver<Committed>,
    ) {
        // Whom to tell with is known with the first configuration, and that is what the first wake brings.
        match wakes.recv().await {
            None | Some(Wake::Stop) => return,
            Some(wake) => {
                self.carry_out(first).await;
                self.wake(wake).await;
            }
        }
        loop {
            let now = self.clock.now();
            let sleep = self.core.next_wakeup().map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
            tokio::select! {
                wake = wakes.recv() => match wake {
                    None | Some(Wake::Stop) => return,
                    Some(wake) => self.wake(wake).await,
                },
                Some((id, outcome)) = answers.recv() => self.committed(id, outcome).await,
                Some(event) = events.recv() => match event {
                    OutboxEvent::Done(reports) => self.delivered(reports).await,
                    OutboxEvent::Turn(turn) => self.turn(turn).await,
                },
                () = tokio::time::sleep(sleep) => {
                    self.forget_view();
                    self.step(Event::Tick).await;
                }
            }
        }
    }

    async fn wake(&mut self, wake: Wake) {
        let event = match wake {
            Wake::Evaluated(alerts) => Event::Evaluated(alerts),
            Wake::PostAlerts(alerts, reply) => {
                Event::PostAlerts { alerts, reply: self.wait(Waiting::Alerts(reply)) }
            }
            Wake::PutSilence(draft, reply) => Event::PutSilence {
                draft,
                fresh_id: SilenceId::new(&uuid::Uuid::new_v4().to_string()),
                reply: self.wait(Waiting::Silence(reply)),
            },
            Wake::ExpireSilence(id, reply) => {
                Event::ExpireSilence { id, reply: self.wait(Waiting::Expired(reply)) }
            }
            Wake::Reload(config) => Event::Reload(config),
            Wake::View(reply) => {
                // Who asked may have gone away.
                let _ = reply.send(self.look());
                return;
            }
            Wake::Numbers(reply) => {
                let (census, stats) = (self.count(), self.core.stats().clone());
                let _ = reply.send(Numbers { census, stats, taken_in: self.taken_in });
                return;
            }
            Wake::Stop => return,
        };
        self.step(event).await;
    }

    async fn committed(&mut self, commit: CommitId, outcome: Result<(), CoordError>) {
        let Err(error) = outcome else { return self.step(Event::Committed(commit)).await };
        tracing::error!(%error, "Alert state was not written.");
        let failure = match error {
            CoordError::Failed(_) => CommitFailure::Failed,
            CoordError::Unknown(_) => CommitFailure::Unknown,
            CoordError::Conflict => CommitFailure::Conflict,
        };
        self.step(Event::CommitFailed { commit, failure, message: error.to_string() }).await;
    }

    fn wait(&mut self, waiting: Waiting) -> ReplyTo {
        self.next_reply += 1;
        let reply = ReplyTo(self.next_reply);
        self.waiting.insert(reply, waiting);
        reply
    }

    /// The view as of now; the same one again while it holds.
    fn look(&mut self) -> Arc<AlertingView> {
        let now = self.clock.now();
        if let Some(Seen { view, asked }) = &mut self.view
            && view.version == self.core.version()
            && (view.at..view.holds_until).contains(&now)
        {
            *asked = now;
            return Arc::clone(view);
        }
        // The old one makes room first.
        self.view = None;
        let view = Arc::new(self.core.view(now));
        self.view = Some(Seen { view: Arc::clone(&view), asked: now });
        view
    }

    /// How many there are as of now; counted again only when that may have changed.
    fn count(&mut self) -> Census {
        let now = self.clock.now();
        let version = self.core.version();
        let holds =
            |known: &&Census| known.version == version && (known.at..known.holds_until).contains(&now);
        let census = self.census.as_ref().filter(holds).copied();
        *self.census.insert(census.unwrap_or_else(|| self.core.census(now)))
    }

    /// A view that nobody asks for any more is not kept: it is as large as the alerts are many.
    fn forget_view(&mut self) {
        let now = self.clock.now();
        self.view.take_if(|seen| now.since(seen.asked) >= VIEW_KEPT || now < seen.asked);
    }

    async fn delivered(&mut self, reports: Vec<Report>) {
        let now = self.clock.now();
        for report in &reports {
            self.deliveries.note(now, report);
            log_outcome(report);
        }
        let events = reports.into_iter().map(|report| Event::Delivered {
            notification: report.notification.id.clone(),
            outcome: report.outcome.map_err(|failure| failure.message),
        });
        let effects = self.core.step_all(now, events);
        self.follow(effects).await;
    }

    /// The turn of a notification has come that waited: the machine says whether it still holds.
    async fn turn(&mut self, turn: notify::Turn) {
        let notification = &turn.notification;
        let to = Destination {
            receiver: notification.receiver.clone(),
            kind: notification.integration.clone(),
            index: notification.index,
        };
        self.step(Event::Turn(Turn {
            notification: notification.id.clone(),
            dedup_key: notification.dedup_key.clone(),
            to,
            may_have_arrived: turn.may_have_arrived,
        }))
        .await;
    }

    async fn step(&mut self, event: Event) {
        let alerts = match &event {
            Event::Evaluated(alerts) => alerts.len(),
            Event::PostAlerts { alerts, .. } => alerts.len(),
            _ => 0,
        };
        let began = Instant::now();
        let effects = self.core.step(self.clock.now(), event);
        if alerts > 0 {
            self.taken_in.0 += alerts as u64;
            self.taken_in.1 += began.elapsed();
        }
        self.follow(effects).await;
    }

    /// Carries out what a step decided, and writes down why.
    async fn follow(&mut self, effects: Vec<Effect>) {
        self.carry_out(effects).await;
        let (decisions, dropped) = self.core.take_decisions();
        for decision in &decisions {
            log_decision(decision);
        }
        if dropped > 0 {
            tracing::warn!(dropped, "Decisions were made faster than they could be written down.");
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Commit { id, changes } => {
                    let changes =
                        changes.into_iter().map(|c| ports::Change { key: c.key, value: c.value }).collect();
                    // The committer ends after this task.
                    let _ = self.commits.send((id, changes)).await;
                }
                Effect::Deliver(notification) => self.outbox.deliver(notification).await,
                Effect::Withdraw { dedup_key, to } => {
                    let Destination { receiver, kind, index } = to;
                    self.outbox.withdraw(&IntegrationKey { receiver, kind, index }, dedup_key).await;
                }
                Effect::Reply { to, answer } => self.reply(to, answer),
            }
        }
    }

    /// Answers; who waited may have gone away.
    fn reply(&mut self, to: ReplyTo, answer: Answer) {
        match (self.waiting.remove(&to), answer) {
            (Some(Waiting::Alerts(reply)), Answer::Alerts(answer)) => drop(reply.send(answer)),
            (Some(Waiting::Silence(reply)), Answer::Silence(answer)) => drop(reply.send(answer)),
            (Some(Waiting::Expired(reply)), Answer::Expired(answer)) => drop(reply.send(answer)),
            (None, _) => {}
            (Some(_), answer) => {
                tracing::error!(?answer, "An answer of the wrong kind; this is a mistake in Foghorn.")
            }
        }
    }
}

fn log_outcome(report: &Report) {
    let notification = &report.notification;
    match &report.outcome {
        Ok(_) => tracing::debug!(
            receiver = %notification.receiver, integration = %notification.integration, index = notification.index,
            group = %notification.group_key, reason = notification.reason.as_str(), alerts = notification.alerts.len(), attempts = report.attempts,
            "Notification delivered."
        ),
        Err(failure) => tracing::warn!(
            receiver = %notification.receiver, integration = %notification.integration, group = %notification.group_key,
            error = %failure, attempts = report.attempts, "Notification not delivered; the next flush tries again."
        ),
    }
}

/// A line for each decision; "no" at debug, since most of them say that nothing changed.
fn log_decision(record: &DecisionRecord) {
    let (group, receiver) = (&record.group, &record.receiver);
    match &record.decision {
        Decision::Muted(reason) => {
            tracing::info!(%group, %receiver, %reason, alerts = record.alerts.len(), "Held back.")
        }
        Decision::Unmuted => {
            tracing::info!(%group, %receiver, alerts = record.alerts.len(), "No longer held back.")
        }
        Decision::Unrecorded { message, .. } => {
            tracing::warn!(%group, %receiver, error = %message, "A notification goes out without being written down first; a crash now could repeat it.");
        }
        Decision::Send { reason, again, .. } => {
            tracing::debug!(%group, %receiver, reason = reason.as_str(), again, "Telling.");
        }
        Decision::Skip(reason) => tracing::debug!(%group, %receiver, %reason, "Not telling."),
        Decision::EndedMuted => {
            tracing::debug!(%group, %receiver, alerts = record.alerts.len(), "Ended while held back.")
        }
        Decision::Withdrawn { notification } => {
            tracing::debug!(%group, %receiver, %notification, "Withdrawn; what follows says why.")
        }
        // The outcome was written down when it came, with more than is known here.
        Decision::Delivered { .. } | Decision::Failed { .. } => {}
    }
}
