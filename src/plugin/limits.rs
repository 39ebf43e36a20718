//! What a call may use.

use std::time::Duration;

use crate::{Kind, Language, LimitOverrides};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The most memory that an operator may let a script have: a value nests as deep as its memory allows, and taking it
/// apart needs stack.
pub(crate) const SCRIPT_MEMORY_MAX: usize = 64 * MIB;
/// The most memory that an operator may let a component have: what the pool reserves for each.
pub(crate) const COMPONENT_MEMORY_MAX: usize = 1024 * MIB;
/// The most memory that a call gets by what it is handed.
const GROWN_MEMORY_MAX: usize = 512 * MIB;
/// A call that is handed no more than this has its usual limits.
const USUAL_BYTES: usize = 64 * KIB;
/// Bytes of a plugin file.
pub(crate) const FILE_BYTES: usize = 16 * MIB;
/// How long compiling a component may take.
pub(crate) const COMPILE_TIME: Duration = Duration::from_secs(60);
/// Bytes of one log line.
pub(crate) const LOG_LINE_BYTES: usize = 4 * KIB;
/// Log lines of one call.
pub(crate) const LOG_LINES: u32 = 100;
/// Log lines of one plugin in a second.
pub(crate) const LOG_LINES_A_SECOND: f64 = 10.0;
/// Series of a plugin's own metrics.
pub(crate) const OWN_SERIES: usize = 100;
/// Bytes of a plugin's state.
pub(crate) const STATE_BYTES: usize = MIB;
/// Bytes of one value of a plugin's state.
pub(crate) const STATE_VALUE_BYTES: usize = 64 * KIB;
/// Bytes of one key of a plugin's state.
pub(crate) const STATE_KEY_BYTES: usize = 256;
/// Keys of a plugin's state.
pub(crate) const STATE_KEYS: usize = 1000;
/// Bytes of one file that an exporter reads.
pub(crate) const READ_FILE_BYTES: usize = 4 * MIB;
/// Bytes of all files that one call reads.
pub(crate) const READ_CALL_BYTES: usize = 32 * MIB;
/// Files and directories that one call touches.
pub(crate) const READ_CALLS: u32 = 20_000;
/// Mails of one call.
pub(crate) const MAILS: u32 = 10;

/// What one call of a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time, without the host's own work.
    pub cpu: Duration,
    /// Time, all in all.
    pub time: Duration,
    /// Bytes of memory.
    pub memory: usize,
    /// PromQL queries.
    pub queries: u32,
    /// Samples of all their answers.
    pub samples: usize,
    /// HTTP requests.
    pub requests: u32,
    /// Bytes of a request's body.
    pub request_bytes: usize,
    /// Bytes of an answer's body.
    pub response_bytes: usize,
    /// Findings.
    pub findings: usize,
    /// Points.
    pub points: usize,
}

impl Limits {
    /// The defaults.
    pub fn of(kind: Kind, language: Language) -> Limits {
        let memory = match (language, kind) {
            (Language::Rhai, _) => 16 * MIB,
            (Language::Wasm, Kind::Exporter) => 64 * MIB,
            (Language::Wasm, _) => 32 * MIB,
        };
        let (time, requests, request_bytes, response_bytes) = match kind {
            Kind::Rule => (30, 0, 0, 0),
            Kind::Exporter => (10, 20, 256 * KIB, 8 * MIB),
            // Each attempt brings a time of its own; this only bounds it.
            Kind::Notifier => (600, 10, MIB, 256 * KIB),
        };
        Limits {
            cpu: Duration::from_millis(250),
            time: Duration::from_secs(time),
            memory,
            queries: if kind == Kind::Rule { 100 } else { 0 },
            samples: 1_000_000,
            requests,
            request_bytes,
            response_bytes,
            findings: 1000,
            points: 50_000,
        }
    }

    /// For a call that is handed `bytes`: a message about ten thousand alerts needs more than one about a few, and a group
    /// that cannot be told is worse than a call that costs more. What is handed over once is held several times: as it
    /// came, taken apart, and as a body.
    #[must_use]
    pub(crate) fn handed(mut self, bytes: usize) -> Limits {
        let more = bytes.saturating_sub(USUAL_BYTES);
        self.memory =
            self.memory.saturating_add(more.saturating_mul(16)).min(self.memory.max(GROWN_MEMORY_MAX));
        // A second for each four MiB.
        self.cpu += Duration::from_micros(u64::try_from(more / 4).unwrap_or(u64::MAX));
        self.request_bytes = self.request_bytes.saturating_add(more.saturating_mul(4));
        self
    }

    /// The most memory that a plugin may be given.
    pub(crate) fn memory_max(language: Language) -> usize {
        match language {
            Language::Rhai => SCRIPT_MEMORY_MAX,
            Language::Wasm => COMPONENT_MEMORY_MAX,
        }
    }

    /// With the manifest's limits where they are lower, and then the operator's, whatever they are.
    pub fn with(mut self, manifest: &LimitOverrides, operator: &LimitOverrides) -> Limits {
        fn pick<T: Ord + Copy>(default: T, manifest: Option<T>, operator: Option<T>) -> T {
            operator.unwrap_or_else(|| manifest.map_or(default, |own| own.min(default)))
        }
        self.cpu = pick(self.cpu, manifest.cpu, operator.cpu);
        self.time = pick(self.time, manifest.time, operator.time);
        self.memory = pick(self.memory, manifest.memory, operator.memory);
        self.findings = pick(self.findings, manifest.findings, operator.findings);
        self.points = pick(self.points, manifest.points, operator.points);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_what_is_handed_over() {
        let usual = Limits::of(Kind::Notifier, Language::Wasm);
        assert_eq!(usual.handed(60 * KIB), usual);
        let large = usual.handed(4 * MIB + USUAL_BYTES);
        assert_eq!((large.memory, large.request_bytes), (96 * MIB, 17 * MIB));
        assert!((1.2..1.4).contains(&large.cpu.as_secs_f64()), "{large:?}");
        assert_eq!(usual.handed(1024 * MIB).memory, GROWN_MEMORY_MAX);
        // What the operator gave is never taken away.
        let roomy = Limits { memory: COMPONENT_MEMORY_MAX, ..usual };
        assert_eq!(roomy.handed(1024 * MIB).memory, COMPONENT_MEMORY_MAX);
    }

    #[test]
    fn a_manifest_only_lowers() {
        let defaults = Limits::of(Kind::Rule, Language::Rhai);
        let high = LimitOverrides { cpu: Some(Duration::from_secs(9)), ..LimitOverrides::default() };
        let low = LimitOverrides { cpu: Some(Duration::from_millis(9)), ..LimitOverrides::default() };
        let none = LimitOverrides::default();
        assert_eq!(defaults.with(&high, &none).cpu, defaults.cpu);
        assert_eq!(defaults.with(&low, &none).cpu, Duration::from_millis(9));
        assert_eq!(defaults.with(&low, &high).cpu, Duration::from_secs(9));
    }
}
