//! One target, scraped again and again.
//!
//! The loop owns what is remembered of its target ([`LoopState`]) and hands it on when it is replaced by a loop with other
//! settings, so that a reload neither loses nor repeats a stale marker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use model::{INSTANCE, Timestamp};
use ports::{Append, Clock, Deadline, Payload, Target};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::PoolConfig;
use crate::http_exposition::{FetchError, HttpExposition};
use crate::ingest::{Collected, Context, LoopState, Outcome, end, ingest};
use crate::scrape_manager::Collectors;
use crate::scrape_time::{aligned, first_wait};
use crate::stats::ScrapeStats;
use crate::target_view::{Beat, TargetCell};

/// A body of more bytes is read off the threads that wait for sockets.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// A bug of ours, or of what reads the target.
const PANICKED: &str = "reading this target panicked; this is a bug, see the log";

/// What a loop is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Run,
    /// Stop at once and hand over what is remembered.
    Replace,
    /// The target is gone: mark its series stale, but not before a loop of another job that reads the same target would
    /// have shown itself.
    End,
    /// The process ends: stop at once, mark nothing.
    Stop,
}

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) append: Arc<dyn Append>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) collectors: Collectors,
    pub(crate) stats: Arc<ScrapeStats>,
}

/// What reads the targets of a job.
pub(crate) enum Source {
    /// A page over HTTP.
    Http(HttpExposition),
    /// The exporter plugin of this name, whichever it is at the time.
    Plugin(String),
}

/// One loop.
pub(crate) struct ScrapeLoop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<PoolConfig>,
    pub(crate) source: Arc<Source>,
    pub(crate) target: Arc<Target>,
    pub(crate) cell: Arc<TargetCell>,
    /// Why no target of the job may be scraped, if there is a reason.
    pub(crate) forbidden: watch::Receiver<Option<String>>,
}

impl ScrapeLoop {
    /// Runs until told otherwise; the answer is what is remembered.
    pub(crate) async fn run(self, mut orders: watch::Receiver<Order>, mut state: LoopState) -> LoopState {
        let interval = self.target.interval;
        let wait = first_wait(self.shared.clock.now(), interval, self.seed());
        let mut timer = tokio::time::interval_at(Instant::now() + wait, interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut previous: Option<(Instant, Timestamp)> = None;
        loop {
            let collected = tokio::select! {
                biased;
                order = changed(&mut orders) => return self.finish(order, timer, orders, state).await,
                collected = async {
                    timer.tick().await;
                    let started = Instant::now();
                    let now = self.shared.clock.now();
                    let at = previous.map_or(now, |(_, last)| aligned(now, last, interval));
                    if let Some((last, _)) = previous {
                        self.shared.stats.interval(interval, started.duration_since(last));
                    }
                    previous = Some((started, at));
                    (self.collect().await, at, started.elapsed())
                } => collected,
            };
            let (collected, at, took) = collected;
            state = self.ingest(state, collected, at, took).await;
        }
    }

    /// Gives the target its place in the interval.
    fn seed(&self) -> u64 {
        let url = model::Labels::from([("url", self.target.url.as_str())]).fingerprint().0;
        self.target.labels.fingerprint().0 ^ url.rotate_left(32)
    }

    async fn collect(&self) -> Collected {
        let forbidden = self.forbidden.borrow().clone();
        if let Some(error) = forbidden {
            return Collected::Nothing { error, too_large: false };
        }
        let timeout = self.target.timeout;
        let deadline = Deadline::after(timeout);
        let read = async {
            match self.source.as_ref() {
                Source::Http(http) => http.fetch(&self.target, deadline).await,
                Source::Plugin(name) => match (self.shared.collectors)(name) {
                    Some(plugin) => {
                        let collected = plugin.collect(&self.target, deadline).await;
                        collected.map_err(|error| FetchError::Other(error.message))
                    }
                    None => Err(FetchError::Other(format!("there is no exporter plugin `{name}`"))),
                },
            }
        };
        // Whatever reads a target may be wrong; the others go on.
        match tokio::time::timeout(timeout, AssertUnwindSafe(read).catch_unwind()).await {
            Ok(Ok(Ok(scrape))) => Collected::Scrape(scrape),
            Ok(Err(_)) => Collected::Nothing { error: PANICKED.to_owned(), too_large: false },
            Ok(Ok(Err(error))) => {
                let too_large = matches!(error, FetchError::TooLarge(_));
                Collected::Nothing { error: error.into_message(), too_large }
            }
            Err(_) => {
                let error = format!("no answer within {}", model::format_duration(timeout));
                Collected::Nothing { error, too_large: false }
            }
        }
    }

    async fn ingest(
        &self,
        state: LoopState,
        collected: Collected,
        at: Timestamp,
        took: Duration,
    ) -> LoopState {
        let size = match &collected {
            Collected::Scrape(scrape) => match &scrape.payload {
                Payload::Body { bytes, .. } => bytes.len(),
                Payload::Points(_) => scrape.wire_bytes,
            },
            Collected::Nothing { .. } => 0,
        };
        let (state, outcome) = if size > INLINE_BYTES_MAX {
            let (shared, config, target) =
                (Arc::clone(&self.shared), Arc::clone(&self.config), Arc::clone(&self.target));
            let work = move || ingest_with(&shared, &config, &target, state, collected, at, took);
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| lost())
        } else {
            ingest_with(&self.shared, &self.config, &self.target, state, collected, at, took)
        };
        self.tell(outcome, at, took);
        state
    }

