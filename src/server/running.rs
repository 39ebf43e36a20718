//! The server at work: what the API sees of it, what the API may change, and how a new configuration takes effect.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alerting::{AlertDraft, AlertingView, SilenceDraft, SilenceError, SilenceId};
use api::{
    AlertView, AlertmanagersView, BeatView, Control, ControlError, DeliveryView, DroppedTargetView,
    FamilyView, GroupView, HealthView, PluginCallView, PluginView, RuleKindView, RuleView, RuntimeView,
    StoreView, TargetView, Views,
};
use config::{Catalog, Config, LoadOptions, Problems};
use model::Timestamp;
use notify::{Endpoint, IntegrationKey, Outbox, Rate};
use plugin::{Kind, PluginHost};
use ports::{BoxFuture, Clock, Collector, Deadline, Payload, Target};
use remote::Receiver;
use rules::{External, RuleGroup};
use scrape::{PoolConfig, ScrapeManager};
use template::Templates;
use tokio::sync::watch;
use tsdb::Tsdb;

use crate::alerting_task::{AlertingHandle, Wake};
use crate::deliveries::{Deliveries, tried_again};
use crate::delivery_thread::DeliveryThread;
use crate::files::DiskFiles;
use crate::map::{self, AlertingOptions};
use crate::metrics::{self, ReloadState};
use crate::notifiers::{FallbackNotifier, IntegrationNotifier, address};
use crate::others::OtherAlertmanagers;
use crate::points::write_points;
use crate::query::QueryEngine;
use crate::rule_task::{RuleSettings, RuleTasks};
use crate::scripts::{self, Scripts};

/// Notifications that are tried again which the page and the API show.
const TRYING_MAX: usize = 1000;

/// Everything that runs. The API holds it; tasks are owned by its parts.
pub(crate) struct Running {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Tsdb>,
    pub(crate) receiver: Option<Arc<Receiver>>,
    pub(crate) engine: Arc<QueryEngine>,
    pub(crate) host: Arc<PluginHost>,
    pub(crate) scripts: Scripts,
    pub(crate) scrape: ScrapeManager,
    pub(crate) rules: RuleTasks,
    pub(crate) alerting: AlertingHandle,
    pub(crate) outbox: Arc<Outbox>,
    /// Where its queues run.
    pub(crate) _delivery_thread: Option<DeliveryThread>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) traffic: Arc<api::Traffic>,
    pub(crate) others: Arc<OtherAlertmanagers>,
    pub(crate) applied: RwLock<Arc<Config>>,
    pub(crate) config_files: Vec<PathBuf>,
    pub(crate) load_options: LoadOptions,
    pub(crate) external_url: String,
    pub(crate) alerting_options: AlertingOptions,
    pub(crate) flags: Vec<(String, String)>,
    pub(crate) started: Timestamp,
    pub(crate) replay: String,
    pub(crate) corruptions: u64,
    pub(crate) clean_start: bool,
    pub(crate) retention: Duration,
    pub(crate) reloads: ReloadState,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) quit: watch::Sender<bool>,
    pub(crate) reloading: tokio::sync::Mutex<()>,
}

/// What this build has, for the configuration room.
pub fn catalog() -> Catalog {
    let mut exporters = scripts::bundled_names(Kind::Exporter);
    exporters.insert(map::SELF_COLLECTOR.to_owned());
    Catalog {
        exporters,
        notifiers: scripts::bundled_names(Kind::Notifier),
        rules: scripts::bundled_names(Kind::Rule),
        discoveries: ["static", "file", "http", "dns"].map(str::to_owned).into(),
        ..Catalog::default()
    }
}

/// Reads and checks a configuration, and says what it warns about.
pub(crate) fn read_config(paths: &[PathBuf], options: &LoadOptions) -> Result<Config, Problems> {
    let loaded = config::load_with(&DiskFiles, paths, &catalog(), options)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.config)
}

