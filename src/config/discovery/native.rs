//! Targets that are written down, in files, behind a URL, or in DNS.

use std::time::Duration;

use model::{Labels, RelabelRule, relabel};
use ports::HttpOptions;

use super::DiscoveryKind;
use crate::reader::{At, Fields};
use crate::shown::Shown;
use crate::{StaticConfig, http, url};

/// Endings of files that hold targets.
const FILE_ENDINGS: [&str; 6] = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
const RECORD_TYPES: [&str; 5] = ["SRV", "A", "AAAA", "MX", "NS"];

pub(super) fn read_static(at: &At<'_>) -> Option<(StaticConfig, Shown)> {
    let fields = at.fields()?;
    let mut targets = Vec::new();
    for target in fields.get("targets").and_then(|at| at.list()).unwrap_or_default() {
        targets.extend(target.text());
    }
    fields.show("targets", Shown::texts(&targets));
    let pairs = read_labels(&fields.get("labels"));
    if !pairs.is_empty() {
        fields.show("labels", Shown::pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    Some((StaticConfig { targets, labels }, fields.finish()))
}

/// Names and values of labels; names are checked.
fn read_labels(at: &Option<At<'_>>) -> Vec<(String, String)> {
    let entries = at.as_ref().and_then(|at| at.entries()).unwrap_or_default();
    let mut pairs = Vec::new();
    for (name, value) in entries {
        if name.is_empty() {
            value.at_key().error("a label needs a name", None);
        }
        pairs.extend(value.text().map(|text| (name, text)));
    }
    pairs
}

/// Says which targets of `static_configs` are no addresses once they are relabelled. `base`: labels that every target
/// has before that.
pub(crate) fn check_addresses(fields: &Fields<'_>, base: &Labels, rules: &[RelabelRule]) {
    for group in fields.get("static_configs").and_then(|at| at.list()).unwrap_or_default() {
        let Some(inner) = group.fields() else { continue };
        let labels = inner.get("labels").and_then(|at| at.text_map_quietly()).unwrap_or_default();
        for target in inner.get("targets").and_then(|at| at.list()).unwrap_or_default() {
            let Some(written) = target.scalar().map(|s| s.text.as_str()) else { continue };
            let mut builder = base.edit();
            for (name, value) in &labels {
                builder.set(name, value);
            }
            builder.set("__address__", written);
            let Some(relabelled) = relabel(&builder.build(), rules) else { continue };
            check_address(&target, written, relabelled.value("__address__"));
        }
    }
}

/// An address is `host:port`: no scheme, no path.
fn check_address(at: &At<'_>, written: &str, address: &str) {
    if !address.contains('/') {
        return;
    }
    if written != address {
        let what =
            format!("relabelling makes `{}` of this target, which is not an address", url::masked(address));
        at.error(what, Some("`__address__` is `host:port`".to_owned()));
    } else if let Some((scheme, rest)) = address.split_once("://") {
        let host = &rest[..rest.find('/').unwrap_or(rest.len())];
        let path = &rest[host.len()..];
        let host = host.rsplit('@').next().unwrap_or_default();
        let mut hint = format!("write `{host}`");
        if scheme == "https" {
            hint.push_str(", and `scheme: https` in the job");
        }
        if path.len() > 1 {
            hint.push_str(&format!(", and `metrics_path: {path}`"));
        }
        at.error(format!("`{}` is a URL, not an address", url::masked(address)), Some(hint));
    } else if let Some(slash) = address.find('/') {
        let hint =
            format!("write `{}`, and `metrics_path: {}` in the job", &address[..slash], &address[slash..]);
        at.error(format!("`{address}` is not an address: there is a path in it"), Some(hint));
    }
}

pub(super) fn read_file(at: &At<'_>) -> Option<(DiscoveryKind, Shown)> {
    let fields = at.fields()?;
    let items = fields.get("files").and_then(|at| at.list()).unwrap_or_default();
    let mut files = Vec::new();
    let mut shown = Vec::new();
    for item in &items {
        let Some(path) = item.text() else { continue };
        let last = path.rsplit('/').next().unwrap_or_default();
        let known_ending = FILE_ENDINGS.iter().any(|ending| path.ends_with(ending));
        if !known_ending || path[..path.len() - last.len()].contains('*') || last.matches('*').count() > 1 {
            let hint = "end it with .json, .yml or .yaml; one `*` may stand in the last part of the path";
            item.error(format!("`{path}` cannot hold targets"), Some(hint.to_owned()));
        }
        files.push(item.resolve(&path));
        shown.push(Shown::text(path));
    }
    fields.show("files", Shown::List(shown));
    if items.is_empty() {
        fields.missing("files", None);
    }
    let refresh_interval = fields.duration_or("refresh_interval", Duration::from_secs(300));
    Some((DiscoveryKind::File { files, refresh_interval }, fields.finish()))
}

pub(super) fn read_http(at: &At<'_>) -> Option<(DiscoveryKind, Shown)> {
    let fields = at.fields()?;
    let text = match fields.get("url") {
        Some(at) => {
            let text = at.text()?;
            url::check_http(&at, &text, false);
            fields.show("url", Shown::text(url::masked(&text)));
            text
        }
        None => {
            fields.missing("url", None);
            String::new()
        }
    };
    let refresh_interval = fields.duration_or("refresh_interval", Duration::from_secs(60));
    let http = Box::new(http::read_inline(&fields, &HttpOptions::default()));
    let kind = DiscoveryKind::Http { url: model::Secret::new(text), refresh_interval, http };
    Some((kind, fields.finish()))
}

pub(super) fn read_dns(at: &At<'_>) -> Option<(DiscoveryKind, Shown)> {
    let fields = at.fields()?;
    let names = fields.texts("names");
    if names.is_empty() {
        fields.missing("names", None);
    }
    let refresh_interval = fields.duration_or("refresh_interval", Duration::from_secs(30));
    let record_type = match fields.get("type") {
        None => "SRV".to_owned(),
        Some(at) => {
            let text = at.text()?.to_uppercase();
            if !RECORD_TYPES.contains(&text.as_str()) {
                let hint = crate::reader::suggestion(&text, RECORD_TYPES.into_iter(), "possible");
                at.error(format!("`{text}` is not a type of record"), hint);
            }
            text
        }
    };
    fields.show("type", Shown::text(&record_type));
    let port = fields.unsigned_or("port", 0);
    let port = u16::try_from(port).ok().unwrap_or_else(|| {
        if let Some(at) = fields.get("port") {
            at.error(format!("{port} is not a port"), Some("ports are 1 to 65535".to_owned()));
        }
        0
    });
    let portless = RECORD_TYPES.contains(&record_type.as_str()) && record_type != "SRV";
    if portless && port == 0 && fields.get("port").is_none() {
        fields.missing("port", Some(format!("records of type `{record_type}` have none")));
    }
    Some((DiscoveryKind::Dns { names, refresh_interval, record_type, port }, fields.finish()))
}
