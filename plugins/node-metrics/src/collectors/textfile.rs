//! `textfile`: metrics that other programs leave in files.
//!
//! In: `*.prom` files in the text format. A file that cannot be read to its end gives nothing, and sets
//! `node_textfile_scrape_error`; so does one with times, which would stand still when its writer does.

use std::collections::BTreeMap;

use crate::MetricType::{self, Counter, Gauge, Histogram, Summary, Untyped};
use crate::families::Point;
use crate::scrape::{Outcome, Scrape};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mut failed = false;
    for folder in &s.options.textfile_directories {
        let Ok(names) = s.names(folder) else {
            failed = true;
            continue;
        };
        for name in names.iter().filter(|name| name.ends_with(".prom")) {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            match s.text(&path).and_then(|text| parse(&text)) {
                Ok(families) => tell(s, families, &path),
                Err(_) => failed = true,
            }
        }
    }
    let help = "Whether a file or a folder could not be read.";
    s.gauge("node_textfile_scrape_error", help, &[], f64::from(u8::from(failed)));
    Ok(())
}

fn tell(s: &mut Scrape<'_>, families: BTreeMap<String, Read>, path: &str) {
    for (name, read) in families {
        let help = if read.help.is_empty() { format!("Metric read from {path}") } else { read.help };
        s.family(&name, read.kind.unwrap_or(Untyped), &help).points.extend(read.points);
    }
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    kind: Option<MetricType>,
    help: String,
    points: Vec<Point>,
}

fn parse(text: &str) -> Result<BTreeMap<String, Read>, String> {
    let mut families: BTreeMap<String, Read> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            describe(comment, &mut families)?;
        } else {
            let (name, labels, value) = sample(line).ok_or_else(|| format!("`{line}` is no sample"))?;
            let (family, suffix) = family_of(name, &families);
            families.entry(family.to_owned()).or_default().points.push(Point { suffix, labels, value });
        }
    }
    families.retain(|_, read| !read.points.is_empty());
    Ok(families)
}

/// `# HELP name text` and `# TYPE name type`; anything else is a comment.
fn describe(comment: &str, families: &mut BTreeMap<String, Read>) -> Result<(), String> {
    let mut parts = comment.trim_start().splitn(3, ' ');
    let (Some(word), Some(name)) = (parts.next(), parts.next()) else { return Ok(()) };
    let rest = parts.next().unwrap_or_default().trim();
    match word {
        "HELP" => {
            families.entry(name.to_owned()).or_default().help =
                rest.replace("\\n", "\n").replace("\\\\", "\\")
        }
        "TYPE" => {
            let kinds = [Counter, Gauge, Histogram, Summary, Untyped];
            let kind = kinds.into_iter().find(|kind| kind.as_str() == rest);
            families.entry(name.to_owned()).or_default().kind =
                Some(kind.ok_or_else(|| format!("`{rest}` is no type of metric"))?);
        }
        _ => {}
    }
    Ok(())
}

/// Points of histograms and summaries have names of their own.
fn family_of<'a>(name: &'a str, families: &BTreeMap<String, Read>) -> (&'a str, &'static str) {
    for suffix in ["_bucket", "_sum", "_count"] {
        if let Some(family) = name.strip_suffix(suffix) {
            match families.get(family).and_then(|read| read.kind) {
                Some(Histogram) => return (family, suffix),
                Some(Summary) if suffix != "_bucket" => return (family, suffix),
                _ => {}
            }
        }
    }
    (name, "")
}

type Labels = Vec<(String, String)>;

/// `name{label="value",…} 1.5`, and nothing behind it.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let number = rest.trim();
    if name.is_empty() || number.contains(char::is_whitespace) {
        return None;
    }
    let value = match number {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    Some((name, labels, value))
}

/// The labels up to the closing brace, and what stands behind it. Empty values are no labels.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((found, after));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        if !value.is_empty() {
            found.push((name.trim().to_owned(), value));
        }
        rest = after;
    }
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_samples() {
        let read = |line| sample(line).map(|(name, labels, value)| format!("{name} {labels:?} {value}"));
        for (line, wanted) in [
            ("a 1", Some(r#"a [] 1"#)),
            (r#"a{b="c", d="e\"\n\\"} 2.5"#, Some(r#"a [("b", "c"), ("d", "e\"\n\\")] 2.5"#)),
            (r#"a{b="",} +Inf"#, Some("a [] inf")),
            ("a NaN", Some("a [] NaN")),
            ("a 1 1441205977284", None),
            ("a", None),
            ("1", None),
            (r#"a{b="c} 1"#, None),
            (r#"a{b=c} 1"#, None),
            ("a x", None),
        ] {
            assert_eq!(read(line).as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn points_of_histograms_belong_together() {
        let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 2\nh_count 1\nother_sum 3\n";
        let families = parse(text).expect("is right");
        let suffixes: Vec<_> = families["h"].points.iter().map(|point| point.suffix).collect();
        assert_eq!((suffixes, families.len()), (vec!["_bucket", "_sum", "_count"], 2));
        assert!(parse("# TYPE h gouge\nh 1\n").is_err());
    }
}
