//! One plugin: a name under which versions replace each other, between calls and without a gap.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use model::{Labels, Timestamp};
use ports::{Collector, Evaluate, Notifier};
use tokio::sync::Semaphore;

use crate::health::{Health, State};
use crate::host::{Call, CallSetup, Profile, lock};
use crate::limits::Limits;
use crate::program::{Program, Ran};
use crate::stats::{CallRecord, PluginStats};
use crate::{CallError, ErrorKind, Fault, HostError, Kind, Language, Manifest, PluginSpec, adapt};

/// For how long a version that was replaced is kept, in case the new one does not work.
const TRIAL_TIME: Duration = Duration::from_secs(600);
/// Calls of the new version that are watched.
const TRIAL_CALLS: u32 = 10;
/// Failures among them after which the old version comes back.
const TRIAL_FAILURES: u32 = 3;

/// A loaded plugin. Adapters made from it follow its replacement.
pub struct Plugin {
    name: String,
    kind: Kind,
    current: ArcSwap<Version>,
    stats: Arc<PluginStats>,
    health: Mutex<Health>,
    trial: Mutex<Option<Trial>>,
    /// Why the version that was loaded last does not run.
    rolled_back: Mutex<Option<String>>,
    /// How many calls run at once.
    slots: Semaphore,
}

/// One version of a plugin.
pub(crate) struct Version {
    pub(crate) spec: PluginSpec,
    pub(crate) profile: Arc<Profile>,
    pub(crate) program: Arc<dyn Program>,
    pub(crate) language: Language,
    pub(crate) digest: String,
    pub(crate) loaded_at: Timestamp,
    pub(crate) warnings: Vec<String>,
    pub(crate) text: Option<Arc<str>>,
}

/// A new version under watch, and the one that it replaced.
struct Trial {
    previous: Arc<Version>,
    began: Instant,
    calls: u32,
    failures: u32,
}

/// What a rule's manifest says about its alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleMeta {
    /// The `alertname`.
    pub name: String,
    /// The interval, unless the server's own is to be used.
    pub every: Option<Duration>,
    /// Prometheus' `for`.
    pub hold: Duration,
    /// Prometheus' `keep_firing_for`.
    pub keep_firing: Duration,
    /// Labels that are added to each finding.
    pub labels: Labels,
    /// Annotations that are added to each finding; templates, as in a rule file.
    pub annotations: BTreeMap<String, String>,
}

/// A parameter as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamStatus {
    /// Its name.
    pub name: String,
    /// The value, as JSON.
    pub value: serde_json::Value,
    /// The manifest's default, as JSON.
    pub default: serde_json::Value,
    /// For people.
    pub about: String,
}

/// A plugin as people see it.
#[derive(Clone, Debug)]
pub struct PluginStatus {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// What it is written in.
    pub language: Language,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// Its own version.
    pub version: String,
    /// What it says about itself.
    pub about: String,
    /// The file, or `bundled:NAME`.
    pub file: String,
    /// Whether it is called.
    pub state: State,
    /// When this version was loaded.
    pub loaded_at: Timestamp,
    /// The last calls, the newest first.
    pub calls: Vec<CallRecord>,
    /// What it asks for and what it is granted. Values of secrets are not in there.
    pub manifest: Manifest,
    /// What the operator said.
    pub spec: PluginSpec,
    /// The parameters in force.
    pub params: Vec<ParamStatus>,
    /// The limits of a call.
    pub limits: Limits,
    /// Keys and bytes of its state.
    pub kept: (usize, usize),
    /// The text of a script.
    pub text: Option<Arc<str>>,
    /// Things to look at.
    pub warnings: Vec<String>,
    /// Why the newest version does not run, if the one before it was brought back.
    pub rolled_back: Option<String>,
}

