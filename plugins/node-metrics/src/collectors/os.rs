//! `os`: which distribution runs.

use std::collections::BTreeMap;

use crate::scrape::{Outcome, Scrape};

const LABELS: [(&str, &str); 12] = [
    ("BUILD_ID", "build_id"),
    ("ID", "id"),
    ("ID_LIKE", "id_like"),
    ("IMAGE_ID", "image_id"),
    ("IMAGE_VERSION", "image_version"),
    ("NAME", "name"),
    ("PRETTY_NAME", "pretty_name"),
    ("VARIANT", "variant"),
    ("VARIANT_ID", "variant_id"),
    ("VERSION", "version"),
    ("VERSION_CODENAME", "version_codename"),
    ("VERSION_ID", "version_id"),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/etc/os-release").or_else(|_| s.text("/usr/lib/os-release"))?;
    let known: BTreeMap<&str, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(k, v)| (k.trim(), unquoted(v.trim())))
        .collect();
    let get = |name: &str| known.get(name).map_or("", String::as_str);
    s.gauge("node_os_info", "Which distribution runs.", &LABELS.map(|(key, label)| (label, get(key))), 1.0);
    if let Some(version) = major_minor(get("VERSION_ID")) {
        let labels = [("id", get("ID")), ("id_like", get("ID_LIKE")), ("name", get("NAME"))];
        s.gauge("node_os_version", "Version of the distribution, as major.minor.", &labels, version);
    }
    if let Some(days) = days_of(get("SUPPORT_END")) {
        let help = "Until when the distribution is maintained.";
        s.gauge("node_os_support_end_timestamp_seconds", help, &[], days as f64 * 86_400.0);
    }
    Ok(())
}

/// Values are quoted as in a shell.
fn unquoted(text: &str) -> String {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match (inner('"'), inner('\'')) {
        (Some(text), _) => {
            text.replace("\\\"", "\"").replace("\\$", "$").replace("\\`", "`").replace("\\\\", "\\")
        }
        (None, Some(text)) => text.to_owned(),
        (None, None) => text.to_owned(),
    }
}

/// `20.04.2` is 20.04.
fn major_minor(version: &str) -> Option<f64> {
    let mut parts = version.split('.');
    let major = parts.next()?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let minor = parts.next().filter(|part| digits(part));
    let text = if digits(major) {
        minor.map_or(major.to_owned(), |minor| format!("{major}.{minor}"))
    } else {
        return None;
    };
    text.parse().ok()
}

/// Days since 1970 of `2026-06-30`.
fn days_of(date: &str) -> Option<i64> {
    let [year, month, day] = date.split('-').map(|part| part.parse().ok()).collect::<Option<Vec<i64>>>()?[..]
    else {
        return None;
    };
    if !((1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last day of a year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    Some(year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_quotes_and_dates() {
        assert_eq!(
            (major_minor("20.04.2"), major_minor("12"), major_minor("rolling")),
            (Some(20.04), Some(12.0), None)
        );
        assert_eq!(
            (unquoted("\"a \\\"b\\\"\""), unquoted("'c'"), unquoted("d")),
            ("a \"b\"".into(), "c".into(), "d".into())
        );
        assert_eq!(
            (days_of("1970-01-01"), days_of("2024-02-29"), days_of("soon")),
            (Some(0), Some(19_782), None)
        );
    }
}
