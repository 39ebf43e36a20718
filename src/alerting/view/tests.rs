use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::{
    AlertDraft, AlertingConfig, Change, CommitFailure, CommitId, Decision, Effect, Event, GroupBy,
    Integration, MatcherMode, MuteReason, Receiver, ReplyTo, RouteSpec, RouteTree, SilenceDraft, SkipReason,
    parse_matchers,
};

fn secs(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn matchers(text: &str) -> Vec<Matcher> {
    parse_matchers(text, MatcherMode::Fallback).unwrap()
}

/// `ops` hears of everything in groups by `alertname`; `db` of `team="db"` too.
fn machine() -> Alerting {
    let child = RouteSpec {
        receiver: Some("db".into()),
        matchers: matchers("team=db"),
        continue_matching: true,
        labels: BTreeMap::from([("owner".into(), "dba".into())]),
        ..Default::default()
    };
    let all = RouteSpec::default();
    let root = RouteSpec {
        receiver: Some("ops".into()),
        group_by: Some(GroupBy::parse(&["alertname"], MatcherMode::Fallback).unwrap()),
        routes: vec![child, all],
        ..Default::default()
    };
    let receiver = |name: &str, kind: &str| Receiver {
        name: name.into(),
        labels: Labels::from([("kind", kind)]),
        integrations: vec![Integration { kind: "webhook".into(), index: 0, send_resolved: true }],
    };
    let receivers = vec![receiver("ops", "page"), receiver("db", "chat")];
    Alerting::new(AlertingConfig::new(RouteTree::check(&root).unwrap(), receivers).into(), secs(0))
}

/// Carries out what a step wants; returns the messages.
fn step(alerting: &mut Alerting, now: i64, event: Event) -> Vec<model::Notification> {
    let (mut sent, mut events) = (Vec::new(), vec![event]);
    while let Some(event) = events.pop() {
        for effect in alerting.step(secs(now), event) {
            match effect {
                Effect::Commit { id, .. } => events.push(Event::Committed(id)),
                Effect::Deliver(message) => {
                    let outcome = Ok(Default::default());
                    events.push(Event::Delivered { notification: message.id.clone(), outcome });
                    sent.push((*message).clone());
                }
                Effect::Reply { .. } | Effect::Withdraw { .. } => {}
            }
        }
    }
    sent
}

fn post(alerting: &mut Alerting, now: i64, labels: Labels) {
    let alerts = vec![AlertDraft { labels, ends_at: Some(secs(100_000)), ..Default::default() }];
    step(alerting, now, Event::PostAlerts { alerts, reply: ReplyTo(0) });
}

fn silence(alerting: &mut Alerting, now: i64, id: &str, text: &str) {
    let draft = SilenceDraft {
        matcher_sets: vec![matchers(text)],
        ends_at: Some(secs(now + 3600)),
        ..Default::default()
    };
    step(alerting, now, Event::PutSilence { draft, fresh_id: SilenceId::new(id), reply: ReplyTo(0) });
}

#[test]
fn groups_stand_in_the_order_of_alertmanager() {
    let route = |receiver: &str, by: &[&str]| RouteSpec {
        receiver: Some(receiver.into()),
        group_by: Some(GroupBy::parse(by, MatcherMode::Fallback).unwrap()),
        continue_matching: true,
        ..Default::default()
    };
    let routes =
        vec![route("z", &["alertname"]), route("a", &["alertname"]), route("a", &["job"]), route("a", &[])];
    let root = RouteSpec { routes, ..route("a", &["alertname", "job"]) };
    let receiver = |name: &str| Receiver { name: name.into(), labels: Labels::empty(), integrations: vec![] };
    let tree = RouteTree::check(&RouteSpec { continue_matching: false, ..root }).unwrap();
    let mut alerting =
        Alerting::new(AlertingConfig::new(tree, vec![receiver("a"), receiver("z")]).into(), secs(0));
    for name in ["B", "A"] {
        post(&mut alerting, 0, Labels::from([("alertname", name), ("job", "j")]));
    }
    let view = alerting.view(secs(1));
    let groups: Vec<String> =
        view.groups.iter().map(|group| format!("{} {}", group.labels, group.receiver)).collect();
    assert_eq!(
        groups,
        [
            "{} a",
            // `alertname` is missing, and that comes before its values.
            "{job=\"j\"} a",
            "{alertname=\"A\"} a",
            "{alertname=\"A\"} z",
            "{alertname=\"B\"} a",
            "{alertname=\"B\"} z",
        ]
    );
}

fn posted() -> Alerting {
    let mut alerting = machine();
    post(&mut alerting, 0, Labels::from([("alertname", "A"), ("team", "db")]));
    post(&mut alerting, 0, Labels::from([("alertname", "B"), ("team", "web")]));
    silence(&mut alerting, 1, "s1", "team=web");
    alerting
}

fn names(view: &AlertingView, filter: &AlertFilter) -> String {
    view.filtered_alerts(filter).map(|alert| alert.alert.labels.value("alertname")).collect()
}

#[test]
fn filters_alerts_as_the_api_asks() {
    let view = posted().view(secs(2));
    let all = AlertFilter::default();
    let mut expected = names(&view, &all).chars().collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(expected, ['A', 'B']);
    for (filter, expected) in [
        (AlertFilter { silenced: false, ..all.clone() }, "A"),
        (AlertFilter { active: false, ..all.clone() }, "B"),
        (AlertFilter { matchers: matchers("team=~\"d.*\""), ..all.clone() }, "A"),
        (AlertFilter { matchers: matchers("missing=\"\",alertname=B"), ..all.clone() }, "B"),
        (AlertFilter { receiver: Some(Re2::anchored_line("d").unwrap()), ..all.clone() }, ""),
        (AlertFilter { receiver: Some(Re2::anchored_line("d.").unwrap()), ..all.clone() }, "A"),
        (AlertFilter { receiver_matchers: matchers("kind=chat"), ..all.clone() }, "A"),
        (AlertFilter { receiver_matchers: matchers("name=ops,kind=chat"), ..all.clone() }, ""),
    ] {
        assert_eq!(names(&view, &filter), expected, "{filter:?}");
    }
}

#[test]
fn says_how_long_it_holds() {
    let mut alerting = posted();
    // The silence ends first.
    let view = alerting.view(secs(2));
    let ends = view.silences.iter().map(|view| view.silence.ends_at).min();
    assert_eq!(Some(view.holds_until), ends);
    silence(&mut alerting, 2, "later", "team=none");
    assert_eq!(Some(alerting.view(secs(3)).holds_until), ends);
    let late = alerting.view(secs(20_000));
    assert_eq!(late.holds_until, secs(100_000), "then the alerts");
    assert_eq!(alerting.view(secs(100_000)).holds_until, Timestamp::MAX);
    let mut config = (**alerting.config()).clone();
    config.time_intervals.insert("always".into(), Vec::new());
    let timed = Alerting::new(config.into(), secs(61));
    assert_eq!(timed.view(secs(61)).holds_until, secs(120));
}

#[test]
fn shows_groups_with_their_alerts() {
    let view = posted().view(secs(2));
    let shown = |filter: &AlertFilter| -> Vec<String> {
        let show = |(group, alerts): (&GroupView, Vec<&AlertView>)| {
            format!("{} {} {}", group.labels, group.receiver, alerts.len())
        };
        view.filtered_groups(filter).into_iter().map(show).collect()
    };
    assert_eq!(
        shown(&AlertFilter::default()),
        ["{alertname=\"A\"} db 1", "{alertname=\"A\"} ops 1", "{alertname=\"B\"} ops 1"]
    );
    assert_eq!(
        shown(&AlertFilter { silenced: false, ..Default::default() }),
        ["{alertname=\"A\"} db 1", "{alertname=\"A\"} ops 1"]
    );
    let group = &view.groups[0];
    assert_eq!(&*group.group_key, "{}/{team=\"db\"}:{alertname=\"A\"}");
    assert_eq!(group.route_labels, Labels::from([("owner", "dba")]));
    assert_eq!((group.next_flush, group.flushed), (secs(30), false));
}

#[test]
fn says_who_was_told_and_why_not() {
    let mut alerting = posted();
    let sent = step(&mut alerting, 30, Event::Tick);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].dedup_key.len(), 64);
    let view = alerting.view(secs(31));
    let told = |name: &str| {
        let alert = view.alerts.iter().find(|alert| alert.alert.labels.value("alertname") == name).unwrap();
        alert.told.iter().map(|told| &*told.destination.receiver).collect::<Vec<_>>()
    };
    assert_eq!((told("A"), told("B")), (vec!["db", "ops"], vec![]));
    assert_eq!(view.groups[0].deliveries[0].told, Some((secs(30), NotifyReason::FirstNotification)));

    let explanation = alerting.explain(secs(31), &Labels::from([("alertname", "B"), ("team", "web")]));
    assert_eq!(explanation.muted, Some(MuteReason::Silenced(vec![SilenceId::new("s1")])));
    assert_eq!(explanation.routes[0].integrations[0].verdict, Err(SkipReason::AllMuted));
    let explanation = alerting.explain(secs(31), &Labels::from([("alertname", "A"), ("team", "db")]));
    assert!(explanation.routes.iter().all(|route| route.integrations[0].knows));
    let unchanged = SkipReason::Unchanged { repeat_after: secs(30) + Duration::from_secs(4 * 3600) };
    assert_eq!(explanation.routes[0].integrations[0].verdict, Err(unchanged));

    let (decisions, dropped) = alerting.take_decisions();
    let shown: Vec<String> = decisions
        .iter()
        .map(|record| match &record.decision {
            Decision::Muted(MuteReason::Silenced(ids)) => format!("muted by {}", ids[0]),
            Decision::Send { reason, .. } => format!("{}: {reason}", record.receiver),
            Decision::Skip(reason) => format!("{}: {reason:?}", record.receiver),
            Decision::Delivered { .. } => format!("{}: delivered", record.receiver),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(dropped, 0);
    assert_eq!(
        shown,
        [
            "db: first notification",
            "ops: first notification",
            "muted by s1",
            "ops: AllMuted",
            "ops: delivered",
            "db: delivered",
        ]
    );
    // A "no" is written down once, not at every tick.
    for now in [330, 630, 930] {
        step(&mut alerting, now, Event::Tick);
    }
    let (decisions, _) = alerting.take_decisions();
    assert!(
        decisions
            .iter()
            .all(|record| matches!(record.decision, Decision::Skip(SkipReason::Unchanged { .. })))
    );
    assert_eq!(decisions.len(), 2);
}

#[test]
fn lists_silences_in_order() {
    let silence = |id: &str, starts: i64, ends: i64| {
        Arc::new(Silence {
            id: SilenceId::new(id),
            matcher_sets: vec![matchers("a=b")],
            starts_at: secs(starts),
            ends_at: secs(ends),
            updated_at: secs(0),
            created_by: String::new(),
            comment: String::new(),
            annotations: Default::default(),
        })
    };
    let silences = [
        silence("later", 200, 300),
        silence("old", 0, 50),
        silence("long", 0, 500),
        silence("soon", 150, 400),
        silence("recent", 0, 90),
        silence("short", 0, 110),
    ];
    let listed: Vec<String> =
        list_silences(silences.iter(), secs(100)).iter().map(|view| view.silence.id.to_string()).collect();
    assert_eq!(listed, ["short", "long", "soon", "later", "recent", "old"]);
    assert!(silence_is_listed(&silences[0], &matchers("a=b")));
    assert!(!silence_is_listed(&silences[0], &matchers("a=~b")));
}

/// The changes of the commit that a step wants.
fn commit(effects: Vec<Effect>) -> (CommitId, Vec<Change>) {
    match effects.into_iter().find(|effect| matches!(effect, Effect::Commit { .. })) {
        Some(Effect::Commit { id, changes }) => (id, changes),
        _ => panic!("nothing to commit"),
    }
}

#[test]
fn nothing_goes_out_before_it_is_written_down() {
    let mut alerting = posted();
    let effects = alerting.step(secs(30), Event::Tick);
    assert!(matches!(effects[..], [Effect::Commit { .. }]));
    let (id, _) = commit(effects);
    let effects = alerting.step(secs(31), Event::Committed(id));
    assert!(matches!(effects[..], [Effect::Deliver(_), Effect::Deliver(_)]));
    assert!(alerting.step(secs(31), Event::Committed(id)).is_empty(), "an answer counts once");
}

#[test]
fn goes_out_all_the_same_when_storage_does_not_answer() {
    let mut alerting = posted();
    alerting.step(secs(30), Event::Tick);
    let effects = alerting.step(secs(60), Event::Tick);
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Deliver(_))).count(), 2);
    assert!(alerting.sizes().behind);
}

