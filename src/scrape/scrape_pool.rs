//! The targets of one job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::Labels;
use ports::{Outgoing, Target};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::discovery::{Update, Updates, spawn_source};
use crate::http_exposition::HttpExposition;
use crate::ingest::LoopState;
use crate::scrape_loop::{Order, ScrapeLoop, Shared, Source};
use crate::stats::count;
use crate::target_labels::{Found, find_target};
use crate::target_view::TargetCell;
use crate::{CollectorKind, DiscoveryConfig, DroppedTarget, PoolConfig, PoolView, TargetGroup};

/// Updates of discovery that may wait; a source that is faster waits itself.
const UPDATES_MAX: usize = 16;
/// Problems of targets that are shown; more of them look alike.
const PROBLEMS_MAX: usize = 20;

/// What a pool is told to do.
#[derive(Clone)]
pub(crate) enum PoolOrder {
    /// Run with this configuration.
    Run(Arc<PoolConfig>),
    /// The job is gone.
    End,
    /// The process ends.
    Stop,
}

/// The part of a pool that can be looked at.
#[derive(Debug, Default)]
pub(crate) struct PoolCell {
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    active: Vec<Arc<TargetCell>>,
    dropped: Vec<Labels>,
    dropped_count: usize,
    problems: Vec<String>,
}

impl PoolCell {
    fn with<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        act(&mut self.contents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn targets(&self) -> Vec<Arc<TargetCell>> {
        self.with(|contents| contents.active.clone())
    }

    pub(crate) fn view(&self, job: &str) -> PoolView {
        let active = self.targets();
        self.with(|contents| PoolView {
            job: job.to_owned(),
            active: active.iter().map(|cell| cell.view()).collect(),
            dropped: contents
                .dropped
                .iter()
                .map(|labels| DroppedTarget { pool: job.to_owned(), discovered: labels.clone() })
                .collect(),
            dropped_count: contents.dropped_count,
            problems: contents.problems.clone(),
        })
    }
}

/// What makes a target the same after a change: its labels and what is fetched.
type TargetKey = (Labels, String);

/// A loop and the means to end it.
struct Running {
    config: Arc<PoolConfig>,
    target: Arc<Target>,
    cell: Arc<TargetCell>,
    orders: watch::Sender<Order>,
    task: JoinHandle<LoopState>,
}

/// A source of targets that is running.
struct Provider {
    id: u64,
    config: DiscoveryConfig,
    groups: Vec<TargetGroup>,
    problem: Option<String>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One job: takes targets from discovery and keeps a loop for each.
pub(crate) struct ScrapePool {
    shared: Arc<Shared>,
    outgoing: Arc<dyn Outgoing>,
    config: Arc<PoolConfig>,
    source: Arc<Source>,
    cell: Arc<PoolCell>,
    providers: Vec<Provider>,
    next_provider: u64,
    updates: (mpsc::Sender<Update>, mpsc::Receiver<Update>),
    loops: BTreeMap<TargetKey, Running>,
    forbidden: watch::Sender<Option<String>>,
    /// Loops of targets that are gone, until they have marked their series.
    ending: JoinSet<()>,
    ending_orders: Vec<watch::Sender<Order>>,
}

impl ScrapePool {
    pub(crate) fn new(
        shared: Arc<Shared>,
        outgoing: Arc<dyn Outgoing>,
        config: Arc<PoolConfig>,
        cell: Arc<PoolCell>,
    ) -> Self {
        count(&shared.stats.pools_created, 1);
        ScrapePool {
            source: Arc::new(source(&outgoing, &config)),
            shared,
            outgoing,
            config,
            cell,
            providers: Vec::new(),
            next_provider: 0,
            updates: mpsc::channel(UPDATES_MAX),
            loops: BTreeMap::new(),
            forbidden: watch::channel(None).0,
            ending: JoinSet::new(),
            ending_orders: Vec::new(),
        }
    }

