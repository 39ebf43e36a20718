//! What this Foghorn has: a configuration that asks for more is told so by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a configuration may name beyond what it brings itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Bundled exporter plugins, as in `plugin: NAME` of a scrape configuration.
    pub exporters: BTreeSet<String>,
    /// Bundled rules: `bundled:NAME` among the rule files.
    pub rules: BTreeSet<String>,
    /// Bundled notifier plugins: `NAME_configs` of a receiver needs `NAME`.
    pub notifiers: BTreeSet<String>,
    /// Kinds of discovery that work: `file` for `file_sd_configs`. `static` always does.
    pub discoveries: BTreeSet<String>,
    /// Optional sections that do something, such as `remote_write`; the others are read, checked and warned about.
    pub sections: BTreeSet<String>,
    /// Names of plugins by file, where they are known already; else a plugin is known by its `as:` or its file's name.
    pub plugin_names: BTreeMap<PathBuf, String>,
    /// Whether every plugin, discovery and section counts as present: for checking files that others will use.
    pub everything: bool,
}

/// Sections that a server may do without.
pub(crate) const OPTIONAL_SECTIONS: [&str; 6] =
    ["remote_write", "remote_read", "otlp", "tracing", "runtime", "event_recorder"];

impl Catalog {
    /// A catalog in which nothing is missing.
    pub fn everything() -> Self {
        Catalog { everything: true, ..Catalog::default() }
    }

    pub(crate) fn has_exporter(&self, name: &str) -> bool {
        self.everything || self.exporters.contains(name)
    }

    pub(crate) fn has_rule(&self, name: &str) -> bool {
        self.everything || self.rules.contains(name)
    }

    pub(crate) fn has_notifier(&self, name: &str) -> bool {
        self.everything || self.notifiers.contains(name)
    }

    pub(crate) fn has_discovery(&self, kind: &str) -> bool {
        self.everything || kind == "static" || self.discoveries.contains(kind)
    }

    pub(crate) fn has_section(&self, name: &str) -> bool {
        self.everything || self.sections.contains(name)
    }
}
