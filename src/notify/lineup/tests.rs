//! What goes when, without a clock.

use model::{AlertStatus, Labels, NotifyReason, Timestamp};

use super::*;

fn message(id: &str, group: &str) -> Arc<Notification> {
    Arc::new(Notification {
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
    })
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn failed(after: Option<u64>, reason: FailureReason) -> Result<Receipt, NotifyError> {
    let may_have_arrived = reason == FailureReason::ContextDeadlineExceeded;
    Err(NotifyError::Later { message: "busy".into(), after: after.map(secs), reason, may_have_arrived })
}

fn later() -> Result<Receipt, NotifyError> {
    failed(None, FailureReason::ServerError)
}

fn too_many(after: u64) -> Result<Receipt, NotifyError> {
    failed(Some(after), FailureReason::RateLimited)
}

/// A lineup whose questions are answered with what was asked about, unless it is told otherwise.
#[derive(Default)]
struct Queue {
    lineup: Lineup,
    pace: Pace,
}

impl Queue {
    fn push(&mut self, message: Arc<Notification>, now: u64) {
        self.lineup.push(message, secs(now));
    }

    /// Everything that may be done.
    fn starts(&mut self, now: u64) -> (Vec<(AttemptId, String)>, Vec<Turn>) {
        let (mut attempts, mut turns) = (Vec::new(), Vec::new());
        while let Some(start) = self.lineup.start(secs(now), &mut self.pace) {
            match start {
                Start::Attempt(attempt) => attempts.push((attempt.id, attempt.notification.id.to_string())),
                Start::Turn(turn) => turns.push(turn),
            }
        }
        (attempts, turns)
    }

    fn started(&mut self, now: u64) -> Vec<(AttemptId, String)> {
        let (mut attempts, turns) = self.starts(now);
        if !turns.is_empty() {
            turns.into_iter().for_each(|turn| self.push(turn.notification, now));
            attempts.extend(self.started(now));
        }
        attempts
    }

    fn finish(&mut self, id: AttemptId, outcome: Result<Receipt, NotifyError>, now: u64) -> Step {
        self.lineup.finish(id, outcome, secs(now), 200, &mut self.pace)
    }

    fn next_start(&self) -> Option<Duration> {
        self.lineup.next_start(&self.pace)
    }
}

fn report(step: Step) -> (String, bool) {
    match step {
        Step::Done(report) => (report.notification.id.to_string(), report.outcome.is_ok()),
        Step::Again { .. } => panic!("it goes again"),
    }
}

fn delivered() -> Result<Receipt, NotifyError> {
    Ok(Receipt::default())
}

#[test]
fn starts_four_in_order() {
    let mut queue = Queue::default();
    for id in ["1", "2", "3", "4", "5"] {
        queue.push(message(id, id), 0);
    }
    let first = queue.started(0);
    assert_eq!(first.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert_eq!(queue.next_start(), None);
    assert_eq!(report(queue.finish(first[1].0, delivered(), 1)), ("2".into(), true));
    assert_eq!(queue.started(1)[0].1, "5");
}

#[test]
fn newer_content_waits_for_what_is_under_way() {
    let mut queue = Queue::default();
    queue.push(message("old", "g"), 0);
    let under_way = queue.started(0)[0].0;
    queue.push(message("newer", "g"), 0);
    queue.push(message("newest", "g"), 0);
    assert_eq!(queue.started(1), []);
    assert_eq!(report(queue.finish(under_way, delivered(), 2)), ("old".into(), true));
    queue.push(message("last", "g"), 2);
    assert_eq!(queue.started(2)[0].1, "last", "one that waits is replaced");
    assert_eq!(queue.lineup.len(), 1);
}

#[test]
fn the_same_message_is_not_delivered_again() {
    let mut queue = Queue::default();
    queue.push(message("same", "g"), 0);
    let under_way = queue.started(0)[0].0;
    queue.push(message("same", "g"), 0);
    assert_eq!(report(queue.finish(under_way, delivered(), 2)), ("same".into(), true));
    assert!(queue.lineup.is_empty());
}

#[test]
fn what_failed_gives_way_to_newer_content() {
    let mut queue = Queue::default();
    queue.push(message("old", "g"), 0);
    let under_way = queue.started(0)[0].0;
    queue.push(message("new", "g"), 0);
    let step = queue.finish(under_way, later(), 1);
    assert!(matches!(step, Step::Again { wait, .. } if wait == secs(1)));
    assert_eq!(queue.next_start(), Some(secs(2)));
    assert_eq!(queue.started(2)[0].1, "new");
}

#[test]
fn waits_as_long_as_it_is_asked_to_and_goes_on_gently() {
    let mut queue = Queue::default();
    for id in ["1", "2", "3"] {
        queue.push(message(id, id), 0);
    }
    let all = queue.started(0);
    queue.finish(all[0].0, too_many(60), 1);
    queue.finish(all[1].0, delivered(), 1);
    queue.finish(all[2].0, too_many(30), 1);
    assert_eq!(queue.next_start(), Some(secs(61)));
    assert_eq!(queue.started(60), []);
    let one = queue.started(61);
    assert_eq!(one.len(), 1, "gently");
    queue.finish(one[0].0, delivered(), 62);
    assert_eq!(queue.started(62).len(), 1);
}

#[test]
fn gives_up_when_its_time_is_over() {
    let mut queue = Queue::default();
    queue.push(message("1", "g"), 0);
    let mut now = 0;
    let mut attempts = 0;
    let report = loop {
        let one = queue.started(now)[0].0;
        attempts += 1;
        match queue.finish(one, later(), now) {
            Step::Done(report) => break report,
            Step::Again { wait, .. } => now += wait.as_secs(),
        }
    };
    assert_eq!(report.outcome.map_err(|failure| failure.reason), Err(FailureReason::ServerError));
    assert_eq!((attempts, report.took), (4, secs(7)));
}

#[test]
fn asks_before_what_waited_goes_out() {
    let mut queue = Queue::default();
    queue.push(message("old", "g"), 0);
    let (attempts, turns) = queue.starts(0);
    assert!(turns.is_empty(), "what was just decided goes at once");
    queue.finish(attempts[0].0, too_many(60), 0);
    assert_eq!(queue.starts(59).1.len(), 0);
    let (attempts, turns) = queue.starts(60);
    assert!(attempts.is_empty() && queue.starts(61).1.is_empty(), "asked once, and waits for the answer");
    assert_eq!((&*turns[0].notification.id, turns[0].may_have_arrived), ("old", false));
    // Something else holds now.
    queue.push(message("new", "g"), 62);
    assert_eq!(queue.starts(62).0[0].1, "new");
}

#[test]
fn what_is_taken_back_leaves() {
    let mut queue = Queue::default();
    queue.push(message("1", "g"), 0);
    queue.push(message("2", "h"), 0);
    queue.lineup.withdraw("g");
    assert_eq!(queue.lineup.len(), 2, "nobody was asked yet");
    let (_, turns) = queue.starts(5);
    assert_eq!(turns.len(), 2, "room comes late");
    queue.lineup.withdraw("g");
    queue.push(message("2", "h"), 5);
    assert_eq!(queue.starts(5).0.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(queue.lineup.len(), 1);
}

#[test]
fn what_may_have_arrived_does_not_wait_for_ever() {
    let mut queue = Queue::default();
    queue.push(message("1", "g"), 0);
    let first = queue.started(0)[0].0;
    let step = queue.finish(first, failed(None, FailureReason::ContextDeadlineExceeded), 3);
    assert!(matches!(step, Step::Again { .. }));
    let (_, turns) = queue.starts(4);
    assert!(turns[0].may_have_arrived);
    queue.push(message("1", "g"), 4);
    let second = queue.started(4)[0].0;
    let step = queue.finish(second, too_many(60), 4);
    assert_eq!(report(step), ("1".into(), false));
    // The same again is a new message here, and waits as it was asked to.
    queue.push(message("1", "g"), 5);
    assert_eq!(queue.next_start(), Some(secs(64)));
}

#[test]
fn nobody_to_ask_is_giving_up() {
    let mut queue = Queue::default();
    queue.push(message("1", "g"), 0);
    queue.push(message("2", "h"), 0);
    assert_eq!(queue.starts(2).1.len(), 2);
    for report in queue.lineup.give_up_asked("gone", secs(2)) {
        assert_eq!(report.outcome.map_err(|failure| failure.reason), Err(FailureReason::ContextCanceled));
    }
    assert!(queue.lineup.is_empty());
}

#[test]
fn another_message_has_its_own_time() {
    let mut queue = Queue::default();
    queue.push(message("old", "g"), 0);
    let mut now = 0;
    // Its next failure gives the old one up: it would wait until 15 s, and has 10.
    while now < 7 {
        let attempt = queue.started(now)[0].0;
        let step = queue.finish(attempt, failed(None, FailureReason::ServerError), now);
        let Step::Again { wait, .. } = step else { panic!("it goes again") };
        now += wait.as_secs();
    }
    queue.push(message("new", "g"), now);
    let attempt = queue.started(now)[0].0;
    let step = queue.finish(attempt, failed(None, FailureReason::ServerError), now);
    assert!(matches!(step, Step::Again { .. }), "{step:?}");
}
