//! What a queue has to say to those who decide, until they hear of it.
//!
//! In: reports and questions. Out: events, in their order. A question is asked at once; reports are told together, since
//! each event wakes those who decide, and what follows from it goes to the disk. After a pause the first does not wait.
//! They may be waiting for the queue meanwhile, so nothing here waits for them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::lineup::{Report, Turn};
use crate::outbox::OutboxEvent;

/// The time from one event with reports to the next.
const BETWEEN_REPORTS: Duration = Duration::from_millis(2);

/// What was not told yet, oldest first.
#[derive(Default)]
pub(crate) struct Untold {
    events: VecDeque<OutboxEvent>,
    /// Reports alone wait until then.
    not_before: Option<Instant>,
}

/// When the rest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// There is none.
    All,
    /// Then.
    At(Instant),
    /// When those who decide have room.
    NoRoom,
}

impl Tells {
    pub(crate) fn at(self) -> Option<Instant> {
        match self {
            Tells::At(at) => Some(at),
            Tells::All | Tells::NoRoom => None,
        }
    }
}

impl Untold {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn report(&mut self, report: Report) {
        match self.events.back_mut() {
            Some(OutboxEvent::Done(reports)) => reports.push(report),
            _ => self.events.push_back(OutboxEvent::Done(vec![report])),
        }
    }

    pub(crate) fn ask(&mut self, turn: Turn) {
        self.events.push_back(OutboxEvent::Turn(turn));
    }

    /// Nobody answers any more.
    pub(crate) fn forget_turns(&mut self) {
        self.events.retain(|event| !matches!(event, OutboxEvent::Turn(_)));
    }

    /// Tells what is due, as much as there is room for; `at_once`: all of it is.
    pub(crate) fn tell(&mut self, events: &mpsc::Sender<OutboxEvent>, at_once: bool) -> Tells {
        if self.events.is_empty() {
            return Tells::All;
        }
        let now = Instant::now();
        let asks = self.events.iter().any(|event| matches!(event, OutboxEvent::Turn(_)));
        if let Some(at) = self.not_before.filter(|at| now < *at && !asks && !at_once) {
            return Tells::At(at);
        }
        self.not_before = Some(now + BETWEEN_REPORTS);
        while !self.events.is_empty() {
            match events.try_reserve() {
                Ok(permit) => self.send(Ok(permit)),
                Err(mpsc::error::TrySendError::Full(())) => return Tells::NoRoom,
                Err(mpsc::error::TrySendError::Closed(())) => self.events.clear(),
            }
        }
        Tells::All
    }

    /// Tells the oldest. Nobody listens any more only at shutdown; the log then says that the outcome is unknown.
    pub(crate) fn send(&mut self, permit: Result<mpsc::Permit<'_, OutboxEvent>, mpsc::error::SendError<()>>) {
        match (permit, self.events.pop_front()) {
            (Ok(permit), Some(event)) => permit.send(event),
            _ => self.events.clear(),
        }
    }
}
