//! Files of rule tests, run as `promtool test rules` runs them; rules may be scripts and components, too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{LoadOptions, RuleTest, RuleTestFile};
use model::Labels;
use plugin::{HostDeps, HostOptions, PluginHost};
use ports::{BoxFuture, HttpRequest, HttpResponse, Mail, Outgoing, OutgoingError, SmtpServer};
use rules::unit_test::{AlertTest, ExpectedSample, ExprTest, TestGroup};
use rules::{External, RuleGroup};

use crate::{DiskFiles, SystemClock, SystemRandom, catalog, map, scripts};

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// The test's name; where it stands in its file, for one without.
    pub name: String,
    /// What is not as expected; empty if the test passes.
    pub failures: Vec<String>,
}

/// Runs the tests of a file whose names `chosen` takes. An error is a file that cannot be used: what is wrong, with places.
pub async fn test_rules(
    path: &Path,
    options: &LoadOptions,
    chosen: &dyn Fn(&str) -> bool,
) -> Result<Vec<TestOutcome>, String> {
    let (file, warnings) = config::read_rule_tests(&DiskFiles, path, &catalog(), options)
        .map_err(|problems| problems.to_string())?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    let mut scripted = Vec::new();
    if !file.script_rules.is_empty() {
        let host = host()?;
        for rule in &file.script_rules {
            scripted.push(host.load(map::script_rule(rule)).await.map_err(|error| error.to_string())?);
        }
    }
    let mut outcomes = Vec::new();
    for test in file.tests.iter().filter(|test| chosen(&test.name)) {
        let mut groups: Vec<RuleGroup> = file
            .rule_groups
            .iter()
            .map(|group| map::rule_group(group, test.interval, Duration::ZERO))
            .collect();
        for plugin in &scripted {
            let group = scripts::group_of(plugin, test.interval);
            groups.push(group.ok_or_else(|| format!("`{}` is not a rule", plugin.file()))?);
        }
        let failures = rules::unit_test::run(&test_group(&file, test, options), &groups).await;
        outcomes.push(TestOutcome {
            name: if test.name.is_empty() { test.place.to_string() } else { test.name.clone() },
            failures: failures.into_iter().map(|failure| failure.to_string()).collect(),
        });
    }
    Ok(outcomes)
}

fn test_group(file: &RuleTestFile, test: &RuleTest, options: &LoadOptions) -> TestGroup {
    let alerts = test.alerts.iter().map(|expected| AlertTest {
        eval_time: expected.eval_time,
        alertname: expected.alertname.clone(),
        expected: expected
            .alerts
            .iter()
            .map(|(labels, annotations)| (labels.clone().into_iter().collect(), annotations.clone().into()))
            .collect(),
    });
    let exprs = test.exprs.iter().map(|expected| ExprTest {
        expr: expected.expr.clone(),
        eval_time: expected.eval_time,
        expected: expected
            .samples
            .iter()
            .map(|(labels, value, histogram)| ExpectedSample {
                labels: labels.clone(),
                value: *value,
                histogram: histogram.clone(),
            })
            .collect(),
    });
    TestGroup {
        // Failures stand under the test's name.
        name: String::new(),
        interval: test.interval,
        evaluation_interval: file.evaluation_interval,
        start: test.start,
        input_series: test.input_series.clone(),
        alert_tests: alerts.collect(),
        expr_tests: exprs.collect(),
        external: External {
            labels: Labels::from_pairs(test.external_labels.iter().cloned()),
            url: test.external_url.clone(),
        },
        fuzzy_compare: file.fuzzy_compare,
        group_order: file.group_order.clone(),
        promql: options.promql.clone(),
    }
}

/// A host for rules: they reach nothing outside.
fn host() -> Result<Arc<PluginHost>, String> {
    let deps = HostDeps {
        outgoing: Arc::new(Nowhere),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        state: None,
        cache_dir: None,
    };
    PluginHost::new(deps, HostOptions::default()).map_err(|error| error.to_string())
}

struct Nowhere;

impl Nowhere {
    fn refuse<T>() -> Result<T, OutgoingError> {
        Err(OutgoingError::Denied("rule tests send nothing".to_owned()))
    }
}

impl Outgoing for Nowhere {
    fn send<'a>(&'a self, _request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, OutgoingError>> {
        Box::pin(async { Nowhere::refuse() })
    }

    fn mail<'a>(
        &'a self,
        _server: &'a SmtpServer,
        _mail: Mail,
    ) -> BoxFuture<'a, Result<String, OutgoingError>> {
        Box::pin(async { Nowhere::refuse() })
    }
}
