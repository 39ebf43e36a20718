//! What a plugin is for, and what it is written in.

use std::fmt;

/// What a plugin is for. Not declared: it is the function that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Decides what is wrong: `evaluate`.
    Rule,
    /// Gets metrics from a target: `collect`.
    Exporter,
    /// Tells people or machines: `notify`.
    Notifier,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Rule, Kind::Exporter, Kind::Notifier];

    /// `rule`, `exporter`, `notifier`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Rule => "rule",
            Kind::Exporter => "exporter",
            Kind::Notifier => "notifier",
        }
    }

    /// The interfaces of `wit/` that hold its function; a component exports one of them.
    pub(crate) fn interfaces(self) -> &'static [&'static str] {
        match self {
            Kind::Rule => &["rule"],
            Kind::Exporter => &["exporter"],
            Kind::Notifier => &["notifier", "lean-notifier"],
        }
    }

    /// The one function that makes a plugin of this kind: `evaluate`, `collect`, `notify`.
    pub fn function(self) -> &'static str {
        match self {
            Kind::Rule => "evaluate",
            Kind::Exporter => "collect",
            Kind::Notifier => "notify",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a plugin is written in, as far as the host can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// A WebAssembly component.
    Wasm,
    /// A Rhai script.
    Rhai,
}

impl Language {
    /// `wasm`, `rhai`.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Wasm => "wasm",
            Language::Rhai => "rhai",
        }
    }

    /// From the bytes of the file: a component says so in its first four bytes, everything else is a script.
    pub fn of(bytes: &[u8]) -> Language {
        if bytes.starts_with(b"\0asm") { Language::Wasm } else { Language::Rhai }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
