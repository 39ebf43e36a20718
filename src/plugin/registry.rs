//! The host: loads plugins, holds them by name, replaces and removes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use model::Labels;
use ports::{Clock, Coord, Outgoing, Point, Random};
use sha2::{Digest, Sha256};

use crate::grants::{self, HostPattern};
use crate::host::{FileGrant, KeptTerms, Profile, Services, StateStore, hex};
use crate::limits::FILE_BYTES;
use crate::manifest::Needs;
use crate::params::Params;
use crate::plugin::Version;
use crate::program::Loaded;
use crate::script::{Scripts, bytes};
use crate::stats::PluginStats;
use crate::wasm::Components;
use crate::{
    Grants, Kind, Language, LimitOverrides, Limits, LoadError, Manifest, Place, Plugin, PluginSpec,
    PluginStatus, Source, bundled, memory,
};

/// What the host needs from the rest of the server.
pub struct HostDeps {
    /// The one way out.
    pub outgoing: Arc<dyn Outgoing>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Chance, for the stand-ins of secrets and the numbers of calls.
    pub random: Arc<dyn Random>,
    /// Where the state of plugins is kept; without it state ends with the process. Keys begin with `plugin/`.
    pub state: Option<Arc<dyn Coord>>,
    /// Where compiled components are kept; without it each start compiles them again.
    pub cache_dir: Option<PathBuf>,
}

/// What differs between hosts.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Findings that a rule may have, unless its own limits say otherwise.
    pub findings: usize,
    /// How many components run at once.
    pub components: usize,
    /// How many scripts run at once.
    pub scripts: usize,
}

impl Default for HostOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        HostOptions { findings: 1000, components: (2 * cores).max(4), scripts: (2 * cores).max(4) }
    }
}

/// Loads and holds plugins.
pub struct PluginHost {
    services: Arc<Services>,
    scripts: Scripts,
    /// Made when the first component is loaded: it reserves address space.
    components: OnceLock<Result<Arc<Components>, String>>,
    cache_dir: Option<PathBuf>,
    options: HostOptions,
    plugins: RwLock<BTreeMap<String, Arc<Plugin>>>,
}

/// A plugin as a file says it is, before it is loaded: what `foghorn plugin check` prints.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// What it is for.
    pub kind: Kind,
    /// What it is written in.
    pub language: Language,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// What it says about itself.
    pub manifest: Manifest,
    /// The limits of a call.
    pub limits: Limits,
    /// The configuration that grants what it asks for; `None` if it asks for nothing.
    pub grant: Option<String>,
    /// Things to look at: unknown fields, calls of functions that are not there.
    pub warnings: Vec<String>,
}

impl PluginHost {
    /// A host without plugins. Must be called inside a tokio runtime, on which scripts wait for the host.
    pub fn new(deps: HostDeps, options: HostOptions) -> Result<Arc<PluginHost>, ports::CoordError> {
        if !memory::is_counted() {
            tracing::warn!("The allocator does not count: scripts run without a memory limit.");
        }
        let mut stand_in_key = [0; 32];
        for chunk in stand_in_key.chunks_mut(8) {
            chunk.copy_from_slice(&deps.random.next_u64().to_le_bytes());
        }
        let services = Arc::new(Services {
            outgoing: deps.outgoing,
            clock: deps.clock,
            random: deps.random,
            state: StateStore::open(deps.state)?,
            stand_in_key,
        });
        Ok(Arc::new(PluginHost {
            services,
            scripts: Scripts::new(options.scripts, tokio::runtime::Handle::current()),
            components: OnceLock::new(),
            cache_dir: deps.cache_dir,
            options,
            plugins: RwLock::default(),
        }))
    }

