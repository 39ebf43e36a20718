//! `udp_queues`: datagrams that wait.

use crate::scrape::{Outcome, Scrape, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mut found = Err("/proc/net/udp: nothing there".to_owned());
    for (path, version) in [("/proc/net/udp", "v4"), ("/proc/net/udp6", "v6")] {
        let Ok(text) = s.text(path) else { continue };
        let (mut sent, mut received) = (0, 0);
        for line in text.lines().skip(1) {
            let fields = words(line);
            let Some((out, waiting)) = fields.get(4).and_then(|queues| queues.split_once(':')) else {
                continue;
            };
            sent += u64::from_str_radix(out, 16).unwrap_or(0);
            received += u64::from_str_radix(waiting, 16).unwrap_or(0);
        }
        let help = "Memory of datagrams that wait.";
        s.gauge("node_udp_queues", help, &[("queue", "tx"), ("ip", version)], sent as f64);
        s.gauge("node_udp_queues", help, &[("queue", "rx"), ("ip", version)], received as f64);
        found = Ok(());
    }
    found
}
