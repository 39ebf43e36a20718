//! Making alert state durable, alone or shared.

use crate::BoxFuture;

/// One change of alert state, encoded by `alerting::record`; the coordinator knows bytes, not meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about: changes with the same key replace each other.
    pub key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// Commits alert state. Alone it is the journal with an fsync; shared it is a store that several replicas agree on.
pub trait Coord: Send + Sync {
    /// Makes all of `changes` durable, or none. When this returns `Ok`, they survive a crash.
    fn commit<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), CoordError>>;
    /// Everything that is committed, in the order of keys.
    fn load(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CoordError>;
}

/// Why a change was not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordError {
    /// Certainly not committed.
    #[error("alert state cannot be written: {0}")]
    Failed(String),
    /// May or may not be committed: the answer was lost.
    #[error("it is not known whether alert state was written: {0}")]
    Unknown(String),
    /// Somebody else changed it first.
    #[error("another replica changed this first")]
    Conflict,
}
