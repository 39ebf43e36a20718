//! Chores of this repository.
//!
//! ```text
//! cargo xtask plugins [NAME…]            build the components of plugins/ into plugins/dist
//! cargo xtask plugins --out DIR          … into another folder, without touching the committed ones
//! cargo xtask plugins --check            fail if the committed components are not what their sources say, or a test fails
//! cargo xtask plugins --check-sources    only compare hashes: builds nothing, needs no toolchain
//! cargo xtask plugin DIR                 build the plugin crate in DIR, of your own, to a .wasm beside its Cargo.toml
//! cargo xtask bindings                   write the SDK's bindings anew from wit/
//! cargo xtask ui                         build the page into ui/dist
//! cargo xtask ui --check                 fail if ui/dist is not what its sources say
//! ```

mod bindings;
mod dist;
mod guests;
mod shell;
mod toolchain;
mod ui;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dist::Dist;
use shell::{Outcome, say};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["plugins", "--check"] => dist::check(&root(), dist::Compare::Bytes),
        ["plugins", "--check-sources"] => dist::check(&root(), dist::Compare::Sources),
        ["plugins", "--out", folder, names @ ..] => build(Path::new(folder), names).map(drop),
        ["plugins", names @ ..] if names.iter().all(|name| !name.starts_with('-')) => build_committed(names),
        ["plugin", folder] => dist::build_one(&root(), Path::new(folder)),
        ["bindings"] => bindings::write(&root()),
        ["ui"] => ui::build(&root()),
        ["ui", "--check"] => ui::check(&root()),
        _ => Err(
            "usage: cargo xtask plugins [NAME… | --out DIR [NAME…] | --check | --check-sources] | plugin DIR | bindings"
                .into(),
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The checkout that this program was built from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the checkout").to_owned()
}

fn build(folder: &Path, names: &[&str]) -> Outcome<Vec<dist::Built>> {
    dist::build(&root(), folder, names)
}

fn build_committed(names: &[&str]) -> Outcome<()> {
    let folder = root().join("plugins/dist");
    let built = build(&folder, names)?;
    let mut dist = Dist::read(&folder)?;
    for component in built {
        say(&format!("{} {} bytes", component.name, component.record["bytes"]));
        dist.record(component);
    }
    if names.is_empty() {
        dist.forget_all_but(&guests::all(&root())?, &folder)?;
    }
    dist.write(&folder)
}
