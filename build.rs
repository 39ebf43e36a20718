//! Packs the page's files into the binary. Without `ui/dist` the binary has no page and says so.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let dist = root.join("ui/dist");
    println!("cargo::rerun-if-changed=ui/dist");
    let mut files = Vec::new();
    collect(&dist, &mut files);
    files.sort();
    let mut list = String::from("&[\n");
    for (index, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&dist).expect("it was found there").to_string_lossy().replace('\\', "/");
        let packed = out.join(format!("page-{index}.gz"));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&fs::read(file).expect("it was just listed")).expect("writing to memory");
        fs::write(&packed, encoder.finish().expect("writing to memory")).expect("OUT_DIR is writable");
        list.push_str(&format!("    ({name:?}, include_bytes!({:?}) as &[u8]),\n", packed.to_string_lossy()));
    }
    list.push(']');
    fs::write(out.join("page_files.rs"), format!("const PAGE_FILES: &[(&str, &[u8])] = {list};\n"))
        .expect("OUT_DIR is writable");
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
