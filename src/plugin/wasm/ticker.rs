//! The clock behind the epoch: every 10 ms, as long as a component runs.
//!
//! A thread and not a task: components may keep every thread of the runtime busy, and only the tick makes them yield.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

const TICK: Duration = Duration::from_millis(10);

/// Ticks while somebody holds a [`Ticking`].
pub(super) struct Ticker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Running components; `None` when the host is gone.
    running: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> Result<Ticker, String> {
        let shared = Arc::new(Shared { running: Mutex::new(Some(0)), changed: Condvar::new() });
        let (engine, of_thread) = (engine.clone(), Arc::clone(&shared));
        thread::Builder::new()
            .name("plugin-epoch".to_owned())
            .spawn(move || tick(&engine, &of_thread))
            .map_err(|error| format!("the thread that bounds components cannot be started: {error}"))?;
        Ok(Ticker(shared))
    }

    pub(super) fn ticking(&self) -> Ticking {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *running == Some(0);
        if let Some(running) = running.as_mut() {
            *running += 1;
        }
        drop(running);
        // Only a ticker that has nothing to do waits; waking it is a call of the kernel.
        if first {
            self.0.changed.notify_one();
        }
        Ticking(Arc::clone(&self.0))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.changed.notify_one();
    }
}

/// A component runs.
pub(super) struct Ticking(Arc<Shared>);

impl Drop for Ticking {
    fn drop(&mut self) {
        if let Some(running) = self.0.running.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *running -= 1;
        }
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match *running {
            None => return,
            Some(0) => running = shared.changed.wait(running).unwrap_or_else(PoisonError::into_inner),
            Some(_) => {
                drop(running);
                thread::sleep(TICK);
                engine.increment_epoch();
                running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
