//! What discovery finds, for those that are not scraped: other Alertmanagers.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Labels;
use ports::Outgoing;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::discovery::{Updates, spawn_source};
use crate::{DiscoveryConfig, TargetGroup};

/// Updates that may wait; a source that is faster waits itself.
const UPDATES_MAX: usize = 16;

/// The labels of everything that is written down or found, kept up to date until this is dropped.
pub struct Discovered {
    found: watch::Receiver<Arc<[Labels]>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Discovered {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Discovered {
    /// Starts a task for each source and one that joins what they find. `name` is for messages.
    pub fn start(
        name: String,
        fixed: Vec<TargetGroup>,
        sources: &[DiscoveryConfig],
        outgoing: &Arc<dyn Outgoing>,
    ) -> Self {
        let (changed, found) = watch::channel(joined(fixed.iter()));
        if sources.is_empty() {
            return Discovered { found, tasks: Vec::new() };
        }
        let (sender, mut updates) = mpsc::channel(UPDATES_MAX);
        let mut tasks: Vec<JoinHandle<()>> = (0u64..)
            .zip(sources)
            .map(|(source, config)| {
                spawn_source(config, outgoing, Updates { source, sender: sender.clone() })
            })
            .collect();
        tasks.push(tokio::spawn(async move {
            let mut by_source: BTreeMap<u64, Vec<TargetGroup>> = BTreeMap::new();
            while let Some(update) = updates.recv().await {
                if let Some(problem) = &update.problem {
                    tracing::warn!(of = name, problem, "Addresses could not be found; those known are kept.");
                }
                if let Some(groups) = update.groups {
                    by_source.insert(update.source, groups);
                    changed.send_replace(joined(fixed.iter().chain(by_source.values().flatten())));
                }
            }
        }));
        Discovered { found, tasks }
    }

    /// What is known now: the labels of each, with those of its group.
    pub fn labels(&self) -> Arc<[Labels]> {
        Arc::clone(&self.found.borrow())
    }
}

fn joined<'a>(groups: impl Iterator<Item = &'a TargetGroup>) -> Arc<[Labels]> {
    // Own labels come later and win.
    groups
        .flat_map(|group| group.targets.iter().map(|own| group.labels.iter().chain(own.iter()).collect()))
        .collect()
}
