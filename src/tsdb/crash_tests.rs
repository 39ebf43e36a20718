//! The store on a disk that fails at every call of a run.

use std::collections::BTreeMap;

use journal::simulated::{Fault, SimDisk};
use model::{Labels, SampleValue, Timestamp};
use ports::{Append, AppendError, WriteBatch};

use crate::model_tests::{all, row, samples};
use crate::{ReplayReport, Tsdb, TsdbOptions};

const START: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;
const STEPS: i64 = 60;

/// Small segments, so that a short run goes through everything that a long one does.
fn options() -> TsdbOptions {
    TsdbOptions { segment_bytes: 400, ..crate::model_tests::options() }
}

type Found = BTreeMap<(Labels, i64), u64>;

fn labels(n: i64) -> Labels {
    Labels::from([("__name__", "m"), ("n", n.to_string().as_str())])
}

/// The rows of one step: series come and go, values are unlike each other.
fn batch(step: i64) -> WriteBatch {
    let at = START + step * 10 * MINUTE;
    let rows = (0..4).map(|n| row(&labels(n + step / 6), at + n, (step * 10 + n) as f64 / 3.0));
    WriteBatch { rows: rows.collect() }
}

fn as_found(batch: &WriteBatch) -> impl Iterator<Item = ((Labels, i64), u64)> + '_ {
    let bits = |value: &SampleValue| value.as_float().expect("a number").to_bits();
    batch.rows.iter().map(move |row| ((row.labels.clone(), row.at.as_millis()), bits(&row.value)))
}

#[derive(Default)]
struct Told {
    /// Appended with `Ok`.
    appended: Found,
    /// And synced with `Ok`.
    synced: Found,
    /// All that was tried.
    tried: Found,
    now: i64,
}

/// What a server does: append each step, sync often, retain now and then; it goes on after errors.
fn run(tsdb: &Tsdb, steps: std::ops::Range<i64>) -> Told {
    let mut told = Told::default();
    for step in steps {
        let batch = batch(step);
        told.tried.extend(as_found(&batch));
        told.now = START + step * 10 * MINUTE;
        if tsdb.append(&batch).is_ok() {
            told.appended.extend(as_found(&batch));
        }
        if step % 2 == 0 && tsdb.sync().is_ok() {
            told.synced = told.appended.clone();
        }
        if step % 5 == 0 {
            let _ = tsdb.retain(Timestamp::from_millis(told.now));
        }
    }
    told
}

fn found(tsdb: &Tsdb) -> Found {
    let set = tsdb.select_now(&all(i64::MIN, i64::MAX)).expect("everything can be read");
    let mut found = Found::new();
    for series in &set.series {
        for (at, value) in samples(series) {
            found.insert((series.labels.clone(), at), value.as_float().expect("a number").to_bits());
        }
    }
    found
}

/// What must be there: what is inside the retention.
fn kept(all: &Found, now: i64) -> Found {
    let horizon = now - options().retention.as_millis() as i64;
    all.iter().filter(|((_, at), _)| *at >= horizon).map(|(k, v)| (k.clone(), *v)).collect()
}

fn assert_contains(found: &Found, expected: &Found, context: &dyn Fn() -> String) {
    for (key, value) in expected {
        assert_eq!(found.get(key), Some(value), "{key:?}: {}", context());
    }
}

fn calls_of_a_run() -> u64 {
    let disk = SimDisk::new(0);
    let (tsdb, _) = Tsdb::open(disk.disk(), options()).unwrap();
    run(&tsdb, 0..STEPS);
    let stats = tsdb.stats();
    assert!(stats.wal_segment > 3 && stats.chunk_log_bytes > 0 && stats.series_removed > 0, "{stats:?}");
    disk.calls()
}

