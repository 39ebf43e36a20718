//! A world for plugins: answers that were laid out before, and a record of what was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use model::{
    AlertStatus, Annotations, FloatSample, Labels, Matrix, Notification, NotifiedAlert, NotifyReason, Series,
    Timestamp, Vector, VectorSample,
};
use plugin::{HostDeps, HostOptions, PluginHost, PluginSpec, Source};
use ports::{
    BoxFuture, Change, Clock, Condition, Coord, CoordError, Deadline, HttpRequest, HttpResponse, Mail,
    Outgoing, OutgoingError, Query, QueryError, QueryErrorKind, Random, Revision, SmtpServer, Steps, Target,
};

/// 2026-09-21T14:13:20Z.
pub(crate) const NOW: i64 = 1_790_000_000_000;

#[derive(Default)]
pub(crate) struct World {
    pub(crate) now: AtomicI64,
    random: AtomicU64,
    pub(crate) answers: Mutex<VecDeque<Result<HttpResponse, OutgoingError>>>,
    pub(crate) requests: Mutex<Vec<HttpRequest>>,
    pub(crate) mails: Mutex<Vec<(String, Mail)>>,
    pub(crate) kept: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(crate) disk_is_full: Mutex<bool>,
}

impl World {
    pub(crate) fn new() -> Arc<World> {
        let world = World::default();
        world.now.store(NOW, Ordering::SeqCst);
        Arc::new(world)
    }

    /// A host that keeps compiled components between runs of the tests: a compiler without optimization is slow.
    pub(crate) fn host(self: &Arc<Self>) -> Arc<PluginHost> {
        self.host_with(Some(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("components")))
    }

    pub(crate) fn host_with(self: &Arc<Self>, cache_dir: Option<std::path::PathBuf>) -> Arc<PluginHost> {
        let deps = HostDeps {
            outgoing: self.clone(),
            clock: self.clone(),
            random: self.clone(),
            state: Some(self.clone()),
            cache_dir,
        };
        PluginHost::new(deps, HostOptions::default()).unwrap()
    }

    pub(crate) fn answer(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let response = HttpResponse {
            status,
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            wire_bytes: body.len(),
        };
        self.answers.lock().unwrap().push_back(Ok(response));
    }

    pub(crate) fn fail(&self, error: OutgoingError) {
        self.answers.lock().unwrap().push_back(Err(error));
    }

    /// The requests since the last time, as text: method, URL, headers, body.
    pub(crate) fn sent(&self) -> Vec<String> {
        let requests = std::mem::take(&mut *self.requests.lock().unwrap());
        requests
            .iter()
            .map(|request| {
                let mut text = format!("{} {}", request.method, request.url.expose());
                for (name, value) in &request.headers {
                    text.push_str(&format!("\n{name}: {}", value.expose()));
                }
                text.push_str(&format!("\n\n{}", String::from_utf8_lossy(&request.body)));
                text
            })
            .collect()
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
}

impl Random for World {
    fn next_u64(&self) -> u64 {
        self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
    }
}

impl Outgoing for World {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, OutgoingError>> {
        Box::pin(async move {
            self.requests.lock().unwrap().push(request);
            let answer = self.answers.lock().unwrap().pop_front();
            answer.unwrap_or_else(|| Err(OutgoingError::Unreachable("no answer was laid out".to_owned())))
        })
    }

    fn mail<'a>(
        &'a self,
        server: &'a SmtpServer,
        mail: Mail,
    ) -> BoxFuture<'a, Result<String, OutgoingError>> {
        Box::pin(async move {
            self.mails.lock().unwrap().push((server.smarthost.clone(), mail));
            Ok("<1@test>".to_owned())
        })
    }
}

impl Coord for World {
    fn commit<'a>(
        &'a self,
        _: &'a [Condition],
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, CoordError>> {
        Box::pin(async move {
            if *self.disk_is_full.lock().unwrap() {
                return Err(CoordError::Failed("no space left".to_owned()));
            }
            let mut kept = self.kept.lock().unwrap();
            for change in changes {
                match change.value {
                    Some(value) => drop(kept.insert(change.key, value)),
                    None => drop(kept.remove(&change.key)),
                }
            }
            Ok(Revision::default())
        })
    }

