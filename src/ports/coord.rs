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

/// A point in the history of the state. Every commit has a later one than those before it; they start anew with each process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What must hold for a commit to happen: the key is there, and was changed last by the commit with this revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which key.
    pub key: Vec<u8>,
    /// What [`Coord::commit`] returned for its last change.
    pub revision: Revision,
}

/// Commits alert state. Alone it is the journal with an fsync; shared it is a store that several replicas agree on.
pub trait Coord: Send + Sync {
    /// Makes all of `changes` durable, or none: none, with [`CoordError::Conflict`], if one of `only_if` does not hold. When
    /// this returns `Ok`, they survive a crash. Where order matters, await one before asking for the next.
    fn commit<'a>(
        &'a self,
        only_if: &'a [Condition],
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, CoordError>>;
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
