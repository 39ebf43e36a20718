//! Configurations of Prometheus and Alertmanager, rule files, relabelling rules: loaded or refused, and what they say.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::{
    Catalog, Config, Files, LoadOptions, Loaded, MatcherMode, MemoryFiles, Problems, ScrapeProtocol,
};
use model::{Labels, relabel};
use serde_json::Value;

use crate::{Report, read_json};

type Outcome = Result<(), String>;

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let tables: [(&str, &str, fn(&Path, &Value) -> Outcome); 14] = [
        ("config", "prometheus/expectations", prometheus),
        ("config", "alertmanager/expectations", alertmanager),
        ("config", "alertmanager/config_inline", alertmanager),
        ("config", "alertmanager/field_values", field_value),
        ("config", "alertmanager/cli_expectations", routing_check),
        ("config", "relabel/relabel_apply", relabel_apply),
        ("config", "relabel/relabel_apply_more", relabel_apply),
        ("config", "relabel/relabel_validate", relabel_validate),
        ("config", "relabel/relabel_target_label_legacy", relabel_target),
        ("config", "relabel/relabel_yaml_roundtrip", relabel_roundtrip),
        ("config", "relabel/relabel_bench_inputs", relabel_loads),
        ("rules", "files/expectations", rule_file),
        ("rules", "command-line/expectations", check_config),
        ("rule-collections", "index", rule_collection),
    ];
    for (area, table, check) in tables {
        let path = corpus.join(area).join(format!("{table}.json"));
        let Some(file) = read_json(&path) else { continue };
        let directory = path.parent().unwrap_or(corpus);
        let cases = file.get("cases").or_else(|| file.get("files"));
        for case in cases.and_then(Value::as_array).into_iter().flatten() {
            let id = case["id"].as_str().or_else(|| case["file"].as_str()).unwrap_or_default();
            if can_run(directory, case) {
                report.case(area, table, id, || check(directory, case));
            }
        }
    }
}

/// The files of the corpus, and variables of a case.
struct CorpusFiles {
    variables: BTreeMap<String, String>,
    /// Text that stands in for a file.
    inline: MemoryFiles,
}