    /// Loads a plugin, or puts a new version in the place of the one of the same name: prepared beside it, and then
    /// swapped between two calls. On an error whatever ran before goes on running.
    ///
    /// Loading what runs already changes nothing. Two files that give themselves the same name are an error: remove the
    /// one first, or load the other under a name of its own ([`PluginSpec::name`]).
    pub async fn load(&self, spec: PluginSpec) -> Result<Arc<Plugin>, LoadError> {
        let label = spec.source.label().into_owned();
        let bytes = read(&spec.source).await?;
        let digest = hex(&Sha256::digest(&bytes));
        if let Some(running) = self.running(&spec, &digest) {
            return Ok(running);
        }
        let version = self.version(spec, bytes, digest).await?;
        let name = version.profile.name.clone();
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        match plugins.get(&name) {
            Some(old) if old.file() != label => Err(LoadError::new(
                label,
                format!("the name `{name}` is taken by {}", old.file()),
            )
            .hint(
                "load it under another name with `as: OTHER_NAME` under `plugins:`, or remove one of the two",
            )),
            Some(old) if old.kind() == version.profile.kind => {
                tracing::info!(plugin = %name, digest = %version.digest, file = %label, "A plugin was replaced.");
                old.replace(version);
                Ok(Arc::clone(old))
            }
            _ => {
                tracing::info!(plugin = %name, digest = %version.digest, file = %label, "A plugin was loaded.");
                let plugin = Arc::new(Plugin::new(version));
                plugins.insert(name, Arc::clone(&plugin));
                Ok(plugin)
            }
        }
    }

    /// Prepares a plugin without putting it under its name: for `foghorn plugin run`, tests and backtests.
    pub async fn prepare(&self, spec: PluginSpec) -> Result<Arc<Plugin>, LoadError> {
        let bytes = read(&spec.source).await?;
        let digest = hex(&Sha256::digest(&bytes));
        Ok(Arc::new(Plugin::new(self.version(spec, bytes, digest).await?)))
    }

    /// Looks at a plugin without asking what it is granted.
    pub async fn check(&self, source: &Source) -> Result<CheckReport, LoadError> {
        let label = source.label().into_owned();
        let bytes = read(source).await?;
        let digest = hex(&Sha256::digest(&bytes));
        let language = Language::of(&bytes);
        let loaded = self.program(&label, bytes, &digest).await?;
        let (manifest, unknown) = manifest(&label, &loaded)?;
        let needs = grants::missing(&manifest, loaded.kind, &Grants::default());
        let asks =
            Needs { secrets: manifest.needs.secrets.clone(), smtp: manifest.needs.smtp.clone(), ..needs };
        let asks_nothing = asks == Needs::default() || loaded.kind == Kind::Rule;
        Ok(CheckReport {
            kind: loaded.kind,
            language,
            digest,
            limits: self.limits(loaded.kind, language, &manifest.limits, &LimitOverrides::default()),
            grant: (!asks_nothing).then(|| grants::yaml(&label, loaded.kind, &asks)),
            warnings: unknown.into_iter().chain(loaded.warnings).collect(),
            manifest,
        })
    }