fn opened(disk: &SimDisk) -> (Tsdb, ReplayReport) {
    Tsdb::open(disk.disk(), options()).expect("the store always opens")
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_that_was_synced() {
    for call in 0..calls_of_a_run() {
        for seed in 0..2 {
            let disk = SimDisk::new(seed * 10_000 + call);
            disk.fail_at(call, Fault::Crash);
            let told = match Tsdb::open(disk.disk(), options()) {
                Ok((tsdb, _)) => run(&tsdb, 0..STEPS),
                Err(_) => Told::default(),
            };
            let history = disk.history();
            disk.power_cut();
            let (tsdb, report) = opened(&disk);
            let context = || format!("call {call}, seed {seed}, {report:?}\n{history}");
            assert_eq!(report.damaged().count(), 0, "{}", context());
            let now = told.synced.keys().map(|(_, at)| *at).max().unwrap_or(START);
            let seen = found(&tsdb);
            assert_contains(&seen, &kept(&told.synced, now), &context);
            for (key, value) in &seen {
                assert_eq!(told.tried.get(key), Some(value), "{}", context());
            }
            // And it goes on.
            let more = run(&tsdb, STEPS..STEPS + 4);
            assert_eq!(more.appended, more.tried, "{}", context());
            assert_contains(&found(&tsdb), &more.appended, &context);
        }
    }
}

#[test]
fn a_kill_at_any_call_loses_nothing_that_was_appended() {
    for call in 0..calls_of_a_run() {
        let disk = SimDisk::new(call);
        disk.fail_at(call, Fault::Crash);
        let told = match Tsdb::open(disk.disk(), options()) {
            Ok((tsdb, _)) => run(&tsdb, 0..STEPS),
            Err(_) => Told::default(),
        };
        disk.kill();
        let (tsdb, report) = opened(&disk);
        assert_eq!(report.damaged().count(), 0, "call {call}");
        let now = told.appended.keys().map(|(_, at)| *at).max().unwrap_or(START);
        let context = || format!("call {call}, {report:?}");
        assert_contains(&found(&tsdb), &kept(&told.appended, now), &context);
    }
}

#[test]
fn one_failing_call_loses_nothing_that_was_acknowledged() {
    for call in 0..calls_of_a_run() {
        let disk = SimDisk::new(call);
        disk.fail_at(call, Fault::Error);
        let Ok((tsdb, _)) = Tsdb::open(disk.disk(), options()) else { continue };
        let told = run(&tsdb, 0..STEPS);
        assert!(told.appended.len() >= told.tried.len() - 4, "call {call}: at most one batch is refused");
        let history = disk.history();
        let context = || format!("call {call}\n{history}");
        assert_contains(&found(&tsdb), &kept(&told.appended, told.now), &context);
        tsdb.sync().expect("the disk works again");
        drop(tsdb);
        disk.power_cut();
        let (tsdb, _) = opened(&disk);
        assert_contains(&found(&tsdb), &kept(&told.appended, told.now), &context);
    }
}

#[test]
fn a_refused_batch_leaves_no_trace() {
    let disk = SimDisk::new(1);
    let (tsdb, _) = opened(&disk);
    tsdb.append(&batch(0)).unwrap();
    let before = tsdb.stats();
    disk.set_capacity(Some(disk.used()));
    let error = tsdb.append(&batch(30)).unwrap_err();
    assert!(matches!(error, AppendError::Log(_)), "{error}");
    // Of series that are there already as well: a second try is not taken for a repeat.
    let error = tsdb.append(&batch(1)).unwrap_err();
    assert!(matches!(error, AppendError::Log(_)), "{error}");
    assert_eq!(crate::TsdbStats { wal_failures: 2, ..before }, tsdb.stats());
    // Space returns: the same rows are taken, those that were there already included.
    disk.set_capacity(None);
    tsdb.append(&batch(1)).unwrap();
    let appended = tsdb.append(&batch(30)).unwrap();
    assert!(appended.outcome.iter().all(Result::is_ok));
    assert_eq!(appended.created, 4);
    drop(tsdb);
    disk.kill();
    assert_eq!(found(&opened(&disk).0).len(), 12);
}

#[test]
fn a_full_disk_stops_appends_only_and_recovers() {
    let disk = SimDisk::new(2);
    let (tsdb, _) = opened(&disk);
    let mut told = run(&tsdb, 0..20);
    disk.set_capacity(Some(disk.used() + 300));
    let full = run(&tsdb, 20..40);
    assert!(full.appended.len() < full.tried.len(), "{}", full.appended.len());
    told.appended.extend(full.appended);
    assert_contains(&found(&tsdb), &kept(&told.appended, full.now), &|| "while full".to_owned());
    disk.set_capacity(None);
    let after = run(&tsdb, 40..60);
    assert_eq!(after.appended, after.tried);
    told.appended.extend(after.appended);
    drop(tsdb);
    disk.power_cut();
    let (tsdb, report) = opened(&disk);
    assert_eq!(report.damaged().count(), 0);
    told.appended.retain(|(_, at), _| *at < START + 59 * 10 * MINUTE);
    assert_contains(&found(&tsdb), &kept(&told.appended, after.now), &|| "after all".to_owned());
}

#[test]
fn a_flipped_bit_anywhere_is_contained() {
    for case in 0..200u64 {
        let disk = SimDisk::new(case);
        let (tsdb, _) = opened(&disk);
        let told = run(&tsdb, 0..STEPS);
        tsdb.sync().unwrap();
        drop(tsdb);
        let files = disk.files();
        let (path, bytes) = &files[(disk.random() as usize) % files.len()];
        if bytes.is_empty() {
            continue;
        }
        disk.flip_bit(path, disk.random());
        let (tsdb, report) = opened(&disk);
        let last_of_its_log = {
            let newest = |dir: &str| files.iter().map(|f| &f.0).filter(|p| p.starts_with(dir)).max();
            Some(path) == newest("wal") || Some(path) == newest("chunks")
        };
        assert!(report.damaged().count() == 1 || last_of_its_log, "{path:?}: {report:?}");
        let seen = found(&tsdb);
        for (key, value) in &seen {
            assert_eq!(told.tried.get(key), Some(value), "{path:?}");
        }
        // One segment of either log holds but a part.
        assert!(seen.len() * 2 > kept(&told.appended, told.now).len(), "{path:?}: {}", seen.len());
        assert_eq!(run(&tsdb, STEPS..STEPS + 3).appended.len(), 12);
    }
}

#[test]
fn a_chunk_that_went_bad_is_said_once_and_then_left_out() {
    let disk = SimDisk::new(9);
    let (tsdb, _) = opened(&disk);
    run(&tsdb, 0..STEPS);
    drop(tsdb);
    disk.kill();
    let (tsdb, _) = opened(&disk);
    let path = disk.files().into_iter().map(|file| file.0).find(|path| path.starts_with("chunks"));
    disk.flip_bit(&path.expect("chunks were saved"), 8 * 100);
    let error = (0..2).find_map(|_| tsdb.select_now(&all(i64::MIN, i64::MAX)).err()).expect("found");
    assert!(error.message.contains("cannot be read: the checksum of a record does not fit"), "{error}");
    assert_eq!(tsdb.stats().corruptions, 1);
    assert!(!found(&tsdb).is_empty());
}

#[test]
fn disk_and_memory_stay_bounded() {
    let disk = SimDisk::new(3);
    let (tsdb, _) = opened(&disk);
    let mut most = (0, 0, 0);
    for day in 0..40 {
        run(&tsdb, day * 50..(day + 1) * 50);
        let stats = tsdb.stats();
        if day == 4 {
            most = (disk.used(), stats.chunks, stats.series);
        }
        if day > 4 {
            assert!(disk.used() <= most.0 * 2, "day {day}: {} after {}", disk.used(), most.0);
            assert!(stats.chunks <= most.1 * 2 && stats.series <= most.2 * 2, "day {day}: {stats:?}");
        }
    }
}

#[test]
fn a_long_log_is_emptied_at_the_end() {
    let disk = SimDisk::new(4);
    let (tsdb, _) = opened(&disk);
    for step in 0..STEPS {
        tsdb.append(&batch(step)).unwrap();
    }
    let before = found(&tsdb);
    tsdb.close().unwrap();
    assert!(matches!(tsdb.append(&batch(99)), Err(AppendError::Closed)));
    assert_eq!(found(&tsdb), before);
    drop(tsdb);
    disk.power_cut();
    let (tsdb, report) = opened(&disk);
    assert_eq!(report.samples, 0, "{report:?}");
    assert_eq!(found(&tsdb), before);
}

#[test]
fn a_clock_that_steps_empties_nothing() {
    let disk = SimDisk::new(5);
    let (tsdb, _) = opened(&disk);
    tsdb.append(&batch(0)).unwrap();
    let before = found(&tsdb);
    for now in [i64::MAX, i64::MIN, 0, START + 1_000_000 * MINUTE, START - 1_000_000 * MINUTE] {
        tsdb.retain(Timestamp::from_millis(now)).unwrap();
        assert_eq!(found(&tsdb), before, "{now}");
    }
    // What the clock says now decides what is taken: not what is far ahead of it.
    tsdb.retain(Timestamp::from_millis(START)).unwrap();
    assert!(tsdb.append(&batch(1)).unwrap().outcome.iter().all(Result::is_ok));
    let days = |n: i64| row(&labels(0), START + n * 24 * 60 * MINUTE, 1.0);
    let outcome = tsdb.append(&WriteBatch { rows: vec![days(1), days(2)] }).unwrap().outcome;
    assert_eq!((outcome[0].is_ok(), outcome[1]), (true, Err(ports::Rejected::OutOfBounds)));
}
