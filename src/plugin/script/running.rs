//! The call that runs on this thread: what native functions reach, and what stops a script.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Finding, Metadata};
use ports::Point;
use rhai::{Dynamic, EvalAltResult};
use tokio::runtime::Handle;

use super::fault::thrown;
use crate::host::{Call, Profile};
use crate::limits::SCRIPT_MEMORY_MAX;
use crate::memory::{live, uncounted};
use crate::meter::Meter;
use crate::{HostError, Limits};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Running>>> = const { RefCell::new(None) };
}

/// The clocks are read at most this often.
const CLOCK: Duration = Duration::from_millis(1);
/// … and looked at once in so many operations.
const OPERATIONS_BETWEEN: u32 = 16;

/// Why a script was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Cpu,
    Memory,
    Time,
    Operations,
}

impl Stop {
    /// The name of the limit.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Stop::Cpu => "cpu",
            Stop::Memory => "memory",
            Stop::Time => "time",
            Stop::Operations => "operations",
        }
    }
}

/// What a script may use while it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) cpu: Duration,
    pub(super) memory: usize,
    pub(super) operations: u64,
}

impl Bounds {
    pub(super) fn of(limits: &Limits) -> Bounds {
        // CPU time is the limit; this one holds where the clock does not, if there is such a place.
        Bounds { cpu: limits.cpu, memory: limits.memory.min(SCRIPT_MEMORY_MAX), operations: 100_000_000 }
    }

    /// For the top level of a script, where `META` stands.
    pub(super) const DESCRIBE: Bounds =
        Bounds { cpu: Duration::from_millis(10), memory: 4 << 20, operations: 10_000 };
}

/// One run of a script.
pub(super) struct Running {
    call: Option<Arc<Call>>,
    handle: Option<Handle>,
    pub(super) bounds: Bounds,
    meter: Meter,
    memory_at_start: isize,
    peak: Cell<isize>,
    operations: Cell<u32>,
    clock: Cell<Instant>,
    stopped: Cell<Option<Stop>>,
    /// What `fire` has said.
    pub(super) findings: RefCell<Vec<Finding>>,
    /// What `gauge`, `counter` and `histogram` have said.
    pub(super) points: RefCell<Vec<Point>>,
    /// The families of these points.
    pub(super) families: RefCell<BTreeMap<String, Metadata>>,
}

impl Running {
    /// The time that the call may take.
    pub(super) fn time(&self, profile: &Profile) -> Duration {
        self.call.as_ref().map_or(profile.limits.time, |call| call.limits.time)
    }

    pub(super) fn new(call: Option<Arc<Call>>, handle: Option<Handle>, bounds: Bounds) -> Rc<Running> {
        Rc::new(Running {
            call,
            handle,
            bounds,
            meter: Meter::default(),
            memory_at_start: live(),
            peak: Cell::new(0),
            operations: Cell::new(0),
            clock: Cell::new(Instant::now()),
            stopped: Cell::new(None),
            findings: RefCell::default(),
            points: RefCell::default(),
            families: RefCell::default(),
        })
    }

    /// Makes this the call that runs on this thread, while `work` does.
    pub(super) fn run<T>(self: &Rc<Self>, work: impl FnOnce() -> T) -> T {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                CURRENT.with(|current| current.replace(None));
            }
        }
        CURRENT.with(|current| current.replace(Some(Rc::clone(self))));
        let _reset = Reset;
        self.meter.resume();
        let done = work();
        self.meter.pause();
        done
    }

    /// Why it was stopped, if it was.
    pub(super) fn stopped(&self) -> Option<Stop> {
        self.stopped.get()
    }

    pub(super) fn cpu(&self) -> Duration {
        self.meter.guest()
    }

    /// Bytes that the script holds now, beyond what it began with.
    pub(super) fn held(&self) -> isize {
        live() - self.memory_at_start
    }

    /// The most that was seen.
    pub(super) fn peak(&self) -> usize {
        usize::try_from(self.peak.get()).unwrap_or(0)
    }

    /// Called at each operation: whether to stop.
    fn check(&self, operation: u64) -> Option<Stop> {
        let stop = self.out_of_memory().or_else(|| {
            if operation > self.bounds.operations {
                return Some(Stop::Operations);
            }
            let count = self.operations.get().wrapping_add(1);
            self.operations.set(count);
            if count.is_multiple_of(OPERATIONS_BETWEEN) { self.out_of_time() } else { None }
        });
        if stop.is_some() {
            self.stopped.set(stop);
        }
        stop
    }

    fn out_of_memory(&self) -> Option<Stop> {
        let held = self.held();
        if held > self.peak.get() {
            self.peak.set(held);
        }
        (held > 0 && held.unsigned_abs() > self.bounds.memory).then_some(Stop::Memory)
    }

    fn out_of_time(&self) -> Option<Stop> {
        let now = Instant::now();
        if now.duration_since(self.clock.get()) < CLOCK {
            return None;
        }
        self.clock.set(now);
        if self.meter.guest() > self.bounds.cpu {
            Some(Stop::Cpu)
        } else if self.call.as_ref().is_some_and(|call| call.is_over()) {
            Some(Stop::Time)
        } else {
            None
        }
    }
}

/// The progress callback of every engine.
pub(super) fn progress(operation: u64) -> Option<Dynamic> {
    let stop = CURRENT.with(|current| current.borrow().as_ref().and_then(|running| running.check(operation)));
    stop.map(|stop| stop.limit().into())
}

/// Whether `more` bytes may be allocated: for functions that build something large in one operation.
pub(super) fn room_for(more: usize) -> Result<(), Box<EvalAltResult>> {
    let stop = CURRENT.with(|current| {
        let current = current.borrow();
        let running = current.as_ref()?;
        let held = usize::try_from(running.held()).unwrap_or(0);
        if held.saturating_add(more) <= running.bounds.memory {
            return None;
        }
        running.stopped.set(Some(Stop::Memory));
        Some(Stop::Memory)
    });
    match stop {
        Some(stop) => Err(EvalAltResult::ErrorTerminated(stop.limit().into(), rhai::Position::NONE).into()),
        None => Ok(()),
    }
}

/// An error if the script on this thread was stopped, for callers of [`room_for`] that had to hide its error.
pub(super) fn still_running() -> Result<(), Box<EvalAltResult>> {
    let stopped = CURRENT.with(|current| current.borrow().as_ref().and_then(|running| running.stopped()));
    match stopped {
        Some(stop) => Err(EvalAltResult::ErrorTerminated(stop.limit().into(), rhai::Position::NONE).into()),
        None => Ok(()),
    }
}

/// The run on this thread. Host functions are only registered where there is one.
pub(super) fn running() -> Result<Rc<Running>, Box<EvalAltResult>> {
    CURRENT
        .with(|current| current.borrow().clone())
        .ok_or_else(|| "there is no call that could be asked".into())
}

/// The host's side of the call on this thread.
pub(super) fn call() -> Result<Arc<Call>, Box<EvalAltResult>> {
    running()?.call.clone().ok_or_else(|| "this function is not there while a script describes itself".into())
}

/// Waits for the host to do `work` for the script: neither its CPU time nor its allocations are the script's.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, HostError>>) -> Result<T, Box<EvalAltResult>> {
    let running = running()?;
    let handle =
        running.handle.as_ref().ok_or("this function is not there while a script describes itself")?;
    running.meter.pause();
    let done = uncounted(|| handle.block_on(work));
    running.meter.resume();
    done.map_err(thrown)
}
