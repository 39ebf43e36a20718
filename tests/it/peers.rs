//! Programs that other people wrote, unmodified: promtool, node_exporter, stress-ng.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Foghorn, Process, Sink, Target, eventually, eventually_within, get};

/// Where `tests/get-peers` puts programs.
pub(crate) fn peers() -> PathBuf {
    std::env::var_os("FOGHORN_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"), PathBuf::from)
}

/// A program from `tests/get-peers` or the machine; says so if it is missing.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let places = [peers().join("usr/bin").join(name), Path::new("/usr/bin").join(name)];
    let found = places.into_iter().find(|place| place.exists());
    if found.is_none() {
        println!("skipped: `{name}` is not here; tests/get-peers brings it");
    }
    found
}

/// One from Debian's testing suite.
pub(crate) fn newer(name: &str) -> Option<PathBuf> {
    let found = Some(peers().join("testing/usr/bin").join(name)).filter(|place| place.exists());
    if found.is_none() {
        println!("skipped: `{name}` of Debian's testing suite is not here; tests/get-peers brings it");
    }
    found
}

/// What a program printed; what it complained about follows if it failed.
pub(crate) fn run(program: &Path, args: &[&str]) -> (String, bool) {
    let output = Command::new(program).args(args).output().expect("the program starts");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    println!("$ {} {}\n{text}", program.file_name().unwrap_or_default().to_string_lossy(), args.join(" "));
    (text, output.status.success())
}

fn start(target: &Target, sink: &Sink) -> Foghorn {
    let config = format!(
        r#"
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}
scrape_configs:
  - job_name: model
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
rule_files: [rules.yml]
route: {{ receiver: discord, group_wait: 0s }}
receivers:
  - name: discord
    discord_configs: [{{ webhook_url_file: webhook }}]
"#,
        target.port
    );
    let rules = "groups: [{ name: lab, rules: [{ alert: ModelResultHigh, expr: model_result > 0.75, annotations: { summary: high } }] }]\n";
    Foghorn::start(&[("foghorn.yml", &config), ("rules.yml", rules), ("webhook", &sink.url())])
}

#[test]
fn promtool_works_as_against_prometheus() {
    // Debian's, and that of today: the older one knows no `check healthy`.
    let promtools: Vec<PathBuf> = program("promtool").into_iter().chain(newer("promtool")).collect();
    if promtools.is_empty() {
        return;
    }
    let (target, sink) = (Target::start("model_result 0.9\n"), Sink::start());
    let foghorn = start(&target, &sink);
    eventually("a sample", || foghorn.value("model_result"));
    for promtool in promtools {
        promtool_works(&promtool, &foghorn);
    }
}

fn promtool_works(promtool: &Path, foghorn: &Foghorn) {
    println!("{}:", promtool.display());
    let url = format!("http://127.0.0.1:{}", foghorn.port);
    let (text, ok) = run(promtool, &["query", "instant", &url, "model_result > 0.75"]);
    assert!(ok && text.contains("model_result") && text.contains("0.9"), "{text}");
    let (text, ok) = run(promtool, &["query", "range", &url, "up"]);
    assert!(ok && text.contains("up{"), "{text}");
    let (text, ok) = run(promtool, &["query", "series", "--match=up", &url]);
    assert!(ok && text.contains("job=\"model\""), "{text}");
    let (text, ok) = run(promtool, &["query", "labels", &url, "job"]);
    assert!(ok && text.contains("model"), "{text}");
    for check in ["healthy", "ready"] {
        let (text, ok) = run(promtool, &["check", check, &format!("--url={url}")]);
        if text.contains("expected command but got") {
            println!("skipped: this promtool is too old for `check {check}`");
            assert_eq!(get(foghorn.port, &format!("/-/{check}")).status, 200);
            continue;
        }
        assert!(ok, "{text}");
    }
    let (text, ok) = run(promtool, &["query", "instant", &url, "sum("]);
    assert!(!ok && text.contains("parse error"), "{text}");
}

/// `name{label names and values}` of each series, without what differs from moment to moment.
fn series(page: &str, wanted: &[&str]) -> BTreeSet<String> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series.to_owned()))
        .filter(|series| wanted.iter().any(|prefix| series.starts_with(prefix)))
        .collect()
}

