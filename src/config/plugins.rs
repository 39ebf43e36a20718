//! `plugins`: what is loaded beside what is bundled, and what each may do.

use std::path::PathBuf;
use std::time::Duration;

use model::Secret;

use crate::{Place, Setting};

/// One plugin: where it is, what it may reach, its parameters and limits. Everything is denied that is not here.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    /// What is loaded.
    pub file: PluginFile,
    /// A name other than the plugin's own, so that one can be used twice.
    pub name: Option<String>,
    /// The digest that the file must have, in lower-case hex.
    pub sha256: Option<String>,
    /// What it may do.
    pub allow: Grants,
    /// Parameters by name.
    pub params: Vec<(String, Setting)>,
    /// Limits other than the defaults.
    pub limits: PluginLimits,
    /// Instances are used this often before a fresh one; 1 is a fresh one for each call.
    pub reuse: Option<u32>,
    /// Where it stands.
    pub place: Place,
}

/// Where a plugin is loaded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginFile {
    /// A file, resolved from the directory of the configuration.
    Path(PathBuf),
    /// One that is part of the binary: `bundled:discord`.
    Bundled(String),
    /// `oci://` or `https://`; has a digest.
    Remote(String),
}

/// What a plugin may reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    /// `host`, `host:port` or `*.host`; followed by ` private` if it may resolve to a private address.
    pub hosts: Vec<String>,
    /// Secrets by name.
    pub secrets: Vec<(String, SecretSource)>,
    /// Paths and patterns that may be read.
    pub files: Vec<String>,
    /// What stands in front of granted paths, such as `/host` in a container.
    pub root: Option<PathBuf>,
    /// Mail servers by name, `host:port`.
    pub smtp: Vec<(String, String)>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read each time it is needed.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The configuration itself.
    Inline(Secret<String>),
}

/// Limits of a plugin; `None` is the default of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginLimits {
    /// Time of its own for one call.
    pub cpu: Option<Duration>,
    /// Time in all for one call.
    pub wall: Option<Duration>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of state.
    pub state_bytes: Option<u64>,
    /// Findings or points that one call returns.
    pub results: Option<u64>,
    /// HTTP requests of one call.
    pub http_calls: Option<u32>,
    /// Calls at the same time.
    pub concurrency: Option<u32>,
}
