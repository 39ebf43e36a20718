//! What is fetched, as a URL.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// `scheme://address/path?params`, parameters sorted by name.
pub(crate) fn url(scheme: &str, address: &str, path: &str, params: &[(String, Vec<String>)]) -> String {
    let mut out = format!("{scheme}://{address}");
    if !path.starts_with('/') && !path.is_empty() {
        out.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'?'
            | b'#'
            | b' '
            | b'"'
            | b'<'
            | b'>'
            | b'\\'
            | b'^'
            | b'`'
            | b'{'
            | b'|'
            | b'}'
            | 0..=0x1f
            | 0x7f.. => {
                let _ = write!(out, "%{byte:02X}");
            }
            byte => out.push(char::from(byte)),
        }
    }
    let sorted: BTreeMap<&str, &[String]> =
        params.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, values) in sorted {
        for value in values {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_urls() {
        let params = |pairs: &[(&str, &str)]| -> Vec<(String, Vec<String>)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
        };
        for (path, pairs, expected) in [
            ("/metrics", &[][..], "http://a:1/metrics"),
            ("metrics", &[], "http://a:1/metrics"),
            ("", &[], "http://a:1"),
            ("/a b?c", &[], "http://a:1/a%20b%3Fc"),
            (
                "/probe",
                &[("target", "https://x/?a=b&c"), ("module", "http 2xx")],
                "http://a:1/probe?module=http+2xx&target=https%3A%2F%2Fx%2F%3Fa%3Db%26c",
            ),
        ] {
            assert_eq!(url("http", "a:1", path, &params(pairs)), expected);
        }
    }
}
