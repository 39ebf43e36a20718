//! Which format a reader of our own pages gets.

use crate::{Family, OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE, write_openmetrics, write_text};

/// The page for a request with this `Accept` header, and its `Content-Type`. OpenMetrics if it is asked for by name and no
/// less than the Prometheus format; otherwise the Prometheus format.
pub fn write_page(families: &[Family], accept: &str) -> (String, &'static str) {
    if prefers_openmetrics(accept) {
        (write_openmetrics(families), OPENMETRICS_CONTENT_TYPE)
    } else {
        (write_text(families), TEXT_CONTENT_TYPE)
    }
}

fn prefers_openmetrics(accept: &str) -> bool {
    let (mut openmetrics, mut text) = (None, 0.0f64);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut weight, mut version) = (1.0, "");
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => weight = value.trim().parse().unwrap_or(0.0),
                "version" => version = value.trim(),
                _ => {}
            }
        }
        match media.as_str() {
            // 0.0.1 differs in nothing that we write.
            "application/openmetrics-text" if matches!(version, "" | "0.0.1" | "1.0.0") && weight > 0.0 => {
                openmetrics = Some(openmetrics.unwrap_or(0.0f64).max(weight));
            }
            "text/plain" => text = text.max(weight),
            _ => {}
        }
    }
    openmetrics.is_some_and(|weight| weight >= text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_name_it() {
        for (accept, expected) in [
            ("", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("application/openmetrics-text", true),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                true,
            ),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text; version=1.0.0;q=0.4", false),
            ("application/openmetrics-text;version=9.0.0,text/plain;q=0.1", false),
            ("application/openmetrics-text;q=0", false),
        ] {
            assert_eq!(prefers_openmetrics(accept), expected, "{accept}");
        }
    }
}
