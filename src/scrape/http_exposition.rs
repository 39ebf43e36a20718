//! The metrics page of a target, over HTTP.

use std::sync::Arc;

use exposition::{Format, Protocol, accept_header, choose_format};
use model::Secret;
use ports::{
    BoxFuture, CollectError, Collector, Deadline, HttpOptions, HttpRequest, Outgoing, OutgoingError, Payload,
    Reach, Scrape, Target, TextFormat,
};

use crate::PoolConfig;

/// A body beyond this is refused even where no limit is configured: it would be held in memory.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What we call ourselves.
const USER_AGENT: &str = concat!("Foghorn/", env!("CARGO_PKG_VERSION"));

/// Fetches the pages of one job's targets.
pub struct HttpExposition {
    outgoing: Arc<dyn Outgoing>,
    options: Arc<HttpOptions>,
    accept: String,
    decompress: bool,
    fallback: Option<Protocol>,
    body_bytes_max: usize,
}

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// It is longer than allowed.
    TooLarge(String),
    /// Anything else.
    Other(String),
}

impl FetchError {
    pub(crate) fn into_message(self) -> String {
        match self {
            FetchError::TooLarge(message) | FetchError::Other(message) => message,
        }
    }
}

impl HttpExposition {
    /// For the targets of one job.
    pub fn new(outgoing: Arc<dyn Outgoing>, config: &PoolConfig) -> Self {
        let limit = usize::try_from(config.limits.body_bytes).unwrap_or(usize::MAX);
        HttpExposition {
            outgoing,
            options: Arc::clone(&config.http),
            accept: accept_header(&config.protocols, config.name_escaping),
            decompress: config.enable_compression,
            fallback: config.fallback_protocol,
            body_bytes_max: if limit == 0 { BODY_BYTES_MAX } else { limit },
        }
    }

    pub(crate) async fn fetch(&self, target: &Target, deadline: Deadline) -> Result<Scrape, FetchError> {
        let header = |name: &str, value: &str| (name.to_owned(), Secret::new(value.to_owned()));
        let mut headers = vec![
            header("Accept", &self.accept),
            header("User-Agent", USER_AGENT),
            header("X-Prometheus-Scrape-Timeout-Seconds", &target.timeout.as_secs_f64().to_string()),
        ];
        if !self.decompress {
            headers.push(header("Accept-Encoding", "identity"));
        }
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: Secret::new(target.url.clone()),
            headers,
            timeout: deadline.left,
            response_bytes_max: self.body_bytes_max,
            decompress: self.decompress,
            reach: Reach::Operator,
            options: Arc::clone(&self.options),
            ..HttpRequest::default()
        };
        let response = self.outgoing.send(request).await.map_err(|error| match error {
            OutgoingError::TooLarge(limit) => FetchError::TooLarge(format!(
                "the body is longer than {limit} bytes; body_size_limit allows no more"
            )),
            other => FetchError::Other(other.to_string()),
        })?;
        if response.status != 200 {
            return Err(FetchError::Other(format!("the target answered with status {}", response.status)));
        }
        let content_type = response.header("content-type").unwrap_or_default();
        let (format, problem) = choose_format(content_type, self.fallback);
        match (format, problem) {
            (Some(format), problem) => {
                if let Some(problem) = problem {
                    tracing::debug!(instance = target.labels.value(model::INSTANCE), %problem, "Read with fallback_scrape_protocol.");
                }
                Ok(Scrape {
                    wire_bytes: response.wire_bytes,
                    payload: Payload::Body { bytes: response.body, format: text_format(format) },
                    metadata: Vec::new(),
                })
            }
            (None, problem) => {
                let problem = problem.map(|problem| problem.to_string()).unwrap_or_default();
                Err(FetchError::Other(format!(
                    "{problem}; fallback_scrape_protocol says how to read it anyway"
                )))
            }
        }
    }
}

fn text_format(format: Format) -> TextFormat {
    match format {
        Format::PrometheusText => TextFormat::Prometheus,
        Format::OpenMetrics => TextFormat::OpenMetrics,
        Format::Protobuf => TextFormat::Protobuf,
    }
}

impl Collector for HttpExposition {
    fn collect<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Scrape, CollectError>> {
        Box::pin(async move {
            let fetched = self.fetch(target, deadline).await;
            fetched.map_err(|error| CollectError { message: error.into_message() })
        })
    }
}
