//! What the operator says about a plugin: where it is, what it may do, with which parameters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use model::Secret;
use ports::SmtpServer;
use serde_json::Value;

/// One entry of the configuration's `plugins:`, or a file that `rule_files` names.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    /// `as`: the name under which it is used, if not the manifest's own.
    pub name: Option<String>,
    /// Where its bytes are.
    pub source: Source,
    /// The digest that they must have, in hexadecimal.
    pub sha256: Option<String>,
    /// What it may do beyond what every plugin of its kind may.
    pub allow: Grants,
    /// Parameters over the manifest's defaults.
    pub params: BTreeMap<String, Value>,
    /// Limits in place of the defaults.
    pub limits: LimitOverrides,
}

impl PluginSpec {
    /// A plugin without grants, with its own defaults.
    pub fn new(source: Source) -> Self {
        PluginSpec {
            name: None,
            source,
            sha256: None,
            allow: Grants::default(),
            params: BTreeMap::new(),
            limits: LimitOverrides::default(),
        }
    }
}

/// Where the bytes of a plugin are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// One that ships inside the binary: `discord`, `discord.wasm`, `host_high_cpu.rhai`.
    Bundled(String),
    /// Bytes that are at hand; `name` is what messages call them.
    Bytes {
        /// What messages call it, with the extension: `rules/disk.rhai`.
        name: String,
        /// The script or component.
        bytes: Bytes,
    },
}

impl Source {
    /// What messages call it: the path, or `bundled:NAME`.
    pub fn label(&self) -> Cow<'_, str> {
        match self {
            Source::File(path) => path.to_string_lossy(),
            Source::Bundled(name) => Cow::Owned(format!("bundled:{name}")),
            Source::Bytes { name, .. } => Cow::Borrowed(name),
        }
    }
}

/// What the operator allows. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// `host`, `host:port`, `*.host`; never a bare `*`. Followed by ` private` if it may resolve to a private address.
    pub hosts: Vec<String>,
    /// Name → where the value comes from.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Paths and globs, for exporters.
    pub files: Vec<String>,
    /// What `/` means for `files`: `/host` in a container.
    pub root: Option<PathBuf>,
    /// SMTP servers by name, for notifiers.
    pub smtp: BTreeMap<String, SmtpServer>,
}

/// Where the value of a secret comes from. Files and variables are read at each call, so that rotation needs no reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file, without the line end.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// Written in the configuration.
    Inline(Secret<String>),
}

/// Limits in place of the defaults of the plugin's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitOverrides {
    /// CPU time of a call, without the host's own work for it.
    pub cpu: Option<Duration>,
    /// Time of a call, all in all.
    pub time: Option<Duration>,
    /// Bytes.
    pub memory: Option<usize>,
    /// Findings of a rule.
    pub findings: Option<usize>,
    /// Points of an exporter.
    pub points: Option<usize>,
}
