//! The `tsdb` room.
