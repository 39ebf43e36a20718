//! Files, as the journal and the TSDB use them. A simulated disk can fail at any call and lose what was not synced.

use std::io;
use std::path::{Path, PathBuf};

/// Where bytes are kept. Paths are relative to the data directory.
pub trait Disk: Send + Sync {
    /// Creates an empty file for appending; an existing one is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for appending at its end.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// The whole content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// `len` bytes from `offset`; fewer at the end of the file.
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Size in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Shortens a file; durable when this returns.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Names in a directory, sorted; empty if it does not exist.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// Creates a directory and those above it.
    fn create_dir_all(&self, directory: &Path) -> io::Result<()>;
    /// Renames a file or directory; replaces a file. Durable only after [`Disk::sync_dir`] of the parent.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and what is in it.
    fn remove_dir_all(&self, directory: &Path) -> io::Result<()>;
    /// Makes the directory's entries durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
}

/// A file open for appending.
pub trait DiskFile: Send {
    /// Appends all of `bytes`, or fails having appended some prefix.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended to the file durable, through whichever handle. After an error the file must not be used again: its pages may be gone.
    fn sync(&mut self) -> io::Result<()>;
}
