//! The query log: each query as a line of JSON in a file, with who asked, what it took, and what went wrong.
//!
//! In: [`LoggedQuery`]. Out: lines in the file that `global.query_log_file` names. The file is opened anew at each reload, so
//! that it can be moved away. Not here: a clock; the caller says when.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use api::{Origin, QueryAnswer, stats_json};
use model::Timestamp;
use ports::QueryError;
use promql::Range;
use serde_json::{Value, json};

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AskedBy<'a> {
    /// A request.
    Http(&'a Origin),
    /// A rule of this group.
    Rule { file: &'a str, group: &'a str },
    /// A plugin, or we ourselves.
    Other,
}

/// One query, with its outcome.
#[derive(Debug)]
pub(crate) struct LoggedQuery<'a> {
    pub(crate) at: Timestamp,
    pub(crate) expr: &'a str,
    pub(crate) range: Range,
    pub(crate) by: AskedBy<'a>,
    pub(crate) outcome: Result<&'a QueryAnswer, &'a QueryError>,
}

/// Where queries are written down, if anywhere.
#[derive(Debug, Default)]
pub(crate) struct QueryLog {
    on: AtomicBool,
    file: Mutex<Option<(PathBuf, File)>>,
    failures: AtomicU64,
}

impl QueryLog {
    /// Writes to the file at `path` from now on, or nowhere. A file that is in use already is opened anew.
    pub(crate) fn open(&self, path: Option<&Path>) -> Result<(), String> {
        let opened = path
            .map(|path| {
                let file = OpenOptions::new().create(true).append(true).open(path);
                file.map(|file| (path.to_owned(), file))
                    .map_err(|error| format!("query_log_file `{}` cannot be opened: {error}", path.display()))
            })
            .transpose()?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        self.on.store(opened.is_some(), Ordering::Relaxed);
        *file = opened;
        Ok(())
    }

    /// Whether queries are written down.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Lines that could not be written.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Writes one line.
    pub(crate) fn write(&self, query: &LoggedQuery<'_>) {
        let line = format!("{}\n", record(query));
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((path, file)) = open.as_mut() else { return };
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(path = %path.display(), %error, "The query log cannot be written; it is off until the next reload.");
            self.on.store(false, Ordering::Relaxed);
            *open = None;
        }
    }
}

fn record(query: &LoggedQuery<'_>) -> Value {
    let mut record = json!({
        "time": query.at.to_string(),
        "level": "INFO",
        "msg": "promql query logged",
        "params": {
            "query": query.expr,
            "start": query.range.start.to_string(),
            "end": query.range.end.to_string(),
            "step": query.range.step_ms / 1000,
        },
    });
    match query.by {
        AskedBy::Http(origin) => {
            record["httpRequest"] = json!({
                "clientIP": origin.client.map(|ip| ip.to_string()).unwrap_or_default(),
                "method": origin.method,
                "path": origin.path,
            });
        }
        AskedBy::Rule { file, group } => record["ruleGroup"] = json!({"file": file, "name": group}),
        AskedBy::Other => {}
    }
    match query.outcome {
        Ok(found) => record["stats"] = stats_json(&found.timings, &found.answer.samples, query.range),
        Err(error) => record["error"] = json!(error.message),
    }
    record
}

#[cfg(test)]
mod tests {
    use api::QueryTimings;
    use ports::QueryErrorKind;
    use promql::QuerySamples;

    use super::*;

    fn logged<'a>(by: AskedBy<'a>, outcome: Result<&'a QueryAnswer, &'a QueryError>) -> LoggedQuery<'a> {
        let at = Timestamp::from_secs(1_600_000_000);
        LoggedQuery { at, expr: "up == 0", range: Range { start: at, end: at, step_ms: 15_000 }, by, outcome }
    }

    #[test]
    fn a_line_says_who_asked_and_what_it_took() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("query.log");
        let log = QueryLog::default();
        assert!(!log.is_on());
        log.open(Some(&path)).unwrap();
        assert!(log.is_on());
        let origin = Origin {
            client: Some([127, 0, 0, 1].into()),
            method: "POST".to_owned(),
            path: "/api/v1/query_range".to_owned(),
        };
        let found = QueryAnswer {
            answer: promql::Answer {
                value: promql::Value::Vector(Vec::new()),
                warnings: Vec::new(),
                infos: Vec::new(),
                samples: QuerySamples::default(),
                explain: None,
            },
            timings: QueryTimings::default(),
        };
        log.write(&logged(AskedBy::Http(&origin), Ok(&found)));
        // Moved away, and opened anew.
        let moved = directory.path().join("query.log.1");
        std::fs::rename(&path, &moved).unwrap();
        log.open(Some(&path)).unwrap();
        let error = QueryError { kind: QueryErrorKind::Timeout, message: "too slow".to_owned() };
        log.write(&logged(AskedBy::Rule { file: "rules.yml", group: "g" }, Err(&error)));
        log.open(None).unwrap();
        log.write(&logged(AskedBy::Other, Err(&error)));

        let first: Value = serde_json::from_str(&std::fs::read_to_string(moved).unwrap()).unwrap();
        assert_eq!(
            first["params"],
            json!({"query": "up == 0", "start": "2020-09-13T12:26:40.000Z", "end": "2020-09-13T12:26:40.000Z", "step": 15})
        );
        assert_eq!(
            first["httpRequest"],
            json!({"clientIP": "127.0.0.1", "method": "POST", "path": "/api/v1/query_range"})
        );
        assert_eq!(first["stats"]["samples"]["peakSamples"], 0);
        let second: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(second["ruleGroup"], json!({"file": "rules.yml", "name": "g"}));
        assert_eq!(second["error"], "too slow");
    }
}
