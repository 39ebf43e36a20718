//! What ships inside the binary: `plugins/dist/*.wasm` and `scripts/*.rhai`, under `bundled:` names.

use crate::{Kind, Language};

/// One plugin that ships with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundled {
    /// The name with its extension: `discord.wasm`.
    pub file: &'static str,
    /// The script or component.
    pub bytes: &'static [u8],
}

impl Bundled {
    /// The name without its extension: `discord`.
    pub fn name(&self) -> &'static str {
        self.file.rsplit_once('.').map_or(self.file, |(name, _)| name)
    }

    /// What it is written in.
    pub fn language(&self) -> Language {
        Language::of(self.bytes)
    }

    /// What it is for, without loading it: a component's exports and a script's functions have names of their own.
    pub fn kind(&self) -> Option<Kind> {
        let contains = |text: &str| memchr::memmem::find(self.bytes, text.as_bytes()).is_some();
        Kind::ALL.into_iter().find(|kind| match self.language() {
            Language::Wasm => {
                kind.interfaces().iter().any(|interface| contains(&format!("foghorn:plugin/{interface}@")))
            }
            Language::Rhai => contains(&format!("\nfn {}(", kind.function())),
        })
    }
}

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// Everything that ships with us, components before scripts, by name.
pub fn all() -> &'static [Bundled] {
    BUNDLED
}

/// The plugin of this name. Without an extension a component is preferred to a script.
pub fn find(name: &str) -> Option<&'static Bundled> {
    BUNDLED.iter().find(|b| b.file == name).or_else(|| BUNDLED.iter().find(|b| b.name() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_by_name() {
        assert_eq!(find("host_high_cpu").unwrap().kind(), Some(Kind::Rule));
        assert_eq!(find("json_api_exporter.rhai").unwrap().kind(), Some(Kind::Exporter));
        assert_eq!(find("webhook").unwrap().kind(), Some(Kind::Notifier), "a lean one");
        assert_eq!(find("discord.rhai").unwrap().kind(), Some(Kind::Notifier));
        assert!(find("none").is_none());
    }
}
