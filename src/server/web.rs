//! How our own listeners are reached: TLS, passwords, headers, by the file of `--web.config.file`.
//!
//! In: the path of the file. Out: for each connection and each request, what holds now. The file and the files that it
//! names are looked at each time, which costs a question to the disk for each, and read again when one of them changed:
//! certificates and passwords change without a restart. A version that cannot be used changes nothing, and is said once.
//! Not here: what the file may hold (`config::load_web`), who may change what (`api`).
//! Start at [`Web::current`].

mod certificates;
mod connection;
mod gate;
mod passwords;
mod tls;
mod watched;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::http::{HeaderName, HeaderValue};
use config::{ClientAuth, RequestLimit, WebConfig, load_web};
use model::Secret;
use rustls::ServerConfig;

pub(crate) use connection::{Connection, Peer};
pub(crate) use gate::{Gate, gate};
use passwords::Passwords;
use watched::{Watched, WatchedFiles};

/// The file of `--web.config.file`, and what of it holds.
pub(crate) struct Web {
    path: PathBuf,
    state: Mutex<State>,
    passwords: Passwords,
    bucket: Mutex<Option<Bucket>>,
}

struct State {
    /// The files that were looked at, as they were.
    watched: Watched,
    /// The last version that can be used.
    applied: Arc<Applied>,
}

/// A version of the file, ready for use.
pub(crate) struct Applied {
    tls: Option<Tls>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: std::collections::BTreeMap<String, Secret<String>>,
    requests: Option<RequestLimit>,
}

#[derive(Clone)]
struct Tls {
    config: Arc<ServerConfig>,
    /// Whether a connection has shown a certificate that an authority of the operator's signed.
    proves_client: bool,
}

impl Web {
    /// Reads the file; every warning, or why it cannot be used.
    pub(crate) fn open(path: &Path) -> Result<(Web, Vec<String>), String> {
        let (watched, read) = read(path);
        let (applied, warnings) = read?;
        let web = Web {
            path: path.to_owned(),
            state: Mutex::new(State { watched, applied: Arc::new(applied) }),
            passwords: Passwords::new(),
            bucket: Mutex::default(),
        };
        Ok((web, warnings))
    }

    /// Whether TLS is spoken. It stays as it was at the start: a listener cannot become another.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).applied.tls.is_some()
    }

    /// What holds now.
    pub(crate) fn current(&self) -> Arc<Applied> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.watched.is_unchanged() {
            return Arc::clone(&state.applied);
        }
        let (watched, read) = read(&self.path);
        state.watched = watched;
        let file = self.path.display();
        match read {
            Ok((applied, _)) if applied.tls.is_some() != state.applied.tls.is_some() => {
                tracing::warn!(%file, "TLS begins and ends only with a restart; until then the last version of the file holds.");
            }
            Ok((applied, warnings)) => {
                state.applied = Arc::new(applied);
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                tracing::info!(%file, "Certificates and passwords were read again.");
            }
            Err(why) => {
                tracing::warn!(%file, "The file of --web.config.file cannot be used; the last version of it holds.\n{why}");
            }
        }
        Arc::clone(&state.applied)
    }

    /// Whether the limit lets one more request through.
    fn takes_request(&self, limit: RequestLimit, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.get_or_insert_with(|| Bucket { requests: f64::from(limit.burst), at: now }).take(limit, now)
    }
}

/// How many requests may come at once.
struct Bucket {
    requests: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, limit: RequestLimit, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / limit.interval.as_secs_f64();
        self.requests = (self.requests + passed).min(f64::from(limit.burst));
        self.at = now;
        let enough = self.requests >= 1.0;
        if enough {
            self.requests -= 1.0;
        }
        enough
    }
}

/// Checks the file of `--web.config.file` and the files that it names: every warning, or every problem.
pub fn check_web(path: &Path) -> Result<Vec<String>, String> {
    read(path).1.map(|(_, warnings)| warnings)
}

/// Reads the file and those that it names, and which they were.
fn read(path: &Path) -> (Watched, Result<(Applied, Vec<String>), String>) {
    let files = WatchedFiles::default();
    let read =
        load_web(&files, path).map_err(|problems| problems.to_string()).and_then(|(config, warnings)| {
            let applied =
                apply(config, &files).map_err(|why| format!("error: {why}\n  --> {}", path.display()))?;
            Ok((applied, warnings.iter().map(ToString::to_string).collect()))
        });
    (files.into_watched(), read)
}

fn apply(config: WebConfig, files: &WatchedFiles) -> Result<Applied, String> {
    let tls = config
        .tls
        .map(|tls| {
            // Whoever the machine trusts to vouch for servers vouches for nobody here.
            let proves_client = tls.client_auth == ClientAuth::RequireAndVerify && tls.client_ca.is_some();
            tls::server_config(&tls, files).map(|config| Tls { config: Arc::new(config), proves_client })
        })
        .transpose()?;
    let headers: Result<Vec<_>, String> = config
        .headers
        .iter()
        .map(|(name, text)| {
            let value = HeaderValue::from_bytes(text.as_bytes());
            let value = value.map_err(|_| format!("`{text}` is not the value of a header"))?;
            let name = HeaderName::from_bytes(name.as_bytes());
            Ok((name.map_err(|_| "a header has no name".to_owned())?, value))
        })
        .collect();
    Ok(Applied { tls, headers: headers?, users: config.users, requests: config.requests })
}
