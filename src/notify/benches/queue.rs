//! What a message costs in the queue of its integration, in CPU time of this process: many messages, each of a group of
//! its own, for a receiver that answers at once, or after the others were asked.
//!
//! `cargo bench -p notify --bench queue`. Not here: who decides, the journal, requests.

#![allow(clippy::unwrap_used, reason = "a bench")]

use std::sync::Arc;
use std::time::Duration;

use model::{
    AlertStatus, Annotations, Fingerprint, Labels, Notification, NotifiedAlert, NotifyReason, Receipt,
    Timestamp,
};
use notify::{Endpoint, IntegrationKey, Outbox, OutboxEvent};
use ports::{BoxFuture, Deadline, Notifier, NotifyError, Random};
use tokio::sync::mpsc;

const MESSAGES: usize = 100_000;
/// Messages that are decided together.
const BATCH: usize = 64;

struct Answers {
    /// How often an attempt lets others go first.
    yields: usize,
}

impl Notifier for Answers {
    fn notify<'a>(
        &'a self,
        _: &'a Notification,
        _: u32,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            for _ in 0..self.yields {
                tokio::task::yield_now().await;
            }
            Ok(Receipt::default())
        })
    }
}

struct Fixed;

impl Random for Fixed {
    fn next_u64(&self) -> u64 {
        0
    }
}

fn message(number: usize) -> Notification {
    let labels = Labels::from([("alertname", "A"), ("pod", &format!("app-{number}"))]);
    let alert = NotifiedAlert {
        status: AlertStatus::Firing,
        labels: labels.clone(),
        annotations: Annotations::new(),
        value: None,
        starts_at: Timestamp::from_secs(0),
        ends_at: None,
        fingerprint: Fingerprint(number as u64),
        generator_url: "".into(),
    };
    Notification {
        id: format!("{number:032}").into(),
        dedup_key: format!("{number:064}").into(),
        receiver: "hook".into(),
        integration: "webhook".into(),
        index: 0,
        group_key: format!("{{}}:{{pod=\"app-{number}\"}}").into(),
        status: AlertStatus::Firing,
        reason: NotifyReason::FirstNotification,
        group_labels: labels.clone(),
        common_labels: labels,
        common_annotations: Annotations::new(),
        route_labels: Labels::empty(),
        alerts: [alert].into(),
        external_url: "".into(),
        settings: Default::default(),
        previous: None,
        at: Timestamp::from_secs(0),
        give_up_after: Duration::from_secs(300),
    }
}

/// CPU time of all threads in nanoseconds.
fn cpu_nanos() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |thread: std::io::Result<std::fs::DirEntry>| -> u64 {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    threads.map(of).sum()
}

async fn measure(name: &str, yields: usize) {
    let (events_tx, mut events) = mpsc::channel(1024);
    let outbox = Arc::new(Outbox::new(events_tx, Arc::new(Fixed)));
    let key = IntegrationKey { receiver: "hook".into(), kind: "webhook".into(), index: 0 };
    outbox.set_endpoints([(key, Endpoint::new(Arc::new(Answers { yields })))].into());
    let mut messages: Vec<Notification> = (0..MESSAGES).map(message).collect();
    messages.reverse();
    let before = cpu_nanos();
    let sender = Arc::clone(&outbox);
    let sending = tokio::spawn(async move {
        while !messages.is_empty() {
            for message in messages.split_off(messages.len().saturating_sub(BATCH)).into_iter().rev() {
                sender.deliver(message).await;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut delivered = 0;
    while delivered < MESSAGES {
        match events.recv().await.unwrap() {
            OutboxEvent::Done(reports) => delivered += reports.iter().filter(|r| r.outcome.is_ok()).count(),
            OutboxEvent::Turn(turn) => outbox.deliver((*turn.notification).clone()).await,
        }
    }
    sending.await.unwrap();
    println!("{name:<40} {:6.2} us/message", (cpu_nanos() - before) as f64 / 1e3 / MESSAGES as f64);
    outbox.shutdown(Duration::ZERO).await;
}

fn main() {
    let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let two = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for (threads, runtime) in [("one thread", one), ("two threads", two)] {
        let task = async move {
            measure(&format!("{threads}, answers at once"), 0).await;
            measure(&format!("{threads}, answers after ten others"), 10).await;
        };
        runtime.block_on(async { tokio::spawn(task).await.unwrap() });
    }
}
