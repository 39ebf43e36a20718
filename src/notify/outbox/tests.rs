//! Scenarios in virtual time: what a notifier answers, and when it is asked.

use std::collections::VecDeque;

use model::{AlertStatus, Labels, NotifyReason, Timestamp};
use tokio::time::Instant;

use crate::Rate;

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
        self.asked.lock().unwrap().push((at, notification.id.to_string(), attempt));
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { Ok(Receipt::default()) } else { answers.remove(0) };
        Box::pin(async move { answer })
    }
}

fn later() -> Result<Receipt, NotifyError> {
    let (after, reason, may_have_arrived) = (None, FailureReason::ServerError, false);
    Err(NotifyError::Later { message: "busy".into(), after, reason, may_have_arrived })
}

fn too_many(after: u64) -> Result<Receipt, NotifyError> {
    let (after, reason) = (Some(Duration::from_secs(after)), FailureReason::RateLimited);
    Err(NotifyError::Later { message: "busy".into(), after, reason, may_have_arrived: false })
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
        external_url: Default::default(),
        settings: Arc::default(),
        previous: None,
        at: Timestamp::EPOCH,
        give_up_after: Duration::from_secs(10),
    }
}

struct World {
    outbox: Outbox,
    events: mpsc::Receiver<OutboxEvent>,
    /// Of the last event, those that were not looked at.
    reports: VecDeque<Report>,
    asked: Arc<Mutex<Vec<(u64, String, u32)>>>,
}

fn key() -> IntegrationKey {
    IntegrationKey { receiver: "ops".into(), kind: "test".into(), index: 0 }
}

fn world(answers: Vec<Result<Receipt, NotifyError>>) -> World {
    let (tx, events) = mpsc::channel(10);
    let outbox = Outbox::new(tx, Arc::new(Fixed));
    let asked: Arc<Mutex<Vec<_>>> = Arc::default();
    let script = Script { answers: Mutex::new(answers), asked: Arc::clone(&asked), start: Instant::now() };
    outbox.set_endpoints(HashMap::from([(key(), Endpoint::new(Arc::new(script)))]));
    World { outbox, events, reports: VecDeque::new(), asked }
}

impl World {
    /// The next turn, or the report.
    async fn event(&mut self) -> Result<Turn, String> {
        if self.reports.is_empty() {
            match self.events.recv().await.unwrap() {
                OutboxEvent::Turn(turn) => return Ok(turn),
                OutboxEvent::Done(reports) => self.reports = reports.into(),
            }
        }
        let report = self.reports.pop_front().expect("an event has reports");
        let outcome = match report.outcome {
            Ok(_) => "delivered".to_owned(),
            Err(failure) => {
                format!("{}: {failure}", if failure.refused { "refused" } else { "given up" })
            }
        };
        Err(format!("{} {outcome}", report.notification.id))
    }

    /// The next report; what waited still holds.
    async fn report(&mut self) -> String {
        loop {
            match self.event().await {
                Ok(turn) => self.outbox.deliver((*turn.notification).clone()).await,
                Err(report) => return report,
            }
        }
    }

    fn asked(&self) -> String {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(at, id, n)| format!("{at}s {id}#{n}")).collect::<Vec<_>>().join(", ")
    }
}

