//! Yesterday's directory opens today: `tests/fixtures/data-v1` was written by the first version of format 1 and is kept
//! for good. `expected.txt` beside it says what is in it.
//!
//! `FOGHORN_WRITE_FIXTURE=1 cargo test -p tsdb fixture` writes it anew; only for a new format, into a new folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::simulated::SimDisk;
use journal::{LocalCoord, LocalCoordOptions};
use model::{BucketSpan, CounterResetHint, Histogram, Labels, SampleValue, Timestamp};
use ports::{Append, Change, Coord, WriteBatch};

use crate::model_tests::{all, row, samples};
use crate::{Tsdb, TsdbOptions};

const START: i64 = 1_790_000_000_000;
const STATE_DIR: &str = "journal/alerting";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/data-v1")
}

fn options() -> TsdbOptions {
    TsdbOptions { segment_bytes: 2000, ..TsdbOptions::default() }
}

fn histogram(n: i64) -> SampleValue {
    SampleValue::Histogram(Arc::new(Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: 8.0 + n as f64,
        sum: 1.5 * n as f64,
        positive_spans: vec![BucketSpan { offset: -2, length: 2 }, BucketSpan { offset: 3, length: 1 }],
        positive_buckets: vec![1.0, 2.0 + n as f64, 2.0],
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_buckets: vec![2.0],
        custom_values: Vec::new(),
        counter_reset_hint: CounterResetHint::NotReset,
    }))
}

/// Everything that the format can say: both encodings, closed and open chunks, saved and not, special values, a series
/// that changes its kind, text beyond ASCII.
fn fill(disk: &SimDisk) {
    let (tsdb, _) = Tsdb::open(disk.disk(), options()).unwrap();
    let counter = Labels::from([("__name__", "requests_total"), ("job", "api"), ("path", "/ü \"x\"")]);
    let gauge = Labels::from([("__name__", "model_result"), ("instance", "a:1"), ("job", "mock")]);
    let native = Labels::from([("__name__", "latency_seconds"), ("job", "api")]);
    for n in 0..300i64 {
        let at = START + n * 15_000;
        let gauge_value = match n % 50 {
            7 => f64::NEG_INFINITY,
            8 => model::stale_nan(),
            9 => -0.0,
            _ => (n as f64 / 10.0).sin(),
        };
        let mut rows = vec![row(&counter, at, (n * 3) as f64), row(&gauge, at + n % 3, gauge_value)];
        if n % 4 == 0 {
            let value = if n == 100 { SampleValue::Float(model::stale_nan()) } else { histogram(n) };
            rows.push(row(&native, at, value));
        }
        tsdb.append(&WriteBatch { rows }).unwrap();
        if n == 250 {
            tsdb.retain(Timestamp::from_millis(at)).unwrap();
        }
        if n % 40 == 0 {
            tsdb.sync().unwrap();
        }
    }
    tsdb.sync().unwrap();
    let small = LocalCoordOptions { snapshot_bytes: 100, reserve_bytes: 0 };
    let (coord, _) = LocalCoord::open(disk.disk(), Path::new(STATE_DIR), small).unwrap();
    for n in 0..30u8 {
        let put = Change { key: vec![b'k', n % 4], value: Some(vec![n; usize::from(n % 7) * 5]) };
        let remove = Change { key: vec![b'k', (n + 1) % 3], value: None };
        coord.commit_blocking(&[], &[put, remove]).unwrap();
    }
}

fn dump(disk: &SimDisk) -> String {
    let mut text = String::new();
    let (tsdb, report) = Tsdb::open(disk.disk(), options()).unwrap();
    assert_eq!((report.damaged().count(), report.unknown_records, report.orphans), (0, 0, 0), "{report:?}");
    assert!(report.chunks_found > 0 && report.samples > 0, "{report:?}");
    for series in tsdb.select_now(&all(i64::MIN, i64::MAX)).unwrap().series {
        let _ = writeln!(text, "{}", series.labels);
        for (at, value) in samples(&series) {
            let _ = match value {
                SampleValue::Float(value) => writeln!(text, "  {} {:016x}", at - START, value.to_bits()),
                SampleValue::Histogram(histogram) => writeln!(text, "  {} {histogram:?}", at - START),
            };
        }
    }
    let (coord, replay) =
        LocalCoord::open(disk.disk(), Path::new(STATE_DIR), LocalCoordOptions::default()).unwrap();
    assert_eq!((replay.torn_bytes, replay.damaged), (0, vec![]));
    for (key, value) in coord.load().unwrap() {
        let _ = writeln!(text, "{key:?} {value:?}");
    }
    text
}

fn read_folder(disk: &SimDisk, root: &Path, below: &Path) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        if root.join(&path).is_dir() {
            read_folder(disk, root, &path);
        } else {
            disk.put(&path, &fs::read(root.join(&path)).unwrap());
        }
    }
}

#[test]
fn fixture_of_format_1_opens() {
    let data = folder().join("data");
    if std::env::var_os("FOGHORN_WRITE_FIXTURE").is_some() {
        let disk = SimDisk::new(1);
        fill(&disk);
        disk.kill();
        disk.put(Path::new("FORMAT"), b"foghorn-data 1\n");
        for (path, bytes) in disk.files() {
            fs::create_dir_all(data.join(&path).parent().unwrap()).unwrap();
            fs::write(data.join(&path), bytes).unwrap();
        }
        fs::write(folder().join("expected.txt"), dump(&disk)).unwrap();
    }
    let disk = SimDisk::new(1);
    read_folder(&disk, &data, Path::new(""));
    let expected = fs::read_to_string(folder().join("expected.txt")).unwrap();
    assert!(dump(&disk) == expected, "the directory no longer means what it meant; see expected.txt");
}
