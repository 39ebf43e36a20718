//! The command line: Prometheus' and Alertmanager's flags by their own names, and our verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// One alerting server in place of four: scrapes targets, stores samples, evaluates rules, tells people, and says why.
#[derive(Debug, Parser)]
#[command(name = "foghorn", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Check configuration and rule files; every problem is shown with its place.
    Check(Check),
    /// Receive messages as Discord does, print and keep them: for trying things out.
    Sink(Sink),
    /// Run tests of rules.
    #[command(subcommand)]
    Test(Test),
    /// Check or run a plugin.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Ask a running server.
    #[command(subcommand)]
    Query(super::query::Query),
}

/// Flags of the server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file; may be given several times, the files are merged. Without it `foghorn.yml` or
    /// `prometheus.yml` here, else what is built in.
    #[arg(long = "config.file", value_name = "FILE")]
    pub(crate) config_files: Vec<PathBuf>,
    /// Where data is kept.
    #[arg(long = "storage.tsdb.path", value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
    /// How long samples are kept.
    #[arg(long = "storage.tsdb.retention.time", value_name = "DURATION")]
    pub(crate) retention: Option<String>,
    /// Series that may be in memory at once; further ones are refused.
    #[arg(long = "storage.tsdb.max-series", value_name = "N", default_value_t = 10_000_000)]
    pub(crate) series_max: usize,
    /// Address of the page and both APIs.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    pub(crate) listen: Vec<String>,
    /// Address of the second listener, for tools that expect Alertmanager's API there; `off` for none. A port that is
    /// taken is only a warning unless this is given.
    #[arg(long = "web.alertmanager-listen-address", value_name = "HOST:PORT")]
    pub(crate) alertmanager_listen: Option<String>,
    /// Our address as others see it, for links in messages.
    #[arg(long = "web.external-url", value_name = "URL")]
    pub(crate) external_url: Option<String>,
    /// Path in front of everything that is served.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub(crate) route_prefix: Option<String>,
    /// TLS and passwords of all listeners: a file as Prometheus, Alertmanager and the exporters have it.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub(crate) web_config: Option<String>,
    /// Allow `POST /-/reload` and `/-/quit`.
    #[arg(long = "web.enable-lifecycle")]
    pub(crate) lifecycle: bool,
    /// Take samples that other servers send to `/api/v1/write` by remote write.
    #[arg(long = "web.enable-remote-write-receiver")]
    pub(crate) remote_write: bool,
    /// Which changes need no token on an address that others can reach: `ingest` (alerts from senders) or `all`.
    #[arg(long = "web.open", value_name = "WHAT", value_parser = ["ingest", "all"])]
    pub(crate) open: Option<String>,
    /// Regular expression of the origins whose pages may read API v1.
    #[arg(long = "web.cors.origin", value_name = "REGEX", default_value = ".*")]
    pub(crate) cors_origin: String,
    /// Serve the page's files from this directory.
    #[arg(long = "web.ui-dir", value_name = "DIR", hide = true)]
    pub(crate) ui_dir: Option<PathBuf>,
    /// Scripts in this directory are rules, exporters and notifiers; changes take effect by themselves.
    #[arg(long = "scripts.dir", value_name = "DIR", default_value = "scripts")]
    pub(crate) scripts: PathBuf,
    /// Where compiled components are kept; in the data directory unless given. May be shared by several servers.
    #[arg(long = "plugins.cache-dir", value_name = "DIR")]
    pub(crate) plugin_cache: Option<PathBuf>,
    /// How old the newest sample of a series may be to count.
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m")]
    pub(crate) lookback: String,
    /// Longest time for a query.
    #[arg(long = "query.timeout", value_name = "DURATION", default_value = "2m")]
    pub(crate) query_timeout: String,
    /// Most queries at a time.
    #[arg(long = "query.max-concurrency", value_name = "N", default_value_t = 20)]
    pub(crate) query_concurrency: usize,
    /// Most samples that a query may hold in memory.
    #[arg(long = "query.max-samples", value_name = "N", default_value_t = 50_000_000)]
    pub(crate) query_samples: usize,
    /// After a longer outage pending clocks start anew.
    #[arg(long = "rules.alert.for-outage-tolerance", value_name = "DURATION", default_value = "1h")]
    pub(crate) outage_tolerance: String,
    /// Shortest `for` of alerts that are restored from stored series.
    #[arg(long = "rules.alert.for-grace-period", value_name = "DURATION", default_value = "10m")]
    pub(crate) grace_period: String,
    /// How often a firing alert is sent again.
    #[arg(long = "rules.alert.resend-delay", value_name = "DURATION", default_value = "1m")]
    pub(crate) resend_delay: String,
    /// How long ended silences and the notification log are kept.
    #[arg(long = "data.retention", value_name = "DURATION", default_value = "120h")]
    pub(crate) alert_retention: String,
    /// After a start nobody is told anything for this long, so that senders come back first.
    #[arg(long = "dispatch.start-delay", value_name = "DURATION", default_value = "0s")]
    pub(crate) start_delay: String,
    /// Most silences that are kept, ended ones included; 0 is no bound.
    #[arg(long = "silences.max-silences", value_name = "N", default_value_t = 0)]
    pub(crate) silences_max: usize,
    /// Size of the largest silence, in bytes; 0 is no bound.
    #[arg(long = "silences.max-silence-size-bytes", value_name = "BYTES", default_value_t = 0)]
    pub(crate) silence_bytes_max: usize,
    /// Most firing alerts with the same `alertname`; more are refused and counted. 0 is no bound.
    #[arg(long = "alerts.per-alertname-limit", value_name = "N", default_value_t = 0)]
    pub(crate) alerts_per_name_max: usize,
    /// `promql-experimental-functions`, `promql-extended-range-selectors`, `promql-duration-expr`, `classic-mode`,
    /// `utf8-strict-mode`, …, separated by commas.
    #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// `debug`, `info`, `warn` or `error`.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", value_parser = ["debug", "info", "warn", "error"])]
    pub(crate) log_level: String,
    /// `logfmt` or `json`.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_parser = ["logfmt", "json"])]
    pub(crate) log_format: String,
}

