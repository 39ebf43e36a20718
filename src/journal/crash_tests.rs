//! The log and the local state on a disk that fails at every call of a run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ports::{Change, Condition, CoordError};

use crate::simulated::{Fault, SimDisk};
use crate::{Batch, Commit, LocalCoord, LocalCoordOptions, Log, LogOptions, Replay, StateLog};

const DIR: &str = "wal";

fn open(disk: &SimDisk, segment_bytes: u64) -> (Log, Replay, Vec<Vec<u8>>) {
    let mut found = Vec::new();
    let (log, replay) = Log::open(disk.disk(), Path::new(DIR), LogOptions { segment_bytes }, &mut |record| {
        assert_eq!(record.kind, 1);
        found.push(record.body.to_vec());
    })
    .expect("a log opens");
    (log, replay, found)
}

fn append(log: &Log, text: &str) -> std::io::Result<()> {
    let mut batch = Batch::new();
    batch.push(1, text.as_bytes());
    log.append(&batch).map(drop)
}

fn numbers(found: &[Vec<u8>]) -> Vec<u64> {
    found
        .iter()
        .map(|body| std::str::from_utf8(body).expect("text").trim().parse().expect("a number"))
        .collect()
}

/// What a run was told: appended with `Ok`, and synced with `Ok`.
#[derive(Default)]
struct Acknowledged {
    appended: Vec<u64>,
    synced: usize,
}

/// Appends numbers of different lengths, syncs now and then; goes on after errors, as a server does.
fn run(log: &Log, from: u64) -> Acknowledged {
    let mut told = Acknowledged::default();
    for number in from..from + 40 {
        let text = format!("{number:>width$}", width = 1 + (number as usize * 97) % 700);
        if append(log, &text).is_ok() {
            told.appended.push(number);
        }
        if number % 3 == 0 && log.sync().is_ok() {
            told.synced = told.appended.len();
        }
    }
    told
}

