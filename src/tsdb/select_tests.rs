//! Queries that people know by heart, concurrency, and what the store says about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::simulated::SimDisk;
use model::{Labels, MatchOp, Matcher, Samples, Selection, SeriesReader as _, Timestamp};
use ports::{Append, Rejected, Row, Select, WriteBatch};

use crate::model_tests::{all, options, row, samples};
use crate::{Tsdb, TsdbOptions};

fn store(options: TsdbOptions) -> Tsdb {
    Tsdb::open(SimDisk::new(0).disk(), options).unwrap().0
}

fn append(tsdb: &Tsdb, rows: Vec<Row>) -> Vec<Result<u64, Rejected>> {
    let appended = tsdb.append(&WriteBatch { rows }).unwrap();
    appended.outcome.into_iter().map(|outcome| outcome.map(|reference| reference.0)).collect()
}

/// `name op "pattern"`, separated by spaces.
fn matchers(text: &str) -> Vec<Matcher> {
    text.split_whitespace()
        .map(|matcher| {
            let ops = [
                ("=~", MatchOp::Regex),
                ("!~", MatchOp::NotRegex),
                ("!=", MatchOp::NotEqual),
                ("=", MatchOp::Equal),
            ];
            let (at, text, op) =
                ops.iter().find_map(|(text, op)| matcher.find(text).map(|at| (at, *text, *op))).unwrap();
            Matcher::new(&matcher[..at], op, matcher[at + text.len()..].trim_matches('"')).unwrap()
        })
        .collect()
}

