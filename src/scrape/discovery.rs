//! Where targets come from, other than the configuration itself.
//!
//! Each source is a task that sends the whole of its targets whenever they change. A source that cannot be read says so and
//! keeps what it had: a network fault must not look like a thousand machines switched off.

mod dns;
mod file;
mod http;

use std::sync::Arc;

use ports::Outgoing;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{DiscoveryConfig, TargetGroup};

/// What a source found.
#[derive(Debug)]
pub(crate) struct Update {
    /// Which source.
    pub(crate) source: u64,
    /// All its targets; `None` if they are as before.
    pub(crate) groups: Option<Vec<TargetGroup>>,
    /// What is wrong with it now.
    pub(crate) problem: Option<String>,
}

/// Where a source sends its updates.
#[derive(Clone)]
pub(crate) struct Updates {
    pub(crate) source: u64,
    pub(crate) sender: mpsc::Sender<Update>,
}

impl Updates {
    /// `Err` when nobody listens any more.
    async fn send(&self, groups: Option<Vec<TargetGroup>>, problem: Option<String>) -> Result<(), Closed> {
        let update = Update { source: self.source, groups, problem };
        self.sender.send(update).await.map_err(|_| Closed)
    }
}

/// Nobody listens any more.
struct Closed;

/// Starts a source. The task ends when it is aborted or nobody listens.
pub(crate) fn spawn_source(
    config: &DiscoveryConfig,
    outgoing: &Arc<dyn Outgoing>,
    updates: Updates,
) -> JoinHandle<()> {
    match config {
        DiscoveryConfig::File { patterns, refresh } => {
            tokio::spawn(file::run(patterns.clone(), *refresh, updates))
        }
        DiscoveryConfig::Http { url, refresh, http } => {
            tokio::spawn(http::run(url.clone(), *refresh, Arc::clone(http), Arc::clone(outgoing), updates))
        }
        DiscoveryConfig::Dns { names, record_type, port, refresh } => {
            tokio::spawn(dns::run(names.clone(), record_type.clone(), *port, *refresh, updates))
        }
        DiscoveryConfig::Unsupported { name } => {
            let problem = format!(
                "{name}_sd_configs is not built in; serve the targets as JSON and use http_sd_configs, or write them to a \
                 file and use file_sd_configs"
            );
            tokio::spawn(async move {
                let _ = updates.send(Some(Vec::new()), Some(problem)).await;
            })
        }
    }
}
