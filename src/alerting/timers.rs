//! Everything that has to happen at a time, ordered by time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use model::Timestamp;

use crate::alert_store::AlertId;
use crate::group::GroupId;
use crate::{CommitId, SilenceId};

/// What happens. The order decides between timers of the same moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// A silence begins, ends or is forgotten.
    Silence(SilenceId),
    /// Nobody answered a commit.
    Commit(CommitId),
    /// Nobody answered a delivery.
    Delivery(Arc<str>),
    /// What could not be written is written again.
    Rewrite,
    /// A group is flushed.
    Flush(GroupId),
    /// An ended alert is forgotten.
    Forget(AlertId),
    /// Old entries leave the notification log.
    PruneLog,
}

/// At most one time for each timer.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    ordered: BTreeSet<(Timestamp, Timer)>,
    times: HashMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets a timer, in place of an earlier setting.
    pub(crate) fn set(&mut self, timer: Timer, at: Timestamp) {
        if let Some(before) = self.times.insert(timer.clone(), at) {
            self.ordered.remove(&(before, timer.clone()));
        }
        self.ordered.insert((at, timer));
    }

    pub(crate) fn clear(&mut self, timer: &Timer) {
        if let Some(at) = self.times.remove(timer) {
            self.ordered.remove(&(at, timer.clone()));
        }
    }

    /// When the first one is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.ordered.first().map(|(at, _)| *at)
    }

    /// Takes the first one that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.ordered.pop_first()?;
        self.times.remove(&timer);
        Some(timer)
    }

    /// Lets everybody who waits for an answer wait for longer: nobody could answer meanwhile.
    pub(crate) fn extend_patience(&mut self, by: Duration) {
        let waits = |timer: &Timer| matches!(timer, Timer::Commit(_) | Timer::Delivery(_));
        let waiting: Vec<_> = self.times.iter().filter(|(timer, _)| waits(timer)).collect();
        let later: Vec<_> = waiting.into_iter().map(|(timer, at)| (timer.clone(), *at + by)).collect();
        later.into_iter().for_each(|(timer, at)| self.set(timer, at));
    }

    /// Moves all by `millis`: the clock was set.
    pub(crate) fn shift(&mut self, millis: i64) {
        self.ordered = std::mem::take(&mut self.ordered)
            .into_iter()
            .map(|(at, timer)| (at.plus_millis(millis), timer))
            .collect();
        for at in self.times.values_mut() {
            *at = at.plus_millis(millis);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_once() {
        let mut timers = Timers::default();
        let at = Timestamp::from_secs;
        timers.set(Timer::PruneLog, at(5));
        timers.set(Timer::Rewrite, at(3));
        timers.set(Timer::PruneLog, at(2));
        assert_eq!(timers.next(), Some(at(2)));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(timers.pop_due(at(9)), Some(Timer::PruneLog));
        timers.shift(-1000);
        assert_eq!(timers.next(), Some(at(2)));
        timers.clear(&Timer::Rewrite);
        assert_eq!(timers.pop_due(at(9)), None);
    }
}
