use std::time::Duration;

use super::{evaluate, group, shown, state, time};
use crate::{ChangeReason, External, RuleError};

/// Lines of `TIME FOUND -> ALERTS`; what is found may be empty, and `error` is a failed evaluation.
fn lines(hold: &str, keep_firing: &str, text: &str) {
    let mut state = state(group(hold, keep_firing));
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (input, wanted) = line.split_once("->").unwrap();
        let (at, found) = input.trim().split_once(' ').unwrap_or((input.trim(), ""));
        let _ = evaluate(&mut state, at, found.trim());
        assert_eq!(shown(&state), wanted.trim(), "{line}");
    }
}

#[test]
fn pending_then_firing_then_resolved() {
    lines(
        "1m",
        "0",
        "0s   a       -> a pending since 0s
         30s  a b     -> a pending since 0s, b pending since 30s
         1m   a b     -> a firing since 0s, b pending since 30s
         90s          -> a resolved since 0s
         2m           -> a resolved since 0s
         16m          -> a resolved since 0s
         17m          -> ",
    );
}

#[test]
fn without_for_it_fires_at_once() {
    lines("0", "0", "0s a -> a firing since 0s\n 30s -> a resolved since 0s\n 1m a -> a firing since 1m");
}

#[test]
fn a_gap_starts_the_clock_anew() {
    lines(
        "1m",
        "0",
        "0s a -> a pending since 0s\n 30s -> \n 1m a -> a pending since 1m\n 90s a -> a pending since 1m",
    );
}

#[test]
fn keep_firing_bridges_a_gap() {
    lines(
        "0",
        "1m",
        "0s  a -> a firing since 0s
         30s   -> a kept since 0s
         1m  a -> a firing since 0s
         2m    -> a kept since 0s
         150s  -> a kept since 0s
         3m    -> a resolved since 0s",
    );
}

#[test]
fn a_failed_evaluation_changes_nothing() {
    lines(
        "1m",
        "0",
        "0s   a     -> a pending since 0s
         1m   a b   -> a firing since 0s, b pending since 1m
         90s  error -> a firing since 0s, b pending since 1m
         2m   a b   -> a firing since 0s, b firing since 1m
         20m  error -> a firing since 0s, b firing since 1m",
    );
}

