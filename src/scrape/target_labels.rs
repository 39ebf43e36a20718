//! From what discovery found to a target.

use std::time::Duration;

use model::{INSTANCE, JOB, Labels, format_duration, parse_duration, relabel};
use ports::Target;

use crate::pool_config::ADDRESS;
use crate::target_address::url;
use crate::{CollectorKind, PoolConfig};

const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";

/// What became of something that discovery found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// A target.
    Target(Target),
    /// Relabelling dropped it; its labels before.
    Dropped(Labels),
}

/// Why something that discovery found cannot be a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("a target without an address: `{0}`")]
    NoAddress(Labels),
    #[error("`{0}` is not an address; write host:port, and the path as metrics_path")]
    Address(String),
    #[error("`{address}`: {label} is `{value}`: {problem}")]
    Time { address: String, label: &'static str, value: String, problem: String },
}

/// Fills in what the job says, applies its rules, and reads the result. `own` labels win over those of the group.
pub(crate) fn find_target(config: &PoolConfig, own: &Labels, group: &Labels) -> Result<Found, TargetError> {
    let discovered = discovered(config, own, group);
    let Some(labels) = relabel(&discovered, &config.relabel) else { return Ok(Found::Dropped(discovered)) };
    let address = labels.value(ADDRESS).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress(discovered));
    }
    if address.contains('/') {
        return Err(TargetError::Address(address));
    }
    let time = |label: &'static str| time(&labels, &address, label);
    let (interval, timeout) = (time(INTERVAL)?, time(TIMEOUT)?);
    if timeout > interval {
        return Err(TargetError::Time {
            address,
            label: TIMEOUT,
            value: labels.value(TIMEOUT).to_owned(),
            problem: format!("longer than the interval, {}", format_duration(interval)),
        });
    }
    let params = params(config, &labels);
    let url = match &config.collector {
        CollectorKind::Http => url(labels.value(SCHEME), &address, labels.value(METRICS_PATH), &params),
        CollectorKind::Plugin(name) => url("plugin", name, &address, &params),
    };
    let mut public = labels.edit();
    public.retain(|name| !name.starts_with("__"));
    if public.value(INSTANCE).is_empty() {
        public.set(INSTANCE, &address);
    }
    Ok(Found::Target(Target { labels: public.build(), discovered, address, url, params, interval, timeout }))
}

/// Everything that is known before relabelling.
fn discovered(config: &PoolConfig, own: &Labels, group: &Labels) -> Labels {
    let mut labels = own.edit();
    let set_missing = |labels: &mut model::LabelsBuilder, name: &str, value: &str| {
        if labels.value(name).is_empty() {
            labels.set(name, value);
        }
    };
    for (name, value) in group {
        set_missing(&mut labels, name, value);
    }
    for (name, value) in [
        (JOB, config.job_name.as_str()),
        (INTERVAL, &format_duration(config.interval)),
        (TIMEOUT, &format_duration(config.timeout)),
        (METRICS_PATH, &config.metrics_path),
        (SCHEME, &config.scheme),
    ] {
        set_missing(&mut labels, name, value);
    }
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            set_missing(&mut labels, &format!("{PARAM}{name}"), first);
        }
    }
    labels.build()
}

fn time(labels: &Labels, address: &str, label: &'static str) -> Result<Duration, TargetError> {
    let value = labels.value(label);
    let wrong = |problem: String| TargetError::Time {
        address: address.to_owned(),
        label,
        value: value.to_owned(),
        problem,
    };
    let duration = parse_duration(value).map_err(|error| wrong(error.to_string()))?;
    if duration.is_zero() {
        return Err(wrong("must be more than 0".to_owned()));
    }
    Ok(duration)
}

