//! Queries: what Grafana asks, limits, clients that go away, the query log, `foghorn query`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Answer, Foghorn, Target, escape, eventually, foghorn, get, http, write};

const PAGE: &str = "# HELP work_total Work done.\n# TYPE work_total counter\nwork_total{kind=\"a\"} 1\nwork_total{kind=\"b\"} 2\n";

fn config(target: &Target, global: &str) -> String {
    format!(
        r#"
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms{global} }}
scrape_configs:
  - job_name: worker
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
rule_files: [rules.yml]
"#,
        target.port
    )
}

const RULES: &str = "groups: [{name: work, rules: [{record: work, expr: sum(work_total)}]}]\n";

/// A server with the target's series in it.
fn start(target: &Target, global: &str, args: &[&str]) -> Foghorn {
    let directory = Arc::new(TempDir::new().unwrap());
    write(directory.path(), "foghorn.yml", &config(target, global));
    write(directory.path(), "rules.yml", RULES);
    let args = args.iter().map(|arg| (*arg).to_owned());
    let started = Foghorn::start_in(
        directory,
        std::iter::once("--config.file=foghorn.yml".to_owned()).chain(args).collect(),
    );
    eventually("samples and a rule", || started.value("work"));
    started
}

fn form(port: u16, path: &str, params: &[(&str, &str)]) -> Answer {
    let body: Vec<String> =
        params.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    http(port, "POST", path, &headers, &body.join("&")).unwrap_or_else(|| panic!("no answer to POST {path}"))
}

/// An expression that takes minutes, in many parts, each of which takes moments.
fn slow() -> String {
    fn sum(from: usize, to: usize) -> String {
        if to - from == 1 {
            return format!("quantile_over_time(0.{to}, vector(time() + {to})[5m:1s])");
        }
        let middle = from.midpoint(to);
        format!("({} + {})", sum(from, middle), sum(middle, to))
    }
    sum(0, 500)
}

const SLOW_RANGE: [(&str, &str); 3] = [("start", "0"), ("end", "10000"), ("step", "1")];

#[test]
fn what_grafana_asks() {
    let target = Target::start(PAGE);
    let server = start(&target, "", &[]);
    let port = server.port;
    let data = |answer: Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.headers.contains("application/json"), "{answer:?}");
        assert_eq!(answer.json()["status"], "success");
        answer.json()["data"].clone()
    };
    // Its health check.
    let health = data(form(port, "/api/v1/query", &[("query", "1+1"), ("time", "4")]));
    assert_eq!(health, json!({"resultType": "scalar", "result": [4, "2"]}));
    // Times are decimal seconds, and the step is a float; parameters nobody knows are passed over.
    let now = server.value("vector(time())").unwrap();
    let (from, to) = ((now - 30.0).to_string(), now.to_string());
    let params = [("query", "work_total"), ("start", &from), ("end", &to), ("step", "0.5"), ("custom", "x")];
    let range = data(form(port, "/api/v1/query_range", &params));
    assert_eq!(range["result"].as_array().unwrap().len(), 2, "{range}");
    // The probe for exemplars: milliseconds where others send seconds.
    let params = [("query", "test"), ("start", "1700000000000"), ("end", "1700000100000")];
    assert_eq!(data(form(port, "/api/v1/query_exemplars", &params)), json!([]));
    // With `features` it would take us for another product.
    let build = data(get(port, "/api/v1/status/buildinfo"));
    assert!(
        build.get("features").is_none() && build["version"].as_str().unwrap().starts_with("3."),
        "{build}"
    );
    let labels =
        data(form(port, "/api/v1/labels", &[("match[]", "work_total"), ("start", &from), ("end", &to)]));
    assert_eq!(labels, json!(["__name__", "instance", "job", "kind"]));
    assert_eq!(data(get(port, "/api/v1/label/U__kind/values?match[]=work_total&limit=1")), json!(["a"]));
    let series = data(form(port, "/api/v1/series", &[("match[]", "work_total{kind=\"b\"}")]));
    assert_eq!(series[0]["kind"], "b");
    let metadata = data(get(port, "/api/v1/metadata?metric=work_total&limit=1000&limit_per_metric=10"));
    assert_eq!(metadata["work_total"], json!([{"type": "counter", "help": "Work done.", "unit": ""}]));
    let rules = data(get(port, "/api/v1/rules?type=record&group_limit=10&exclude_alerts=true"));
    assert_eq!(rules["groups"][0]["rules"][0]["name"], "work");
    assert_eq!(data(get(port, "/api/v1/alerts")), json!({"alerts": []}));
    assert_eq!(
        data(form(port, "/api/v1/format_query", &[("query", "sum(work_total)by(kind)")])),
        "sum by (kind) (work_total)"
    );
    assert_eq!(
        data(form(port, "/api/v1/parse_query", &[("query", "work_total[5m]")]))["type"],
        "matrixSelector"
    );
    // Which APIs are not here, and where Alertmanager is not.
    for path in ["/api/v1/search/metric_names", "/api/v1/nonsense", "/alertmanager/api/v2/status"] {
        assert_eq!(get(port, path).status, 404, "{path}");
    }
    assert_eq!(http(port, "HEAD", "/", &[], "").unwrap().status, 200);
    assert_eq!(http(port, "POST", "/api/v1/label/kind/values", &[], "").unwrap().status, 405);
}

