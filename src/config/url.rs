//! Addresses as texts: what is needed to check them, and to show them without what is secret in them.

use crate::reader::{At, Fields};
use crate::shown::{MASK, Shown};

/// The parts of `scheme://user:password@host/rest` that matter here.
struct Parts<'t> {
    scheme: &'t str,
    /// With a port, without the user.
    host: &'t str,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(Parts { scheme, host })
}

/// What of an address may be seen: a password becomes a mask.
pub(crate) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((user, host)) = rest[..end].rsplit_once('@') else { return text.to_owned() };
    match user.split_once(':') {
        Some((name, password)) if !password.is_empty() => {
            format!("{scheme}://{name}:{MASK}@{host}{}", &rest[end..])
        }
        _ => text.to_owned(),
    }
}

/// An address that is shown without its password, and not looked at further.
pub(crate) fn shown(fields: &Fields<'_>, key: &str, at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    fields.show(key, Shown::text(masked(&text)));
    if text.contains(|c: char| c.is_control() || c == ' ') {
        at.secret_error("this is not a URL: there is a blank in it", None);
        return None;
    }
    Some(text)
}

/// Whether `text` is an `http://` or `https://` address with a host; says so if not. `secret`: it is not shown.
pub(crate) fn check_http(at: &At<'_>, text: &str, secret: bool) -> bool {
    let report = |what: String, hint: Option<String>| {
        if secret {
            at.secret_error(what, hint)
        } else {
            at.error(what, hint)
        }
        false
    };
    if text.contains(|c: char| c.is_control() || c == ' ') {
        return report("this is not a URL: there is a blank in it".to_owned(), None);
    }
    match parts(text) {
        Some(parts) if !matches!(parts.scheme, "http" | "https") => {
            let hint = Some("it begins with `http://` or `https://`".to_owned());
            report(format!("`{}` is not a scheme that works here", parts.scheme), hint)
        }
        Some(parts) if parts.host.is_empty() || parts.host.starts_with(':') => {
            report("the URL has no host".to_owned(), None)
        }
        Some(_) => true,
        None => {
            let hint = Some("begin it with `http://` or `https://`".to_owned());
            report("the URL has no scheme".to_owned(), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_passwords_only() {
        for (url, shown) in [
            ("http://u:p@h:1/x?y#z", "http://u:<secret>@h:1/x?y#z"),
            ("http://u:p@ss@h", "http://u:<secret>@h"),
            ("http://u@h/p:q@r", "http://u@h/p:q@r"),
            ("http://h/", "http://h/"),
            ("h:1", "h:1"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
