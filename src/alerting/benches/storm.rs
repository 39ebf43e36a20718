//! What an alert costs in the state machine, in CPU time of this process: a storm of alerts comes in, is told, is looked
//! at by a reader, and is posted again as senders do.
//!
//! `cargo bench -p alerting --bench storm [CASE…]`. Not here: HTTP, the disk, receivers; those answer at once.

#![allow(clippy::unwrap_used, reason = "a bench")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alerting::{
    AlertDraft, AlertFilter, Alerting, AlertingConfig, Effect, Event, GroupBy, InhibitRule, Integration,
    MatcherMode, Receiver, ReplyTo, RouteSpec, RouteTree, SilenceDraft, SilenceId, parse_matchers,
};
use model::{Labels, Receipt, Timestamp};

const START: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Alerts of one request.
const BATCH: usize = 64;

struct Case {
    name: &'static str,
    alerts: usize,
    groups: usize,
    group_by: &'static str,
    silences: usize,
    inhibits: usize,
}

const CASES: [Case; 8] = [
    case("10k_1group", 10_000, 1, "none", 0, 0),
    case("10k_100groups", 10_000, 100, "group", 0, 0),
    case("10k_10kgroups", 10_000, 10_000, "pod", 0, 0),
    case("10k_100groups_1000silences", 10_000, 100, "group", 1000, 0),
    case("10k_100groups_100inhibits", 10_000, 100, "group", 0, 100),
    case("10k_100groups_both", 10_000, 100, "group", 1000, 100),
    case("100k_1000groups", 100_000, 1000, "group", 0, 0),
    case("100k_1000groups_both", 100_000, 1000, "group", 1000, 100),
];

const fn case(
    name: &'static str,
    alerts: usize,
    groups: usize,
    group_by: &'static str,
    silences: usize,
    inhibits: usize,
) -> Case {
    Case { name, alerts, groups, group_by, silences, inhibits }
}

/// CPU time of this thread in nanoseconds.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Resident memory in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn config(case: &Case) -> AlertingConfig {
    let root = RouteSpec {
        receiver: Some("hook".into()),
        group_by: Some(GroupBy::parse(&[case.group_by], MatcherMode::Fallback).unwrap()),
        group_wait: Some(Duration::ZERO),
        group_interval: Some(Duration::from_secs(5)),
        ..RouteSpec::default()
    };
    let integrations = vec![Integration { kind: "webhook".into(), index: 0, send_resolved: false }];
    let receiver = Receiver { name: "hook".into(), labels: Labels::empty(), integrations };
    let mut config = AlertingConfig::new(RouteTree::check(&root).unwrap(), vec![receiver]);
    let matchers = |text: &str| parse_matchers(text, MatcherMode::Fallback).unwrap();
    config.inhibit_rules = (0..case.inhibits)
        .map(|i| InhibitRule {
            name: String::new(),
            source_matchers: matchers(&format!("alertname=\"Bench{}\",severity=\"critical\"", i % 50)),
            target_matchers: matchers(&format!(
                "alertname=\"Bench{}\",severity=~\"warning|info\"",
                (i + 1) % 50
            )),
            equal: BTreeSet::from(["cluster".into(), "namespace".into(), "pod".into()]),
        })
        .collect();
    config
}

fn draft(i: usize, groups: usize) -> AlertDraft {
    let labels = Labels::from_pairs([
        ("alertname", format!("Bench{}", i % 50)),
        ("group", format!("g{}", i % groups)),
        ("severity", ["critical", "warning", "info"][i % 3].to_owned()),
        ("instance", format!("node-{:05}:9100", i % 5000)),
        ("job", "node".to_owned()),
        ("namespace", format!("ns-{}", i % 40)),
        ("pod", format!("app-{i:06}-7c9d8-x7k2p")),
        ("cluster", format!("prod-{}", i % 4)),
        ("service", format!("svc-{}", i % 300)),
    ]);
    let description =
        format!("The file system of app-{i:06} has less than ten percent left and loses more every minute.");
    AlertDraft {
        labels,
        annotations: [
            ("summary".to_owned(), format!("Disk of node-{:05} is filling up", i % 5000)),
            ("description".to_owned(), description),
        ]
        .into(),
        starts_at: Some(START),
        ends_at: Some(START + Duration::from_secs(3600)),
        generator_url: "http://127.0.0.1:9090/graph?g0.expr=up+%3D%3D+0".into(),
    }
}

