//! The SDK's bindings: generated text, committed, so that a guest builds in seconds and without the generator.

use std::path::Path;
use std::process::Command;

use crate::guests;
use crate::shell::{self, Outcome, create_folder, output, read, run, say};
use crate::toolchain;

/// Beside the bindings: the hash of the WIT that they were made from.
pub(crate) const RECORD: &str = "plugins/sdk-rust/src/bindings/wit.sha256";

const GENERATOR: &str = "0.61.1";
const COMMON: [&str; 6] = ["types", "log", "clock", "config", "state", "metrics"];

/// The worlds and what they import beyond [`COMMON`].
const WORLDS: [(&str, &[&str]); 4] = [
    ("rule-plugin", &["query"]),
    ("exporter-plugin", &["secrets", "http", "files"]),
    ("notifier-plugin", &["secrets", "http", "mail", "notification"]),
    ("lean-notifier-plugin", &["secrets", "http", "mail", "notification"]),
];

/// Writes the bindings anew.
///
/// The imports of all kinds are generated once, from a world that is made up here, and the real worlds use them;
/// so the SDK can wrap each import once, and a component still imports only what it calls.
pub(crate) fn write(root: &Path) -> Outcome<()> {
    let cache = toolchain::cache();
    let generator = cache.join(format!("wit-bindgen-{GENERATOR}"));
    let program = generator.join("bin/wit-bindgen");
    if !program.exists() {
        say("building wit-bindgen (once, some minutes)");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "wit-bindgen-cli", "--locked", "--no-default-features", "--features", "rust"]);
        cargo
            .args(["--version", GENERATOR, "--root"])
            .arg(&generator)
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        run(cargo.env_remove("CARGO_TARGET_DIR"))?;
    }
    let wit = cache.join("wit");
    create_folder(&wit)?;
    for path in shell::entries(&root.join("wit/v0.1"))? {
        write_copy(&path, &wit)?;
    }
    let imports: String = COMMON[1..]
        .iter()
        .chain(WORLDS.iter().flat_map(|(_, own)| *own))
        .collect::<std::collections::BTreeSet<_>>()
        .iter()
        .map(|name| format!("import {name}; "))
        .collect();
    shell::write(
        &wit.join("kit.wit"),
        format!("package foghorn:plugin@0.1.0;\nworld kit {{ {imports}}}\n").as_bytes(),
    )?;
    let generate = |world: &str, extra: &[String]| {
        let out = root.join("plugins/sdk-rust/src/bindings");
        let mut command = Command::new(&program);
        command.arg("rust").arg(&wit).args(["--world", world, "--format", "--out-dir"]).arg(out);
        output(command.args(extra))
    };
    generate("kit", &["--generate-all".to_owned()])?;
    for (world, own) in WORLDS {
        let used = COMMON.iter().chain(own).map(|name| {
            format!("--with=foghorn:plugin/{name}@0.1.0=crate::bindings::kit::foghorn::plugin::{name}")
        });
        let options: Vec<String> = used.chain(["--pub-export-macro".to_owned()]).collect();
        generate(world, &options)?;
        keep_macros_apart(root, world)?;
    }
    shell::write(&root.join(RECORD), format!("{}\n", guests::wit(root)?).as_bytes())
}

fn write_copy(path: &Path, folder: &Path) -> Outcome<()> {
    let name = path.file_name().unwrap_or_default();
    shell::write(&folder.join(name), &read(path)?)
}

/// Exported macros stand at the root of the crate, and all worlds export `manifest`.
fn keep_macros_apart(root: &Path, world: &str) -> Outcome<()> {
    let path = root.join("plugins/sdk-rust/src/bindings").join(world.replace('-', "_")).with_extension("rs");
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let kind = world.trim_end_matches("-plugin").replace('-', "_");
    let text = text.replace(
        "__export_foghorn_plugin_manifest_0_1_0_cabi",
        &format!("__export_{kind}_manifest_0_1_0_cabi"),
    );
    shell::write(&path, text.as_bytes())
}
