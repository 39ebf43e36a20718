//! A clock, targets and a store for scenarios.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use model::{Labels, Re2, RelabelAction, RelabelRule, SampleValue, SeriesRef, Timestamp, parse_duration};
use ports::{
    Append, AppendError, Appended, BoxFuture, Clock, CollectError, Collector, Deadline, HttpRequest,
    HttpResponse, Mail, Outgoing, OutgoingError, Payload, Point, Rejected, Row, Scrape, SmtpServer, Target,
    WriteBatch,
};
use scrape::{CollectorKind, DiscoveryConfig, PoolConfig, ScrapeManager, TargetGroup};

const SYNTHETIC: [&str; 7] = [
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// Virtual time as time of day.
struct VirtualClock {
    start: tokio::time::Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000) + self.start.elapsed()
    }
}

#[derive(Clone)]
enum Answer {
    Body { content_type: String, text: String },
    Status(u16),
    Hang,
    Refuse,
}

/// Targets by `host:port`.
#[derive(Default)]
struct Targets {
    answers: Mutex<HashMap<String, Answer>>,
}

impl Targets {
    fn answer(&self, url: &str) -> Answer {
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        self.answers.lock().unwrap().get(host).cloned().unwrap_or(Answer::Refuse)
    }
}

impl Outgoing for Targets {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, OutgoingError>> {
        Box::pin(async move {
            match self.answer(request.url.expose()) {
                Answer::Body { content_type, text } => {
                    if text.len() > request.response_bytes_max {
                        return Err(OutgoingError::TooLarge(request.response_bytes_max));
                    }
                    Ok(HttpResponse {
                        status: 200,
                        headers: vec![("content-type".to_owned(), content_type)],
                        wire_bytes: text.len(),
                        body: Bytes::from(text),
                    })
                }
                Answer::Status(status) => Ok(HttpResponse { status, ..HttpResponse::default() }),
                Answer::Hang => std::future::pending().await,
                Answer::Refuse => Err(OutgoingError::Unreachable("connection refused".to_owned())),
            }
        })
    }

    fn mail<'a>(&'a self, _: &'a SmtpServer, _: Mail) -> BoxFuture<'a, Result<String, OutgoingError>> {
        Box::pin(async { Err(OutgoingError::Invalid("no mail here".to_owned())) })
    }
}

/// A plugin that brings the same bodies as its target would, as points.
struct Plugin {
    targets: Arc<Targets>,
}

impl Collector for Plugin {
    fn collect<'a>(&'a self, target: &'a Target, _: Deadline) -> BoxFuture<'a, Result<Scrape, CollectError>> {
        Box::pin(async move {
            // plugin://NAME/ADDRESS
            let address = target.url.rsplit('/').next().unwrap_or_default();
            assert!(!address.starts_with("panics"), "as it should");
            let Answer::Body { text, .. } = self.targets.answer(&format!("x://{address}")) else {
                return Err(CollectError { message: "the plugin trapped".to_owned() });
            };
            let points = text.lines().filter_map(|line| line.split_once(' ')).map(|(name, value)| Point {
                labels: Labels::from([("__name__", name)]),
                value: SampleValue::Float(value.parse().unwrap()),
                at: None,
            });
            Ok(Scrape {
                payload: Payload::Points(points.collect()),
                metadata: Vec::new(),
                wire_bytes: text.len(),
            })
        })
    }
}

/// Keeps rows, and refuses what a TSDB refuses.
#[derive(Default)]
struct Store {
    rows: Mutex<Vec<Row>>,
    newest: Mutex<HashMap<Labels, (u64, Timestamp, SampleValue)>>,
    refuses: Mutex<bool>,
    /// Rows of known series that came without their handle.
    unhinted: Mutex<usize>,
    appended: tokio::sync::Notify,
}