impl CorpusFiles {
    fn of(case: &Value, directory: &Path) -> (CorpusFiles, PathBuf) {
        let variables = case["env"].as_object().into_iter().flatten();
        let variables =
            variables.map(|(n, v)| (n.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
        let mut files = CorpusFiles { variables, inline: MemoryFiles::default() };
        match case["yaml"].as_str() {
            Some(text) => {
                files.inline = MemoryFiles::of("/inline.yml", text);
                (files, PathBuf::from("/inline.yml"))
            }
            None => (files, directory.join(case["file"].as_str().unwrap_or_default())),
        }
    }
}

impl Files for CorpusFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inline.read(path).or_else(|_| fs::read(path))
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let directory = pattern.parent().unwrap_or(Path::new("."));
        let mut there = MemoryFiles::default();
        for entry in fs::read_dir(directory).into_iter().flatten() {
            there.files.insert(entry?.path(), Vec::new());
        }
        there.glob(pattern)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

fn load(files: &dyn Files, path: &Path, options: &LoadOptions) -> Result<Loaded, Problems> {
    config::load_with(files, &[path.to_owned()], &Catalog::everything(), options)
}

/// Compares what happened with `expect`.
fn compare<T>(case: &Value, result: &Result<T, Problems>) -> Outcome {
    match (case["expect"].as_str(), result) {
        (Some("ok"), Err(problems)) => Err(format!("refused:\n{problems}")),
        (Some("error"), Ok(_)) => Err(format!("accepted; {}{}", case["error"], case["error_contains"])),
        _ => Ok(()),
    }
}

/// What is shown of a configuration loads again, and shows the same.
fn shows_itself(config: &Config, path: &Path, options: &LoadOptions) -> Outcome {
    let shown = config.redacted_yaml();
    let beside = path.with_file_name("shown.yml");
    let again = CorpusFiles { variables: BTreeMap::new(), inline: MemoryFiles::of(&beside, shown) };
    let again = load(&again, &beside, options)
        .map_err(|problems| format!("what is shown is refused:\n{problems}"))?;
    if again.config.redacted_yaml() == shown {
        Ok(())
    } else {
        Err(format!("shown again it differs:\n{shown}\n-----\n{}", again.config.redacted_yaml()))
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

fn prometheus(directory: &Path, case: &Value) -> Outcome {
    let (files, path) = CorpusFiles::of(case, &directory.join("testdata"));
    let options = LoadOptions::default();
    let result = load(&files, &path, &options);
    compare(case, &result).and_then(|()| match &result {
        Ok(loaded) => {
            check_assertion(case, &loaded.config)?;
            check_effective(case, &loaded.config)?;
            let expanded = !files.variables.is_empty();
            // Expanded variables would be expanded again.
            if expanded { Ok(()) } else { shows_itself(&loaded.config, &path, &options) }
        }
        Err(_) => Ok(()),
    })
}

/// Whether the corpus says what is expected, and holds all files that the case includes.
fn can_run(directory: &Path, case: &Value) -> bool {
    let (files, path) = CorpusFiles::of(case, &directory.join("testdata"));
    // Other kinds of checks are not this room's.
    let kind = case["kind"].as_str().unwrap_or("check config");
    case["expect"] != "see_note" && kind == "check config" && !misses_a_file(&files, &path)
}

fn misses_a_file(files: &CorpusFiles, path: &Path) -> bool {
    let text = files.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let Ok(Value::Object(root)) = serde_yaml::from_str::<Value>(&text) else { return false };
    let named = root.get("scrape_config_files").and_then(Value::as_array).into_iter().flatten();
    let directory = path.parent().unwrap_or(Path::new("."));
    named.filter_map(Value::as_str).any(|name| !name.contains('*') && !directory.join(name).exists())
}

/// The parts of an assertion in prose that a program can read.
fn check_assertion(case: &Value, config: &Config) -> Outcome {
    let Some(text) = case["assert"].as_str() else { return Ok(()) };
    let shown = config.redacted_yaml();
    ensure(!text.contains("mysecret") || !shown.contains("mysecret"), || {
        format!("shows a secret:\n{shown}")
    })?;
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.windows(2) {
        if let (Ok(count), "occurrences" | "secrets") = (pair[0].parse::<usize>(), pair[1]) {
            let found = shown.matches("<secret>").count();
            ensure(found == count, || format!("{found} masks instead of {count}:\n{shown}"))?;
        }
    }
    if let Some(list) = text.strip_prefix("external_labels = {").and_then(|rest| rest.strip_suffix('}')) {
        let pairs = list.split(", ").filter_map(|pair| pair.split_once(": "));
        let expected = Labels::from_pairs(pairs.map(|(name, value)| (name, value.trim_matches('"'))));
        let found = &config.global.external_labels;
        ensure(*found == expected, || format!("external labels are {found}, not {expected}"))?;
    }
    for receiver in text.split(['"', ' ']).filter_map(|word| word.strip_prefix("http://")) {
        let url = format!("http://{}", receiver.trim_end_matches(['"', ',']));
        let proxies =
            config.receivers.iter().flat_map(|r| &r.integrations).filter_map(|i| i.http.proxy_url.as_ref());
        let found: Vec<&String> = proxies.map(|proxy| proxy.expose()).collect();
        ensure(found.iter().any(|proxy| **proxy == url), || format!("proxies are {found:?}"))?;
    }
    if text.contains("label") && case["test"].as_str().is_some_and(|test| test.starts_with("TestReceiver")) {
        for (name, value) in text.split([' ', ',']).filter_map(|word| word.split_once('=')) {
            let pair = (name.to_owned(), value.trim_matches('"').to_owned());
            let labels = &config.receivers[0].labels;
            ensure(labels.contains(&pair), || format!("labels are {labels:?}"))?;
        }
    }
    Ok(())
}

fn check_effective(case: &Value, config: &Config) -> Outcome {
    let Some(expected) = case["effective_scrape_configs"].as_array() else { return Ok(()) };
    let jobs: Vec<&str> = config.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
    let names: Vec<&str> = expected.iter().filter_map(|job| job["job_name"].as_str()).collect();
    ensure(jobs == names, || format!("jobs are {jobs:?}, not {names:?}"))?;
    for (job, expected) in config.scrape_configs.iter().zip(expected) {
        let seconds = |key: &str, found: std::time::Duration| match expected[key].as_u64() {
            Some(seconds) if found.as_secs() != seconds => Err(format!("{key}: {found:?}, not {seconds}")),
            _ => Ok(()),
        };
        seconds("scrape_interval_s", job.scrape_interval)?;
        seconds("scrape_timeout_s", job.scrape_timeout)?;
        for (key, found) in [
            ("scrape_native_histograms", job.scrape_native_histograms),
            ("always_scrape_classic_histograms", job.always_scrape_classic_histograms),
            ("convert_classic_histograms_to_nhcb", job.convert_classic_histograms_to_nhcb),
            ("extra_scrape_metrics", job.extra_scrape_metrics),
        ] {
            let wanted = expected[key].as_bool();
            ensure(wanted.is_none_or(|wanted| wanted == found), || format!("{key}: {found}"))?;
        }
        let protocols: Vec<&str> = match &expected["scrape_protocols"] {
            Value::Null => continue,
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            word if word == "default" => ScrapeProtocol::DEFAULT.iter().map(|p| p.as_str()).collect(),
            _ => ScrapeProtocol::DEFAULT_NATIVE.iter().map(|p| p.as_str()).collect(),
        };
        let found: Vec<&str> = job.scrape_protocols.iter().map(|p| p.as_str()).collect();
        ensure(found == protocols, || format!("protocols are {found:?}"))?;
    }
    Ok(())
}

fn alertmanager(directory: &Path, case: &Value) -> Outcome {
    let (files, path) = CorpusFiles::of(case, &directory.join("testdata"));
    let classic = case["mode"].as_str().is_some_and(|mode| mode.starts_with("classic"));
    let matcher_mode = if classic { MatcherMode::Classic } else { MatcherMode::default() };
    let options = LoadOptions { require_route: true, matcher_mode, ..LoadOptions::default() };
    let result = load(&files, &path, &options);
    compare(case, &result).and_then(|()| match &result {
        Ok(loaded) => {
            check_assertion(case, &loaded.config)?;
            shows_itself(&loaded.config, &path, &options)
        }
        Err(_) => Ok(()),
    })
}

fn field_value(_: &Path, case: &Value) -> Outcome {
    let value = case["yaml"].as_str().unwrap_or_default();
    let text = match case["test"].as_str() {
        Some("TestUnmarshalHostPort") => {
            format!("global: {{smtp_smarthost: {value}}}\nroute: {{receiver: a}}\nreceivers: [{{name: a}}]\n")
        }
        _ => {
            format!("route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{{url: {value}}}]}}]\n")
        }
    };
    let files = MemoryFiles::of("/a.yml", text);
    let result = load(&files, Path::new("/a.yml"), &LoadOptions::default());
    let valid = case["valid"].as_bool().unwrap_or(false);
    match result {
        Ok(loaded) if valid => match case["printed_yaml"].as_str() {
            Some(printed) => {
                let line = format!("smtp_smarthost: {printed}");
                let shown = loaded.config.redacted_yaml();
                ensure(shown.contains(&line), || format!("no {line:?} in\n{shown}"))
            }
            None => Ok(()),
        },
        Ok(_) => Err("accepted".to_owned()),
        Err(problems) => ensure(!valid, || format!("refused:\n{problems}")),
    }
}

fn routing_check(directory: &Path, case: &Value) -> Outcome {
    let (files, path) = CorpusFiles::of(case, &directory.join("cli-testdata"));
    let options = LoadOptions { require_route: true, ..LoadOptions::default() };
    let result = load(&files, &path, &options);
    if case["expect"].is_string() {
        return compare(case, &result);
    }
    result.map_err(|problems| problems.to_string()).and_then(|loaded| {
        let routes = loaded.config.alerting.ok_or("no route")?.routes;
        let pairs = case["labels"].as_object().into_iter().flatten();
        let labels = Labels::from_pairs(pairs.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or_default())));
        let found: Vec<&str> =
            routes.matching(&labels).into_iter().map(|id| &*routes.route(id).receiver).collect();
        let expected: Vec<&str> =
            case["receivers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        ensure(found == expected, || format!("{found:?}"))
    })
}

/// A job with these relabelling rules. JSON is YAML.
fn job_with(rules: &str, scheme: &str) -> Result<Loaded, Problems> {
    let text = format!(
        "global: {{metric_name_validation_scheme: {scheme}}}\nscrape_configs: [{{job_name: j, relabel_configs: {rules}}}]\n"
    );
    let files = MemoryFiles::of("/a.yml", text);
    load(&files, Path::new("/a.yml"), &LoadOptions::default())
}

fn labels_of(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    Labels::from_pairs(pairs.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or_default())))
}

fn relabel_apply(_: &Path, case: &Value) -> Outcome {
    job_with(&case["relabel_configs"].to_string(), "utf8").map_err(|p| p.to_string()).and_then(|loaded| {
        let found = relabel(&labels_of(&case["input"]), &loaded.config.scrape_configs[0].relabel_configs);
        let dropped = case["drop"].as_bool().unwrap_or(false);
        let expected = (!dropped).then(|| labels_of(&case["output"]));
        ensure(found == expected, || format!("{found:?}, not {expected:?}"))
    })
}

fn relabel_validate(_: &Path, case: &Value) -> Outcome {
    let mut rule = case["config"].clone();
    let scheme = rule["name_validation_scheme"].as_str().unwrap_or("utf8").to_owned();
    if let Some(fields) = rule.as_object_mut() {
        fields.remove("name_validation_scheme");
        // The table fills the rule directly: what it leaves out is empty, not the default.
        fields.entry("action").or_insert(Value::from(""));
    }
    check_valid(case, job_with(&format!("[{rule}]"), &scheme))
}

fn relabel_target(_: &Path, case: &Value) -> Outcome {
    check_valid(case, job_with(&format!("[{{\"target_label\": {}}}]", case["target_label"]), "legacy"))
}

fn check_valid(case: &Value, result: Result<Loaded, Problems>) -> Outcome {
    match (result, case["valid"].as_bool().unwrap_or(false)) {
        (Err(problems), true) => Err(format!("refused:\n{problems}")),
        (Ok(_), false) => Err("accepted".to_owned()),
        _ => Ok(()),
    }
}

/// The text of rules, indented under `relabel_configs`.
fn job_around(rules: &str) -> MemoryFiles {
    let indented: String = rules.lines().map(|line| format!("        {line}\n")).collect();
    MemoryFiles::of("/a.yml", format!("scrape_configs:\n  - job_name: j\n    relabel_configs:\n{indented}"))
}

fn relabel_roundtrip(_: &Path, case: &Value) -> Outcome {
    let yaml = case["yaml"].as_str().unwrap_or_default();
    let item: String =
        yaml.lines().enumerate().map(|(n, l)| format!("{}{l}\n", if n == 0 { "- " } else { "  " })).collect();
    let result = load(&job_around(&item), Path::new("/a.yml"), &LoadOptions::default());
    result.map_err(|p| p.to_string()).and_then(|loaded| {
        let expected: String = item.lines().map(|line| format!("      {line}\n")).collect();
        let shown = loaded.config.redacted_yaml();
        ensure(shown.contains(&expected), || format!("no\n{expected}in\n{shown}"))
    })
}

fn relabel_loads(_: &Path, case: &Value) -> Outcome {
    let yaml = case["yaml"].as_str().unwrap_or_default();
    let least = yaml
        .lines()
        .filter(|l| !l.trim().is_empty())
        .map(|l| l.len() - l.trim_start().len())
        .min()
        .unwrap_or(0);
    let rules: String =
        yaml.lines().filter(|l| !l.trim().is_empty()).map(|l| format!("{}\n", &l[least..])).collect();
    let result = load(&job_around(&rules), Path::new("/a.yml"), &LoadOptions::default());
    result.map_err(|p| p.to_string()).and_then(|loaded| {
        let rules = &loaded.config.scrape_configs[0].relabel_configs;
        relabel(&labels_of(&case["labels"]), rules);
        ensure(!rules.is_empty(), || "no rules".to_owned())
    })
}

fn rule_file(directory: &Path, case: &Value) -> Outcome {
    let (files, path) = CorpusFiles::of(case, directory);
    let result = config::check_rules(&files, &[path], &LoadOptions::default());
    compare(case, &result).and_then(|()| match (&result, case["groups"].as_u64()) {
        (Ok(loaded), Some(groups)) => {
            ensure(loaded.groups.len() as u64 == groups, || format!("{} groups", loaded.groups.len()))?;
            let second = case["yaml"].as_str().is_some_and(|yaml| yaml.contains("\n---"));
            ensure(!second || !loaded.warnings.is_empty(), || {
                "the second document is not warned about".to_owned()
            })
        }
        _ => Ok(()),
    })
}

/// The exit status of a checking command: 0, 1, or 3 where a duplicate rule is to be fatal.
fn check_config(directory: &Path, case: &Value) -> Outcome {
    let (files, path) = CorpusFiles::of(case, &directory.join("testdata"));
    let require_files = !case["syntax_only"].as_bool().unwrap_or(false);
    let result = load(&files, &path, &LoadOptions { require_files, ..LoadOptions::default() });
    let status = match &result {
        Err(_) => 1,
        Ok(loaded) if case["lint_fatal"] == true => {
            let duplicate = |warning: &config::Problem| warning.what.starts_with("there are two rules");
            if loaded.warnings.iter().any(duplicate) { 3 } else { 0 }
        }
        Ok(_) => 0,
    };
    let said = || result.err().map(|problems| problems.to_string()).unwrap_or_default();
    ensure(case["expect_exit"] == status, || format!("status {status} {}", said()))
}

fn rule_collection(directory: &Path, case: &Value) -> Outcome {
    let (files, path) = CorpusFiles::of(case, directory);
    let result = config::check_rules(&files, &[path], &LoadOptions::default());
    result.map_err(|problems| problems.to_string()).and_then(|loaded| {
        let rules: Vec<_> = loaded.groups.iter().flat_map(|group| &group.rules).collect();
        let alerts =
            rules.iter().filter(|rule| matches!(rule.action, config::RuleAction::Alert { .. })).count()
                as u64;
        let records = rules.len() as u64 - alerts;
        let expected = (case["alerts"].as_u64(), case["records"].as_u64());
        ensure((Some(alerts), Some(records)) == expected, || format!("{alerts} alerts and {records} records"))
    })
}
