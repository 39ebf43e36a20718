//! Requests of remote write and what they are answered with, over a store on disk.

use std::path::Path;
use std::sync::Arc;

use journal::RealDisk;
use model::{BucketSpan, Histogram, METRIC_NAME, MetricType, Timestamp, stale_nan};
use remote::testing::{Sent, body};
use remote::{Limits, Protocol, Receiver, Reply, Written};
use serde_json::Value;
use tsdb::{Tsdb, TsdbOptions};

use crate::{Report, read_json};

const AREA: &str = "remote-write";
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);
const V1_TYPE: &str = "application/x-protobuf";
const V2_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let Some(file) = read_json(&corpus.join("remote-write/receiver_cases.json")) else { return };
    for case in file["cases"].as_array().into_iter().flatten() {
        let id = case["id"].as_str().unwrap_or_default();
        let test = case["test"].as_str().unwrap_or_default();
        report.case(AREA, "receiver_cases", id, || check(test, &case["case"]));
    }
}

fn check(test: &str, case: &Value) -> Result<(), String> {
    match test {
        "TestBadContentEncodings" => {
            let request = [Sent::series(&[(METRIC_NAME, "up")]).samples(&[(NOW.as_millis(), 1.0)])];
            let request = body(Protocol::V2, &request);
            let reply = post(V2_TYPE, case["content_encoding"].as_str(), &request);
            expect_status(&reply, |status| u64::from(status) == case["status"].as_u64().unwrap_or(415))
        }
        "TestCorruptRequestBody" | "TestRW1ErrorHandling" => {
            let v1 = test.contains("RW1");
            let (protocol, content_type, first) =
                if v1 { (Protocol::V1, V1_TYPE, 0xff) } else { (Protocol::V2, V2_TYPE, b'0') };
            let request = [Sent::series(&[(METRIC_NAME, "up")]).samples(&[(NOW.as_millis(), 1.0)])];
            let mut request = body(protocol, &request);
            request[0] = first;
            expect_status(&post(content_type, Some("snappy"), &request), |status| status / 100 == 4)
        }
        "TestRW1BasicCompatibility" => {
            let reply = post(V1_TYPE, Some("snappy"), &body(Protocol::V1, &series_of_request(case, 1.0)));
            expect_status(&reply, |status| status / 100 == 2)?;
            if reply.headers().is_empty() { Ok(()) } else { Err("counts for protocol 1.0".to_owned()) }
        }
        // Each is sent with every value that is special.
        "TestSingleMetric" | "TestMultipleMetrics" => {
            [1.0, stale_nan(), f64::NAN, f64::INFINITY, f64::NEG_INFINITY].iter().try_for_each(|value| {
                let series = series_of_metrics(case, *value);
                expect_reply(&series, case).map_err(|why| format!("value {value}: {why}"))
            })
        }
        "TestHistograms" => {
            let mut histogram = generated(1.0);
            if case["use_custom_buckets"] == true {
                histogram = custom();
            }
            if case["include_negative"] != true {
                histogram.count -= histogram.negative_buckets.drain(..).sum::<f64>();
                histogram.negative_spans.clear();
            }
            if case["bad_count"] == true {
                histogram.count += 1.0;
            }
            let series = [Sent { labels: labels(&case["labels"]), ..Sent::default() }
                .histogram(NOW.as_millis(), histogram)];
            expect_reply(&series, case)
        }
        _ => expect_reply(&series_of_request(case, 1.0), case),
    }
}

fn post(content_type: &str, encoding: Option<&str>, body: &[u8]) -> Reply {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(RealDisk::new(folder.path()));
    let (store, _) = Tsdb::open(disk, TsdbOptions::default()).expect("an empty store");
    let receiver = Receiver::new(Arc::new(store), Limits::default());
    remote::accept(Some(content_type), encoding)
        .map_or_else(|refused| refused, |protocol| receiver.reply(protocol, body, NOW))
}

fn expect_status(reply: &Reply, good: impl Fn(u16) -> bool) -> Result<(), String> {
    if good(reply.status) { Ok(()) } else { Err(format!("{reply:?}")) }
}

/// Sends the series and compares with what the case says about success and counts.
fn expect_reply(series: &[Sent], case: &Value) -> Result<(), String> {
    let expected = &case["expected_params"];
    let success = [&case["success"], &case["expect_success"], &expected["success"]]
        .into_iter()
        .find_map(Value::as_bool)
        .unwrap_or(true);
    let reply = post(V2_TYPE, Some("snappy"), &body(Protocol::V2, series));
    let count = |name: &str, sent: usize| {
        let given = [&case["written"], expected].into_iter().find(|counts| !counts.is_null());
        match given {
            Some(counts) => counts[name].as_u64().unwrap_or(0) as usize,
            None => sent,
        }
    };
    let sum = |of: fn(&Sent) -> usize| series.iter().map(of).sum::<usize>();
    let most = Written {
        samples: count("samples", sum(|s| s.samples.len())),
        histograms: count("histograms", sum(|s| s.histograms.len())),
        exemplars: count("exemplars", sum(|s| s.exemplars.len())),
    };
    let written = reply.written.unwrap_or_default();
    if success {
        expect_status(&reply, |status| status / 100 == 2)?;
        return if written == most { Ok(()) } else { Err(format!("wrote {written:?}, not {most:?}")) };
    }
    expect_status(&reply, |status| status == 400)?;
    let within = written.samples <= most.samples
        && written.histograms <= most.histograms
        && written.exemplars <= most.exemplars;
    if within { Ok(()) } else { Err(format!("wrote {written:?}, more than {most:?}")) }
}

