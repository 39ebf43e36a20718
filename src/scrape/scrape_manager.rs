//! All jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ports::{Append, Clock, Collector, Outgoing, Point};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::scrape_loop::Shared;
use crate::scrape_pool::{PoolCell, PoolOrder, ScrapePool};
use crate::stats::ScrapeStats;
use crate::{FamilyMetadata, PoolConfig, TargetsView};

/// Finds an exporter plugin by name. Asked before each scrape, so that a plugin can be exchanged between two.
pub type Collectors = Arc<dyn Fn(&str) -> Option<Arc<dyn Collector>> + Send + Sync>;

/// Scrapes what it is configured to scrape.
///
/// Configurations are compared by job: an equal job goes on untouched; a changed one hands what it remembers of its targets to
/// its new loops; series of a job or target that is gone are marked stale.
pub struct ScrapeManager {
    orders: watch::Sender<ManagerOrder>,
    pools: Arc<Pools>,
    stats: Arc<ScrapeStats>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Pools by job name, to be looked at.
type Pools = Mutex<BTreeMap<String, Arc<PoolCell>>>;

#[derive(Clone)]
enum ManagerOrder {
    Run(Arc<Vec<PoolConfig>>),
    Stop,
}

impl ScrapeManager {
    /// Starts without jobs. Must be called inside a tokio runtime.
    pub fn new(
        append: Arc<dyn Append>,
        outgoing: Arc<dyn Outgoing>,
        clock: Arc<dyn Clock>,
        collectors: Collectors,
    ) -> Self {
        let stats = Arc::new(ScrapeStats::default());
        let pools = Arc::new(Pools::default());
        let (orders, receiver) = watch::channel(ManagerOrder::Run(Arc::new(Vec::new())));
        let shared = Arc::new(Shared { append, clock, collectors, stats: Arc::clone(&stats) });
        let owner = Owner {
            shared,
            outgoing,
            pools: Arc::clone(&pools),
            running: BTreeMap::new(),
            ending: Vec::new(),
            tasks: JoinSet::new(),
        };
        let task = tokio::spawn(owner.run(receiver));
        ScrapeManager { orders, pools, stats, task: Mutex::new(Some(task)) }
    }

    /// Makes the jobs those of `configs`. Returns at once; the change follows. Of two configurations that come in quick
    /// succession only the second may ever run.
    pub fn apply(&self, configs: Vec<PoolConfig>) {
        self.orders.send_replace(ManagerOrder::Run(Arc::new(configs)));
    }

    /// All targets now.
    pub fn targets(&self) -> TargetsView {
        TargetsView { pools: self.cells().iter().map(|(job, cell)| cell.view(job)).collect() }
    }

    /// What the targets say about their metric families, by job, target and family.
    pub fn metadata(&self) -> Vec<FamilyMetadata> {
        let mut all = Vec::new();
        let cells = self.cells();
        for cell in cells.values().flat_map(|pool| pool.targets()) {
            let (target, families) = cell.families();
            all.extend(families.iter().map(|(family, metadata)| FamilyMetadata {
                target: target.clone(),
                family: family.clone(),
                metadata: metadata.clone(),
            }));
        }
        all
    }

    /// The counters of this room as samples; [`crate::stats_metadata`] says what they mean.
    pub fn points(&self) -> Vec<Point> {
        let cells = self.cells();
        let families = cells.iter().map(|(job, pool)| {
            let entries = pool.targets().iter().map(|cell| cell.families().1.len()).sum();
            (job.clone(), entries)
        });
        self.stats.points(&families.collect())
    }

    /// Stops everything and waits for it. Nothing is marked stale: after a restart the same targets go on.
    pub async fn shutdown(&self) {
        self.orders.send_replace(ManagerOrder::Stop);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    fn cells(&self) -> BTreeMap<String, Arc<PoolCell>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task that owns the pools.
struct Owner {
    shared: Arc<Shared>,
    outgoing: Arc<dyn Outgoing>,
    pools: Arc<Pools>,
    running: BTreeMap<String, RunningPool>,
    /// Orders of pools that are ending.
    ending: Vec<watch::Sender<PoolOrder>>,
    tasks: JoinSet<()>,
}

struct RunningPool {
    config: Arc<PoolConfig>,
    orders: watch::Sender<PoolOrder>,
}

impl Owner {
    async fn run(mut self, mut orders: watch::Receiver<ManagerOrder>) {
        loop {
            tokio::select! {
                biased;
                changed = orders.changed() => {
                    let order = orders.borrow_and_update().clone();
                    match (changed, order) {
                        (Ok(()), ManagerOrder::Run(configs)) => self.apply(&configs),
                        (Ok(()), ManagerOrder::Stop) | (Err(_), _) => return self.stop().await,
                    }
                }
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.ending.retain(|orders| !orders.is_closed());
                }
            }
        }
    }

    fn apply(&mut self, configs: &[PoolConfig]) {
        let mut old = std::mem::take(&mut self.running);
        for config in configs {
            let pool = match old.remove(&config.job_name) {
                Some(pool) if *pool.config == *config => pool,
                Some(pool) => {
                    let config = Arc::new(config.clone());
                    pool.orders.send_replace(PoolOrder::Run(Arc::clone(&config)));
                    RunningPool { config, orders: pool.orders }
                }
                None => self.start(Arc::new(config.clone())),
            };
            self.running.insert(config.job_name.clone(), pool);
        }
        for (job, pool) in old {
            pool.orders.send_replace(PoolOrder::End);
            self.ending.push(pool.orders);
            self.pools.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
            self.shared.stats.forget_job(&job);
        }
    }

    fn start(&mut self, config: Arc<PoolConfig>) -> RunningPool {
        let cell = Arc::new(PoolCell::default());
        let job = config.job_name.clone();
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).insert(job, Arc::clone(&cell));
        let pool =
            ScrapePool::new(Arc::clone(&self.shared), Arc::clone(&self.outgoing), Arc::clone(&config), cell);
        let (orders, receiver) = watch::channel(PoolOrder::Run(Arc::clone(&config)));
        self.tasks.spawn(pool.run(receiver));
        RunningPool { config, orders }
    }

    async fn stop(mut self) {
        for pool in self.running.values() {
            pool.orders.send_replace(PoolOrder::Stop);
        }
        for orders in &self.ending {
            orders.send_replace(PoolOrder::Stop);
        }
        while self.tasks.join_next().await.is_some() {}
    }
}
