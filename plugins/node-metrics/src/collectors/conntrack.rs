//! `conntrack`: the kernel's table of connections.

use crate::scrape::{Outcome, Scrape, words};

const STATISTICS: [(&str, &str); 8] = [
    ("found", "Lookups that found an entry."),
    ("invalid", "Packets that cannot be tracked."),
    ("ignore", "Packets of connections that are tracked already."),
    ("insert", "Entries that were put into the table."),
    ("insert_failed", "Entries that could not be put into the table."),
    ("drop", "Packets dropped because tracking failed."),
    ("early_drop", "Entries dropped to make room."),
    ("search_restart", "Lookups begun anew because the table was resized."),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let entries = s.number("/proc/sys/net/netfilter/nf_conntrack_count")?;
    let limit = s.number("/proc/sys/net/netfilter/nf_conntrack_max")?;
    s.gauge("node_nf_conntrack_entries", "Tracked connections.", &[], entries);
    s.gauge("node_nf_conntrack_entries_limit", "Connections that can be tracked.", &[], limit);
    // One row a processor, in hexadecimal, under a row of names.
    let text = s.text("/proc/net/stat/nf_conntrack")?;
    let mut lines = text.lines().map(words);
    let header = lines.next().unwrap_or_default();
    let rows: Vec<_> = lines.collect();
    for (name, help) in STATISTICS {
        let column = header.iter().position(|own| *own == name);
        let cell = |row: &Vec<&str>| u64::from_str_radix(row.get(column?)?, 16).ok();
        let sum: u64 = rows.iter().filter_map(cell).sum();
        s.gauge(&format!("node_nf_conntrack_stat_{name}"), help, &[], sum as f64);
    }
    Ok(())
}
