//! Between the generated bindings and what plugins see. Only in components.

use std::sync::Once;
use std::time::Duration;

use crate::bindings::exporter_plugin::exports::foghorn::plugin::exporter as exporter_world;
use crate::bindings::kit::foghorn::plugin as imports;
use crate::bindings::kit::foghorn::plugin::types;
use crate::bindings::notifier_plugin::exports::foghorn::plugin::notifier as notifier_world;
use crate::bindings::rule_plugin::exports::foghorn::plugin::rule as rule_world;
use crate::columns::label_sets;
use crate::exporter::{Collector, MetricType, Target};
use crate::lean::{LeanNotifier, Told};
use crate::notifier::{Alert, Notification, Notifier, Status};
use crate::rule::Evaluate;
use crate::{Error, ErrorKind, Result, Timestamp};

/// A panic ends the call with a trap that says nothing; the log gets what it would have said.
fn before_call() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string()))));
}

/// The export of a rule.
pub fn evaluate<P: Evaluate>(at: i64) -> Result<Vec<rule_world::Finding>, types::Error> {
    before_call();
    let findings = P::evaluate(Timestamp(at)).map_err(outward)?;
    let finding = |finding: crate::rule::Finding| rule_world::Finding {
        labels: finding.labels.into_pairs(),
        value: finding.value,
        annotations: finding.annotations,
        extra: Vec::new(),
    };
    Ok(findings.into_iter().map(finding).collect())
}

/// The export of an exporter.
pub fn collect<P: Collector>(
    target: exporter_world::Target,
) -> Result<exporter_world::Exposition, types::Error> {
    before_call();
    let target = Target {
        address: target.address,
        labels: target.labels.into_iter().collect(),
        params: target.params,
        timeout: Duration::from_millis(target.timeout),
    };
    let out = P::collect(&target).map_err(outward)?;
    let family = |family: crate::exporter::Heading| exporter_world::Family {
        name: family.name,
        type_: match family.kind {
            MetricType::Counter => exporter_world::MetricType::Counter,
            MetricType::Gauge => exporter_world::MetricType::Gauge,
            MetricType::Histogram => exporter_world::MetricType::Histogram,
            MetricType::Summary => exporter_world::MetricType::Summary,
            MetricType::Unknown => exporter_world::MetricType::Unknown,
        },
        help: family.help,
        unit: String::new(),
        points: family.points,
    };
    Ok(exporter_world::Exposition {
        families: out.families.into_iter().map(family).collect(),
        symbols: out.columns.symbols,
        suffixes: out.suffixes,
        labels: types::LabelColumns { counts: out.columns.counts, pairs: out.columns.pairs },
        values: out.values,
        timestamps: Vec::new(),
    })
}

/// The export of a notifier.
pub fn notify<P: Notifier>(from: notifier_world::Notification) -> Result<Option<String>, types::Error> {
    before_call();
    let notification = Notification {
        id: from.id,
        dedup_key: from.dedup_key,
        attempt: from.attempt,
        status: status(from.status),
        receiver: from.receiver,
        title: from.title,
        group_labels: from.group_labels.into_iter().collect(),
        common_labels: from.common_labels.into_iter().collect(),
        common_annotations: from.common_annotations.into_iter().collect(),
        alerts: from.alerts.into_iter().map(alert).collect(),
        truncated: from.truncated,
        external_url: from.external_url,
        traceparent: from.traceparent,
        previous: from.previous,
        extra: from.extra.into_iter().collect(),
    };
    P::notify(&notification).map_err(outward)
}

/// The export of a lean notifier.
pub fn notify_lean<P: LeanNotifier>() -> Result<Option<String>, types::Error> {
    before_call();
    P::notify(&Told::now()).map_err(outward)
}

fn alert(from: notifier_world::Alert) -> Alert {
    Alert {
        status: status(from.status),
        labels: from.labels.into_iter().collect(),
        annotations: from.annotations.into_iter().collect(),
        value: from.value,
        starts_at: Timestamp(from.starts_at),
        ends_at: from.ends_at.map(Timestamp),
        fingerprint: from.fingerprint,
        generator_url: from.generator_url,
        extra: from.extra.into_iter().collect(),
    }
}