fn labels(json: &Value) -> Vec<(String, String)> {
    let pairs = json.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn number(json: &Value) -> f64 {
    match json.as_str() {
        Some("NaN") => f64::NAN,
        Some("+Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        _ => json.as_f64().unwrap_or(1.0),
    }
}

fn metric_type(json: &Value) -> MetricType {
    let all = [
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
        MetricType::Summary,
        MetricType::Info,
        MetricType::StateSet,
    ];
    all.into_iter().find(|kind| Some(kind.as_str()) == json.as_str()).unwrap_or_default()
}

fn series_of_metrics(case: &Value, value: f64) -> Vec<Sent> {
    let metrics = case["metrics"].as_array().cloned().unwrap_or_else(|| vec![case["metric"].clone()]);
    let sent = |metric: &Value| Sent { labels: labels(&metric["labels"]), ..Sent::default() };
    metrics.iter().map(|metric| sent(metric).samples(&[(NOW.as_millis(), value)])).collect()
}

/// One series for each label set; a case without a request describes a single series.
fn series_of_request(case: &Value, default: f64) -> Vec<Sent> {
    let at = NOW.as_millis();
    let Some(request) = case.get("request") else {
        if case["samples"].is_array() {
            let all = case["samples"].as_array().into_iter().flatten();
            return all
                .map(|sample| {
                    Sent { labels: labels(&sample["labels"]), ..Sent::default() }
                        .samples(&[(at, number(&sample["value"]))])
                })
                .collect();
        }
        return vec![single(case, default)];
    };
    let parts = |name: &str| request[name].as_array().cloned().unwrap_or_default();
    let mut series: Vec<Sent> = Vec::new();
    for name in ["samples", "histograms", "metadata", "exemplars"] {
        for json in parts(name) {
            let labels = labels(&json["labels"]);
            let place = series.iter().position(|sent| sent.labels == labels).unwrap_or_else(|| {
                series.push(Sent { labels, ..Sent::default() });
                series.len() - 1
            });
            let sent = &mut series[place];
            match name {
                "samples" => sent.samples.push((at, number(&json["value"]))),
                "histograms" => {
                    sent.histograms.push((at, generated(number(&json["histogram"]["scale_value"]))))
                }
                "metadata" => {
                    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
                    sent.metadata = Some((metric_type(&json["type"]), text("help"), text("unit")));
                }
                _ => sent.exemplars.push((labels_of_exemplar(&json), number(&json["value"]), at)),
            }
        }
    }
    if series.is_empty() {
        // A large request of the suite's own making: as many series as it says were written.
        let count = case["written"]["samples"].as_u64().unwrap_or(1);
        series = (0..count).map(|n| many(n, at)).collect();
    }
    series
}

fn labels_of_exemplar(json: &Value) -> Vec<(String, String)> {
    labels(&json["exemplar_labels"])
}

fn many(number: u64, at: i64) -> Sent {
    let mut sent = Sent::series(&[(METRIC_NAME, "many"), ("n", &number.to_string())]).samples(&[(at, 1.0)]);
    sent.exemplars.push((vec![("trace_id".to_owned(), number.to_string())], 1.0, at));
    sent
}

fn single(case: &Value, default: f64) -> Sent {
    let at = NOW.as_millis();
    let own = labels(&case["labels"]);
    let labels = if own.is_empty() { vec![(METRIC_NAME.to_owned(), "test_metric".to_owned())] } else { own };
    let mut sent = Sent { labels, ..Sent::default() }.samples(&[(at, default)]);
    if case.get("metric_type").is_some() {
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        sent.metadata = Some((metric_type(&case["metric_type"]), text("help"), text("unit")));
    } else {
        sent.exemplars.push((labels_of_exemplar(case), number(&case["value"]), at));
    }
    sent
}

/// A histogram around a value; with the value 0 it has no buckets.
fn generated(scale: f64) -> Histogram {
    if scale == 0.0 {
        return Histogram::default();
    }
    Histogram {
        schema: 2,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 20.0,
        sum: 10.0 * scale,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }, BucketSpan { offset: 1, length: 2 }],
        positive_buckets: vec![1.0, 2.0, 3.0, 2.0],
        negative_spans: vec![BucketSpan { offset: -2, length: 2 }],
        negative_buckets: vec![4.0, 6.0],
        ..Histogram::default()
    }
}

fn custom() -> Histogram {
    Histogram {
        schema: model::CUSTOM_BUCKETS_SCHEMA,
        count: 6.0,
        sum: 3.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
        positive_buckets: vec![1.0, 2.0, 3.0],
        custom_values: vec![0.1, 1.0, 5.0],
        ..Histogram::default()
    }
}
