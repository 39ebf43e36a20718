//! Plugins that come as files: those of the configuration, and whatever lies in the scripts directory.
//!
//! Files are looked at every second. A new or changed one is loaded; while a changed one cannot be loaded, its old version
//! goes on. One that is gone is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use config::{PluginConfig, PluginFile, SecretSource};
use plugin::{Grants, Kind, LimitOverrides, Plugin, PluginHost, PluginSpec, Source};
use rules::{Action, Condition, Place, Rule, RuleGroup};
use serde_json::Value;
use template::RuleTemplate;

/// How often files are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What says that a file is another one than before, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

struct Entry {
    spec: PluginSpec,
    stamp: Option<Stamp>,
    plugin: Option<Arc<Plugin>>,
    /// Why the file as it is now is not what runs.
    problem: Option<String>,
}

/// All plugin files, by what messages call them.
pub(crate) struct Scripts {
    host: Arc<PluginHost>,
    directory: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    /// Files of the configuration: asked for even if they are missing.
    wanted: Mutex<Vec<PluginSpec>>,
}

impl Scripts {
    pub(crate) fn new(host: Arc<PluginHost>, directory: PathBuf) -> Self {
        Scripts {
            host,
            directory,
            entries: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            wanted: Mutex::default(),
        }
    }

    /// The plugins of the configuration from now on.
    pub(crate) fn want(&self, specs: Vec<PluginSpec>) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = specs;
    }

    /// Loads what is new or changed, and removes what is gone. Whether anything is different now.
    pub(crate) async fn look(&self) -> bool {
        let _one = self.looking.lock().await;
        let wanted = self.specs();
        let mut different = self.remove_gone(&wanted.iter().map(|s| s.source.label().into_owned()).collect());
        for spec in wanted {
            let label = spec.source.label().into_owned();
            let stamp = stamp_of(&spec.source);
            let known = {
                let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
                entries.get(&label).is_some_and(|entry| entry.stamp == stamp && entry.spec == spec)
            };
            if known {
                continue;
            }
            different = true;
            let loaded = self.host.load(spec.clone()).await;
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = entries.entry(label).or_insert(Entry {
                spec: spec.clone(),
                stamp,
                plugin: None,
                problem: None,
            });
            (entry.spec, entry.stamp) = (spec, stamp);
            match loaded {
                Ok(plugin) => {
                    // A file that gave itself another name: the old one is no longer there.
                    if let Some(old) = entry.plugin.take().filter(|old| old.name() != plugin.name()) {
                        self.host.remove(old.name());
                    }
                    entry.plugin = Some(plugin);
                    entry.problem = None;
                }
                // It only lies there: whoever wants to use it says so in the configuration.
                Err(error)
                    if error.ungranted && entry.plugin.is_none() && entry.spec.allow == Grants::default() =>
                {
                    tracing::info!("{error}");
                }
                Err(error) => {
                    let goes_on = if entry.plugin.is_some() { "; the old version goes on" } else { "" };
                    tracing::error!("{error}{goes_on}");
                    entry.problem = Some(error.to_string());
                }
            }
        }
        different
    }

    fn specs(&self) -> Vec<PluginSpec> {
        let mut specs = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let named: BTreeSet<PathBuf> =
            specs.iter().filter_map(|s| file_of(&s.source)).map(absolute).collect();
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return specs };
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|p| is_plugin(p)).collect();
        files.sort();
        // What the configuration names has its grants there.
        specs.extend(
            files
                .into_iter()
                .filter(|f| !named.contains(&absolute(f)))
                .map(|f| PluginSpec::new(Source::File(f))),
        );
        specs
    }

    fn remove_gone(&self, wanted: &BTreeSet<String>) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|label, entry| {
            let stays = wanted.contains(label);
            if let Some(plugin) = entry.plugin.as_ref().filter(|_| !stays) {
                self.host.remove(plugin.name());
            }
            stays
        });
        entries.len() != before
    }

    /// What is wrong with files, in the words of the one who loaded them.
    pub(crate) fn problems(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values().filter_map(|entry| entry.problem.clone()).collect()
    }

    /// A rule group for each rule among the files.
    pub(crate) fn groups(&self, interval: Duration) -> Vec<RuleGroup> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .values()
            .filter_map(|entry| entry.plugin.as_ref())
            .filter_map(|plugin| group_of(plugin, interval))
            .collect()
    }
}