#[tokio::test(start_paused = true)]
async fn tries_again_with_growing_pauses_until_it_is_through() {
    let mut world = world(vec![later(), later()]);
    world.outbox.deliver(notification("a", "g")).await;
    assert_eq!(world.report().await, "a delivered");
    assert_eq!(world.asked(), "0s a#1, 1s a#2, 3s a#3");
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_can_be_seen_until_it_is_through_or_taken_back() {
    let mut world = world(vec![later(), later(), later()]);
    assert_eq!(world.outbox.unsent(), []);
    world.outbox.deliver(notification("a", "g")).await;
    let seen = |outbox: &Outbox| {
        let line =
            |u: Unsent| format!("{} {}x {} for {:?}", u.notification.id, u.attempts, u.error, u.failing_for);
        outbox.unsent().into_iter().map(line).collect::<Vec<_>>()
    };
    let turn = world.event().await.unwrap();
    assert_eq!(seen(&world.outbox), ["a 1x busy for 1s"]);
    world.outbox.deliver((*turn.notification).clone()).await;
    let turn = world.event().await.unwrap();
    assert_eq!(seen(&world.outbox), ["a 2x busy for 3s"]);
    // Another message takes its place: it has been failing as long, and is tried once.
    world.outbox.deliver(notification("b", "g")).await;
    world.event().await.unwrap();
    assert_eq!(seen(&world.outbox), ["b 1x busy for 4s"]);
    world.outbox.withdraw(&key(), turn.notification.dedup_key.clone()).await;
    world.outbox.deliver(notification("c", "h")).await;
    assert_eq!(world.report().await, "c delivered");
    assert_eq!(seen(&world.outbox), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_got_through_in_the_end_is_not_tried_any_more() {
    for (answers, end) in [(2, "a delivered"), (9, "a given up: busy (4 attempts)")] {
        let mut world = world((0..answers).map(|_| later()).collect());
        world.outbox.deliver(notification("a", "g")).await;
        assert_eq!(world.report().await, end);
        assert_eq!(world.outbox.unsent(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn gives_up_when_the_time_is_over() {
    let mut world = world((0..9).map(|_| later()).collect());
    world.outbox.deliver(notification("a", "g")).await;
    assert_eq!(world.report().await, "a given up: busy (4 attempts)");
    assert_eq!(world.asked(), "0s a#1, 1s a#2, 3s a#3, 7s a#4");
}

#[tokio::test(start_paused = true)]
async fn refused_is_final_at_once() {
    let mut world = world(vec![Err(NotifyError::Refused {
        message: "status 404".into(),
        reason: FailureReason::ClientError,
    })]);
    world.outbox.deliver(notification("a", "g")).await;
    assert_eq!(world.report().await, "a refused: status 404");
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_other_side_asks_and_loses_nothing() {
    let mut world = world(vec![too_many(120), too_many(30)]);
    world.outbox.deliver(notification("a", "g1")).await;
    tokio::task::yield_now().await;
    world.outbox.deliver(notification("b", "g2")).await;
    let mut both = [world.report().await, world.report().await];
    both.sort();
    assert_eq!(both, ["a delivered", "b delivered"]);
    assert!(world.asked.lock().unwrap().iter().skip(2).all(|(at, ..)| *at >= 120), "{}", world.asked());
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_asked_about_and_may_be_taken_back() {
    let mut world = world(vec![too_many(60)]);
    world.outbox.deliver(notification("a", "g")).await;
    let turn = world.event().await.unwrap();
    assert_eq!(&*turn.notification.id, "a");
    world.outbox.withdraw(&key(), turn.notification.dedup_key.clone()).await;
    world.outbox.deliver(notification("b", "h")).await;
    assert_eq!(world.report().await, "b delivered");
    assert_eq!(world.asked(), "0s a#1, 60s b#1");
    assert_eq!(world.outbox.status()[0].waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn those_with_one_address_share_its_pace() {
    let (tx, mut events) = mpsc::channel(10);
    let outbox = Outbox::new(tx, Arc::new(Fixed));
    let asked: Arc<Mutex<Vec<_>>> = Arc::default();
    let rate = Some(Rate { messages: 2, per: Duration::from_secs(10) });
    let endpoint = |address: &str| {
        let (answers, asked) = (Mutex::default(), Arc::clone(&asked));
        let notifier = Arc::new(Script { answers, asked, start: Instant::now() });
        Endpoint { rate, address: Some(address.to_owned()), ..Endpoint::new(notifier) }
    };
    let other = IntegrationKey { index: 1, ..key() };
    let third = IntegrationKey { index: 2, ..key() };
    outbox.set_endpoints(HashMap::from([
        (key(), endpoint("x")),
        (other.clone(), endpoint("x")),
        (third.clone(), endpoint("y")),
    ]));
    for (id, index) in [("a", 0), ("b", 1), ("c", 1), ("d", 0), ("e", 2)] {
        outbox.deliver(Notification { index, ..notification(id, id) }).await;
        // Each in its turn.
        while asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    let mut delivered = 0;
    while delivered < 5 {
        match events.recv().await.unwrap() {
            OutboxEvent::Turn(turn) => outbox.deliver((*turn.notification).clone()).await,
            OutboxEvent::Done(reports) => delivered += reports.len(),
        }
    }
    let mut asked: Vec<_> = asked.lock().unwrap().iter().map(|(at, id, _)| (*at, id.clone())).collect();
    asked.sort();
    let times = |ids: &[&str]| {
        asked.iter().filter(|(_, id)| ids.contains(&id.as_str())).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    assert_eq!((times(&["a", "b", "c", "d"]), times(&["e"])), (vec![0, 0, 10, 10], vec![0]), "{asked:?}");
}

/// Hangs for an hour.
struct Hangs(Arc<Mutex<Vec<Duration>>>);
impl Notifier for Hangs {
    fn notify<'a>(
        &'a self,
        _notification: &'a Notification,
        _attempt: u32,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        self.0.lock().unwrap().push(deadline.left);
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(Receipt::default())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_the_time_of_its_integration_or_its_group() {
    for (timeout, group, expected) in
        [(None, 10, 10), (None, 30, 30), (None, 3600, 60), (Some(3), 3600, 3), (Some(120), 10, 120)]
    {
        let (tx, mut events) = mpsc::channel(10);
        let outbox = Outbox::new(tx, Arc::new(Fixed));
        let left: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let timeout = timeout.map(Duration::from_secs);
        let endpoint = Endpoint { timeout, ..Endpoint::new(Arc::new(Hangs(Arc::clone(&left)))) };
        outbox.set_endpoints(HashMap::from([(key(), endpoint)]));
        let give_up_after = Duration::from_secs(group);
        let began = Instant::now();
        outbox.deliver(Notification { give_up_after, ..notification("a", "g") }).await;
        let turn_or_end = events.recv().await.unwrap();
        let expected = Duration::from_secs(expected);
        assert_eq!(left.lock().unwrap()[..], [expected]);
        match turn_or_end {
            OutboxEvent::Turn(turn) => {
                assert!(turn.may_have_arrived && began.elapsed() == expected + Duration::from_secs(1));
            }
            OutboxEvent::Done(reports) => {
                assert_eq!((began.elapsed(), reports[0].took), (expected, expected));
                let outcome = reports[0].outcome.as_ref();
                assert_eq!(outcome.unwrap_err().reason, FailureReason::ContextDeadlineExceeded);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_content_of_a_group_replaces_what_still_waits() {
    let mut world = world(vec![too_many(60)]);
    world.outbox.deliver(notification("a", "g")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.outbox.deliver(notification("b", "g")).await;
    assert_eq!(world.report().await, "b delivered");
    assert_eq!(world.asked(), "0s a#1, 60s b#1");
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_does_not_hold_up_shutdown_longer_than_the_grace() {
    let mut world = world(vec![too_many(600)]);
    world.outbox.deliver(notification("a", "g")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    world.outbox.shutdown(Duration::from_secs(10)).await;
    assert_eq!(before.elapsed().as_secs(), 10);
    assert!(world.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_of_an_integration_that_is_gone_is_given_up() {
    let mut world = world(vec![too_many(60)]);
    world.outbox.deliver(notification("a", "g")).await;
    world.event().await.expect("it waited, and is asked for");
    world.outbox.set_endpoints(HashMap::new());
    assert_eq!(world.event().await.unwrap_err(), "a given up: its integration is gone");
    let before = Instant::now();
    world.outbox.shutdown(Duration::from_secs(10)).await;
    assert_eq!(before.elapsed().as_secs(), 0, "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn an_integration_that_is_gone_is_refused_by_name() {
    let mut world = world(vec![]);
    let mut notification = notification("a", "g");
    notification.receiver = "nobody".into();
    world.outbox.deliver(notification).await;
    assert_eq!(world.report().await, "a refused: receiver `nobody` has no such integration any more");
}

struct Panics;

impl Notifier for Panics {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        _attempt: u32,
        _deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            assert_ne!(&*notification.id, "bad");
            Ok(Receipt::default())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_panics_holds_up_no_other_message() {
    let mut world = world(vec![]);
    world.outbox.set_endpoints(HashMap::from([(key(), Endpoint::new(Arc::new(Panics)))]));
    for (id, group) in [("bad", "g"), ("good", "h")] {
        world.outbox.deliver(notification(id, group)).await;
    }
    let mut reports = [world.report().await, world.report().await];
    reports.sort();
    assert_eq!(
        reports,
        ["bad refused: the notifier broke down; its last log line says where", "good delivered"]
    );
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_told_together_but_for_the_first_after_a_pause() {
    let mut world = world((0..40).map(|_| Ok(Receipt::default())).collect());
    let mut told = Vec::new();
    for round in 0..2 {
        for number in 0..20 {
            let id = format!("{round}-{number}");
            world.outbox.deliver(notification(&id, &id)).await;
        }
        let (mut events, mut reports) = (0, 0);
        while reports < 20 {
            if let OutboxEvent::Done(more) = world.events.recv().await.unwrap() {
                events += 1;
                reports += more.len();
                told.extend(more.into_iter().map(|report| report.notification.id.to_string()));
            }
        }
        assert!(events <= 3, "{events} events");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = Instant::now();
    world.outbox.deliver(notification("last", "last")).await;
    assert_eq!((world.report().await.as_str(), before.elapsed()), ("last delivered", Duration::ZERO));
    assert_eq!((told.len(), told.iter().filter(|id| id.starts_with("0-")).count()), (40, 20));
}
