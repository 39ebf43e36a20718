//! The `exposition` room.