    fn load(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CoordError> {
        Ok(self.kept.lock().unwrap().clone().into_iter().collect())
    }
}

/// Expression → answer. An expression that is not there is an error, as a misspelt one is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) vectors: BTreeMap<String, Vector>,
    pub(crate) matrices: BTreeMap<String, Matrix>,
}

impl Answers {
    pub(crate) fn vector(mut self, expr: &str, rows: &[(&[(&str, &str)], f64)]) -> Self {
        let sample = |(labels, value): &(&[(&str, &str)], f64)| VectorSample {
            labels: labels.iter().copied().collect(),
            at: Timestamp::from_millis(NOW),
            value: (*value).into(),
        };
        self.vectors.insert(expr.to_owned(), rows.iter().map(sample).collect());
        self
    }

    pub(crate) fn matrix(mut self, expr: &str, labels: &[(&str, &str)], values: &[f64]) -> Self {
        let float = |(index, value): (usize, &f64)| FloatSample {
            at: Timestamp::from_millis(NOW - (values.len() - 1 - index) as i64 * 60_000),
            value: *value,
        };
        let floats = values.iter().enumerate().map(float).collect();
        let series = Series { labels: labels.iter().copied().collect(), floats, histograms: Vec::new() };
        self.matrices.entry(expr.to_owned()).or_default().push(series);
        self
    }
}

fn unknown(expr: &str) -> QueryError {
    QueryError { kind: QueryErrorKind::BadData, message: format!("nothing was laid out for `{expr}`") }
}

impl Query for Answers {
    fn instant<'a>(&'a self, expr: &'a str, _at: Timestamp) -> BoxFuture<'a, Result<Vector, QueryError>> {
        Box::pin(async move { self.vectors.get(expr).cloned().ok_or_else(|| unknown(expr)) })
    }

    fn range<'a>(&'a self, expr: &'a str, _steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>> {
        Box::pin(async move { self.matrices.get(expr).cloned().ok_or_else(|| unknown(expr)) })
    }
}

/// A script under a file name.
pub(crate) fn script(name: &str, text: &str) -> PluginSpec {
    PluginSpec::new(Source::Bytes {
        name: format!("{name}.rhai"),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    })
}

pub(crate) fn target(address: &str) -> Target {
    Target {
        labels: Labels::from([("job", "test"), ("instance", address)]),
        discovered: Labels::empty(),
        address: address.to_owned(),
        url: format!("plugin://test/{address}"),
        params: vec![("module".to_owned(), vec!["a".to_owned(), "b".to_owned()])],
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
    }
}

pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

pub(crate) fn notification(alerts: &[(&str, AlertStatus)]) -> Notification {
    let alert = |(name, status): &(&str, AlertStatus)| {
        let labels = Labels::from([("alertname", *name), ("severity", "page")]);
        NotifiedAlert {
            status: *status,
            annotations: Annotations::from([("summary".to_owned(), format!("{name} broke"))]),
            value: Some(0.9),
            starts_at: Timestamp::from_millis(NOW - 60_000),
            ends_at: (*status == AlertStatus::Resolved).then(|| Timestamp::from_millis(NOW)),
            fingerprint: labels.fingerprint(),
            generator_url: "http://foghorn/graph".into(),
            labels,
        }
    };
    let firing = alerts.iter().any(|(_, status)| *status == AlertStatus::Firing);
    Notification {
        id: "n1".into(),
        dedup_key: "d1".into(),
        receiver: "chat".into(),
        integration: "discord".into(),
        index: 0,
        group_key: "{}:{alertname=\"X\"}".into(),
        status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        reason: NotifyReason::FirstNotification,
        group_labels: Labels::from([("alertname", alerts[0].0)]),
        common_labels: Labels::from([("alertname", alerts[0].0), ("severity", "page")]),
        common_annotations: Annotations::new(),
        route_labels: Labels::empty(),
        alerts: alerts.iter().map(alert).collect(),
        external_url: "http://foghorn".into(),
        settings: Arc::default(),
        previous: None,
        at: Timestamp::from_millis(NOW),
        give_up_after: Duration::from_secs(15),
    }
}