#[test]
fn answers_are_packed_and_other_sites_may_read() {
    let target = Target::start(PAGE);
    let server = start(&target, "", &["--web.cors.origin=https?://dash\\.example"]);
    let path = "/api/v1/query_range?query=work_total&start=0&end=10&step=1";
    let asked = |origin: &str| {
        http(server.port, "GET", path, &[("origin", origin), ("accept-encoding", "gzip")], "").unwrap()
    };
    let near = asked("https://dash.example");
    assert!(near.headers.contains("access-control-allow-origin: https://dash.example"), "{near:?}");
    assert!(!near.headers.contains("content-encoding"), "it is short: {near:?}");
    assert!(!asked("https://evil.example").headers.contains("access-control-allow-origin"));
    let before = http(server.port, "OPTIONS", path, &[("origin", "http://dash.example")], "").unwrap();
    assert_eq!(before.status, 204);
    assert!(before.headers.contains("access-control-allow-methods: GET, POST, OPTIONS"), "{before:?}");
    let path = "/api/v1/query_range?query=vector(1)&start=0&end=5000&step=1";
    let long = http(server.port, "GET", path, &[("accept-encoding", "gzip")], "").unwrap();
    assert!(long.headers.contains("content-encoding: gzip"), "{}", long.headers);
    assert!(long.headers.to_lowercase().contains("vary"), "{}", long.headers);
    let plain = get(server.port, path).json();
    assert_eq!(plain["data"]["result"][0]["values"].as_array().unwrap().len(), 5001);
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    let target = Target::start(PAGE);
    let server = start(&target, "", &["--query.max-samples=1000"]);
    for (path, status, kind, part) in [
        ("query", 400, "bad_data", "query"),
        ("query?query=sum(", 400, "bad_data", "1:5: parse error"),
        ("query?query=up&time=yesterday", 400, "bad_data", "cannot parse \"yesterday\" to a valid timestamp"),
        ("query?query=up&timeout=x", 400, "bad_data", "valid duration"),
        ("query?query=up&limit=-1", 400, "bad_data", "limit must be non-negative"),
        ("query?query=limitk(1,up)", 400, "bad_data", "promql-experimental-functions"),
        ("query_range?query=up&end=1&step=1", 400, "bad_data", "\"start\""),
        (
            "query_range?query=up&start=2&end=1&step=1",
            400,
            "bad_data",
            "end timestamp must not be before start time",
        ),
        ("query_range?query=up&start=1&end=2&step=-1", 400, "bad_data", "zero or negative query resolution"),
        ("query_range?query=up&start=1&end=99999&step=1", 400, "bad_data", "11,000 points"),
        ("query_range?query=up[5m]&start=1&end=2&step=1", 400, "bad_data", "range vector"),
        ("series", 400, "bad_data", "no match[] parameter"),
        ("series?match[]={}", 400, "bad_data", "match[]"),
        ("labels?start=x", 400, "bad_data", "start"),
        ("metadata?limit=x", 400, "bad_data", "limit must be a number"),
        ("query?query=work_total * on (job) work_total", 422, "execution", "many-to-many"),
        ("query_range?query=vector(1)&start=1&end=9000&step=1", 422, "execution", "more than 1000"),
    ] {
        let path = format!("/api/v1/{}", path.replace(' ', "%20"));
        let answer = get(server.port, &path);
        let json = answer.json();
        assert_eq!(answer.status, status, "{path}: {json}");
        assert_eq!((&json["status"], &json["errorType"]), (&json!("error"), &json!(kind)), "{path}: {json}");
        assert!(json["error"].as_str().unwrap().contains(part), "{path}: {json}");
    }
}

