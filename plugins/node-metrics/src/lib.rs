//! node_exporter's metrics from the files of a Linux machine: the same names, labels, types and values.
//!
//! In: [`Files`], [`Options`]. Out: [`Family`]s. Not here: how the files are reached (a component has the host's grant,
//! tests have a tree), and how the metrics travel.
//!
//! One module under `collectors` for each of node_exporter's collectors, with its name. They never panic on what a
//! kernel writes: a line that cannot be read is left out, a file that is not there is that collector's "no data".
//! Start at [`collect`].

mod collectors;
mod families;
mod options;
mod scrape;

pub use families::{Family, MetricType, Point};
pub use options::Options;
use scrape::Scrape;

/// Where the files come from. Paths are the machine's: `/proc/stat`.
pub trait Files {
    /// The whole file. The error says why not; most collectors take it for "this machine has no such thing".
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
    /// Many files at once, in the order of `paths`.
    fn read_all(&self, paths: &[String]) -> Vec<Result<Vec<u8>, String>> {
        paths.iter().map(|path| self.read(path)).collect()
    }
    /// The names in a directory, sorted.
    fn list(&self, path: &str) -> Result<Vec<String>, String>;
    /// Where a link points, as it is written.
    fn link(&self, path: &str) -> Result<String, String>;
    /// Sizes of the file system that is mounted at `path`.
    fn file_system(&self, path: &str) -> Result<FileSystem, String>;
    /// What the kernel says about itself.
    fn kernel(&self) -> Result<Kernel, String>;
    /// Seconds since 1970.
    fn now(&self) -> f64;
}

/// Sizes of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

/// What `uname` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `Linux`.
    pub sysname: String,
    /// Of the kernel.
    pub release: String,
    /// Of the kernel's build.
    pub version: String,
    /// `x86_64`.
    pub machine: String,
    /// The machine's name.
    pub nodename: String,
    /// The NIS domain.
    pub domainname: String,
}

/// Runs the collectors that the options choose. Families come in name order, points in the order of the files.
pub fn collect(files: &dyn Files, options: &Options) -> Vec<Family> {
    let mut scrape = Scrape::new(files, options);
    for collector in collectors::ALL {
        if options.runs(collector.name, collector.on) {
            scrape.run(collector.name, collector.collect);
        }
    }
    scrape.finish()
}

/// The names of all collectors, and whether each runs unless the options say otherwise.
pub fn collectors() -> impl Iterator<Item = (&'static str, bool)> {
    collectors::ALL.iter().map(|collector| (collector.name, collector.on))
}
