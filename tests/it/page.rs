//! The page in a real browser, against the real binary.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::peers::program;
use crate::world::{Foghorn, Sink, Target, eventually};

/// Fifteen minutes of a model that was never above its line, as a page with timestamps.
fn history() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let mut page = String::new();
    for back in (0..=180u32).rev() {
        let value = 0.5 + 0.15 * (f64::from(back) / 9.0).sin();
        let _ = writeln!(page, "model_result {value:.3} {}", now - u128::from(back) * 5000 - 1000);
    }
    page
}

fn look(phase: &str, foghorn: &Foghorn, shots: &Path) {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let output = Command::new("node")
        .current_dir(&ui)
        .args(["tests/page.mjs", phase, &format!("http://127.0.0.1:{}", foghorn.port)])
        .arg(shots)
        .output()
        .expect("node starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
    println!("{phase}:\n{text}");
    assert!(output.status.success(), "{phase}:\n{text}");
}

/// Whether there is what it takes to look.
fn can_look() -> bool {
    if program("chromium").is_none() || program("node").is_none() {
        return false;
    }
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let installed = ui.join("node_modules/playwright-core").exists();
    if !installed {
        println!("skipped: run `npm ci --ignore-scripts` in ui/ for the tests of the page");
    }
    installed
}

#[test]
fn the_page_shows_what_cannot_be_told_apart() {
    if !can_look() {
        return;
    }
    let sink = Sink::start();
    let told = format!("{{ url: '{}' }}", sink.url());
    let config = format!(
        "
global: {{ evaluation_interval: 1s }}
rule_files: [rules.yml]
route: {{ receiver: all, group_wait: 0s, group_interval: 1s }}
receivers: [{{ name: all, webhook_configs: [{told}, {told}, {told}, {told}] }}]
"
    );
    let rules = "
groups:
  - name: g
    rules:
      - { alert: Same, expr: vector(1) }
      - { alert: Same, expr: vector(2) }
      - { alert: Fails, expr: 'vector(1) + on() (vector(1) or label_replace(vector(1), \"x\", \"1\", \"\", \"\"))' }
      - { alert: Fails, expr: 'vector(2) + on() (vector(1) or label_replace(vector(1), \"x\", \"1\", \"\", \"\"))' }
";
    let foghorn = Foghorn::start(&[("foghorn.yml", &config), ("rules.yml", rules)]);
    sink.wait_for(4);
    look("alike", &foghorn, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("page"));
}

#[test]
fn the_page_shows_fires_silences_and_resolves() {
    if !can_look() {
        return;
    }
    let (target, sink) = (Target::start(&history()), Sink::start());
    let config = format!(
        r#"
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
scrape_configs:
  - job_name: model
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
  - job_name: host
    plugin: host
    static_configs: [{{ targets: [localhost] }}]
rule_files: [rules.yml]
route: {{ receiver: discord, group_by: ["..."], group_wait: 0s, group_interval: 1s }}
receivers:
  - name: discord
    discord_configs: [{{ webhook_url_file: webhook, send_resolved: true }}]
"#,
        target.port
    );
    let rules = r#"
groups:
  - name: lab
    rules:
      - alert: ModelResultHigh
        expr: model_result > 0.75
        labels: { severity: warning }
        annotations: { summary: 'model_result is {{ printf "%.2f" $value }}, above 0.75' }
      - alert: HostHighCPULoad
        expr: 100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m])) * 100 > 90
        for: 1h
"#;
    let foghorn = Foghorn::start(&[("foghorn.yml", &config), ("rules.yml", rules), ("webhook", &sink.url())]);
    eventually("the model's past", || {
        (foghorn.value("count_over_time(model_result[15m])") > Some(170.0)).then_some(())
    });
    target.set("model_result 0.5\n");
    eventually("two samples of the CPU", || foghorn.value("sum(rate(node_cpu_seconds_total[1m]))"));
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    look("quiet", &foghorn, &shots);
    target.set("model_result 0.9\n");
    foghorn.wait_for_alert("ModelResultHigh firing");
    sink.wait_for(1);
    look("firing", &foghorn, &shots);
    target.set("model_result 0.5\n");
    foghorn.wait_for_no_alert("ModelResultHigh firing");
    look("over", &foghorn, &shots);
    println!("screenshots: {}", shots.display());
}