fn file_of(source: &Source) -> Option<&Path> {
    match source {
        Source::File(path) => Some(path),
        _ => None,
    }
}

fn absolute(path: impl AsRef<Path>) -> PathBuf {
    std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned())
}

fn is_plugin(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rhai" || ending == "wasm") && path.is_file()
}

fn stamp_of(source: &Source) -> Option<Stamp> {
    let metadata = std::fs::metadata(file_of(source)?).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), bytes: metadata.len() })
}

/// The rule of a script or component as a group of its own.
pub(crate) fn group_of(plugin: &Arc<Plugin>, interval: Duration) -> Option<RuleGroup> {
    let (meta, evaluate) = plugin.rule()?;
    let templates = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
        pairs
            .filter_map(|(name, text)| Some((name.to_owned(), RuleTemplate::parse(name, text).ok()?)))
            .collect::<Vec<_>>()
    };
    let rule = Rule {
        name: meta.name.clone(),
        labels: templates(&mut meta.labels.iter()),
        annotations: templates(&mut meta.annotations.iter().map(|(n, t)| (n.as_str(), t.as_str()))),
        action: Action::Alert { hold: meta.hold, keep_firing: meta.keep_firing },
        condition: Condition::Plugin(evaluate),
        place: Place { file: plugin.file(), line: 0 },
    };
    Some(RuleGroup {
        name: plugin.name().to_owned(),
        file: plugin.file(),
        interval: meta.every.unwrap_or(interval),
        query_offset: Duration::ZERO,
        limit: 0,
        labels: Vec::new(),
        rules: vec![rule],
    })
}

/// A plugin of the configuration as the host wants it.
pub(crate) fn spec_of(config: &PluginConfig) -> Option<PluginSpec> {
    let source = match &config.file {
        PluginFile::Path(path) => Source::File(path.clone()),
        PluginFile::Bundled(name) => Source::Bundled(name.clone()),
        // The configuration room says that these cannot be fetched.
        PluginFile::Remote(_) => return None,
    };
    let secret = |source: &SecretSource| match source {
        SecretSource::File(path) => plugin::SecretSource::File(path.clone()),
        SecretSource::Env(name) => plugin::SecretSource::Env(name.clone()),
        SecretSource::Inline(value) => plugin::SecretSource::Inline(value.clone()),
    };
    let allow = &config.allow;
    Some(PluginSpec {
        name: config.name.clone(),
        source,
        sha256: config.sha256.clone(),
        allow: Grants {
            hosts: allow.hosts.clone(),
            secrets: allow.secrets.iter().map(|(name, source)| (name.clone(), secret(source))).collect(),
            files: allow.files.clone(),
            root: allow.root.clone(),
            smtp: allow.smtp.iter().cloned().collect(),
        },
        params: config.params.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        limits: LimitOverrides {
            cpu: config.limits.cpu,
            time: config.limits.time,
            memory: config.limits.memory_bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            findings: config.limits.findings.and_then(|count| usize::try_from(count).ok()),
            points: config.limits.points.and_then(|count| usize::try_from(count).ok()),
        },
    })
}

/// A parameter as JSON. Secrets are no parameters: they go through grants.
fn plain(setting: &config::Setting) -> Value {
    use config::Setting;
    match setting {
        Setting::Null | Setting::Secret { .. } | Setting::SecretFile(_) => Value::Null,
        Setting::Bool(value) => Value::from(*value),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number of that size")]
        Setting::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => Value::from(*value as i64),
        Setting::Number(value) => Value::from(*value),
        Setting::Text(text) | Setting::Template(text) => Value::from(text.as_str()),
        Setting::List(items) => Value::Array(items.iter().map(plain).collect()),
        Setting::Map(entries) => Value::Object(entries.iter().map(|(n, v)| (n.clone(), plain(v))).collect()),
        // A receiver's alone; parameters have none.
        Setting::Typed(value) => plain(value),
    }
}

/// Names of bundled plugins of a kind.
pub(crate) fn bundled_names(kind: Kind) -> BTreeSet<String> {
    plugin::bundled::all().iter().filter(|b| b.kind() == Some(kind)).map(|b| b.name().to_owned()).collect()
}