impl Running {
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.applied.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the configuration again and puts it in force. On an error everything stays as it was.
    pub(crate) async fn reload_files(&self) -> Result<(), String> {
        let _one = self.reloading.lock().await;
        let outcome = match read_config(&self.config_files, &self.load_options) {
            Ok(config) => self.apply(config).await,
            Err(problems) => Err(problems.to_string()),
        };
        self.reloads.note(outcome.is_ok(), self.clock.now());
        match &outcome {
            Ok(()) => tracing::info!("The configuration was read again."),
            Err(error) => {
                tracing::error!("The configuration was not read again, the old one goes on:\n{error}")
            }
        }
        outcome
    }

    /// Puts a configuration in force: everything that can fail first, then the swap.
    pub(crate) async fn apply(&self, config: Config) -> Result<(), String> {
        let templates = templates_of(&config)?;
        let mut specs: Vec<_> = config.plugins.iter().filter_map(scripts::spec_of).collect();
        // What `plugins:` says about a file counts, wherever else the file is named.
        let named: Vec<String> = specs.iter().map(|spec| spec.source.label().into_owned()).collect();
        let rules = config.script_rules.iter().map(map::script_rule);
        specs.extend(rules.filter(|spec| !named.contains(&spec.source.label().into_owned())));
        self.scripts.want(specs);
        // The user's own plugins first: one of them may take the name of a bundled one.
        self.scripts.look().await;
        self.load_bundled(&config).await?;
        self.engine.log.open(config.global.query_log_file.as_deref())?;
        // From here on nothing fails.
        let config = Arc::new(config);
        *self.applied.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&config);
        self.engine.set_default_step(config.global.evaluation_interval);
        self.outbox.set_endpoints(self.endpoints(&config, &templates));
        self.others.apply(&config.alertmanagers, config.alerting.is_some());
        let alerting = map::alerting_config(&config, &self.external_url, &self.alerting_options);
        self.alerting.send(Wake::Reload(Arc::new(alerting))).await;
        self.scrape.apply(config.scrape_configs.iter().map(PoolConfig::from).collect());
        self.apply_rules(&config).await;
        Ok(())
    }

    /// Loads the plugins inside the binary that the configuration asks for by name.
    async fn load_bundled(&self, config: &Config) -> Result<(), String> {
        let granted: Vec<String> = config.plugins.iter().filter_map(map::granted_name).collect();
        let exporters =
            config.scrape_configs.iter().filter_map(|s| s.plugin.as_ref()).map(|p| p.name.as_str());
        let notifiers = config.receivers.iter().flat_map(|r| &r.integrations).map(|i| i.plugin.name.as_str());
        let mut wanted: Vec<&str> =
            exporters.chain(notifiers).filter(|name| *name != map::SELF_COLLECTOR).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for name in wanted {
            if granted.iter().any(|g| g == name)
                || self.host.get(name).is_some()
                || plugin::bundled::find(name).is_none()
            {
                continue;
            }
            let spec = plugin::PluginSpec::new(plugin::Source::Bundled(name.to_owned()));
            self.host.load(spec).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Where notifications go. An integration whose notifier is missing is told again when it is there.
    fn endpoints(&self, config: &Config, templates: &Arc<Templates>) -> HashMap<IntegrationKey, Endpoint> {
        let mut endpoints = HashMap::new();
        for receiver in &config.receivers {
            for integration in &receiver.integrations {
                let key = IntegrationKey {
                    receiver: receiver.name.as_str().into(),
                    kind: integration.kind.as_str().into(),
                    index: integration.index,
                };
                let Some(notifier) = self.notifier(integration, templates) else {
                    let name = &integration.plugin.name;
                    let fallback = self.fallback(receiver, config, templates);
                    match &fallback {
                        Some(fallback) => {
                            tracing::error!(receiver = %receiver.name, plugin = %name, fallback = %fallback.name, "No notifier of this name is loaded; the fallback is told.")
                        }
                        None => {
                            tracing::error!(receiver = %receiver.name, plugin = %name, "No notifier of this name is loaded; this receiver is not told.")
                        }
                    }
                    endpoints.extend(fallback.map(|fallback| (key, Endpoint::new(Arc::new(fallback)))));
                    continue;
                };
                let endpoint = Endpoint {
                    timeout: integration.timeout,
                    rate: integration
                        .rate_limit
                        .map(|limit| Rate { messages: limit.messages, per: limit.per }),
                    address: address(integration),
                    ..Endpoint::new(Arc::new(notifier))
                };
                endpoints.insert(key, endpoint);
            }
        }
        endpoints
    }

    /// An integration, if its notifier is loaded.
    fn notifier(
        &self,
        integration: &config::Integration,
        templates: &Arc<Templates>,
    ) -> Option<IntegrationNotifier> {
        let inner = self.host.get(&integration.plugin.name)?.notifier()?;
        Some(IntegrationNotifier::new(inner, integration.clone(), Arc::clone(templates)))
    }

    /// Those who are told while one of a receiver's notifiers is missing: what is loaded of its `fallback`.
    fn fallback(
        &self,
        receiver: &config::Receiver,
        config: &Config,
        templates: &Arc<Templates>,
    ) -> Option<FallbackNotifier> {
        let fallback =
            config.receivers.iter().find(|other| Some(&other.name) == receiver.fallback.as_ref())?;
        let integrations: Vec<_> = fallback
            .integrations
            .iter()
            .filter_map(|integration| self.notifier(integration, templates))
            .collect();
        (!integrations.is_empty()).then(|| FallbackNotifier { name: fallback.name.clone(), integrations })
    }

    async fn apply_rules(&self, config: &Config) {
        let interval = config.global.evaluation_interval;
        let offset = config.global.rule_query_offset;
        let mut groups: Vec<RuleGroup> =
            config.rule_groups.iter().map(|group| map::rule_group(group, interval, offset)).collect();
        groups.extend(self.scripts.groups(interval));
        let settings = RuleSettings {
            external: External {
                labels: config.global.external_labels.clone(),
                url: self.external_url.clone(),
            },
            relabel: config.alert_relabel_configs.clone(),
        };
        self.rules.apply(settings, groups).await;
    }

    /// Looks at plugin files; rules and notifiers follow what is there.
    pub(crate) async fn look_at_scripts(&self) {
        if !self.scripts.look().await {
            return;
        }
        let _one = self.reloading.lock().await;
        let config = self.config();
        match templates_of(&config) {
            Ok(templates) => self.outbox.set_endpoints(self.endpoints(&config, &templates)),
            Err(error) => {
                tracing::error!(%error, "Templates that were in force cannot be read; receivers stay as they were.")
            }
        }
        self.apply_rules(&config).await;
    }

    /// The collector of this name, for scrape pools.
    pub(crate) fn collector(
        host: &PluginHost,
        own: &Arc<dyn Collector>,
        name: &str,
    ) -> Option<Arc<dyn Collector>> {
        if name == map::SELF_COLLECTOR {
            return Some(Arc::clone(own));
        }
        host.get(name).and_then(|plugin| plugin.collector())
    }
}

/// The templates of a configuration.
fn templates_of(config: &Config) -> Result<Arc<Templates>, String> {
    let files: Vec<(String, &str)> =
        config.templates.iter().map(|t| (t.file.to_string_lossy().into_owned(), t.text.as_str())).collect();
    Templates::parse(&files).map(Arc::new).map_err(|error| error.to_string())
}

impl Views for Running {
    fn alerting<'a>(&'a self) -> BoxFuture<'a, Option<Arc<AlertingView>>> {
        Box::pin(self.alerting.view())
    }

    fn groups(&self) -> Vec<GroupView> {
        self.rules.views().iter().map(|(view, _)| group_view(view)).collect()
    }

    fn targets(&self) -> Vec<TargetView> {
        self.scrape.targets().pools.iter().flat_map(|pool| &pool.active).map(target_view).collect()
    }

    fn dropped_targets(&self) -> (Vec<DroppedTargetView>, Vec<(String, usize)>) {
        let view = self.scrape.targets();
        let counts = view.pools.iter().map(|pool| (pool.job.clone(), pool.dropped_count)).collect();
        let dropped = view.pools.iter().flat_map(|pool| {
            pool.dropped
                .iter()
                .map(|d| DroppedTargetView { pool: pool.job.clone(), discovered: d.discovered.clone() })
        });
        (dropped.collect(), counts)
    }

    fn relabel_rules(&self, pool: &str) -> Option<Vec<model::RelabelRule>> {
        let config = self.config();
        config.scrape_configs.iter().find(|job| job.job_name == pool).map(|job| job.relabel_configs.clone())
    }

    fn families(&self) -> Vec<FamilyView> {
        self.scrape
            .metadata()
            .into_iter()
            .map(|family| FamilyView {
                target: family.target,
                name: family.family,
                metadata: family.metadata,
            })
            .collect()
    }

    fn plugins(&self) -> Vec<PluginView> {
        self.host.list().into_iter().map(plugin_view).collect()
    }

    fn alertmanagers(&self) -> AlertmanagersView {
        let (others, dropped) = self.others.addresses();
        let mut active = vec![format!("{}/api/v2/alerts", self.external_url)];
        active.extend(others);
        AlertmanagersView { active, dropped }
    }

    fn deliveries(&self) -> Vec<DeliveryView> {
        self.deliveries.all()
    }

    fn trying(&self) -> (Vec<DeliveryView>, usize) {
        let now = self.clock.now();
        let waiting = self.outbox.status().iter().map(|queue| queue.waiting).sum();
        (
            self.outbox.unsent().iter().take(TRYING_MAX).map(|unsent| tried_again(unsent, now)).collect(),
            waiting,
        )
    }

    fn silent_receivers(&self) -> Vec<Arc<str>> {
        let config = self.config();
        let silent = config.receivers.iter().filter(|receiver| receiver.integrations.is_empty());
        silent.map(|receiver| receiver.name.as_str().into()).collect()
    }

    fn config_yaml(&self) -> String {
        self.config().redacted_yaml().to_owned()
    }

    fn alertmanager_yaml(&self) -> String {
        self.config().redacted_alertmanager_yaml().to_owned()
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.flags.clone()
    }

    fn runtime(&self) -> RuntimeView {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        RuntimeView {
            started: self.started,
            working_directory: std::env::current_dir()
                .map(|d| d.to_string_lossy().into_owned())
                .unwrap_or_default(),
            hostname: hostname.trim().to_owned(),
            reload_ok: self.reloads.ok(),
            last_reload: self.reloads.at(),
            corruptions: self.corruptions,
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            retention: model::format_duration(self.retention),
        }
    }

    fn store(&self, limit: usize) -> StoreView {
        let stats = self.store.stats();
        let cardinality = self.store.cardinality(limit);
        StoreView {
            series: stats.series,
            chunks: stats.chunks,
            label_pairs: stats.label_pairs,
            oldest: stats.oldest,
            newest: stats.newest,
            series_by_name: cardinality.series_by_metric,
            values_by_label: cardinality.values_by_label,
            bytes_by_label: cardinality.bytes_by_label,
            series_by_pair: cardinality.series_by_pair,
        }
    }

    fn health(&self) -> HealthView {
        let mut problems = self.scripts.problems();
        if !self.reloads.ok() {
            problems.push(
                "The last reload of the configuration failed; the old one goes on. The log says why."
                    .to_owned(),
            );
        }
        for pool in &self.scrape.targets().pools {
            problems.extend(pool.problems.iter().map(|problem| format!("job `{}`: {problem}", pool.job)));
        }
        if self.corruptions > 0 {
            problems.push(format!(
                "{} damaged parts of the stored data were set aside; see data/damaged.",
                self.corruptions
            ));
        }
        HealthView {
            ready: *self.ready.borrow(),
            problems,
            samples_appended: self.store.stats().samples_appended,
            replay: self.replay.clone(),
        }
    }

    fn metrics<'a>(&'a self, accept: &'a str) -> BoxFuture<'a, (String, &'static str)> {
        Box::pin(async move { write_points(self.points().await, accept, &|name| metrics::metadata(name)) })
    }
}

