//! The real binary, real sockets: HTTP in, messages out.
//!
//! Each test starts its own servers on ports that the system chooses, with a data directory of its own. Waiting is
//! always for something to become true, with a deadline that only a broken build reaches.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

mod alike;
mod amtool;
mod crash;
mod grading;
mod kills;
mod lab;
mod limits;
mod mixins;
mod moves;
mod openapi;
mod others;
mod page;
mod pager;
mod peers;
mod plugins;
mod query;
mod receivers;
mod remote_write;
mod rule_tests;
mod sandbox;
mod senders;
mod web;
mod wrong_input;
