//! Our own metrics, as a target among others.

use model::Metadata;
use ports::{BoxFuture, CollectError, Collector, Deadline, Payload, Point, Scrape, Target};

/// Reads samples from a closure: whoever knows all counters lists them.
pub struct SelfCollector {
    read: Box<dyn Fn() -> (Vec<Point>, Vec<(String, Metadata)>) + Send + Sync>,
}

impl SelfCollector {
    /// `read` gives the samples, and what their families mean.
    pub fn new(read: impl Fn() -> (Vec<Point>, Vec<(String, Metadata)>) + Send + Sync + 'static) -> Self {
        SelfCollector { read: Box::new(read) }
    }
}

impl Collector for SelfCollector {
    fn collect<'a>(
        &'a self,
        _target: &'a Target,
        _deadline: Deadline,
    ) -> BoxFuture<'a, Result<Scrape, CollectError>> {
        let (points, metadata) = (self.read)();
        let wire_bytes = points.len() * size_of::<Point>();
        Box::pin(async move { Ok(Scrape { payload: Payload::Points(points), metadata, wire_bytes }) })
    }
}
