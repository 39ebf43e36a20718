//! From the labels of a body to the labels that are stored.

use model::{
    Labels, LabelsBuilder, METRIC_NAME, RelabelRule, is_legacy_label_name, is_legacy_metric_name, relabel,
};

use crate::Limits;

/// In front of a label of the body that the target has as well.
const EXPORTED: &str = "exported_";

/// Whose labels win.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Honor {
    /// Those of the target; a label of the body with the same name gets `exported_` in front.
    Target,
    /// Those of the body.
    Body,
}

/// Why a series cannot be stored; the scrape fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SeriesError {
    #[error("a series without a metric name after metric_relabel_configs: `{0}`")]
    NoName(Labels),
    #[error("`{name}` of `{series}` is not a name; metric_name_validation_scheme is `legacy`")]
    Name { name: String, series: Labels },
    #[error("`{series}` has {count} labels; label_limit is {limit}")]
    Count { series: Labels, count: usize, limit: u64 },
    #[error("label `{name}` of `{series}` has {bytes} bytes; label_name_length_limit is {limit}")]
    NameLength { name: String, series: Labels, bytes: usize, limit: u64 },
    #[error(
        "the value of label `{name}` of `{series}` has {bytes} bytes; label_value_length_limit is {limit}"
    )]
    ValueLength { name: String, series: Labels, bytes: usize, limit: u64 },
}

impl SeriesError {
    /// Whether a limit is the reason.
    pub(crate) fn is_limit(&self) -> bool {
        !matches!(self, SeriesError::NoName(_) | SeriesError::Name { .. })
    }
}

/// `body` with the labels of the target. `empty`: labels that the body names without a value; when the body is honoured,
/// they keep the target's away.
pub(crate) fn join(body: &Labels, empty: &[String], target: &Labels, honor: Honor) -> Labels {
    let mut labels = body.edit();
    match honor {
        Honor::Body => {
            for (name, value) in target {
                if body.get(name).is_none() && !empty.iter().any(|e| e == name) {
                    labels.set(name, value);
                }
            }
        }
        Honor::Target => {
            let mut moved: Vec<(&str, &str)> = Vec::new();
            for (name, value) in target {
                moved.extend(body.get(name).map(|own| (name, own)));
                labels.set(name, value);
            }
            // Short names first, so that `exported_a` of the body and `a` of the body do not take each other's place.
            moved.sort_by_key(|(name, _)| name.len());
            for (name, value) in moved {
                set_exported(&mut labels, name, value);
            }
        }
    }
    labels.build()
}

fn set_exported(labels: &mut LabelsBuilder, name: &str, value: &str) {
    let mut free = format!("{EXPORTED}{name}");
    while !labels.value(&free).is_empty() {
        free.insert_str(0, EXPORTED);
    }
    labels.set(&free, value);
}

/// The labels to store, or `None` if the rules drop the series.
pub(crate) fn finish(
    joined: &Labels,
    rules: &[RelabelRule],
    limits: &Limits,
    legacy_names: bool,
) -> Result<Option<Labels>, SeriesError> {
    let Some(labels) = relabel(joined, rules).filter(|labels| !labels.is_empty()) else { return Ok(None) };
    if labels.get(METRIC_NAME).is_none() {
        return Err(SeriesError::NoName(labels));
    }
    if legacy_names {
        check_names(&labels)?;
    }
    check_limits(&labels, limits)?;
    Ok(Some(labels))
}

fn check_names(labels: &Labels) -> Result<(), SeriesError> {
    let wrong = |name: &str| Err(SeriesError::Name { name: name.to_owned(), series: labels.clone() });
    if !is_legacy_metric_name(labels.metric_name()) {
        return wrong(labels.metric_name());
    }
    match labels.iter().find(|(name, _)| !is_legacy_label_name(name)) {
        Some((name, _)) => wrong(name),
        None => Ok(()),
    }
}

fn check_limits(labels: &Labels, limits: &Limits) -> Result<(), SeriesError> {
    let exceeds = |size: usize, limit: u64| limit > 0 && size as u64 > limit;
    let count = labels.len();
    if exceeds(count, limits.labels) {
        return Err(SeriesError::Count { series: labels.clone(), count, limit: limits.labels });
    }
    for (name, value) in labels {
        if exceeds(name.len(), limits.label_name_bytes) {
            return Err(SeriesError::NameLength {
                name: name.to_owned(),
                series: labels.clone(),
                bytes: name.len(),
                limit: limits.label_name_bytes,
            });
        }
        if exceeds(value.len(), limits.label_value_bytes) {
            return Err(SeriesError::ValueLength {
                name: name.to_owned(),
                series: labels.clone(),
                bytes: value.len(),
                limit: limits.label_value_bytes,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.split(' ').filter_map(|pair| pair.split_once('=')).collect()
    }

    #[test]
    fn joins() {
        for (body, empty, target, honor, expected) in [
            ("a=1", "", "job=j", Honor::Target, "a=1 job=j"),
            ("job=x", "", "job=j", Honor::Target, "job=j exported_job=x"),
            (
                "job=x exported_job=y",
                "",
                "job=j",
                Honor::Target,
                "job=j exported_job=y exported_exported_job=x",
            ),
            (
                "a=1 exported_a=2",
                "",
                "a=3 exported_a=4",
                Honor::Target,
                "a=3 exported_a=4 exported_exported_a=1 exported_exported_exported_a=2",
            ),
            ("job=x", "", "job=j instance=i", Honor::Body, "job=x instance=i"),
            ("a=1", "job", "job=j instance=i", Honor::Body, "a=1 instance=i"),
            ("a=1", "job", "job=j", Honor::Target, "a=1 job=j"),
        ] {
            let empty: Vec<String> = empty.split(' ').map(str::to_owned).collect();
            let got = join(&labels(body), &empty, &labels(target), honor);
            assert_eq!(got, labels(expected), "{body} into {target}");
        }
    }

    #[test]
    fn limits_name_the_series() {
        let series = labels("__name__=m long=12345 a=1");
        let check =
            |limits: Limits| finish(&series, &[], &limits, false).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(
            check(Limits { labels: 3, label_name_bytes: 8, label_value_bytes: 5, ..Limits::default() }),
            Ok(())
        );
        for (limits, error) in [
            (Limits { labels: 2, ..Limits::default() }, "has 3 labels; label_limit is 2"),
            (Limits { label_name_bytes: 7, ..Limits::default() }, "label `__name__` of"),
            (Limits { label_value_bytes: 4, ..Limits::default() }, "the value of label `long` of"),
        ] {
            let got = check(limits).unwrap_err();
            assert!(got.contains(error), "{got}");
        }
    }

    #[test]
    fn a_series_needs_a_name() {
        let error = finish(&labels("a=1"), &[], &Limits::default(), false).unwrap_err();
        assert!(!error.is_limit());
        let utf8 = labels("__name__=a.b");
        assert!(finish(&utf8, &[], &Limits::default(), false).is_ok());
        assert!(finish(&utf8, &[], &Limits::default(), true).is_err());
    }
}
