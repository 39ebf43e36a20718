//! Hostile plugins: each is stopped with a message that names plugin, function and limit, and nobody else notices.

use crate::world::{Foghorn, Sink, Target, eventually};

const ENDLESS: &str = "const META = #{ name: \"endless\", every: \"200ms\" };\nfn evaluate() { loop { } }\n";
const HUNGRY: &str = "const META = #{ name: \"hungry\", every: \"200ms\" };\nfn evaluate() { let s = \"x\"; loop { s += s; } }\n";
const THROWS: &str =
    "const META = #{ name: \"throws\", every: \"200ms\" };\nfn evaluate() { throw \"on purpose\"; }\n";
const REACHES: &str =
    "const META = #{ name: \"reaches\" };\nfn collect(target) { http_get(\"http://127.0.0.1:1/\"); }\n";

#[test]
fn hostile_scripts_are_stopped_and_the_neighbours_go_on() {
    let (target, sink) = (Target::start("model_result 0.9\n"), Sink::start());
    let config = format!(
        r#"
global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms }}
scrape_configs:
  - job_name: model
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
  - job_name: reaching
    plugin: reaches
    scrape_interval: 500ms
    scrape_timeout: 500ms
    static_configs: [{{ targets: [localhost] }}]
rule_files: [rules.yml, endless.rhai, hungry.rhai, throws.rhai]
plugins: [{{ file: reaches.rhai }}]
route: {{ receiver: discord, group_wait: 0s }}
receivers:
  - name: discord
    discord_configs: [{{ webhook_url_file: webhook }}]
"#,
        target.port
    );
    let rules = "groups: [{ name: good, rules: [{ alert: Good, expr: model_result > 0.75 }] }]\n";
    let foghorn = Foghorn::start(&[
        ("foghorn.yml", &config),
        ("rules.yml", rules),
        ("endless.rhai", ENDLESS),
        ("hungry.rhai", HUNGRY),
        ("throws.rhai", THROWS),
        ("reaches.rhai", REACHES),
        ("webhook", &sink.url()),
    ]);
    foghorn.wait_for_alert("Good firing");
    sink.wait_for(1);
    for (plugin, words) in [
        ("endless", ["evaluate", "CPU"]),
        ("hungry", ["evaluate", "memory"]),
        ("throws", ["evaluate", "on purpose"]),
    ] {
        let error = eventually(&format!("the error of `{plugin}`"), || {
            let groups = foghorn.get("/api/v1/rules");
            let rules = groups["data"]["groups"].as_array()?.clone();
            let rule = rules
                .iter()
                .flat_map(|g| g["rules"].as_array().cloned().unwrap_or_default())
                .find(|r| r["name"] == plugin)?;
            rule["lastError"].as_str().map(str::to_owned)
        });
        println!("{plugin}: {error}");
        assert!(error.contains(plugin) && words.iter().all(|word| error.contains(word)), "{error}");
    }
    let error = eventually("the error of the target", || {
        let targets = foghorn.get("/api/v1/targets");
        let target = targets["data"]["activeTargets"]
            .as_array()?
            .iter()
            .find(|t| t["scrapePool"] == "reaching")?
            .clone();
        target["lastError"].as_str().filter(|e| !e.is_empty()).map(str::to_owned)
    });
    println!("reaches: {error}");
    assert!(
        error.contains("reaches") && error.contains("collect") && error.contains("127.0.0.1:1"),
        "{error}"
    );
    target.wait_for_scrapes(10);
    assert_eq!(foghorn.value(r#"up{job="model"}"#), Some(1.0));
    foghorn.wait_for_alert("Good firing");
}
