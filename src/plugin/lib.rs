//! Plugins: WebAssembly components and Rhai scripts behind the seams of `ports`.
//!
//! In: a file and what the operator allows it ([`PluginSpec`]). Out: a [`Plugin`], which is a reader of targets, the
//! condition of a rule, or an integration of receivers. Deny by default: a plugin reaches the functions of `host` and
//! nothing else, each within limits, and a call that fails leaves no trace.
//!
//! Absent for good, in both languages: files beyond the grant, processes, environment, threads, sockets, another
//! plugin's state; for rules any network, and any time but the evaluation's. wasmtime and Rhai types do not leave this room.
//!
//! Start at [`PluginHost::load`], then `plugin.rs` for the life of a plugin and `host/` for what it may call.

mod adapt;
pub mod bundled;
mod error;
mod grants;
mod health;
mod host;
mod kind;
mod limits;
mod manifest;
mod memory;
mod meter;
mod params;
mod plugin;
mod program;
mod registry;
mod script;
mod spec;
mod stats;
mod told;
mod wasm;

pub use bundled::Bundled;
pub use error::{CallError, ErrorKind, Fault, HostError, LoadError, Place};
pub use health::State;
pub use kind::{Kind, Language};
pub use limits::Limits;
pub use manifest::{Manifest, MetricHelp, Needs, Param};
pub use memory::CountingAllocator;
pub use plugin::{ParamStatus, Plugin, PluginStatus, RuleMeta};
pub use registry::{CheckReport, HostDeps, HostOptions, PluginHost};
pub use spec::{Grants, LimitOverrides, PluginSpec, SecretSource, Source};
pub use stats::CallRecord;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::system();
