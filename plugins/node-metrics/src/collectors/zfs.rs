//! `zfs`: what ZFS counts, under the names that it has for them.

use crate::MetricType::Untyped;
use crate::scrape::{Outcome, Scrape, number, words};

const FOLDER: &str = "/proc/spl/kstat/zfs";
const FILES: [(&str, &str); 11] = [
    ("abdstats", "abd"),
    ("arcstats", "arc"),
    ("dbufstats", "dbuf"),
    ("dmu_tx", "dmu_tx"),
    ("dnodestats", "dnode"),
    ("fm", "fm"),
    ("vdev_cache_stats", "vdev_cache"),
    ("vdev_mirror_stats", "vdev_mirror"),
    ("xuio_stats", "xuio"),
    ("zfetchstats", "zfetch"),
    ("zil", "zil"),
];
const STATES: [&str; 7] = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let names = s.names(FOLDER)?;
    for (file, subsystem) in FILES {
        let Ok(text) = s.text(&format!("{FOLDER}/{file}")) else { continue };
        for (name, value) in rows(&text) {
            let Some(value) = number(value) else { continue };
            let help = format!("{name} in {file} of ZFS.");
            s.untyped(&format!("node_zfs_{subsystem}_{}", name.replace('-', "_")), &help, &[], value);
        }
    }
    for pool in names.iter().filter(|name| FILES.iter().all(|(file, _)| file != name)) {
        let folder = format!("{FOLDER}/{pool}");
        let Ok(files) = s.names(&folder) else { continue };
        state(s, &folder, pool);
        io(s, &folder, pool);
        for file in files.iter().filter(|file| file.starts_with("objset-")) {
            dataset(s, &format!("{folder}/{file}"), pool);
        }
    }
    Ok(())
}

/// The rows of a table `name type data` that are numbers (types 3 and 4) or texts (7), below two lines of heading.
fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().skip(2).filter_map(|line| {
        // A name of a dataset may have blanks.
        let (name, rest) = line.split_once(char::is_whitespace)?;
        let (kind, value) = rest.trim_start().split_once(char::is_whitespace)?;
        matches!(kind, "3" | "4" | "7").then_some((name, value.trim()))
    })
}

fn state(s: &mut Scrape<'_>, folder: &str, pool: &str) {
    let Ok(state) = s.line(&format!("{folder}/state")) else { return };
    for name in STATES {
        let is = f64::from(u8::from(state.eq_ignore_ascii_case(name)));
        s.gauge("node_zfs_zpool_state", "State of a pool.", &[("zpool", pool), ("state", name)], is);
    }
}

/// A line of names and a line of numbers, below one of heading.
fn io(s: &mut Scrape<'_>, folder: &str, pool: &str) {
    let Ok(text) = s.text(&format!("{folder}/io")) else { return };
    let mut lines = text.lines().skip(1).map(words);
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for (name, value) in names.iter().zip(values) {
        let Some(value) = number(value) else { continue };
        let help = format!("{name} in io of a pool.");
        s.family(&format!("node_zfs_zpool_{name}"), Untyped, &help).point(&[("zpool", pool)], value);
    }
}

fn dataset(s: &mut Scrape<'_>, path: &str, pool: &str) {
    let Ok(text) = s.text(path) else { return };
    let Some((_, dataset)) = rows(&text).find(|(name, _)| *name == "dataset_name") else { return };
    let labels = [("zpool", pool), ("dataset", dataset)];
    for (name, value) in rows(&text) {
        if let Some(value) = number(value) {
            let help = format!("{name} of a dataset.");
            s.untyped(&format!("node_zfs_zpool_dataset_{name}"), &help, &labels, value);
        }
    }
}
