//! The committed components and the record of what they were made from, `plugins/dist/manifest.json`.
//!
//! A component may be committed only because it can be checked: `sources`, `wit` and `lock` are hashes of the tree that
//! it was built from, and where the toolchain is the recorded one, another build gives the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::guests::{self, Guest, digest};
use crate::shell::{Outcome, create_folder, output, read, run, say, write};
use crate::toolchain::{self, Toolchain};

const RECORD: &str = "manifest.json";

/// A component that was built, and what stands about it in the record.
pub(crate) struct Built {
    pub(crate) name: String,
    pub(crate) record: Value,
}

/// The record of a folder of components.
pub(crate) struct Dist(Map<String, Value>);

impl Dist {
    pub(crate) fn read(folder: &Path) -> Outcome<Dist> {
        let path = folder.join(RECORD);
        if !path.exists() {
            return Ok(Dist(Map::new()));
        }
        let mut record: Value = serde_json::from_slice(&read(&path)?).map_err(|error| {
            format!("{}: {error}; write it anew with `cargo xtask plugins`", path.display())
        })?;
        Ok(Dist(record["components"].as_object_mut().map(std::mem::take).unwrap_or_default()))
    }

    pub(crate) fn record(&mut self, built: Built) {
        self.0.insert(built.name, built.record);
    }

    /// Takes components out whose crate is no more.
    pub(crate) fn forget_all_but(&mut self, guests: &[Guest], folder: &Path) -> Outcome<()> {
        let stale: Vec<String> =
            self.0.keys().filter(|name| guests.iter().all(|guest| guest.name != **name)).cloned().collect();
        for name in stale {
            self.0.remove(&name);
            let path = folder.join(format!("{name}.wasm"));
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, folder: &Path) -> Outcome<()> {
        let record = json!({
            "about": "Written by `cargo xtask plugins`, checked by `cargo xtask plugins --check`.",
            "components": self.0,
        });
        let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
        write(&folder.join(RECORD), (text + "\n").as_bytes())
    }
}

/// Builds the named guests (all if none is named) into a folder.
pub(crate) fn build(root: &Path, folder: &Path, names: &[&str]) -> Outcome<Vec<Built>> {
    let mut guests = guests::all(root)?;
    if let Some(unknown) = names.iter().find(|name| guests.iter().all(|guest| !guest.is_called(name))) {
        let known: Vec<_> = guests.iter().map(|guest| guest.name.as_str()).collect();
        return Err(format!("there is no guest `{unknown}`; there are {}", known.join(", ")));
    }
    bindings_fit(root)?;
    let toolchain = toolchain::find(root)?;
    // All of them, since features are those of all that are compiled together: one alone would have other bytes.
    compile(root, &toolchain, &guests)?;
    guests.retain(|guest| names.is_empty() || names.iter().any(|name| guest.is_called(name)));
    create_folder(folder)?;
    let (wit, lock) = (guests::wit(root)?, guests::lock(root)?);
    let component = |guest: &Guest| -> Outcome<Built> {
        let module = toolchain.target_folder.join(toolchain::TARGET).join("release").join(&guest.name);
        let file = folder.join(format!("{}.wasm", guest.name));
        componentize(&toolchain, &module.with_extension("wasm"), &file)?;
        let bytes = read(&file)?;
        Ok(Built {
            name: guest.name.clone(),
            record: json!({
                "sha256": digest(&bytes),
                "bytes": bytes.len(),
                "sources": guest.sources(root)?,
                "wit": wit,
                "lock": lock,
                "toolchain": toolchain.about,
            }),
        })
    };
    guests.iter().map(component).collect()
}

/// Builds a plugin crate outside this repository's workspace, and puts the component beside its `Cargo.toml`.
pub(crate) fn build_one(root: &Path, folder: &Path) -> Outcome<()> {
    let guest = guests::of(folder)?;
    let toolchain = toolchain::find(root)?;
    let mut cargo = toolchain.cargo(folder);
    run(cargo.args(["build", "--release", "--target", toolchain::TARGET]))?;
    let module = toolchain.target_folder.join(toolchain::TARGET).join("release").join(&guest.name);
    let file = folder.join(format!("{}.wasm", guest.name));
    componentize(&toolchain, &module.with_extension("wasm"), &file)?;
    say(&format!("{} {} bytes", file.display(), read(&file)?.len()));
    Ok(())
}

fn componentize(toolchain: &Toolchain, module: &Path, file: &Path) -> Outcome<()> {
    let mut wasm_tools = Command::new(&toolchain.wasm_tools);
    output(wasm_tools.args(["component", "new"]).arg(module).arg("-o").arg(file)).map(drop)
}

impl Guest {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.package == name
    }
}

