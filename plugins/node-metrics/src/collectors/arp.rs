//! `arp`: the table of neighbours.

use std::collections::BTreeMap;

use crate::scrape::{Outcome, Scrape, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/arp")?;
    let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
    for line in text.lines().skip(1) {
        if let Some(device) = words(line).get(5) {
            *entries.entry(device).or_default() += 1;
        }
    }
    for (device, count) in entries {
        if !s.options.ignores_network_device(device) {
            s.gauge("node_arp_entries", "Neighbours known on a device.", &[("device", device)], count.into());
        }
    }
    Ok(())
}
