//! `ipvs`: the kernel's load balancer.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::scrape::{Outcome, Scrape, number, words};

const TOTALS: [(&str, &str); 5] = [
    ("connections_total", "Connections made."),
    ("incoming_packets_total", "Packets that came in."),
    ("outgoing_packets_total", "Packets that went out."),
    ("incoming_bytes_total", "Bytes that came in."),
    ("outgoing_bytes_total", "Bytes that went out."),
];
const BACKEND: [(&str, &str); 3] = [
    ("weight", "Weight of a backend."),
    ("connections_active", "Connections of a backend that are in use."),
    ("connections_inactive", "Connections of a backend that are not."),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/ip_vs_stats")?;
    // Two lines of names, then the totals in hexadecimal.
    let totals = text.lines().nth(2).map(words).unwrap_or_default();
    for ((name, help), value) in TOTALS.iter().zip(totals) {
        if let Ok(value) = u64::from_str_radix(value, 16) {
            s.counter(&format!("node_ipvs_{name}"), help, &[], value as f64);
        }
    }
    backends(s);
    Ok(())
}

/// Local address, port and mark, remote address and port, protocol.
type Backend = [String; 6];

fn backends(s: &mut Scrape<'_>) {
    let text = s.text("/proc/net/ip_vs").unwrap_or_default();
    let mut found: BTreeMap<Backend, [f64; 3]> = BTreeMap::new();
    let (mut protocol, mut local, mut mark) = (String::new(), (String::new(), String::new()), String::new());
    for line in text.lines() {
        match &words(line)[..] {
            ["FWM", number, ..] => {
                (protocol, local, mark) =
                    ("FWM".to_owned(), (String::new(), "0".to_owned()), (*number).to_owned());
            }
            [name @ ("TCP" | "UDP" | "SCTP"), place, ..] => {
                (protocol, local, mark) =
                    ((*name).to_owned(), address(place).unwrap_or_default(), String::new());
            }
            ["->", place, _, weight, active, inactive] => {
                let Some((host, port)) = address(place) else { continue };
                let key = [local.0.clone(), local.1.clone(), mark.clone(), host, port, protocol.clone()];
                let sums = found.entry(key).or_default();
                for (sum, text) in sums.iter_mut().zip([weight, active, inactive]) {
                    *sum += number(text).unwrap_or(0.0);
                }
            }
            _ => {}
        }
    }
    for (key, values) in found {
        let names = ["local_address", "local_port", "local_mark", "remote_address", "remote_port", "proto"];
        let labels: Vec<(&str, &str)> = names.into_iter().zip(key.iter().map(String::as_str)).collect();
        for ((name, help), value) in BACKEND.iter().zip(values) {
            s.gauge(&format!("node_ipvs_backend_{name}"), help, &labels, value);
        }
    }
}

/// `C0A80016:0CEA` and `[2620:0000:…]:0050`.
fn address(text: &str) -> Option<(String, String)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok()?.to_string(),
        None => Ipv4Addr::from(u32::from_str_radix(host, 16).ok()?).to_string(),
    };
    Some((host, port.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        for (text, wanted) in [
            ("C0A80016:0CEA", Some(("192.168.0.22", "3306"))),
            ("[2620:0000:0000:0000:0000:0000:0000:0001]:0050", Some(("2620::1", "80"))),
            ("RemoteAddress:Port", None),
            ("10001000", None),
        ] {
            let got = address(text);
            assert_eq!(got.as_ref().map(|(host, port)| (host.as_str(), port.as_str())), wanted, "{text}");
        }
    }
}
