//! A call of a component: its store, with everything that bounds it.
//!
//! A busy component yields at each tick of the epoch, so it never holds a thread of the runtime; CPU time is measured and
//! its memory counted; a trap leaves nothing behind, since the store is dropped after a call that failed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Timestamp;
use wasmtime::component::ResourceTable;
use wasmtime::{CallHook, Engine, ResourceLimiter, Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::bindings::exports::foghorn::plugin as wit;
use crate::host::{Call, Level};
use crate::meter::{Meter, metered};
use crate::program::Ran;
use crate::script::bytes;
use crate::told::Told;
use crate::{CallError, ErrorKind, Fault, Kind, Limits};

/// What a component may write to its standard output and error in one call.
const OUTPUT_BYTES: usize = 64 << 10;
/// What it may have at random through WASI in one go.
const RANDOM_BYTES: u64 = 64 << 10;
/// What an element of a table takes.
const ELEMENT_BYTES: usize = 16;
/// Frames of a trap's trace that people see.
const FRAMES: usize = 6;
/// The host's own work for a call may take so many times the CPU time of the plugin: a loop of cheap calls is a loop.
const HOST_SHARE: u32 = 4;

/// What stopped a component, as an error that passes through wasmtime.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Stopped {
    pub(super) limit: &'static str,
    pub(super) message: String,
}

impl Stopped {
    pub(super) fn by(limit: &'static str, message: String) -> wasmtime::Error {
        wasmtime::Error::new(Stopped { limit, message })
    }
}

/// What a store holds beside the component.
pub(super) struct Guest {
    /// `None` while it describes itself, and between calls.
    pub(super) call: Option<Arc<Call>>,
    /// What a notifier is told in this call.
    pub(super) told: Option<Arc<Told>>,
    /// The function of a lean notifier, once a call has found it.
    pub(super) lean: Option<wit::lean_notifier::Guest>,
    pub(super) memory: Memory,
    /// The CPU time of this call, and how much it may be.
    meter: Arc<Meter>,
    cpu: Duration,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Guest {
    /// The host's side of the call.
    pub(super) fn call(&self) -> wasmtime::Result<&Arc<Call>> {
        self.call
            .as_ref()
            .ok_or_else(|| wasmtime::Error::msg("this function is not there while a plugin describes itself"))
    }

    /// What this call is to tell.
    pub(super) fn told(&self) -> wasmtime::Result<&Arc<Told>> {
        self.told
            .as_ref()
            .ok_or_else(|| wasmtime::Error::msg("only a notifier that is called has something to tell"))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Counts memories and tables together.
pub(super) struct Memory {
    max: usize,
    held: usize,
    peak: usize,
}

impl Memory {
    fn grow(&mut self, by: usize) -> wasmtime::Result<bool> {
        self.held = self.held.saturating_add(by);
        if self.held > self.max {
            // Not `false`: the component would go on, and end with a trap that does not say why.
            return Err(Stopped::by("memory", format!("held more than {} of memory", bytes(self.max))));
        }
        self.peak = self.peak.max(self.held);
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES))
    }
}

/// The evaluation's time, which stands still.
struct Frozen(Timestamp);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }
    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.as_millis()).unwrap_or(0))
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000
    }
    fn now(&self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(0).saturating_mul(1_000_000)
    }
}

/// One run of a component.
pub(super) struct Run {
    store: Store<Guest>,
    output: MemoryOutputPipe,
    time: Duration,
}

/// How much a component may use, and how much it may hand over in one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) cpu: Duration,
    pub(super) time: Duration,
    pub(super) memory: usize,
    pub(super) handed_over: usize,
}

impl Bounds {
    pub(super) fn of(kind: Kind, limits: &Limits) -> Bounds {
        // A full exposition takes some 100 bytes a point in columns.
        let handed_over = match kind {
            Kind::Exporter => (16 << 20).max(limits.points * 256),
            Kind::Rule => (4 << 20).max(limits.findings * 4096),
            Kind::Notifier => (4 << 20).max(limits.request_bytes.saturating_mul(2)),
        };
        Bounds { cpu: limits.cpu, time: limits.time, memory: limits.memory, handed_over }
    }

    /// For `describe`.
    pub(super) const DESCRIBE: Bounds = Bounds {
        // A Python component starts in some milliseconds; a Rust one in microseconds.
        cpu: Duration::from_millis(250),
        time: Duration::from_secs(10),
        memory: 64 << 20,
        handed_over: 1 << 20,
    };
}

impl Run {
    pub(super) fn new(engine: &Engine, call: Option<Arc<Call>>, bounds: Bounds) -> Run {
        let output = MemoryOutputPipe::new(OUTPUT_BYTES);
        let memory = Memory { max: bounds.memory, held: 0, peak: 0 };
        let time = call.as_ref().map_or(bounds.time, |call| call.left());
        let guest = Guest {
            wasi: wasi(call.as_deref(), &output),
            table: ResourceTable::new(),
            memory,
            call,
            told: None,
            lean: None,
            meter: Arc::default(),
            cpu: bounds.cpu,
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(bounds.handed_over);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let guest = store.data();
            check(guest.meter.spent_so_far(), guest.cpu)?;
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store.call_hook(|store, hook| match hook {
            CallHook::CallingHost => {
                store.data().meter.enter_host();
                Ok(())
            }
            // Before the component goes on.
            CallHook::ReturningFromHost => {
                let guest = store.data();
                check(guest.meter.leave_host(), guest.cpu)
                    .or_else(|_| check(guest.meter.spent_so_far(), guest.cpu))
            }
            // Each text that is handed over makes the component allocate: looking at the thread's clock, which is a call
            // of the kernel, would cost more than that. So it counts for whoever is on.
            CallHook::CallingWasm | CallHook::ReturningFromWasm => Ok(()),
        });
        Run { store, output, time }
    }

    /// The next call, in the same store.
    pub(super) fn begin(&mut self, call: Arc<Call>, bounds: Bounds) {
        self.time = call.left();
        let guest = self.store.data_mut();
        guest.memory = Memory { max: bounds.memory, held: guest.memory.held, peak: guest.memory.held };
        guest.meter = Arc::default();
        guest.cpu = bounds.cpu;
        guest.call = Some(call);
        self.store.set_hostcall_fuel(bounds.handed_over);
        self.store.set_epoch_deadline(1);
    }

    /// Nothing of the last call is held any more.
    pub(super) fn rest(&mut self) {
        let guest = self.store.data_mut();
        (guest.call, guest.told) = (None, None);
    }

    /// What its memories and tables hold, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.store.data().memory.held
    }

