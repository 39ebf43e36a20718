//! The data directory: one process at a time, one format.
//!
//! ```text
//! LOCK             held by the process that has it open; its process id as text
//! FORMAT           "foghorn-data 1"
//! clean-shutdown   there exactly if the last process ended in order
//! damaged/         what replay could not trust; never read, never deleted
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ports::Disk;

use crate::names::{CLEAN_FILE, FORMAT_FILE, LOCK_FILE, staging_path};
use crate::{JournalError, RealDisk};

const FORMAT_NAME: &str = "foghorn-data";
/// The newest format that this code writes and reads.
const FORMAT_VERSION: u32 = 1;

/// How the process before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// There was none.
    First,
    /// In order.
    Clean,
    /// Killed, crashed, or the power went.
    Unclean,
}

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error(
        "data directory `{}` is in use by {}: stop it, or choose another directory with --storage.tsdb.path",
        .root.display(), holder(*.pid)
    )]
    InUse {
        /// The directory.
        root: PathBuf,
        /// Who has it, if its lock file says so.
        pid: Option<u32>,
    },
    /// It holds something that this program did not write.
    #[error(
        "`{}` holds `{found}` but no FORMAT file, so it is not a data directory of Foghorn: choose an empty one",
        .root.display()
    )]
    Foreign {
        /// The directory.
        root: PathBuf,
        /// What is in it.
        found: String,
    },
    /// A newer program wrote it.
    #[error(
        "data directory `{}` has format {version}, and this program reads formats up to {FORMAT_VERSION}: \
         use the newer program that wrote it",
        .root.display()
    )]
    Newer {
        /// The directory.
        root: PathBuf,
        /// Its format.
        version: u32,
    },
    /// It cannot be made, locked or read.
    #[error("data directory `{}`: {source}", .root.display())]
    Io {
        /// The directory.
        root: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// An open data directory. Nobody else can open it until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    disk: Arc<RealDisk>,
    shutdown: Shutdown,
    /// Locked while open; the lock ends with the process, however it ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if there is none, and takes it.
    pub fn open(root: &Path) -> Result<DataDir, DataDirError> {
        let io = |source| DataDirError::Io { root: root.to_owned(), source };
        fs::create_dir_all(root).map_err(io)?;
        let lock = take_lock(root)?;
        let disk = Arc::new(RealDisk::new(root));
        check_format(disk.as_ref(), root)?;
        let shutdown = take_marker(disk.as_ref(), root)?;
        Ok(DataDir { disk, shutdown, _lock: lock })
    }

    /// The disk to keep things on.
    pub fn disk(&self) -> Arc<RealDisk> {
        Arc::clone(&self.disk)
    }

    /// How the process before this one ended.
    pub fn last_shutdown(&self) -> Shutdown {
        self.shutdown
    }

    /// Says that this process ends in order. To be called when everything else is closed and synced.
    pub fn mark_clean(&self) -> Result<(), JournalError> {
        write_marker(self.disk.as_ref())
            .map_err(JournalError::at(Path::new(CLEAN_FILE), "marking the end of this process"))
    }
}

fn take_lock(root: &Path) -> Result<File, DataDirError> {
    let io = |source| DataDirError::Io { root: root.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(root.join(LOCK_FILE))
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(DataDirError::InUse { root: root.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    // Only for people and for the message above; that it cannot be written (a full disk) stops nobody.
    let _ = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn check_format(disk: &dyn Disk, root: &Path) -> Result<(), DataDirError> {
    let io = |source| DataDirError::Io { root: root.to_owned(), source };
    match disk.read(Path::new(FORMAT_FILE)) {
        Ok(bytes) => match format_version(&bytes) {
            Some(version) if version > FORMAT_VERSION => {
                Err(DataDirError::Newer { root: root.to_owned(), version })
            }
            Some(_) => Ok(()),
            // Ours by its name, and unreadable: every file in here has its own checksums, so go on.
            None => write_format(disk).map_err(io),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // What a Prometheus would have here. Its files are not ours to repair.
            let foreign = ["wal", "chunks_head", "queries.active", "journal", "blocks", "chunks"];
            let names = disk.list(Path::new("")).map_err(io)?;
            if let Some(found) = names.iter().find(|n| foreign.iter().any(|f| n.as_path() == Path::new(f))) {
                return Err(DataDirError::Foreign {
                    root: root.to_owned(),
                    found: found.display().to_string(),
                });
            }
            write_format(disk).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

fn format_version(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim().strip_prefix(FORMAT_NAME)?.trim().parse().ok()
}

/// Durable before anything else is written, so that data without it is never ours.
fn write_format(disk: &dyn Disk) -> io::Result<()> {
    let path = Path::new(FORMAT_FILE);
    let staging = staging_path(path);
    let mut file = disk.create(&staging)?;
    file.append(format!("{FORMAT_NAME} {FORMAT_VERSION}\n").as_bytes())?;
    file.sync()?;
    disk.rename(&staging, path)?;
    disk.sync_dir(Path::new(""))
}

/// Reads the marker and takes it away before anything is written.
fn take_marker(disk: &dyn Disk, root: &Path) -> Result<Shutdown, DataDirError> {
    let io = |source| DataDirError::Io { root: root.to_owned(), source };
    let names = disk.list(Path::new("")).map_err(io)?;
    if names.iter().any(|n| n == Path::new(CLEAN_FILE)) {
        disk.remove_file(Path::new(CLEAN_FILE)).map_err(io)?;
        disk.sync_dir(Path::new("")).map_err(io)?;
        return Ok(Shutdown::Clean);
    }
    let used = names.iter().any(|n| n != Path::new(LOCK_FILE) && n != Path::new(FORMAT_FILE));
    Ok(if used { Shutdown::Unclean } else { Shutdown::First })
}

fn write_marker(disk: &dyn Disk) -> io::Result<()> {
    let mut file = disk.create(Path::new(CLEAN_FILE))?;
    file.sync()?;
    disk.sync_dir(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_taken_once_and_says_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&format!("is in use by process {pid}: stop it, or choose")), "{error}");
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn remembers_how_it_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let open = || DataDir::open(dir.path()).unwrap();
        let first = open();
        assert_eq!(first.last_shutdown(), Shutdown::First);
        assert_eq!(first.disk().read(Path::new("FORMAT")).unwrap(), b"foghorn-data 1\n");
        first.disk().create_dir_all(Path::new("wal")).unwrap();
        drop(first);
        let second = open();
        assert_eq!(second.last_shutdown(), Shutdown::Unclean);
        second.mark_clean().unwrap();
        drop(second);
        assert_eq!(open().last_shutdown(), Shutdown::Clean);
        assert_eq!(open().last_shutdown(), Shutdown::Unclean);
    }

    #[test]
    fn refuses_what_is_not_its_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("chunks_head")).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("holds `chunks_head` but no FORMAT file"), "{error}");
        fs::write(dir.path().join("FORMAT"), "foghorn-data 2\n").unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has format 2, and this program reads formats up to 1"), "{error}");
    }
}
