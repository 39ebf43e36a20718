//! The thread that deliveries run on.
//!
//! A message is a chain of short steps: the queue starts a plugin, that asks for a request, the request's connection writes
//! and reads, the plugin ends, the queue concludes. On threads that share their work each step may wake another thread and
//! find its caches cold; on one of their own a message costs a quarter less CPU, and neither pages nor queries nor rules wait
//! behind ten thousand messages.
//!
//! Whatever takes long goes elsewhere, so that no delivery holds up the others: a component that computes yields each
//! millisecond, scripts have threads of their own, and the pool of blocking threads fills in templates, writes the JSON of
//! large groups and looks up names.

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Runs what is spawned on its [`Handle`], until it is dropped.
pub(crate) struct DeliveryThread {
    handle: Handle,
    /// The thread ends when this is gone.
    _alive: oneshot::Sender<()>,
}

impl DeliveryThread {
    /// Starts it. An error when the system has no thread to give.
    pub(crate) fn start() -> std::io::Result<DeliveryThread> {
        // Templates are evaluated on its pool, as deep as on the other threads.
        let runtime =
            Builder::new_current_thread().enable_all().thread_stack_size(promql::STACK_BYTES).build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new().name("deliveries".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            // Looking up a name may hang; nobody waits for it any more.
            runtime.shutdown_background();
        })?;
        Ok(DeliveryThread { handle, _alive: alive })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_on_it_until_it_is_dropped() {
        let thread = DeliveryThread::start().expect("a thread");
        let name = thread.handle().spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.expect("it runs").as_deref(), Some("deliveries"));
        let hangs = thread.handle().spawn(std::future::pending::<()>());
        drop(thread);
        assert!(hangs.await.is_err_and(|error| error.is_cancelled()));
    }
}
