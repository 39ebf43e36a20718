//! What `wit-bindgen` makes of `wit/v0.1`. Written by `cargo xtask bindings`, never by hand.
//!
//! `kit` holds the imports of all kinds, once; the others hold what a component of that kind exports. Which kind
//! a component is, is decided by the macro that its crate calls: only that puts the description of the world's exports
//! into the module.
#![allow(missing_docs, unsafe_code, unreachable_pub, unused, clippy::all, clippy::unwrap_used, rustdoc::all)]

#[rustfmt::skip]
pub mod exporter_plugin;
#[rustfmt::skip]
pub mod kit;
#[rustfmt::skip]
pub mod lean_notifier_plugin;
#[rustfmt::skip]
pub mod notifier_plugin;
#[rustfmt::skip]
pub mod rule_plugin;
