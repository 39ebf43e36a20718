//! `alerting`: other Alertmanagers that our rules' alerts are sent to as well.

use std::time::Duration;

use model::RelabelRule;
use ports::HttpOptions;

use crate::{Discovery, Place, StaticConfig};

/// One entry of `alerting.alertmanagers`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertmanagerConfig {
    /// `http` or `https`.
    pub scheme: String,
    /// In front of `/api/v2/alerts`.
    pub path_prefix: String,
    /// For one request.
    pub timeout: Duration,
    /// Credentials, TLS, proxy.
    pub http: HttpOptions,
    /// Addresses that are written down.
    pub static_configs: Vec<StaticConfig>,
    /// Addresses that are found.
    pub discoveries: Vec<Discovery>,
    /// Rules for addresses.
    pub relabel_configs: Vec<RelabelRule>,
    /// Rules for alerts on their way there.
    pub alert_relabel_configs: Vec<RelabelRule>,
    /// Where it stands.
    pub place: Place,
}
