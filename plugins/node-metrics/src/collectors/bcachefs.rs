//! `bcachefs`: what the file system counts.

use crate::scrape::{Outcome, Scrape, words};

const FOLDER: &str = "/sys/fs/bcachefs";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for uuid in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{uuid}");
        let own = ("uuid", uuid.as_str());
        s.gauge("node_bcachefs_info", "File systems that are mounted.", &[own], 1.0);
        if let Some(size) = s.line(&format!("{folder}/btree_cache_size")).ok().as_deref().and_then(size) {
            s.gauge("node_bcachefs_btree_cache_size_bytes", "Memory of the cache of trees.", &[own], size);
        }
        compression(s, &folder, own);
        errors(s, &folder, own);
        btree_writes(s, &folder, own);
        counters(s, &folder, own);
        for (number, name) in s.numbered(&folder, "dev-").unwrap_or_default() {
            device(s, &format!("{folder}/{name}"), own, &number.to_string());
        }
    }
    Ok(())
}

/// `11.4T` is so many bytes; whole ones, as the field has them.
fn size(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, power) = match text.char_indices().last()? {
        (at, unit) if unit.is_ascii_alphabetic() => {
            (&text[..at], "kMGTPEZY".find(unit).or_else(|| "KMGTPEZY".find(unit))? + 1)
        }
        _ => (text, 0),
    };
    let number: f64 = number.parse().ok()?;
    Some((number * 1024f64.powi(power as i32)).trunc())
}

fn compression(s: &mut Scrape<'_>, folder: &str, own: (&str, &str)) {
    let text = s.text(&format!("{folder}/compression_stats")).unwrap_or_default();
    for line in text.lines().skip(1) {
        let [algorithm, compressed, uncompressed, ..] = words(line)[..] else { continue };
        let (Some(compressed), Some(uncompressed)) = (size(compressed), size(uncompressed)) else { continue };
        let labels = [own, ("algorithm", algorithm)];
        s.gauge("node_bcachefs_compression_compressed_bytes", "Size after compression.", &labels, compressed);
        s.gauge(
            "node_bcachefs_compression_uncompressed_bytes",
            "Size before compression.",
            &labels,
            uncompressed,
        );
    }
}

fn errors(s: &mut Scrape<'_>, folder: &str, own: (&str, &str)) {
    let text = s.text(&format!("{folder}/errors")).unwrap_or_default();
    for line in text.lines() {
        let [error, count, ..] = words(line)[..] else { continue };
        if let Some(count) = size(count) {
            s.counter("node_bcachefs_errors_total", "Errors found.", &[own, ("error_type", error)], count);
        }
    }
}

fn btree_writes(s: &mut Scrape<'_>, folder: &str, own: (&str, &str)) {
    let text = s.text(&format!("{folder}/btree_write_stats")).unwrap_or_default();
    for line in text.lines().skip(1) {
        let [kind, count, average] = words(line)[..] else { continue };
        let (Some(count), Some(average)) = (size(count), size(average)) else { continue };
        let labels = [own, ("type", kind.trim_end_matches(':'))];
        s.counter("node_bcachefs_btree_writes_total", "Writes of trees.", &labels, count);
        s.gauge(
            "node_bcachefs_btree_write_average_size_bytes",
            "Size of a write of trees.",
            &labels,
            average,
        );
    }
}

/// A counter's file says how much since mounting, and since the file system was made.
fn counters(s: &mut Scrape<'_>, folder: &str, own: (&str, &str)) {
    let folder = format!("{folder}/counters");
    let names = s.names(&folder).unwrap_or_default();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    for (name, text) in files.iter().zip(s.lines_of(&folder, &files)) {
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("since filesystem creation:"));
        if let Some(count) = line.and_then(size) {
            s.counter(
                &format!("node_bcachefs_{name}_total"),
                &format!("{name} of the file system."),
                &[own],
                count,
            );
        }
    }
}

fn device(s: &mut Scrape<'_>, folder: &str, own: (&str, &str), device: &str) {
    let read = s.lines_of(folder, &["label", "state", "bucket_size", "durability", "io_done", "io_errors"]);
    let text = |at: usize| read[at].as_deref().unwrap_or_default();
    let labels = [own, ("device", device)];
    let info = [own, ("device", device), ("label", text(0)), ("state", text(1))];
    s.gauge("node_bcachefs_device_info", "What a device is.", &info, 1.0);
    for (at, name, help) in [
        (2, "bucket_size_bytes", "Size of a device's buckets."),
        (3, "durability", "How many copies a device counts for."),
    ] {
        if let Some(value) = size(text(at)) {
            s.gauge(&format!("node_bcachefs_device_{name}"), help, &labels, value);
        }
    }
    // `read:` and `write:` are headings; below stand kinds of data and bytes.
    let mut operation = "";
    for (kind, bytes) in text(4).lines().filter_map(pair) {
        match size(bytes) {
            None => operation = kind,
            Some(bytes) => {
                let labels = [own, ("device", device), ("operation", operation), ("data_type", kind)];
                s.counter(
                    "node_bcachefs_device_io_done_bytes_total",
                    "Bytes read and written.",
                    &labels,
                    bytes,
                );
            }
        }
    }
    // The first block counts since the file system was made, the next since it was reset.
    for line in text(5).lines().take_while(|line| !line.contains("since") || line.contains("creation")) {
        let Some((kind, Some(count))) = pair(line).map(|(kind, count)| (kind, size(count))) else { continue };
        let labels = [own, ("device", device), ("type", kind)];
        s.counter("node_bcachefs_device_io_errors_total", "Errors of a device.", &labels, count);
    }
}

/// `user   : 5` and `checksum:5`.
fn pair(line: &str) -> Option<(&str, &str)> {
    line.split_once(':').map(|(name, value)| (name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, wanted) in [
            ("720", Some(720.0)),
            ("1.26k", Some(1290.0)),
            ("2G", Some(2_147_483_648.0)),
            ("", None),
            ("x", None),
            ("1ü", None),
        ] {
            assert_eq!(size(text), wanted, "{text}");
        }
    }
}
