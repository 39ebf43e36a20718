//! Scenarios in virtual time: what a notifier answers, and when it is asked.

use std::collections::BTreeMap;

use model::{AlertStatus, Labels, NotifyReason, Timestamp};
use tokio::time::Instant;

use super::*;

struct Fixed;
impl Random for Fixed {
    fn next_u64(&self) -> u64 {
        200 // No jitter: the middle of ±20 %.
    }
}

/// Answers from a list, then with success; notes when it was asked for which group.
struct Script {
    answers: Mutex<Vec<Result<Receipt, NotifyError>>>,
    asked: Arc<Mutex<Vec<(u64, String, u32)>>>,
    start: Instant,
}

impl Notifier for Script {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        attempt: u32,
        _deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        let at = self.start.elapsed().as_secs();
        self.asked.lock().unwrap().push((at, notification.id.clone(), attempt));
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { Ok(Receipt::default()) } else { answers.remove(0) };
        Box::pin(async move { answer })
    }
}

fn later(after: Option<u64>, rate_limited: bool) -> Result<Receipt, NotifyError> {
    Err(NotifyError::Later { message: "busy".into(), after: after.map(Duration::from_secs), rate_limited })
}

fn notification(id: &str, group: &str) -> Notification {
    Notification {
        id: id.into(),
        dedup_key: group.into(),
        receiver: "ops".into(),
        integration: "test".into(),
        index: 0,
        group_key: "{}".into(),
        status: AlertStatus::Firing,
        reason: NotifyReason::FirstNotification,
        group_labels: Labels::empty(),
        common_labels: Labels::empty(),
        common_annotations: Default::default(),
        route_labels: Labels::empty(),
        alerts: Default::default(),
        external_url: String::new(),
        settings: BTreeMap::new(),
        previous: None,
        at: Timestamp::EPOCH,
        give_up_after: Duration::from_secs(10),
    }
}

struct World {
    outbox: Outbox,
    reports: mpsc::Receiver<Report>,
    asked: Arc<Mutex<Vec<(u64, String, u32)>>>,
}

fn world(answers: Vec<Result<Receipt, NotifyError>>) -> World {
    let (tx, reports) = mpsc::channel(10);
    let outbox = Outbox::new(tx, Arc::new(Fixed));
    let asked: Arc<Mutex<Vec<_>>> = Arc::default();
    let script = Script { answers: Mutex::new(answers), asked: Arc::clone(&asked), start: Instant::now() };
    let key = IntegrationKey { receiver: "ops".into(), kind: "test".into(), index: 0 };
    outbox.set_notifiers(HashMap::from([(key, Arc::new(script) as Arc<dyn Notifier>)]));
    World { outbox, reports, asked }
}

impl World {
    async fn report(&mut self) -> String {
        let report = self.reports.recv().await.unwrap();
        let outcome = match report.outcome {
            Ok(_) => "delivered".to_owned(),
            Err(failure) => format!("{}: {failure}", if failure.refused { "refused" } else { "given up" }),
        };
        format!("{} {outcome}", report.notification.id)
    }

    fn asked(&self) -> String {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(at, id, n)| format!("{at}s {id}#{n}")).collect::<Vec<_>>().join(", ")
    }
}

#[tokio::test(start_paused = true)]
async fn tries_again_with_growing_pauses_until_it_is_through() {
    let mut world = world(vec![later(None, false), later(None, false)]);
    world.outbox.deliver(notification("a", "g")).await;
    assert_eq!(world.report().await, "a delivered");
    assert_eq!(world.asked(), "0s a#1, 1s a#2, 3s a#3");
}

#[tokio::test(start_paused = true)]
async fn gives_up_when_the_time_is_over() {
    let mut world = world((0..9).map(|_| later(None, false)).collect());
    world.outbox.deliver(notification("a", "g")).await;
    assert_eq!(world.report().await, "a given up: busy (4 attempts)");
    assert_eq!(world.asked(), "0s a#1, 1s a#2, 3s a#3, 7s a#4");
}

#[tokio::test(start_paused = true)]
async fn refused_is_final_at_once() {
    let mut world = world(vec![Err(NotifyError::Refused { message: "status 404".into() })]);
    world.outbox.deliver(notification("a", "g")).await;
    assert_eq!(world.report().await, "a refused: status 404");
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_other_side_asks_and_loses_nothing() {
    let mut world = world(vec![later(Some(120), true), later(Some(30), true)]);
    world.outbox.deliver(notification("a", "g1")).await;
    tokio::task::yield_now().await;
    world.outbox.deliver(notification("b", "g2")).await;
    let mut both = [world.report().await, world.report().await];
    both.sort();
    assert_eq!(both, ["a delivered", "b delivered"]);
    assert!(world.asked.lock().unwrap().iter().skip(2).all(|(at, ..)| *at >= 120), "{}", world.asked());
}

#[tokio::test(start_paused = true)]
async fn the_newest_content_of_a_group_replaces_what_still_waits() {
    let mut world = world(vec![later(Some(60), true)]);
    world.outbox.deliver(notification("a", "g")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.outbox.deliver(notification("b", "g")).await;
    assert_eq!(world.report().await, "b delivered");
    assert_eq!(world.asked(), "0s a#1, 60s b#2");
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_does_not_hold_up_shutdown_longer_than_the_grace() {
    let mut world = world(vec![later(Some(600), true)]);
    world.outbox.deliver(notification("a", "g")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    world.outbox.shutdown(Duration::from_secs(10)).await;
    assert_eq!(before.elapsed().as_secs(), 10);
    assert!(world.reports.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_integration_that_is_gone_is_refused_by_name() {
    let mut world = world(vec![]);
    let mut notification = notification("a", "g");
    notification.receiver = "nobody".into();
    world.outbox.deliver(notification).await;
    assert_eq!(world.report().await, "a refused: receiver `nobody` has no such integration any more");
}
