//! What leaves the server: links to a rule's graph, labels as others see them.

use model::{Alert, Labels, RelabelRule, relabel};
use template::query_escape;

use crate::{Condition, External, Rule};

/// The link to the graph of an expression, in the form that users of Prometheus have in messages and bookmarks.
pub fn graph_link(url: &str, expr: &str) -> String {
    format!("{}/graph?g0.expr={}&g0.tab=1", url.trim_end_matches('/'), query_escape(expr))
}

/// Where an alert of `rule` comes from.
pub(crate) fn generator_url(url: &str, rule: &Rule) -> String {
    match &rule.condition {
        Condition::Promql(expr) => graph_link(url, expr),
        // A script has no graph; the series of its alerts do.
        Condition::Plugin(_) => graph_link(url, &format!("ALERTS{{alertname=\"{}\"}}", rule.name)),
    }
}

/// An alert as it leaves this server: with the external labels that it does not have itself, then relabelled. `None` if
/// a relabelling rule drops it. The rule's own alert keeps its labels.
pub fn outgoing(alert: &Alert, external: &External, rules: &[RelabelRule]) -> Option<Alert> {
    let labels: Labels = external.labels.iter().chain(alert.labels.iter()).collect();
    Some(Alert { labels: relabel(&labels, rules)?, ..alert.clone() })
}
