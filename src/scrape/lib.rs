//! Reading targets: discovery, pools, loops, relabelling, limits, staleness.
//!
//! In: the jobs of the configuration ([`PoolConfig`]), something that reads a target ([`ports::Collector`]), something that
//! stores samples ([`ports::Append`]). Out: samples with the labels of their targets, `up` and the other synthetic series,
//! stale markers for what ended, and a view of all targets ([`TargetsView`]).
//! Not here: how samples are stored, what plugins are, how requests leave the machine.
//!
//! ```text
//! ScrapeManager      one task: takes configurations, keeps equal jobs running
//!   ScrapePool       one task a job: takes targets from discovery, keeps equal targets running
//!     discovery      one task for each kind that is not static
//!     ScrapeLoop     one task a target: waits, collects, ingests
//! ```
//! Invariant: every task is owned by the one above it and awaited by it.
//! Start at [`ScrapeManager`].

mod from_config;
mod pool_config;
mod stats;

mod discovered;
mod discovery;
mod target_address;
mod target_labels;
mod target_list;

mod http_exposition;
mod self_collector;

mod key_memo;
mod sample_cache;
mod sample_labels;

mod ingest;
mod scrape_loop;
mod scrape_pool;
mod scrape_time;

mod scrape_manager;
mod target_view;

pub use discovered::Discovered;
pub use http_exposition::HttpExposition;
pub use pool_config::{CollectorKind, DiscoveryConfig, Limits, PoolConfig, TargetGroup};
pub use scrape_manager::{Collectors, ScrapeManager};
pub use self_collector::SelfCollector;
pub use stats::metadata as stats_metadata;
pub use target_list::{TargetListError, parse_target_list};
pub use target_view::{Beat, DroppedTarget, FamilyMetadata, Health, PoolView, TargetView, TargetsView};
