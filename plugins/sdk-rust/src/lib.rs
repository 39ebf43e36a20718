//! Write a Foghorn plugin in Rust: a rule, an exporter or a notifier.
//!
//! A plugin is a type that implements one trait, named like the seams of the server: [`rule::Evaluate`],
//! [`exporter::Collector`], [`notifier::Notifier`], or a leaner form of the last, [`lean::LeanNotifier`]. One macro call makes a component of it:
//!
//! ```
//! use foghorn_plugin::rule::*;
//!
//! struct HighCpu;
//!
//! impl Evaluate for HighCpu {
//!     const MANIFEST: &'static str = r#"{ "name": "HighCpu", "hold": "3m", "params": { "limit": 90.0 } }"#;
//!
//!     fn evaluate(_at: Timestamp) -> Result<Vec<Finding>> {
//!         let limit: f64 = param("limit")?;
//!         let busy = query::instant(r#"100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m])) * 100"#)?;
//!         let high = busy.into_iter().filter(|cpu| cpu.value > limit);
//!         Ok(high.map(|cpu| Finding::of(&cpu).note("summary", format!("{:.0} % busy", cpu.value))).collect())
//!     }
//! }
//!
//! export_rule!(HighCpu);
//! ```
//!
//! Every call runs in a fresh instance: a `static` does not survive it, [`state`] does. Natively, all functions of the
//! host are answered by a [`fake::FakeHost`], so plugins are tested with plain `cargo test`.
//!
//! Not here: serialization of the boundary (`bindings`, generated), and anything that the server decides (limits,
//! retries, holding an alert).

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
pub mod clock;
mod columns;
mod error;
pub mod exporter;
#[cfg(not(target_arch = "wasm32"))]
pub mod fake;
pub mod files;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
mod host;
pub mod http;
mod labels;
pub mod lean;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod notifier;
mod param;
pub mod query;
pub mod rule;
pub mod secret;
pub mod state;
mod timestamp;
pub mod webhook;

pub use error::{Error, ErrorKind, Result};
pub use labels::Labels;
pub use param::param;
pub use serde_json::json;
pub use timestamp::Timestamp;
