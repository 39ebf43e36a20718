//! What a plugin asks for, against what the operator allows. Deny by default.
//!
//! In: the manifest's needs and the operator's [`Grants`]. Out: nothing, or what is missing as YAML to paste. Not here:
//! the check of each request (`host::http`) and of each path (`host::files`).

use std::path::Path;

use url::Url;

use crate::manifest::Needs;
use crate::{Grants, Kind, Manifest};

/// A host as it is granted: `host`, `host:port`, `*.host`, each with ` private` behind it if it may be a private address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    /// Lower case, without brackets; for `*.host` the part behind the dot.
    host: String,
    wildcard: bool,
    port: Option<u16>,
    private: bool,
}

impl HostPattern {
    /// Reads a pattern. A bare `*` is refused: a permission for everything is none.
    pub(crate) fn parse(text: &str) -> Result<HostPattern, String> {
        let (name, private) = match text.trim().strip_suffix(" private") {
            Some(name) => (name.trim(), true),
            None => (text.trim(), false),
        };
        if name.contains("://") || name.contains('/') {
            return Err(format!(
                "`{name}` is not a host; write it without scheme and path, such as `discord.com`"
            ));
        }
        let (wildcard, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let (host, port) = split_port(rest).ok_or_else(|| format!("`{name}` has no valid port"))?;
        let host = canonical(host)
            .ok_or_else(|| format!("`{name}` is not a host; write `host`, `host:port` or `*.host`"))?;
        Ok(HostPattern { host, wildcard, port, private })
    }

    /// Whether a request to `url` is meant. A pattern without port means the scheme's own.
    pub(crate) fn matches(&self, url: &Url) -> bool {
        let Some(host) = host_of(url) else { return false };
        let port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.port().is_none(),
        };
        port && self.covers(&host)
    }

    /// The same without leave to reach a private address.
    pub(crate) fn public(self) -> HostPattern {
        HostPattern { private: false, ..self }
    }

    /// Whether the name alone is meant.
    fn covers(&self, host: &str) -> bool {
        match host.strip_suffix(self.host.as_str()) {
            Some("") => !self.wildcard,
            Some(before) => self.wildcard && before.ends_with('.'),
            None => false,
        }
    }

