use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{group, group_of};
use crate::unit_test::{AlertTest, ExpectedSample, ExprTest, Failure, TestGroup, run};
use crate::{Place, Rule, RuleGroup};

/// The failures of a test whose conditions never wait.
fn failures(test: &TestGroup, groups: &[RuleGroup]) -> Vec<Failure> {
    let mut future = pin!(run(test, groups));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(failures) => failures,
        Poll::Pending => panic!("waits"),
    }
}

fn test() -> TestGroup {
    TestGroup {
        input_series: vec![("disk{host=\"a\"}".to_owned(), "0 5x10 0".to_owned())],
        ..TestGroup::default()
    }
}

fn alert_at(minutes: u64, summary: Option<&str>) -> AlertTest {
    let expected = summary.map(|summary| {
        let labels = [("host".to_owned(), "a".to_owned()), ("severity".to_owned(), "ticket".to_owned())];
        (labels.into(), [("summary".to_owned(), summary.to_owned())].into())
    });
    AlertTest {
        eval_time: Duration::from_secs(minutes * 60),
        alertname: "Full".to_owned(),
        expected: expected.into_iter().collect(),
    }
}

fn value_at(minutes: u64, expr: &str, labels: &str, value: f64) -> ExprTest {
    ExprTest {
        expr: expr.to_owned(),
        eval_time: Duration::from_secs(minutes * 60),
        expected: vec![ExpectedSample { labels: labels.to_owned(), value, histogram: String::new() }],
    }
}

#[test]
fn alerts_and_samples_are_compared() {
    let rules = [group("2m", "0")];
    let good = TestGroup {
        alert_tests: vec![
            alert_at(0, None),
            alert_at(2, None),
            alert_at(3, Some("a is at 5")),
            alert_at(11, Some("a is at 5")),
            alert_at(12, None),
        ],
        expr_tests: vec![
            value_at(1, "disk", "disk{host=\"a\"}", 5.0),
            value_at(2, "count(ALERTS{alertstate=\"pending\"})", "", 1.0),
            value_at(2, "1 + 1", "", 2.0),
        ],
        ..test()
    };
    assert_eq!(failures(&good, &rules), []);
    let wrong = TestGroup {
        name: "wrong".to_owned(),
        alert_tests: vec![alert_at(3, Some("a is at 6"))],
        expr_tests: vec![value_at(1, "disk", "disk{host=\"b\"}", 5.0), value_at(1, "disk +", "", 1.0)],
        ..test()
    };
    let texts: Vec<String> = failures(&wrong, &rules).iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("wrong: at 3m: alert `Full`:\n  expected: \n    {"), "{texts:?}");
    assert!(texts[1].contains("got: \n    disk{host=\"a\"} 5"), "{texts:?}");
}

#[test]
fn no_number_is_expected_to_be_not_a_number() {
    let histogram = |value: f64| ExprTest {
        expected: vec![ExpectedSample {
            labels: "hist".to_owned(),
            value,
            histogram: "{{sum:1 count:2 counter_reset_hint:not_reset buckets:[1 1]}}".to_owned(),
        }],
        ..value_at(1, "hist", "", 0.0)
    };
    let input = ("hist".to_owned(), "{{schema:0 sum:1 count:2 buckets:[1 1]}}x3".to_owned());
    for fuzzy_compare in [false, true] {
        for (expr_test, fits) in [
            (value_at(1, "disk * NaN", "{host=\"a\"}", f64::NAN), false),
            (value_at(1, "disk * NaN", "{host=\"a\"}", 5.0), false),
            (value_at(1, "disk * Inf", "{host=\"a\"}", f64::INFINITY), true),
            (value_at(0, "disk * -1", "{host=\"a\"}", 0.0), true),
            // A histogram has no value beside it.
            (histogram(0.0), true),
            (histogram(3.0), false),
            (histogram(f64::NAN), false),
        ] {
            let input_series = vec![test().input_series.remove(0), input.clone()];
            let what = format!("{expr_test:?}");
            let test = TestGroup { input_series, fuzzy_compare, expr_tests: vec![expr_test], ..test() };
            let failures = failures(&test, &[]);
            assert_eq!(failures.is_empty(), fits, "{what}: {failures:?}");
        }
    }
}

