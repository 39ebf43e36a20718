//! The threads on which scripts run.
//!
//! Threads of our own and not the runtime's blocking pool: a script may nest values deeply before its memory limit stops
//! it, and taking such a value apart needs stack; and scripts that wait for the host must not keep others from the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// Address space, of which a script that behaves touches a few pages. Functions that hold functions, as many as fit into
/// 16 MiB, took 70 MiB of stack to be taken apart (measured without optimization); a script can be given 64 MiB.
const STACK_BYTES: usize = 512 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and a queue. Threads start when they are first needed and end with the pool.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: usize,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    started: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Pool {
        Pool { shared: Arc::default(), threads: threads.max(1) }
    }

    /// Runs `job` on one of the threads, as soon as one is free.
    pub(crate) fn run(&self, job: Job) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(job);
        if queue.jobs.len() > queue.idle && queue.started < self.threads {
            let shared = Arc::clone(&self.shared);
            let name = format!("script-{}", queue.started);
            let started =
                thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || work(&shared));
            match started {
                Ok(_) => queue.started += 1,
                // With no thread at all nobody would ever answer; the job is dropped, and its caller told so.
                Err(error) if queue.started == 0 => {
                    tracing::error!(%error, "No thread for scripts can be started.");
                    queue.jobs.clear();
                }
                Err(error) => tracing::warn!(%error, "No further thread for scripts can be started."),
            }
        }
        drop(queue);
        self.shared.changed.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.changed.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            job();
            queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        } else if queue.closed {
            return;
        } else {
            queue.idle += 1;
            queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}