    /// Runs until told otherwise.
    pub(crate) async fn run(mut self, mut orders: watch::Receiver<PoolOrder>) {
        self.start_providers();
        self.sync().await;
        loop {
            tokio::select! {
                biased;
                changed = orders.changed() => {
                    let order = orders.borrow_and_update().clone();
                    match (changed, order) {
                        (Ok(()), PoolOrder::Run(config)) => self.reload(config).await,
                        (Ok(()), PoolOrder::End) => return self.end(orders).await,
                        (Ok(()), PoolOrder::Stop) | (Err(_), _) => return self.stop().await,
                    }
                }
                Some(update) = self.updates.1.recv() => {
                    self.take(update);
                    while let Ok(update) = self.updates.1.try_recv() {
                        self.take(update);
                    }
                    self.sync().await;
                }
                Some(_) = self.ending.join_next(), if !self.ending.is_empty() => {
                    self.ending_orders.retain(|orders| !orders.is_closed());
                }
            }
        }
    }

    async fn reload(&mut self, config: Arc<PoolConfig>) {
        count(&self.shared.stats.pool_reloads, 1);
        if !config.scrapes_like(&self.config) {
            self.source = Arc::new(source(&self.outgoing, &config));
        }
        self.config = config;
        self.start_providers();
        self.sync().await;
    }

    /// Starts the configured sources; those that run already go on.
    fn start_providers(&mut self) {
        let mut old = std::mem::take(&mut self.providers);
        for config in &self.config.discoveries {
            let provider = match old.iter().position(|provider| provider.config == *config) {
                Some(place) => old.swap_remove(place),
                None => {
                    self.shared.stats.discovery_failed(&self.config.job_name, config.kind(), 0);
                    self.next_provider += 1;
                    let id = self.next_provider;
                    let updates = Updates { source: id, sender: self.updates.0.clone() };
                    let task = spawn_source(config, &self.outgoing, updates);
                    Provider { id, config: config.clone(), groups: Vec::new(), problem: None, task }
                }
            };
            self.providers.push(provider);
        }
    }

    fn take(&mut self, update: Update) {
        let provider = self.providers.iter_mut().find(|provider| provider.id == update.source);
        let Some(provider) = provider else { return };
        if let Some(groups) = update.groups {
            provider.groups = groups;
        }
        if let Some(problem) = &update.problem {
            self.shared.stats.discovery_failed(&self.config.job_name, provider.config.kind(), 1);
            if provider.problem.as_ref() != Some(problem) {
                tracing::warn!(pool = self.config.job_name, problem, "Targets could not be found.");
            }
        }
        provider.problem = update.problem;
    }

    /// Makes the loops those of the targets that there are.
    async fn sync(&mut self) {
        let started = Instant::now();
        let found = self.find();
        let limit = self.config.limits.targets;
        let forbidden = (limit > 0 && found.targets.len() as u64 > limit)
            .then(|| format!("the job has {} targets; target_limit is {limit}", found.targets.len()));
        if forbidden.is_some() {
            count(&self.shared.stats.exceeded_target_limit, 1);
        }
        self.forbidden.send_replace(forbidden);
        let mut old = std::mem::take(&mut self.loops);
        for (key, target) in found.targets {
            let target = Arc::new(target);
            let running = match old.remove(&key) {
                Some(running) => self.keep(running, target).await,
                None => {
                    let cell = Arc::new(TargetCell::new(self.config.job_name.clone(), Arc::clone(&target)));
                    self.start(target, cell, LoopState::default())
                }
            };
            self.loops.insert(key, running);
        }
        for running in old.into_values() {
            running.orders.send_replace(Order::End);
            self.ending_orders.push(running.orders);
            self.ending.spawn(async move {
                let _ = running.task.await;
            });
        }
        let active: Vec<Arc<TargetCell>> =
            self.loops.values().map(|running| Arc::clone(&running.cell)).collect();
        let (targets, failed, discovered) = (active.len(), found.failed, found.discovered);
        let mut problems: Vec<String> =
            self.providers.iter().filter_map(|provider| provider.problem.clone()).collect();
        problems.extend(found.problems);
        self.cell.with(|contents| {
            *contents =
                Contents { active, dropped: found.dropped, dropped_count: found.dropped_count, problems };
        });
        self.shared.stats.synced(&self.config.job_name, started.elapsed(), |stats| {
            stats.failed_targets += failed;
            stats.discovered = discovered;
            stats.targets = targets as u64;
            stats.target_limit = limit;
        });
    }

