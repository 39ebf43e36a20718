//! What the room needs of the world: files by name and by pattern, and variables of the environment.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Reads what a configuration names. The shell gives the file system and the environment, tests give a map.
pub trait Files {
    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Files that match a pattern (`*`, `?`, `[…]` in its last part), sorted. A pattern without these characters is a
    /// name: the answer is that file if it exists. No match is an empty list.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
    /// A variable of the environment, for `external_labels`.
    fn env(&self, name: &str) -> Option<String>;
}

/// Files and variables in memory: for tests, for checking text that is in no file yet.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    /// Path → content.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Name → value.
    pub variables: BTreeMap<String, String>,
}

impl MemoryFiles {
    /// One file.
    pub fn of(path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        MemoryFiles::default().with(path, text)
    }

    /// The same and one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// The same and a variable of the environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.files.get(path).or_else(|| self.files.get(&tidy(path)));
        found.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = tidy(pattern);
        let pattern = pattern.to_string_lossy();
        let hit = |path: &&PathBuf| glob_matches(&pattern, &path.to_string_lossy());
        Ok(self.files.keys().filter(hit).cloned().collect())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

/// `a/./b/../c` → `a/c`.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Whether `text` fits a pattern of `*`, `?` and `[…]`, none of which stands for a slash.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    matches(&pattern, &text)
}

fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => {
            let reach = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=reach).any(|skip| matches(rest, &text[skip..]))
        }
        Some(('?', rest)) => text.first().is_some_and(|c| *c != '/') && matches(rest, &text[1..]),
        Some(('[', rest)) => match (class(rest), text.first()) {
            (Some((set, negated, after)), Some(c)) if *c != '/' => {
                set.iter().any(|(low, high)| (low..=high).contains(&c)) != negated
                    && matches(after, &text[1..])
            }
            _ => false,
        },
        Some((c, rest)) => text.first() == Some(c) && matches(rest, &text[1..]),
    }
}

/// What follows a `[`: its ranges, whether they are negated, and the pattern after the `]`. `None` if it is not closed.
fn class(pattern: &[char]) -> Option<(Vec<(char, char)>, bool, &[char])> {
    let negated = matches!(pattern.first(), Some('^' | '!'));
    let mut rest = if negated { &pattern[1..] } else { pattern };
    let mut set = Vec::new();
    loop {
        match rest {
            [']', after @ ..] if !set.is_empty() => return Some((set, negated, after)),
            [low, '-', high, after @ ..] if *high != ']' => {
                set.push((*low, *high));
                rest = after;
            }
            [c, after @ ..] => {
                set.push((*c, *c));
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("rules/*.yml", "rules/a.yml", true),
            ("rules/*.yml", "rules/sub/a.yml", false),
            ("rules/?.yml", "rules/ab.yml", false),
            ("rules/[a-c].yml", "rules/b.yml", true),
            ("rules/[^a-c].yml", "rules/b.yml", false),
            ("rules/[", "rules/[", false),
            ("a*b*c", "axxbyyc", true),
            ("name", "name", true),
        ] {
            assert_eq!(glob_matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn tidies_paths() {
        assert_eq!(tidy(Path::new("./a/../b/./c")), Path::new("b/c"));
        assert_eq!(tidy(Path::new("../a")), Path::new("../a"));
        assert_eq!(tidy(Path::new("/../a")), Path::new("/../a"));
    }
}