#[test]
fn matchers_select_as_users_expect() {
    let tsdb = store(options());
    let series = [
        Labels::from([("job", "api"), ("zone", "eu")]),
        Labels::from([("job", "api"), ("zone", "us")]),
        Labels::from([("job", "api")]),
        Labels::from([("job", "db"), ("zone", "eu")]),
        Labels::from([("zone", "eu")]),
        Labels::from([("job", "api.v2")]),
    ];
    append(&tsdb, series.iter().map(|labels| row(labels, 1000, 1.0)).collect());
    for (text, expected) in [
        // Equality; a missing label is the empty text.
        (r#"job="db""#, "db/eu"),
        (r#"job="api" zone="eu""#, "api/eu"),
        (r#"job="api" zone="""#, "api/"),
        (r#"job="""#, "/eu"),
        (r#"zone="""#, "api.v2/ api/"),
        (r#"owner="""#, "/eu api.v2/ api/ api/eu api/us db/eu"),
        (r#"owner="ops""#, ""),
        // Its negation, which series without the label satisfy.
        (r#"zone!="eu""#, "api.v2/ api/ api/us"),
        (r#"job="api" zone!="eu""#, "api/ api/us"),
        (r#"zone!="""#, "/eu api/eu api/us db/eu"),
        (r#"owner!="ops" job="db""#, "db/eu"),
        (r#"owner!="""#, ""),
        // Regular expressions over whole values; a dot is any character, unless there is none.
        (r#"job=~"api""#, "api/ api/eu api/us"),
        (r#"job=~"api.*""#, "api.v2/ api/ api/eu api/us"),
        (r#"job=~"api.v2""#, "api.v2/"),
        (r#"job=~"api|db""#, "api/ api/eu api/us db/eu"),
        (r#"job=~"db|none|api.v2""#, "api.v2/ db/eu"),
        (r#"zone=~"us|""#, "api.v2/ api/ api/us"),
        (r#"zone=~".*" job="db""#, "db/eu"),
        (r#"zone=~".+" job=~"api""#, "api/eu api/us"),
        (r#"job=~"""#, "/eu"),
        // Their negation.
        (r#"job!~"api.*""#, "/eu db/eu"),
        (r#"job!~"api|db""#, "/eu api.v2/"),
        (r#"zone!~"eu|""#, "api/us"),
        (r#"zone!~".+""#, "api.v2/ api/"),
        (r#"zone!~".*""#, ""),
        (r#"job="api" zone!~"u.""#, "api/ api/eu"),
        // Several on one label.
        (r#"job=~".+" job!="api" job!~"d.""#, "api.v2/"),
        (r#"job="api" job="db""#, ""),
        ("", "/eu api.v2/ api/ api/eu api/us db/eu"),
    ] {
        let selection = Selection {
            matchers: matchers(text),
            start: Timestamp::EPOCH,
            end: Timestamp::from_millis(2000),
        };
        let mut found: Vec<String> = tsdb
            .select_now(&selection)
            .unwrap()
            .series
            .iter()
            .map(|series| format!("{}/{}", series.labels.value("job"), series.labels.value("zone")))
            .collect();
        found.sort();
        assert_eq!(found.join(" "), expected, "{{{text}}}");
    }
}

#[test]
fn a_span_inside_a_chunk_counts_only_if_a_sample_is_in_it() {
    let tsdb = store(options());
    let up = Labels::from([("__name__", "up")]);
    append(&tsdb, [1000, 2000, 5000].iter().map(|at| row(&up, *at, 1.0)).collect());
    for (start, end, expected) in [
        (0, 999, false),
        (1000, 1000, true),
        (1001, 1999, false),
        (1001, 2000, true),
        (2001, 4999, false),
        (5001, 9000, false),
        (3000, 2000, false),
    ] {
        let (from, to) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        assert_eq!(!tsdb.series_now(&[], from, to).unwrap().is_empty(), expected, "{start} to {end}");
        assert_eq!(
            !tsdb.select_now(&all(start, end)).unwrap().series.is_empty(),
            expected,
            "{start} to {end}"
        );
    }
}

#[test]
fn rows_are_rejected_one_by_one() {
    let tsdb = store(TsdbOptions { series_max: Some(2), ..options() });
    let [a, b, c] = ["a", "b", "c"].map(|name| Labels::from([("__name__", name)]));
    let outcome = append(
        &tsdb,
        vec![
            row(&a, 1000, 1.0),
            row(&a, 1000, 1.0),
            row(&a, 1000, 2.0),
            row(&a, 999, 1.0),
            row(&b, 1000, f64::NAN),
            row(&b, 1000, f64::NAN),
            row(&c, 1000, 1.0),
            row(&a, 1001, 1.0),
        ],
    );
    let expected = [
        Ok(0),
        Ok(0),
        Err(Rejected::DuplicateTimestamp),
        Err(Rejected::OutOfOrder),
        Ok(1),
        Ok(1),
        Err(Rejected::SeriesLimit),
        Ok(0),
    ];
    assert_eq!(outcome, expected);
    let stats = tsdb.stats();
    assert_eq!(stats.samples_appended, 3);
    let rejected = stats.rejected;
    assert_eq!((rejected.duplicate, rejected.out_of_order, rejected.series_limit), (1, 1, 1));
    assert_eq!(tsdb.select_now(&all(0, 2000)).unwrap().series.len(), 2);
}

#[test]
fn the_same_sample_after_a_restart_is_no_duplicate() {
    let disk = SimDisk::new(0);
    let up = Labels::from([("__name__", "up")]);
    let (tsdb, _) = Tsdb::open(disk.disk(), TsdbOptions { segment_bytes: 1, ..options() }).unwrap();
    append(&tsdb, vec![row(&up, 1000, 1.0)]);
    tsdb.close().unwrap();
    drop(tsdb);
    let (tsdb, report) = Tsdb::open(disk.disk(), options()).unwrap();
    assert_eq!((report.samples, report.chunks_found), (0, 1), "the value is in a chunk on disk");
    let outcome = append(&tsdb, vec![row(&up, 1000, 2.0), row(&up, 1000, 1.0), row(&up, 1001, 3.0)]);
    assert_eq!(outcome.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn a_wrong_hint_is_only_slower() {
    let tsdb = store(options());
    let [a, b] = ["a", "b"].map(|name| Labels::from([("__name__", name)]));
    append(&tsdb, vec![row(&a, 1000, 1.0)]);
    for (at, hint) in [(1, 0), (2, 1), (3, 77), (4, u64::MAX)] {
        let mut hinted = row(&b, at, 1.0);
        hinted.hint = Some(model::SeriesRef(hint));
        assert_eq!(append(&tsdb, vec![hinted]), [Ok(1)]);
    }
}

#[test]
fn cardinality_lists_the_largest() {
    let tsdb = store(options());
    let mut rows = Vec::new();
    for n in 0..5 {
        let instance = format!("host{n}");
        rows.push(row(&Labels::from([("__name__", "up"), ("instance", instance.as_str())]), 1, 1.0));
    }
    rows.push(row(&Labels::from([("__name__", "down"), ("instance", "host1")]), 1, 1.0));
    append(&tsdb, rows);
    let cardinality = tsdb.cardinality(2);
    let list = |entries: &[(&str, u64)]| -> Vec<(String, u64)> {
        entries.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    };
    assert_eq!(cardinality.series_by_metric, list(&[("up", 5), ("down", 1)]));
    assert_eq!(cardinality.values_by_label, list(&[("instance", 5), ("__name__", 2)]));
    assert_eq!(cardinality.bytes_by_label, list(&[("instance", 30), ("__name__", 14)]));
    assert_eq!(cardinality.series_by_pair, list(&[("__name__=up", 5), ("instance=host1", 2)]));
}

#[test]
fn readers_see_a_batch_whole_or_not_at_all() {
    let tsdb = store(options());
    let series: Vec<Labels> =
        (0..20).map(|n| Labels::from([("__name__", "m"), ("n", n.to_string().as_str())])).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let appending: Vec<_> = [0, 10]
            .map(|from| {
                let (tsdb, series) = (&tsdb, &series[from..from + 10]);
                scope.spawn(move || {
                    for step in 0..400 {
                        let rows = series.iter().map(|labels| row(labels, step * 60_000, step as f64));
                        tsdb.append(&WriteBatch { rows: rows.collect() }).unwrap();
                    }
                })
            })
            .into();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                tsdb.sync().unwrap();
                tsdb.retain(Timestamp::MAX).unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let set = tsdb.select_now(&all(i64::MIN, i64::MAX)).unwrap();
                let newest = |series: &model::Series| samples(series).last_key_value().map(|(at, _)| *at);
                let of = |range: std::ops::Range<usize>| {
                    let names: Vec<String> = range.map(|n| n.to_string()).collect();
                    let chosen = set.series.iter().filter(|s| names.iter().any(|n| n == s.labels.value("n")));
                    chosen.map(newest).collect::<Vec<_>>()
                };
                for half in [of(0..10), of(10..20)] {
                    assert!(half.is_empty() || half.len() == 10, "{half:?}");
                    assert!(half.windows(2).all(|w| w[0] == w[1]), "{half:?}");
                }
            }
        });
        for thread in appending {
            thread.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let set = tsdb.select_now(&all(399 * 60_000, i64::MAX)).unwrap();
    assert_eq!(set.series.len(), 20);
}

#[test]
fn what_was_appended_is_seen_through_the_port() {
    let tsdb = Arc::new(store(options()));
    let port: Arc<dyn Append> = Arc::clone(&tsdb) as Arc<dyn Append>;
    port.append(&WriteBatch { rows: vec![row(&Labels::from([("__name__", "up")]), 1, 1.0)] }).unwrap();
    assert_eq!(tsdb.select_now(&all(1, 1)).unwrap().series.len(), 1);
}

#[test]
fn a_reader_sees_what_was_there_when_it_was_made() {
    let tsdb = Arc::new(store(options()));
    let up = Labels::from([("__name__", "up")]);
    let append_at = |at: i64| append(&tsdb, vec![row(&up, at, at as f64)]);
    (1..=500).for_each(|second| drop(append_at(second * 1000)));
    let found = Select::find(Arc::clone(&tsdb), all(0, i64::MAX));
    let reader = futures_ready(found).unwrap();
    assert_eq!((reader.series_len(), reader.labels(0)), (1, &up));
    assert_eq!(reader.samples_estimate(), 500);
    let newest = Some((Timestamp::from_secs(500), 500_000.0.into()));
    assert_eq!(reader.newest(0, Timestamp::from_secs(500)), newest);
    assert_eq!(reader.newest(0, Timestamp::from_secs(499)), None);
    // Later samples, which also close the chunk that was open.
    (501..=900).for_each(|second| drop(append_at(second * 1000)));
    let mut samples = Samples::default();
    for (start, end, expected) in [
        (0, 900, 1..501),
        (100, 200, 100..201),
        (490, 600, 490..501),
        (120, 120, 120..121),
        (600, 900, 0..0),
        (20, 10, 0..0),
    ] {
        reader.read(0, Timestamp::from_secs(start), Timestamp::from_secs(end), &mut samples).unwrap();
        let seconds: Vec<i64> = samples.floats.iter().map(|s| s.at.as_millis() / 1000).collect();
        assert_eq!(seconds, expected.collect::<Vec<i64>>(), "{start} to {end}");
    }
    assert_eq!(reader.newest(0, Timestamp::from_secs(900)), newest, "what came later is another selection's");
}

/// What a future has that is ready.
fn futures_ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the store answers at once"),
    }
}

#[test]
fn rare_labels_first_and_the_rest_on_series() {
    let tsdb = store(options());
    let labels = |number: usize| {
        let (name, instance) = (format!("m{}", number % 3), format!("node-{:03}", number / 3));
        Labels::from([("__name__", name.as_str()), ("instance", &instance), ("job", "x")])
    };
    append(&tsdb, (0..900).map(|number| row(&labels(number), 1000, number as f64)).collect());
    for (text, expected) in [
        (r#"job="x" __name__="m1""#, 300),
        (r#"__name__="m1" instance="node-007""#, 1),
        (r#"__name__="m1" instance=~"node-0[0-4].""#, 50),
        (r#"__name__=~"m.*" instance=~"node-00.|node-299" job="x""#, 33),
        (r#"__name__="m1" instance!~"node-0.*""#, 200),
        (r#"__name__="m1" instance!="node-007" instance=~"node-00.""#, 9),
        (r#"__name__!="m1" instance=~"node-007""#, 2),
        (r#"__name__="m1" instance="node-007" owner="""#, 1),
        (r#"__name__="m1" instance="node-007" owner!="""#, 0),
        (r#"__name__="m9" instance=~".*""#, 0),
        // Patterns alone: what they need is looked up, and then they are tried.
        (r#"instance=~"node-0(07|99)""#, 6),
        (r#"instance=~"node-00[12].*|node-01.""#, 36),
        (r#"instance=~"node-(1..|10.)""#, 300),
        (r#"instance=~".*-299""#, 3),
        (r#"instance=~"ö.*|node-000""#, 3),
    ] {
        let selection = Selection {
            matchers: matchers(text),
            start: Timestamp::EPOCH,
            end: Timestamp::from_millis(2000),
        };
        let found = tsdb.select_now(&selection).unwrap().series;
        assert_eq!(found.len(), expected, "{{{text}}}");
        assert!(found.iter().all(|s| selection.matchers.iter().all(|m| m.matches_labels(&s.labels))));
    }
}
