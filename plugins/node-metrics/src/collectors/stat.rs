//! `stat`: what the kernel did since it started.

use crate::MetricType::{Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

const VECTORS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/stat")?;
    for line in text.lines() {
        let fields = words(line);
        let [key, first, ..] = fields[..] else { continue };
        let Some(value) = number(first) else { continue };
        let (name, help, kind) = match key {
            "intr" => ("node_intr_total", "Interrupts.", Counter),
            "ctxt" => ("node_context_switches_total", "Changes from task to task.", Counter),
            "processes" => ("node_forks_total", "Tasks begun.", Counter),
            "btime" => ("node_boot_time_seconds", "When the machine started.", Gauge),
            "procs_running" => ("node_procs_running", "Tasks that run or could.", Gauge),
            "procs_blocked" => ("node_procs_blocked", "Tasks that wait for a disk.", Gauge),
            "softirq" if s.options.stat_softirq => {
                for (vector, text) in VECTORS.iter().zip(&fields[2..]) {
                    if let Some(value) = number(text) {
                        s.counter("node_softirqs_total", "Soft interrupts.", &[("vector", vector)], value);
                    }
                }
                continue;
            }
            _ => continue,
        };
        s.family(name, kind, help).point(&[], value);
    }
    Ok(())
}