struct Run {
    machine: Alerting,
    now: Timestamp,
    told: usize,
    messages: usize,
    committed_bytes: usize,
}

impl Run {
    fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.machine.step(self.now, event) {
                match effect {
                    Effect::Commit { id, changes } => {
                        let bytes = |c: &alerting::Change| c.key.len() + c.value.as_ref().map_or(0, Vec::len);
                        self.committed_bytes += changes.iter().map(bytes).sum::<usize>();
                        events.push(Event::Committed(id));
                    }
                    Effect::Deliver(message) => {
                        self.told += message.alerts.len();
                        self.messages += 1;
                        events.push(Event::Delivered {
                            notification: message.id.clone(),
                            outcome: Ok(Receipt::default()),
                        });
                    }
                    Effect::Reply { .. } | Effect::Withdraw { .. } => {}
                }
            }
        }
        self.machine.take_decisions();
    }

    fn post(&mut self, case: &Case) {
        let all: Vec<usize> = (0..case.alerts).collect();
        for batch in all.chunks(BATCH) {
            self.now = self.now + Duration::from_millis(1);
            let alerts = batch.iter().map(|i| draft(*i, case.groups)).collect();
            self.step(Event::PostAlerts { alerts, reply: ReplyTo(0) });
        }
    }
}

fn measure(case: &Case) {
    let rss = resident();
    let now = START + Duration::from_secs(1);
    let machine = Alerting::new(Arc::new(config(case)), now);
    let mut run = Run { machine, now, told: 0, messages: 0, committed_bytes: 0 };
    for i in 0..case.silences {
        let text = format!("pod=~\"web-[0-9]+-{i}-.*\",namespace=~\"ns-({}|x{i})\"", i % 40);
        let draft = SilenceDraft {
            matcher_sets: vec![parse_matchers(&text, MatcherMode::Fallback).unwrap()],
            starts_at: Some(now),
            ends_at: Some(START + Duration::from_secs(864_000)),
            ..SilenceDraft::default()
        };
        let fresh_id = SilenceId::new(&format!("silence-{i}"));
        run.step(Event::PutSilence { draft, fresh_id, reply: ReplyTo(0) });
    }
    let with_silences = resident();
    // What the drafts themselves cost is not the machine's.
    let before = cpu_nanos();
    (0..case.alerts).for_each(|i| drop(std::hint::black_box(draft(i, case.groups))));
    let drafts = cpu_nanos() - before;
    let micros = |nanos: u64| nanos.saturating_sub(drafts) as f64 / 1e3 / case.alerts as f64;

    let before = cpu_nanos();
    run.post(case);
    run.now = run.now + Duration::from_secs(5);
    run.step(Event::Tick);
    let storm = micros(cpu_nanos() - before);
    let (messages, committed) = (run.messages, run.committed_bytes);
    let before = cpu_nanos();
    run.post(case);
    let again = micros(cpu_nanos() - before);
    let before = cpu_nanos();
    run.now = run.now + Duration::from_secs(30);
    run.step(Event::Tick);
    let flush = (cpu_nanos() - before) as f64 / 1e3 / case.alerts as f64;
    let before = cpu_nanos();
    let view = run.machine.view(run.now);
    let (alerts, groups) = (
        view.filtered_alerts(&AlertFilter::default()).count(),
        view.filtered_groups(&AlertFilter::default()).len(),
    );
    let looked = (cpu_nanos() - before) as f64 / 1e6;
    println!(
        "{:<28} storm {storm:6.2} us/alert, again {again:6.2}, flush {flush:6.2}; view {looked:8.2} ms of {alerts} alerts, {groups} groups; \
         {} alerts in {messages} messages, {} B/alert written, {} B/alert written again, silences {} kB, {} B/alert resident",
        case.name,
        run.told,
        committed / case.alerts,
        (run.committed_bytes - committed) / case.alerts,
        (with_silences - rss) / 1000,
        (resident() - with_silences) / case.alerts as u64,
    );
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|name| name == case.name)) {
        measure(case);
    }
}
