//! The shell that puts the rooms together: clock, tasks, sockets, reload, shutdown.
//!
//! The only room that sees all others. Start at [`run`].

mod clock;
mod mail;
mod outgoing;

pub use clock::{SystemClock, SystemRandom};
pub use outgoing::HttpOutgoing;
