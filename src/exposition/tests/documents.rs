//! Plays `documents/*.document`: a body, and what is read from it.
//!
//! The first line names the format and the options; the body is the lines that begin with `> `; what is read are the lines
//! that begin with `| `. Reading a document writes it anew and compares; `FOGHORN_UPDATE=1` keeps what was written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::path::Path;

use exposition::{Entry, Format, Options, check_openmetrics, check_text, parse};
use model::SampleValue;

#[test]
fn documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let read = read(&text);
        if read == text {
            continue;
        }
        if std::env::var_os("FOGHORN_UPDATE").is_some() {
            std::fs::write(&file, &read).unwrap();
        }
        wrong.push(format!("{}:\n{read}", file.display()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The document with what is read from each body. Documents in one file are separated by lines that are neither body nor
/// outcome.
fn read(text: &str) -> String {
    let mut out = String::new();
    let (mut heading, mut body) = ("", String::new());
    for line in text.lines().chain([""]) {
        if let Some(line) = line.strip_prefix("> ") {
            body.push_str(&line.replace("\\0", "\0"));
            body.push('\n');
            let _ = writeln!(out, "> {line}");
        } else if !line.starts_with("| ") {
            if !body.is_empty() {
                show(heading, &body, &mut out);
                body.clear();
            }
            if !line.starts_with('#') && !line.is_empty() {
                heading = line;
            }
            let _ = writeln!(out, "{line}");
        }
    }
    // The line that was added to end the last document.
    out.pop();
    out
}

fn show(heading: &str, body: &str, out: &mut String) {
    let words: Vec<&str> = heading.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    let format = if has("openmetrics") { Format::OpenMetrics } else { Format::PrometheusText };
    let body = if has("unfinished") { &body[..body.len() - 1] } else { body };
    if has("strict") {
        let outcome = match format {
            Format::OpenMetrics => check_openmetrics(body.as_bytes()),
            _ => check_text(body.as_bytes()),
        };
        let _ = writeln!(
            out,
            "| {}",
            outcome.map_or_else(|error| format!("error: {error}"), |()| "ok".to_owned())
        );
        return;
    }
    let options = Options {
        start_times: has("start-times"),
        convert_classic: has("convert"),
        keep_classic: has("keep"),
        ..Options::default()
    };
    for entry in parse(body.as_bytes(), format, &options) {
        let line = match entry {
            Ok(Entry::Type { family, kind }) => format!("type {family:?} {kind}"),
            Ok(Entry::Help { family, help }) => format!("help {family:?} {help:?}"),
            Ok(Entry::Unit { family, unit }) => format!("unit {family:?} {unit:?}"),
            Ok(Entry::Comment(text)) => format!("comment {:?}", String::from_utf8_lossy(text)),
            Ok(Entry::Sample(sample)) => {
                let mut line = match sample.labels() {
                    Ok(labels) => format!("{labels} "),
                    Err(error) => format!("{} ({error}) ", sample.series),
                };
                match &sample.value {
                    SampleValue::Float(value) => write!(line, "{value}").unwrap(),
                    SampleValue::Histogram(h) => write!(
                        line,
                        "bounds {:?} spans {:?} buckets {:?} count {} sum {}",
                        h.custom_values,
                        h.positive_spans.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>(),
                        h.positive_buckets,
                        h.count,
                        h.sum
                    )
                    .unwrap(),
                }
                if let Some(at) = sample.at {
                    write!(line, " at {}", at.as_millis()).unwrap();
                }
                if let Some(start) = sample.start {
                    write!(line, " from {}", start.as_millis()).unwrap();
                }
                for exemplar in sample.exemplars() {
                    write!(line, " # {} {}", exemplar.labels, exemplar.value).unwrap();
                    if let Some(at) = exemplar.at {
                        write!(line, " at {}", at.as_millis()).unwrap();
                    }
                }
                line
            }
            Err(error) => format!("error: {error}"),
        };
        let _ = writeln!(out, "| {line}");
    }
}
