//! What a simulation is made of: chance, what a seed lets happen, configurations, alerts.

use std::collections::BTreeSet;
use std::time::Duration;

use alerting::{
    AlertingConfig, GroupBy, InhibitRule, Integration, MatcherMode, Receiver, RouteSpec, RouteTree,
    parse_matchers,
};
use model::Labels;

use crate::REPEAT_INTERVAL;

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}

/// What a seed lets happen: each with even odds, so that combinations are met in isolation too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) silences: bool,
    pub(crate) inhibition: bool,
    pub(crate) reloads: bool,
    pub(crate) crashes: bool,
    pub(crate) disk_faults: bool,
    pub(crate) receiver_faults: bool,
}

/// One of three configurations.
pub(crate) fn config(variant: u64, inhibition: bool) -> AlertingConfig {
    let spec = |receiver: &str, matchers: &str| RouteSpec {
        receiver: Some(receiver.to_owned()),
        matchers: parse_matchers(matchers, MatcherMode::Fallback).unwrap(),
        ..RouteSpec::default()
    };
    let mut root = spec("ops", "");
    root.group_by = Some(GroupBy::parse(&["alertname"], MatcherMode::Fallback).unwrap());
    root.group_wait = Some(Duration::from_secs(10));
    root.group_interval = Some(Duration::from_secs(60));
    root.repeat_interval = Some(REPEAT_INTERVAL);
    let mut every = spec("every", "host=\"h1\"");
    every.group_by = Some(GroupBy::All);
    every.continue_matching = true;
    match variant {
        0 => root.routes = vec![every],
        1 => {
            let mut twin = spec("ops", "host=\"h1\"");
            twin.continue_matching = true;
            root.routes = vec![every, twin, spec("mail", "alertname=\"C\"")];
        }
        _ => root.group_interval = Some(Duration::from_secs(90)),
    }
    let integration =
        |kind: &str, send_resolved| Integration { kind: kind.to_owned(), index: 0, send_resolved };
    let receiver =
        |name: &str, integrations| Receiver { name: name.to_owned(), labels: Labels::empty(), integrations };
    let receivers = vec![
        receiver("ops", vec![integration("webhook", true), integration("mail", false)]),
        receiver("every", vec![integration("webhook", true)]),
        receiver("mail", vec![integration("mail", true)]),
    ];
    let mut config = AlertingConfig::new(RouteTree::check(&root).unwrap(), receivers);
    if inhibition {
        let matchers = |text| parse_matchers(text, MatcherMode::Fallback).unwrap();
        config.inhibit_rules.push(InhibitRule {
            name: "down".to_owned(),
            source_matchers: matchers("kind=source"),
            target_matchers: matchers("kind=target"),
            equal: BTreeSet::from(["host".to_owned()]),
        });
    }
    config
}

/// The alerts that may fire.
pub(crate) fn pool() -> Vec<Labels> {
    let mut pool = Vec::new();
    for name in ["A", "B", "C"] {
        for host in ["h1", "h2"] {
            for kind in ["source", "target"] {
                pool.push(Labels::from([("alertname", name), ("host", host), ("kind", kind)]));
            }
        }
    }
    pool
}