impl Plugin {
    pub(crate) fn new(version: Version) -> Plugin {
        let kind = version.profile.kind;
        let slots = match kind {
            Kind::Rule => 1,
            Kind::Exporter => 16,
            Kind::Notifier => 4,
        };
        Plugin {
            name: version.profile.name.clone(),
            kind,
            stats: Arc::clone(&version.profile.stats),
            current: ArcSwap::from_pointee(version),
            health: Mutex::default(),
            trial: Mutex::default(),
            rolled_back: Mutex::default(),
            slots: Semaphore::new(slots),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The file, or `bundled:NAME`.
    pub fn file(&self) -> String {
        self.version().profile.file.clone()
    }

    /// SHA-256 of the bytes of the version that runs, in hexadecimal.
    pub fn digest(&self) -> String {
        self.version().digest.clone()
    }

    /// What it says about itself.
    pub fn manifest(&self) -> Manifest {
        self.version().profile.manifest.clone()
    }

    /// As a reader of targets, if it is an exporter.
    pub fn collector(self: &Arc<Self>) -> Option<Arc<dyn Collector>> {
        (self.kind == Kind::Exporter).then(|| adapt::collector(Arc::clone(self)))
    }

    /// As the condition of a rule, with what its manifest says about the alerts, if it is a rule.
    pub fn rule(self: &Arc<Self>) -> Option<(RuleMeta, Arc<dyn Evaluate>)> {
        if self.kind != Kind::Rule {
            return None;
        }
        let version = self.version();
        let manifest = &version.profile.manifest;
        let meta = RuleMeta {
            name: self.name.clone(),
            every: manifest.every,
            hold: manifest.hold,
            keep_firing: manifest.keep_firing,
            labels: manifest.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect(),
            annotations: manifest.annotations.clone(),
        };
        Some((meta, adapt::rule(Arc::clone(self))))
    }

    /// As an integration of receivers, if it is a notifier.
    pub fn notifier(self: &Arc<Self>) -> Option<Arc<dyn Notifier>> {
        (self.kind == Kind::Notifier).then(|| adapt::notifier(Arc::clone(self)))
    }

    /// Lets a plugin in quarantine run again.
    pub fn release(&self) {
        lock(&self.health).succeeded();
    }

    /// Everything about it that people may see.
    pub fn status(&self) -> PluginStatus {
        let version = self.version();
        let profile = &version.profile;
        let manifest = &profile.manifest;
        let param = |param: &crate::manifest::Param| ParamStatus {
            name: param.name.clone(),
            value: profile.params.get(&param.name).cloned().unwrap_or_default(),
            default: param.default.clone(),
            about: param.about.clone(),
        };
        PluginStatus {
            name: self.name.clone(),
            kind: self.kind,
            language: version.language,
            digest: version.digest.clone(),
            version: manifest.version.clone(),
            about: manifest.about.clone(),
            file: profile.file.clone(),
            state: self.state(),
            loaded_at: version.loaded_at,
            calls: self.stats.last(),
            manifest: manifest.clone(),
            spec: version.spec.clone(),
            params: manifest.params.iter().map(param).collect(),
            limits: profile.limits,
            kept: profile.services.state.size(&self.name),
            text: version.text.clone(),
            warnings: version.warnings.clone(),
            rolled_back: lock(&self.rolled_back).clone(),
        }
    }

    /// Whether it is called.
    pub fn state(&self) -> State {
        lock(&self.health).state(self.version().profile.services.clock.now())
    }

    pub(crate) fn version(&self) -> Arc<Version> {
        self.current.load_full()
    }

    pub(crate) fn stats(&self) -> &Arc<PluginStats> {
        &self.stats
    }

    /// Puts `next` in place of the version that runs. Calls under way end with the old one.
    pub(crate) fn replace(&self, next: Version) {
        let was_well = lock(&self.health).is_well();
        let previous = self.current.swap(Arc::new(next));
        let trial = Trial { previous, began: Instant::now(), calls: 0, failures: 0 };
        *lock(&self.trial) = was_well.then_some(trial);
        *lock(&self.rolled_back) = None;
        lock(&self.health).succeeded();
    }

    /// One call, from the check that it may run to the books: `work` gets the version and the call.
    pub(crate) async fn call<T, F>(
        &self,
        setup: CallSetup,
        summary: impl FnOnce(&T) -> String,
        work: impl FnOnce(Arc<Version>, Arc<Call>) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Ran<T>>,
    {
        let version = self.version();
        let at = version.profile.services.clock.now();
        self.may_run(&version, at)?;
        let began = Instant::now();
        let ran = match Call::new(&version.profile, setup) {
            Ok(call) => self.run(Arc::clone(&version), Arc::new(call), work).await,
            Err(error) => Ran { outcome: Err(self.error(error)), cpu: Duration::ZERO, memory: 0 },
        };
        let record = CallRecord {
            at,
            duration: began.elapsed(),
            cpu: ran.cpu,
            outcome: ran.outcome.as_ref().map(summary).map_err(Clone::clone),
        };
        self.stats.memory(ran.memory);
        self.stats.called(record);
        self.judge(&version, ran.outcome.as_ref().err(), at);
        ran.outcome
    }

    async fn run<T, F>(
        &self,
        version: Arc<Version>,
        call: Arc<Call>,
        work: impl FnOnce(Arc<Version>, Arc<Call>) -> F,
    ) -> Ran<T>
    where
        F: Future<Output = Ran<T>>,
    {
        // If the caller goes away, a script on its own thread must hear of it.
        let _abandon = Abandon(Arc::clone(&call));
        let queued = Instant::now();
        let Some(slot) = call.slot(&self.slots).await else {
            let error = HostError::limit("time", "its earlier calls have not ended");
            return Ran { outcome: Err(self.error(error)), cpu: Duration::ZERO, memory: 0 };
        };
        self.stats.queued(queued.elapsed());
        let mut ran = work(version, Arc::clone(&call)).await;
        drop(slot);
        if ran.outcome.is_ok()
            && let Err(error) = call.commit().await
        {
            ran.outcome = Err(self.error(error));
        }
        call.close();
        ran
    }

    /// An error of the host on the plugin's behalf.
    fn error(&self, error: HostError) -> CallError {
        CallError {
            plugin: self.name.clone(),
            function: self.kind.function(),
            kind: error.kind,
            fault: Fault::Reported,
            message: error.message,
            limit: error.limit,
            retry_after: error.retry_after,
            place: None,
        }
    }

    fn may_run(&self, version: &Version, now: Timestamp) -> Result<(), CallError> {
        let State::Quarantined(until) = lock(&self.health).state(now) else { return Ok(()) };
        let last = self.stats.last().into_iter().find_map(|record| record.outcome.err());
        let last = last.map_or_else(String::new, |error| format!("; the last: {}", error.message));
        let until = match until {
            Some(until) => format!("until {until}"),
            None => format!("until {} changes or it is released", version.profile.file),
        };
        let message = format!("in quarantine {until} after failing again and again{last}");
        Err(self.error(HostError::new(ErrorKind::Retryable, message)))
    }

    /// What a call's outcome means for the plugin, and for a version under watch.
    fn judge(&self, version: &Arc<Version>, error: Option<&CallError>, now: Timestamp) {
        {
            let mut health = lock(&self.health);
            match error {
                None => health.succeeded(),
                Some(error) => health.failed(error, now),
            }
        }
        let mut trial = lock(&self.trial);
        let Some(watched) = trial.as_mut().filter(|_| Arc::ptr_eq(version, &self.version())) else { return };
        watched.calls += 1;
        watched.failures += u32::from(error.is_some_and(|error| error.fault != Fault::Reported));
        if watched.failures >= TRIAL_FAILURES {
            let previous = Arc::clone(&watched.previous);
            let reason = error.map(ToString::to_string).unwrap_or_default();
            tracing::error!(plugin = %self.name, digest = %version.digest, %reason,
                "A new version failed; the one before it runs again.");
            *lock(&self.rolled_back) = Some(reason);
            self.current.store(previous);
            lock(&self.health).succeeded();
            *trial = None;
        } else if watched.calls >= TRIAL_CALLS || watched.began.elapsed() > TRIAL_TIME {
            *trial = None;
        }
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

struct Abandon(Arc<Call>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
