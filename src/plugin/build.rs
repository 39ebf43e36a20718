//! Finds what ships inside the binary, and writes the list that `bundled` includes.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let mut list = String::new();
    for (folder, extension) in [("plugins/dist", "wasm"), ("scripts", "rhai")] {
        let folder = root.join(folder);
        // A folder that is not there yet is watched through its parent.
        let watched = if folder.is_dir() { &folder } else { folder.parent().expect("it is below the root") };
        println!("cargo::rerun-if-changed={}", watched.display());
        for file in files(&folder, extension) {
            let name =
                file.file_name().and_then(|name| name.to_str()).expect("our own files have plain names");
            println!("cargo::rerun-if-changed={}", file.display());
            list.push_str(&format!("    Bundled {{ file: {name:?}, bytes: include_bytes!({file:?}) }},\n"));
        }
    }
    let text = format!("const BUNDLED: &[Bundled] = &[\n{list}];\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("bundled.rs");
    fs::write(out, text).expect("cargo's own folder can be written");
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    files.sort();
    files
}
