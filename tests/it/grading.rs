//! The lab's grading in simulated time: busy for two minutes is nobody's business, busy for four is one message and one
//! that it is over. The same for the rule in PromQL, in Rhai and in Wasm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alerting::{
    Alerting, AlertingConfig, Effect, Event, GroupBy, Integration, MatcherMode, Receiver, RouteSpec,
    RouteTree,
};
use model::{AlertStatus, FloatSample, Labels, Matcher, Selection, Series, Timestamp};
use plugin::{HostDeps, HostOptions, PluginHost, PluginSpec, Source};
use ports::{BoxFuture, Select, SelectError, SeriesSet};
use promql::ParseOptions;
use rules::{Action, Condition, External, GroupState, Place, Rule, RuleGroup};
use server::{HttpOutgoing, QueryEngine, QueryLimits, SystemClock, SystemRandom};

const STEP: i64 = 5;
const EXPR: &str = r#"100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m])) * 100 > 90"#;

/// Two processors that idle, but for a time in which they are 99 % busy.
struct Cpus {
    series: Vec<Series>,
}

impl Cpus {
    fn new(busy_from: i64, busy_to: i64, end: i64) -> Self {
        let series = ["0", "1"].map(|cpu| {
            let labels = Labels::from([
                ("__name__", "node_cpu_seconds_total"),
                ("cpu", cpu),
                ("instance", "lab"),
                ("mode", "idle"),
            ]);
            let (mut idle, mut floats) = (0.0, Vec::new());
            for second in (0..=end).step_by(STEP as usize) {
                floats.push(FloatSample { at: Timestamp::from_secs(second), value: idle });
                idle += STEP as f64 * if (busy_from..busy_to).contains(&second) { 0.01 } else { 0.95 };
            }
            Series { labels, floats, histograms: Vec::new() }
        });
        Cpus { series: series.into() }
    }
}

impl Select for Cpus {
    fn select<'a>(&'a self, selection: &'a Selection) -> BoxFuture<'a, Result<SeriesSet, SelectError>> {
        let matching =
            self.series.iter().filter(|s| selection.matchers.iter().all(|m| m.matches_labels(&s.labels)));
        let series = matching.map(|s| Series {
            floats: s
                .floats
                .iter()
                .copied()
                .filter(|f| f.at >= selection.start && f.at <= selection.end)
                .collect(),
            ..s.clone()
        });
        let set = SeriesSet { series: series.collect() };
        Box::pin(async move { Ok(set) })
    }

    fn series<'a>(
        &'a self,
        _: &'a [Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SelectError>> {
        Box::pin(async { Ok(self.series.iter().map(|s| s.labels.clone()).collect()) })
    }

    fn label_names<'a>(
        &'a self,
        _: &'a [Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn label_values<'a>(
        &'a self,
        _: &'a str,
        _: &'a [Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn group_of(condition: Condition) -> RuleGroup {
    let rule = Rule {
        name: "HostHighCPULoad".into(),
        labels: Vec::new(),
        annotations: Vec::new(),
        action: Action::Alert { hold: Duration::from_secs(180), keep_firing: Duration::ZERO },
        condition,
        place: Place::default(),
    };
    RuleGroup {
        name: "lab".into(),
        file: "rules.yml".into(),
        interval: Duration::from_secs(STEP as u64),
        query_offset: Duration::ZERO,
        limit: 0,
        labels: Vec::new(),
        rules: vec![rule],
    }
}

fn alerting() -> Alerting {
    let root = RouteSpec {
        receiver: Some("discord".into()),
        group_by: Some(GroupBy::parse(&["..."], MatcherMode::default()).unwrap()),
        group_wait: Some(Duration::ZERO),
        group_interval: Some(Duration::from_secs(1)),
        repeat_interval: Some(Duration::from_secs(4 * 3600)),
        ..RouteSpec::default()
    };
    let discord = Integration { kind: "discord".into(), index: 0, send_resolved: true };
    let receiver = Receiver { name: "discord".into(), labels: Labels::empty(), integrations: vec![discord] };
    let config = AlertingConfig::new(RouteTree::check(&root).unwrap(), vec![receiver]);
    Alerting::new(Arc::new(config), Timestamp::EPOCH)
}

/// Everything that is told while the machine is busy for `busy` seconds, as `second status`.
async fn told(condition: Condition, busy: i64) -> Vec<String> {
    let (start, end) = (300, 300 + busy + 600);
    let store = Arc::new(Cpus::new(start, start + busy, end));
    let engine =
        QueryEngine::new(store, QueryLimits::default(), ParseOptions::default(), Arc::new(SystemClock));
    let mut group = GroupState::new(Arc::new(group_of(condition)));
    let rule = group.group().rules[0].clone();
    let mut alerting = alerting();
    let external = External::default();
    let mut messages = Vec::new();
    for second in 60..=end {
        let now = Timestamp::from_secs(second);
        let mut events = vec![Event::Tick];
        if second % STEP == 0 {
            let found = rule.condition.evaluate(now, &engine).await;
            let mut query = |_: &str| Ok(Vec::new());
            group
                .apply(0, found, now, Duration::ZERO, &external, &mut query)
                .expect("the rule can be evaluated");
            events.push(Event::Evaluated(group.alerts_to_send(now, Duration::from_secs(60), &external)));
        }
        while let Some(event) = events.pop() {
            for effect in alerting.step(now, event) {
                match effect {
                    Effect::Commit { id, .. } => events.push(Event::Committed(id)),
                    Effect::Deliver(notification) => {
                        let status = match notification.status {
                            AlertStatus::Firing => "firing",
                            AlertStatus::Resolved => "resolved",
                        };
                        messages.push(status.to_owned());
                        let outcome = Ok(model::Receipt::default());
                        events.push(Event::Delivered { notification: notification.id.clone(), outcome });
                    }
                    Effect::Reply { .. } | Effect::Withdraw { .. } => {}
                }
            }
        }
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_for_two_minutes_is_silence_and_for_four_is_one_spell() {
    let deps = HostDeps {
        outgoing: Arc::new(HttpOutgoing::new()),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        state: None,
        cache_dir: None,
    };
    let host = PluginHost::new(deps, HostOptions::default()).unwrap();
    let mut conditions = vec![("PromQL", Condition::promql(EXPR))];
    for (language, file) in [("Rhai", "host_high_cpu.rhai"), ("Wasm", "host_high_cpu.wasm")] {
        let plugin = host.prepare(PluginSpec::new(Source::Bundled(file.into()))).await.unwrap();
        let (meta, rule) = plugin.rule().expect("it is a rule");
        assert_eq!(meta.hold, Duration::from_secs(180), "{language}");
        conditions.push((language, Condition::Plugin(rule)));
    }
    for (language, condition) in conditions {
        let began = Instant::now();
        let two = told(condition.clone(), 120).await;
        let four = told(condition, 240).await;
        println!("{language}: two minutes {two:?}, four minutes {four:?}, in {:?}", began.elapsed());
        assert_eq!(two, Vec::<String>::new(), "{language}");
        assert_eq!(four, ["firing", "resolved"], "{language}");
    }
}
