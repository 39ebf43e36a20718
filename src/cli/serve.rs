//! The server's command line, checked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use api::{Assets, CorsOrigin, Open};
use config::MatcherMode;
use model::parse_duration;
use promql::ParseOptions;
use rules::RestoreLimits;
use server::{AlertingLimits, AlertingOptions, Options, QueryLimits};
use tokio::sync::mpsc;

use super::args::{IGNORED, REFUSED, Serve};

/// The configuration files that are looked for when none is named.
const USUAL_FILES: [&str; 2] = ["foghorn.yml", "prometheus.yml"];
/// Where Alertmanager's API is expected.
const ALERTMANAGER_LISTEN: &str = "127.0.0.1:9093";

/// Matchers and label names as before Alertmanager 0.27.
const CLASSIC_MODE: &str = "classic-mode";
/// No fallback to the old matcher syntax.
const UTF8_STRICT_MODE: &str = "utf8-strict-mode";

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// The command line without flags that mean nothing here, and those flags. `--no-NAME` of a flag without a value is its
/// default, and is taken out as well.
pub(crate) fn without_ignored(
    arguments: impl Iterator<Item = OsString>,
) -> Result<(Vec<OsString>, Vec<String>), String> {
    let (mut kept, mut ignored) = (Vec::new(), Vec::new());
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let Some(flag) = text.strip_prefix("--") else {
            kept.push(argument);
            continue;
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let following = || arguments.peek().map(|next| next.to_string_lossy().into_owned());
            if inline.map(str::to_owned).or_else(following).is_some_and(|value| !value.is_empty()) {
                return Err(format!("--{name}: {why}"));
            }
        }
        let find = |name: &str| IGNORED.iter().find(|(ignored, _)| *ignored == name);
        if let Some((name, takes_value)) = find(name) {
            let value_follows = *takes_value && inline.is_none();
            if value_follows && arguments.peek().is_some_and(|next| !next.to_string_lossy().starts_with("--"))
            {
                arguments.next();
            }
            ignored.push((*name).to_owned());
        } else if let Some(positive) = name.strip_prefix("no-")
            && (SWITCHES.contains(&positive) || find(positive).is_some_and(|(_, takes_value)| !takes_value))
        {
            ignored.push(name.to_owned());
        } else if !(REFUSED.iter().any(|(refused, _)| *refused == name)) {
            kept.push(argument);
        }
    }
    Ok((kept, ignored))
}

/// Our flags without a value; off unless given.
const SWITCHES: [&str; 2] = ["web.enable-lifecycle", "web.enable-remote-write-receiver"];

/// Runs the server until it is told to stop.
pub(crate) async fn run(args: Serve, ignored: &[String]) -> anyhow::Result<()> {
    start_logging(&args);
    for name in ignored {
        tracing::warn!("--{name} means nothing here and is ignored.");
    }
    let options = options(&args)?;
    let (reload_tx, reload) = mpsc::channel(1);
    let signals = tokio::spawn(forward_reloads(reload_tx));
    let outcome = server::run(options, stop_signal(), reload).await;
    signals.abort();
    outcome.map_err(|error| anyhow!(error))
}

fn start_logging(args: &Serve) {
    use tracing_subscriber::EnvFilter;
    // Libraries speak only when something is wrong.
    let filter = format!("warn,{0}", ROOMS.map(|room| format!("{room}={}", args.log_level)).join(","));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(true);
    if args.log_format == "json" { builder.json().init() } else { builder.init() }
}

const ROOMS: [&str; 9] =
    ["foghorn", "server", "scrape", "notify", "plugin", "api", "tsdb", "journal", "rules"];

fn duration(flag: &str, text: &str) -> anyhow::Result<Duration> {
    parse_duration(text).with_context(|| format!("--{flag}"))
}

