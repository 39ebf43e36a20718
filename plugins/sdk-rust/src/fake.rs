//! A host for tests: answers what it was told to answer, and keeps what it was asked.
//!
//! ```
//! use foghorn_plugin::fake::FakeHost;
//! use foghorn_plugin::notifier::*;
//!
//! struct Chat;
//! impl Notifier for Chat {
//!     const MANIFEST: &'static str = r#"{ "name": "chat", "needs": { "secrets": ["url"] } }"#;
//!     fn notify(n: &Notification) -> Result<Option<String>> {
//!         Request::post(secret("url")?).json(&json!({ "text": n.title }))?.send()?.check()?;
//!         Ok(None)
//!     }
//! }
//!
//! let host = FakeHost::new().secret("url", "https://chat.test/hook").answer(429, r#"{ "retry_after": 2 }"#);
//! let outcome = host.run(|| Chat::notify(&Notification { title: "it broke".into(), ..Default::default() }));
//! assert_eq!(outcome.unwrap_err().kind, ErrorKind::RateLimited);
//! assert_eq!(host.requests()[0].body, br#"{"text":"it broke"}"#);
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::files::{FileSystem, Kernel};
use crate::http::{Request, Response};
use crate::log::Level;
use crate::mail::Message;
use crate::notifier::Notification;
use crate::query::{RangeSeries, Series};
use crate::{Error, ErrorKind, Labels, Result, Timestamp};

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<Inner>>>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Inner {
    now: Timestamp,
    params: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    state: BTreeMap<String, Vec<u8>>,
    answers: VecDeque<Result<Response>>,
    instant: BTreeMap<String, Vec<Series>>,
    range: BTreeMap<String, Vec<RangeSeries>>,
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
    file_systems: BTreeMap<String, FileSystem>,
    kernel: Option<Kernel>,
    told: Notification,
    requests: Vec<Request>,
    mails: Vec<(String, Message)>,
    lines: Vec<(Level, String)>,
    metrics: BTreeMap<(String, Labels), f64>,
}

/// A host for tests. What it does not know is missing, as with the real one.
#[derive(Clone, Default)]
pub struct FakeHost(Rc<RefCell<Inner>>);

impl FakeHost {
    /// A host that grants nothing and knows nothing. The time is 1970.
    pub fn new() -> Self {
        FakeHost::default()
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }

    /// Sets the time, in milliseconds since 1970.
    #[must_use]
    pub fn now(self, millis: i64) -> Self {
        self.with(|host| host.now = Timestamp(millis))
    }

    /// Sets a parameter.
    #[must_use]
    pub fn param(self, name: &str, value: impl Into<Value>) -> Self {
        self.with(|host| drop(host.params.insert(name.to_owned(), value.into().to_string())))
    }

    /// Sets the parameters that a manifest declares to their defaults, as the real host does.
    #[must_use]
    pub fn manifest(self, manifest: &str) -> Self {
        let manifest: Value = serde_json::from_str(manifest).expect("the manifest is JSON");
        let params = manifest["params"].as_object().cloned().unwrap_or_default();
        self.with(|host| {
            for (name, declared) in params {
                let default = match &declared {
                    Value::Object(long)
                        if ["type", "default", "about", "required"]
                            .iter()
                            .any(|key| long.contains_key(*key)) =>
                    {
                        long.get("default").cloned()
                    }
                    other => Some(other.clone()),
                };
                if let Some(default) = default {
                    host.params.entry(name).or_insert_with(|| default.to_string());
                }
            }
        })
    }

