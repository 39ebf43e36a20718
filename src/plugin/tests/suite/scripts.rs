//! The scripts that ship, and what a script may rely on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{AlertStatus, Finding, Timestamp};
use plugin::{Grants, PluginSpec, SecretSource, Source};
use ports::{FailureReason, NotifyError, Payload};

use crate::fake::{Answers, NOW, World, deadline, notification, script, target};

fn bundled(name: &str) -> PluginSpec {
    PluginSpec::new(Source::Bundled(name.to_owned()))
}

/// Loads `spec` and evaluates it once: one line for each finding, or the error.
pub(crate) async fn evaluate(world: &Arc<World>, spec: PluginSpec, answers: &Answers) -> Vec<String> {
    let host = world.host();
    let plugin = match host.load(spec).await {
        Ok(plugin) => plugin,
        Err(error) => return vec![format!("load: {error}")],
    };
    let (_, rule) = plugin.rule().expect("it is a rule");
    match rule.evaluate(Timestamp::from_millis(NOW), answers).await {
        Ok(findings) => findings.iter().map(line).collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn line(finding: &Finding) -> String {
    let notes: Vec<String> =
        finding.annotations.iter().map(|(name, text)| format!("{name}={text}")).collect();
    format!("{} {} {}", finding.labels, finding.value, notes.join(" ")).trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn host_high_cpu_fires_for_busy_hosts() {
    let world = World::new();
    let expr = "100 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m])) * 100";
    let answers =
        Answers::default().vector(expr, &[(&[("instance", "a")], 95.4), (&[("instance", "b")], 20.0)]);
    assert_eq!(
        evaluate(&world, bundled("host_high_cpu.rhai"), &answers).await,
        ["{instance=\"a\"} 95.4 summary=a is 95 % busy (limit 90.0 %)"]
    );
    let host = world.host();
    let plugin = host.load(bundled("host_high_cpu.rhai")).await.unwrap();
    let (meta, _) = plugin.rule().unwrap();
    assert_eq!(meta.name, "HostHighCpuLoad");
    assert_eq!((meta.every, meta.hold), (Some(Duration::from_secs(15)), Duration::from_secs(180)));
    assert_eq!(meta.labels.to_string(), "{severity=\"warning\"}");
    let mut low = bundled("host_high_cpu.rhai");
    low.params.insert("limit".into(), 10.into());
    assert_eq!(evaluate(&world, low, &answers).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_mans_switch_remembers_jobs_that_vanished() {
    let world = World::new();
    let host = world.host();
    let (_, rule) = host.load(bundled("dead_mans_switch")).await.unwrap().rule().unwrap();
    let seconds = NOW as f64 / 1000.0;
    let beat = Answers::default()
        .vector("heartbeat_timestamp_seconds", &[(&[("job", "a")], seconds), (&[("job", "b")], seconds)]);
    assert!(rule.evaluate(Timestamp::from_millis(NOW), &beat).await.unwrap().is_empty());
    // Both vanish; state is kept across a restart of the host.
    let host = world.host();
    let (_, rule) = host.load(bundled("dead_mans_switch")).await.unwrap().rule().unwrap();
    let silent = Answers::default().vector("heartbeat_timestamp_seconds", &[]);
    let later = |minutes: i64| Timestamp::from_millis(NOW + minutes * 60_000);
    assert!(rule.evaluate(later(9), &silent).await.unwrap().is_empty());
    let found = rule.evaluate(later(11), &silent).await.unwrap();
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "{job=\"a\"} 660 summary=a has been silent for 11m",
            "{job=\"b\"} 660 summary=b has been silent for 11m"
        ]
    );
    // Forgotten after a week.
    assert!(rule.evaluate(later(7 * 24 * 60), &silent).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn model_drift_starts_high_and_stops_low() {
    let world = World::new();
    let host = world.host();
    let (_, rule) = host.load(bundled("model_drift")).await.unwrap().rule().unwrap();
    let series = |recent: f64| {
        let mut values: Vec<f64> = (0..1430).map(|i| if i % 2 == 0 { 0.4 } else { 0.6 }).collect();
        values.extend([recent; 10]);
        Answers::default().matrix("model_result", &[("__name__", "model_result"), ("instance", "m")], &values)
    };
    let at = Timestamp::from_millis(NOW);
    let count = |answers: Answers| {
        let rule = Arc::clone(&rule);
        async move { rule.evaluate(at, &answers).await.unwrap().len() }
    };
    assert_eq!(count(series(0.75)).await, 0, "2.4 σ is not enough to start");
    assert_eq!(count(series(0.95)).await, 1);
    assert_eq!(count(series(0.75)).await, 1, "and not little enough to stop");
    assert_eq!(count(series(0.5)).await, 0);
    assert_eq!(count(series(0.75)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slo_burn_rate_takes_the_fastest_window() {
    let expr = |window: &str| {
        format!(
            "(sum by (service) (rate(http_requests_total{{code=~\"5..\"}}[{window}]))) / (sum by (service) \
             (rate(http_requests_total[{window}])))"
        )
    };
    let mut answers = Answers::default();
    for window in ["5m", "30m", "1h", "2h", "6h", "1d", "3d"] {
        answers =
            answers.vector(&expr(window), &[(&[("service", "api")], 0.02), (&[("service", "web")], 0.0005)]);
    }
    assert_eq!(
        evaluate(&World::new(), bundled("slo_burn_rate"), &answers).await,
        ["{service=\"api\", severity=\"page\", window=\"1h\"} 19.999999999999982 \
          summary=api burns its error budget 20.0× too fast over 1h"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_api_exporter_reads_its_target() {
    let world = World::new();
    world.answer(
        200,
        &[],
        r#"{"queue": {"high": 3, "low": 40}, "workers": [{"name": "a", "busy": true}], "uptime": 86400}"#,
    );
    let host = world.host();
    let collector = host.load(bundled("json_api_exporter")).await.unwrap().collector().unwrap();
    let scrape = collector.collect(&target("localhost:5000"), deadline()).await.unwrap();
    let Payload::Points(points) = &scrape.payload else { panic!("not points") };
    let lines: Vec<String> =
        points.iter().map(|p| format!("{} {}", p.labels, p.value.as_float().unwrap())).collect();
    assert_eq!(
        lines,
        [
            "job_queue_length{priority=\"high\"} 3",
            "job_queue_length{priority=\"low\"} 40",
            "job_worker_busy{worker=\"a\"} 1",
            "job_uptime_seconds 86400"
        ]
    );
    assert_eq!(scrape.metadata.len(), 3);
    let request = world.requests.lock().unwrap().pop().unwrap();
    assert_eq!(request.url.expose(), "http://localhost:5000/status.json");
    assert_eq!(request.reach, ports::Reach::Hosts(["localhost:5000 private".to_owned()].into()));
    world.answer(503, &[], "down");
    let error = collector.collect(&target("localhost:5000"), deadline()).await.unwrap_err();
    assert!(error.message.contains("localhost answered with status 503: down"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn discord_never_sees_its_webhook() {
    let world = World::new();
    let host = world.host();
    let mut spec = bundled("discord.rhai");
    spec.allow.secrets.insert(
        "webhook".to_owned(),
        SecretSource::Inline(model::Secret::new("https://discord.com/api/webhooks/1/tok-en".to_owned())),
    );
    let notifier = host.load(spec).await.unwrap().notifier().unwrap();
    world.answer(200, &[], r#"{"id": "42"}"#);
    let told = notification(&[("Disk", AlertStatus::Firing), ("Cpu", AlertStatus::Resolved)]);
    let receipt = notifier.notify(&told, 1, deadline()).await.unwrap();
    assert_eq!(receipt.remember.as_deref(), Some("42"));
    let sent = world.sent();
    assert!(sent[0].starts_with("POST https://discord.com/api/webhooks/1/tok-en?wait=true\n"), "{}", sent[0]);
    assert!(sent[0].contains("\nIdempotency-Key: n1\n"));
    assert!(sent[0].contains("\nContent-Type: application/json\n"));
    assert!(sent[0].contains("🔥 **Disk** Disk broke\\n✅ **Cpu** Cpu broke"), "{}", sent[0]);
    assert!(sent[0].contains("\"title\":\"[firing] Disk (page)\""), "{}", sent[0]);
    // 429: as long as Discord asks. The answer quotes the webhook, and nobody sees it.
    world.answer(
        429,
        &[("retry-after", "2")],
        r#"{"retry_after": 1.5, "url": "https://discord.com/api/webhooks/1/tok-en"}"#,
    );
    match notifier.notify(&told, 2, deadline()).await.unwrap_err() {
        NotifyError::Later { message, after, reason, may_have_arrived } => {
            let expected = (FailureReason::RateLimited, Some(Duration::from_millis(1500)), false);
            assert_eq!((reason, after, may_have_arrived), expected);
            assert!(message.contains("status 429") && !message.contains("tok-en"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    world.answer(404, &[], "gone");
    assert!(matches!(notifier.notify(&told, 3, deadline()).await, Err(NotifyError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_language_offers() {
    let meta = "const META = #{ name: \"t\", params: #{ list: [3, 1, 2], text: \"a\" } };\n";
    let answers = Answers::default()
        .vector("up", &[(&[("__name__", "up"), ("job", "a")], 1.0), (&[("job", "b")], 0.0)]);
    for (expression, expected) in [
        ("join([1, \"a\", 2.5], \"-\")", "1-a-2.5"),
        ("[1, 2].join(\",\")", "1,2"),
        ("truncate(\"hello\", 4)", "hel…"),
        ("to_json(parse_json(\"{\\\"a\\\": [1, 2.5, null, true]}\"))", "{\"a\":[1,2.5,null,true]}"),
        ("url_encode(\"a b/ü\")", "a%20b%2F%C3%BC"),
        ("base64(\"hi\")", "aGk="),
        ("sha256(\"\").sub_string(0, 8)", "e3b0c442"),
        ("format_time(0, \"%F\")", "1970-01-01"),
        ("human_duration(seconds(\"1h30m\"))", "1h 30m"),
        ("human_bytes(1048576)", "1 MiB"),
        ("avg(param(\"list\"))", "2.0"),
        ("median([1, 2, 3, 4])", "2.5"),
        ("min([3, 1, 2]) + max([3, 1, 2])", "4.0"),
        ("quantile(0.9, [0, 10])", "9.0"),
        ("stddev([2, 4, 4, 4, 5, 5, 7, 9])", "2.0"),
        ("avg([])", ""),
        ("round(2.345, 2)", "2.35"),
        ("max(1, 2)", "2"),
        ("query(\"up\")[0].job", "a"),
        ("query(\"up\")[0].nothing", ""),
        ("query(\"up\").len", "2"),
        ("query(\"up\").filter(|s| s.value > 0.5).len", "1"),
        ("{ let least = 0.5; query(\"up\").filter(|s| s.value > least).len }", "1"),
        ("by_label(query(\"up\"), \"job\").b", "0.0"),
        ("query_value(\"up{job=\\\"none\\\"}\")", "error: permanent"),
        ("query(\"up\")[0].labels.keys()", "[\"__name__\", \"job\"]"),
        ("\"a,b,,c\".split(\",\")", "[\"a\", \"b\", \"\", \"c\"]"),
        ("{ let t = \"aXbX\"; t.replace(\"X\", \"--\"); t }", "a--b--"),
        ("{ let t = \"7\"; t.pad(3, '0'); t }", "700"),
        ("param(\"none\")", "error: config"),
        ("state_get(\"none\")", ""),
        ("{ state_set(\"k\", #{ a: [1, 2.0] }); state_get(\"k\") }", "#{\"a\": [1, 2.0]}"),
        ("type_of(now())", "f64"),
        ("now()", "1790000000.0"),
        ("to_debug(\"q\")", "\"q\""),
    ] {
        let text = format!(
            "{meta}fn evaluate() {{\n  let r = try {{ {expression} }} catch (e) {{ `error: ${{e.kind}}` }};\n  \
             fire(#{{}}, 1, #{{ r: `${{r}}` }});\n}}"
        );
        // `try` is a statement: its value is not the block's.
        let text = text
            .replace("let r = try {", "let r = (); try { r =")
            .replace("} catch (e) {", "; } catch (e) { r =");
        let found = evaluate(&World::new(), script("t", &text), &answers).await;
        assert_eq!(found, [format!("{{}} 1 r={expected}").trim_end().to_owned()], "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_script_says_where() {
    let world = World::new();
    let host = world.host();
    for (text, expected) in [
        ("const META = #{ name: \"x\" };\nfn evaluate() {\n  let = 5;\n}", "x.rhai:3:7: "),
        ("const META = #{ name: \"x\" };\nfn evaluate() { eval(\"1\") }", "x.rhai:2:17: "),
        ("const META = #{ name: \"x\" };", "there is no function `evaluate`"),
        ("fn evaluate() {}", "there is no `const META"),
        ("const META = 5; fn evaluate() {}", "there is no `const META"),
        (
            "const META = #{ name: \"x\" }; fn evaluate() {} fn collect(t) {}",
            "there are `evaluate` and `collect`",
        ),
        (
            "const META = #{ name: \"x\" }; fn notify() {}",
            "`notify` has 0 parameters; it is `fn notify(notification)`",
        ),
        ("const META = #{ name: \"x\", every: 5 }; fn evaluate() {}", "`every` is a number, not a text"),
        (
            "const META = #{ name: \"x\" };\nquery(\"up\");\nfn evaluate() {}",
            "x.rhai:2:1: at the top level: there is no function query",
        ),
        ("const META = #{ name: \"x\" };\nloop {}\nfn evaluate() {}", "was stopped (limit `"),
        ("\u{0}\u{1}", "x.rhai"),
    ] {
        let error = host.load(script("x", text)).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
    for (body, expected) in [
        (
            "  http_get(\"http://x/\")",
            "plugin `x`, `evaluate`: there is no function http_get (&str | ImmutableString | String); a rule has no network",
        ),
        ("  let a = 1;\n  a.b.c", "at x.rhai:4:"),
        ("  nope", "there is no variable `nope` at x.rhai:3:3"),
        ("  throw \"by hand\"", "plugin `x`, `evaluate`: by hand at x.rhai:3:3"),
        ("  helper()\n}\nfn helper() {\n  1 / 0", "Division by zero: 1 / 0 at x.rhai:6:5"),
        ("  query(\"nonsense(\")", "query `nonsense(`: nothing was laid out for `nonsense(` at x.rhai:3:3"),
        ("  import \"fs\" as fs;", "x.rhai"),
        ("  sleep(10)", "there is no function sleep"),
        ("  timestamp()", "there is no function timestamp"),
        ("  blob(100)", "there is no function blob"),
    ] {
        let text = format!("const META = #{{ name: \"x\" }};\nfn evaluate() {{\n{body}\n}}");
        let found = evaluate(&world, script("x", &text), &Answers::default()).await;
        assert!(found[0].contains(expected), "{body}\n{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_functions_that_are_not_there_are_found_before_they_run() {
    let world = World::new();
    let host = world.host();
    let text = "const META = #{ name: \"x\", evry: \"1s\" };\nfn evaluate() {\n  if now() < 0.0 { htp_get(1); own(); [1].map(|x| x.abs()); }\n}\nfn own() {}";
    let source = script("x", text).source;
    let report = host.check(&source).await.unwrap();
    assert_eq!(report.kind, plugin::Kind::Rule);
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
    assert!(report.warnings[1].contains("3:20: there is no function `htp_get`"), "{:?}", report.warnings);
    // What ships has none.
    for bundled in plugin::bundled::all().iter().filter(|b| b.file.ends_with(".rhai")) {
        let report = host.check(&Source::Bundled(bundled.file.to_owned())).await.unwrap();
        assert!(report.warnings.is_empty(), "{}: {:?}", bundled.file, report.warnings);
        assert_eq!(Some(report.kind), bundled.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_scripts() {
    let world = World::new();
    let host = world.host();
    let text = "const META = #{ name: \"f\", needs: #{ files: [\"/proc/uptime\"] } };\n\
        fn collect(target) {\n  gauge(\"up\", parse_float(read_file(\"/proc/uptime\").split(\" \")[0]) > 0.0);\n  \
        gauge(\"linux\", uname().sysname == \"Linux\", #{ mod: target.params[\"module\"][1] });\n}";
    let mut spec = script("f", text);
    spec.allow = Grants { files: vec!["/proc/uptime".to_owned()], ..Grants::default() };
    let collector = host.load(spec).await.unwrap().collector().unwrap();
    let scrape = collector.collect(&target("x"), deadline()).await.unwrap();
    let Payload::Points(points) = &scrape.payload else { panic!("not points") };
    assert_eq!(points[0].value.as_float(), Some(1.0));
    assert_eq!(points[1].labels.to_string(), "linux{mod=\"b\"}");
    let _ = world.now.load(Ordering::SeqCst);
}
