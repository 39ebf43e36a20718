//! An exporter reads a target.

use std::sync::Arc;

use ports::{BoxFuture, CollectError, Collector, Deadline, Payload, Scrape, Target};
use url::Url;

use crate::Plugin;
use crate::grants::{HostPattern, pattern_of};
use crate::host::CallSetup;

struct Exporter(Arc<Plugin>);

/// `plugin` as a reader of targets.
pub(crate) fn collector(plugin: Arc<Plugin>) -> Arc<dyn Collector> {
    Arc::new(Exporter(plugin))
}

impl Collector for Exporter {
    fn collect<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Scrape, CollectError>> {
        Box::pin(async move {
            let setup = CallSetup {
                time: Some(deadline.left),
                target: target_host(&target.address),
                ..CallSetup::default()
            };
            let target = Arc::new(target.clone());
            let summary = |scrape: &Scrape| match &scrape.payload {
                Payload::Points(points) => format!("{} points", points.len()),
                Payload::Body { bytes, .. } => format!("{} bytes", bytes.len()),
            };
            self.0
                .call(
                    setup,
                    summary,
                    |version, call| async move { version.program.collect(call, target).await },
                )
                .await
                .map_err(|error| CollectError { message: error.to_string() })
        })
    }
}

/// A target grants itself: the operator wrote it into the configuration.
fn target_host(address: &str) -> Option<HostPattern> {
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    pattern_of(&Url::parse(&url).ok()?)
}