    /// Takes a plugin away. Calls under way end by themselves; its state is kept.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.plugins.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if removed.is_some() {
            tracing::info!(plugin = name, "A plugin was removed.");
        }
        removed.is_some()
    }

    /// The plugin of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.plugins.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All plugins, by name.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.plugins.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All plugins as people see them, by name.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.plugins().iter().map(|plugin| plugin.status()).collect()
    }

    /// Lets a plugin in quarantine run again. Whether there is one of this name.
    pub fn release(&self, name: &str) -> bool {
        self.get(name).inspect(|plugin| plugin.release()).is_some()
    }

    /// Counters of all plugins and their own metrics, for `/metrics`.
    pub fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for plugin in self.plugins() {
            let version = plugin.version();
            plugin.stats().points(plugin.name(), plugin.kind(), &mut points);
            let state = plugin.state().as_str();
            let mut push = |labels: &[(&str, &str)], value: f64| {
                points.push(Point {
                    labels: Labels::from_pairs(labels.iter().copied()),
                    value: value.into(),
                    at: None,
                });
            };
            for known in ["active", "degraded", "quarantined"] {
                let value = f64::from(u8::from(known == state));
                push(
                    &[("__name__", "foghorn_plugin_state"), ("plugin", plugin.name()), ("state", known)],
                    value,
                );
            }
            push(
                &[
                    ("__name__", "foghorn_plugin_info"),
                    ("plugin", plugin.name()),
                    ("digest", &version.digest),
                    ("version", &version.profile.manifest.version),
                    ("language", version.language.as_str()),
                ],
                1.0,
            );
        }
        points
    }

    /// The plugin that is exactly this already.
    fn running(&self, spec: &PluginSpec, digest: &str) -> Option<Arc<Plugin>> {
        self.plugins().into_iter().find(|plugin| {
            let version = plugin.version();
            version.digest == digest && version.spec == *spec
        })
    }

    /// Everything that can fail about a new version.
    async fn version(&self, spec: PluginSpec, bytes: Bytes, digest: String) -> Result<Version, LoadError> {
        let file = spec.source.label().into_owned();
        check_digest(&file, spec.sha256.as_deref(), &digest)?;
        let language = Language::of(&bytes);
        let loaded = self.program(&file, bytes, &digest).await?;
        let (manifest, mut warnings) = manifest(&file, &loaded)?;
        warnings.extend(loaded.warnings);
        let profile = self.profile(&spec, file, loaded.kind, language, manifest)?;
        Ok(Version {
            profile: Arc::new(profile),
            program: loaded.program,
            language,
            digest,
            loaded_at: self.services.clock.now(),
            warnings,
            text: loaded.text,
            spec,
        })
    }

    fn profile(
        &self,
        spec: &PluginSpec,
        file: String,
        kind: Kind,
        language: Language,
        manifest: Manifest,
    ) -> Result<Profile, LoadError> {
        let wrong = |message: String| LoadError::new(file.clone(), message);
        let name = spec.name.clone().unwrap_or_else(|| manifest.name.clone());
        if !crate::manifest::is_name(&name) {
            return Err(wrong(format!("`as: {name}` is not a name; it is letters, digits and `_`")));
        }
        let granted = effective(spec, &manifest, kind);
        let problems = grants::check(&granted);
        if !problems.is_empty() {
            return Err(wrong(problems.join("; ")));
        }
        let missing = grants::missing(&manifest, kind, &granted);
        if missing != Needs::default() {
            let hint = format!("to grant it, write\n\n{}", grants::yaml(&file, kind, &missing));
            return Err(LoadError { ungranted: true, ..wrong(ungranted(kind, &missing)).hint(hint) });
        }
        let limits = self.limits(kind, language, &manifest.limits, &spec.limits);
        let most = Limits::memory_max(language);
        if limits.memory > most {
            let (has, most) = (bytes(limits.memory), bytes(most));
            return Err(wrong(format!(
                "`limits: {{ memory: {has} }}` is more than the {most} that a plugin can have"
            )));
        }
        let params = Params::new(&manifest, &spec.params).map_err(|problems| wrong(problems.join("; ")))?;
        // A notifier's parameters may come with the receiver.
        if kind != Kind::Notifier
            && let Some(missing) = params.missing(&manifest)
        {
            return Err(wrong(missing).hint("give it under `params:`"));
        }
        let stats =
            self.get(&name).map_or_else(|| Arc::new(PluginStats::new()), |old| Arc::clone(old.stats()));
        Ok(Profile {
            limits,
            hosts: granted.hosts.iter().filter_map(|host| HostPattern::parse(host).ok()).collect(),
            files: FileGrant::new(granted.root, &granted.files).map_err(wrong)?,
            secrets: granted.secrets,
            smtp: granted.smtp,
            services: Arc::clone(&self.services),
            bundled: matches!(spec.source, Source::Bundled(_)),
            name,
            kind,
            file,
            manifest,
            params,
            stats,
            terms: KeptTerms::default(),
        })
    }

    fn limits(
        &self,
        kind: Kind,
        language: Language,
        manifest: &LimitOverrides,
        operator: &LimitOverrides,
    ) -> Limits {
        let defaults = Limits { findings: self.options.findings, ..Limits::of(kind, language) };
        defaults.with(manifest, operator)
    }

    async fn program(&self, file: &str, bytes: Bytes, digest: &str) -> Result<Loaded, LoadError> {
        match Language::of(&bytes) {
            Language::Rhai => self.scripts.load(file, bytes).await,
            Language::Wasm => {
                let components = self.components().map_err(|problem| LoadError::new(file, problem))?;
                components.load(file, bytes, digest).await
            }
        }
    }

    fn components(&self) -> Result<Arc<Components>, String> {
        self.components
            .get_or_init(|| Components::new(self.options.components, self.cache_dir.as_deref()).map(Arc::new))
            .clone()
    }
}

