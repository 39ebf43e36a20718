//! The guest crates, and the hashes of what they are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::shell::{Outcome, entries, output, read};

/// A crate of `plugins/` that becomes a component.
pub(crate) struct Guest {
    /// The crate's name.
    pub(crate) package: String,
    /// The plugin's name, and the component's file name: the crate's with underscores.
    pub(crate) name: String,
    /// The crate's folder.
    home: PathBuf,
    /// The folders of the crate and of the crates beside it that it is built on.
    folders: BTreeSet<PathBuf>,
}

/// All guests, in name order.
pub(crate) fn all(root: &Path) -> Outcome<Vec<Guest>> {
    in_workspace(&root.join("plugins"))
}

/// The guest in a folder of its own.
pub(crate) fn of(folder: &Path) -> Outcome<Guest> {
    let none = || format!("{}: there is no crate with `crate-type = [\"cdylib\"]`", folder.display());
    let guests = in_workspace(folder)?;
    let home = std::fs::canonicalize(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    guests.into_iter().find(|guest| guest.home == home).ok_or_else(none)
}

fn in_workspace(folder: &Path) -> Outcome<Vec<Guest>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let manifest = folder.join("Cargo.toml");
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"]).arg(&manifest);
    let metadata: Value = serde_json::from_str(&output(&mut cargo)?)
        .map_err(|error| format!("cargo metadata of {}: {error}", manifest.display()))?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let by_folder: BTreeMap<PathBuf, &Value> =
        packages.iter().filter_map(|package| Some((folder_of(package)?, package))).collect();
    let mut guests: Vec<Guest> = packages
        .iter()
        .filter(|package| is_component(package))
        .filter_map(|package| {
            let mut folders = BTreeSet::new();
            let home = folder_of(package)?;
            collect_folders(&home, &by_folder, &mut folders);
            let package = package["name"].as_str()?.to_owned();
            Some(Guest { name: package.replace('-', "_"), package, home, folders })
        })
        .collect();
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

fn folder_of(package: &Value) -> Option<PathBuf> {
    Some(Path::new(package["manifest_path"].as_str()?).parent()?.to_owned())
}

fn is_component(package: &Value) -> bool {
    let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kinds = targets.iter().filter_map(|target| target["crate_types"].as_array());
    kinds.flatten().any(|kind| kind == "cdylib")
}

fn collect_folders(folder: &Path, packages: &BTreeMap<PathBuf, &Value>, found: &mut BTreeSet<PathBuf>) {
    if !found.insert(folder.to_owned()) {
        return;
    }
    let Some(package) = packages.get(folder) else { return };
    for dependency in package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default() {
        if let Some(path) = dependency["path"].as_str().filter(|_| dependency["kind"].is_null()) {
            collect_folders(Path::new(path), packages, found);
        }
    }
}

impl Guest {
    /// Hash of everything in the tree that the component is made from, but for the WIT and the lock file.
    pub(crate) fn sources(&self, root: &Path) -> Outcome<String> {
        let mut files = vec![root.join("plugins/Cargo.toml")];
        for folder in &self.folders {
            source_files(folder, &mut files)?;
        }
        hash_files(root, &files)
    }
}

/// Hash of the plugin contract.
pub(crate) fn wit(root: &Path) -> Outcome<String> {
    let files = entries(&root.join("wit/v0.1"))?;
    let files: Vec<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "wit")).collect();
    hash_files(root, &files)
}

/// Hash of the guests' lock file.
pub(crate) fn lock(root: &Path) -> Outcome<String> {
    hash_files(root, &[root.join("plugins/Cargo.lock")])
}

/// `Cargo.toml`, `src/**` and JSON files: what the compiler reads.
fn source_files(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "tests" {
            source_files(&path, files)?;
        } else if [".rs", ".json", ".toml"].iter().any(|end| name.ends_with(end)) && !name.starts_with('.') {
            files.push(path);
        }
    }
    Ok(())
}

fn hash_files(root: &Path, files: &[PathBuf]) -> Outcome<String> {
    let mut hash = Sha256::new();
    let mut files = files.to_vec();
    files.sort();
    for path in files {
        let content = read(&path)?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        hash.update(format!("{name}\n{}\n", content.len()));
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

/// SHA-256 of bytes, as text.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
