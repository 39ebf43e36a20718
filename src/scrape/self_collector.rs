//! Our own metrics, as a target among others.

use model::Metadata;
use ports::{BoxFuture, CollectError, Collector, Deadline, Payload, Point, Scrape, Target};

/// Samples, and what their families mean.
type Points = (Vec<Point>, Vec<(String, Metadata)>);

/// Reads samples from a closure: whoever knows all counters lists them.
pub struct SelfCollector {
    read: Box<dyn Fn() -> BoxFuture<'static, Points> + Send + Sync>,
}

impl SelfCollector {
    /// `read` gives the samples, and what their families mean.
    pub fn new(read: impl Fn() -> BoxFuture<'static, Points> + Send + Sync + 'static) -> Self {
        SelfCollector { read: Box::new(read) }
    }
}

impl Collector for SelfCollector {
    fn collect<'a>(
        &'a self,
        _target: &'a Target,
        _deadline: Deadline,
    ) -> BoxFuture<'a, Result<Scrape, CollectError>> {
        Box::pin(async move {
            let (points, metadata) = (self.read)().await;
            let wire_bytes = points.len() * size_of::<Point>();
            Ok(Scrape { payload: Payload::Points(points), metadata, wire_bytes })
        })
    }
}
