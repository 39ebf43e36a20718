//! The `notify` room.
