//! What `/proc/cpuinfo` says about processors, on x86.

use std::collections::{BTreeMap, BTreeSet};

use crate::options::any_matches;
use crate::scrape::{Outcome, Scrape, number};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/cpuinfo")?;
    let (mut flags, mut bugs) = (BTreeSet::new(), BTreeSet::new());
    for block in text.split("\n\n") {
        let fields: BTreeMap<&str, &str> = block
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(k, v)| (k.trim(), v.trim()))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let cpu = field("processor");
        if cpu.is_empty() {
            continue;
        }
        let (package, core) = (field("physical id"), field("core id"));
        let labels = [
            ("package", package),
            ("core", core),
            ("cpu", cpu),
            ("vendor", field("vendor_id")),
            ("family", field("cpu family")),
            ("model", field("model")),
            ("model_name", field("model name")),
            ("microcode", field("microcode")),
            ("stepping", field("stepping")),
            ("cachesize", field("cache size")),
        ];
        s.gauge("node_cpu_info", "What /proc/cpuinfo says about a processor.", &labels, 1.0);
        if let Some(mhz) = number(field("cpu MHz")) {
            let labels = [("package", package), ("core", core), ("cpu", cpu)];
            s.gauge("node_cpu_frequency_hertz", "Frequency of a processor.", &labels, mhz * 1e6);
        }
        flags
            .extend(field("flags").split_whitespace().filter(|flag| any_matches(&s.options.cpu_flags, flag)));
        bugs.extend(field("bugs").split_whitespace().filter(|bug| any_matches(&s.options.cpu_bugs, bug)));
    }
    for flag in flags {
        s.gauge("node_cpu_flag_info", "Abilities of the processors.", &[("flag", flag)], 1.0);
    }
    for bug in bugs {
        s.gauge("node_cpu_bug_info", "Bugs of the processors.", &[("bug", bug)], 1.0);
    }
    Ok(())
}
