//! Whether a text is an address that alerts may carry as their generator's.
//!
//! In: a text. Out: whether Alertmanager takes it: a URI with a scheme, or a path from the root. Senders are never more
//! at ease here than there, so that an alert which is refused there is not lost unseen after a move.
//! Not here: what the address leads to.

use std::net::Ipv6Addr;

/// Whether `text` is a URI as Alertmanager understands it. What follows a `#` or a `?` may be anything printable.
pub(crate) fn is_uri(text: &str) -> bool {
    let text = text.split('#').next().unwrap_or_default();
    if text.is_empty() || text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        // `mailto:a@b` needs nothing more; without a scheme it is no address.
        return scheme;
    }
    match rest.strip_prefix("//").filter(|_| scheme) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            is_authority(authority) && is_escaped(path)
        }
        None => is_escaped(rest),
    }
}

/// Whether there is a scheme, and what follows it. `None` if a colon comes where it should be.
fn split_scheme(text: &str) -> Option<(bool, &str)> {
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((true, &text[at + 1..])),
            _ => break,
        }
    }
    Some((false, text))
}

/// `user:password@host:port`, of which everything may be missing.
fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let in_user = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    user.bytes().all(in_user) && is_escaped(user) && is_host(host)
}

fn is_host(text: &str) -> bool {
    let Some(open) = text.rfind('[') else {
        let port = text.rfind(':').map_or("", |at| &text[at..]);
        return is_port(port) && is_host_name(text);
    };
    let Some(close) = text.rfind(']').filter(|close| *close > open) else { return false };
    if open > 0 || !is_port(&text[close + 1..]) {
        return false;
    }
    let inside = &text[open + 1..close];
    let (address, zone) = inside.split_once("%25").map_or((inside, None), |(a, zone)| (a, Some(zone)));
    // In a zone everything may be escaped.
    let zone_holds =
        |zone: &str| !zone.is_empty() && is_escaped(zone) && zone.bytes().all(|b| b == b'%' || in_host(b));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(zone_holds)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

fn in_host(b: u8) -> bool {
    b >= 0x80 || b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&b)
}

/// Letters of any script, and a few signs. Only what is not ASCII may be escaped, and the escape sign itself.
fn is_host_name(text: &str) -> bool {
    let ascii_escape =
        |rest: &str| rest.starts_with(|c: char| ('0'..'8').contains(&c)) && !rest.starts_with("25");
    is_escaped(text)
        && text.bytes().all(|b| b == b'%' || in_host(b))
        && !text.split('%').skip(1).any(ascii_escape)
}

/// Whether each `%` stands before two hexadecimal digits.
fn is_escaped(text: &str) -> bool {
    let two_digits =
        |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    text.split('%').skip(1).all(two_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_alertmanager_takes() {
        for uri in [
            "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "https://user:pa%20ss@host/a b?q=a b#c d",
            "/path",
            "/a b",
            "/:x",
            "//host",
            "//x:port",
            "//[",
            "///x",
            "*",
            "mailto:a@b",
            "foo:bar",
            "a+b:c",
            "x:y z",
            "opaque:%zz",
            "http://",
            "http:///x",
            "http:x",
            "http:?%zz",
            "HTTP://X/",
            "http://x?a b",
            "http://x/?%zz",
            "http://x/#%zz",
            "http://x#a b",
            "http://x/<>|\"",
            "http://x:99999/",
            "http://x:/",
            "http://x:1:2/",
            "http://::1/",
            "http://@/",
            "http://x@y@z/",
            "http://a_b/",
            "http://x;y/",
            "http://x'y/",
            "http://x\"y/",
            "http://x<y/",
            "http://x]/",
            "http://é/",
            "http://x/é",
            "http://%C3%A9/",
            "http://%25/",
            "http://[::1]/",
            "http://[::1]:9/",
            "http://[::1]:/",
            "http://[::ffff:1.2.3.4]/",
            "http://[fe80::1%25en0]/",
            "http://[fe80::1%25e%20n]/",
        ] {
            assert!(is_uri(uri), "{uri}");
        }
    }

    #[test]
    fn refuses_what_alertmanager_refuses() {
        for text in [
            "",
            "foo",
            "foo bar",
            "foo%20",
            "www.x.y/z",
            "../x:y",
            "a/b:c",
            "a b:c",
            "1:2",
            "1http://x",
            "+a:b",
            "*x",
            ":",
            "::",
            ":foo",
            "::not a url",
            "#frag",
            "?a=b",
            " http://x",
            "http://x ",
            "http://x y/",
            "http:// /",
            "http://x\n",
            "\t",
            "http://x/\u{7f}",
            "http://x/?\u{1}",
            "/%zz",
            "http://x/%",
            "http://x/%zz",
            "http://x%zz/",
            "http://%41/",
            "http://x%20y/",
            "http://x\\y/",
            "http://x^y/",
            "http://x|y/",
            "http://x{y}/",
            "http://x:port/",
            "http://x:-1/",
            "http://x:80 /",
            "http://us er@x/",
            "http://u%zz@x/",
            "http://u[@x/",
            "http://u:é@x/",
            "http://[::1",
            "http://[::1]x/",
            "http://[::1]:x/",
            "http://[zz]/",
            "http://[1.2.3.4]/",
            "http://a[::1]/",
            "http://[fe80::1%25]/",
            "http://[::1%en0]/",
            "http://[fe80::1%25e n]/",
        ] {
            assert!(!is_uri(text), "{text:?}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let parts = ["http", ":", "//", "[", "]", "@", "%", "%2", "é", "#", "?", "a", ":9"];
        for a in parts {
            for b in parts {
                for c in parts {
                    is_uri(&format!("{a}{b}{c}"));
                    is_uri(&format!("http://{a}{b}{c}/"));
                }
            }
        }
    }
}
