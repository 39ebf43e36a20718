//! `filesystem`: how full file systems are.

use std::collections::BTreeSet;

use crate::scrape::{Outcome, Scrape};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mounts = s.text("/proc/mounts")?;
    let mut seen = BTreeSet::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [device, mount_point, kind, options, ..] = &fields[..] else { continue };
        let (device, mount_point) = (unescaped(device), unescaped(mount_point));
        if s.options.ignores_file_system(&mount_point, kind) {
            continue;
        }
        // Something may be mounted over something else of the same name.
        if seen.insert((device.clone(), mount_point.clone(), (*kind).to_owned())) {
            let read_only = options.split(',').any(|option| option == "ro");
            tell(s, [("device", &device), ("mountpoint", &mount_point), ("fstype", kind)], read_only);
        }
    }
    Ok(())
}

fn tell(s: &mut Scrape<'_>, labels: [(&str, &str); 3], read_only: bool) {
    let sizes = s.files.file_system(labels[1].1);
    let error = "Whether asking for a file system's sizes failed.";
    s.gauge("node_filesystem_device_error", error, &labels, f64::from(u8::from(sizes.is_err())));
    let help = "Whether a file system is mounted read-only.";
    s.gauge("node_filesystem_readonly", help, &labels, f64::from(u8::from(read_only)));
    let Ok(sizes) = sizes else { return };
    let bytes = |blocks: u64| blocks as f64 * sizes.block_size as f64;
    for (name, help, value) in [
        ("size_bytes", "Size of a file system.", bytes(sizes.blocks)),
        ("free_bytes", "Free space of a file system.", bytes(sizes.blocks_free)),
        ("avail_bytes", "Free space of a file system for everyone.", bytes(sizes.blocks_available)),
        ("files", "Inodes of a file system.", sizes.inodes as f64),
        ("files_free", "Free inodes of a file system.", sizes.inodes_free as f64),
    ] {
        s.gauge(&format!("node_filesystem_{name}"), help, &labels, value);
    }
}

/// The kernel writes blanks and the like as `\040`.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\')
            .then(|| text.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_escaped_names() {
        for (text, wanted) in [
            ("/mnt/a\\040b", "/mnt/a b"),
            ("\\011\\134", "\t\\"),
            ("a\\04", "a\\04"),
            ("ü\\0ü", "ü\\0ü"),
            ("", ""),
        ] {
            assert_eq!(unescaped(text), wanted);
        }
    }
}
