//! Loading, replacing, rolling back, removing; state across versions and restarts; the cache.

use std::sync::Arc;

use model::{Finding, Timestamp};
use plugin::{Kind, Language, PluginSpec, Source, State};
use ports::{EvalError, Evaluate};

use crate::component::rule;
use crate::fake::{Answers, NOW, World, script};

async fn run(rule: &Arc<dyn Evaluate>) -> Result<Vec<Finding>, EvalError> {
    rule.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await
}

fn counting(step: i64) -> PluginSpec {
    script(
        "n",
        &format!(
            "const META = #{{ name: \"n\" }};\nfn evaluate() {{\n  let n = state_get(\"n\");\n  if n == () {{ n = 0; }}\n  \
             n += {step};\n  state_set(\"n\", n);\n  fire(#{{}}, n);\n}}"
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_over_between_two_calls() {
    let world = World::new();
    let host = world.host();
    let plugin = host.load(counting(1)).await.unwrap();
    let (_, rule) = plugin.rule().unwrap();
    assert_eq!(run(&rule).await.unwrap()[0].value, 1.0);
    let first = plugin.digest();
    // The same again changes nothing; another version is used by the adapters that are there.
    assert!(Arc::ptr_eq(&plugin, &host.load(counting(1)).await.unwrap()));
    assert!(Arc::ptr_eq(&plugin, &host.load(counting(10)).await.unwrap()));
    assert_ne!(plugin.digest(), first);
    assert_eq!(run(&rule).await.unwrap()[0].value, 11.0, "state is the name's, not the version's");
    // A broken one is refused with its place, and the old one runs on.
    let error = host
        .load(script("n", "const META = #{ name: \"n\" };\nfn evaluate() {\n  let = 1;\n}"))
        .await
        .unwrap_err();
    assert_eq!(error.place.map(|place| place.line), Some(3));
    assert_eq!(run(&rule).await.unwrap()[0].value, 21.0);
    assert!(host.remove("n") && !host.remove("n"));
    assert!(host.list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_leaves_no_trace() {
    let world = World::new();
    let host = world.host();
    let text = "const META = #{ name: \"s\", params: #{ fail: true } };\nfn evaluate() {\n  state_set(\"a\", 1);\n  \
        fire(#{}, state_get(\"a\"));\n  if param(\"fail\") { throw \"no\"; }\n}";
    let mut spec = script("s", text);
    let (_, rule) = host.load(spec.clone()).await.unwrap().rule().unwrap();
    assert!(run(&rule).await.is_err());
    assert!(world.kept.lock().unwrap().is_empty());
    spec.params.insert("fail".into(), false.into());
    host.load(spec).await.unwrap();
    *world.disk_is_full.lock().unwrap() = true;
    let error = run(&rule).await.unwrap_err();
    assert!(
        error.message.contains("state was not kept: alert state cannot be written: no space left"),
        "{error}"
    );
    *world.disk_is_full.lock().unwrap() = false;
    assert_eq!(run(&rule).await.unwrap()[0].value, 1.0);
    let kept = world.kept.lock().unwrap().clone();
    assert_eq!(kept.keys().collect::<Vec<_>>(), [&b"plugin/s/a".to_vec()]);
    assert_eq!(host.list()[0].kept, (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_keeps_failing_is_rolled_back() {
    let world = World::new();
    let host = world.host();
    let plugin = host.load(counting(1)).await.unwrap();
    let (_, rule) = plugin.rule().unwrap();
    run(&rule).await.unwrap();
    let good = plugin.digest();
    host.load(script("n", "const META = #{ name: \"n\" };\nfn evaluate() {\n  oops();\n}")).await.unwrap();
    for _ in 0..3 {
        assert!(run(&rule).await.is_err());
    }
    assert_eq!(plugin.digest(), good);
    assert_eq!(run(&rule).await.unwrap()[0].value, 2.0);
    let status = plugin.status();
    assert!(status.rolled_back.unwrap().contains("there is no function oops"), "people can see why");
    assert_eq!(status.state, State::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_cannot_have_one_name() {
    let world = World::new();
    let host = world.host();
    host.load(counting(1)).await.unwrap();
    let mut other = counting(2);
    if let Source::Bytes { name, .. } = &mut other.source {
        *name = "other.rhai".to_owned();
    }
    let error = host.load(other.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with("other.rhai: the name `n` is taken by n.rhai\nhint: "), "{error}");
    other.name = Some("m".to_owned());
    let plugin = host.load(other).await.unwrap();
    assert_eq!((plugin.name(), plugin.rule().unwrap().0.name.as_str()), ("m", "m"));
    let names: Vec<String> = host.list().into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["m", "n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_pins_the_bytes() {
    let world = World::new();
    let host = world.host();
    let mut spec = counting(1);
    spec.sha256 = Some("00".repeat(32));
    let error = host.load(spec.clone()).await.unwrap_err().to_string();
    assert!(error.contains("and `sha256` says 0000"), "{error}");
    spec.sha256 = Some(host.check(&spec.source).await.unwrap().digest.to_uppercase());
    host.load(spec).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_compiled_once() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let spec = rule("quick", "(i32.const 256)");
    let host = world.host_with(Some(folder.path().to_owned()));
    let (_, first) = host.load(spec.clone()).await.unwrap().rule().unwrap();
    assert!(run(&first).await.unwrap().is_empty());
    let files = || {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(files().len(), 2, "the key and one component");
    let host = world.host_with(Some(folder.path().to_owned()));
    let plugin = host.load(spec).await.unwrap();
    assert!(run(&plugin.rule().unwrap().1).await.unwrap().is_empty());
    let status = plugin.status();
    assert_eq!((status.kind, status.language), (Kind::Rule, Language::Wasm));
    assert_eq!(status.calls.len(), 1);
    assert_eq!(status.calls[0].outcome.as_deref(), Ok("0 findings"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_see() {
    let world = World::new();
    let host = world.host();
    host.load(counting(1)).await.unwrap();
    let (_, rule) = host.get("n").unwrap().rule().unwrap();
    run(&rule).await.unwrap();
    let points = host.points();
    let value = |text: &str| {
        points.iter().find(|p| p.labels.to_string() == text).and_then(|p| p.value.as_float()).unwrap_or(-1.0)
    };
    assert_eq!(value("foghorn_plugin_calls_total{kind=\"rule\", outcome=\"ok\", plugin=\"n\"}"), 1.0);
    assert_eq!(value("foghorn_plugin_state{plugin=\"n\", state=\"active\"}"), 1.0);
    assert_eq!(
        value(
            "foghorn_plugin_host_calls_total{call=\"state_set\", kind=\"rule\", outcome=\"ok\", plugin=\"n\"}"
        ),
        1.0
    );
    assert!(points.iter().any(|p| p.labels.metric_name() == "foghorn_plugin_info"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read() {
    let world = World::new();
    let host = world.host();
    for (source, expected) in [
        (Source::File("/none/x.rhai".into()), "/none/x.rhai: No such file or directory"),
        (Source::Bundled("none".into()), "bundled:none: nothing of this name ships with Foghorn; there is "),
        (Source::Bytes { name: "e.rhai".into(), bytes: Default::default() }, "e.rhai: the file is empty"),
        (
            Source::Bytes { name: "l.rhai".into(), bytes: vec![b' '; (16 << 20) + 1].into() },
            "l.rhai: the file is longer than 16777216 bytes",
        ),
    ] {
        let error = host.load(PluginSpec::new(source)).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