/// The job's parameters; the first value of each is what the label says after relabelling.
fn params(config: &PoolConfig, labels: &Labels) -> Vec<(String, Vec<String>)> {
    let mut params = config.params.clone();
    for (label, value) in labels {
        let Some(name) = label.strip_prefix(PARAM) else { continue };
        match params.iter_mut().find(|(n, _)| n == name) {
            Some((_, values)) if !values.is_empty() => value.clone_into(&mut values[0]),
            Some((_, values)) => values.push(value.to_owned()),
            None => params.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use model::{Re2, RelabelAction, RelabelRule};

    use super::*;

    fn rule(
        action: RelabelAction,
        source: &[&str],
        regex: &str,
        target: &str,
        replacement: &str,
    ) -> RelabelRule {
        RelabelRule {
            source_labels: source.iter().map(|s| (*s).to_owned()).collect(),
            regex: Re2::anchored(regex).unwrap(),
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
            ..RelabelRule::new(action).unwrap()
        }
    }

    fn target(config: &PoolConfig, own: &[(&str, &str)]) -> Target {
        match find_target(config, &own.iter().copied().collect(), &Labels::from([("env", "test")])) {
            Ok(Found::Target(target)) => target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_target_has_the_defaults_of_its_job() {
        let target = target(&PoolConfig::new("node"), &[("__address__", "a:1"), ("__meta_x", "y")]);
        assert_eq!(target.labels.to_string(), r#"{env="test", instance="a:1", job="node"}"#);
        assert_eq!(target.url, "http://a:1/metrics");
        assert_eq!(target.discovered.value("__meta_x"), "y");
        assert_eq!(target.discovered.value("__scrape_interval__"), "1m");
        assert_eq!((target.interval, target.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    }

    #[test]
    fn labels_can_change_everything_but_the_reader() {
        let own = [
            ("__address__", "a:1"),
            ("__scheme__", "https"),
            ("__metrics_path__", "/x"),
            ("__scrape_interval__", "5s"),
            ("__scrape_timeout__", "1s"),
            ("__param_q", "2"),
            ("job", "other"),
            ("instance", "i"),
        ];
        let mut config = PoolConfig::new("node");
        config.params = vec![("q".to_owned(), vec!["1".to_owned(), "3".to_owned()])];
        let target = target(&config, &own);
        assert_eq!(target.url, "https://a:1/x?q=2&q=3");
        assert_eq!(target.labels.to_string(), r#"{env="test", instance="i", job="other"}"#);
        assert_eq!((target.interval, target.timeout), (Duration::from_secs(5), Duration::from_secs(1)));
    }

    #[test]
    fn the_blackbox_idiom() {
        let mut config = PoolConfig::new("probe");
        config.metrics_path = "/probe".to_owned();
        config.relabel = vec![
            rule(RelabelAction::Replace, &["__address__"], "(.*)", "__param_target", "$1"),
            rule(RelabelAction::Replace, &["__param_target"], "(.*)", "instance", "$1"),
            rule(RelabelAction::Replace, &[], "(.*)", "__address__", "blackbox:9115"),
        ];
        let target = target(&config, &[("__address__", "https://example.org")]);
        assert_eq!(target.url, "http://blackbox:9115/probe?target=https%3A%2F%2Fexample.org");
        assert_eq!(target.labels.value("instance"), "https://example.org");
    }

    #[test]
    fn a_plugin_has_an_address_of_its_own_kind() {
        let mut config = PoolConfig::new("host");
        config.collector = CollectorKind::Plugin("host".to_owned());
        assert_eq!(target(&config, &[("__address__", "localhost")]).url, "plugin://host/localhost");
    }

    #[test]
    fn says_why_there_is_no_target() {
        let mut config = PoolConfig::new("j");
        let find = |config: &PoolConfig, own: &[(&str, &str)]| {
            find_target(config, &own.iter().copied().collect(), &Labels::empty())
        };
        assert!(find(&config, &[]).unwrap_err().to_string().starts_with("a target without an address"));
        assert!(find(&config, &[("__address__", "http://a")]).is_err());
        for (value, error) in [("x", "is not a duration"), ("0s", "must be more than 0")] {
            let got = find(&config, &[("__address__", "a"), ("__scrape_interval__", value)]).unwrap_err();
            assert!(got.to_string().contains(error), "{got}");
        }
        let got = find(&config, &[("__address__", "a"), ("__scrape_interval__", "5s")]).unwrap_err();
        assert_eq!(got.to_string(), "`a`: __scrape_timeout__ is `10s`: longer than the interval, 5s");
        config.relabel = vec![rule(RelabelAction::Drop, &["__address__"], "a", "", "")];
        assert!(matches!(find(&config, &[("__address__", "a")]), Ok(Found::Dropped(_))));
    }
}
