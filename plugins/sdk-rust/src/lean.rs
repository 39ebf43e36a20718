//! Lean notifiers: those that ask for what they tell instead of being handed it.
//!
//! Handing a notification over means one call into the component for each of its texts, a hundred for a single alert. A
//! notifier that needs none of them, since the JSON that the host writes says it all, is better off asking for that.
//! What a notifier is for, and what its errors mean, is as in [`crate::notifier`].
//!
//! ```
//! use foghorn_plugin::lean::*;
//!
//! struct Forward;
//!
//! impl LeanNotifier for Forward {
//!     const MANIFEST: &'static str = r#"{ "name": "forward", "needs": { "secrets": ["url"] } }"#;
//!
//!     fn notify(told: &Told) -> Result<Option<String>> {
//!         Request::post(secret("url")?).header("X-Incident", told.dedup_key()).body(told.webhook(0)).send()?.check()?;
//!         Ok(None)
//!     }
//! }
//!
//! export_lean_notifier!(Forward);
//! ```

use crate::host;
pub use crate::http::{self, Request, Response, url_encode};
pub use crate::secret::{self, secret};
pub use crate::{
    Error, ErrorKind, Labels, Result, Timestamp, clock, export_lean_notifier, json, log, mail, metrics,
    param, state,
};

/// Tells somebody.
pub trait LeanNotifier {
    /// What the plugin says about itself, as JSON: `name`, `needs`, `params`, …
    const MANIFEST: &'static str;

    /// One attempt. Returns something to remember: it comes back as [`Told::previous`]. May be called again for the same
    /// [`Told::id`].
    fn notify(told: &Told) -> Result<Option<String>>;
}

/// What is to be told. Each question is a call of the host.
#[derive(Debug)]
pub struct Told(());

impl Told {
    #[doc(hidden)]
    pub fn now() -> Told {
        Told(())
    }

    /// Alertmanager's JSON about the group, version 4, as its webhooks have it, about at most `max_alerts` of its alerts, all
    /// if it is 0.
    pub fn webhook(&self, max_alerts: u32) -> String {
        host::told_webhook(max_alerts)
    }

    /// The same for every attempt at this notification, on any replica.
    pub fn id(&self) -> String {
        text("id")
    }

    /// The same for the whole life of this group at this receiver: the incident key of pagers.
    pub fn dedup_key(&self) -> String {
        text("dedup-key")
    }

    /// `firing` if any alert is, else `resolved`.
    pub fn status(&self) -> String {
        text("status")
    }

    /// The receiver's name.
    pub fn receiver(&self) -> String {
        text("receiver")
    }

    /// The group in a few words.
    pub fn title(&self) -> String {
        text("title")
    }

    /// The server's address, for links.
    pub fn external_url(&self) -> String {
        text("external-url")
    }

    /// What the last successful call for this group returned.
    pub fn previous(&self) -> Option<String> {
        host::told_text("previous")
    }

    /// 1 for the first attempt.
    pub fn attempt(&self) -> u32 {
        host::told_attempt()
    }
}

fn text(name: &str) -> String {
    host::told_text(name).unwrap_or_default()
}

/// Makes a component of a type that implements [`LeanNotifier`]. Once per crate.
#[macro_export]
macro_rules! export_lean_notifier {
    ($plugin:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::lean::Told) -> $crate::Result<Option<String>> =
            <$plugin as $crate::lean::LeanNotifier>::notify;
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's exports are C functions")]
        const _: () = {
            struct Guest;
            impl $crate::bindings::lean_notifier_plugin::exports::foghorn::plugin::manifest::Guest for Guest {
                fn describe() -> String {
                    <$plugin as $crate::lean::LeanNotifier>::MANIFEST.to_owned()
                }
            }
            impl $crate::bindings::lean_notifier_plugin::exports::foghorn::plugin::lean_notifier::Guest for Guest {
                fn notify() -> Result<Option<String>, $crate::bindings::kit::foghorn::plugin::types::Error> {
                    $crate::glue::notify_lean::<$plugin>()
                }
            }
            $crate::bindings::lean_notifier_plugin::export!(Guest with_types_in $crate::bindings::lean_notifier_plugin);
        };
    };
}