/// What the operator allows, and for what ships with us also what it asks for: nobody else wrote that.
fn effective(spec: &PluginSpec, manifest: &Manifest, kind: Kind) -> Grants {
    let mut granted = spec.allow.clone();
    if matches!(spec.source, Source::Bundled(_)) {
        let add = |to: &mut Vec<String>, wanted: &[String]| {
            for one in wanted.iter().filter(|one| !grants::is_template(one)) {
                if !to.contains(one) {
                    to.push(one.clone());
                }
            }
        };
        add(&mut granted.hosts, &manifest.needs.hosts);
        add(&mut granted.files, &manifest.needs.files);
    }
    // Only exporters read files, whatever is granted by mistake.
    if kind != Kind::Exporter {
        granted.files.clear();
    }
    granted
}

fn ungranted(kind: Kind, missing: &Needs) -> String {
    let list =
        |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
    let wants: Vec<String> = [
        list("the hosts", &missing.hosts),
        list("the secrets", &missing.secrets),
        list("the files", &missing.files),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("the {kind} asks for {}, which are not granted", wants.join(" and "))
}

fn manifest(file: &str, loaded: &Loaded) -> Result<(Manifest, Vec<String>), LoadError> {
    Manifest::from_json(&loaded.manifest).map_err(|problem| LoadError::new(file, problem))
}

fn check_digest(file: &str, wanted: Option<&str>, digest: &str) -> Result<(), LoadError> {
    match wanted {
        Some(wanted) if !wanted.eq_ignore_ascii_case(digest) => {
            Err(LoadError::new(file, format!("the file has the digest {digest}, and `sha256` says {wanted}"))
                .hint("if the change is yours, write the new digest under `sha256`"))
        }
        _ => Ok(()),
    }
}

async fn read(source: &Source) -> Result<Bytes, LoadError> {
    let wrong = |message: String| LoadError::new(source.label(), message);
    let bytes = match source {
        Source::Bytes { bytes, .. } => bytes.clone(),
        Source::Bundled(name) => {
            let found = bundled::find(name).ok_or_else(|| {
                let names: Vec<&str> = bundled::all().iter().map(|b| b.file).collect();
                let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                wrong(format!("nothing of this name ships with Foghorn; there is {names}"))
            })?;
            Bytes::from_static(found.bytes)
        }
        Source::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
            read.map_err(|_| wrong("reading was given up".to_owned()))?.map_err(|p| wrong(p.to_string()))?
        }
    };
    if bytes.is_empty() {
        return Err(wrong("the file is empty".to_owned()));
    }
    if bytes.len() > FILE_BYTES {
        return Err(wrong(format!("the file is longer than {FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn read_file(path: &Path) -> std::io::Result<Bytes> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

impl From<(&str, Option<Place>, String)> for LoadError {
    fn from((file, place, message): (&str, Option<Place>, String)) -> Self {
        LoadError { place, ..LoadError::new(file, message) }
    }
}
