//! Other Alertmanagers that the alerts of our rules are sent to: `alerting.alertmanagers`.
//!
//! Each address has a queue and a task of its own, so that a slow one holds up nobody. Nothing is tried again: what fires is
//! sent again after the resend delay anyway. An address that is this server itself is left out: its alerts are handed over
//! inside.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::AlertmanagerConfig;
use model::{Alert, Labels, RelabelRule, Secret, relabel};
use ports::{HttpOptions, HttpRequest, Outgoing, OutgoingError};
use scrape::{Discovered, DiscoveryConfig, TargetGroup};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Points;

/// Alerts that may wait for one address; the oldest give way.
const QUEUE_MAX: usize = 10_000;
/// Alerts in one request.
const BATCH_MAX: usize = 256;
/// An answer says little.
const ANSWER_BYTES_MAX: usize = 65_536;
/// The same trouble is told again after this long.
const SAY_AGAIN: Duration = Duration::from_secs(60);

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";

/// All other Alertmanagers.
pub(crate) struct OtherAlertmanagers {
    outgoing: Arc<dyn Outgoing>,
    /// Where this server listens.
    own: Vec<SocketAddr>,
    sets: Mutex<Vec<Set>>,
}

/// One entry of the configuration.
struct Set {
    config: AlertmanagerConfig,
    routes_itself: bool,
    discovered: Discovered,
    /// By address.
    senders: BTreeMap<String, Sender>,
    dropped: Vec<String>,
}

struct Sender {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Arc<Alert>>>,
    changed: Notify,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    requests: AtomicU64,
    micros: AtomicU64,
}