fn options(args: &Serve) -> anyhow::Result<Options> {
    let alertmanager_listen = match args.alertmanager_listen.as_deref() {
        Some("off" | "") => None,
        Some(address) => Some(address.to_owned()),
        None => Some(ALERTMANAGER_LISTEN.to_owned()),
    };
    Ok(Options {
        config_files: config_files(args),
        data: args.data.clone(),
        retention: args
            .retention
            .as_deref()
            .map(|text| duration("storage.tsdb.retention.time", text))
            .transpose()?,
        series_max: args.series_max,
        listen: args.listen.clone(),
        alertmanager_listen,
        alertmanager_required: args.alertmanager_listen.is_some(),
        external_url: args.external_url.clone(),
        route_prefix: route_prefix(args),
        web_config: args.web_config.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from),
        lifecycle: args.lifecycle,
        remote_write: args.remote_write,
        open: match args.open.as_deref() {
            Some("all") => Open::All,
            Some("ingest") => Open::Ingest,
            _ => Open::Nothing,
        },
        cors: CorsOrigin::new(&args.cors_origin).context("--web.cors.origin")?,
        assets: match &args.ui_dir {
            Some(directory) => Assets::from_directory(directory.clone()),
            None => Assets::from_packed(PAGE_FILES.iter().copied()),
        },
        scripts: args.scripts.clone(),
        plugin_cache: args.plugin_cache.clone().unwrap_or_else(|| args.data.join("cache/plugins")),
        query: QueryLimits {
            lookback: duration("query.lookback-delta", &args.lookback)?,
            samples_max: args.query_samples,
            timeout: duration("query.timeout", &args.query_timeout)?,
            concurrency: args.query_concurrency,
            delayed_name_removal: args.features.iter().any(|name| name == "promql-delayed-name-removal"),
        },
        per_step_stats: args.features.iter().any(|name| name == "promql-per-step-stats"),
        promql: parse_options(&args.features),
        matcher_mode: matcher_mode(&args.features)?,
        restore: RestoreLimits {
            outage_tolerance: duration("rules.alert.for-outage-tolerance", &args.outage_tolerance)?,
            grace_period: duration("rules.alert.for-grace-period", &args.grace_period)?,
        },
        resend_delay: duration("rules.alert.resend-delay", &args.resend_delay)?,
        alerting: AlertingOptions {
            retention: duration("data.retention", &args.alert_retention)?,
            start_delay: duration("dispatch.start-delay", &args.start_delay)?,
            limits: AlertingLimits {
                silences_max: bound(args.silences_max),
                silence_bytes_max: bound(args.silence_bytes_max),
                alerts_per_name_max: bound(args.alerts_per_name_max),
            },
        },
        flags: flags(args),
    })
}

/// Zero is no bound.
fn bound(most: usize) -> Option<usize> {
    (most > 0).then_some(most)
}

fn config_files(args: &Serve) -> Vec<PathBuf> {
    if !args.config_files.is_empty() {
        return args.config_files.clone();
    }
    match USUAL_FILES.iter().map(Path::new).find(|path| path.exists()) {
        Some(path) => vec![path.to_owned()],
        None => vec![server::built_in_config()],
    }
}

/// `/path`, from the flag or else from the external address; `None` at the root.
fn route_prefix(args: &Serve) -> Option<String> {
    let path = match (&args.route_prefix, &args.external_url) {
        (Some(prefix), _) => prefix.clone(),
        (None, Some(url)) => url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map(|(_, path)| path.to_owned())?,
        (None, None) => return None,
    };
    let path = path.trim_matches('/');
    (!path.is_empty()).then(|| format!("/{path}"))
}

pub(crate) fn parse_options(features: &[String]) -> ParseOptions {
    let mut options = ParseOptions::default();
    for feature in features {
        match feature.as_str() {
            "promql-experimental-functions" => options.experimental_functions = true,
            "promql-duration-expr" => options.duration_expressions = true,
            "promql-extended-range-selectors" => options.extended_selectors = true,
            "promql-binop-fill-modifiers" => options.fill_modifiers = true,
            // Read where they take effect.
            "promql-delayed-name-removal" | "promql-per-step-stats" | CLASSIC_MODE | UTF8_STRICT_MODE => {}
            other => tracing::warn!("--enable-feature={other} means nothing here and is ignored."),
        }
    }
    options
}

/// Which matchers and label names Alertmanager's part takes.
pub(crate) fn matcher_mode(features: &[String]) -> anyhow::Result<MatcherMode> {
    let has = |name: &str| features.iter().any(|feature| feature == name);
    match (has(CLASSIC_MODE), has(UTF8_STRICT_MODE)) {
        (true, true) => Err(anyhow!(
            "--enable-feature={CLASSIC_MODE} and {UTF8_STRICT_MODE} exclude each other; name one of them"
        )),
        (true, false) => Ok(MatcherMode::Classic),
        (false, true) => Ok(MatcherMode::Utf8),
        (false, false) => Ok(MatcherMode::default()),
    }
}