fn group_view(view: &rules::GroupView) -> GroupView {
    let group = &view.group;
    GroupView {
        name: group.name.clone(),
        file: group.file.clone(),
        interval: group.interval,
        limit: group.limit,
        evaluation_time: view.evaluation_duration,
        last_evaluation: view.last_evaluation,
        rules: group.rules.iter().zip(&view.rules).map(|(rule, view)| rule_view(rule, view)).collect(),
    }
}

fn rule_view(rule: &rules::Rule, view: &rules::RuleView) -> RuleView {
    let kind = match rule.action {
        rules::Action::Record => RuleKindView::Recording,
        rules::Action::Alert { hold, keep_firing } => RuleKindView::Alerting {
            hold,
            keep_firing,
            annotations: rule
                .annotations
                .iter()
                .map(|(name, text)| (name.clone(), text.source().to_owned()))
                .collect(),
            alerts: view.alerts.iter().filter_map(alert_view).collect(),
        },
    };
    let query = rule.condition.describe();
    let language = match query.rsplit_once('.').map(|(_, ending)| ending) {
        Some("rhai") => "rhai",
        Some("wasm") => "wasm",
        _ if query.starts_with("bundled:") => "wasm",
        _ => "promql",
    };
    RuleView {
        name: rule.name.clone(),
        query,
        language,
        labels: rule.plain_labels(),
        health: view.status.health.as_str(),
        last_error: view.status.last_error.clone().unwrap_or_default(),
        evaluation_time: view.status.evaluation_duration,
        last_evaluation: view.status.last_evaluation,
        kind,
    }
}

