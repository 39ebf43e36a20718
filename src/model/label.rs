//! Label sets and their fingerprints.

use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";
/// The upper bound of a classic histogram's bucket.
pub const BUCKET_LABEL: &str = "le";
/// The target that a series was scraped from.
pub const INSTANCE: &str = "instance";
/// The scrape configuration that a series came from.
pub const JOB: &str = "job";

/// A sorted set of name→value pairs with unique names and no empty value.
///
/// Cloning is one reference count. The text behind it is one allocation: for each label, in name order, the length of
/// the name, the name, the length of the value, the value; a length is written in base 64 in the bytes `0x00..0x80`,
/// so that the whole stays valid UTF-8 and two sets are equal exactly if their bytes are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

/// Hash of a label set; equal labels, equal fingerprint. Collisions are resolved by comparing labels.
///
/// 64-bit FNV-1a over name, `0xff`, value, `0xff` of each label: the value that Alertmanager shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    }
    hash
}

fn push_len(text: &mut String, mut len: usize) {
    while len >= 64 {
        text.push(char::from((len & 63) as u8 | 64));
        len >>= 6;
    }
    text.push(char::from(len as u8));
}

/// Appends a pair in the form of [`Labels`].
pub(crate) fn push_pair(text: &mut String, name: &str, value: &str) {
    push_len(text, name.len());
    text.push_str(name);
    push_len(text, value.len());
    text.push_str(value);
}

fn take_str<'a>(text: &mut &'a str) -> Option<&'a str> {
    let bytes = text.as_bytes();
    let (mut len, mut shift, mut used) = (0usize, 0, 0);
    loop {
        let byte = *bytes.get(used)?;
        used += 1;
        len |= usize::from(byte & 63) << shift;
        if byte & 64 == 0 {
            break;
        }
        shift += 6;
    }
    let taken = &text[used..used + len];
    *text = &text[used + len..];
    Some(taken)
}

/// The next name, and the pair as it stands in the text.
fn take_pair<'a>(text: &mut &'a str) -> Option<(&'a str, &'a str)> {
    let before = *text;
    let name = take_str(text)?;
    take_str(text)?;
    Some((name, &before[..before.len() - text.len()]))
}

impl Labels {
    /// The set without labels.
    pub fn empty() -> Self {
        Labels(Arc::default())
    }

    /// From pairs in any order. An empty value means that the label is absent; of equal names the last one counts.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        LabelsBuilder { pairs: pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect() }.build()
    }

    /// From pairs that are sorted by name already, with unique names and no empty value: the fast way for parsers.
    /// Falls back to sorting if they are not.
    pub fn from_sorted(pairs: &[(&str, &str)]) -> Self {
        if pairs.is_empty() {
            return Labels::empty();
        }
        let sorted = pairs.windows(2).all(|w| w[0].0 < w[1].0) && pairs.iter().all(|(_, v)| !v.is_empty());
        if !sorted {
            return Labels::from_pairs(pairs.iter().copied());
        }
        let mut text = String::with_capacity(pairs.iter().map(|(n, v)| n.len() + v.len() + 4).sum());
        for (name, value) in pairs {
            push_pair(&mut text, name, value);
        }
        Labels(Arc::from(text))
    }

    /// The value of `name`, or `None` if the label is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Names ascend: behind the place of `name` it cannot come any more.
        self.iter().take_while(|(n, _)| *n <= name).find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The value of `name`, or the empty string if the label is absent: what matchers see.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// The pairs in name order.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A builder that starts from these labels.
    pub fn edit(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// Only the labels that `keep` accepts, by name.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        let mut text = String::with_capacity(self.0.len());
        let mut rest = &*self.0;
        while let Some((name, pair)) = take_pair(&mut rest) {
            if keep(name) {
                text.push_str(pair);
            }
        }
        Labels(Arc::from(text))
    }

    /// Without the metric name.
    pub fn without_name(&self) -> Labels {
        if self.get(METRIC_NAME).is_none() { self.clone() } else { self.filter(|n| n != METRIC_NAME) }
    }

    /// With `name` set to `value`; an empty value removes the label.
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let mut text = String::with_capacity(self.0.len() + name.len() + value.len() + 4);
        let mut rest = &*self.0;
        let put = |text: &mut String| {
            if !value.is_empty() {
                push_pair(text, name, value);
            }
        };
        let mut is_put = false;
        while let Some((other, pair)) = take_pair(&mut rest) {
            if !is_put && other >= name {
                put(&mut text);
                is_put = true;
            }
            if other != name {
                text.push_str(pair);
            }
        }
        if !is_put {
            put(&mut text);
        }
        Labels(Arc::from(text))
    }

    /// The hash that identifies this set to people and to Alertmanager's clients.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = FNV_OFFSET;
        for (name, value) in self.iter() {
            hash = fnv(hash, name.as_bytes());
            hash = fnv(hash, &[0xff]);
            hash = fnv(hash, value.as_bytes());
            hash = fnv(hash, &[0xff]);
        }
        Fingerprint(hash)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Labels::empty()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Labels::from_pairs(pairs)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        Labels::from_pairs(pairs)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// The pairs of a label set in name order.