fn status(from: notifier_world::Status) -> Status {
    match from {
        notifier_world::Status::Firing => Status::Firing,
        notifier_world::Status::Resolved => Status::Resolved,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn outward(error: Error) -> types::Error {
    let kind = match error.kind {
        ErrorKind::Retryable => types::ErrorKind::Retryable,
        ErrorKind::RateLimited => types::ErrorKind::RateLimited,
        ErrorKind::Permanent => types::ErrorKind::Permanent,
        ErrorKind::Unauthorized => types::ErrorKind::Unauthorized,
        ErrorKind::Config => types::ErrorKind::Config,
        ErrorKind::Denied => types::ErrorKind::Denied,
        ErrorKind::Limit => types::ErrorKind::Limit,
    };
    types::Error { kind, message: error.message, retry_after: error.retry_after.map(millis) }
}

fn inward(error: types::Error) -> Error {
    let kind = match error.kind {
        types::ErrorKind::Retryable => ErrorKind::Retryable,
        types::ErrorKind::RateLimited => ErrorKind::RateLimited,
        types::ErrorKind::Permanent => ErrorKind::Permanent,
        types::ErrorKind::Unauthorized => ErrorKind::Unauthorized,
        types::ErrorKind::Config => ErrorKind::Config,
        types::ErrorKind::Denied => ErrorKind::Denied,
        types::ErrorKind::Limit => ErrorKind::Limit,
    };
    Error { kind, message: error.message, retry_after: error.retry_after.map(Duration::from_millis) }
}

/// The imports, in the SDK's types.
pub(crate) mod functions {
    use super::{imports, inward, label_sets, millis};
    use crate::files::{Entry, FileSystem, Kernel};
    use crate::http::{Request, Response};
    use crate::log::Level;
    use crate::query::{RangeSeries, Series};
    use crate::{Result, Timestamp};
    use std::time::Duration;

    pub(crate) enum MetricCall {
        Add,
        Set,
        Observe,
    }

    pub(crate) fn now() -> Timestamp {
        Timestamp(imports::clock::now())
    }

    pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
        let level = match level {
            Level::Debug => imports::log::Level::Debug,
            Level::Info => imports::log::Level::Info,
            Level::Warn => imports::log::Level::Warn,
            Level::Error => imports::log::Level::Error,
        };
        imports::log::write(level, message, &owned(fields));
    }

    pub(crate) fn param(name: &str) -> Option<String> {
        imports::config::param(name)
    }

    pub(crate) fn state_get(key: &str) -> Option<Vec<u8>> {
        imports::state::get(key)
    }

    pub(crate) fn state_set(key: &str, value: Vec<u8>, lifetime: Option<Duration>) -> Result<()> {
        imports::state::set(key, &value, lifetime.map(millis)).map_err(inward)
    }

    pub(crate) fn state_delete(key: &str) {
        imports::state::delete(key);
    }

    pub(crate) fn state_keys(prefix: &str) -> Vec<String> {
        imports::state::keys(prefix)
    }

    pub(crate) fn metric(call: MetricCall, name: &str, labels: &[(&str, &str)], number: f64) {
        let labels = owned(labels);
        match call {
            MetricCall::Add => imports::metrics::add(name, &labels, number),
            MetricCall::Set => imports::metrics::set(name, &labels, number),
            MetricCall::Observe => imports::metrics::observe(name, &labels, number),
        }
    }

    pub(crate) fn stand_in(name: &str) -> Result<String> {
        imports::secrets::stand_in(name).map_err(inward)
    }

    pub(crate) fn hmac_sha256(name: &str, data: &[u8]) -> Result<Vec<u8>> {
        imports::secrets::hmac_sha256(name, data).map_err(inward)
    }

    pub(crate) fn query_instant(promql: &str, at: Option<Timestamp>) -> Result<Vec<Series>> {
        let vector = imports::query::instant(promql, at.map(|at| at.0)).map_err(inward)?;
        let labels = label_sets(&vector.symbols, &vector.labels.counts, &vector.labels.pairs)?;
        let values = vector.timestamps.into_iter().zip(vector.values);
        let series = |(labels, (at, value))| Series { labels, value, at: Timestamp(at) };
        Ok(labels.into_iter().zip(values).map(series).collect())
    }

    pub(crate) fn query_range(
        promql: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Vec<RangeSeries>> {
        let matrix = imports::query::range(promql, start.0, end.0, millis(step)).map_err(inward)?;
        let labels = label_sets(&matrix.symbols, &matrix.labels.counts, &matrix.labels.pairs)?;
        let mut points = matrix.timestamps.into_iter().map(Timestamp).zip(matrix.values);
        let series = |(labels, length): (_, u32)| RangeSeries {
            labels,
            points: points.by_ref().take(length as usize).collect(),
        };
        Ok(labels.into_iter().zip(matrix.lengths).map(series).collect())
    }

    pub(crate) fn http_send(request: Request) -> Result<Response> {
        let answer = imports::http::send(&imports::http::Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout.map(millis),
        });
        let answer = answer.map_err(inward)?;
        Ok(Response { status: answer.status, headers: answer.headers, body: answer.body })
    }

    pub(crate) fn file_read(path: &str) -> Result<Vec<u8>> {
        imports::files::read(path).map_err(inward)
    }

    pub(crate) fn file_read_all(paths: &[String]) -> Vec<Result<Vec<u8>>> {
        imports::files::read_all(paths).into_iter().map(|read| read.map_err(inward)).collect()
    }

    pub(crate) fn file_list(path: &str) -> Result<Vec<Entry>> {
        let entries = imports::files::list_directory(path).map_err(inward)?;
        Ok(entries.into_iter().map(|entry| Entry { name: entry.name, directory: entry.directory }).collect())
    }

    pub(crate) fn file_link(path: &str) -> Result<String> {
        imports::files::read_link(path).map_err(inward)
    }

    pub(crate) fn file_system(path: &str) -> Result<FileSystem> {
        let system = imports::files::stat_file_system(path).map_err(inward)?;
        Ok(FileSystem {
            block_size: system.block_size,
            blocks: system.blocks,
            blocks_free: system.blocks_free,
            blocks_available: system.blocks_available,
            inodes: system.inodes,
            inodes_free: system.inodes_free,
            read_only: system.read_only,
        })
    }

    pub(crate) fn file_uname() -> Result<Kernel> {
        let kernel = imports::files::uname().map_err(inward)?;
        Ok(Kernel {
            sysname: kernel.sysname,
            release: kernel.release,
            version: kernel.version,
            machine: kernel.machine,
            nodename: kernel.nodename,
            domainname: kernel.domainname,
        })
    }

    pub(crate) fn told_webhook(max_alerts: u32) -> String {
        imports::notification::webhook(max_alerts)
    }

    pub(crate) fn told_text(name: &str) -> Option<String> {
        imports::notification::text(name)
    }

    pub(crate) fn told_attempt() -> u32 {
        imports::notification::attempt()
    }

    pub(crate) fn mail_send(server: &str, message: crate::mail::Message) -> Result<String> {
        let message = imports::mail::Message {
            from: message.from,
            to: message.to,
            headers: message.headers,
            text: message.text,
            html: message.html,
        };
        imports::mail::send(server, &message).map_err(inward)
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}
