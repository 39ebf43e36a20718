//! Time as the plugin should see it.

use crate::{Timestamp, host};

/// The time now; for a rule, the evaluation's, so that replaying the past gives the same answer.
pub fn now() -> Timestamp {
    host::now()
}