    /// Whether it has written anything to its standard output or error.
    pub(super) fn has_written(&self) -> bool {
        !self.output.contents().is_empty()
    }

    /// Runs `work` on the store, within the call's time. After an error the store is not to be used again.
    pub(super) async fn run<T>(
        &mut self,
        name: &str,
        function: &'static str,
        work: impl AsyncFnOnce(&mut Store<Guest>) -> wasmtime::Result<Result<T, CallError>>,
    ) -> Ran<T> {
        let meter = Arc::clone(&self.store.data().meter);
        let finished = {
            // Pinned here: it has thousands of bytes, and would be copied.
            let work = std::pin::pin!(work(&mut self.store));
            tokio::time::timeout(self.time, metered(Arc::clone(&meter), work)).await
        };
        self.log_output();
        let outcome = match finished {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(failed(name, function, &error)),
            Err(_) => Err(CallError {
                limit: Some("time"),
                kind: ErrorKind::Limit,
                ..broken(name, function, format!("not done within {}", model::format_duration(self.time)))
            }),
        };
        Ran { outcome, cpu: meter.guest(), memory: self.store.data().memory.peak }
    }

    /// What it wrote to its standard output and error goes to the log.
    fn log_output(&self) {
        let written = self.output.contents();
        let Some(call) = self.store.data().call.as_ref().filter(|_| !written.is_empty()) else { return };
        for line in String::from_utf8_lossy(&written).lines() {
            call.log(Level::Info, line, &[]);
        }
    }
}

/// Stops a component that used more than `cpu`, by what it and the host for it have used.
fn check((guest, host): (Duration, Duration), cpu: Duration) -> wasmtime::Result<()> {
    if guest > cpu {
        return Err(Stopped::by(
            "cpu",
            format!("used more than {} of CPU time", model::format_duration(cpu)),
        ));
    }
    let share = cpu * HOST_SHARE;
    if host > share {
        let message = format!("kept the host busy for more than {}", model::format_duration(share));
        return Err(Stopped::by("host_cpu", message));
    }
    Ok(())
}

/// WASI with nothing in it: no files, no environment, no arguments, no network. Rules get the evaluation's time, and
/// the same chance each time.
fn wasi(call: Option<&Call>, output: &MemoryOutputPipe) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES)
        .stdout(output.clone())
        .stderr(output.clone());
    if call.is_none_or(|call| call.profile.kind == Kind::Rule) {
        let at = call.map_or(Timestamp::EPOCH, Call::now);
        let seed: Vec<u8> = (0..=u8::MAX).map(|byte| byte.wrapping_mul(167).wrapping_add(13)).collect();
        wasi.wall_clock(Frozen(at))
            .monotonic_clock(Frozen(at))
            .secure_random(Deterministic::new(seed.clone()))
            .insecure_random(Deterministic::new(seed))
            .insecure_random_seed(13);
    }
    wasi.build()
}

/// A failure that the component is to blame for.
pub(super) fn broken(name: &str, function: &'static str, message: String) -> CallError {
    CallError {
        plugin: name.to_owned(),
        function,
        kind: ErrorKind::Retryable,
        fault: Fault::Broken,
        message,
        limit: None,
        retry_after: None,
        place: None,
    }
}

/// A trap, or what stopped the component.
fn failed(name: &str, function: &'static str, error: &wasmtime::Error) -> CallError {
    let stopped = |limit: &'static str, message: String| CallError {
        kind: ErrorKind::Limit,
        fault: Fault::Stopped,
        limit: Some(limit),
        ..broken(name, function, message)
    };
    if let Some(by) = error.downcast_ref::<Stopped>() {
        return stopped(by.limit, by.message.clone());
    }
    let text = error.root_cause().to_string();
    if text.contains("fuel allocated for hostcalls") {
        return stopped("handed_over", "handed over too much at once".to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => stopped("stack", "called itself too deep".to_owned()),
        Some(trap) => broken(name, function, format!("trapped: {trap}{}", trace(error))),
        None => broken(name, function, format!("failed: {text}{}", trace(error))),
    }
}

/// Where it trapped, the innermost function first, if the component has names.
fn trace(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names: Vec<String> = trace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .take(FRAMES)
        .map(|name| format!("`{}`", readable(name)))
        .collect();
    if names.is_empty() { String::new() } else { format!(", in {}", names.join(" < ")) }
}

/// A Rust name without the hash at its end.
fn readable(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => path,
        _ => name,
    }
}

/// What a component hands over as bytes.
pub(super) fn owned(bytes: Vec<u8>) -> Bytes {
    Bytes::from(bytes)
}
