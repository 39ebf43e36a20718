//! Time as the plugin should see it.

use model::Timestamp;

use super::Call;

impl Call {
    /// For a rule the evaluation's time, so that replaying the past gives the same answer; else the time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.at.unwrap_or_else(|| self.profile.services.clock.now())
    }
}