/// The command line as `/api/v1/status/flags` shows it.
fn flags(args: &Serve) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let files: Vec<String> = args.config_files.iter().map(|path| text(path)).collect();
    let pairs = [
        ("config.file", files.join(",")),
        ("storage.tsdb.path", text(&args.data)),
        ("storage.tsdb.retention.time", args.retention.clone().unwrap_or_default()),
        ("web.listen-address", args.listen.join(",")),
        ("web.external-url", args.external_url.clone().unwrap_or_default()),
        ("web.route-prefix", args.route_prefix.clone().unwrap_or_else(|| "/".to_owned())),
        ("web.config.file", args.web_config.clone().unwrap_or_default()),
        ("web.enable-lifecycle", args.lifecycle.to_string()),
        ("web.cors.origin", args.cors_origin.clone()),
        ("web.enable-remote-write-receiver", args.remote_write.to_string()),
        ("scripts.dir", text(&args.scripts)),
        ("query.lookback-delta", args.lookback.clone()),
        ("query.timeout", args.query_timeout.clone()),
        ("query.max-concurrency", args.query_concurrency.to_string()),
        ("query.max-samples", args.query_samples.to_string()),
        ("rules.alert.for-outage-tolerance", args.outage_tolerance.clone()),
        ("rules.alert.for-grace-period", args.grace_period.clone()),
        ("rules.alert.resend-delay", args.resend_delay.clone()),
        ("data.retention", args.alert_retention.clone()),
        ("dispatch.start-delay", args.start_delay.clone()),
        ("silences.max-silences", args.silences_max.to_string()),
        ("silences.max-silence-size-bytes", args.silence_bytes_max.to_string()),
        ("alerts.per-alertname-limit", args.alerts_per_name_max.to_string()),
        ("storage.tsdb.max-series", args.series_max.to_string()),
        ("web.alertmanager-listen-address", args.alertmanager_listen.clone().unwrap_or_default()),
        ("web.open", args.open.clone().unwrap_or_default()),
        ("plugins.cache-dir", args.plugin_cache.as_deref().map(text).unwrap_or_default()),
        ("enable-feature", args.features.join(",")),
        ("log.level", args.log_level.clone()),
        ("log.format", args.log_format.clone()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without a handler the process can still be ended the hard way.
    let _ = tokio::signal::ctrl_c().await;
}

/// SIGHUP reads the configuration again.
async fn forward_reloads(reload: mpsc::Sender<()>) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        while hangup.recv().await.is_some() {
            if reload.send(()).await.is_err() {
                return;
            }
        }
    }
    #[cfg(not(unix))]
    drop(reload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_other_programs_are_taken_out_with_their_values() {
        let line = "foghorn --config.file=a.yml --web.console.libraries /x --web.enable-admin-api --cluster.listen-address= --log.level=warn";
        let (kept, ignored) = without_ignored(line.split(' ').map(OsString::from)).unwrap();
        assert_eq!(kept, ["foghorn", "--config.file=a.yml", "--log.level=warn"]);
        assert_eq!(ignored, ["web.console.libraries", "web.enable-admin-api", "cluster.listen-address"]);
    }

    #[test]
    fn what_containers_of_other_programs_say_is_taken() {
        let lines = [
            "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus --storage.tsdb.retention.time=15d \
             --storage.tsdb.retention.size=10GB --web.console.libraries=/l --web.console.templates=/t --web.route-prefix=/ \
             --web.enable-lifecycle --no-storage.tsdb.wal-compression --no-auto-gomaxprocs --storage.tsdb.min-block-duration=2h \
             --storage.tsdb.max-block-duration=2h --rules.max-concurrent-evals=8 --web.config.file= --query.timeout=1m",
            "--config.file=/etc/alertmanager.yml --storage.path=/alertmanager --data.retention=120h --no-web.enable-lifecycle \
             --cluster.listen-address=0.0.0.0:9094 --cluster.peer=b:9094 --cluster.peer-timeout=15s --web.get-concurrency=0 \
             --silences.max-silences=100 --silences.max-silence-size-bytes 2000 --alerts.per-alertname-limit=5 \
             --dispatch.start-delay=5s --alerts.gc-interval=30m --log.silences --web.external-url=http://am.example/x",
        ];
        for line in lines {
            let words = std::iter::once("foghorn").chain(line.split_whitespace()).map(OsString::from);
            let (kept, _) = without_ignored(words).unwrap();
            let cli = <crate::Cli as clap::Parser>::try_parse_from(kept).unwrap_or_else(|e| panic!("{e}"));
            options(&cli.serve).unwrap_or_else(|e| panic!("{e:#}"));
        }
    }

    #[test]
    fn what_would_be_missed_is_not_passed_over() {
        for line in ["foghorn --web.systemd-socket=true", "foghorn --web.systemd-socket true"] {
            let refused = without_ignored(line.split(' ').map(OsString::from)).unwrap_err();
            assert!(refused.starts_with("--web.systemd-socket: sockets of systemd"), "{refused}");
        }
    }

    #[test]
    fn modes_of_matchers() {
        let mode = |features: &str| {
            let features: Vec<String> = features.split(',').map(str::to_owned).collect();
            matcher_mode(&features).map_err(|error| error.to_string())
        };
        assert_eq!(mode(""), Ok(MatcherMode::Fallback));
        assert_eq!(mode("promql-experimental-functions,classic-mode"), Ok(MatcherMode::Classic));
        assert_eq!(mode("utf8-strict-mode"), Ok(MatcherMode::Utf8));
        assert!(
            mode("classic-mode,utf8-strict-mode").is_err_and(|error| error.contains("exclude each other"))
        );
    }
}
