//! Running other programs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A message says what happened and what to do.
pub(crate) type Outcome<T> = Result<T, String>;

/// A line about what is going on.
pub(crate) fn say(text: &str) {
    eprintln!("== {text}");
}

/// Runs a program whose output people may want to see.
pub(crate) fn run(command: &mut Command) -> Outcome<()> {
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| format!("{}: {error}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", line(command))) }
}

/// Runs a program and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", line(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}\n{}", line(command), output.status, said.trim_end()))
}

fn line(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let words: Vec<_> = std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect();
    words.join(" ")
}

/// Whether a program of that name can be run.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file if it has another content, so that nobody sees a new date for nothing.
pub(crate) fn write(path: &Path, content: &[u8]) -> Outcome<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    create_folder(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

/// Creates a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The entries of a folder in name order.
pub(crate) fn entries(folder: &Path) -> Outcome<Vec<std::path::PathBuf>> {
    let place = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(place)? {
        paths.push(entry.map_err(place)?.path());
    }
    paths.sort();
    Ok(paths)
}
