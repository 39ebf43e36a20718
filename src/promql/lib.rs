//! The `promql` room.
