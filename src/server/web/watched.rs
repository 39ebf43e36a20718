//! Files that are read, and whether they are still as they were.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config::Files;

use crate::DiskFiles;

/// What changes with a file's content, as far as it can be told without reading.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and when anything of the file changed.
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

/// `None`: the file is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    Some(Stamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        #[cfg(unix)]
        identity,
    })
}

/// Files as they were when they were read.
#[derive(Debug, Default)]
pub(super) struct Watched(Vec<(PathBuf, Option<Stamp>)>);

impl Watched {
    /// Whether they are as they were.
    pub(super) fn is_unchanged(&self) -> bool {
        self.0.iter().all(|(path, then)| stamp(path) == *then)
    }
}

/// The disk; every file that is asked for is noted, also one that is not there.
#[derive(Debug, Default)]
pub(super) struct WatchedFiles(RefCell<Watched>);

impl WatchedFiles {
    /// The files that were asked for.
    pub(super) fn into_watched(self) -> Watched {
        self.0.into_inner()
    }

    fn note(&self, path: &Path) {
        let mut watched = self.0.borrow_mut();
        if !watched.0.iter().any(|(known, _)| known == path) {
            // Before it is read: what changes meanwhile is seen next time.
            watched.0.push((path.to_owned(), stamp(path)));
        }
    }
}

impl Files for WatchedFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path);
        DiskFiles.read(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        self.note(pattern);
        DiskFiles.glob(pattern)
    }

    fn env(&self, name: &str) -> Option<String> {
        DiskFiles.env(name)
    }
}
