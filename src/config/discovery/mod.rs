//! Service discovery: where targets come from, other than from `static_configs`.

mod clouds;
mod kubernetes;
pub(crate) mod native;
mod others;

use std::path::PathBuf;
use std::time::Duration;

use ports::HttpOptions;

use crate::reader::{At, Fields};
use crate::schema::Table;
use crate::shown::Shown;
use crate::{Place, Setting, StaticConfig, http, schema};

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

/// A kind of discovery that is read by a table.
struct Mechanism {
    /// `consul` for `consul_sd_configs`.
    name: &'static str,
    /// The key of a scrape configuration.
    key: &'static str,
    /// What an entry has.
    table: &'static Table,
    /// Whether an entry has the keys of an HTTP client as well.
    http: bool,
    /// What the table cannot say.
    check: fn(&Fields<'_>),
}

const fn mechanism(name: &'static str, key: &'static str, table: &'static Table) -> Mechanism {
    Mechanism { name, key, table, http: true, check: |_| {} }
}

impl Mechanism {
    const fn without_http(mut self) -> Mechanism {
        self.http = false;
        self
    }

    const fn checked(mut self, check: fn(&Fields<'_>)) -> Mechanism {
        self.check = check;
        self
    }
}

/// All `…_sd_configs` of a scrape configuration or of `alertmanagers`.
pub(crate) fn read_all(fields: &Fields<'_>) -> (Vec<StaticConfig>, Vec<Discovery>) {
    let static_configs = fields.each("static_configs", |at| native::read_static(&not_empty(at)?));
    let mut found = Vec::new();
    let native: [(&'static str, fn(&At<'_>) -> Option<(DiscoveryKind, Shown)>); 3] = [
        ("file_sd_configs", native::read_file),
        ("http_sd_configs", native::read_http),
        ("dns_sd_configs", native::read_dns),
    ];
    for (key, read) in native {
        found.extend(fields.each(key, |at| {
            let at = not_empty(at)?;
            available(read(&at), &at)
        }));
    }
    for mechanism in clouds::ALL.iter().chain(others::ALL) {
        found.extend(fields.each(mechanism.key, |at| {
            let at = not_empty(at)?;
            available(read_other(mechanism, &at), &at)
        }));
    }
    (static_configs, found)
}

fn not_empty(at: At<'_>) -> Option<At<'_>> {
    if at.is_null() {
        at.error("this item is empty", Some("take it out, or write its keys".to_owned()));
        return None;
    }
    Some(at)
}

fn read_other(mechanism: &Mechanism, at: &At<'_>) -> Option<(DiscoveryKind, Shown)> {
    let fields = at.fields()?;
    let settings = schema::read_into(&fields, mechanism.table);
    let http = match mechanism.http {
        true => http::read_inline(&fields, &HttpOptions::default()),
        false => HttpOptions::default(),
    };
    (mechanism.check)(&fields);
    let kind = DiscoveryKind::Other {
        name: mechanism.name.to_owned(),
        settings: Setting::Map(settings),
        http: Box::new(http),
    };
    Some((kind, fields.finish()))
}

/// Says so if this server cannot do what was read.
fn available(read: Option<(DiscoveryKind, Shown)>, at: &At<'_>) -> Option<(Discovery, Shown)> {
    let (kind, shown) = read?;
    let name = kind.name();
    if !at.cx.catalog.has_discovery(name) {
        let what = format!("discovery by `{name}` is not built in");
        let hint = "have a program or a plugin write targets for `file_sd_configs`, or serve them for `http_sd_configs`";
        at.error(what, Some(hint.to_owned()));
    }
    Some((Discovery { kind, place: at.place() }, shown))
}
