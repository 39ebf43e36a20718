//! `bcache`: disks that are a cache for other disks.

use crate::MetricType::{self, Counter, Gauge};
use crate::scrape::{Outcome, Scrape};

const FOLDER: &str = "/sys/fs/bcache";

/// File, metric, type, unit.
type Row = (&'static str, &'static str, MetricType, f64);

const SET: [Row; 10] = [
    ("average_key_size", "average_key_size_sectors", Gauge, 1.0),
    ("btree_cache_size", "btree_cache_size_bytes", Gauge, 1.0),
    ("cache_available_percent", "cache_available_percent", Gauge, 1.0),
    ("congested", "congested", Gauge, 1.0),
    ("root_usage_percent", "root_usage_percent", Gauge, 1.0),
    ("tree_depth", "tree_depth", Gauge, 1.0),
    ("internal/active_journal_entries", "active_journal_entries", Gauge, 1.0),
    ("internal/btree_nodes", "btree_nodes", Gauge, 1.0),
    ("internal/btree_read_average_duration_us", "btree_read_average_duration_seconds", Gauge, 1e-9),
    ("internal/cache_read_races", "cache_read_races_total", Counter, 1.0),
];
const BACKING: [Row; 8] = [
    ("dirty_data", "dirty_data_bytes", Gauge, 1.0),
    ("stats_total/bypassed", "bypassed_bytes_total", Counter, 1.0),
    ("stats_total/cache_bypass_hits", "cache_bypass_hits_total", Counter, 1.0),
    ("stats_total/cache_bypass_misses", "cache_bypass_misses_total", Counter, 1.0),
    ("stats_total/cache_hits", "cache_hits_total", Counter, 1.0),
    ("stats_total/cache_miss_collisions", "cache_miss_collisions_total", Counter, 1.0),
    ("stats_total/cache_misses", "cache_misses_total", Counter, 1.0),
    ("stats_total/cache_readaheads", "cache_readaheads_total", Counter, 1.0),
];
const CACHE: [Row; 3] = [
    ("io_errors", "io_errors", Gauge, 1.0),
    ("metadata_written", "metadata_written_bytes_total", Counter, 1.0),
    ("written", "written_bytes_total", Counter, 1.0),
];
const WRITEBACK: [(&str, &str); 5] = [
    ("rate", "writeback_rate"),
    ("target", "dirty_target_bytes"),
    ("proportional", "writeback_rate_proportional_term"),
    ("integral", "writeback_rate_integral_term"),
    ("change", "writeback_change"),
];
const PRIORITY: [(&str, &str); 2] =
    [("Unused", "priority_stats_unused_percent"), ("Metadata", "priority_stats_metadata_percent")];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for uuid in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{uuid}");
        // `register` and the like are files beside the folders of caches.
        let Ok(names) = s.names(&folder) else { continue };
        let own = ("uuid", uuid.as_str());
        rows(s, &folder, &SET, &[own]);
        for name in names {
            let inside = format!("{folder}/{name}");
            if is_numbered(&name, "bdev") {
                let labels = [own, ("backing_device", name.as_str())];
                rows(s, &inside, &BACKING, &labels);
                pairs(s, &format!("{inside}/writeback_rate_debug"), &WRITEBACK, &labels);
            } else if is_numbered(&name, "cache") {
                let labels = [own, ("cache_device", name.as_str())];
                rows(s, &inside, &CACHE, &labels);
                pairs(s, &format!("{inside}/priority_stats"), &PRIORITY, &labels);
            }
        }
    }
    Ok(())
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<u32>().is_ok())
}

fn rows(s: &mut Scrape<'_>, folder: &str, rows: &[Row], labels: &[(&str, &str)]) {
    let files: Vec<&str> = rows.iter().map(|(file, _, _, _)| *file).collect();
    for ((file, name, kind, unit), text) in rows.iter().zip(s.lines_of(folder, &files)) {
        if let Some(value) = text.as_deref().and_then(size) {
            let help = format!("{file} of a cache.");
            s.family(&format!("node_bcache_{name}"), *kind, &help).point(labels, value * unit);
        }
    }
}

/// Lines such as `rate:   1.1M/sec`.
fn pairs(s: &mut Scrape<'_>, path: &str, known: &[(&str, &str)], labels: &[(&str, &str)]) {
    let text = s.text(path).unwrap_or_default();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let Some((_, name)) = known.iter().find(|(own, _)| *own == key) else { continue };
        let value = value.trim().trim_end_matches("/sec").trim_end_matches('%');
        if let Some(value) = size(value) {
            s.gauge(&format!("node_bcache_{name}"), &format!("{key} of a cache."), labels, value);
        }
    }
}

/// `20.4G`. The kernel's digit behind the point counts hundreds of the next smaller unit.
fn size(text: &str) -> Option<f64> {
    let text = text.trim();
    let last = text.chars().last()?;
    let power = "kMGTPEZY".find(last).map_or(0, |at| at as i32 + 1);
    let number = if power > 0 { &text[..text.len() - 1] } else { text };
    let (whole, digits) = number.split_once('.').unwrap_or((number, ""));
    let whole: f64 = whole.parse().ok()?;
    let digit = if digits.is_empty() { 0.0 } else { digits.parse().ok()? };
    let below = 1024f64.powi(power - 1) * 100.0 * digit;
    let unit = 1024f64.powi(power);
    Some(if whole < 0.0 { whole * unit - below } else { whole * unit + below })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, wanted) in [
            ("0", Some(0.0)),
            ("790.0k", Some(808_960.0)),
            ("1.1M", Some(1_150_976.0)),
            ("-2k", Some(-2048.0)),
            ("", None),
            ("k", None),
            ("x", None),
        ] {
            assert_eq!(size(text), wanted, "{text}");
        }
    }
}
