//! `dns_sd_configs`: the addresses behind names.

use std::time::Duration;

use model::Labels;

use super::{Closed, Updates};
use crate::TargetGroup;
use crate::pool_config::ADDRESS;

pub(super) async fn run(
    names: Vec<String>,
    record_type: String,
    port: u16,
    refresh: Duration,
    updates: Updates,
) {
    let wants_v6 = match record_type.as_str() {
        "A" => false,
        "AAAA" => true,
        other => {
            let problem = format!(
                "dns_sd_configs: records of type {other} are not supported; A and AAAA are, with a port"
            );
            let _ = updates.send(Some(Vec::new()), Some(problem)).await;
            return;
        }
    };
    let mut timer = tokio::time::interval(refresh.max(Duration::from_millis(1)));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known: Vec<TargetGroup> = names.iter().map(|_| TargetGroup::default()).collect();
    loop {
        timer.tick().await;
        let mut problems = Vec::new();
        for (name, group) in names.iter().zip(&mut known) {
            match look_up(name, port, wants_v6).await {
                Ok(found) => *group = found,
                Err(problem) => problems.push(problem),
            }
        }
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        if let Err(Closed) = updates.send(Some(known.clone()), problem).await {
            return;
        }
    }
}

async fn look_up(name: &str, port: u16, wants_v6: bool) -> Result<TargetGroup, String> {
    let found = tokio::net::lookup_host((name, port)).await;
    let found = found.map_err(|error| format!("dns_sd_configs: `{name}`: {error}"))?;
    let mut addresses: Vec<String> =
        found.filter(|address| address.is_ipv6() == wants_v6).map(|address| address.to_string()).collect();
    addresses.sort();
    addresses.dedup();
    let targets = addresses
        .iter()
        .map(|address| Labels::from([(ADDRESS, address.as_str()), ("__meta_dns_name", name)]))
        .collect();
    Ok(TargetGroup { targets, labels: Labels::empty() })
}
