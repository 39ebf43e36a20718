//! `foghorn plugin check|run`: looking at plugins before they are used.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use model::{
    AlertStatus, Annotations, FloatSample, Labels, Matrix, Notification, NotifiedAlert, NotifyReason, Secret,
    Series, Timestamp, Vector, VectorSample,
};
use plugin::{HostDeps, HostOptions, PluginHost, PluginSpec, Source};
use ports::{
    BoxFuture, Clock as _, Deadline, HttpRequest, HttpResponse, Mail, Outgoing, OutgoingError, Payload,
    Query, QueryError, QueryErrorKind, SmtpServer, Steps, Target,
};
use serde_json::{Value, json};
use server::{HttpOutgoing, SystemClock, SystemRandom};

use super::args;
use super::say::say;

const TIMEOUT: Duration = Duration::from_secs(15);
/// An answer of another server.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) async fn run(verb: args::Plugin) -> anyhow::Result<()> {
    match verb {
        args::Plugin::Check { file } => check(&source(&file)).await,
        args::Plugin::Run { file, server, target } => call(&source(&file), server, &target).await,
    }
}

fn source(file: &str) -> Source {
    match file.strip_prefix("bundled:") {
        Some(name) => Source::Bundled(name.to_owned()),
        None => Source::File(file.into()),
    }
}

fn host(outgoing: Arc<dyn Outgoing>) -> anyhow::Result<Arc<PluginHost>> {
    let deps = HostDeps {
        outgoing,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        state: None,
        cache_dir: None,
    };
    Ok(PluginHost::new(deps, HostOptions::default())?)
}

async fn check(source: &Source) -> anyhow::Result<()> {
    let report =
        host(Arc::new(HttpOutgoing::new()))?.check(source).await.map_err(|error| anyhow!("{error}"))?;
    let manifest = &report.manifest;
    say!("{}: {} in {}", manifest.name, report.kind, report.language.as_str());
    if !manifest.about.is_empty() {
        say!("  {}", manifest.about);
    }
    say!("  sha256 {}", report.digest);
    for warning in &report.warnings {
        say!("warning: {warning}");
    }
    match &report.grant {
        Some(yaml) => say!("it asks for grants; write into the configuration:\n\n{yaml}"),
        None => say!("it asks for no grants"),
    }
    Ok(())
}

async fn call(source: &Source, server: String, target: &str) -> anyhow::Result<()> {
    let report =
        host(Arc::new(HttpOutgoing::new()))?.check(source).await.map_err(|error| anyhow!("{error}"))?;
    let mut spec = PluginSpec::new(source.clone());
    // The operator runs it by hand: what it asks for is granted for this call, and secrets are made up.
    spec.allow.hosts =
        report.manifest.needs.hosts.iter().filter(|host| !host.contains('{')).cloned().collect();
    spec.allow.files = report.manifest.needs.files.clone();
    for name in &report.manifest.needs.secrets {
        let made_up = Secret::new(format!("https://secret.invalid/{name}"));
        spec.allow.secrets.insert(name.clone(), plugin::SecretSource::Inline(made_up));
    }
    let sends = report.kind == plugin::Kind::Notifier;
    let outgoing: Arc<dyn Outgoing> = if sends { Arc::new(Shown) } else { Arc::new(HttpOutgoing::new()) };
    let plugin = host(outgoing)?.prepare(spec).await.map_err(|error| anyhow!("{error}"))?;
    if let Some(collector) = plugin.collector() {
        return collect(collector.as_ref(), &report.manifest.name, target).await;
    }
    if let Some((meta, rule)) = plugin.rule() {
        let query = RemoteQuery { server, outgoing: HttpOutgoing::new() };
        let findings = rule.evaluate(SystemClock.now(), &query).await?;
        say!("{}: {} findings", meta.name, findings.len());
        for finding in findings {
            say!("  {} value {}", finding.labels, model::format_float(finding.value));
            for (name, text) in &finding.annotations {
                say!("    {name}: {text}");
            }
        }
        return Ok(());
    }
    let notifier = plugin.notifier().context("the plugin is neither exporter, rule nor notifier")?;
    let receipt = notifier.notify(&example(), 1, Deadline::after(TIMEOUT)).await?;
    say!("accepted{}", receipt.remember.map(|r| format!(", remembers `{r}`")).unwrap_or_default());
    Ok(())
}

async fn collect(collector: &dyn ports::Collector, name: &str, address: &str) -> anyhow::Result<()> {
    let target = Target {
        labels: Labels::empty(),
        discovered: Labels::empty(),
        address: address.to_owned(),
        url: format!("plugin://{name}/{address}"),
        params: Vec::new(),
        interval: TIMEOUT,
        timeout: TIMEOUT,
    };
    let scrape = collector.collect(&target, Deadline::after(TIMEOUT)).await?;
    let Payload::Points(points) = scrape.payload else { bail!("the exporter gave no points") };
    let families =
        exposition::group_families(points.into_iter().map(|p| (p.labels, p.value, p.at)), &scrape.metadata);
    print!("{}", exposition::write_text(&families));
    Ok(())
}

