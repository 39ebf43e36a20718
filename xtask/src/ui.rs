//! Building the page, and checking that the committed one is what its sources say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::shell::{Outcome, exists, run, say};

/// Builds `ui/dist` anew.
pub(crate) fn build(root: &Path) -> Outcome<()> {
    let ui = prepare(root)?;
    vite(&ui, &ui.join("dist"))?;
    say("ui/dist is built");
    Ok(())
}

/// Fails if building gives other bytes than the committed ones. Without npm there is nothing to compare with, and that is
/// said.
pub(crate) fn check(root: &Path) -> Outcome<()> {
    if !exists("npm") {
        say("skipped: there is no npm to build the page with");
        return Ok(());
    }
    let ui = prepare(root)?;
    run(Command::new("npx").current_dir(&ui).args(["svelte-check", "--fail-on-warnings"]))?;
    let fresh = env::temp_dir().join(format!("foghorn-ui-{}", std::process::id()));
    vite(&ui, &fresh)?;
    let (built, committed) = (files(&fresh)?, files(&ui.join("dist"))?);
    fs::remove_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
    let names: Vec<&String> = built.keys().chain(committed.keys()).collect();
    let mut different: Vec<&str> = names
        .into_iter()
        .filter(|name| built.get(*name) != committed.get(*name))
        .map(String::as_str)
        .collect();
    different.sort_unstable();
    different.dedup();
    if different.is_empty() {
        say(&format!("ui/dist: {} files are what their sources say", committed.len()));
        return Ok(());
    }
    Err(format!(
        "ui/dist differs from its sources ({}); run `cargo xtask ui` and commit it",
        different.join(", ")
    ))
}

fn prepare(root: &Path) -> Outcome<PathBuf> {
    let ui = root.join("ui");
    run(Command::new("npm").current_dir(&ui).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    Ok(ui)
}

fn vite(ui: &Path, out: &Path) -> Outcome<()> {
    run(Command::new("npx")
        .current_dir(ui)
        .args(["vite", "build", "--emptyOutDir", "--logLevel", "warn", "--outDir"])
        .arg(out))
}

/// Path → content of everything in a folder.
fn files(folder: &Path) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(directory) = open.pop() {
        let wrong = |error: std::io::Error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).map_err(wrong)?);
            }
        }
    }
    Ok(found)
}
