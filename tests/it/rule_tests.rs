//! `foghorn test rules`, as a user runs it.

use std::path::Path;
use std::process::Output;

use crate::world::foghorn;

const RULES: &str = r"
groups:
  - name: cpu
    rules:
      - alert: HostBusy
        expr: cpu_busy > 90
        for: 3m
        labels: {severity: warning}
        annotations: {summary: '{{ $labels.instance }} is at {{ $value }}'}
";

/// The same rule as a script.
const SCRIPT: &str = r#"
const META = #{ name: "HostBusyScript", every: "15s", hold: "3m", labels: #{ severity: "warning" } };
fn evaluate() {
    for cpu in query("cpu_busy") {
        if cpu.value > 90.0 { fire(cpu, #{ summary: `${cpu.instance} is at ${cpu.value.to_int()}` }); }
    }
}
"#;

fn tests_of(alert: &str) -> String {
    format!(
        r"
  - name: {alert} needs three minutes
    interval: 1m
    input_series: [{{series: 'cpu_busy{{instance=a}}', values: '95x10'}}]
    alert_rule_test:
      - {{eval_time: 2m, alertname: {alert}}}
      - eval_time: 3m
        alertname: {alert}
        exp_alerts:
          - {{exp_labels: {{instance: a, severity: warning}}, exp_annotations: {{summary: a is at 95}}}}
"
    )
    .replace("{instance=a}", "{instance=\"a\"}")
}

fn run(dir: &Path, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        foghorn().args(["test", "rules"]).args(args).current_dir(dir).output().expect("it runs");
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap_or(-1), text)
}

#[cfg(unix)]
#[test]
fn called_as_promtool_it_is_promtool() {
    let dir = tempfile::tempdir().expect("a directory");
    let link = dir.path().join("promtool");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_foghorn"), &link).expect("a link");
    std::fs::write(dir.path().join("rules.yml"), RULES).expect("it is written");
    std::fs::write(dir.path().join("wrong.yml"), RULES.replacen("expr:", "exprr:", 1))
        .expect("it is written");
    for (words, code, part) in [
        (&["check", "rules", "rules.yml"][..], 0, "rules.yml: 1 groups"),
        (&["check", "rules", "wrong.yml"], 1, "did you mean `expr`?"),
        (&["tsdb", "analyze"], 2, "use the original"),
    ] {
        let Output { status, stdout, stderr } =
            std::process::Command::new(&link).args(words).current_dir(dir.path()).output().expect("it runs");
        let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(status.code(), Some(code), "{words:?}: {text}");
        assert!(text.contains(part), "{words:?}: `{part}` is missing: {text}");
    }
}

#[test]
fn rules_in_yaml_and_in_scripts_are_tested_alike() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("it is written");
    write("rules.yml", RULES);
    write("busy.rhai", SCRIPT);
    let both = format!(
        "rule_files: [rules.yml, busy.rhai]\ntests:{}{}",
        tests_of("HostBusy"),
        tests_of("HostBusyScript")
    );
    write("good.yml", &both);
    let (code, text) = run(dir.path(), &["good.yml"]);
    assert_eq!((code, text.contains("2 tests passed")), (0, true), "{text}");

    // One of them is wrong: it is named, with what came instead, and a build server can read it.
    write("bad.yml", &both.replacen("a is at 95", "a is at 96", 1));
    let (code, text) = run(dir.path(), &["bad.yml", "--junit", "out.xml"]);
    assert_eq!(code, 1, "{text}");
    for part in
        ["FAILED: HostBusy needs three minutes", "a is at 96", "ok: HostBusyScript", "1 of 2 tests failed"]
    {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
    let xml = std::fs::read_to_string(dir.path().join("out.xml")).expect("it is written");
    assert!(xml.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{xml}");

    let (code, text) = run(dir.path(), &["bad.yml", "--run", "Script"]);
    assert_eq!((code, text.contains("1 test passed")), (0, true), "{text}");

    // A mistake in the file has its place.
    write("typo.yml", &both.replacen("eval_time: 3m", "evaltime: 3m", 1));
    let (code, text) = run(dir.path(), &["typo.yml"]);
    assert_eq!(code, 1, "{text}");
    for part in ["unknown key `evaltime`", "typo.yml:8:9", "did you mean `eval_time`?"] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}
