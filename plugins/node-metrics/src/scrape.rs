//! One scrape: reading with a view to what kernels write, and adding to families.

use crate::families::{Families, Family};
use crate::{Files, MetricType, Options};

/// What a collector has when it runs.
pub(crate) struct Scrape<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options,
    families: Families,
}

/// A collector's outcome: the error says what it could not read.
pub(crate) type Outcome = Result<(), String>;

impl<'a> Scrape<'a> {
    pub(crate) fn new(files: &'a dyn Files, options: &'a Options) -> Self {
        Scrape { files, options, families: Families::default() }
    }

    /// Runs a collector and tells how it went.
    pub(crate) fn run(&mut self, name: &str, collector: fn(&mut Scrape<'_>) -> Outcome) {
        let begin = self.files.now();
        let success = collector(self).is_ok();
        // To the microsecond: the difference of two large numbers has noise behind that.
        let took = ((self.files.now() - begin).max(0.0) * 1e6).round() / 1e6;
        let labels = [("collector", name)];
        self.gauge("node_scrape_collector_duration_seconds", "How long a collector took.", &labels, took);
        let help = "Whether a collector could read what it reads.";
        self.gauge("node_scrape_collector_success", help, &labels, f64::from(u8::from(success)));
    }

    pub(crate) fn finish(self) -> Vec<crate::Family> {
        self.families.into_sorted()
    }

    pub(crate) fn family(&mut self, name: &str, kind: MetricType, help: &str) -> &mut Family {
        self.families.family(name, kind, help)
    }

    pub(crate) fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, MetricType::Counter, help).point(labels, value);
    }

    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, MetricType::Gauge, help).point(labels, value);
    }

    pub(crate) fn untyped(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, MetricType::Untyped, help).point(labels, value);
    }

    /// A file as text. What is not UTF-8 becomes `U+FFFD`.
    pub(crate) fn text(&self, path: &str) -> Result<String, String> {
        self.files.read(path).map(lossy)
    }

    /// A file of one line, without the blanks around it.
    pub(crate) fn line(&self, path: &str) -> Result<String, String> {
        self.text(path).map(|text| text.trim().to_owned())
    }

    /// A file of one number.
    pub(crate) fn number(&self, path: &str) -> Result<f64, String> {
        let text = self.line(path)?;
        number(&text).ok_or_else(|| format!("{path}: `{text}` is no number"))
    }

    /// Several files below a folder in one go, each as a line; `None` for those that are not there.
    pub(crate) fn lines_of(&self, folder: &str, names: &[&str]) -> Vec<Option<String>> {
        let paths: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
        self.files
            .read_all(&paths)
            .into_iter()
            .map(|read| read.ok().map(|bytes| lossy(bytes).trim().to_owned()))
            .collect()
    }

    /// The names in a folder.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, String> {
        self.files.list(path)
    }

    /// The names in a folder that are `prefix` and a number, with the number, in its order.
    pub(crate) fn numbered(&self, path: &str, prefix: &str) -> Result<Vec<(u64, String)>, String> {
        let names = self.names(path)?.into_iter();
        let mut found: Vec<(u64, String)> =
            names.filter_map(|name| Some((name.strip_prefix(prefix)?.parse().ok()?, name))).collect();
        found.sort();
        Ok(found)
    }

    /// Where a link of sysfs leads, as a path from the root; the path itself if it is no link.
    pub(crate) fn real(&self, path: &str) -> String {
        match self.files.link(path) {
            Ok(target) => join(path.rsplit_once('/').map_or("", |(folder, _)| folder), &target),
            Err(_) => path.to_owned(),
        }
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A link's target as seen from its folder.
fn join(folder: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A decimal number as kernels write it.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// A number that may be written `0x…`.
pub(crate) fn any_base(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|number| number as f64),
        None => number(text),
    }
}

/// The words of a line.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_joined() {
        for (folder, target, wanted) in [
            ("/sys/class/net", "../../devices/virtual/net/lo", "/sys/devices/virtual/net/lo"),
            ("/a", "/b/c", "/b/c"),
            ("/a", "../../../x", "/x"),
        ] {
            assert_eq!(join(folder, target), wanted);
        }
    }

    #[test]
    fn numbers_in_any_base() {
        assert_eq!(
            (any_base("0x1F\n"), any_base(" 12 "), any_base("0xg"), any_base("")),
            (Some(31.0), Some(12.0), None, None)
        );
    }
}