#[test]
fn does_not_go_out_when_somebody_else_was_first() {
    let mut alerting = posted();
    let (commit, _) = commit(alerting.step(secs(30), Event::Tick));
    let failure = CommitFailure::Conflict;
    let effects =
        alerting.step(secs(31), Event::CommitFailed { commit, failure, message: "conflict".into() });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Deliver(_))));
    assert_eq!(alerting.sizes().in_flight, 0);
}

#[test]
fn counts_what_is_left_out_at_each_flush_and_at_no_other_look() {
    let mut alerting = machine();
    post(&mut alerting, 0, Labels::from([("alertname", "A"), ("team", "web")]));
    post(&mut alerting, 0, Labels::from([("alertname", "A"), ("team", "night")]));
    silence(&mut alerting, 1, "s1", "team=night");
    assert_eq!((alerting.census(secs(2)).active, alerting.census(secs(2)).suppressed), (1, 1));
    let left_out = |alerting: &Alerting| alerting.stats().suppressed.by_silence;
    let mut messages = Vec::new();
    let mut carry = |alerting: &mut Alerting, now: i64, event: Event| {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in alerting.step(secs(now), event) {
                match effect {
                    Effect::Commit { id, .. } => events.push(Event::Committed(id)),
                    Effect::Deliver(message) => messages.push(message.id.clone()),
                    Effect::Reply { .. } | Effect::Withdraw { .. } => {}
                }
            }
        }
        messages.last().cloned()
    };
    let first = carry(&mut alerting, 30, Event::Tick).expect("one of the two is told");
    assert_eq!(left_out(&alerting), 1);
    // The message is under way still when the next flush comes; what that one missed follows its end.
    carry(&mut alerting, 330, Event::Tick);
    assert_eq!(left_out(&alerting), 2);
    carry(&mut alerting, 330, Event::Delivered { notification: first, outcome: Ok(Default::default()) });
    assert_eq!(left_out(&alerting), 2, "nobody flushed since");
    carry(&mut alerting, 630, Event::Tick);
    assert_eq!(left_out(&alerting), 3);
}