    /// Whether every host that `wanted` means is granted by `self`.
    fn includes(&self, wanted: &HostPattern) -> bool {
        let host = if wanted.wildcard {
            self.wildcard && (wanted.host == self.host || self.covers(&wanted.host))
        } else {
            self.covers(&wanted.host)
        };
        host && (self.port == wanted.port || wanted.port.is_none())
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bracket = self.host.contains(':');
        let (open, close) = if bracket { ("[", "]") } else { ("", "") };
        write!(f, "{}{open}{}{close}", if self.wildcard { "*." } else { "" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.private {
            f.write_str(" private")?;
        }
        Ok(())
    }
}

/// The host of a URL as patterns compare it: lower case, no brackets, no dot at the end.
pub(crate) fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

/// A host as [`host_of`] gives it: what the URL parser makes of it, so that both sides of a comparison are written alike.
fn canonical(host: &str) -> Option<String> {
    // Before it is read: `0.` is a name to the parser, and `0` is an address.
    let host = host.trim_end_matches('.');
    let is_name = host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let written = match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("http://[{address}]/"),
        Err(_) if is_name => format!("http://{host}/"),
        Err(_) => return None,
    };
    host_of(&Url::parse(&written).ok()?).filter(|host| !host.is_empty())
}

/// `host:port`, `[::1]:port`, `host`, `::1`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

/// The pattern that grants exactly the host and port of `url`, private or not: for addresses that the operator wrote
/// into the configuration himself, as a scrape target or a receiver's URL.
pub(crate) fn pattern_of(url: &Url) -> Option<HostPattern> {
    Some(HostPattern { host: host_of(url)?, wildcard: false, port: url.port(), private: true })
}

/// Problems of the grants themselves, whatever the plugin.
pub(crate) fn check(grants: &Grants) -> Vec<String> {
    let mut problems: Vec<String> =
        grants.hosts.iter().filter_map(|host| HostPattern::parse(host).err()).collect();
    for path in &grants.files {
        if !Path::new(path).is_absolute() {
            problems.push(format!("`{path}` is not an absolute path"));
        }
    }
    problems
}

/// What of `manifest`'s needs is not granted; empty if nothing.
///
/// A notifier's secrets are not asked for here: a receiver's own settings may bring them.
pub(crate) fn missing(manifest: &Manifest, kind: Kind, grants: &Grants) -> Needs {
    let needs = &manifest.needs;
    if kind == Kind::Rule {
        return Needs::default();
    }
    let granted: Vec<HostPattern> = grants.hosts.iter().filter_map(|h| HostPattern::parse(h).ok()).collect();
    let host_missing = |host: &String| {
        !is_template(host)
            && HostPattern::parse(host).map_or(true, |wanted| !granted.iter().any(|g| g.includes(&wanted)))
    };
    let secret_missing = |name: &String| kind != Kind::Notifier && !grants.secrets.contains_key(name);
    Needs {
        hosts: needs.hosts.iter().filter(|h| host_missing(h)).cloned().collect(),
        secrets: needs.secrets.iter().filter(|s| secret_missing(s)).cloned().collect(),
        files: needs.files.iter().filter(|f| !grants.files.contains(f)).cloned().collect(),
        smtp: Vec::new(),
    }
}

/// `{target}`, `{webhook}`: a host that is known only in the call.
pub(crate) fn is_template(host: &str) -> bool {
    host.starts_with('{') && host.ends_with('}')
}

/// The configuration that grants all of `needs` to `file`.
pub(crate) fn yaml(file: &str, kind: Kind, needs: &Needs) -> String {
    let mut out = format!("plugins:\n  - file: {}\n    allow:\n", quoted(file));
    let hosts: Vec<&String> = needs.hosts.iter().filter(|h| !is_template(h)).collect();
    if !hosts.is_empty() {
        let hosts: Vec<String> = hosts.into_iter().map(|h| quoted(h)).collect();
        out.push_str(&format!("      hosts: [{}]\n", hosts.join(", ")));
    }
    if !needs.secrets.is_empty() {
        let secrets: Vec<String> =
            needs.secrets.iter().map(|s| format!("{s}: {{ file: /run/secrets/{s} }}")).collect();
        out.push_str(&format!("      secrets: {{ {} }}\n", secrets.join(", ")));
    }
    if kind == Kind::Exporter && !needs.files.is_empty() {
        let files: Vec<String> = needs.files.iter().map(|f| quoted(f)).collect();
        out.push_str(&format!("      files: [{}]\n", files.join(", ")));
    }
    if !needs.smtp.is_empty() {
        let servers: Vec<String> =
            needs.smtp.iter().map(|s| format!("{s}: \"smtp.example.org:587\"")).collect();
        out.push_str(&format!("      smtp: {{ {} }}\n", servers.join(", ")));
    }
    out
}

/// As a YAML scalar inside a flow sequence.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, url: &str) -> bool {
        HostPattern::parse(pattern).unwrap().matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn patterns() {
        for (pattern, url, expected) in [
            ("discord.com", "https://discord.com/x", true),
            ("discord.com", "https://DISCORD.com./x", true),
            ("discord.com", "http://discord.com/x", true),
            ("discord.com", "https://discord.com:8443/", false),
            ("discord.com:8443", "https://discord.com:8443/", true),
            ("discord.com:443", "https://discord.com/", true),
            ("discord.com:443", "http://discord.com/", false),
            ("discord.com", "https://evil-discord.com/", false),
            ("discord.com", "https://discord.com.evil.example/", false),
            ("discord.com", "https://discord.com@evil.example/", false),
            ("discord.com", "https://evil.example/discord.com", false),
            ("*.example.org", "https://a.b.example.org/", true),
            ("*.example.org", "https://example.org/", false),
            ("*.example.org", "https://badexample.org/", false),
            ("127.0.0.1:9", "http://127.0.0.1:9/", true),
            ("127.0.0.1", "http://127.1/", true),
            ("[::1]:9", "http://[::1]:9/", true),
            ("::1", "http://[::1]/", true),
            ("127.1", "http://127.0.0.1/", true),
            ("0..", "http://0.0.0.0/", true),
            ("[0:0::1]:80", "http://[::1]/", true),
            ("müller.example", "https://xn--mller-kva.example/", true),
            ("db.lan private", "http://db.lan/", true),
        ] {
            assert_eq!(matches(pattern, url), expected, "{pattern} {url}");
        }
        for wrong in ["*", "", "a b", "http://x", "x/y", "*.*", "x:y", "x:99999", "*x", ":]:", "a@b", "."] {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// A pattern that was read prints as one that means the same, and never means every host.
        #[test]
        fn a_pattern_survives_printing(text in "(\\*\\.)?[a-zA-Z0-9.\\[\\]:*-]{0,12}(:[0-9]{0,5})?( private)?") {
            if let Ok(pattern) = HostPattern::parse(&text) {
                prop_assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
                let other = Url::parse("https://an.unlikely-name.example/").unwrap();
                prop_assert!(!pattern.matches(&other) || text.contains("example"));
            }
        }
    }

    #[test]
    fn a_missing_grant_is_yaml_to_paste() {
        let manifest = Manifest {
            name: "queue".to_owned(),
            needs: Needs {
                hosts: vec!["{target}".into(), "api.example.org".into(), "*.cdn.example".into()],
                secrets: vec!["token".into()],
                files: vec!["/proc/stat".into(), "/sys/class/net/*".into()],
                smtp: vec![],
            },
            ..Manifest::default()
        };
        let needs = missing(&manifest, Kind::Exporter, &Grants::default());
        assert_eq!(
            yaml("exporters/queue.rhai", Kind::Exporter, &needs),
            "plugins:\n  - file: exporters/queue.rhai\n    allow:\n      hosts: [api.example.org, \"*.cdn.example\"]\n      \
             secrets: { token: { file: /run/secrets/token } }\n      files: [/proc/stat, \"/sys/class/net/*\"]\n"
        );
        let all = Grants {
            hosts: vec!["*.example.org".into(), "*.cdn.example private".into()],
            secrets: [("token".to_owned(), crate::SecretSource::Env("T".into()))].into(),
            files: manifest.needs.files.clone(),
            ..Grants::default()
        };
        assert_eq!(missing(&manifest, Kind::Exporter, &all), Needs::default());
    }
}
