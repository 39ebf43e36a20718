//! Samples that other servers send.

use std::sync::Arc;

use remote::Protocol;
use remote::testing::{Sent, body};
use tempfile::TempDir;

use crate::world::{Foghorn, http, write};

pub(crate) fn now_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("in range")
}

fn start(args: &[&str]) -> Foghorn {
    let directory = Arc::new(TempDir::new().expect("a directory for the test"));
    write(directory.path(), "foghorn.yml", "scrape_configs: []\n");
    let args = ["--config.file=foghorn.yml"].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
    Foghorn::start_in(directory, args)
}

pub(crate) fn send(foghorn: &Foghorn, protocol: Protocol, series: &[Sent]) -> crate::world::Answer {
    let content_type = match protocol {
        Protocol::V1 => "application/x-protobuf",
        Protocol::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    };
    let headers = [("content-type", content_type), ("content-encoding", "snappy")];
    http(foghorn.port, "POST", "/api/v1/write", &headers, &body(protocol, series)).expect("an answer")
}

#[test]
fn samples_of_other_servers_are_taken_if_that_is_on() {
    let foghorn = start(&["--web.enable-remote-write-receiver"]);
    let now = now_millis();
    let mut up = Sent::series(&[("__name__", "sent"), ("job", "a")]).samples(&[(now, 4.0)]);
    up.exemplars.push((vec![("trace_id".to_owned(), "x".to_owned())], 1.0, now));
    let answer = send(&foghorn, Protocol::V2, &[up]);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.headers.contains("x-prometheus-remote-write-samples-written: 1"), "{answer:?}");
    assert_eq!(foghorn.value("sent"), Some(4.0));
    let older = [Sent::series(&[("__name__", "sent"), ("job", "a")]).samples(&[(now - 1000, 5.0)])];
    let answer = send(&foghorn, Protocol::V1, &older);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("out of order sample: sent{job=\"a\"}"), "{answer:?}");
    let answer = http(foghorn.port, "POST", "/api/v1/write", &[("content-type", "text/plain")], "")
        .expect("an answer");
    assert_eq!(answer.status, 415, "{answer:?}");

    let off = start(&[]);
    let answer = send(&off, Protocol::V1, &older);
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.body.contains("--web.enable-remote-write-receiver"), "{answer:?}");
}