fn alert_view(alert: &rules::ActiveAlert) -> Option<AlertView> {
    let keep_firing_since = match alert.state {
        rules::AlertState::Firing { kept_since, .. } => kept_since,
        _ => None,
    };
    alert.state.is_active().then(|| AlertView {
        labels: alert.labels.clone(),
        annotations: alert.annotations.iter().map(|(n, t)| (n.to_owned(), t.to_owned())).collect(),
        state: alert.state.as_str(),
        active_at: alert.state.since(),
        keep_firing_since,
        value: alert.value,
    })
}

fn target_view(target: &scrape::TargetView) -> TargetView {
    TargetView {
        pool: target.pool.clone(),
        url: target.url.clone(),
        discovered: target.discovered.clone(),
        labels: target.labels.clone(),
        health: target.health.as_str(),
        last_error: target.last_error.clone(),
        last_scrape: target.last_scrape,
        last_duration: target.last_duration,
        interval: target.interval,
        timeout: target.timeout,
        beats: target
            .beats
            .iter()
            .map(|beat| BeatView { at: beat.at, took: beat.took, error: beat.error.clone() })
            .collect(),
    }
}

fn plugin_view(status: plugin::PluginStatus) -> PluginView {
    let allow = &status.spec.allow;
    let problems: Vec<String> = status.rolled_back.iter().chain(&status.warnings).cloned().collect();
    PluginView {
        name: status.name,
        kind: status.kind.as_str(),
        language: status.language.as_str(),
        source: status.file,
        digest: status.digest,
        about: status.about,
        version: status.version,
        state: status.state.as_str().to_owned(),
        problem: problems.join("; "),
        hosts: allow.hosts.clone(),
        secrets: allow.secrets.keys().cloned().collect(),
        files: allow.files.clone(),
        calls: status
            .calls
            .into_iter()
            .map(|call| PluginCallView {
                at: call.at,
                took: call.duration,
                outcome: call.outcome.map_err(|error| error.to_string()),
            })
            .collect(),
    }
}