impl Append for Store {
    fn append(&self, batch: &WriteBatch) -> Result<Appended, AppendError> {
        if *self.refuses.lock().unwrap() {
            return Err(AppendError::Log(std::io::Error::other("no space left on device")));
        }
        let mut newest = self.newest.lock().unwrap();
        let mut appended = Appended::default();
        for row in &batch.rows {
            let next = newest.len() as u64;
            appended.outcome.push(match newest.get_mut(&row.labels) {
                Some((id, at, value)) => {
                    *self.unhinted.lock().unwrap() += usize::from(row.hint.is_none());
                    assert!(row.hint.is_none_or(|hint| hint == SeriesRef(*id)), "{}", row.labels);
                    if row.at < *at {
                        Err(Rejected::OutOfOrder)
                    } else if row.at == *at && row.value != *value {
                        Err(Rejected::DuplicateTimestamp)
                    } else {
                        (*at, *value) = (row.at, row.value.clone());
                        Ok(SeriesRef(*id))
                    }
                }
                None => {
                    newest.insert(row.labels.clone(), (next, row.at, row.value.clone()));
                    Ok(SeriesRef(next))
                }
            });
            if appended.outcome.last().is_some_and(Result::is_ok) {
                self.rows.lock().unwrap().push(row.clone());
            }
        }
        self.appended.notify_one();
        Ok(appended)
    }
}

pub(crate) struct World {
    targets: Arc<Targets>,
    store: Arc<Store>,
    manager: ScrapeManager,
    jobs: BTreeMap<String, PoolConfig>,
    /// Rows that were shown.
    shown: usize,
    first: Option<Timestamp>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (targets, store) = (Arc::new(Targets::default()), Arc::new(Store::default()));
        let plugin: Arc<dyn Collector> = Arc::new(Plugin { targets: Arc::clone(&targets) });
        let manager = ScrapeManager::new(
            Arc::clone(&store) as Arc<dyn Append>,
            Arc::clone(&targets) as Arc<dyn Outgoing>,
            Arc::new(VirtualClock { start: tokio::time::Instant::now() }),
            Arc::new(move |name| (name == "known").then(|| Arc::clone(&plugin))),
        );
        World { targets, store, manager, jobs: BTreeMap::new(), shown: 0, first: None }
    }

    pub(crate) async fn stop(&self) {
        self.manager.shutdown().await;
    }

    /// Carries out one command; what it shows.
    pub(crate) async fn command(&mut self, line: &str, body: &[&str]) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["job", name, settings @ ..] => {
                self.jobs.insert((*name).to_owned(), job(name, settings));
            }
            ["remove", name] => {
                self.jobs.remove(*name).unwrap();
            }
            ["apply"] => {
                self.manager.apply(self.jobs.values().cloned().collect());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            ["answer", address, how @ ..] => {
                let answer = match how {
                    ["status", status] => Answer::Status(status.parse().unwrap()),
                    ["hang"] => Answer::Hang,
                    ["refuse"] => Answer::Refuse,
                    [kind] => Answer::Body {
                        content_type: match *kind {
                            "text" => "text/plain; version=0.0.4",
                            "json" => "application/json",
                            "openmetrics" => "application/openmetrics-text; version=1.0.0",
                            other => other,
                        }
                        .to_owned(),
                        text: body.iter().map(|line| format!("{line}\n")).collect(),
                    },
                    other => panic!("{other:?}"),
                };
                self.targets.answers.lock().unwrap().insert((*address).to_owned(), answer);
            }
            ["wait", number, "scrapes" | "scrape"] => {
                let wanted = self.ups() + number.parse::<usize>().unwrap();
                while self.ups() < wanted {
                    self.store.appended.notified().await;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                return self.show();
            }
            ["wait", duration] => {
                tokio::time::sleep(parse_duration(duration).unwrap()).await;
                return self.show();
            }
            ["reports"] => return self.reports(),
            ["targets"] => return self.view(),
            ["metadata"] => {
                let all = self.manager.metadata();
                return all
                    .iter()
                    .map(|f| format!("{} {} {} {:?}", f.target, f.family, f.metadata.kind, f.metadata.help))
                    .collect();
            }
            ["count", name] => {
                let points = self.manager.points();
                let of_name = points.iter().filter(|point| point.labels.metric_name() == *name);
                return of_name.map(|p| format!("{} {}", p.labels, p.value.as_float().unwrap())).collect();
            }
            ["unhinted"] => return vec![self.store.unhinted.lock().unwrap().to_string()],
            ["store", how] => *self.store.refuses.lock().unwrap() = *how == "refuses",
            ["stop"] => self.stop().await,
            other => panic!("unknown command {other:?}"),
        }
        Vec::new()
    }

    /// Scrapes that were stored so far.
    fn ups(&self) -> usize {
        let rows = self.store.rows.lock().unwrap();
        rows.iter().filter(|row| row.labels.metric_name() == "up").count()
    }

    fn show(&mut self) -> Vec<String> {
        let rows = self.store.rows.lock().unwrap();
        self.first = self.first.or(rows.first().map(|row| row.at));
        let mut new: Vec<&Row> = rows[self.shown..].iter().collect();
        self.shown = rows.len();
        new.retain(|row| !SYNTHETIC.contains(&row.labels.metric_name()));
        new.sort_by(|a, b| (a.at, &a.labels).cmp(&(b.at, &b.labels)));
        new.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &Row) -> String {
        let since = row.at.as_millis() - self.first.unwrap_or_default().as_millis();
        let value = match &row.value {
            value if value.is_stale() => "stale".to_owned(),
            SampleValue::Float(value) => value.to_string(),
            SampleValue::Histogram(h) => {
                format!("count {} sum {} buckets {:?}", h.count, h.sum, h.positive_buckets)
            }
        };
        let time = if since.abs() > 1_000_000_000 {
            format!("at {}", row.at.as_millis())
        } else {
            format!("{:+}s", since as f64 / 1000.0)
        };
        format!("{time} {} {value}", row.labels)
    }

    fn reports(&self) -> Vec<String> {
        let newest = self.store.newest.lock().unwrap();
        let mut lines: Vec<String> = newest
            .iter()
            .filter(|(labels, _)| SYNTHETIC.contains(&labels.metric_name()))
            .map(|(labels, (_, _, value))| {
                let value =
                    if value.is_stale() { "stale".to_owned() } else { value.as_float().unwrap().to_string() };
                format!("{labels} {value}")
            })
            .collect();
        lines.sort();
        lines
    }

    fn view(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for pool in self.manager.targets().pools {
            for target in pool.active {
                let health = target.health.as_str();
                lines.push(
                    format!("{} {} {health} {}", pool.job, target.url, target.last_error)
                        .trim_end()
                        .to_owned(),
                );
            }
            for dropped in pool.dropped {
                lines.push(format!("{} dropped {}", pool.job, dropped.discovered.value("__address__")));
            }
            lines.extend(pool.problems.iter().map(|problem| format!("{} problem: {problem}", pool.job)));
        }
        lines
    }
}

