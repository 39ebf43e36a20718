//! What goes when, without a clock.

use std::collections::BTreeMap;

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
        external_url: String::new(),
        settings: BTreeMap::new(),
        previous: None,
        at: Timestamp::EPOCH,
        give_up_after: Duration::from_secs(10),
    })
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn later(after: Option<u64>, rate_limited: bool) -> Result<Receipt, NotifyError> {
    Err(NotifyError::Later { message: "busy".into(), after: after.map(secs), rate_limited })
}

fn started(lineup: &mut Lineup, now: u64) -> Vec<(AttemptId, String)> {
    std::iter::from_fn(|| lineup.start(secs(now)).map(|s| (s.id, s.notification.id.clone()))).collect()
}

fn report(step: Step) -> (String, bool) {
    match step {
        Step::Done(report) => (report.notification.id.clone(), report.outcome.is_ok()),
        Step::Again { .. } => panic!("it goes again"),
    }
}

#[test]
fn starts_four_in_order() {
    let mut lineup = Lineup::default();
    for id in ["1", "2", "3", "4", "5"] {
        lineup.push(message(id, id));
    }
    let first = started(&mut lineup, 0);
    assert_eq!(first.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert_eq!(lineup.next_start(), None);
    assert_eq!(report(lineup.finish(first[1].0, Ok(Receipt::default()), secs(1), 0)), ("2".into(), true));
    assert_eq!(started(&mut lineup, 1)[0].1, "5");
}

#[test]
fn newer_content_waits_for_what_is_under_way() {
    let mut lineup = Lineup::default();
    lineup.push(message("old", "g"));
    let under_way = started(&mut lineup, 0)[0].0;
    lineup.push(message("newer", "g"));
    lineup.push(message("newest", "g"));
    assert_eq!(started(&mut lineup, 1), []);
    assert_eq!(report(lineup.finish(under_way, Ok(Receipt::default()), secs(2), 0)), ("old".into(), true));
    lineup.push(message("last", "g"));
    assert_eq!(started(&mut lineup, 2)[0].1, "last", "one that waits is replaced");
    assert_eq!(lineup.len(), 1);
}

#[test]
fn the_same_message_is_not_delivered_again() {
    let mut lineup = Lineup::default();
    lineup.push(message("same", "g"));
    let under_way = started(&mut lineup, 0)[0].0;
    lineup.push(message("same", "g"));
    assert_eq!(report(lineup.finish(under_way, Ok(Receipt::default()), secs(2), 0)), ("same".into(), true));
    assert!(lineup.is_empty());
}

#[test]
fn what_failed_gives_way_to_newer_content() {
    let mut lineup = Lineup::default();
    lineup.push(message("old", "g"));
    let under_way = started(&mut lineup, 0)[0].0;
    lineup.push(message("new", "g"));
    assert!(
        matches!(lineup.finish(under_way, later(None, false), secs(1), 200), Step::Again { wait, .. } if wait == secs(1))
    );
    assert_eq!(lineup.next_start(), Some(secs(2)));
    assert_eq!(started(&mut lineup, 2)[0].1, "new");
}

#[test]
fn waits_as_long_as_it_is_asked_to_and_goes_on_gently() {
    let mut lineup = Lineup::default();
    for id in ["1", "2", "3"] {
        lineup.push(message(id, id));
    }
    let all = started(&mut lineup, 0);
    lineup.finish(all[0].0, later(Some(60), true), secs(1), 0);
    lineup.finish(all[1].0, Ok(Receipt::default()), secs(1), 0);
    lineup.finish(all[2].0, later(Some(30), true), secs(1), 0);
    assert_eq!(lineup.next_start(), Some(secs(61)));
    assert_eq!(started(&mut lineup, 60), []);
    let one = started(&mut lineup, 61);
    assert_eq!(one.len(), 1, "gently");
    lineup.finish(one[0].0, Ok(Receipt::default()), secs(62), 0);
    assert_eq!(started(&mut lineup, 62).len(), 1);
}

#[test]
fn gives_up_when_its_time_is_over() {
    let mut lineup = Lineup::default();
    lineup.push(message("1", "g"));
    let mut now = 0;
    let mut attempts = 0;
    let report = loop {
        let one = started(&mut lineup, now)[0].0;
        attempts += 1;
        match lineup.finish(one, later(None, false), secs(now), 200) {
            Step::Done(report) => break report,
            Step::Again { wait, .. } => now += wait.as_secs(),
        }
    };
    assert!(report.outcome.is_err());
    assert_eq!((attempts, report.took), (4, secs(7)));
}