#[test]
fn the_host_plugin_gives_the_series_of_node_exporter() {
    let Some(node_exporter) = program("prometheus-node-exporter") else { return };
    let mut process = Process::start(Command::new(node_exporter).args([
        "--web.listen-address=127.0.0.1:0",
        "--collector.disable-defaults",
        "--collector.cpu",
        "--collector.meminfo",
        "--collector.loadavg",
        "--collector.diskstats",
        "--collector.netdev",
        "--collector.stat",
        "--collector.uname",
        "--collector.time",
        "--collector.vmstat",
        "--collector.filefd",
        "--web.disable-exporter-metrics",
    ]));
    let address = process.after("Listening on\" address=");
    let port: u16 =
        address.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or_else(|| panic!("{address}"));
    let config = format!(
        r#"
global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}
scrape_configs:
  - job_name: node
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
  - job_name: host
    plugin: host
    static_configs: [{{ targets: [localhost] }}]
"#
    );
    let foghorn = Foghorn::start(&[("foghorn.yml", &config)]);
    eventually("both", || foghorn.value("sum(up)").filter(|up| *up == 2.0));
    // Both are also looked at directly: what the page says is what a real Prometheus would scrape from us.
    let wanted = [
        "node_cpu_seconds_total",
        "node_cpu_guest_seconds_total",
        "node_memory_",
        "node_load",
        "node_disk_",
        "node_network_",
        "node_boot_time_seconds",
        "node_context_switches_total",
        "node_intr_total",
        "node_forks_total",
        "node_procs_",
        "node_uname_info",
        "node_time_seconds",
        "node_vmstat_",
        "node_filefd_",
    ];
    let theirs = series(&get(port, "/metrics").body, &wanted);
    let ours = series(&get(foghorn.port, "/plugins/host/metrics").body, &wanted);
    assert!(theirs.len() > 100, "node_exporter shows only {} series", theirs.len());
    // Debian's release is of 2022; ours follows 1.12, which leaves out compressed memory and says more about disks and
    // interfaces.
    let changed = |series: &&String| {
        series.contains("device=\"zram")
            || series.starts_with("node_disk_info{")
            || series.starts_with("node_network_info{")
    };
    let missing: Vec<&String> = theirs.difference(&ours).filter(|series| !changed(series)).collect();
    assert!(missing.is_empty(), "node_exporter has series that we do not: {missing:#?}");
    println!("{} series of node_exporter, all of them ours too; we show {}", theirs.len(), ours.len());
}

#[test]
fn stress_on_this_machine_reaches_the_channel_and_ends() {
    let Some(stress) = program("stress-ng") else { return };
    let sink = Sink::start();
    let config = r#"
global: { scrape_interval: 2s, evaluation_interval: 2s }
scrape_configs:
  - job_name: host
    plugin: host
    static_configs: [{ targets: [localhost] }]
rule_files: [rules.yml]
route: { receiver: discord, group_by: ["..."], group_wait: 0s, group_interval: 1s }
receivers:
  - name: discord
    discord_configs: [{ webhook_url_file: webhook, send_resolved: true }]
"#;
    let rules = r#"
groups:
  - name: lab
    rules:
      - alert: HostHighCPULoad
        expr: 100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[20s])) * 100 > 90
        for: 1m
        annotations: { summary: '{{ $labels.instance }} is {{ printf "%.0f" $value }} % busy' }
"#;
    let foghorn = Foghorn::start(&[("foghorn.yml", config), ("rules.yml", rules), ("webhook", &sink.url())]);
    eventually("CPU samples", || foghorn.value("count(node_cpu_seconds_total)"));
    let cpus = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).to_string();
    let mut load = Process::start(Command::new(stress).args(["--cpu", &cpus, "--timeout", "100s"]));
    let patience = std::time::Duration::from_secs(150);
    let titles = eventually_within(patience, "the firing message", &mut || {
        Some(sink.titles()).filter(|t| !t.is_empty())
    });
    assert!(titles[0].starts_with("[FIRING:1] HostHighCPULoad"), "{titles:?}");
    load.wait();
    let busy = std::time::Duration::from_secs(300);
    let titles =
        eventually_within(busy, "the resolved message", &mut || Some(sink.titles()).filter(|t| t.len() > 1));
    assert!(titles[1].starts_with("[RESOLVED] HostHighCPULoad"), "{titles:?}");
}