/// Removes repeats that a rewritten segment causes: they follow each other in runs, and readers take them as the same.
fn distinct(numbers: &[u64]) -> Vec<u64> {
    let mut distinct = numbers.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

fn calls_of_a_run() -> u64 {
    let disk = SimDisk::new(0);
    let (log, ..) = open(&disk, 2000);
    run(&log, 0);
    disk.calls()
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_that_was_synced() {
    for call in 0..calls_of_a_run() {
        for seed in 0..8 {
            let disk = SimDisk::new(seed * 1000 + call);
            disk.fail_at(call, Fault::Crash);
            let mut found = Vec::new();
            let opened =
                Log::open(disk.disk(), Path::new(DIR), LogOptions { segment_bytes: 2000 }, &mut |r| {
                    found.push(r.body.to_vec());
                });
            let told = opened.map(|(log, _)| run(&log, 0)).unwrap_or_default();
            let history = disk.history();
            disk.power_cut();
            let (log, replay, found) = open(&disk, 2000);
            assert_eq!(replay.damaged, [], "call {call}, seed {seed}\n{history}");
            let found = numbers(&found);
            assert!(found.starts_with(&told.appended[..told.synced]), "call {call}, seed {seed}: {found:?}");
            assert!(found.iter().all(|n| *n <= told.appended.last().copied().unwrap_or(0) + 1));
            // And it goes on, and is found whole after a kill.
            let more = run(&log, 100);
            assert_eq!(more.appended.len(), 40);
            disk.kill();
            let (_, replay, again) = open(&disk, 2000);
            assert_eq!((replay.torn_bytes, replay.damaged), (0, vec![]));
            assert_eq!(numbers(&again), [found, more.appended].concat());
        }
    }
}

#[test]
fn a_kill_loses_nothing_that_was_appended() {
    for call in 0..calls_of_a_run() {
        let disk = SimDisk::new(call);
        disk.fail_at(call, Fault::Crash);
        let opened = Log::open(disk.disk(), Path::new(DIR), LogOptions { segment_bytes: 2000 }, &mut |_| {});
        let told = opened.map(|(log, _)| run(&log, 0)).unwrap_or_default();
        disk.kill();
        let (_, replay, found) = open(&disk, 2000);
        assert_eq!(replay.damaged, [], "call {call}");
        assert_eq!(numbers(&found), told.appended, "call {call}");
    }
}

#[test]
fn one_failing_call_loses_nothing_that_was_acknowledged() {
    for call in 0..calls_of_a_run() {
        for seed in 0..4 {
            let disk = SimDisk::new(seed * 1000 + call);
            let Ok((log, _)) = ({
                disk.fail_at(call, Fault::Error);
                Log::open(disk.disk(), Path::new(DIR), LogOptions { segment_bytes: 2000 }, &mut |_| {})
            }) else {
                continue;
            };
            let told = run(&log, 0);
            assert!(told.appended.len() >= 39, "call {call}: {}", told.appended.len());
            log.sync().expect("the disk works again");
            drop(log);
            disk.power_cut();
            let (_, _, found) = open(&disk, 2000);
            assert_eq!(distinct(&numbers(&found)), told.appended, "call {call}, seed {seed}");
        }
    }
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = SimDisk::new(1);
    let (log, ..) = open(&disk, 2000);
    disk.set_capacity(Some(1500));
    let mut told: Vec<u64> = Vec::new();
    for number in 0..30 {
        let text = format!("{number:>200}");
        if append(&log, &text).is_ok() {
            told.push(number);
        }
        let _ = log.sync();
        if number == 20 {
            disk.set_capacity(None);
        }
    }
    assert!(told.len() > 10 && told.len() < 30, "{told:?}");
    drop(log);
    disk.power_cut();
    let (_, replay, found) = open(&disk, 2000);
    assert_eq!(replay.damaged, []);
    assert_eq!(numbers(&found), told);
}

#[test]
fn a_flipped_bit_costs_one_segment_and_keeps_the_file() {
    for bit in (0..16_000).step_by(37) {
        let disk = SimDisk::new(bit);
        let (log, ..) = open(&disk, 2000);
        run(&log, 0);
        log.finish().unwrap();
        append(&log, "99").unwrap();
        log.sync().unwrap();
        drop(log);
        let path = PathBuf::from("wal/00000002");
        let before = disk.files().into_iter().find(|(p, _)| *p == path).unwrap().1;
        disk.flip_bit(&path, bit % (before.len() as u64 * 8));
        let (_, replay, found) = open(&disk, 2000);
        assert_eq!(replay.damaged.len(), 1, "{replay:?}");
        assert_eq!(replay.damaged[0].path, path);
        let kept = replay.damaged[0].moved_to.clone().expect("moved");
        assert_eq!(kept, Path::new("damaged/wal-00000002"));
        let moved = disk.files().into_iter().find(|(p, _)| *p == kept).unwrap().1;
        assert_eq!(moved.len(), before.len());
        let found = numbers(&found);
        assert!(found.contains(&0) && found.contains(&99), "{found:?}");
        assert!(found.is_sorted());
        // Repaired: the next start finds the same and no damage.
        let (_, replay, again) = open(&disk, 2000);
        assert_eq!(replay.damaged, []);
        assert_eq!(numbers(&again), found);
    }
}

#[test]
fn a_lost_segment_is_reported() {
    let disk = SimDisk::new(7);
    let (log, ..) = open(&disk, 2000);
    run(&log, 0);
    drop(log);
    ports::Disk::remove_file(&disk, Path::new("wal/00000002")).unwrap();
    let (_, replay, _) = open(&disk, 2000);
    assert_eq!(replay.damaged.len(), 1);
    assert_eq!(replay.damaged[0].what, "the segment is missing");
}

#[test]
fn snapshots_stand_for_what_they_cover() {
    let disk = SimDisk::new(3);
    let (log, ..) = open(&disk, 2000);
    for round in 0..4u64 {
        for number in 0..5 {
            append(&log, &(round * 10 + number).to_string()).unwrap();
        }
        let sum = (round * 1000).to_string();
        log.snapshot([(1, sum.as_bytes())]).unwrap();
    }
    append(&log, "7").unwrap();
    log.sync().unwrap();
    drop(log);
    let (_, _, found) = open(&disk, 2000);
    assert_eq!(numbers(&found), [3000, 7]);
    // The generation before is still there, so a bad snapshot costs nothing.
    disk.flip_bit(Path::new("wal/00000005.snapshot"), 300);
    let (_, replay, found) = open(&disk, 2000);
    assert_eq!(replay.damaged.len(), 1);
    assert_eq!(numbers(&found), [2000, 30, 31, 32, 33, 34, 7]);
    let segments = disk.files().iter().filter(|(p, _)| p.starts_with("wal")).count();
    assert!(segments <= 6, "{:?}", disk.files().iter().map(|f| &f.0).collect::<Vec<_>>());
}

fn change(key: &str, value: Option<&str>) -> Change {
    Change { key: key.into(), value: value.map(Into::into) }
}

fn state(coord: &LocalCoord) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    ports::Coord::load(coord).unwrap().into_iter().map(|(k, v)| (text(k), text(v))).collect()
}

fn open_state(disk: &SimDisk) -> Option<LocalCoord> {
    open_state_and_look(disk).map(|(coord, _)| coord)
}

fn open_state_and_look(disk: &SimDisk) -> Option<(LocalCoord, Replay)> {
    let options = LocalCoordOptions { snapshot_bytes: 200, reserve_bytes: 0 };
    LocalCoord::open(disk.disk(), Path::new("journal/alerting"), options).ok()
}

/// Commits changes one after the other; the state as acknowledged, and the one change whose fate is not known.
fn run_state(coord: &LocalCoord) -> (std::collections::BTreeMap<String, String>, Vec<Change>) {
    let mut acknowledged = std::collections::BTreeMap::new();
    let mut unknown = Vec::new();
    for n in 0..40 {
        let key = format!("key{}", n % 7);
        let value = (n % 5 != 0).then(|| format!("value{n}"));
        let changes = [change(&key, value.as_deref()), change("last", Some(&n.to_string()))];
        match coord.commit_blocking(&[], &changes) {
            Ok(_) => {
                unknown.clear();
                for change in changes {
                    let key = String::from_utf8(change.key).unwrap();
                    match change.value {
                        Some(value) => acknowledged.insert(key, String::from_utf8(value).unwrap()),
                        None => acknowledged.remove(&key),
                    };
                }
            }
            Err(CoordError::Unknown(_)) => unknown = changes.to_vec(),
            Err(_) => {}
        }
    }
    (acknowledged, unknown)
}

#[test]
fn committed_state_survives_a_power_cut_at_any_call() {
    let disk = SimDisk::new(0);
    run_state(&open_state(&disk).unwrap());
    for call in 0..disk.calls() {
        for fault in [Fault::Crash, Fault::Error] {
            let disk = SimDisk::new(call);
            disk.fail_at(call, fault);
            let Some(coord) = open_state(&disk) else { continue };
            let (acknowledged, unknown) = run_state(&coord);
            let expected: Vec<_> = acknowledged.clone().into_iter().collect();
            assert_eq!(state(&coord), expected);
            drop(coord);
            let history = disk.history();
            disk.power_cut();
            let (coord, replay) = open_state_and_look(&disk).expect("state opens");
            if fault == Fault::Crash {
                assert_eq!(replay.damaged, [], "call {call}\n{history}");
            }
            let mut with_unknown = acknowledged;
            for Change { key, value } in unknown {
                let key = String::from_utf8(key).unwrap();
                match value {
                    Some(value) => with_unknown.insert(key, String::from_utf8(value).unwrap()),
                    None => with_unknown.remove(&key),
                };
            }
            let found = state(&coord);
            assert!(
                found == expected || found == with_unknown.into_iter().collect::<Vec<_>>(),
                "call {call}, {fault:?}: {found:?} instead of {expected:?}\n{history}"
            );
        }
    }
}

#[test]
fn commits_share_an_fsync() {
    let disk = SimDisk::new(5);
    let coord = Arc::new(open_state(&disk).unwrap());
    let before = disk.calls();
    let threads: Vec<_> = (0..64)
        .map(|n| {
            let coord = Arc::clone(&coord);
            std::thread::spawn(move || coord.commit_blocking(&[], &[change(&format!("{n:02}"), Some("x"))]))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(state(&coord).len(), 64);
    assert!(disk.calls() - before <= 64 * 20);
}

#[tokio::test]
async fn commits_can_be_awaited() {
    let disk = SimDisk::new(6);
    let coord = open_state(&disk).unwrap();
    let first = vec![change("a", Some("1"))];
    let second = vec![change("a", Some("2")), change("b", Some("3"))];
    let (one, two) = (ports::Coord::commit(&coord, &[], first), ports::Coord::commit(&coord, &[], second));
    two.await.unwrap();
    one.await.unwrap();
    assert_eq!(state(&coord), [("a".into(), "2".into()), ("b".into(), "3".into())]);
    assert_eq!(coord.list(b"b"), [(b"b".to_vec(), b"3".to_vec())]);
    assert_eq!(coord.get(b"a"), Some(b"2".to_vec()));
}

#[test]
fn a_commit_happens_only_if_what_it_is_tied_to_holds() {
    let disk = SimDisk::new(6);
    let coord = open_state(&disk).unwrap();
    let tied = |key: &str, revision| [Condition { key: key.into(), revision }];
    let first = coord.commit_blocking(&[], &[change("own", Some("me"))]).unwrap();
    let second = coord.commit_blocking(&tied("own", first), &[change("log", Some("1"))]).unwrap();
    assert!(second > first);
    for (key, revision, why) in [
        ("own", second, "another commit changed it"),
        ("log", first, "it was changed since"),
        ("nothing", first, "there is no such key"),
    ] {
        let refused = coord.commit_blocking(&tied(key, revision), &[change("log", Some("2"))]);
        assert_eq!(refused, Err(CoordError::Conflict), "{why}");
    }
    coord.commit_blocking(&[], &[change("own", None)]).unwrap();
    let refused = coord.commit_blocking(&tied("own", first), &[change("log", Some("3"))]);
    assert_eq!(refused, Err(CoordError::Conflict), "it is gone");
    assert_eq!(state(&coord), [("log".into(), "1".into())]);
    // After a restart nothing is as it was: who wants to go on takes over anew.
    drop(coord);
    let coord = open_state(&disk).unwrap();
    let refused = coord.commit_blocking(&tied("log", second), &[change("log", Some("4"))]);
    assert_eq!(refused, Err(CoordError::Conflict));
}

#[test]
fn of_commits_that_share_an_fsync_later_ones_see_earlier_ones() {
    let disk = SimDisk::new(6);
    let options = LocalCoordOptions { snapshot_bytes: 200, reserve_bytes: 0 };
    let (mut log, _) = StateLog::open(disk.disk(), Path::new("state"), options).unwrap();
    let own = |who| Commit::of(vec![change("own", Some(who))]);
    let first = log.commit(vec![own("a")])[0].clone().unwrap();
    let tied = || Commit {
        only_if: vec![Condition { key: "own".into(), revision: first }],
        changes: vec![change("log", Some("a"))],
    };
    disk.set_capacity(Some(disk.used()));
    let answers = log.commit(vec![own("b"), tied()]);
    assert!(answers.iter().all(|answer| matches!(answer, Err(CoordError::Failed(_)))), "{answers:?}");
    disk.set_capacity(None);
    let answers = log.commit(vec![tied(), own("b"), tied()]);
    assert!(answers[0].is_ok() && answers[1].is_ok(), "{answers:?}");
    assert_eq!(answers[2], Err(CoordError::Conflict));
}

#[test]
fn the_reserve_lets_state_be_written_on_a_full_disk() {
    let disk = SimDisk::new(8);
    let options = LocalCoordOptions { snapshot_bytes: 1 << 20, reserve_bytes: 2 << 20 };
    let (coord, _) = LocalCoord::open(disk.disk(), Path::new("state"), options).unwrap();
    coord.commit_blocking(&[], &[change("a", Some("1"))]).unwrap();
    assert!(disk.used() > 2 << 20);
    disk.set_capacity(Some(disk.used()));
    coord.commit_blocking(&[], &[change("silence", Some("yes"))]).unwrap();
    assert!(disk.used() < 1 << 20);
}

#[test]
fn long_records_and_long_segments_are_read_in_windows() {
    let disk = SimDisk::new(11);
    let (log, ..) = open(&disk, 1 << 30);
    let lengths = [10, 3 << 20, 5_000_000, 1, 9 << 20, 4 << 20, 100, 2 << 20];
    for (n, length) in lengths.iter().enumerate() {
        append(&log, &format!("{}{n}", " ".repeat(*length))).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let (log, replay, found) = open(&disk, 1 << 30);
    assert_eq!(numbers(&found), (0..lengths.len() as u64).collect::<Vec<_>>());
    assert_eq!(replay.bytes, disk.used());
    append(&log, "99").unwrap();
    drop(log);
    // A flipped bit in the middle of a record that spans windows.
    disk.flip_bit(Path::new("wal/00000001"), 8 * 12_000_000);
    let (_, replay, found) = open(&disk, 1 << 30);
    assert_eq!(numbers(&found), [0, 1, 2, 3, 99]);
    assert_eq!(replay.damaged.len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_put_aside() {
    for call in 0..40 {
        let disk = SimDisk::new(call);
        let (log, ..) = open(&disk, 2000);
        let told = run(&log, 0);
        log.sync().unwrap();
        drop(log);
        disk.kill();
        disk.fail_at(disk.calls() + call, Fault::Error);
        let mut found = Vec::new();
        let options = LogOptions { segment_bytes: 2000 };
        let Ok((log, replay)) = Log::open(disk.disk(), Path::new(DIR), options, &mut |record| {
            found.push(record.body.to_vec());
        }) else {
            continue;
        };
        disk.fail_at(u64::MAX, Fault::Error);
        let found = numbers(&found);
        assert!(found.is_sorted());
        assert_eq!(found.len() < told.appended.len(), !replay.damaged.is_empty(), "{replay:?}");
        append(&log, "1000").unwrap();
        log.sync().unwrap();
        drop(log);
        let (_, replay, again) = open(&disk, 2000);
        assert_eq!(replay.damaged, [], "repaired");
        assert_eq!(numbers(&again), [found, vec![1000]].concat());
    }
}

#[test]
fn appends_go_on_while_somebody_syncs() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let (log, ..) = open(&disk, 3000);
        disk.fail_at(10 + disk.random() % 150, Fault::Error);
        let appended = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (log, appended) = (&log, &appended);
                scope.spawn(move || {
                    for number in thread * 1000..thread * 1000 + 60 {
                        if append(log, &format!("{number:>100}")).is_ok() {
                            appended.lock().unwrap().push(number);
                        }
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..40 {
                    let _ = log.sync();
                }
            });
        });
        log.sync().expect("the disk works again");
        drop(log);
        disk.power_cut();
        let (_, _, found) = open(&disk, 3000);
        let appended = distinct(&appended.into_inner().unwrap());
        assert!(appended.len() >= 179, "one append fails at most");
        assert_eq!(distinct(&numbers(&found)), appended, "seed {seed}");
    }
}