/// Flags of the programs that Foghorn replaces and that mean nothing here: they are taken, with a warning, so that a
/// container's command line goes on working. The second field says whether a value follows.
pub(crate) const IGNORED: &[(&str, bool)] = &[
    // Prometheus.
    ("agent", false),
    ("alertmanager.drain-notification-queue-on-shutdown", false),
    ("alertmanager.notification-batch-size", true),
    ("alertmanager.notification-queue-capacity", true),
    ("alertmanager.timeout", true),
    ("auto-gomaxprocs", false),
    ("auto-gomemlimit", false),
    ("auto-gomemlimit.ratio", true),
    ("config.auto-reload-interval", true),
    ("rules.max-concurrent-evals", true),
    ("scrape.adjust-timestamps", false),
    ("scrape.discovery-reload-interval", true),
    ("scrape.name-escaping-scheme", true),
    ("scrape.timestamp-tolerance", true),
    ("storage.agent.no-lockfile", false),
    ("storage.agent.path", true),
    ("storage.agent.retention.max-time", true),
    ("storage.agent.retention.min-time", true),
    ("storage.agent.wal-compression", false),
    ("storage.agent.wal-compression-type", true),
    ("storage.agent.wal-segment-size", true),
    ("storage.agent.wal-truncate-frequency", true),
    ("storage.remote.flush-deadline", true),
    ("storage.remote.read-concurrent-limit", true),
    ("storage.remote.read-max-bytes-in-frame", true),
    ("storage.remote.read-sample-limit", true),
    ("storage.tsdb.allow-overlapping-blocks", false),
    ("storage.tsdb.block-reload-interval", true),
    ("storage.tsdb.delay-compact-file.path", true),
    ("storage.tsdb.head-chunks-write-queue-size", true),
    ("storage.tsdb.max-block-chunk-segment-size", true),
    ("storage.tsdb.max-block-duration", true),
    ("storage.tsdb.min-block-duration", true),
    ("storage.tsdb.no-lockfile", false),
    ("storage.tsdb.retention.size", true),
    ("storage.tsdb.samples-per-chunk", true),
    ("storage.tsdb.wal-compression", false),
    ("storage.tsdb.wal-compression-type", true),
    ("storage.tsdb.wal-segment-size", true),
    ("web.console.libraries", true),
    ("web.console.templates", true),
    ("web.enable-admin-api", false),
    ("web.enable-otlp-receiver", false),
    ("web.local-assets", true),
    ("web.max-connections", true),
    ("web.max-notifications-subscribers", true),
    ("web.page-title", true),
    ("web.read-timeout", true),
    ("web.remote-write-receiver.accepted-protobuf-messages", true),
    ("web.user-assets", true),
    // Alertmanager.
    ("alerts.gc-interval", true),
    ("cluster.advertise-address", true),
    ("cluster.allow-insecure-public-advertise-address-discovery", false),
    ("cluster.gossip-interval", true),
    ("cluster.label", true),
    ("cluster.listen-address", true),
    ("cluster.name-label", true),
    ("cluster.peer", true),
    ("cluster.peer-name", true),
    ("cluster.peer-timeout", true),
    ("cluster.peers-resolve-timeout", true),
    ("cluster.probe-interval", true),
    ("cluster.probe-timeout", true),
    ("cluster.pushpull-interval", true),
    ("cluster.reconnect-interval", true),
    ("cluster.reconnect-timeout", true),
    ("cluster.settle-timeout", true),
    ("cluster.tcp-timeout", true),
    ("cluster.tls-config", true),
    ("data.maintenance-interval", true),
    ("dispatch.maintenance-interval", true),
    ("log.silences", false),
    ("storage.path", true),
    ("web.get-concurrency", true),
    ("web.timeout", true),
    ("web.ui-path", true),
];

