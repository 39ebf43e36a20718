//! What comes into the state machine and what comes out.

use std::sync::Arc;

use model::{Alert, Notification, Receipt};

use crate::{AlertDraft, AlertError, AlertingConfig, Destination, SilenceDraft, SilenceError, SilenceId};

/// Chosen by the caller of `Alerting::step`; comes back in [`Effect::Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// Names one [`Effect::Commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// Everything that can happen to alerting.
#[derive(Clone, Debug)]
pub enum Event {
    /// The time that `Alerting::next_wakeup` named has come.
    Tick,
    /// Our own rules found these, or found that they ended (`ends_at` in the past). Firing ones are repeated by the rules
    /// before their `ends_at`.
    Evaluated(Vec<Alert>),
    /// A sender posted alerts. Answered with [`Answer::Alerts`] when those that are valid are durable.
    PostAlerts {
        /// What was posted.
        alerts: Vec<AlertDraft>,
        /// Where the answer goes.
        reply: ReplyTo,
    },
    /// Somebody makes or changes a silence. Answered with [`Answer::Silence`] when it is durable.
    PutSilence {
        /// What is asked for.
        draft: SilenceDraft,
        /// The id if it becomes a new silence; unique, best a UUID.
        fresh_id: SilenceId,
        /// Where the answer goes.
        reply: ReplyTo,
    },
    /// Somebody ends a silence. Answered with [`Answer::Expired`].
    ExpireSilence {
        /// Which.
        id: SilenceId,
        /// Where the answer goes.
        reply: ReplyTo,
    },
    /// An [`Effect::Commit`] is durable.
    Committed(CommitId),
    /// An [`Effect::Commit`] did not succeed.
    CommitFailed {
        /// Which.
        commit: CommitId,
        /// How it failed.
        failure: CommitFailure,
        /// For people.
        message: String,
    },
    /// An [`Effect::Deliver`] came to its end: accepted, or given up after whatever retries delivery makes.
    Delivered {
        /// [`Notification::id`].
        notification: Arc<str>,
        /// The receipt, or what happened.
        outcome: Result<Receipt, String>,
    },
    /// The turn of a notification has come that waited: for room, or after an attempt that failed. Answered with
    /// [`Effect::Deliver`], of the same or of what holds now, at once or when that is durable; or with
    /// [`Effect::Withdraw`].
    Turn(Turn),
    /// Another configuration is in force.
    Reload(Arc<AlertingConfig>),
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// [`Notification::id`].
    pub notification: Arc<str>,
    /// [`Notification::dedup_key`].
    pub dedup_key: Arc<str>,
    /// Whom it is for.
    pub to: Destination,
    /// Whether an attempt at it may have arrived.
    pub may_have_arrived: bool,
}

/// How a commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFailure {
    /// Certainly not durable.
    Failed,
    /// May or may not be durable.
    Unknown,
    /// Somebody else changed the same state first; what depended on it must not happen.
    Conflict,
}

/// One change of durable state; `None` removes the key. Changes with the same key replace each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub key: Vec<u8>,
    /// The new value, encoded by the `record` module.
    pub value: Option<Vec<u8>>,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make these durable, all or none, in the order in which commits are emitted; answer with [`Event::Committed`] or
    /// [`Event::CommitFailed`].
    Commit {
        /// Names it.
        id: CommitId,
        /// The changes; keys are unique within one commit.
        changes: Vec<Change>,
    },
    /// Tell an integration; answer with [`Event::Delivered`]. Never two at once for one group and integration.
    Deliver(Arc<Notification>),
    /// Do not tell an integration what waits for an incident: the answer to [`Event::Turn`] if nothing is to be told.
    Withdraw {
        /// [`Notification::dedup_key`].
        dedup_key: Arc<str>,
        /// Whom it was for.
        to: Destination,
    },
    /// Answer somebody who waits.
    Reply {
        /// As it was given in the event.
        to: ReplyTo,
        /// The answer.
        answer: Answer,
    },
}

/// An answer to somebody who waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Of [`Event::PostAlerts`].
    Alerts(AlertsAnswer),
    /// Of [`Event::PutSilence`]: the id under which it is stored, which may be a new one.
    Silence(Result<SilenceId, SilenceError>),
    /// Of [`Event::ExpireSilence`].
    Expired(Result<(), SilenceError>),
}

/// What became of posted alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsAnswer {
    /// How many were taken.
    pub taken: usize,
    /// Why others were not, with their positions.
    pub refused: Vec<(usize, AlertError)>,
    /// Why the taken ones are not durable, if so. They count all the same; the sender should send them again.
    pub not_stored: Option<String>,
}
