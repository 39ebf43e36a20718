//! Remote write, the receiving side: requests of protocol 1.0 and 2.0 → samples in the store.
//!
//! In: the body of a request as it came. Out: one [`ports::WriteBatch`] for each request, and what to tell the sender.
//!
//! ```text
//! body  →  snappy  →  series by series: label bytes → a known series, or labels and a new one  →  one batch
//! ```
//!
//! What can be stored is stored; what cannot be is said, with the first example of each reason. A request that is not
//! what it says it is stores nothing. Exemplars are checked and counted, and not stored: there is no place for them yet.
//!
//! Not here: sockets (`api`), clocks. Memory is bounded by [`Limits`]. Start at [`Receiver::receive`].

mod histogram;
mod labels;
mod protocol;
mod receiver;
mod refusals;
mod reply;
mod series_cache;
mod v1;
mod v2;
mod wire;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use protocol::Protocol;
pub use receiver::{Limits, Received, ReceivedTotals, Receiver, WriteProblem, Written};
pub use reply::{Reply, accept};
