//! `xfs`: what the file system did, by device.

use crate::scrape::{Outcome, Scrape, number, words};

const FOLDER: &str = "/sys/fs/xfs";

/// A line's first word, what the metrics begin with, and the metric of each of its numbers.
const LINES: [(&str, &str, &[&str]); 8] = [
    (
        "extent_alloc",
        "extent_allocation",
        &["extents_allocated", "blocks_allocated", "extents_freed", "blocks_freed"],
    ),
    ("abt", "allocation_btree", &["lookups", "compares", "records_inserted", "records_deleted"]),
    (
        "blk_map",
        "block_mapping",
        &[
            "reads",
            "writes",
            "unmaps",
            "extent_list_insertions",
            "extent_list_deletions",
            "extent_list_lookups",
            "extent_list_compares",
        ],
    ),
    ("bmbt", "block_map_btree", &["lookups", "compares", "records_inserted", "records_deleted"]),
    ("dir", "directory_operation", &["lookup", "create", "remove", "getdents"]),
    (
        "ig",
        "inode_operation",
        &["attempts", "found", "recycled", "missed", "duplicates", "reclaims", "attribute_changes"],
    ),
    ("rw", "", &["write_calls", "read_calls"]),
    ("vnodes", "vnode", &["active", "allocate", "get", "hold", "release", "reclaim", "remove"]),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for device in s.names(FOLDER)? {
        let Ok(text) = s.text(&format!("{FOLDER}/{device}/stats/stats")) else { continue };
        for line in text.lines() {
            let fields = words(line);
            let Some((first, numbers)) = fields.split_first() else { continue };
            let Some((_, prefix, names)) = LINES.iter().find(|(word, _, _)| word == first) else { continue };
            for (name, value) in names.iter().zip(numbers) {
                let Some(value) = number(value) else { continue };
                let gap = if prefix.is_empty() { "" } else { "_" };
                let help = format!("{first}: {name}, of a file system.");
                s.counter(
                    &format!("node_xfs_{prefix}{gap}{name}_total"),
                    &help,
                    &[("device", &device)],
                    value,
                );
            }
        }
    }
    Ok(())
}
