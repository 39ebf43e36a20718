//! `sockstat`: sockets that are in use.

use crate::scrape::{Outcome, Scrape, number, words};

/// The kernel counts socket memory in pages.
const PAGE: f64 = 4096.0;

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    tell(s, &s.text("/proc/net/sockstat")?);
    // Machines without IPv6 have no such file.
    let v6 = s.text("/proc/net/sockstat6").unwrap_or_default();
    tell(s, &v6);
    Ok(())
}

fn tell(s: &mut Scrape<'_>, text: &str) {
    for line in text.lines() {
        let Some((protocol, pairs)) = line.split_once(':') else { continue };
        for pair in words(pairs).chunks_exact(2) {
            let Some(value) = number(pair[1]) else { continue };
            let name = format!("node_sockstat_{protocol}_{}", pair[0]);
            s.gauge(&name, &format!("{protocol} {} in /proc/net/sockstat.", pair[0]), &[], value);
            if pair[0] == "mem" {
                let help = format!("Memory of {protocol} sockets.");
                s.gauge(&format!("{name}_bytes"), &help, &[], value * PAGE);
            }
        }
    }
}