    /// A loop for `target` that goes on where `running` is, which may be the same one.
    async fn keep(&self, running: Running, target: Arc<Target>) -> Running {
        let same_target = running.target.interval == target.interval
            && running.target.timeout == target.timeout
            && running.target.params == target.params;
        running.cell.set_target(Arc::clone(&target));
        if same_target && running.config.scrapes_like(&self.config) {
            return Running { config: Arc::clone(&self.config), target, ..running };
        }
        running.orders.send_replace(Order::Replace);
        let mut state = running.task.await.unwrap_or_default();
        state.forget_texts();
        self.start(target, running.cell, state)
    }

    fn start(&self, target: Arc<Target>, cell: Arc<TargetCell>, state: LoopState) -> Running {
        let (orders, receiver) = watch::channel(Order::Run);
        let scrape_loop = ScrapeLoop {
            shared: Arc::clone(&self.shared),
            config: Arc::clone(&self.config),
            source: Arc::clone(&self.source),
            target: Arc::clone(&target),
            cell: Arc::clone(&cell),
            forbidden: self.forbidden.subscribe(),
        };
        let task = tokio::spawn(scrape_loop.run(receiver, state));
        Running { config: Arc::clone(&self.config), target, cell, orders, task }
    }

    /// Applies the job's rules to everything that was found.
    fn find(&self) -> FoundTargets {
        let mut found = FoundTargets::default();
        let keep_dropped = match self.config.limits.keep_dropped_targets {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let provided = self.providers.iter().flat_map(|provider| &provider.groups);
        for group in self.config.static_targets.iter().chain(provided) {
            for own in &group.targets {
                found.discovered += 1;
                match find_target(&self.config, own, &group.labels) {
                    Ok(Found::Target(target)) => {
                        found.targets.insert((target.labels.clone(), target.url.clone()), target);
                    }
                    Ok(Found::Dropped(labels)) => {
                        found.dropped_count += 1;
                        if found.dropped.len() < keep_dropped {
                            found.dropped.push(labels);
                        }
                    }
                    Err(error) => {
                        found.failed += 1;
                        if found.problems.len() < PROBLEMS_MAX {
                            found.problems.push(error.to_string());
                        }
                    }
                }
            }
        }
        found
    }

    /// The job is gone: ends all loops and waits for their stale markers, unless the process ends first.
    async fn end(mut self, mut orders: watch::Receiver<PoolOrder>) {
        self.providers.clear();
        for running in std::mem::take(&mut self.loops).into_values() {
            running.orders.send_replace(Order::End);
            self.ending_orders.push(running.orders);
            self.ending.spawn(async move {
                let _ = running.task.await;
            });
        }
        let stopped = async {
            let _ = orders.wait_for(|order| matches!(order, PoolOrder::Stop)).await;
        };
        tokio::select! {
            () = async { while self.ending.join_next().await.is_some() {} } => {}
            () = stopped => self.stop().await,
        }
    }

    /// The process ends.
    async fn stop(mut self) {
        self.providers.clear();
        for orders in &self.ending_orders {
            orders.send_replace(Order::Stop);
        }
        for running in self.loops.values() {
            running.orders.send_replace(Order::Stop);
        }
        for (_, running) in std::mem::take(&mut self.loops) {
            let _ = running.task.await;
        }
        while self.ending.join_next().await.is_some() {}
    }
}

/// What discovery found, after relabelling.
#[derive(Default)]
struct FoundTargets {
    targets: BTreeMap<TargetKey, Target>,
    dropped: Vec<Labels>,
    dropped_count: usize,
    problems: Vec<String>,
    failed: u64,
    discovered: u64,
}

fn source(outgoing: &Arc<dyn Outgoing>, config: &PoolConfig) -> Source {
    match &config.collector {
        CollectorKind::Http => Source::Http(HttpExposition::new(Arc::clone(outgoing), config)),
        CollectorKind::Plugin(name) => Source::Plugin(name.clone()),
    }
}
