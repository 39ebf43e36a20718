//! Whether a plugin may be called: active, degraded, in quarantine.
//!
//! Only what the plugin itself does wrong counts: a trap, a script that ends in an error, a limit of the sandbox. A
//! server that does not answer is not its fault, and a receiver whose outage lasts an hour must not lose its notifier.

use std::time::Duration;

use model::Timestamp;

use crate::{CallError, Fault};

/// Failures in a row after which a plugin is degraded.
const DEGRADED: u32 = 5;
/// Failures in a row after which it is not called for a while; reaching a limit counts double.
const QUARANTINED: u32 = 10;
/// How long it is not called.
const QUARANTINE: Duration = Duration::from_secs(600);
/// After so many quarantines in a row only a new version or an operator lets it run again.
const QUARANTINES: u32 = 3;

/// Whether a plugin is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works, or has failed less than five times in a row.
    Active,
    /// It has failed five times in a row, and is still called.
    Degraded,
    /// It is not called before this time; never again by itself if `None`.
    Quarantined(Option<Timestamp>),
}

impl State {
    /// `active`, `degraded`, `quarantined`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Degraded => "degraded",
            State::Quarantined(_) => "quarantined",
        }
    }
}

/// The history that decides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    failures: u32,
    quarantines: u32,
    /// The end of the last quarantine.
    until: Option<Timestamp>,
}

impl Health {
    /// The state at `now`. A quarantine that has ended is a trial: the next failure begins another.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        if self.failures < DEGRADED {
            State::Active
        } else if self.failures < QUARANTINED {
            State::Degraded
        } else if self.quarantines >= QUARANTINES {
            State::Quarantined(None)
        } else {
            match self.until {
                Some(until) if now < until => State::Quarantined(Some(until)),
                _ => State::Degraded,
            }
        }
    }

    /// Whether nothing has gone wrong since the last success.
    pub(crate) fn is_well(&self) -> bool {
        self.failures == 0
    }

    /// A call succeeded, or a new version takes over.
    pub(crate) fn succeeded(&mut self) {
        *self = Health::default();
    }

    /// A call failed.
    pub(crate) fn failed(&mut self, error: &CallError, now: Timestamp) {
        match error.fault {
            Fault::Reported => return,
            Fault::Broken => self.failures = self.failures.saturating_add(1),
            Fault::Stopped => self.failures = self.failures.saturating_add(2),
        }
        if self.failures >= QUARANTINED && self.until.is_none_or(|until| until <= now) {
            self.quarantines += 1;
            self.until = Some(now + QUARANTINE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn error(fault: Fault) -> CallError {
        CallError {
            plugin: "x".into(),
            function: "evaluate",
            kind: ErrorKind::Retryable,
            fault,
            message: String::new(),
            limit: None,
            retry_after: None,
            place: None,
        }
    }

    #[test]
    fn a_plugin_that_keeps_breaking_is_taken_out_and_tried_again() {
        let mut health = Health::default();
        let mut now = Timestamp::EPOCH;
        let minutes = |n: u64| Duration::from_secs(n * 60);
        for _ in 0..5 {
            assert_eq!(health.state(now), State::Active);
            health.failed(&error(Fault::Broken), now);
        }
        assert_eq!(health.state(now), State::Degraded);
        for _ in 0..5 {
            health.failed(&error(Fault::Broken), now);
        }
        assert_eq!(health.state(now), State::Quarantined(Some(now + minutes(10))));
        now = now + minutes(10);
        assert_eq!(health.state(now), State::Degraded, "one trial");
        health.failed(&error(Fault::Broken), now);
        assert_eq!(health.state(now), State::Quarantined(Some(now + minutes(10))));
        now = now + minutes(10);
        health.failed(&error(Fault::Broken), now);
        assert_eq!(health.state(now + minutes(1000)), State::Quarantined(None));
        health.succeeded();
        assert_eq!(health.state(now), State::Active);
    }

    #[test]
    fn a_limit_counts_double_and_an_outage_not_at_all() {
        let mut health = Health::default();
        for _ in 0..1000 {
            health.failed(&error(Fault::Reported), Timestamp::EPOCH);
        }
        assert_eq!(health.state(Timestamp::EPOCH), State::Active);
        for _ in 0..5 {
            health.failed(&error(Fault::Stopped), Timestamp::EPOCH);
        }
        assert!(matches!(health.state(Timestamp::EPOCH), State::Quarantined(Some(_))));
    }
}
