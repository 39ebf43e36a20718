//! `diskstats`: what disks did, and what they are.

use std::collections::BTreeMap;

use crate::MetricType::{self, Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

/// The columns after the device's name: metric, help, type, and what the number is divided by.
const COLUMNS: [(&str, &str, MetricType, f64); 17] = [
    ("reads_completed_total", "Reads.", Counter, 1.0),
    ("reads_merged_total", "Reads that were merged with others.", Counter, 1.0),
    // Sectors of 512 bytes, whatever the disk's own.
    ("read_bytes_total", "Bytes read.", Counter, 1.0 / 512.0),
    ("read_time_seconds_total", "Time of all reads.", Counter, 1000.0),
    ("writes_completed_total", "Writes.", Counter, 1.0),
    ("writes_merged_total", "Writes that were merged with others.", Counter, 1.0),
    ("written_bytes_total", "Bytes written.", Counter, 1.0 / 512.0),
    ("write_time_seconds_total", "Time of all writes.", Counter, 1000.0),
    ("io_now", "Reads and writes that go on now.", Gauge, 1.0),
    ("io_time_seconds_total", "Time in which something went on.", Counter, 1000.0),
    ("io_time_weighted_seconds_total", "Time of everything that went on, added up.", Counter, 1000.0),
    ("discards_completed_total", "Discards.", Counter, 1.0),
    ("discards_merged_total", "Discards that were merged with others.", Counter, 1.0),
    ("discarded_sectors_total", "Sectors discarded.", Counter, 1.0),
    ("discard_time_seconds_total", "Time of all discards.", Counter, 1000.0),
    ("flush_requests_total", "Flushes.", Counter, 1.0),
    ("flush_requests_time_seconds_total", "Time of all flushes.", Counter, 1000.0),
];

const ATA: [(&str, &str, &str); 3] = [
    ("ID_ATA_WRITE_CACHE", "ata_write_cache", "Whether a disk has a write cache."),
    ("ID_ATA_WRITE_CACHE_ENABLED", "ata_write_cache_enabled", "Whether a disk's write cache is in use."),
    ("ID_ATA_ROTATION_RATE_RPM", "ata_rotation_rate_rpm", "How fast a disk turns; 0 if it does not."),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/diskstats")?;
    for line in text.lines() {
        let fields = words(line);
        let [major, minor, device, columns @ ..] = &fields[..] else { continue };
        if columns.len() < 4 || is_part(device) {
            continue;
        }
        describe(s, device, major, minor);
        for ((name, help, kind, divisor), text) in COLUMNS.iter().zip(columns) {
            let Some(value) = number(text) else { continue };
            let name = format!("node_disk_{name}");
            // A sector of 512 bytes is a product, and stays exact.
            let value = if *divisor < 1.0 { value * 512.0 } else { value / divisor };
            s.family(&name, *kind, help).point(&[("device", device)], value);
        }
    }
    Ok(())
}

/// What follows `prefix` and a number.
fn after_number<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(prefix)?;
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (after.len() < rest.len()).then_some(after)
}

/// Partitions, and disks that are memory, files or floppies: `sda1`, `nvme0n1p1`, `ram0`, `loop1`.
fn is_part(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let nvme_part = after_number(stem, "nvme").and_then(|rest| after_number(rest, "n")) == Some("p");
    let letters = stem
        .strip_prefix(['h', 's', 'v'])
        .or_else(|| stem.strip_prefix("xv"))
        .and_then(|rest| rest.strip_prefix('d'));
    let disk_part = letters.is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_lowercase());
    matches!(stem, "ram" | "zram" | "loop" | "fd") || nvme_part || disk_part
}

fn describe(s: &mut Scrape<'_>, device: &str, major: &str, minor: &str) {
    let udev = s.text(&format!("/run/udev/data/b{major}:{minor}")).unwrap_or_default();
    let known: BTreeMap<&str, &str> =
        udev.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('=')).collect();
    let get = |name: &str| known.get(name).copied().unwrap_or_default();
    let rotational =
        s.line(&format!("/sys/block/{device}/queue/rotational")).unwrap_or_else(|_| "0".to_owned());
    // The printed one goes first.
    let serials = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"];
    let serial = serials.into_iter().map(get).find(|serial| !serial.is_empty()).unwrap_or_default();
    let labels = [
        ("device", device),
        ("major", major),
        ("minor", minor),
        ("path", get("ID_PATH")),
        ("wwn", get("ID_WWN")),
        ("model", get("ID_MODEL")),
        ("serial", serial),
        ("revision", get("ID_REVISION")),
        ("rotational", &rotational),
    ];
    s.gauge("node_disk_info", "What a disk is.", &labels, 1.0);
    if !get("ID_FS_TYPE").is_empty() {
        let labels = [
            ("device", device),
            ("type", get("ID_FS_TYPE")),
            ("usage", get("ID_FS_USAGE")),
            ("uuid", get("ID_FS_UUID")),
            ("version", get("ID_FS_VERSION")),
        ];
        s.gauge("node_disk_filesystem_info", "What stands on a disk.", &labels, 1.0);
    }
    if !get("DM_NAME").is_empty() {
        let labels = [
            ("device", device),
            ("name", get("DM_NAME")),
            ("uuid", get("DM_UUID")),
            ("vg_name", get("DM_VG_NAME")),
            ("lv_name", get("DM_LV_NAME")),
            ("lv_layer", get("DM_LV_LAYER")),
        ];
        s.gauge("node_disk_device_mapper_info", "What a mapped disk is.", &labels, 1.0);
    }
    if !get("ID_ATA").is_empty() {
        for (key, name, help) in ATA {
            if let Some(value) = number(get(key)) {
                s.gauge(&format!("node_disk_{name}"), help, &[("device", device)], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_disks_from_their_parts() {
        for disk in [
            "sda",
            "vda",
            "xvda",
            "nvme0n1",
            "dm-0",
            "md0",
            "sr0",
            "mmcblk0",
            "mmcblk0p2",
            "hda",
            "sdaa1",
            "p1",
        ] {
            assert!(!is_part(disk), "{disk}");
        }
        for part in
            ["sda1", "vdb12", "xvda1", "hdc3", "nvme0n1p1", "nvme12n3p45", "ram0", "zram1", "loop7", "fd0"]
        {
            assert!(is_part(part), "{part}");
        }
    }
}
