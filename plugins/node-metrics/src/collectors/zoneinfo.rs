//! `zoneinfo`: pages of memory by zone.

use crate::MetricType::{Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

/// The kernel's names, and ours.
const LINES: [(&str, &str); 33] = [
    ("min", "min_pages"),
    ("low", "low_pages"),
    ("high", "high_pages"),
    ("scanned", "scanned_pages"),
    ("spanned", "spanned_pages"),
    ("present", "present_pages"),
    ("managed", "managed_pages"),
    ("nr_free_pages", "nr_free_pages"),
    ("nr_active_anon", "nr_active_anon_pages"),
    ("nr_inactive_anon", "nr_inactive_anon_pages"),
    ("nr_isolated_anon", "nr_isolated_anon_pages"),
    ("nr_anon_pages", "nr_anon_pages"),
    ("nr_anon_transparent_hugepages", "nr_anon_transparent_hugepages"),
    ("nr_active_file", "nr_active_file_pages"),
    ("nr_inactive_file", "nr_inactive_file_pages"),
    ("nr_isolated_file", "nr_isolated_file_pages"),
    ("nr_file_pages", "nr_file_pages"),
    ("nr_slab_reclaimable", "nr_slab_reclaimable_pages"),
    ("nr_slab_unreclaimable", "nr_slab_unreclaimable_pages"),
    ("nr_mlock_stack", "nr_mlock_stack_pages"),
    ("nr_kernel_stack", "nr_kernel_stacks"),
    ("nr_mapped", "nr_mapped_pages"),
    ("nr_dirty", "nr_dirty_pages"),
    ("nr_writeback", "nr_writeback_pages"),
    ("nr_unevictable", "nr_unevictable_pages"),
    ("nr_shmem", "nr_shmem_pages"),
    ("nr_dirtied", "nr_dirtied_total"),
    ("nr_written", "nr_written_total"),
    ("numa_hit", "numa_hit_total"),
    ("numa_miss", "numa_miss_total"),
    ("numa_foreign", "numa_foreign_total"),
    ("numa_interleave", "numa_interleave_total"),
    ("numa_local", "numa_local_total"),
];
const OTHER: (&str, &str) = ("numa_other", "numa_other_total");

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/zoneinfo")?;
    let (mut node, mut zone) = ("", "");
    for line in text.lines() {
        match words(line)[..] {
            ["Node", number, "zone", name] => (node, zone) = (number.trim_end_matches(','), name),
            ["protection:", ..] => protection(s, line, [("node", node), ("zone", zone)]),
            [name, value] => {
                let known = LINES.iter().chain([&OTHER]).find(|(own, _)| *own == name);
                let (Some((_, metric)), Some(value)) = (known, number(value)) else { continue };
                let kind = if metric.ends_with("_total") { Counter } else { Gauge };
                let help = format!("{name} in /proc/zoneinfo.");
                let labels = [("node", node), ("zone", zone)];
                s.family(&format!("node_zoneinfo_{metric}"), kind, &help).point(&labels, value);
            }
            _ => {}
        }
    }
    Ok(())
}

/// `protection: (0, 2039, 31932)`
fn protection(s: &mut Scrape<'_>, line: &str, labels: [(&str, &str); 2]) {
    let list = line.split(['(', ')']).nth(1).unwrap_or_default();
    for (at, pages) in list.split(',').enumerate() {
        if let Some(pages) = number(pages) {
            let help = format!("Pages kept from zone {at}.");
            s.gauge(&format!("node_zoneinfo_protection_{at}"), &help, &labels, pages);
        }
    }
}
