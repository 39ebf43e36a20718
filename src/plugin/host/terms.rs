//! What a receiver's settings make of a plugin's profile: the terms on which a call is made.
//!
//! Reading settings takes longer than what most notifiers do with them, and a storm has thousands of messages with the
//! same ones. So terms are kept and found again by the settings that they came from, unless a file had a say in them:
//! files are read for each call, since they may have changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ports::{HttpOptions, SmtpServer};
use url::Url;

use super::secrets::Resolved;
use super::settings::{Settings, host_of_url};
use super::{Profile, lock};
use crate::SecretSource;
use crate::grants::HostPattern;
use crate::params::Params;

/// Terms of one profile that are kept; when there are more, all are read again.
const KEPT_MAX: usize = 64;
/// Choices of hosts that are kept for one set of terms.
const REACHES_MAX: usize = 64;

/// Name → JSON text, as a notification brings them.
pub(crate) type RawSettings = Arc<BTreeMap<String, String>>;

/// See the module.
pub(crate) struct Terms {
    settings: RawSettings,
    pub(super) params: Params,
    pub(super) secrets: BTreeMap<String, SecretSource>,
    /// All that are granted: the plugin's own, and those that the operator named by writing their address.
    pub(super) hosts: Vec<HostPattern>,
    pub(super) smtp: BTreeMap<String, SmtpServer>,
    pub(super) http_options: Arc<HttpOptions>,
    /// Secrets that stand in the configuration itself, once a call has asked for them.
    resolved: Mutex<Vec<Arc<Resolved>>>,
    /// Which of `hosts` → how they are written.
    reaches: Mutex<Vec<(Vec<bool>, Arc<[String]>)>>,
    /// The address that was asked for last. Most notifiers have one.
    url: Mutex<Option<(String, Url)>>,
}

impl Terms {
    fn read(profile: &Profile, settings: &RawSettings) -> Result<(Terms, bool), String> {
        let mut values = Settings::new(settings);
        let aws = values.aws()?;
        let aws_lasts = aws.as_ref().is_none_or(|(_, lasting)| *lasting);
        let params = profile.params.with(&profile.manifest, values.values())?;
        if let Some(missing) = params.missing(&profile.manifest) {
            return Err(missing);
        }
        let mut secrets = profile.secrets.clone();
        let from_settings = values.secrets(&profile.manifest.needs.secrets);
        let of_files = from_settings.values().any(|source| !matches!(source, SecretSource::Inline(_)));
        let mut hosts = profile.hosts.clone();
        hosts.extend(values.hosts(&from_settings));
        hosts.extend(addressed(profile, &params));
        secrets.extend(from_settings);
        let mut smtp = profile.smtp.clone();
        smtp.extend(values.smtp()?);
        let terms = Terms {
            settings: Arc::clone(settings),
            params,
            secrets,
            hosts,
            smtp,
            http_options: values.http_options(aws.map(|(signing, _)| signing))?,
            resolved: Mutex::default(),
            reaches: Mutex::default(),
            url: Mutex::default(),
        };
        Ok((terms, !of_files && aws_lasts && !values.smtp_reads_files()))
    }

    /// A secret that an earlier call on these terms has asked for.
    pub(super) fn resolved(&self, name: &str) -> Option<Arc<Resolved>> {
        lock(&self.resolved).iter().find(|known| known.name == name).cloned()
    }

    /// Keeps a secret that cannot change as long as these terms hold.
    pub(super) fn keep(&self, resolved: &Arc<Resolved>) {
        lock(&self.resolved).push(Arc::clone(resolved));
    }

    /// `address`, read with `parse` unless it was just read.
    pub(super) fn url<E>(&self, address: &str, parse: impl FnOnce(&str) -> Result<Url, E>) -> Result<Url, E> {
        let mut last = lock(&self.url);
        if let Some((_, url)) = last.as_ref().filter(|(known, _)| known == address) {
            return Ok(url.clone());
        }
        let url = parse(address)?;
        *last = Some((address.to_owned(), url.clone()));
        Ok(url)
    }

    /// All hosts as [`ports::Reach`] writes them, or only those that `url` is on.
    pub(super) fn reach(&self, only: Option<&Url>) -> Arc<[String]> {
        let chosen: Vec<bool> =
            self.hosts.iter().map(|host| only.is_none_or(|url| host.matches(url))).collect();
        let mut reaches = lock(&self.reaches);
        if let Some((_, reach)) = reaches.iter().find(|(known, _)| *known == chosen) {
            return Arc::clone(reach);
        }
        let hosts = self.hosts.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
        let reach: Arc<[String]> = hosts.map(|(host, _)| host.to_string()).collect();
        if reaches.len() >= REACHES_MAX {
            reaches.clear();
        }
        reaches.push((chosen, Arc::clone(&reach)));
        reach
    }
}

/// The terms of one profile that were read already.
#[derive(Default)]
pub(crate) struct KeptTerms(Mutex<Vec<Arc<Terms>>>);

impl KeptTerms {
    /// The terms that `settings` come to. An error is about the settings.
    pub(crate) fn of(&self, profile: &Profile, settings: &RawSettings) -> Result<Arc<Terms>, String> {
        let same =
            |known: &&Arc<Terms>| Arc::ptr_eq(&known.settings, settings) || known.settings == *settings;
        if let Some(known) = lock(&self.0).iter().find(same) {
            return Ok(Arc::clone(known));
        }
        let (terms, lasting) = Terms::read(profile, settings)?;
        let terms = Arc::new(terms);
        if lasting {
            let mut kept = lock(&self.0);
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.push(Arc::clone(&terms));
        }
        Ok(terms)
    }
}

/// Parameters that say where a plugin sends, beside those that its manifest names as `{NAME}` under `needs.hosts`. Other
/// parameters may hold links, which are an alert's and not the operator's; so does one of these whose type is `link`.
const ADDRESSES: [&str; 3] = ["url", "api_url", "app_url"];

/// The hosts of parameters that are addresses: as the operator wrote them, or as they came with what ships with us.
fn addressed(profile: &Profile, params: &Params) -> Vec<HostPattern> {
    let named =
        profile.manifest.needs.hosts.iter().filter_map(|host| host.strip_prefix('{')?.strip_suffix('}'));
    let mut hosts = Vec::new();
    for name in named.chain(ADDRESSES) {
        let Some(value) = params.get(name) else { continue };
        let declared = profile.manifest.param(name);
        if declared.is_some_and(|param| param.kind == "link") {
            continue;
        }
        let is_default = declared.is_some_and(|param| param.default == *value);
        let host = value.as_str().and_then(host_of_url);
        if let Some(host) = host.filter(|host| !hosts.contains(host)) {
            match (is_default, profile.bundled) {
                (false, _) => hosts.push(host),
                (true, true) => hosts.push(host.public()),
                (true, false) => {}
            }
        }
    }
    hosts
}