impl Queue {
    fn push(&self, alerts: impl Iterator<Item = Arc<Alert>>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(alerts);
        let too_many = waiting.len().saturating_sub(QUEUE_MAX);
        waiting.drain(..too_many);
        self.dropped.fetch_add(too_many as u64, Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn batch(&self) -> Vec<Arc<Alert>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }

    fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl OtherAlertmanagers {
    pub(crate) fn new(outgoing: Arc<dyn Outgoing>, own: Vec<SocketAddr>) -> Self {
        OtherAlertmanagers { outgoing, own, sets: Mutex::default() }
    }

    /// The Alertmanagers from now on; queues of entries that did not change go on. `routes_itself`: whether this server's
    /// own configuration says where alerts go.
    pub(crate) fn apply(&self, configs: &[AlertmanagerConfig], routes_itself: bool) {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *sets);
        for config in configs {
            let same = |set: &Set| {
                let moved = AlertmanagerConfig { place: config.place.clone(), ..set.config.clone() };
                moved == *config && set.routes_itself == routes_itself
            };
            let set = match old.iter().position(same) {
                Some(position) => old.swap_remove(position),
                None => self.start(config.clone(), routes_itself),
            };
            sets.push(set);
        }
        sets.iter_mut().for_each(|set| self.sync(set));
    }

    fn start(&self, config: AlertmanagerConfig, routes_itself: bool) -> Set {
        let fixed = config.static_configs.iter();
        let fixed = fixed.map(|group| TargetGroup::of(&group.targets, group.labels.clone())).collect();
        let sources: Vec<DiscoveryConfig> =
            config.discoveries.iter().map(|discovery| DiscoveryConfig::from(&discovery.kind)).collect();
        let name = format!("alertmanagers of {}", config.place);
        let discovered = Discovered::start(name, fixed, &sources, &self.outgoing);
        Set { config, routes_itself, discovered, senders: BTreeMap::new(), dropped: Vec::new() }
    }

    /// Makes the senders those of the addresses that there are.
    fn sync(&self, set: &mut Set) {
        let config = &set.config;
        let mut old = std::mem::take(&mut set.senders);
        set.dropped.clear();
        for found in set.discovered.labels().iter() {
            let path = format!("{}/api/v2/alerts", config.path_prefix.trim_end_matches('/'));
            let mut labels = found.edit();
            for (name, value) in [(SCHEME, config.scheme.as_str()), (PATH, &path)] {
                if labels.value(name).is_empty() {
                    labels.set(name, value);
                }
            }
            let labels = labels.build();
            let Some(kept) = relabel(&labels, &config.relabel_configs) else {
                set.dropped.push(url_of(&labels));
                continue;
            };
            if kept.value(ADDRESS).is_empty() || self.is_own(kept.value(ADDRESS)) {
                continue;
            }
            let url = url_of(&kept);
            let sender = match old.remove(&url) {
                Some(sender) => sender,
                None => {
                    let queue = Arc::new(Queue::default());
                    let post = Post {
                        url: url.clone(),
                        address: kept.value(ADDRESS).to_owned(),
                        timeout: config.timeout,
                        options: Arc::new(config.http.clone()),
                        outgoing: Arc::clone(&self.outgoing),
                        routes_itself: set.routes_itself,
                    };
                    Sender { task: tokio::spawn(post.run(Arc::clone(&queue))), queue }
                }
            };
            set.senders.insert(url, sender);
        }
    }

    /// Whether an address of the configuration is one that this server listens on itself.
    fn is_own(&self, address: &str) -> bool {
        let Some((host, port)) = address.rsplit_once(':') else { return false };
        let local = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        local && self.own.iter().any(|own| own.port().to_string() == port)
    }

    /// Hands alerts to every queue.
    pub(crate) fn send(&self, alerts: &[Alert]) {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        for set in sets.iter_mut() {
            self.sync(set);
            if set.senders.is_empty() {
                continue;
            }
            let alerts: Vec<Arc<Alert>> = alerts
                .iter()
                .filter_map(|alert| relabelled(alert, &set.config.alert_relabel_configs))
                .collect();
            for sender in set.senders.values() {
                sender.queue.push(alerts.iter().cloned());
            }
        }
    }

    /// Addresses that are sent to, and those that relabelling dropped.
    pub(crate) fn addresses(&self) -> (Vec<String>, Vec<String>) {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let active = sets.iter().flat_map(|set| set.senders.keys().cloned()).collect();
        (active, sets.iter().flat_map(|set| set.dropped.clone()).collect())
    }

    /// Waits until everything is sent, but not for long.
    pub(crate) async fn drain(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            let waiting: usize = {
                let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
                sets.iter().flat_map(|set| set.senders.values()).map(|sender| sender.queue.len()).sum()
            };
            if waiting == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.sets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Under Prometheus' names.
    pub(crate) fn points(&self, points: &mut Points) {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let senders: Vec<(&String, &Sender)> = sets.iter().flat_map(|set| &set.senders).collect();
        // Ourselves and those that were found.
        points.count("prometheus_notifications_alertmanagers_discovered", &[], 1 + senders.len() as u64);
        for (url, sender) in senders {
            let queue = &sender.queue;
            let labels = [("alertmanager", url.as_str())];
            let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            points.count("prometheus_notifications_sent_total", &labels, of(&queue.sent));
            points.count("prometheus_notifications_errors_total", &labels, of(&queue.failed));
            points.count("prometheus_notifications_dropped_total", &labels, of(&queue.dropped));
            points.count("prometheus_notifications_queue_length", &labels, queue.len() as u64);
            // With the same labels as the length, so that the two can be compared.
            points.count("prometheus_notifications_queue_capacity", &labels, QUEUE_MAX as u64);
            let seconds = Duration::from_micros(of(&queue.micros)).as_secs_f64();
            points.add("prometheus_notifications_latency_seconds_sum", &labels, seconds);
            points.count("prometheus_notifications_latency_seconds_count", &labels, of(&queue.requests));
        }
    }
}

fn url_of(labels: &Labels) -> String {
    let path = labels.value(PATH);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{}://{}{slash}{path}", labels.value(SCHEME), labels.value(ADDRESS))
}

fn relabelled(alert: &Alert, rules: &[RelabelRule]) -> Option<Arc<Alert>> {
    if rules.is_empty() {
        return Some(Arc::new(alert.clone()));
    }
    Some(Arc::new(Alert { labels: relabel(&alert.labels, rules)?, ..alert.clone() }))
}

fn body(alerts: &[Arc<Alert>]) -> String {
    let texts = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Map<String, Value> {
        pairs.map(|(name, text)| (name.to_owned(), text.into())).collect()
    };
    let one = |alert: &Arc<Alert>| {
        let mut json = json!({
            "labels": texts(&mut alert.labels.iter()),
            "annotations": texts(&mut alert.annotations.iter()),
            "startsAt": alert.starts_at.to_string(),
            "endsAt": alert.ends_at.to_string(),
        });
        // An empty text is no address.
        if !alert.generator_url.is_empty() {
            json["generatorURL"] = (&*alert.generator_url).into();
        }
        json
    };
    Value::from(alerts.iter().map(one).collect::<Vec<_>>()).to_string()
}

/// What sends to one address.
struct Post {
    url: String,
    address: String,
    timeout: Duration,
    options: Arc<HttpOptions>,
    outgoing: Arc<dyn Outgoing>,
    routes_itself: bool,
}

impl Post {
    async fn run(self, queue: Arc<Queue>) {
        let mut said: Option<Instant> = None;
        loop {
            let batch = queue.batch();
            if batch.is_empty() {
                queue.changed.notified().await;
                continue;
            }
            let count = batch.len() as u64;
            let began = Instant::now();
            let outcome = self.post(body(&batch)).await;
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            queue.micros.fetch_add(micros, Ordering::Relaxed);
            queue.requests.fetch_add(1, Ordering::Relaxed);
            let Err(error) = outcome else {
                queue.sent.fetch_add(count, Ordering::Relaxed);
                said = None;
                continue;
            };
            let speaks = said.is_none_or(|at| at.elapsed() >= SAY_AGAIN);
            if speaks {
                said = Some(Instant::now());
            }
            if self.is_replaced().await {
                if speaks {
                    tracing::info!(
                        address = self.address,
                        "There is no such Alertmanager; alerts go where this server's own `route` says."
                    );
                }
                continue;
            }
            queue.failed.fetch_add(count, Ordering::Relaxed);
            // They are not in the queue any more.
            queue.dropped.fetch_add(count, Ordering::Relaxed);
            if speaks {
                tracing::warn!(alertmanager = self.url, alerts = count, %error, "Alerts were not taken by another Alertmanager; those that go on firing are sent again.");
            }
        }
    }

    async fn post(&self, body: String) -> Result<(), String> {
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: Secret::new(self.url.clone()),
            headers: vec![("content-type".to_owned(), Secret::new("application/json".to_owned()))],
            body: body.into(),
            timeout: self.timeout,
            response_bytes_max: ANSWER_BYTES_MAX,
            options: Arc::clone(&self.options),
            ..HttpRequest::default()
        };
        match self.outgoing.send(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let text: String = text.trim().chars().take(200).collect();
                Err(format!("status {}: {text}", answer.status))
            }
            // Whatever it answered at such length, the status was not looked at.
            Err(error @ OutgoingError::TooLarge(_)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether the name leads nowhere while this server routes alerts by itself: the `prometheus.yml` of a setup whose
    /// Alertmanager this server took the place of.
    async fn is_replaced(&self) -> bool {
        self.routes_itself
            && self.options.proxy_url.is_none()
            && tokio::net::lookup_host(&self.address).await.is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(labels: Labels, annotations: &[(&str, &str)]) -> Arc<Alert> {
        let starts_at = model::Timestamp::from_secs(0);
        Arc::new(Alert {
            labels,
            annotations: annotations.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect(),
            starts_at,
            ends_at: model::Timestamp::from_secs(60),
            updated_at: starts_at,
            generator_url: Default::default(),
            timeout: false,
            value: None,
        })
    }

    #[test]
    fn a_full_queue_lets_the_oldest_go() {
        let queue = Queue::default();
        let numbered = |n: usize| alert(Labels::from_pairs([("n".to_owned(), n.to_string())]), &[]);
        queue.push((0..QUEUE_MAX + 3).map(numbered));
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 3);
        let batch = queue.batch();
        assert_eq!((batch.len(), batch[0].labels.value("n")), (BATCH_MAX, "3"));
        assert_eq!(queue.len(), QUEUE_MAX - BATCH_MAX);
    }

    #[test]
    fn bodies_are_those_of_the_api() {
        let alert = alert(Labels::from([("alertname", "Down")]), &[("summary", "gone")]);
        assert_eq!(
            body(&[alert]),
            r#"[{"annotations":{"summary":"gone"},"endsAt":"1970-01-01T00:01:00.000Z","labels":{"alertname":"Down"},"startsAt":"1970-01-01T00:00:00.000Z"}]"#
        );
    }
}
