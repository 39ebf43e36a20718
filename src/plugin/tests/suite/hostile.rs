//! Plugins that mean harm, or make every mistake at once: each is stopped with a message that says which, where and why,
//! and the others go on.

use std::path::Path;
use std::sync::Arc;

use model::Timestamp;
use plugin::{PluginHost, PluginSpec, Source, State};
use ports::{Collector, Evaluate};

use crate::component::{component, encode, fixture, rule, rule_text};
use crate::fake::{Answers, NOW, World, deadline, script, target};

/// A plugin of `tests/fixtures/plugins`.
fn spec(name: &str, world: &str) -> PluginSpec {
    match name.strip_suffix(".wat") {
        Some(name) => component(name, fixture(name, world)),
        None => PluginSpec::new(Source::File(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/plugins").join(name),
        )),
    }
}

async fn load_rule(host: &PluginHost, spec: PluginSpec) -> Arc<dyn Evaluate> {
    host.load(spec).await.unwrap().rule().unwrap().1
}

async fn error_of_rule(host: &PluginHost, spec: PluginSpec) -> String {
    let rule = load_rule(host, spec).await;
    match rule.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await {
        Ok(found) => panic!("it answered {found:?}"),
        Err(error) => error.to_string(),
    }
}

async fn error_of_exporter(host: &PluginHost, spec: PluginSpec) -> String {
    let collector: Arc<dyn Collector> = host.load(spec).await.unwrap().collector().unwrap();
    match collector.collect(&target("t:1"), deadline()).await {
        Ok(scrape) => panic!("it answered {scrape:?}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_stopped_with_plugin_function_and_limit() {
    let world = World::new();
    for (extension, memory, trap, place) in [
        ("wat", "64MiB", "trapped: wasm trap: integer divide by zero, in `divide` < `evaluate`", ""),
        ("rhai", "16MiB", "Division by zero: 1 / 0", "trap.rhai:5:7"),
    ] {
        let host = world.host();
        let good = load_rule(
            &host,
            script("good", "const META = #{ name: \"good\" };\nfn evaluate() { fire(#{}, 1) }"),
        )
        .await;
        assert_eq!(
            error_of_rule(&host, spec(&format!("spin.{extension}"), "rule-plugin"))
                .await
                .split(" at /")
                .next(),
            Some("plugin `spin`, `evaluate`: used more than 250ms of CPU time (limit `cpu`)")
        );
        let hoard = error_of_exporter(&host, spec(&format!("hoard.{extension}"), "exporter-plugin")).await;
        let expected =
            format!("plugin `hoard`, `collect`: held more than {memory} of memory (limit `memory`)");
        assert!(hoard.starts_with(&expected), "{hoard}");
        let trapped = error_of_rule(&host, spec(&format!("trap.{extension}"), "rule-plugin")).await;
        assert!(trapped.starts_with(&format!("plugin `trap`, `evaluate`: {trap}")), "{trapped}");
        assert!(trapped.ends_with(place), "{trapped}");
        let asked = error_of_exporter(&host, spec(&format!("ask.{extension}"), "exporter-plugin")).await;
        assert!(
            asked.starts_with(
                "plugin `ask`, `collect`: the host `evil.example` is not granted (granted: t:1 private)"
            ),
            "{asked}"
        );
        assert!(asked.contains("add `allow: { hosts: [\"evil.example\"] }`"), "{asked}");
        assert!(world.sent().is_empty());
        assert_eq!(good.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_of_busy_plugins_go_on() {
    let world = World::new();
    let host = world.host();
    let mut busy = Vec::new();
    for name in ["a", "b", "c"] {
        for mut spec in [spec("spin.wat", "rule-plugin"), spec("spin.rhai", "")] {
            spec.name = Some(format!("{name}_{}", spec.source.label().len()));
            if let Source::File(path) = &spec.source {
                let bytes = std::fs::read(path).unwrap().into();
                spec.source = Source::Bytes { name: format!("{name}.rhai"), bytes };
            } else if let Source::Bytes { name: file, .. } = &mut spec.source {
                *file = format!("{name}.wasm");
            }
            let rule = load_rule(&host, spec).await;
            busy.push(tokio::spawn(async move {
                rule.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await.unwrap_err().to_string()
            }));
        }
    }
    let good = load_rule(&host, rule("good", "(i32.const 256)")).await;
    for _ in 0..20 {
        good.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await.unwrap();
    }
    for busy in busy {
        assert!(busy.await.unwrap().contains("(limit `cpu`)"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn components() {
    let world = World::new();
    let host = world.host();
    for (name, body, expected) in [
        ("deep", "(call $deep)", "called itself too deep (limit `stack`)"),
        // One page of memory, and a million findings in it.
        (
            "many",
            "(i32.store (i32.const 264) (i32.const 0)) (i32.store (i32.const 268) (i32.const 1000000)) (i32.const 256)",
            "failed: ",
        ),
        ("far", "(i32.const -8)", "failed: "),
        ("odd", "(i32.store8 (i32.const 256) (i32.const 9)) (i32.const 256)", "failed: "),
        // An error with a text that is no text.
        (
            "text",
            "(i32.store8 (i32.const 256) (i32.const 1)) (i32.store (i32.const 8) (i32.const -1)) \
             (i32.store (i32.const 268) (i32.const 8)) (i32.store (i32.const 272) (i32.const 4)) (i32.const 256)",
            "failed: invalid utf-8",
        ),
        (
            "says",
            "(i32.store8 (i32.const 256) (i32.const 1)) (i32.store8 (i32.const 264) (i32.const 2)) \
             (i32.store (i32.const 268) (i32.const 8)) (i32.store (i32.const 272) (i32.const 4)) (i32.const 256)",
            "plugin `says`, `evaluate`: oops",
        ),
        // Findings of 1000 bytes at the same place, more than may be handed over.
        (
            "wide",
            "(drop (memory.grow (i32.const 100))) (i32.store (i32.const 264) (i32.const 65536)) \
             (i32.store (i32.const 268) (i32.const 100000)) (i32.const 256)",
            "handed over too much at once (limit `handed_over`)",
        ),
    ] {
        let text = rule_text(name, body).replace(
            "(func (export \"cabi_realloc\")",
            "(func $deep (result i32) (local i64 i64 i64 i64) (i32.add (call $deep) (call $deep)))\n  (func (export \"cabi_realloc\")",
        );
        let error = error_of_rule(&host, component(name, encode(&text, "rule-plugin"))).await;
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_cheap_host_calls_is_a_loop() {
    let world = World::new();
    let host = world.host();
    // 60 000 bytes of log, again and again: no guest time to speak of, and dropped after a hundred lines.
    let body = "(loop $again (call $log (i32.const 1) (i32.const 0) (i32.const 60000) (i32.const 0) (i32.const 0)) (br $again)) (i32.const 256)";
    let text = rule_text("flood", body).replace(
        "(memory (export",
        "(import \"foghorn:plugin/log@0.1.0\" \"write\" (func $log (param i32 i32 i32 i32 i32)))\n  (memory (export",
    );
    let error = error_of_rule(&host, component("flood", encode(&text, "rule-plugin"))).await;
    assert!(error.contains("(limit `host_cpu`)") || error.contains("(limit `cpu`)"), "{error}");
    let dropped = host.points().iter().any(|point| {
        point.labels.metric_name() == "foghorn_plugin_log_dropped_total"
            && point.value.as_float() > Some(100.0)
    });
    assert!(dropped);
}

#[tokio::test(flavor = "multi_thread")]
async fn components_that_are_not_loaded() {
    let world = World::new();
    let host = world.host();
    let good = rule_text("x", "(i32.const 256)");
    let with_http = good.replace(
        "(memory (export",
        "(import \"foghorn:plugin/http@0.1.0\" \"send\" (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))\n  (memory (export",
    );
    // A world of an attacker's own making: a rule with a network.
    let described = |text: &str| good.replace("(i32.store (i32.const 32) (i32.const 64))", text);
    for (bytes, expected) in [
        (encode(&described("(unreachable)"), "rule-plugin"), "`describe`: trapped: wasm trap: wasm `unreachable`"),
        (encode(&described("(loop $a (br $a))"), "rule-plugin"), "`describe`: used more than 250ms of CPU time (limit `cpu`)"),
        (encode(&described("(i32.store (i32.const 32) (i32.const 8))"), "rule-plugin"), "`describe` did not answer with JSON"),
        (encode(&good.replace("\\22name\\22", "\\22nome\\22"), "rule-plugin"), "the manifest has no `name`"),
        (wat::parse_str("(component)").unwrap().into(), "exports neither `foghorn:plugin/rule`"),
        (wat::parse_str("(module)").unwrap().into(), "not a component that can be run"),
        (encode(&good, "rule-plugin").slice(..200), "not a component that can be run"),
        (
            wat::parse_str("(component (import \"wasi:sockets/tcp@0.2.0\" (instance)) (import \"mine:own/thing\" (instance)) (instance $i) (export \"foghorn:plugin/rule@0.1.0\" (instance $i)))").unwrap().into(),
            "imports `mine:own/thing`, which a rule does not have",
        ),
        (
            wat::parse_str("(component (import \"foghorn:plugin/http@0.1.0\" (instance)) (instance $i) (export \"foghorn:plugin/rule@0.1.0\" (instance $i)))").unwrap().into(),
            "imports `foghorn:plugin/http@0.1.0`, which a rule does not have\nhint: a rule has no network",
        ),
        (
            wat::parse_str("(component (instance $i) (export \"foghorn:plugin/rule@0.1.0\" (instance $i)) (export \"foghorn:plugin/exporter@0.1.0\" (instance $i)))").unwrap().into(),
            "a plugin is one of them",
        ),
    ] {
        let error = host.load(component("x", bytes)).await.unwrap_err().to_string();
        assert!(error.starts_with("x.wasm: ") && error.contains(expected), "{expected}\n{error}");
    }
    // The world of a rule has no `http` to encode against: not even the tools let it through.
    assert!(std::panic::catch_unwind(|| encode(&with_http, "rule-plugin")).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts() {
    let world = World::new();
    let host = world.host();
    let mut wrong = Vec::new();
    for (body, expected) in [
        ("let t = \"ab\"; loop { t += t; }", "(limit `memory`)"),
        ("let t = \"ab\"; for i in 0..64 { t = t + t; }", "(limit `memory`)"),
        ("let a = []; loop { a.push(1); }", "(limit `memory`)"),
        ("let a = [1]; loop { a.append(a); }", "(limit `memory`)"),
        ("let m = #{}; let i = 0; loop { m[`${i}`] = i; i += 1; }", "(limit `"),
        ("let t = \"x\"; t.pad(1000000000, '.');", "(limit `memory`)"),
        ("let t = \"x\"; t.pad(1000000000000, \"ab\");", "(limit `memory`)"),
        ("let a = [1]; a.pad(1000000000, 0);", "(limit `memory`)"),
        (
            "let t = \"a\"; t.pad(1000000, 'a'); let w = \"b\"; w.pad(1000000, 'b'); t.replace(\"a\", w);",
            "(limit `memory`)",
        ),
        ("let t = \"a\"; t.pad(1000000, 'a'); t.split(\"\");", "(limit `memory`)"),
        ("let t = \"a\"; t.pad(3000000, 'a'); t.to_chars();", "(limit `memory`)"),
        ("let t = \"[0\"; t.pad(3000000, \",0\"); t += \"]\"; parse_json(t);", "(limit `memory`)"),
        ("let t = \"[\"; t.pad(120000, '['); parse_json(t);", "this is not JSON"),
        (
            "let a = []; for i in 0..300 { a.push(\"abcdefghijklmnopqrstuvwxyz\"); } let t = \"y\"; t.pad(1000000, 'y'); a.join(t);",
            "(limit `memory`)",
        ),
        ("let x = 0; loop { try { loop { x += 1; } } catch { } }", "(limit `"),
        ("for i in 0..9223372036854775807 { let x = i; }", "(limit `"),
        ("deeper()", "calls itself more than 32 deep (limit `depth`)"),
        ("let a = [1, 2, 3]; loop { a.map(|x| x * 2); }", "(limit `"),
        // A value as deep as memory allows, taken apart again.
        ("let b = [0]; loop { b.push([b.pop()]); }", "(limit `"),
        // A function that holds the variable that holds it.
        (
            "let a = []; let f = || a; let t = \"x\"; t.pad(5000000, 'x'); a = [f, t];",
            "left memory behind that nothing can free",
        ),
        ("let a = []; let f = || a; a = [f]; throw to_debug(a);", "Fn("),
        ("let f = || 1; loop { let g = f; f = || g; }", "(limit `"),
        ("let a = []; let f = || a; a = [f]; throw `${a == a} ${f == f}`;", "true"),
        // An order that is none.
        (
            "let a = []; for i in 0..500 { a.push(i * 7919 % 503); } a.sort(|x, y| if (x + y) % 3 == 0 { 1 } else { -1 }); throw \"sorted\"",
            "plugin `x`",
        ),
        ("fire(#{ \"a b\": 1 }, 1)", "`a b` cannot be the name of a label"),
        ("loop { fire(#{}, 1); }", "fired more than 1000 times in one call (limit `findings`)"),
        ("loop { query(\"up\"); }", "more than 100 queries in one call (limit `queries`)"),
        ("for i in 0..2000 { state_set(`k${i}`, i); }", "more than 1000 keys of state (limit `state`)"),
        ("let t = \"x\"; t.pad(70000, 'x'); state_set(\"k\", t);", "65536 are allowed (limit `state`)"),
        ("loop { print(\"again\"); }", "(limit `"),
        ("secret(\"webhook\")", "there is no function secret"),
        ("read_file(\"/etc/passwd\")", "there is no function read_file"),
        ("eval(\"1\")", "eval"),
    ] {
        let text = format!(
            "const META = #{{ name: \"x\" }};\nfn deeper() {{ deeper() + 1 }}\nfn evaluate() {{ {body} }}"
        );
        let mut spec = script("x", &text);
        // A build without optimization takes its time to fill memory.
        spec.limits.cpu = expected.contains("memory").then_some(std::time::Duration::from_secs(20));
        let error = match host.load(spec).await {
            Ok(plugin) => {
                let answers = Answers::default().vector("up", &[]);
                let rule = plugin.rule().unwrap().1;
                match rule.evaluate(Timestamp::from_millis(NOW), &answers).await {
                    Ok(found) => format!("it answered {found:?}"),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        if !error.contains(expected) {
            wrong.push(format!("{body}\n{error}"));
        }
        host.remove("x");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_ends_with_a_trial_or_a_release() {
    let world = World::new();
    let host = world.host();
    let mut spec = spec("spin.wat", "rule-plugin");
    spec.limits.cpu = Some(std::time::Duration::from_millis(20));
    let rule = load_rule(&host, spec).await;
    let evaluate = || async {
        rule.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await.unwrap_err().to_string()
    };
    for _ in 0..5 {
        assert!(evaluate().await.contains("(limit `cpu`)"));
    }
    let stopped = evaluate().await;
    assert!(
        stopped.contains("in quarantine until 2026-09-21T14:23:20.000Z")
            && stopped.contains("used more than 20ms"),
        "{stopped}"
    );
    assert!(matches!(host.get("spin").unwrap().state(), State::Quarantined(Some(_))));
    world.now.fetch_add(600_000, std::sync::atomic::Ordering::SeqCst);
    assert!(evaluate().await.contains("(limit `cpu`)"), "one trial");
    assert!(evaluate().await.contains("in quarantine"));
    assert!(host.release("spin"));
    assert!(evaluate().await.contains("(limit `cpu`)"));
}
