use std::time::Duration;

use model::{Labels, Timestamp};

use super::{evaluate, group, shown, state, time};
use crate::{External, GroupState, RestoreLimits, StateSample, record};

/// The group after a restart at `now` of a process that lived until `alive_until`.
fn restarted(before: &GroupState, hold: &str, alive_until: &str, now: &str) -> GroupState {
    let bytes = record::encode(&before.snapshot(time("0s")));
    let mut after = state(group(hold, "0"));
    let snapshot = record::decode(&bytes).unwrap();
    after.restore(snapshot, time(alive_until), time(now), &RestoreLimits::default());
    after
}

fn before(hold: &str) -> GroupState {
    let mut state = state(group(hold, "0"));
    evaluate(&mut state, "0s", "a").unwrap();
    evaluate(&mut state, "5m", "a b").unwrap();
    state
}

#[test]
fn clocks_go_on_over_a_short_restart() {
    let mut after = restarted(&before("10m"), "10m", "6m", "7m");
    assert_eq!(shown(&after), "a pending since 0s, b pending since 5m");
    evaluate(&mut after, "10m", "a b").unwrap();
    assert_eq!(shown(&after), "a firing since 0s, b pending since 5m");
}

#[test]
fn a_longer_outage_does_not_count() {
    let after = restarted(&before("10m"), "10m", "6m", "26m");
    assert_eq!(shown(&after), "a pending since 20m, b pending since 25m");
    // What had been found for long enough is not set back.
    let after = restarted(&before("6m"), "6m", "6m", "26m");
    assert_eq!(shown(&after), "a pending since 0s, b pending since 25m");
}

#[test]
fn beyond_the_tolerance_pending_clocks_start_anew_and_firing_goes_on() {
    let mut after = restarted(&before("5m"), "5m", "6m", "3h");
    assert_eq!(shown(&after), "a firing since 0s");
    evaluate(&mut after, "3h", "a b").unwrap();
    assert_eq!(shown(&after), "a firing since 0s, b pending since 3h");
}

#[test]
fn what_fired_before_a_restart_resolves_after_it() {
    let mut after = restarted(&before("5m"), "5m", "6m", "7m");
    let evaluated = evaluate(&mut after, "7m", "").unwrap();
    assert_eq!(shown(&after), "a resolved since 0s");
    // The series that the process before wrote end.
    assert!(evaluated.rows.iter().filter(|row| row.value.is_stale()).count() >= 2, "{:?}", evaluated.rows);
    let sent = after.alerts_to_send(time("7m"), Duration::from_secs(60), &External::default());
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].starts_at, sent[0].ends_at), (time("5m"), time("7m")));
}

#[test]
fn nothing_runs_between_restore_and_evaluation() {
    let mut after = restarted(&before("5m"), "5m", "6m", "7m");
    let sent = after.alerts_to_send(time("7m"), Duration::from_secs(60), &External::default());
    assert_eq!(sent.len(), 1, "what fires is still said to fire");
}

/// With a clock that was stepped back nothing resolves, and what was found for a while still was.
#[test]
fn a_clock_that_steps_back_resolves_nothing() {
    let mut state = before("5m");
    evaluate(&mut state, "1m", "a b").unwrap();
    assert_eq!(shown(&state), "a firing since 0s, b pending since 1m");
    evaluate(&mut state, "6m", "a b").unwrap();
    assert_eq!(shown(&state), "a firing since 0s, b firing since 1m");
}

/// Conditions fail since the clock was set back: an end that was told stays an end.
#[test]
fn a_clock_that_steps_back_revives_nothing() {
    let mut state = before("5m");
    evaluate(&mut state, "59m", "").unwrap();
    let mut sent = |now| state.alerts_to_send(time(now), Duration::from_secs(60), &External::default());
    assert_eq!(sent("1h").iter().map(|alert| alert.ends_at).collect::<Vec<_>>(), [time("59m")]);
    let again = sent("10s");
    assert!(again.len() == 1 && again[0].ends_at <= time("10s"), "{again:?}");
}

fn recalled(hold: &str, sample_at: &str, since: &str, now: &str) -> String {
    let mut state = state(group(hold, "0"));
    let sample = StateSample {
        labels: Labels::from([
            ("__name__", "ALERTS_FOR_STATE"),
            ("alertname", "Full"),
            ("host", "a"),
            ("severity", "ticket"),
        ]),
        at: time(sample_at),
        since: time(since),
    };
    state.recall(&[sample], RestoreLimits::default());
    evaluate(&mut state, now, "a").unwrap();
    shown(&state)
}

#[test]
fn series_restore_the_clock_as_prometheus_does() {
    // Fifteen minutes of thirty had passed, then ten minutes of outage: they do not count.
    assert_eq!(recalled("30m", "15m", "0s", "25m"), "a pending since 10m");
    // It fired before.
    assert_eq!(recalled("30m", "40m", "0s", "50m"), "a firing since 0s");
    // Less than the grace period was left: it fires when that is over.
    assert_eq!(recalled("30m", "25m", "0s", "50m"), "a pending since 30m");
    // Too long ago, or too short a `for`.
    assert_eq!(recalled("30m", "15m", "0s", "80m"), "a pending since 1h20m");
    assert_eq!(recalled("5m", "4m", "0s", "5m"), "a pending since 5m");
}

#[test]
fn series_matter_only_in_the_first_evaluations() {
    let mut state = state(group("30m", "0"));
    let labels = Labels::from([("alertname", "Full"), ("host", "a"), ("severity", "ticket")]);
    let sample = StateSample { labels, at: time("15m"), since: Timestamp::EPOCH };
    state.recall(&[sample], RestoreLimits::default());
    for at in ["20m", "21m"] {
        evaluate(&mut state, at, "b").unwrap();
    }
    evaluate(&mut state, "22m", "a").unwrap();
    assert_eq!(shown(&state), "a pending since 22m");
}