#[derive(Clone, Debug)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> LabelsIter<'a> {
    /// Over a text in the form of [`Labels`].
    pub(crate) fn of(text: &'a str) -> Self {
        LabelsIter { rest: text }
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        let name = take_str(&mut self.rest)?;
        let value = take_str(&mut self.rest)?;
        Some((name, value))
    }
}

impl fmt::Display for Labels {
    /// As a PromQL selector: `up{instance="a:1", job="b"}`, `{job="b"}` without a metric name, `{}` without labels.
    /// Names that are not classic names are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let bare_name = is_legacy_metric_name(name);
        if bare_name {
            f.write_str(name)?;
        }
        let rest = self.iter().filter(|(n, _)| *n != METRIC_NAME);
        if bare_name && rest.clone().next().is_none() {
            return Ok(());
        }
        f.write_char('{')?;
        let mut first = true;
        let mut separate =
            |f: &mut fmt::Formatter<'_>| if std::mem::take(&mut first) { Ok(()) } else { f.write_str(", ") };
        if !name.is_empty() && !bare_name {
            separate(f)?;
            write!(f, "\"{}\"", escape_label_value(name))?;
        }
        for (name, value) in rest {
            separate(f)?;
            if is_legacy_label_name(name) {
                write!(f, "{name}=\"{}\"", escape_label_value(value))?;
            } else {
                write!(f, "\"{}\"=\"{}\"", escape_label_value(name), escape_label_value(value))?;
            }
        }
        f.write_char('}')
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Edits a label set; [`LabelsBuilder::build`] sorts once.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Without labels.
    pub fn new() -> Self {
        LabelsBuilder::default()
    }

    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some(pair) => value.clone_into(&mut pair.1),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// Keeps the labels whose name `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> &mut Self {
        self.pairs.retain(|(n, _)| keep(n));
        self
    }

    /// The current value of `name`, or the empty string.
    pub fn value(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// The current pairs, in no particular order; some values may be empty.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The finished set.
    pub fn build(mut self) -> Labels {
        // A stable sort keeps equal names in order of arrival, so that the last one wins below.
        self.pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(self.pairs.len());
        for (name, value) in &self.pairs {
            match pairs.last_mut() {
                Some(last) if last.0 == name => last.1 = value,
                _ => pairs.push((name, value)),
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Labels::from_sorted(&pairs)
    }
}

/// Whether `name` is a metric name of the classic character set: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Whether `name` is a label name of the classic character set: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(name: &str) -> bool {
    is_legacy_metric_name(name) && !name.contains(':')
}

/// `value` as it stands between double quotes: backslash, quote and control characters are escaped.
pub fn escape_label_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_drops_empty_values_and_keeps_the_last_of_equal_names() {
        let labels = Labels::from_pairs([("b", "1"), ("a", "2"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.value("c"), "");
    }

    #[test]
    fn holds_long_values_of_any_text() {
        let long = "ü\0{}\"".repeat(5000);
        let labels = Labels::from([("name", long.as_str()), ("z", "1")]);
        assert_eq!(labels.get("name"), Some(long.as_str()));
        assert_eq!(labels.get("z"), Some("1"));
        assert_eq!(labels.edit().build(), labels);
    }

    #[test]
    fn changes_one_label() {
        let labels = Labels::from([("b", "1"), ("d", "2")]);
        for (name, value, expected) in [
            ("a", "x", r#"{a="x", b="1", d="2"}"#),
            ("b", "x", r#"{b="x", d="2"}"#),
            ("c", "x", r#"{b="1", c="x", d="2"}"#),
            ("e", "x", r#"{b="1", d="2", e="x"}"#),
            ("b", "", r#"{d="2"}"#),
            ("c", "", r#"{b="1", d="2"}"#),
        ] {
            let changed = labels.with(name, value);
            assert_eq!(changed.to_string(), expected);
            assert_eq!(changed, changed.edit().build());
        }
        assert_eq!(labels.filter(|name| name == "d"), Labels::from([("d", "2")]));
    }

    #[test]
    fn fingerprints_as_alertmanager() {
        assert_eq!(Labels::empty().fingerprint().to_string(), "cbf29ce484222325");
    }

    #[test]
    fn prints_as_a_selector() {
        for (labels, text) in [
            (Labels::empty(), "{}"),
            (Labels::from([("__name__", "up")]), "up"),
            (Labels::from([("__name__", "up"), ("job", "a\"b")]), "up{job=\"a\\\"b\"}"),
            (Labels::from([("__name__", "a.b"), ("x y", "1")]), "{\"a.b\", \"x y\"=\"1\"}"),
        ] {
            assert_eq!(labels.to_string(), text);
        }
    }

    #[test]
    fn orders_by_names_and_values_not_by_encoding() {
        let short = Labels::from([("a", "b")]);
        let long = Labels::from([("a", &*"a".repeat(100))]);
        assert!(long < short);
        assert!(Labels::empty() < long);
    }
}
