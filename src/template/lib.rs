//! The `template` room.
