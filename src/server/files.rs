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

/// A pattern of `glob` that finds at least what `pattern` does. `glob` negates with `!`, knows no `\`, and goes below
/// directories with `**`; a class of characters becomes any character.
fn coarse(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' if out.ends_with('*') => {}
            '\\' => out.extend(chars.next().map(|c| glob::Pattern::escape(&c.to_string()))),
            '[' => {
                while let Some(c) = chars.next().filter(|c| *c != ']') {
                    if c == '\\' {
                        chars.next();
                    }
                }
                out.push('?');
            }
            c => out.push(c),
        }
    }
    out
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
        let found =
            glob::glob(&coarse(&text)).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let fits = |path: &PathBuf| !text.contains('[') || config::path_matches(pattern, path);
        let mut paths: Vec<PathBuf> =
            found.filter_map(Result::ok).filter(fits).filter(|path| path.is_file()).collect();
        paths.sort();
        Ok(paths)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_files_by_patterns() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["x/a.t", "x/b.t", "x/!.t", "x/].t", "y/a.t", "y/z/a.t"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for (pattern, expected) in [
            ("x/*.t", &["x/!.t", "x/].t", "x/a.t", "x/b.t"][..]),
            ("*/a.t", &["x/a.t", "y/a.t"]),
            ("**/a.t", &["x/a.t", "y/a.t"]),
            ("x/[^a].t", &["x/!.t", "x/].t", "x/b.t"]),
            ("x/[!a].t", &["x/!.t", "x/a.t"]),
            (r"x/[\]].t", &["x/].t"]),
            (r"x/\!.t", &["x/!.t"]),
            ("x/a.t", &["x/a.t"]),
            ("x/[c-z].t", &[]),
        ] {
            let found = DiskFiles.glob(&directory.path().join(pattern)).unwrap();
            let found: Vec<_> =
                found.iter().map(|path| path.strip_prefix(directory.path()).unwrap()).collect();
            assert_eq!(found, expected.iter().map(Path::new).collect::<Vec<_>>(), "{pattern}");
        }
    }
}