    /// Grants a secret. Its stand-in is the secret itself, so that requests can be read.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.with(|host| drop(host.secrets.insert(name.to_owned(), value.to_owned())))
    }

    /// The next HTTP request gets this answer.
    #[must_use]
    pub fn answer(self, status: u16, body: &str) -> Self {
        self.answer_with(Ok(Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }))
    }

    /// The next HTTP request gets this answer, or none.
    #[must_use]
    pub fn answer_with(self, answer: Result<Response>) -> Self {
        self.with(|host| host.answers.push_back(answer))
    }

    /// What an instant query returns.
    #[must_use]
    pub fn instant(self, promql: &str, rows: &[(&[(&str, &str)], f64)]) -> Self {
        self.with(|host| {
            let at = host.now;
            let row = |(labels, value): &(&[(&str, &str)], f64)| Series {
                labels: labels.iter().copied().collect(),
                value: *value,
                at,
            };
            host.instant.insert(promql.to_owned(), rows.iter().map(row).collect());
        })
    }

    /// What a range query returns, whatever the range.
    #[must_use]
    pub fn range(self, promql: &str, series: Vec<RangeSeries>) -> Self {
        self.with(|host| drop(host.range.insert(promql.to_owned(), series)))
    }

    /// Grants a file.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with(|host| drop(host.files.insert(path.to_owned(), content.into())))
    }

    /// Grants a link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(|host| drop(host.links.insert(path.to_owned(), target.to_owned())))
    }

    /// What a file system says about itself.
    #[must_use]
    pub fn file_system(self, path: &str, system: FileSystem) -> Self {
        self.with(|host| host.file_systems.extend([(path.to_owned(), system)]))
    }

    /// What the kernel says about itself.
    #[must_use]
    pub fn kernel(self, kernel: Kernel) -> Self {
        self.with(|host| host.kernel = Some(kernel))
    }

    /// What a lean notifier is to tell.
    #[must_use]
    pub fn told(self, notification: Notification) -> Self {
        self.with(|host| host.told = notification)
    }

    /// Makes one call. As with the real host, what it wrote to [`crate::state`] stays only if it returns `Ok`.
    pub fn run<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.0.borrow().state.clone();
        let outer = CURRENT.with(|current| current.replace(Some(Rc::clone(&self.0))));
        let outcome = call();
        CURRENT.with(|current| current.replace(outer));
        if outcome.is_err() {
            self.0.borrow_mut().state = before;
        }
        outcome
    }

    /// The HTTP requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The mails so far, each with its server.
    pub fn mails(&self) -> Vec<(String, Message)> {
        self.0.borrow().mails.clone()
    }

    /// The lines of the log so far.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.0.borrow().lines.clone()
    }

    /// The plugin's own metrics; of a histogram, the sum.
    pub fn metrics(&self) -> BTreeMap<(String, Labels), f64> {
        self.0.borrow().metrics.clone()
    }

    /// The keys of the state and what they hold.
    pub fn state(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.borrow().state.clone()
    }
}

fn ask<T>(question: impl FnOnce(&mut Inner) -> T) -> T {
    let host = CURRENT.with(|current| current.borrow().clone());
    let host = host.expect("a plugin's function is called inside `FakeHost::run`");
    let mut inner = host.borrow_mut();
    question(&mut inner)
}

fn denied(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("{what} `{name}` is not granted"))
}

/// The host's functions.
pub(crate) mod functions {
    use super::*;
    use crate::files::Entry;

    #[derive(PartialEq)]
    pub(crate) enum MetricCall {
        Add,
        Set,
        Observe,
    }

    pub(crate) fn now() -> Timestamp {
        ask(|host| host.now)
    }

    pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        ask(|host| host.lines.push((level, format!("{message}{fields}"))));
    }

    pub(crate) fn param(name: &str) -> Option<String> {
        ask(|host| host.params.get(name).cloned())
    }

    pub(crate) fn state_get(key: &str) -> Option<Vec<u8>> {
        ask(|host| host.state.get(key).cloned())
    }

    pub(crate) fn state_set(key: &str, value: Vec<u8>, _lifetime: Option<Duration>) -> Result<()> {
        ask(|host| drop(host.state.insert(key.to_owned(), value)));
        Ok(())
    }

    pub(crate) fn state_delete(key: &str) {
        ask(|host| drop(host.state.remove(key)));
    }

    pub(crate) fn state_keys(prefix: &str) -> Vec<String> {
        ask(|host| host.state.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    pub(crate) fn metric(call: MetricCall, name: &str, labels: &[(&str, &str)], number: f64) {
        ask(|host| {
            let series = host.metrics.entry((name.to_owned(), labels.iter().copied().collect())).or_default();
            *series = if call == MetricCall::Set { number } else { *series + number };
        });
    }

    pub(crate) fn stand_in(name: &str) -> Result<String> {
        ask(|host| host.secrets.get(name).cloned().ok_or_else(|| denied("secret", name)))
    }

    /// Not the real one, which needs the secret: enough to see what was signed.
    pub(crate) fn hmac_sha256(name: &str, data: &[u8]) -> Result<Vec<u8>> {
        stand_in(name).map(|secret| [secret.as_bytes(), b":", data].concat())
    }

    pub(crate) fn query_instant(promql: &str, _at: Option<Timestamp>) -> Result<Vec<Series>> {
        Ok(ask(|host| host.instant.get(promql).cloned().unwrap_or_default()))
    }

    pub(crate) fn query_range(
        promql: &str,
        _start: Timestamp,
        _end: Timestamp,
        _step: Duration,
    ) -> Result<Vec<RangeSeries>> {
        Ok(ask(|host| host.range.get(promql).cloned().unwrap_or_default()))
    }

    pub(crate) fn http_send(request: Request) -> Result<Response> {
        ask(|host| {
            host.requests.push(request);
            let none = || Err(Error::retryable("the fake host has no further answer"));
            host.answers.pop_front().unwrap_or_else(none)
        })
    }

    pub(crate) fn file_read(path: &str) -> Result<Vec<u8>> {
        ask(|host| host.files.get(path).cloned().ok_or_else(|| denied("file", path)))
    }

    pub(crate) fn file_read_all(paths: &[String]) -> Vec<Result<Vec<u8>>> {
        paths.iter().map(|path| file_read(path)).collect()
    }

    pub(crate) fn file_list(path: &str) -> Result<Vec<Entry>> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut entries: BTreeMap<String, bool> = BTreeMap::new();
        ask(|host| {
            let paths = host.files.keys().chain(host.links.keys());
            for rest in paths.filter_map(|path| path.strip_prefix(&below)) {
                let (name, directory) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
                *entries.entry(name.to_owned()).or_default() |= directory;
            }
        });
        if entries.is_empty() {
            return Err(denied("directory", path));
        }
        Ok(entries.into_iter().map(|(name, directory)| Entry { name, directory }).collect())
    }

    pub(crate) fn file_link(path: &str) -> Result<String> {
        ask(|host| host.links.get(path).cloned().ok_or_else(|| denied("link", path)))
    }

    pub(crate) fn file_system(path: &str) -> Result<FileSystem> {
        ask(|host| host.file_systems.get(path).copied().ok_or_else(|| denied("file system", path)))
    }

    pub(crate) fn file_uname() -> Result<Kernel> {
        ask(|host| host.kernel.clone().ok_or_else(|| denied("kernel", "uname")))
    }

    pub(crate) fn told_webhook(max_alerts: u32) -> String {
        ask(|host| {
            let message = crate::webhook::Message::new(&host.told, max_alerts as usize, "4");
            serde_json::to_string(&message).expect("names and texts are JSON")
        })
    }

    pub(crate) fn told_text(name: &str) -> Option<String> {
        ask(|host| {
            let told = &host.told;
            Some(match name {
                "id" => told.id.clone(),
                "dedup-key" => told.dedup_key.clone(),
                "status" => told.status.as_str().to_owned(),
                "receiver" => told.receiver.clone(),
                "title" => told.title.clone(),
                "external-url" => told.external_url.clone(),
                "traceparent" => told.traceparent.clone(),
                "previous" => return told.previous.clone(),
                "group-key" => return told.extra.get("group_key").cloned(),
                "reason" => return told.extra.get("reason").cloned(),
                _ => return None,
            })
        })
    }

    pub(crate) fn told_attempt() -> u32 {
        ask(|host| host.told.attempt)
    }

    pub(crate) fn mail_send(server: &str, message: Message) -> Result<String> {
        ask(|host| {
            host.mails.push((server.to_owned(), message));
            Ok(format!("<{}@fake>", host.mails.len()))
        })
    }
}