    fn tell(&self, outcome: Outcome, at: Timestamp, took: Duration) {
        if let Some(families) = outcome.families {
            self.cell.set_families(families);
        }
        let beat = Beat { at, took, samples: outcome.scraped, error: outcome.error };
        // Not the address: its parameters may be secret.
        let (pool, instance) = (self.config.job_name.as_str(), self.target.labels.value(INSTANCE));
        match (&beat.error, self.cell.is_up()) {
            // Once for each time that it goes down; the targets page has every one.
            (Some(error), Some(true) | None) => tracing::warn!(pool, instance, error, "Scrape failed."),
            (Some(error), Some(false)) => tracing::debug!(pool, instance, error, "Scrape failed."),
            (None, Some(false)) => tracing::info!(pool, instance, "Scrape works again."),
            (None, _) => tracing::debug!(pool, instance, samples = beat.samples, "Scraped."),
        }
        self.cell.beat(beat, outcome.warning);
    }

    async fn finish(
        &self,
        order: Order,
        timer: Interval,
        orders: watch::Receiver<Order>,
        mut state: LoopState,
    ) -> LoopState {
        if order == Order::End
            && state.last.is_some()
            && let Some(at) = self.wait_for_end(timer, orders).await
        {
            end(&context(&self.shared, &self.config, &self.target), &mut state, at);
        }
        state
    }

    /// The time for the stale markers: when the next scrape would have been. It passes only after the scrape behind that
    /// one, so that samples that somebody else read meanwhile are newer and win. `None` if the process ends first.
    async fn wait_for_end(
        &self,
        mut timer: Interval,
        mut orders: watch::Receiver<Order>,
    ) -> Option<Timestamp> {
        let wait = async {
            timer.tick().await;
            let at = self.shared.clock.now();
            timer.tick().await;
            tokio::time::sleep(self.target.interval / 10).await;
            at
        };
        tokio::select! {
            at = wait => Some(at),
            () = stopped(&mut orders) => None,
        }
    }
}

/// Waits for an order other than to go on.
async fn changed(orders: &mut watch::Receiver<Order>) -> Order {
    orders.wait_for(|order| *order != Order::Run).await.map_or(Order::Stop, |order| *order)
}

async fn stopped(orders: &mut watch::Receiver<Order>) {
    // An error means that the owner is gone, which is the same.
    let _ = orders.wait_for(|order| *order == Order::Stop).await;
}

fn context<'a>(shared: &'a Shared, config: &'a PoolConfig, target: &'a Target) -> Context<'a> {
    Context { config, target, append: shared.append.as_ref(), stats: &shared.stats }
}

fn ingest_with(
    shared: &Shared,
    config: &PoolConfig,
    target: &Target,
    mut state: LoopState,
    collected: Collected,
    at: Timestamp,
    took: Duration,
) -> (LoopState, Outcome) {
    let work = || ingest(&context(shared, config, target), &mut state, collected, at, took);
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => (state, outcome),
        Err(_) => lost(),
    }
}

/// What is remembered may be half changed: begin anew.
fn lost() -> (LoopState, Outcome) {
    (LoopState::default(), Outcome { error: Some(PANICKED.to_owned()), ..Outcome::default() })
}
