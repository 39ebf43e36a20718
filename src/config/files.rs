//! What the room needs of the world: files by name and by pattern, and variables of the environment.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Reads what a configuration names. The shell gives the file system and the environment, tests give a map.
pub trait Files {
    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Files that match a pattern (`*`, `?`, `[…]`), sorted. A pattern without these characters is a
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

/// Whether a path fits a pattern, as [`Files::glob`] has them: `\` in front of a character takes it as it is.
pub fn path_matches(pattern: &Path, path: &Path) -> bool {
    glob_matches(&pattern.to_string_lossy(), &path.to_string_lossy())
}

/// Whether every `[` of a pattern is closed behind at least one character or range, and nothing is missing behind a `\`
/// or a `-`.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let chars: Vec<char> = pattern.chars().collect();
    let mut rest = chars.as_slice();
    loop {
        rest = match rest {
            [] => return true,
            ['\\'] => return false,
            ['\\', _, after @ ..] => after,
            ['[', inside @ ..] => match class(inside) {
                Some((_, _, after)) => after,
                None => return false,
            },
            [_, after @ ..] => after,
        };
    }
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
        Some(('\\', [c, rest @ ..])) => text.first() == Some(c) && matches(rest, &text[1..]),
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

/// What follows a `[`: its ranges, whether they are negated, and the pattern after the `]`. `None` if it is not one.
fn class(pattern: &[char]) -> Option<(Vec<(char, char)>, bool, &[char])> {
    let negated = pattern.first() == Some(&'^');
    let mut rest = if negated { &pattern[1..] } else { pattern };
    let mut set = Vec::new();
    loop {
        if let [']', after @ ..] = rest
            && !set.is_empty()
        {
            return Some((set, negated, after));
        }
        let (low, after) = class_character(rest)?;
        let (high, after) = match after {
            ['-', after @ ..] => class_character(after)?,
            _ => (low, after),
        };
        set.push((low, high));
        rest = after;
    }
}

/// A character of a class, and what follows it. `]` and `-` need a `\` in front.
fn class_character(text: &[char]) -> Option<(char, &[char])> {
    match text {
        [] | ['\\'] | [']' | '-', ..] => None,
        ['\\', c, after @ ..] | [c, after @ ..] => Some((*c, after)),
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
            ("*/a*.tmpl", "sub/abc.tmpl", true),
            ("[!a]b", "!b", true),
            ("[!a]b", "cb", false),
            ("[\\]x]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
        ] {
            assert_eq!(glob_matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_that_are_none() {
        for pattern in ["a", "*", "**/[a-z]?", "[^a]", "[\\]]", "[!a]", "\\[", "{a,b}", "]", "a-b"] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for pattern in
            ["[", "[a", "a[]b", "[]a]", "[^]", "[^]a]", "[-a]", "[a-]", "[a-b-c]", "a\\", "*[", "[\\]"]
        {
            assert!(!is_pattern(pattern), "{pattern}");
        }
    }

    #[test]
    fn tidies_paths() {
        assert_eq!(tidy(Path::new("./a/../b/./c")), Path::new("b/c"));
        assert_eq!(tidy(Path::new("../a")), Path::new("../a"));
        assert_eq!(tidy(Path::new("/../a")), Path::new("/../a"));
    }
}
