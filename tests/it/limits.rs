//! What one client asks for is bounded, and nobody else waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use remote::Protocol;
use remote::testing::Sent;
use tempfile::TempDir;

use crate::remote_write::{now_millis, send};
use crate::world::{Foghorn, escape, eventually, get, http, write};

const RULES: &str = r#"
groups:
  - name: beside
    interval: 1s
    rules:
      - record: instances:wide
        expr: count by (job) (wide{n=~"1.."})
"#;

/// A metric of the server itself, over all its labels.
fn metric(port: u16, name: &str) -> f64 {
    let page = get(port, "/metrics").body;
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    page.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Ends what runs beside a test, also when the test fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_query_for_too_many_samples_ends_and_the_rules_beside_it_are_not_late() {
    let directory = Arc::new(TempDir::new().expect("a directory for the test"));
    write(directory.path(), "foghorn.yml", "rule_files: [rules.yml]\n");
    write(directory.path(), "rules.yml", RULES);
    let args =
        ["--config.file=foghorn.yml", "--web.enable-remote-write-receiver", "--query.max-samples=20000"];
    let foghorn = Foghorn::start_in(directory, args.map(str::to_owned).into());
    let now = now_millis();
    let wide: Vec<Sent> = (0..500)
        .map(|n| {
            let samples: Vec<(i64, f64)> =
                (0..60u32).map(|k| (now - i64::from(60 - k) * 5000, f64::from(k))).collect();
            Sent::series(&[("__name__", "wide"), ("job", "a"), ("n", &n.to_string())]).samples(&samples)
        })
        .collect();
    assert_eq!(send(&foghorn, Protocol::V1, &wide).status, 204);

    let (ended, refused, port) = (AtomicBool::new(false), AtomicU32::new(0), foghorn.port);
    let ask = || {
        let expr = escape("max_over_time(rate(wide[1m])[5m:1s])");
        let range = format!("query={expr}&start={0}&end={1}&step=1", now / 1000 - 300, now / 1000);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        while !ended.load(Ordering::Relaxed) {
            let answer = http(port, "POST", "/api/v1/query_range", &headers, &range).expect("an answer");
            assert_eq!(answer.status, 422, "{answer:?}");
            assert!(answer.body.contains("20000"), "{answer:?}");
            refused.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&ended);
        scope.spawn(ask);
        scope.spawn(ask);
        let iterations = || metric(port, "prometheus_rule_group_iterations_total");
        let goal = iterations() + 5.0;
        eventually("five more evaluations", || (iterations() >= goal).then_some(()));
    });
    assert!(refused.load(Ordering::Relaxed) > 0);
    assert!(metric(port, "prometheus_rule_group_iterations_missed_total") < 0.5);
    assert_eq!(foghorn.value("instances:wide"), Some(100.0));
}
