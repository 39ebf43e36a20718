use std::sync::Arc;
use std::time::Duration;

use model::{SeriesRef, Timestamp};
use ports::Row;

use super::{evaluate, found, group, group_of, state, time};
use crate::{External, GroupState, Place, Rule, RuleError};

/// Rows as `SERIES VALUE @ TIME`; a stale marker is `ends`.
fn text(rows: &[Row]) -> Vec<String> {
    let mut rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let value = match row.value.as_float() {
                _ if row.value.is_stale() => "ends".to_owned(),
                Some(value) => value.to_string(),
                None => "histogram".to_owned(),
            };
            let at = row.at.since(Timestamp::EPOCH);
            format!("{} {value} @ {}", row.labels, model::format_duration(at))
        })
        .collect();
    rows.sort();
    rows
}

const LABELS: &str = r#"alertname="Full", "#;

#[test]
fn active_alerts_are_series() {
    let mut state = state(group("1m", "0"));
    let full = |rest: &str| format!("{{{LABELS}{rest}}}");
    let rows = evaluate(&mut state, "30s", "a").unwrap().rows;
    let pending =
        format!(r#"ALERTS{} 1 @ 30s"#, full(r#"alertstate="pending", host="a", severity="ticket""#));
    let clock = |at: &str| format!(r#"ALERTS_FOR_STATE{} 30 @ {at}"#, full(r#"host="a", severity="ticket""#));
    assert_eq!(text(&rows), [clock("30s"), pending.clone()]);
    let rows = evaluate(&mut state, "90s", "a").unwrap().rows;
    let firing =
        format!(r#"ALERTS{} 1 @ 1m30s"#, full(r#"alertstate="firing", host="a", severity="ticket""#));
    let ended = pending.replace("1 @ 30s", "ends @ 1m30s");
    assert_eq!(text(&rows), [clock("1m30s"), firing, ended]);
    let rows = evaluate(&mut state, "2m", "").unwrap().rows;
    assert_eq!(rows.iter().filter(|row| row.value.is_stale()).count(), 2);
    assert!(evaluate(&mut state, "150s", "").unwrap().rows.is_empty());
}

#[test]
fn samples_are_as_old_as_the_data() {
    let mut late = group("1m", "0");
    late.query_offset = Duration::from_secs(30);
    let mut state = state(late);
    let rows = evaluate(&mut state, "2m", "a").unwrap().rows;
    let clock = rows.iter().find(|row| row.labels.metric_name() == "ALERTS_FOR_STATE").unwrap();
    assert_eq!((clock.at, clock.value.as_float()), (time("90s"), Some(120.0)));
}

fn recording() -> GroupState {
    // Not a template, whatever it looks like.
    let labels = vec![("team".to_owned(), "{{ x".to_owned())];
    let rule = Rule::record("job:disk", "disk", labels, Place::default());
    state(group_of(vec![rule]))
}

#[test]
fn recorded_series_get_name_and_labels_and_end() {
    let mut state = recording();
    let rows = evaluate(&mut state, "0s", "a b=2").unwrap().rows;
    assert_eq!(
        text(&rows),
        [r#"job:disk{host="a", team="{{ x"} 1 @ 0s"#, r#"job:disk{host="b", team="{{ x"} 2 @ 0s"#]
    );
    let rows = evaluate(&mut state, "1m", "b=3").unwrap().rows;
    assert_eq!(
        text(&rows),
        [r#"job:disk{host="a", team="{{ x"} ends @ 1m"#, r#"job:disk{host="b", team="{{ x"} 3 @ 1m"#]
    );
    assert!(evaluate(&mut state, "2m", "error").is_err());
    assert_eq!(evaluate(&mut state, "3m", "").unwrap().rows.len(), 1);
}

#[test]
fn a_label_that_hides_a_difference_is_an_error() {
    let labels = vec![("host".to_owned(), "all".to_owned())];
    let rule = Rule::record("x", "disk", labels, Place::default());
    let mut state = state(group_of(vec![rule]));
    assert!(evaluate(&mut state, "0s", "a").is_ok());
    assert!(matches!(evaluate(&mut state, "1m", "a b"), Err(RuleError::Duplicate { .. })));
}

#[test]
fn rows_remember_where_they_were_stored() {
    let mut state = recording();
    let rows = evaluate(&mut state, "0s", "a").unwrap().rows;
    state.stored(0, &rows, &[Ok(SeriesRef(7))]);
    let rows = evaluate(&mut state, "1m", "a b").unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.hint).collect::<Vec<_>>(), [Some(SeriesRef(7)), None]);
}

#[test]
fn a_reload_keeps_rules_that_stay_and_ends_the_others() {
    let alert = group("0", "0").rules.remove(0);
    let record = Rule::record("r", "disk", Vec::new(), Place::default());
    let mut state = state(group_of(vec![alert.clone(), record.clone()]));
    evaluate(&mut state, "0s", "a").unwrap();
    let mut query = |_: &str| Ok(Vec::new());
    let external = External::default();
    state.apply(1, found("a"), time("0s"), Duration::ZERO, &external, &mut query).unwrap();
    // The order changes, the recording rule goes, a new one comes.
    let new = Rule::record("s", "disk", Vec::new(), Place::default());
    let rows = state.replace(Arc::new(group_of(vec![new, alert])), time("1m"));
    assert_eq!(text(&rows), [r#"r{host="a"} ends @ 1m"#]);
    assert_eq!(state.tracker(1).unwrap().active().count(), 1);
    assert_eq!(state.view().rules[0].status.health.as_str(), "unknown");
    assert_eq!(state.view().rules[1].status.health.as_str(), "ok");
    assert_eq!(state.end(time("2m")).len(), 2);
}

#[test]
fn a_rule_that_is_taken_away_resolves_its_alerts() {
    let mut state = state(group("0", "1h"));
    evaluate(&mut state, "0s", "a").unwrap();
    let external = External::default();
    assert_eq!(state.alerts_to_send(time("0s"), Duration::from_secs(60), &external).len(), 1);
    state.replace(Arc::new(group_of(Vec::new())), time("1m"));
    let sent = state.alerts_to_send(time("1m"), Duration::from_secs(60), &external);
    assert_eq!((sent.len(), sent[0].ends_at), (1, time("1m")));
    assert_eq!(state.alerts_to_send(time("15m"), Duration::from_secs(60), &external).len(), 1);
    assert_eq!(state.alerts_to_send(time("17m"), Duration::from_secs(60), &external).len(), 1);
    assert!(state.alerts_to_send(time("30m"), Duration::from_secs(60), &external).is_empty());
}
