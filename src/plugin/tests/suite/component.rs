//! Components of core modules as text, encoded against `wit/` when the test runs.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use plugin::{PluginSpec, Source};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The component of `tests/fixtures/plugins/NAME.wat`, a core module with the exports of `world`.
pub(crate) fn fixture(name: &str, world: &str) -> Bytes {
    let path = root().join("tests/fixtures/plugins").join(name).with_extension("wat");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    encode(&text, world)
}

/// The component of a core module as text.
pub(crate) fn encode(text: &str, world: &str) -> Bytes {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root().join("wit/v0.1")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap().into()
}

/// A component under a file name.
pub(crate) fn component(name: &str, bytes: Bytes) -> PluginSpec {
    PluginSpec::new(Source::Bytes { name: format!("{name}.wasm"), bytes })
}

/// A rule whose `evaluate` has this body; `$fail` answers with an error that has the text at (8, 4).
pub(crate) fn rule(name: &str, body: &str) -> PluginSpec {
    component(name, encode(&rule_text(name, body), "rule-plugin"))
}

/// The core module of such a rule.
pub(crate) fn rule_text(name: &str, body: &str) -> String {
    let manifest = format!("{{\\22name\\22:\\22{name}\\22}}");
    let length = name.len() + 11;
    format!(
        r#"(module
  (memory (export "memory") 1)
  (data (i32.const 8) "oops")
  (data (i32.const 64) "{manifest}")
  (func (export "foghorn:plugin/manifest@0.1.0#describe") (result i32)
    (i32.store (i32.const 32) (i32.const 64))
    (i32.store (i32.const 36) (i32.const {length}))
    (i32.const 32))
  (func (export "foghorn:plugin/rule@0.1.0#evaluate") (param i64) (result i32)
    {body})
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))"#
    )
}
