//! How much CPU time a plugin has used: its own, without the host's work for it and without waiting.
//!
//! The clock is the thread's CPU clock, so a busy machine does not count against a plugin. A component may move between
//! threads whenever it yields; [`metered`] therefore measures each poll, which is on one thread from beginning to end.
//! That clock is a call of the kernel, a component calls the host often, and most polls are short. So a short time counts
//! as it passed, by the ordinary clock, and the thread's clock is read at most once a millisecond: a longer time counts as
//! what the thread has used since then, if that is less. Within a poll the ordinary clock tells the plugin and the host
//! apart, and they share the CPU time as they share that.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The CPU time of one call.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    guest: Duration,
    host: Duration,
    /// `None` while the call is not running.
    running: Option<Running>,
    in_host: bool,
}

/// What passed in less than this counts as CPU time, whatever the thread's clock says.
const SHORT: Duration = Duration::from_micros(200);
/// For so long what the thread's clock said is good enough to begin with.
const LATELY: Duration = Duration::from_millis(1);

thread_local! {
    /// When this thread's CPU clock was read last, and what it said.
    static READ: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// What has passed since CPU time was booked last.
#[derive(Debug)]
struct Running {
    /// The ordinary clock when plugin and host changed places last.
    since: Instant,
    guest: Duration,
    host: Duration,
}

impl Running {
    fn now() -> Running {
        let since = Instant::now();
        if READ.get().is_none_or(|(at, _)| since.saturating_duration_since(at) > LATELY) {
            READ.set(Some((since, thread_cpu())));
        }
        Running { since, guest: Duration::ZERO, host: Duration::ZERO }
    }

    /// The CPU time of what has passed, at most.
    fn cpu(&self) -> Duration {
        let passed = self.guest + self.host;
        if passed < SHORT {
            return passed;
        }
        let now = thread_cpu();
        match READ.replace(Some((self.since, now))) {
            Some((_, before)) => passed.min(now.saturating_sub(before)),
            None => passed,
        }
    }

    /// The time until now goes to whoever ran.
    fn pass(&mut self, in_host: bool) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.since);
        if in_host {
            self.host += passed;
        } else {
            self.guest += passed;
        }
        self.since = now;
    }
}

impl Spent {
    /// Books the CPU time since the last change on those who ran.
    fn book(&mut self) {
        if let Some(running) = &mut self.running {
            running.pass(self.in_host);
            let (guest, host) = shares(running.cpu(), running.guest, running.host);
            self.guest += guest;
            self.host += host;
            *running = Running { since: running.since, guest: Duration::ZERO, host: Duration::ZERO };
        }
    }

    fn pass(&mut self) {
        if let Some(running) = &mut self.running {
            running.pass(self.in_host);
        }
    }
}

/// CPU time in the proportion of the time that plugin and host took.
fn shares(cpu: Duration, guest: Duration, host: Duration) -> (Duration, Duration) {
    if host.is_zero() {
        return (cpu, Duration::ZERO);
    }
    let of_guest = cpu.mul_f64(guest.as_secs_f64() / (guest + host).as_secs_f64());
    (of_guest, cpu.saturating_sub(of_guest))
}

impl Meter {
    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call runs on this thread from here on.
    pub(crate) fn resume(&self) {
        self.spent().running = Some(Running::now());
    }

    /// The call stops running on this thread.
    pub(crate) fn pause(&self) {
        let mut spent = self.spent();
        spent.book();
        spent.running = None;
    }

    /// The host works for the plugin from here on, without waiting for anything but in [`metered`].
    pub(crate) fn enter_host(&self) {
        let mut spent = self.spent();
        spent.pass();
        spent.in_host = true;
    }

    /// The plugin works from here on. The most that it and the host for it can have used so far: what has not been booked
    /// may hold times in which others ran.
    pub(crate) fn leave_host(&self) -> (Duration, Duration) {
        let mut spent = self.spent();
        spent.pass();
        spent.in_host = false;
        let (guest, host) = spent.running.as_ref().map(|r| (r.guest, r.host)).unwrap_or_default();
        (spent.guest + guest, spent.host + host)
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
pub(crate) fn metered<F: Future>(meter: Arc<Meter>, future: Pin<&mut F>) -> Metered<'_, F> {
    Metered { meter, future }
}

/// See [`metered`].
pub(crate) struct Metered<'a, F> {
    meter: Arc<Meter>,
    future: Pin<&'a mut F>,
}

impl<F: Future> Future for Metered<'_, F> {
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
    fn a_plugin_and_the_host_share_the_cpu_time() {
        let millis = Duration::from_millis;
        for (cpu, guest, host, expected) in [
            (30, 30, 0, (30, 0)),
            (30, 10, 20, (10, 20)),
            // Others ran for half of the time.
            (30, 40, 20, (20, 10)),
            (0, 40, 20, (0, 0)),
            (5, 0, 0, (5, 0)),
        ] {
            let shares = shares(millis(cpu), millis(guest), millis(host));
            assert_eq!(shares, (millis(expected.0), millis(expected.1)), "{cpu} ms in {guest} and {host}");
        }
    }

    #[test]
    fn only_what_runs_counts() {
        let meter = Meter::default();
        burn(Duration::from_millis(20));
        meter.resume();
        burn(Duration::from_millis(5));
        meter.enter_host();
        burn(Duration::from_millis(5));
        let most = meter.leave_host();
        assert!(most.0 + most.1 >= Duration::from_millis(10), "{most:?}");
        meter.pause();
        burn(Duration::from_millis(20));
        let (guest, host) = meter.spent_so_far();
        assert!(guest > Duration::ZERO && host > Duration::ZERO, "{guest:?} {host:?}");
        let both = guest + host;
        assert!(both >= Duration::from_millis(10) && both < Duration::from_millis(20), "{both:?}");
    }
}
