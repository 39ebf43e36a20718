//! Names of all files that this room writes, in one place.

use std::path::{Path, PathBuf};

/// Who has the data directory open.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// Which format the data directory has.
pub(crate) const FORMAT_FILE: &str = "FORMAT";
/// There exactly if the last process ended in order.
pub(crate) const CLEAN_FILE: &str = "clean-shutdown";
/// Space that is given back when the disk is full, so that state can still be written.
pub(crate) const RESERVE_FILE: &str = "reserve";
/// Where files go that cannot be trusted any more. Nothing in it is read or deleted.
pub const DAMAGED_DIR: &str = "damaged";

const SNAPSHOT_SUFFIX: &str = ".snapshot";
const STAGING_SUFFIX: &str = ".tmp";

/// `00000007`: a segment. More digits from a hundred million on.
pub(crate) fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:08}"))
}

/// `00000007.snapshot`: what segments before 7 amount to.
pub(crate) fn snapshot_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:08}{SNAPSHOT_SUFFIX}"))
}

/// `path.tmp`: becomes `path` by a rename, and is removed at the next start if it did not come to that.
pub(crate) fn staging_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(STAGING_SUFFIX);
    PathBuf::from(name)
}

/// What a file in a log's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment(u64),
    Snapshot(u64),
    Staging,
    /// Somebody else's: left alone.
    Foreign,
}

pub(crate) fn file_kind(path: &Path) -> FileKind {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return FileKind::Foreign };
    let number = |digits: &str| -> Option<u64> {
        let plain = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    if name.ends_with(STAGING_SUFFIX) {
        FileKind::Staging
    } else if let Some(segment) = number(name) {
        FileKind::Segment(segment)
    } else if let Some(segment) = name.strip_suffix(SNAPSHOT_SUFFIX).and_then(number) {
        FileKind::Snapshot(segment)
    } else {
        FileKind::Foreign
    }
}

/// A name in `damaged/` that tells where the file came from: `wal-00000003`.
pub(crate) fn damaged_name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|p| p.to_string_lossy()).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_files_apart() {
        for (name, kind) in [
            ("wal/00000007", FileKind::Segment(7)),
            ("wal/123456789", FileKind::Segment(123_456_789)),
            ("wal/00000007.snapshot", FileKind::Snapshot(7)),
            ("wal/00000007.snapshot.tmp", FileKind::Staging),
            ("wal/7", FileKind::Foreign),
            ("wal/0000000x", FileKind::Foreign),
            ("wal/99999999999999999999999", FileKind::Foreign),
            ("wal/notes.txt", FileKind::Foreign),
        ] {
            assert_eq!(file_kind(Path::new(name)), kind, "{name}");
        }
        assert_eq!(segment_path(Path::new("wal"), 7), Path::new("wal/00000007"));
        assert_eq!(damaged_name(Path::new("journal/alerting/00000003")), "journal-alerting-00000003");
    }
}
