//! Files that the operator granted to an exporter, read-only.
//!
//! The grant is an allow-list of paths and globs; with a `root` in it, `/proc/stat` means `ROOT/proc/stat`.

use crate::{Result, host};

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory's.
    pub name: String,
    /// Whether it is a directory itself.
    pub directory: bool,
}

/// What a file system says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free for everyone.
    pub blocks_available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// What the kernel says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `Linux`.
    pub sysname: String,
    /// `6.1.0-42-amd64`.
    pub release: String,
    /// `#1 SMP …`.
    pub version: String,
    /// `x86_64`.
    pub machine: String,
    /// The machine's name.
    pub nodename: String,
    /// The NIS domain; usually `(none)`.
    pub domainname: String,
}

/// The whole file, up to 4 MiB; files that report size 0 too.
pub fn read(path: &str) -> Result<Vec<u8>> {
    host::file_read(path)
}

/// The whole file as text.
pub fn read_text(path: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&read(path)?).into_owned())
}

/// Many small files in one call, each with its own outcome.
pub fn read_all(paths: &[String]) -> Vec<Result<Vec<u8>>> {
    host::file_read_all(paths)
}

/// What stands in a directory.
pub fn list_directory(path: &str) -> Result<Vec<Entry>> {
    host::file_list(path)
}

/// Where a link points.
pub fn read_link(path: &str) -> Result<String> {
    host::file_link(path)
}

/// The file system that holds `path`.
pub fn stat_file_system(path: &str) -> Result<FileSystem> {
    host::file_system(path)
}

/// The kernel's description of itself.
pub fn uname() -> Result<Kernel> {
    host::file_uname()
}