#[test]
fn reasons_are_told() {
    let mut state = state(group("1m", "1m"));
    let mut reasons = |at: &str, found: &str| {
        let changes = evaluate(&mut state, at, found).unwrap().changes;
        changes.into_iter().map(|change| change.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons("0s", "a b"), [ChangeReason::Found, ChangeReason::Found]);
    assert_eq!(reasons("30s", "a"), [ChangeReason::NoLongerFound]);
    assert_eq!(reasons("1m", "a"), [ChangeReason::HeldLongEnough]);
    assert_eq!(reasons("90s", "a"), []);
    assert_eq!(reasons("2m", ""), [ChangeReason::KeptFiring]);
    assert_eq!(reasons("150s", "a"), [ChangeReason::FoundAgain]);
    assert_eq!(reasons("3m", ""), [ChangeReason::KeptFiring]);
    assert_eq!(reasons("4m", ""), [ChangeReason::KeepFiringOver]);
    assert_eq!(reasons("5m", "a"), [ChangeReason::Found]);
}

#[test]
fn labels_identify_after_templates() {
    let mut state = state(group("0", "0"));
    evaluate(&mut state, "0s", "a=10").unwrap();
    let alert = state.tracker(0).unwrap().active().next().unwrap().clone();
    assert_eq!(alert.labels.to_string(), r#"{alertname="Full", host="a", severity="ticket"}"#);
    assert_eq!(&alert.annotations["summary"], "a is at 10");
    // Another severity is another alert.
    evaluate(&mut state, "30s", "a=60").unwrap();
    assert_eq!(shown(&state), "a firing since 30s, a resolved since 0s");
}

#[test]
fn the_last_value_that_was_found_stays() {
    let mut state = state(group("0", "0"));
    for (at, found) in [("0s", "a=10"), ("30s", "a=12"), ("1m", "")] {
        evaluate(&mut state, at, found).unwrap();
    }
    let alert = state.tracker(0).unwrap().all().next().unwrap();
    assert_eq!((alert.value, &alert.annotations["summary"]), (12.0, "a is at 12"));
}

#[test]
fn a_broken_template_raises_the_alert_anyway() {
    let mut group = group("0", "0");
    let broken = template::RuleTemplate::parse("x", "{{ query \"x\" | first }}").unwrap();
    group.rules[0].annotations[0].1 = broken;
    let mut state = state(group);
    let evaluated = evaluate(&mut state, "0s", "a").unwrap();
    assert_eq!(evaluated.template_errors.len(), 1);
    let alert = state.tracker(0).unwrap().active().next().unwrap();
    assert!(alert.annotations["summary"].starts_with("<error expanding template: "), "{alert:?}");
}

#[test]
fn twice_the_same_labels_is_an_error() {
    let mut state = state(group("0", "0"));
    evaluate(&mut state, "0s", "a").unwrap();
    let error = evaluate(&mut state, "30s", "a b b").unwrap_err();
    assert!(matches!(error, RuleError::Duplicate { .. }), "{error}");
    assert_eq!(shown(&state), "a firing since 0s");
    let status = &state.view().rules[0].status;
    assert_eq!((status.health.as_str(), status.last_error.is_some()), ("err", true));
}

#[test]
fn too_many_alerts_are_an_error_and_lose_nothing() {
    let mut limited = group("0", "1h");
    limited.limit = 2;
    let mut state = state(limited);
    evaluate(&mut state, "0s", "a b").unwrap();
    let error = evaluate(&mut state, "30s", "a b c").unwrap_err();
    assert_eq!(error.to_string(), "the condition gives 3 alerts, more than the group's `limit` of 2");
    assert_eq!(shown(&state), "a firing since 0s, b firing since 0s");
    // Those that are kept firing count, too.
    assert!(evaluate(&mut state, "1m", "c d").is_err());
    assert!(evaluate(&mut state, "90s", "a b").is_ok());
}

#[test]
fn sending_goes_on_through_failures_and_ends_with_the_resolve() {
    let mut state = state(group("30s", "0"));
    let mut sent = Vec::new();
    for (at, found) in [
        ("0s", "a"),
        ("30s", "a"),
        ("1m", "a"),
        ("90s", "error"),
        ("2m", "error"),
        ("150s", "error"),
        ("3m", ""),
        ("210s", ""),
        ("270s", ""),
    ] {
        let _ = evaluate(&mut state, at, found);
        let alerts = state.alerts_to_send(time(at), Duration::from_secs(45), &External::default());
        for alert in alerts {
            let status = alert.status(time(at)).as_str();
            sent.push(format!("{at} {status} {}", model::format_duration(alert.ends_at.since(time(at)))));
            assert_eq!(alert.starts_at, time("30s"));
            assert_eq!(&*alert.generator_url, "/graph?g0.expr=disk+%3E+1&g0.tab=1");
        }
    }
    assert_eq!(
        sent,
        ["30s firing 3m", "90s firing 3m", "150s firing 3m", "3m resolved 0s", "270s resolved 0s"]
    );
}

#[test]
fn an_end_is_sent_before_it_is_forgotten_although_the_clock_was_set_forward() {
    let mut state = state(group("0", "0"));
    let mut sent = |at: &str, now: &str, found: &str| {
        evaluate(&mut state, at, found).unwrap();
        let alerts = state.alerts_to_send(time(now), Duration::from_secs(60), &External::default());
        alerts.iter().map(|alert| alert.status(time(now)).as_str()).collect::<Vec<_>>()
    };
    assert_eq!(sent("0s", "0s", "a"), ["firing"]);
    // Evaluated for the time before, and sent by the clock after it.
    assert_eq!(sent("15s", "1h15s", "a"), ["firing"]);
    assert_eq!(sent("30s", "1h16s", ""), ["resolved"]);
    assert_eq!(sent("1h45s", "1h45s", ""), [""; 0]);
}

#[test]
fn raising_for_puts_a_firing_alert_back() {
    let mut state = state(group("30s", "0"));
    evaluate(&mut state, "0s", "a").unwrap();
    evaluate(&mut state, "30s", "a").unwrap();
    assert_eq!(state.alerts_to_send(time("30s"), Duration::ZERO, &External::default()).len(), 1);
    state.replace(std::sync::Arc::new(group("2m", "0")), time("40s"));
    evaluate(&mut state, "1m", "a").unwrap();
    assert_eq!(shown(&state), "a pending since 0s");
    evaluate(&mut state, "2m", "a").unwrap();
    assert_eq!(shown(&state), "a firing since 0s");
}
