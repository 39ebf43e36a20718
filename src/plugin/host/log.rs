//! What a plugin writes goes to the server's log, within limits.

use std::sync::Mutex;
use std::time::Instant;

use super::{Call, lock};
use crate::limits::{LOG_LINE_BYTES, LOG_LINES, LOG_LINES_A_SECOND};

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// How many lines a plugin may still write: refilled with time.
#[derive(Debug)]
pub(crate) struct LogBudget(Mutex<(f64, Instant)>);

impl LogBudget {
    pub(crate) fn new() -> Self {
        LogBudget(Mutex::new((f64::from(LOG_LINES), Instant::now())))
    }

    fn take(&self) -> bool {
        let mut budget = lock(&self.0);
        let now = Instant::now();
        let refilled = budget.0 + now.duration_since(budget.1).as_secs_f64() * LOG_LINES_A_SECOND;
        let available = refilled.min(f64::from(LOG_LINES));
        let take = available >= 1.0;
        *budget = (if take { available - 1.0 } else { available }, now);
        take
    }
}

impl Call {
    /// Writes one line. More than a call or a plugin may write is counted and dropped.
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let lines = {
            let mut used = self.used();
            used.log_lines = used.log_lines.saturating_add(1);
            used.log_lines
        };
        let written = lines <= LOG_LINES && self.profile.stats.log.take();
        let outcome = if written { Ok(()) } else { Err(super::limit("log", "dropped")) };
        if self.counted("log", outcome).is_err() {
            self.profile.stats.log_dropped();
            return;
        }
        let plugin = self.profile.name.as_str();
        let call = format_args!("{:016x}", self.id);
        let text = self.redact_text(cut(message));
        let fields = self.redact_text(&fields_text(fields));
        match level {
            Level::Debug => {
                tracing::debug!(target: "plugin", plugin, %call, %text, %fields, "A plugin says.")
            }
            Level::Info => tracing::info!(target: "plugin", plugin, %call, %text, %fields, "A plugin says."),
            Level::Warn => tracing::warn!(target: "plugin", plugin, %call, %text, %fields, "A plugin says."),
            Level::Error => {
                tracing::error!(target: "plugin", plugin, %call, %text, %fields, "A plugin says.")
            }
        }
    }
}

fn fields_text(fields: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&format!("{}={}", cut(name), cut(value)));
        if out.len() > LOG_LINE_BYTES {
            break;
        }
    }
    cut(&out).to_owned()
}

/// The first bytes of a text, at most a log line's worth.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LOG_LINE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        let text = "é".repeat(LOG_LINE_BYTES);
        assert!(cut(&text).len() <= LOG_LINE_BYTES);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_plugin_has_a_budget_of_lines() {
        let budget = LogBudget::new();
        let taken = (0..500).filter(|_| budget.take()).count();
        assert!((100..=110).contains(&taken), "{taken}");
    }
}
