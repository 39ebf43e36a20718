//! What rules of one group select is looked up once.

use std::sync::atomic::AtomicUsize;

use model::{FloatSample, Labels, METRIC_NAME, Matcher, Series};
use ports::SeriesSet;

use super::*;

/// One series, and how often it was looked for.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Select for Counting {
    fn select<'a>(&'a self, selection: &'a Selection) -> BoxFuture<'a, Result<SeriesSet, SelectError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let labels = Labels::from([(METRIC_NAME, "up")]);
        let floats = vec![FloatSample { at: selection.end, value: 1.0 }];
        Box::pin(async { Ok(SeriesSet { series: vec![Series { labels, floats, ..Series::default() }] }) })
    }

    fn series<'a>(
        &'a self,
        _: &'a [Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn label_names<'a>(
        &'a self,
        _: &'a [Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn label_values<'a>(
        &'a self,
        _: &'a str,
        _: &'a [Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[test]
fn rules_of_a_group_share_what_they_select() {
    let store = Arc::new(Counting::default());
    let engine = QueryEngine::new(
        store.clone(),
        QueryLimits::default(),
        ParseOptions::default(),
        Arc::new(crate::SystemClock),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime can be had").block_on(async {
        let at = Timestamp::from_secs(1_000);
        let rules = engine.for_rules("rules.yml", "g");
        let looked = |expected: usize, what: &str| {
            assert_eq!(store.0.load(Ordering::Relaxed), expected, "{what}");
        };
        for (expr, count, what) in [
            ("up == 1", 1, "the first rule looks"),
            ("sum(up) > 0", 1, "the second one shares"),
            ("up offset 5m", 2, "another time is another selection"),
            ("up{job=''}", 3, "other matchers are, too"),
            ("up / up", 3, "and one rule shares with itself"),
        ] {
            let found = rules.instant(expr, at).await.unwrap_or_default();
            assert!(!found.is_empty() || expr.contains("job"), "{expr}");
            looked(count, what);
        }
        let stored = |name: &str| Row {
            labels: Labels::from([(model::METRIC_NAME, name)]),
            hint: None,
            at,
            value: model::SampleValue::Float(1.0),
        };
        rules.forget(&[stored("ALERTS"), stored("down")]);
        let _ = rules.instant("up == 1", at).await;
        looked(3, "what a rule stored is something else");
        rules.forget(&[stored("down"), stored("up")]);
        let _ = rules.instant("up == 1", at).await;
        looked(4, "what a rule stored may be seen by the next one");
        let _ = engine.instant("up == 1", at).await;
        let _ = engine.instant("up == 1", at).await;
        looked(6, "others share nothing");
    });
}