#[test]
fn limits_on_time_and_number_are_kept_and_work_stops_with_its_client() {
    let target = Target::start(PAGE);
    let server = start(&target, "", &["--query.max-concurrency=1"]);
    let running = || {
        let page = get(server.port, "/metrics").body;
        let line =
            page.lines().find(|line| line.starts_with("prometheus_engine_queries ")).unwrap_or_default();
        line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let expr = slow();
    let mut params = vec![("query", expr.as_str())];
    params.extend(SLOW_RANGE);
    params.push(("timeout", "100ms"));
    let late = form(server.port, "/api/v1/query_range", &params);
    assert_eq!((late.status, &late.json()["errorType"]), (503, &json!("timeout")), "{late:?}");
    assert!(late.json()["error"].as_str().unwrap().contains("longer than 100ms"), "{late:?}");
    eventually("the end of the late query", || (running() == 0.0).then_some(()));

    params.pop();
    let body: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    let body = body.join("&");
    let mut client = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    write!(
        client,
        "POST /api/v1/query_range HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    // There is one turn, and it is taken; rules beside it do not wait.
    let second = eventually("a turn that is taken", || {
        let second = form(server.port, "/api/v1/query", &[("query", "1"), ("timeout", "50ms")]);
        (second.status != 200).then_some(second)
    });
    assert_eq!((second.status, &second.json()["errorType"]), (503, &json!("timeout")), "{second:?}");
    assert!(second.json()["error"].as_str().unwrap().contains("1 queries are under way"), "{second:?}");
    assert!(running() >= 1.0);
    drop(client);
    eventually("the end of a query that nobody waits for", || (running() == 0.0).then_some(()));
    assert_eq!(server.value("1 + 1"), None, "a scalar has no value of a series");
    assert_eq!(server.value("vector(2)"), Some(2.0));
}

#[test]
fn what_a_query_took_is_told_and_written_down() {
    let target = Target::start(PAGE);
    let server = start(&target, ", query_log_file: query.log", &["--enable-feature=promql-per-step-stats"]);
    let asked = |stats: &str| {
        server.get(&format!("/api/v1/query_range?query=sum(work_total)&start=1&end=3&step=1&stats={stats}"))["data"].clone()
    };
    assert!(asked("").get("stats").is_none());
    let stats = asked("all")["stats"].clone();
    assert_eq!(stats["samples"]["totalQueryableSamplesPerStep"], json!([[1, 0], [2, 0], [3, 0]]));
    let timings = stats["timings"].as_object().unwrap();
    let mut names: Vec<&str> = timings.keys().map(String::as_str).collect();
    names.sort_unstable();
    let wanted = [
        "evalTotalTime",
        "execQueueTime",
        "execTotalTime",
        "innerEvalTime",
        "queryPreparationTime",
        "resultSortTime",
    ];
    assert_eq!(names, wanted);
    assert!(asked("true")["stats"]["samples"].get("totalQueryableSamplesPerStep").is_none());

    let explained = server.get("/api/foghorn/v1/explain?query=sum(work_total)")["data"].clone();
    assert_eq!(explained["tree"]["kind"], "sum");
    assert_eq!(explained["tree"]["children"][0]["text"], "work_total");
    assert_eq!(explained["tree"]["children"][0]["series"], 2);
    assert_eq!((&explained["resultType"], &explained["series"]), (&json!("vector"), &json!(1)));

    let lines = |path: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(server.path(path)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let range = lines("query.log")
        .into_iter()
        .find(|line| line["httpRequest"]["path"] == "/api/v1/query_range")
        .unwrap();
    assert_eq!(
        range["params"],
        json!({"query": "sum(work_total)", "start": "1970-01-01T00:00:01.000Z", "end": "1970-01-01T00:00:03.000Z", "step": 1})
    );
    assert_eq!(
        (&range["httpRequest"]["clientIP"], &range["httpRequest"]["method"]),
        (&json!("127.0.0.1"), &json!("GET"))
    );
    assert!(range["stats"]["timings"].is_object(), "{range}");
    eventually("a rule's query", || {
        lines("query.log").into_iter().find(|line| line["ruleGroup"]["name"] == "work").map(|line| {
            assert!(line["ruleGroup"]["file"].as_str().unwrap().ends_with("rules.yml"), "{line}");
        })
    });
    // Moved away, and opened anew by the reload.
    std::fs::rename(server.path("query.log"), server.path("query.log.1")).unwrap();
    assert_eq!(http(server.port, "POST", "/-/reload", &[], "").unwrap().status, 200);
    eventually("a new log", || (!lines("query.log").is_empty()).then_some(()));
}

/// Standard output, standard error, and whether it went well.
fn run(args: &[&str]) -> (String, String, bool) {
    let output = Command::output(foghorn().args(args)).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

#[test]
fn the_command_line_asks() {
    let target = Target::start(PAGE);
    let server = start(&target, "", &[]);
    let url = format!("--server=http://127.0.0.1:{}", server.port);
    let asked = |args: &[&str]| {
        let mut all = vec!["query", args[0], &url];
        all.extend(&args[1..]);
        let (out, err, ok) = run(&all);
        assert!(ok, "{args:?}: {out}{err}");
        out
    };
    assert_eq!(asked(&["instant", "--time=100", "1 + 1"]), "scalar: 2 @[100]\n");
    let vector = asked(&["instant", "work_total{kind=\"a\"}"]);
    let start =
        format!("work_total{{instance=\"127.0.0.1:{}\", job=\"worker\", kind=\"a\"}} => 1 @[", target.port);
    assert!(vector.starts_with(&start), "{vector}");
    let range = asked(&["range", "--start=10", "--end=12", "--step=1s", "vector(3)"]);
    assert_eq!(range, "{} =>\n3 @[10]\n3 @[11]\n3 @[12]\n");
    let series = asked(&["series", "work_total", "--start=1h"]);
    assert_eq!(series.lines().count(), 2, "{series}");
    assert_eq!(asked(&["labels", "kind"]), "a\nb\n");
    assert!(asked(&["labels", "--match=work_total"]).contains("kind\n"));
    let json: Value = serde_json::from_str(&asked(&["instant", "-o", "json", "vector(1)"])).unwrap();
    assert_eq!(json["data"]["resultType"], "vector");
    let tree = asked(&["explain", "sum by (kind) (rate(work_total[1m])) > 0"]);
    for part in ["sum by (kind) (rate(work_total[1m]))", "└─ rate(work_total[1m])", "samples", "vector of "]
    {
        assert!(tree.contains(part), "{tree}");
    }

    let (_, wrong, ok) = run(&["query", "instant", &url, "sum(rate(work_total))"]);
    assert!(
        !ok && wrong.contains("bad_data: ") && wrong.contains("\n    sum(rate(work_total))\n"),
        "{wrong}"
    );
    assert!(wrong.trim_end().ends_with('^'), "{wrong}");
    let (_, nobody, ok) = run(&["query", "instant", "--server=http://127.0.0.1:1", "1"]);
    assert!(!ok && nobody.contains("is a server running there?"), "{nobody}");
}

#[test]
fn addresses_as_people_write_them() {
    let target = Target::start(PAGE);
    let server = start(&target, "", &[]);
    let data = |answer: Answer| answer.json()["data"].clone();
    let value = |path: &str| data(get(server.port, path))["result"][0]["value"][1].clone();
    assert_eq!(value("/api/v1/query?query=vector(3)>2"), "3");
    assert_eq!(value("/api/v1/query?query=vector(3)<2"), Value::Null);
    let series = data(get(server.port, "/api/v1/series?match[]=work_total{kind=\"a\"}"));
    assert_eq!(series.as_array().map(Vec::len), Some(1), "{series}");
    // Once more on one connection, after a body.
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 15";
    let post = format!("POST /api/v1/query HTTP/1.1\r\nhost: h\r\n{form}\r\n\r\nquery=vector(7)");
    let last = "GET /api/v1/query?query=vector(9)>8 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all([&post, last].concat().as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert!(answers.contains(",\"7\"]") && answers.contains(",\"9\"]"), "{answers}");
}
