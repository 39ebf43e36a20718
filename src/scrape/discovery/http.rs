//! `http_sd_configs`: a list of targets over HTTP.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Secret};
use ports::{HttpOptions, HttpRequest, Outgoing, Reach};

use super::{Closed, Updates};
use crate::TargetGroup;
use crate::target_list::{Notation, parse};

/// A longer list is refused.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For one request, whatever the refresh interval.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

pub(super) async fn run(
    url: Secret<String>,
    refresh: Duration,
    options: Arc<HttpOptions>,
    outgoing: Arc<dyn Outgoing>,
    updates: Updates,
) {
    let mut timer = tokio::time::interval(refresh.max(Duration::from_millis(1)));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let sent = match fetch(&url, refresh, &options, outgoing.as_ref()).await {
            Ok(groups) => updates.send(Some(groups), None).await,
            Err(problem) => updates.send(None, Some(format!("http_sd_configs: {problem}"))).await,
        };
        if let Err(Closed) = sent {
            return;
        }
    }
}

async fn fetch(
    url: &Secret<String>,
    refresh: Duration,
    options: &Arc<HttpOptions>,
    outgoing: &dyn Outgoing,
) -> Result<Vec<TargetGroup>, String> {
    let header = |name: &str, value: String| (name.to_owned(), Secret::new(value));
    let request = HttpRequest {
        method: "GET".to_owned(),
        url: url.clone(),
        headers: vec![
            header("Accept", "application/json".to_owned()),
            header("X-Prometheus-Refresh-Interval-Seconds", refresh.as_secs_f64().to_string()),
        ],
        timeout: refresh.min(TIMEOUT_MAX),
        response_bytes_max: LIST_BYTES_MAX,
        decompress: true,
        reach: Reach::Operator,
        options: Arc::clone(options),
        ..HttpRequest::default()
    };
    let response = outgoing.send(request).await.map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(format!("the list was answered with status {}", response.status));
    }
    let content_type = response.header("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(format!("the list has the Content-Type `{content_type}`; it must be application/json"));
    }
    let text = std::str::from_utf8(&response.body).map_err(|_| "the list is not UTF-8".to_owned())?;
    let mut groups = parse(text, Notation::Json).map_err(|error| error.to_string())?;
    let shown = without_credentials(url.expose());
    let source = Labels::from([("__meta_url", shown.as_str())]);
    for group in &mut groups {
        group.labels = group.labels.iter().chain(source.iter()).collect();
    }
    Ok(groups)
}

/// `url` without what stands in front of `@` in its authority.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..authority_end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[host..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_become_labels() {
        for (url, shown) in [
            ("http://a/b", "http://a/b"),
            ("http://user:pass@a:1/b?c=@d", "http://a:1/b?c=@d"),
            ("https://a", "https://a"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