fn compile(root: &Path, toolchain: &Toolchain, guests: &[Guest]) -> Outcome<()> {
    let mut cargo = toolchain.cargo(&root.join("plugins"));
    cargo.args(["build", "--release", "--locked", "--target", toolchain::TARGET]);
    for guest in guests {
        cargo.args(["-p", &guest.package]);
    }
    run(&mut cargo)
}

/// What `--check` compares.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Compare {
    /// Hashes of sources and of the committed components.
    Sources,
    /// And the bytes of a fresh build.
    Bytes,
}

/// Fails if a committed component is not what its sources say.
pub(crate) fn check(root: &Path, compare: Compare) -> Outcome<()> {
    let folder = root.join("plugins/dist");
    let dist = Dist::read(&folder)?;
    let guests = guests::all(root)?;
    let mut problems = source_problems(root, &folder, &dist, &guests)?;
    if let Err(problem) = bindings_fit(root) {
        problems.push(problem);
    }
    if compare == Compare::Bytes && problems.is_empty() {
        let fresh = root.join("plugins/target/fresh");
        for built in build(root, &fresh, &[])? {
            problems.extend(byte_problem(&built, &dist.0[&built.name]));
        }
        say(&format!("fresh build in {}", fresh.display()));
        test_natively(root)?;
    }
    if problems.is_empty() {
        say(&format!("{} components are what their sources say", guests.len()));
        return Ok(());
    }
    Err(format!("{}\nhint: run `cargo xtask plugins` and commit plugins/dist", problems.join("\nerror: ")))
}

/// The guests' own tests, against the SDK's fake host. Their workspace is not the server's, whose tests do not run them.
fn test_natively(root: &Path) -> Outcome<()> {
    let mut cargo = toolchain::plain_cargo();
    cargo.args(["test", "--quiet", "--locked", "--workspace"]).current_dir(root.join("plugins"));
    run(cargo.env("CARGO_TARGET_DIR", root.join("plugins/target")))
}

fn source_problems(root: &Path, folder: &Path, dist: &Dist, guests: &[Guest]) -> Outcome<Vec<String>> {
    let mut problems = Vec::new();
    let (wit, lock) = (guests::wit(root)?, guests::lock(root)?);
    for guest in guests {
        let name = &guest.name;
        let Some(record) = dist.0.get(name) else {
            problems.push(format!("{name}: there is no component of it in plugins/dist"));
            continue;
        };
        let committed = digest(&read(&folder.join(format!("{name}.wasm")))?);
        for (what, tree) in [
            ("sha256", (committed, "plugins/dist has another component than its record says")),
            ("sources", (guest.sources(root)?, "its sources changed after it was built")),
            ("wit", (wit.clone(), "wit/v0.1 changed after it was built")),
            ("lock", (lock.clone(), "plugins/Cargo.lock changed after it was built")),
        ] {
            if record[what] != tree.0.as_str() {
                problems.push(format!("{name}: {}", tree.1));
            }
        }
    }
    for name in dist.0.keys().filter(|name| guests.iter().all(|guest| guest.name != **name)) {
        problems.push(format!("{name}: plugins/dist has a component of it, but there is no such crate"));
    }
    Ok(problems)
}

fn byte_problem(built: &Built, recorded: &Value) -> Option<String> {
    if built.record["sha256"] == recorded["sha256"] {
        return None;
    }
    if built.record["toolchain"] != recorded["toolchain"] {
        let (ours, theirs) = (&built.record["toolchain"], &recorded["toolchain"]);
        say(&format!("{}: bytes not compared: built with {theirs}, here is {ours}", built.name));
        return None;
    }
    Some(format!("{}: the same toolchain makes other bytes of these sources", built.name))
}

/// The SDK's bindings name the WIT that they were made from.
fn bindings_fit(root: &Path) -> Outcome<()> {
    let recorded = String::from_utf8_lossy(&read(&root.join(crate::bindings::RECORD))?).trim().to_owned();
    if recorded == guests::wit(root)? {
        return Ok(());
    }
    Err("wit/v0.1 changed after the SDK's bindings were written; run `cargo xtask bindings`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_components_are_what_their_sources_say() {
        check(&crate::root(), Compare::Sources).unwrap();
    }

    #[test]
    fn a_component_that_was_changed_is_found() {
        let root = crate::root();
        let folder = root.join("plugins/dist");
        let mut dist = Dist::read(&folder).unwrap();
        let guests = guests::all(&root).unwrap();
        let (name, record) = dist.0.iter_mut().next().unwrap();
        let name = name.clone();
        record["sha256"] = "0".into();
        record["wit"] = "0".into();
        dist.0.insert("gone".to_owned(), json!({}));
        let problems = source_problems(&root, &folder, &dist, &guests).unwrap();
        assert_eq!(
            problems,
            [
                format!("{name}: plugins/dist has another component than its record says"),
                format!("{name}: wit/v0.1 changed after it was built"),
                "gone: plugins/dist has a component of it, but there is no such crate".to_owned(),
            ]
        );
    }
}
