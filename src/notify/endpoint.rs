//! Where an integration's messages go, and how.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Notification;
use ports::Notifier;
use tokio::sync::Notify;

use crate::pace::{Pace, Rate};

/// An attempt has at least this long.
const ATTEMPT_MIN: Duration = Duration::from_secs(10);
/// An attempt has no longer than this, unless the integration says so: it holds up those that wait behind it.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// How one integration is told.
#[derive(Clone)]
pub struct Endpoint {
    /// Sends.
    pub notifier: Arc<dyn Notifier>,
    /// How long an attempt may take, if the integration says.
    pub timeout: Option<Duration>,
    /// How often its service lets itself be told.
    pub rate: Option<Rate>,
    /// Names what is told, whatever it is: integrations with the same text share the rate. May be a digest.
    pub address: Option<String>,
}

impl Endpoint {
    /// Without a rate or a time limit of its own.
    pub fn new(notifier: Arc<dyn Notifier>) -> Self {
        Endpoint { notifier, timeout: None, rate: None, address: None }
    }

    /// How long an attempt at a notification may take: what the integration says, else as long as the group has until its
    /// next flush, within bounds.
    pub(crate) fn attempt_limit(&self, notification: &Notification) -> Duration {
        self.timeout.unwrap_or_else(|| notification.give_up_after.clamp(ATTEMPT_MIN, ATTEMPT_MAX))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("timeout", &self.timeout).field("rate", &self.rate).finish()
    }
}

/// The pace of one address, for all integrations that tell it.
#[derive(Debug, Default)]
pub(crate) struct SharedPace {
    pace: Mutex<Pace>,
    /// Somebody else's attempt ended: there may be room now.
    pub(crate) changed: Notify,
}

impl SharedPace {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
