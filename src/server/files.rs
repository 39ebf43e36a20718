//! Files for the configuration room: the disk, and what is built in.

use std::io;
use std::path::{Path, PathBuf};

use config::Files;

/// Where the built-in configuration stands; no path on a disk begins so.
pub(crate) const BUILT_IN: &str = "built-in:";
const DEFAULT_FILES: [(&str, &str); 2] =
    [("foghorn.yml", include_str!("default/foghorn.yml")), ("rules.yml", include_str!("default/rules.yml"))];

/// The configuration that is used when there is none.
pub fn built_in_config() -> PathBuf {
    Path::new(BUILT_IN).join("foghorn.yml")
}

/// The disk and the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

fn built_in(path: &Path) -> Option<&'static str> {
    let name = path.strip_prefix(BUILT_IN).ok()?;
    DEFAULT_FILES.iter().find(|(known, _)| Path::new(known) == name).map(|(_, text)| *text)
}

impl Files for DiskFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match built_in(path) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => std::fs::read(path),
        }
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        if built_in(pattern).is_some() {
            return Ok(vec![pattern.to_owned()]);
        }
        let text = pattern.to_string_lossy();
        let found = glob::glob(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut paths: Vec<PathBuf> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
        paths.sort();
        Ok(paths)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