#[test]
fn rules_do_not_see_the_future() {
    let rules = [group_of(vec![Rule::record("ahead", "disk offset -5m", Vec::new(), Place::default())])];
    let late = TestGroup {
        expr_tests: vec![ExprTest { expr: "ahead".to_owned(), ..ExprTest::default() }],
        ..test()
    };
    assert_eq!(failures(&late, &rules), []);
}

#[test]
fn a_rule_that_fails_is_a_failure() {
    let rule = Rule::record(
        "x",
        "label_replace(disk, \"host\", \"b\", \"\", \"\") or disk",
        Vec::new(),
        Place::default(),
    );
    let same = vec![("host".to_owned(), "all".to_owned())];
    let rule = Rule { labels: Rule::record("x", "1", same, Place::default()).labels, ..rule };
    let failures = failures(&test(), &[group_of(vec![rule])]);
    assert!(failures[0].what.starts_with("rule `x`: the condition gives"), "{failures:?}");
}

#[test]
fn input_that_is_wrong_is_a_failure() {
    let wrong =
        TestGroup { input_series: vec![("disk{".to_owned(), "1".to_owned())], ..TestGroup::default() };
    assert!(failures(&wrong, &[])[0].what.starts_with("input series `disk{`: "));
}

#[test]
fn input_that_storage_refuses_is_a_failure() {
    for (series, values, part) in [
        ("{}", "1", "at least one label"),
        ("h", "1 {{buckets:[1 -2]}}", "negative count"),
        ("h", "{{schema:1 custom_values:[1] buckets:[1]}}", "go with schema -53"),
        ("h", "{{schema:-53 custom_values:[2 1] buckets:[1]}}", "must go up"),
        ("h", "{{schema:-53 custom_values:[1 Inf] buckets:[1]}}", "must be left out"),
        ("h", "{{schema:-53 custom_values:[1] buckets:[1 1 1]}}", "more buckets than bounds"),
        ("h", "{{schema:-53 custom_values:[1] z_bucket:1}}", "neither a zero bucket"),
        ("h", "{{buckets:[1]}}-{{buckets:[1]}}x3", "negative count"),
    ] {
        let wrong = TestGroup {
            input_series: vec![(series.to_owned(), values.to_owned())],
            expr_tests: vec![ExprTest {
                eval_time: Duration::from_secs(180),
                ..value_at(0, "vector(1)", "", 1.0)
            }],
            ..TestGroup::default()
        };
        let found = failures(&wrong, &[]);
        assert!(found.first().is_some_and(|failure| failure.what.contains(part)), "{values}: {found:?}");
    }
}

#[test]
fn expressions_see_what_came_by_the_last_evaluation() {
    let early = TestGroup {
        input_series: vec![("m".to_owned(), "1 2 3 4 5".to_owned())],
        interval: Duration::from_secs(30),
        evaluation_interval: Duration::from_secs(60),
        expr_tests: vec![ExprTest { eval_time: Duration::from_secs(90), ..value_at(0, "m", "m", 3.0) }],
        ..TestGroup::default()
    };
    assert_eq!(failures(&early, &[]), []);
}

#[test]
fn two_rules_must_not_say_different_things_of_one_series() {
    let record = |expr: &str| Rule::record("x", expr, Vec::new(), Place::default());
    let test = |values: &str| TestGroup {
        input_series: vec![("m".to_owned(), values.to_owned())],
        expr_tests: vec![value_at(1, "vector(1)", "", 1.0)],
        ..TestGroup::default()
    };
    let rules = |a: &str, b: &str| [group_of(vec![record(a), record(b)])];
    assert_eq!(failures(&test("1 1"), &rules("vector(1)", "vector(1)")), []);
    let found = failures(&test("1 1"), &rules("vector(1)", "vector(2)"));
    assert!(found[0].what.contains("another sample of `x`"), "{found:?}");
    // What the second rule found before ends, but the first goes on about it.
    let kept = TestGroup { expr_tests: vec![value_at(1, "x", "x", 1.0)], ..test("1 stale") };
    assert_eq!(failures(&kept, &rules("vector(1)", "sum(m)")), []);
}
