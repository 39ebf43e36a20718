//! The `alerting` room.
