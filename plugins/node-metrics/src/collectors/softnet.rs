//! `softnet`: packets as processors take them from the network devices.

use crate::MetricType::{self, Counter, Gauge};
use crate::scrape::{Outcome, Scrape, words};

const COLUMNS: [(usize, &str, &str, MetricType); 7] = [
    (0, "processed_total", "Packets taken.", Counter),
    (1, "dropped_total", "Packets dropped because the backlog was full.", Counter),
    (2, "times_squeezed_total", "Times that the budget ran out before the packets did.", Counter),
    (8, "cpu_collision_total", "Times that another processor held a device's lock.", Counter),
    (9, "received_rps_total", "Times that another processor asked to take packets.", Counter),
    (10, "flow_limit_count_total", "Times that a flow's limit was reached.", Counter),
    (11, "backlog_len", "Packets that wait.", Gauge),
];
const CPU: usize = 12;

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/softnet_stat")?;
    for (row, line) in text.lines().enumerate() {
        let fields = words(line);
        let of = |at: usize| fields.get(at).and_then(|text| u64::from_str_radix(text, 16).ok());
        let cpu = of(CPU).unwrap_or(row as u64).to_string();
        for (at, name, help, kind) in COLUMNS {
            // Older kernels have fewer columns.
            let value = of(at).unwrap_or(0) as f64;
            s.family(&format!("node_softnet_{name}"), kind, help).point(&[("cpu", &cpu)], value);
        }
    }
    Ok(())
}
