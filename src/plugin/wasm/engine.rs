//! One wasmtime engine for the process, and one linker per kind: what is not in it, a component does not get.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::foghorn::plugin as wit;
use super::guest::Guest;
use crate::Kind;
use crate::limits::COMPONENT_MEMORY_MAX;

/// Core instances, memories and tables of one component. Python's and JavaScript's have dozens.
const CORE_INSTANCES: u32 = 48;
const MEMORIES: u32 = 6;
const TABLES: u32 = 48;
/// Of a memory, what is cleared by hand instead of given back to the kernel, which would hand it out anew page by page.
const RESIDENT: usize = 2 << 20;
/// The same where the kernel cannot say which pages were written to, so that all of it is cleared, written to or not.
const RESIDENT_BLINDLY: usize = 128 << 10;

/// An engine for `at_once` components at the same time.
pub(super) fn engine(at_once: usize) -> Result<Engine, String> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // The same answer on every machine: a rule can be replayed.
        .cranelift_nan_canonicalization(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    let on_demand = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(at_once)));
    // The pool reserves address space; where that is limited, instances are made as they are needed.
    Engine::new(&config)
        .or_else(|error| {
            tracing::warn!(%error, "There is no pool for components; they start more slowly.");
            Engine::new(&on_demand)
        })
        .map_err(|error| format!("components cannot be run here: {error}"))
}

fn pool(at_once: usize) -> PoolingAllocationConfig {
    let count = u32::try_from(at_once).unwrap_or(64).clamp(1, 256);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count * CORE_INSTANCES)
        .total_memories(count * MEMORIES)
        .total_tables(count * TABLES)
        .total_stacks(count)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .table_elements(100_000)
        .max_memory_size(COMPONENT_MEMORY_MAX)
        // What a call wrote to lies far apart: a Rust component's stack ends where its data begins, at one MiB.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(match PoolingAllocationConfig::is_pagemap_scan_available() {
            true => RESIDENT,
            false => RESIDENT_BLINDLY,
        })
        .table_keep_resident(16 << 10);
    pool
}

/// The interfaces of `wit/` that a kind may import, without the package.
pub(super) fn allowed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Rule => &["types", "log", "clock", "config", "state", "metrics", "query"],
        Kind::Exporter => {
            &["types", "log", "clock", "config", "state", "metrics", "secrets", "http", "files"]
        }
        Kind::Notifier => &[
            "types",
            "log",
            "clock",
            "config",
            "state",
            "metrics",
            "secrets",
            "http",
            "mail",
            "notification",
        ],
    }
}

/// Everything that a component of `kind` reaches, and WASI with nothing in it.
///
/// Absent for good: processes, threads, sockets, files beyond the grant, the environment.
pub(super) fn linker(engine: &Engine, kind: Kind) -> wasmtime::Result<Linker<Guest>> {
    type Own = HasSelf<Guest>;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for interface in allowed(kind) {
        let l = &mut linker;
        match *interface {
            "types" => wit::types::add_to_linker::<_, Own>(l, |guest| guest),
            "log" => wit::log::add_to_linker::<_, Own>(l, |guest| guest),
            "clock" => wit::clock::add_to_linker::<_, Own>(l, |guest| guest),
            "config" => wit::config::add_to_linker::<_, Own>(l, |guest| guest),
            "state" => wit::state::add_to_linker::<_, Own>(l, |guest| guest),
            "metrics" => wit::metrics::add_to_linker::<_, Own>(l, |guest| guest),
            "query" => wit::query::add_to_linker::<_, Own>(l, |guest| guest),
            "secrets" => wit::secrets::add_to_linker::<_, Own>(l, |guest| guest),
            "http" => wit::http::add_to_linker::<_, Own>(l, |guest| guest),
            "files" => wit::files::add_to_linker::<_, Own>(l, |guest| guest),
            "notification" => wit::notification::add_to_linker::<_, Own>(l, |guest| guest),
            "mail" => wit::mail::add_to_linker::<_, Own>(l, |guest| guest),
            other => unreachable!("`{other}` is not one of ours"),
        }?;
    }
    Ok(linker)
}

/// For `describe`: nothing but WASI. Our own functions trap.
pub(super) fn describing_linker(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.define_unknown_imports_as_traps(component)?;
    Ok(linker)
}
