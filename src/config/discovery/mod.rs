//! Service discovery: where targets come from, other than from `static_configs`.

use std::path::PathBuf;
use std::time::Duration;

use ports::HttpOptions;

use crate::{Place, Setting};

/// One entry of a `…_sd_configs` list.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// How.
    pub kind: DiscoveryKind,
    /// Where it stands.
    pub place: Place,
}

/// What finds the targets.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryKind {
    /// `file_sd_configs`: files of targets, read again when they change.
    File {
        /// Paths; the last part may be a pattern.
        files: Vec<PathBuf>,
        /// How often they are read even if nobody says that they changed.
        refresh_interval: Duration,
    },
    /// `http_sd_configs`: a list of targets in JSON.
    Http {
        /// Where.
        url: model::Secret<String>,
        /// How often.
        refresh_interval: Duration,
        /// Credentials, TLS, proxy.
        http: Box<HttpOptions>,
    },
    /// `dns_sd_configs`: names that are looked up.
    Dns {
        /// Names.
        names: Vec<String>,
        /// How often.
        refresh_interval: Duration,
        /// `A`, `AAAA`, `SRV`, `MX` or `NS`.
        record_type: String,
        /// Port, where the record has none.
        port: u16,
    },
    /// Every other kind: its checked settings, for the plugin of this name.
    Other {
        /// `kubernetes`, `consul`, …
        name: String,
        /// What the entry says, with defaults.
        settings: Setting,
        /// Credentials, TLS, proxy.
        http: Box<HttpOptions>,
    },
}

impl DiscoveryKind {
    /// The kind's name: `file` for `file_sd_configs`.
    pub fn name(&self) -> &str {
        match self {
            DiscoveryKind::File { .. } => "file",
            DiscoveryKind::Http { .. } => "http",
            DiscoveryKind::Dns { .. } => "dns",
            DiscoveryKind::Other { name, .. } => name,
        }
    }
}
