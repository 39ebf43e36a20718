//! What components import: each function hands on to [`Call`], and nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};
use ports::Mail;

use super::bindings::foghorn::plugin as wit;
use super::columns;
use super::guest::{Guest, owned};
use crate::host::{Entry, FileSystem, Kernel, Level, Operation, Request};
use crate::{ErrorKind, HostError};

/// The JSON about more alerts than this, which takes a millisecond, is not written on the thread that calls: others wait
/// for that.
const INLINE_MAX: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, wit::types::Error>>;

impl wit::types::Host for Guest {}

impl wit::log::Host for Guest {
    fn write(
        &mut self,
        level: wit::log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            wit::log::Level::Debug => Level::Debug,
            wit::log::Level::Info => Level::Info,
            wit::log::Level::Warn => Level::Warn,
            wit::log::Level::Error => Level::Error,
        };
        self.call()?.log(level, &message, &fields);
        Ok(())
    }
}

impl wit::clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<i64> {
        Ok(self.call()?.now().as_millis())
    }
}

impl wit::config::Host for Guest {
    fn param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.call()?.param(&name).map(ToString::to_string))
    }
}

impl wit::state::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.call()?.state_get(&key).map(|value| value.to_vec()))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl: Option<u64>) -> Answer<()> {
        Ok(self.call()?.state_set(&key, owned(value), ttl.map(Duration::from_millis)).map_err(error))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.call()?.state_delete(&key);
        Ok(())
    }

    fn keys(&mut self, prefix: String) -> wasmtime::Result<Vec<String>> {
        Ok(self.call()?.state_keys(&prefix))
    }
}

impl wit::metrics::Host for Guest {
    fn add(&mut self, name: String, labels: Vec<(String, String)>, amount: f64) -> wasmtime::Result<()> {
        self.call()?.metric(&name, Labels::from_pairs(labels), Operation::Add(amount));
        Ok(())
    }

    fn set(&mut self, name: String, labels: Vec<(String, String)>, value: f64) -> wasmtime::Result<()> {
        self.call()?.metric(&name, Labels::from_pairs(labels), Operation::Set(value));
        Ok(())
    }

    fn observe(&mut self, name: String, labels: Vec<(String, String)>, value: f64) -> wasmtime::Result<()> {
        self.call()?.metric(&name, Labels::from_pairs(labels), Operation::Observe(value));
        Ok(())
    }
}

impl wit::query::Host for Guest {
    async fn instant(&mut self, promql: String, at: Option<i64>) -> Answer<wit::types::Vector> {
        let call = self.call()?;
        let vector = call.query_instant(&promql, at.map(Timestamp::from_millis)).await;
        Ok(vector.map(columns::vector).map_err(error))
    }

    async fn range(&mut self, promql: String, start: i64, end: i64, step: u64) -> Answer<wit::types::Matrix> {
        let call = self.call()?;
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let matrix = call.query_range(&promql, start, end, Duration::from_millis(step)).await;
        Ok(matrix.map(columns::matrix).map_err(error))
    }
}

impl wit::secrets::Host for Guest {
    fn stand_in(&mut self, name: String) -> Answer<String> {
        Ok(self.call()?.stand_in(&name).map_err(error))
    }

    fn hmac_sha256(&mut self, name: String, data: Vec<u8>) -> Answer<Vec<u8>> {
        Ok(self.call()?.hmac_sha256(&name, &data).map_err(error))
    }
}

impl wit::http::Host for Guest {
    async fn send(&mut self, request: wit::http::Request) -> Answer<wit::http::Response> {
        let request = Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout.map(Duration::from_millis),
        };
        let answer = self.call()?.http_send(request).await;
        Ok(answer
            .map(|answer| wit::http::Response {
                status: answer.status,
                headers: answer.headers,
                body: answer.body.to_vec(),
            })
            .map_err(error))
    }
}

impl wit::notification::Host for Guest {
    async fn webhook(&mut self, max_alerts: u32) -> wasmtime::Result<String> {
        let (told, limit) = (self.told()?, max_alerts as usize);
        if told.notification.alerts.len() <= INLINE_MAX {
            return Ok(told.webhook(limit));
        }
        let told = Arc::clone(told);
        Ok(tokio::task::spawn_blocking(move || told.webhook(limit)).await?)
    }

    async fn text(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.told()?.text(&name).map(str::to_owned))
    }

    async fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(self.told()?.attempt)
    }
}

impl wit::files::Host for Guest {
    async fn read(&mut self, path: String) -> Answer<Vec<u8>> {
        Ok(self.call()?.read_file(path).await.map_err(error))
    }

    async fn read_all(
        &mut self,
        paths: Vec<String>,
    ) -> wasmtime::Result<Vec<Result<Vec<u8>, wit::types::Error>>> {
        let read = self.call()?.read_files(paths).await;
        Ok(read.into_iter().map(|outcome| outcome.map_err(error)).collect())
    }

    async fn list_directory(&mut self, path: String) -> Answer<Vec<wit::files::Entry>> {
        let entry = |Entry { name, directory }| wit::files::Entry { name, directory };
        let entries = self.call()?.list_directory(path).await;
        Ok(entries.map(|entries| entries.into_iter().map(entry).collect()).map_err(error))
    }

    async fn read_link(&mut self, path: String) -> Answer<String> {
        Ok(self.call()?.read_link(path).await.map_err(error))
    }

    async fn stat_file_system(&mut self, path: String) -> Answer<wit::files::FileSystem> {
        let stat = self.call()?.file_system(path).await;
        let stat = stat.map(|stat: FileSystem| wit::files::FileSystem {
            block_size: stat.block_size,
            blocks: stat.blocks,
            blocks_free: stat.blocks_free,
            blocks_available: stat.blocks_available,
            inodes: stat.inodes,
            inodes_free: stat.inodes_free,
            read_only: stat.read_only,
        });
        Ok(stat.map_err(error))
    }

    async fn uname(&mut self) -> Answer<wit::files::Kernel> {
        let kernel = self.call()?.uname().map(|kernel: Kernel| wit::files::Kernel {
            sysname: kernel.sysname,
            release: kernel.release,
            version: kernel.version,
            machine: kernel.machine,
            nodename: kernel.nodename,
            domainname: kernel.domainname,
        });
        Ok(kernel.map_err(error))
    }
}

impl wit::mail::Host for Guest {
    async fn send(&mut self, server: String, message: wit::mail::Message) -> Answer<String> {
        let mail = Mail {
            from: message.from,
            to: message.to,
            headers: message.headers,
            text: message.text,
            html: message.html,
            // The host names it.
            id: String::new(),
        };
        Ok(self.call()?.mail_send(&server, mail).await.map_err(error))
    }
}

fn error(error: HostError) -> wit::types::Error {
    let kind = match error.kind {
        ErrorKind::Retryable => wit::types::ErrorKind::Retryable,
        ErrorKind::RateLimited => wit::types::ErrorKind::RateLimited,
        ErrorKind::Permanent => wit::types::ErrorKind::Permanent,
        ErrorKind::Unauthorized => wit::types::ErrorKind::Unauthorized,
        ErrorKind::Config => wit::types::ErrorKind::Config,
        ErrorKind::Denied => wit::types::ErrorKind::Denied,
        ErrorKind::Limit => wit::types::ErrorKind::Limit,
    };
    let message = match error.limit {
        // A component hands the text on, and people look for the limit's name.
        Some(limit) => format!("{} (limit `{limit}`)", error.message),
        None => error.message,
    };
    wit::types::Error { kind, message, retry_after: error.retry_after.map(millis) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