fn job(name: &str, settings: &[&str]) -> PoolConfig {
    let mut config = PoolConfig::new(name);
    config.interval = Duration::from_secs(10);
    config.timeout = Duration::from_secs(5);
    for setting in settings {
        let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
        let number = || value.parse::<u64>().unwrap();
        match key {
            "targets" => {
                let group = TargetGroup::of(value.split(','), Labels::empty());
                config.static_targets.push(group);
            }
            "label" => {
                let (label, value) = value.split_once(':').unwrap();
                let group = config.static_targets.last_mut().unwrap();
                group.labels = group.labels.with(label, value);
            }
            "http_sd" => config.discoveries.push(DiscoveryConfig::Http {
                url: model::Secret::new(format!("http://{value}/list")),
                refresh: Duration::from_secs(10),
                http: Arc::default(),
            }),
            "sd" => config.discoveries.push(DiscoveryConfig::Unsupported { name: value.to_owned() }),
            "interval" => config.interval = parse_duration(value).unwrap(),
            "timeout" => config.timeout = parse_duration(value).unwrap(),
            "plugin" => config.collector = CollectorKind::Plugin(value.to_owned()),
            "honor_labels" => config.honor_labels = true,
            "ignore_timestamps" => config.honor_timestamps = false,
            "track_timestamps_staleness" => config.track_timestamps_staleness = true,
            "extra_metrics" => config.extra_metrics = true,
            "convert_histograms" => config.convert_classic_histograms = true,
            "sample_limit" => config.limits.samples = number(),
            "label_limit" => config.limits.labels = number(),
            "body_limit" => config.limits.body_bytes = number(),
            "target_limit" => config.limits.targets = number(),
            "drop_metric" => config.metric_relabel.push(drop_rule("__name__", value)),
            "drop_target" => config.relabel.push(drop_rule("__address__", value)),
            other => panic!("unknown setting {other}"),
        }
    }
    config
}

fn drop_rule(label: &str, regex: &str) -> RelabelRule {
    RelabelRule {
        source_labels: vec![label.to_owned()],
        regex: Re2::anchored(regex).unwrap(),
        ..RelabelRule::new(RelabelAction::Drop).unwrap()
    }
}
