//! `alerting`: other Alertmanagers that our rules' alerts are sent to as well.

use std::time::Duration;

use model::{Labels, RelabelRule};
use ports::HttpOptions;

use crate::reader::{At, Fields};
use crate::shown::Shown;
use crate::{Discovery, NameScheme, Place, StaticConfig, discovery, http, relabel, schema};

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

/// What `alerting` says: other Alertmanagers, and rules for alerts on their way to any.
pub(crate) fn read(parent: &Fields<'_>, names: NameScheme) -> (Vec<AlertmanagerConfig>, Vec<RelabelRule>) {
    let Some(fields) = parent.get("alerting").and_then(|at| at.fields()) else {
        return (Vec::new(), Vec::new());
    };
    let alert_relabel_configs = relabel::read_list(&fields, "alert_relabel_configs", names);
    let alertmanagers = fields.each("alertmanagers", |at| read_one(&at, names));
    parent.show("alerting", fields.finish());
    (alertmanagers, alert_relabel_configs)
}

fn read_one(at: &At<'_>, names: NameScheme) -> Option<(AlertmanagerConfig, Shown)> {
    if at.is_null() {
        at.error("this item is empty", Some("take it out, or write its keys".to_owned()));
        return None;
    }
    let fields = at.fields()?;
    let http = http::read_inline(&fields, &HttpOptions::default());
    fields.at_most_one(&["basic_auth", "authorization", "oauth2", "sigv4", "google_iam"]);
    for key in ["sigv4", "google_iam"] {
        if let Some(at) = fields.get(key) {
            at.entries();
            fields.show(key, schema::plain_shown(at.node));
            if !at.cx.catalog.everything {
                let hint = "use `basic_auth`, `authorization` or `oauth2`, or a proxy that signs";
                at.at_key().error(format!("`{key}` is not built in"), Some(hint.to_owned()));
            }
        }
    }
    if let Some(at) = fields.get("api_version") {
        let version = at.text().unwrap_or_default();
        if version != "v2" {
            let hint = "Alertmanager 0.16 of 2019 and later have v2: take the key out";
            at.error(format!("version `{version}` of the API is not spoken"), Some(hint.to_owned()));
        }
        fields.show("api_version", Shown::text("v2"));
    }
    let scheme = fields.choice("scheme", &["http", "https"]);
    let path_prefix = fields.text_or("path_prefix", "");
    let timeout = fields.duration_or("timeout", Duration::from_secs(10));
    let (static_configs, discoveries) = discovery::read_all(&fields);
    let config = AlertmanagerConfig {
        scheme,
        path_prefix,
        timeout,
        http,
        static_configs,
        discoveries,
        relabel_configs: relabel::read_list(&fields, "relabel_configs", names),
        alert_relabel_configs: relabel::read_list(&fields, "alert_relabel_configs", names),
        place: at.place(),
    };
    let path = format!("{}/api/v2/alerts", config.path_prefix.trim_end_matches('/'));
    let base = [("__scheme__", config.scheme.as_str()), ("__alerts_path__", path.as_str())];
    discovery::native::check_addresses(&fields, &Labels::from_pairs(base), &config.relabel_configs);
    Some((config, fields.finish()))
}