fn silence_error(error: SilenceError) -> ControlError {
    match error {
        SilenceError::NotFound(_) => ControlError::NotFound(error.to_string()),
        SilenceError::NotStored(_) => ControlError::Failed(error.to_string()),
        _ => ControlError::Invalid(error.to_string()),
    }
}

impl Control for Running {
    fn post_alerts<'a>(&'a self, alerts: Vec<AlertDraft>) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move {
            let answer = self.alerting.post_alerts(alerts).await.map_err(ControlError::Failed)?;
            if let Some(problem) = answer.not_stored {
                return Err(ControlError::Failed(problem));
            }
            if answer.refused.is_empty() {
                return Ok(());
            }
            let refused: Vec<String> = answer.refused.iter().map(|(_, error)| error.to_string()).collect();
            Err(ControlError::Invalid(refused.join("; ")))
        })
    }

    fn put_silence<'a>(&'a self, draft: SilenceDraft) -> BoxFuture<'a, Result<String, ControlError>> {
        Box::pin(async move {
            let (changed, by) = (draft.id.is_some(), draft.created_by.clone());
            let matchers: Vec<String> =
                draft.matcher_sets.iter().flatten().map(ToString::to_string).collect();
            let until = draft.ends_at.map(|at| at.to_string()).unwrap_or_default();
            match self.alerting.put_silence(draft).await {
                Ok(id) => {
                    tracing::info!(%id, changed, %by, matchers = %matchers.join(","), %until, "A silence was made or changed.");
                    Ok(id.as_str().to_owned())
                }
                Err(error) => Err(silence_error(error)),
            }
        })
    }

    fn expire_silence<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move {
            self.alerting.expire_silence(SilenceId::new(id)).await.map_err(silence_error)?;
            tracing::info!(%id, "A silence was ended.");
            Ok(())
        })
    }

    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { self.reload_files().await.map_err(ControlError::Failed) })
    }

    fn quit(&self) {
        self.quit.send_replace(true);
    }

    fn exporter_page<'a>(
        &'a self,
        name: &'a str,
        accept: &'a str,
    ) -> BoxFuture<'a, Result<(String, &'static str), ControlError>> {
        Box::pin(async move {
            let missing = || ControlError::NotFound(format!("no exporter `{name}` is in use"));
            let plugin = match self.host.get(name) {
                Some(plugin) => plugin,
                // What ships with us needs no configuration to be looked at.
                None => {
                    let bundled = plugin::bundled::find(name).filter(|b| b.kind() == Some(Kind::Exporter));
                    bundled.ok_or_else(missing)?;
                    let spec = plugin::PluginSpec::new(plugin::Source::Bundled(name.to_owned()));
                    self.host.load(spec).await.map_err(|error| ControlError::Failed(error.to_string()))?
                }
            };
            let collector = plugin.collector().ok_or_else(missing)?;
            let timeout = Duration::from_secs(10);
            let target = Target {
                labels: model::Labels::empty(),
                discovered: model::Labels::empty(),
                address: "localhost".to_owned(),
                url: format!("plugin://{name}/localhost"),
                params: Vec::new(),
                interval: timeout,
                timeout,
            };
            let scrape = collector
                .collect(&target, Deadline::after(timeout))
                .await
                .map_err(|error| ControlError::Failed(error.message))?;
            let Payload::Points(points) = scrape.payload else {
                return Err(ControlError::Failed("the exporter gave a page and no points".to_owned()));
            };
            let described: HashMap<String, model::Metadata> = scrape.metadata.into_iter().collect();
            Ok(write_points(points, accept, &|family| described.get(family).cloned().unwrap_or_default()))
        })
    }
}