/// A notification to try a notifier with.
fn example() -> Notification {
    let labels = Labels::from([("alertname", "Example"), ("instance", "localhost"), ("severity", "info")]);
    let annotations: Annotations = [("summary".to_owned(), "this is an example".to_owned())].into();
    let now = SystemClock.now();
    Notification {
        id: "example".into(),
        dedup_key: "example".into(),
        receiver: "example".into(),
        integration: "example".into(),
        index: 0,
        group_key: "{}:{alertname=\"Example\"}".into(),
        status: AlertStatus::Firing,
        reason: NotifyReason::FirstNotification,
        group_labels: Labels::from([("alertname", "Example")]),
        common_labels: labels.clone(),
        common_annotations: annotations.clone(),
        route_labels: Labels::empty(),
        alerts: [NotifiedAlert {
            status: AlertStatus::Firing,
            fingerprint: labels.fingerprint(),
            labels,
            annotations,
            value: Some(1.0),
            starts_at: now,
            ends_at: None,
            generator_url: Default::default(),
        }]
        .into(),
        external_url: "http://localhost:9090".into(),
        settings: std::sync::Arc::default(),
        previous: None,
        at: now,
        give_up_after: TIMEOUT,
    }
}

/// Shows requests instead of sending them, and says yes.
struct Shown;

impl Outgoing for Shown {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, OutgoingError>> {
        say!("{} {}", request.method, request.url.expose());
        say!("{}", String::from_utf8_lossy(&request.body));
        let body = json!({"id": "example"}).to_string();
        Box::pin(
            async move { Ok(HttpResponse { status: 200, body: body.into(), ..HttpResponse::default() }) },
        )
    }

    fn mail<'a>(
        &'a self,
        server: &'a SmtpServer,
        mail: Mail,
    ) -> BoxFuture<'a, Result<String, OutgoingError>> {
        say!("mail through {}: {mail:?}", server.smarthost);
        Box::pin(async { Ok("<example@localhost>".to_owned()) })
    }
}

/// Asks another server's API.
struct RemoteQuery {
    server: String,
    outgoing: HttpOutgoing,
}

impl RemoteQuery {
    async fn ask(&self, path: &str, params: &[(&str, String)]) -> Result<Value, QueryError> {
        let failed = |message: String| QueryError { kind: QueryErrorKind::Internal, message };
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: Secret::new(format!("{}/api/v1/{path}", self.server.trim_end_matches('/'))),
            headers: vec![(
                "content-type".to_owned(),
                Secret::new("application/x-www-form-urlencoded".to_owned()),
            )],
            body: form.into(),
            timeout: TIMEOUT,
            response_bytes_max: ANSWER_BYTES_MAX,
            decompress: true,
            ..HttpRequest::default()
        };
        let answer =
            self.outgoing.send(request).await.map_err(|error| failed(format!("{}: {error}", self.server)))?;
        let mut json: Value = serde_json::from_slice(&answer.body).map_err(|_| {
            failed(format!("{} answered with status {} and no JSON", self.server, answer.status))
        })?;
        match json["error"].as_str() {
            Some(error) => Err(QueryError { kind: QueryErrorKind::BadData, message: error.to_owned() }),
            None => Ok(json["data"]["result"].take()),
        }
    }
}

fn labels_of(metric: &Value) -> Labels {
    let pairs = metric.as_object().into_iter().flatten();
    Labels::from_pairs(
        pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())),
    )
}

fn sample_of(pair: &Value) -> Option<FloatSample> {
    let value = model::parse_float(pair[1].as_str()?)?;
    Some(FloatSample { at: Timestamp::from_secs_f64(pair[0].as_f64()?), value })
}

impl Query for RemoteQuery {
    fn instant<'a>(&'a self, expr: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Vector, QueryError>> {
        Box::pin(async move {
            let params = [("query", expr.to_owned()), ("time", at.as_secs_f64().to_string())];
            let result = self.ask("query", &params).await?;
            let items = result.as_array().into_iter().flatten();
            Ok(items
                .filter_map(|item| {
                    let sample = sample_of(&item["value"])?;
                    Some(VectorSample { labels: labels_of(&item["metric"]), at, value: sample.value.into() })
                })
                .collect())
        })
    }

    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>> {
        Box::pin(async move {
            let params = [
                ("query", expr.to_owned()),
                ("start", steps.start.as_secs_f64().to_string()),
                ("end", steps.end.as_secs_f64().to_string()),
                ("step", steps.step.as_secs_f64().to_string()),
            ];
            let result = self.ask("query_range", &params).await?;
            let items = result.as_array().into_iter().flatten();
            Ok(items
                .map(|item| Series {
                    labels: labels_of(&item["metric"]),
                    floats: item["values"].as_array().into_iter().flatten().filter_map(sample_of).collect(),
                    histograms: Vec::new(),
                })
                .collect())
        })
    }
}
