//! `netstat`: counters of the network protocols.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mut found = Vec::new();
    for path in ["/proc/net/netstat", "/proc/net/snmp"] {
        let text = s.text(path)?;
        let mut lines = text.lines();
        // A line of names and a line of values, both under the protocol's name.
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (names, values) = (words(names), words(values));
            let protocol = names.first().copied().unwrap_or_default().trim_end_matches(':').to_owned();
            for (name, value) in names.iter().zip(&values).skip(1) {
                found.push((protocol.clone(), (*name).to_owned(), number(value)));
            }
        }
    }
    // Machines without IPv6 have no such file.
    for line in s.text("/proc/net/snmp6").unwrap_or_default().lines() {
        let [key, value] = words(line)[..] else { continue };
        if let Some(at) = key.find('6') {
            let (protocol, name) = key.split_at(at + 1);
            found.push((protocol.to_owned(), name.to_owned(), number(value)));
        }
    }
    for (protocol, name, value) in found {
        if let Some(value) = value.filter(|_| wanted(&protocol, &name)) {
            let help = format!("{protocol}{name} in /proc/net.");
            s.untyped(&format!("node_netstat_{protocol}_{name}"), &help, &[], value);
        }
    }
    Ok(())
}

/// Those that people look at; there are some hundred others.
fn wanted(protocol: &str, name: &str) -> bool {
    let of = |names: &str| names.split(' ').any(|wanted| wanted == name);
    if of("InErrors InErrs") {
        return true;
    }
    match protocol {
        "Ip" => name == "Forwarding",
        "Ip6" | "IpExt" => of("InOctets OutOctets"),
        "Icmp" | "Icmp6" => of("InMsgs OutMsgs"),
        "TcpExt" => {
            name.starts_with("Listen")
                || name.starts_with("Syncookies")
                || of("TCPSynRetrans TCPTimeouts TCPOFOQueue TCPRcvQDrop")
        }
        "Tcp" => of("ActiveOpens InSegs OutSegs OutRsts PassiveOpens RetransSegs CurrEstab"),
        "Udp" | "Udp6" => of("InDatagrams OutDatagrams NoPorts RcvbufErrors SndbufErrors"),
        _ => false,
    }
}
