//! Collectors of the kernel's memory: `buddyinfo`, `ksmd`, `meminfo_numa`, `slabinfo`.

use crate::MetricType::{Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn buddyinfo(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/buddyinfo")?;
    for line in text.lines() {
        let ["Node", node, "zone", zone, counts @ ..] = &words(line)[..] else { continue };
        for (size, count) in counts.iter().enumerate() {
            let size = size.to_string();
            let labels = [("node", node.trim_end_matches(',')), ("zone", zone), ("size", &size)];
            if let Some(count) = number(count) {
                s.gauge("node_buddyinfo_blocks", "Free blocks of memory, by size.", &labels, count);
            }
        }
    }
    Ok(())
}

const KSM: &str = "/sys/kernel/mm/ksm";
const KSM_FILES: [&str; 9] = [
    "full_scans",
    "merge_across_nodes",
    "pages_shared",
    "pages_sharing",
    "pages_to_scan",
    "pages_unshared",
    "pages_volatile",
    "run",
    "sleep_millisecs",
];

pub(super) fn ksmd(s: &mut Scrape<'_>) -> Outcome {
    let read = s.lines_of(KSM, &KSM_FILES);
    if read.iter().all(Option::is_none) {
        return Err(format!("{KSM}: nothing there"));
    }
    for (file, text) in KSM_FILES.iter().zip(read) {
        let Some(value) = text.as_deref().and_then(number) else { continue };
        let (name, kind, value) = match *file {
            "full_scans" => ("full_scans_total", Counter, value),
            "sleep_millisecs" => ("sleep_seconds", Gauge, value / 1000.0),
            name => (name, Gauge, value),
        };
        let help = format!("{file} of the merging of equal pages.");
        s.family(&format!("node_ksmd_{name}"), kind, &help).point(&[], value);
    }
    Ok(())
}

pub(super) fn numa(s: &mut Scrape<'_>) -> Outcome {
    const FOLDER: &str = "/sys/devices/system/node";
    for (node, name) in s.numbered(FOLDER, "node")? {
        let node = node.to_string();
        let labels = [("node", node.as_str())];
        // `Node 0 Active(anon): 707915 kB`
        let text = s.text(&format!("{FOLDER}/{name}/meminfo"))?;
        for line in text.lines() {
            let ["Node", _, key, value, unit @ ..] = &words(line)[..] else { continue };
            let Some(value) = number(value) else { continue };
            let value = if *unit == ["kB"] { value * 1024.0 } else { value };
            let metric = key.trim_end_matches(':').replace('(', "_").replace(')', "");
            let help = format!("{key} of a node's memory.");
            s.gauge(&format!("node_memory_numa_{metric}"), &help, &labels, value);
        }
        let text = s.text(&format!("{FOLDER}/{name}/numastat"))?;
        for line in text.lines() {
            let [key, value] = words(line)[..] else { continue };
            let Some(value) = number(value) else { continue };
            let help = format!("{key} of a node's memory.");
            s.counter(&format!("node_memory_numa_{key}_total"), &help, &labels, value);
        }
    }
    Ok(())
}

const SLAB: [(&str, &str); 5] = [
    ("active_objects", "Objects in use."),
    ("objects", "Objects."),
    ("object_size_bytes", "Size of an object."),
    ("objects_per_slab", "Objects in a slab."),
    ("pages_per_slab", "Pages in a slab."),
];

/// Only root may read it.
pub(super) fn slabinfo(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/slabinfo")?;
    // A line with the version and a line of names come first.
    for line in text.lines().skip(2) {
        let fields = words(line);
        let Some((slab, values)) = fields.split_first() else { continue };
        for ((name, help), value) in SLAB.iter().zip(values) {
            if let Some(value) = number(value) {
                s.gauge(&format!("node_slabinfo_{name}"), help, &[("slab", slab)], value);
            }
        }
    }
    Ok(())
}
