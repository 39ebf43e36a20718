//! `btrfs`: how the file system has given out its space.

use crate::MetricType::{Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

const FOLDER: &str = "/sys/fs/btrfs";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for uuid in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{uuid}");
        // `features` is a folder beside those of file systems.
        let Ok(label) = s.line(&format!("{folder}/label")) else { continue };
        let own = ("uuid", uuid.as_str());
        s.gauge("node_btrfs_info", "File systems that are mounted.", &[own, ("label", &label)], 1.0);
        if let Ok(size) = s.number(&format!("{folder}/allocation/global_rsv_size")) {
            s.gauge("node_btrfs_global_rsv_size_bytes", "Space kept for emergencies.", &[own], size);
        }
        let devices = s.names(&format!("{folder}/devices")).unwrap_or_default();
        for device in &devices {
            if let Ok(sectors) = s.number(&format!("{folder}/devices/{device}/size")) {
                let labels = [own, ("device", device.as_str())];
                s.gauge("node_btrfs_device_size_bytes", "Size of a device.", &labels, sectors * 512.0);
            }
        }
        for group in ["data", "metadata", "system"] {
            allocation(s, &format!("{folder}/allocation/{group}"), own, group, devices.len() as f64);
        }
        commits(s, &folder, own);
    }
    Ok(())
}

fn allocation(s: &mut Scrape<'_>, folder: &str, own: (&str, &str), group: &str, devices: f64) {
    let kind = ("block_group_type", group);
    if let Ok(reserved) = s.number(&format!("{folder}/bytes_reserved")) {
        s.gauge("node_btrfs_reserved_bytes", "Space that is reserved.", &[own, kind], reserved);
    }
    for mode in s.names(folder).unwrap_or_default() {
        let read = s.lines_of(&format!("{folder}/{mode}"), &["total_bytes", "used_bytes"]);
        let [Some(size), Some(used)] = [0, 1].map(|at: usize| read[at].as_deref().and_then(number)) else {
            continue;
        };
        let labels = [own, kind, ("mode", mode.as_str())];
        s.gauge("node_btrfs_size_bytes", "Space given to a kind of blocks.", &labels, size);
        s.gauge("node_btrfs_used_bytes", "Space of a kind of blocks that is used.", &labels, used);
        let ratio = match mode.as_str() {
            "dup" | "raid1" | "raid10" => 2.0,
            "raid1c3" => 3.0,
            "raid1c4" => 4.0,
            "raid5" => devices / (devices - 1.0),
            "raid6" => devices / (devices - 2.0),
            _ => 1.0,
        };
        s.gauge("node_btrfs_allocation_ratio", "Bytes on disks for a byte of data.", &labels, ratio);
    }
}

fn commits(s: &mut Scrape<'_>, folder: &str, own: (&str, &str)) {
    let text = s.text(&format!("{folder}/commit_stats")).unwrap_or_default();
    for (key, name, kind, unit) in [
        ("commits", "commits_total", Counter, 1.0),
        ("last_commit_ms", "last_commit_seconds", Gauge, 1000.0),
        ("max_commit_ms", "max_commit_seconds", Gauge, 1000.0),
        ("total_commit_ms", "commit_seconds_total", Counter, 1000.0),
    ] {
        let line = text.lines().map(words).find(|line| line.first() == Some(&key));
        // Kernels before 6.0 do not say; by custom that is told as 0.
        let value = line.and_then(|line| number(line.get(1)?)).unwrap_or(0.0);
        s.family(&format!("node_btrfs_{name}"), kind, &format!("{key} of a file system."))
            .point(&[own], value / unit);
    }
}