/// Flags that are never passed over: to go on without what they ask for would be worse than not to start. Empty values
/// ask for nothing.
pub(crate) const REFUSED: &[(&str, &str)] = &[(
    "web.systemd-socket",
    "sockets of systemd are not taken over; name an address with --web.listen-address",
)];

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration files (merged), rule files, or files of `--web.config.file`.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// All files are ones of `--web.config.file`; without this flag their keys say so.
    #[arg(long = "web-config")]
    pub(crate) web: bool,
    /// As for the server.
    #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Test {
    /// Run files of rule tests, in promtool's form; rules may be scripts and components, too.
    Rules(TestRules),
}

#[derive(Debug, Args)]
pub(crate) struct TestRules {
    /// Files of rule tests.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only tests whose name matches this regular expression; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) run: Vec<String>,
    /// Write the outcomes into this file, in JUnit's form.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Only warn about keys that nobody knows.
    #[arg(long = "ignore-unknown-fields")]
    pub(crate) ignore_unknown: bool,
    /// As for the server.
    #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Sink {
    /// Where to listen.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9999")]
    pub(crate) listen: String,
    /// Accept this many messages in this time and answer the others with 429, as `5/2s`.
    #[arg(long, value_name = "N/DURATION")]
    pub(crate) limit: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Say what a plugin is, what it asks for, and what is wrong with it.
    Check {
        /// A `.rhai` or `.wasm` file, or `bundled:NAME`.
        file: String,
    },
    /// Call a plugin once, without sending anything.
    Run {
        /// A `.rhai` or `.wasm` file, or `bundled:NAME`.
        file: String,
        /// A server whose data a rule sees.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
        server: String,
        /// What an exporter reads.
        #[arg(long, value_name = "ADDRESS", default_value = "localhost")]
        target: String,
    },
}
