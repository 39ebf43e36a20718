//! How much CPU time a plugin has used: its own, without the host's work for it and without waiting.
//!
//! The clock is the thread's CPU clock, so a busy machine does not count against a plugin. A component may move between
//! threads whenever it yields; [`metered`] therefore measures each poll, which is on one thread from beginning to end.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// The CPU time of one call.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    guest: Duration,
    host: Duration,
    /// The thread's clock at the last change; `None` while the call is not running.
    mark: Option<Duration>,
    in_host: bool,
}

impl Spent {
    /// Books the time since the last change on whoever ran.
    fn book(&mut self) {
        if let Some(mark) = self.mark {
            let now = thread_cpu();
            let spent = now.saturating_sub(mark);
            if self.in_host {
                self.host += spent
            } else {
                self.guest += spent
            }
            self.mark = Some(now);
        }
    }
}

impl Meter {
    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call runs on this thread from here on.
    pub(crate) fn resume(&self) {
        self.spent().mark = Some(thread_cpu());
    }

    /// The call stops running on this thread.
    pub(crate) fn pause(&self) {
        let mut spent = self.spent();
        spent.book();
        spent.mark = None;
    }

    /// The host works for the plugin from here on.
    pub(crate) fn enter_host(&self) {
        let mut spent = self.spent();
        spent.book();
        spent.in_host = true;
    }

    /// The plugin works from here on. What it and the host for it have used so far.
    pub(crate) fn leave_host(&self) -> (Duration, Duration) {
        let mut spent = self.spent();
        spent.book();
        spent.in_host = false;
        (spent.guest, spent.host)
    }

    /// What the plugin and, on its own threads, the host for it have used so far.
    pub(crate) fn spent_so_far(&self) -> (Duration, Duration) {
        let mut spent = self.spent();
        spent.book();
        (spent.guest, spent.host)
    }

    /// What the plugin has used so far.
    pub(crate) fn guest(&self) -> Duration {
        let mut spent = self.spent();
        spent.book();
        spent.guest
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Runs `future` on the meter.
pub(crate) fn metered<F: Future>(meter: Arc<Meter>, future: F) -> Metered<F> {
    Metered { meter, future: Box::pin(future) }
}

/// See [`metered`].
pub(crate) struct Metered<F> {
    meter: Arc<Meter>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.resume();
        let polled = self.future.as_mut().poll(context);
        self.meter.pause();
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn(time: Duration) {
        let start = thread_cpu();
        while thread_cpu() - start < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn only_the_plugins_own_time_counts() {
        let meter = Meter::default();
        burn(Duration::from_millis(5));
        meter.resume();
        burn(Duration::from_millis(5));
        meter.enter_host();
        burn(Duration::from_millis(20));
        meter.leave_host();
        burn(Duration::from_millis(5));
        meter.pause();
        burn(Duration::from_millis(20));
        let guest = meter.guest();
        assert!(guest >= Duration::from_millis(10) && guest < Duration::from_millis(20), "{guest:?}");
    }
}
