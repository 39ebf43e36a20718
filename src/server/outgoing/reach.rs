//! Where a plugin's requests may go.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ports::{OutgoingError, Reach};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// One granted host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    host: String,
    wildcard: bool,
    port: Option<u16>,
    /// Whether private, loopback and link-local addresses may be reached under this name.
    private: bool,
}

/// Reads `host`, `host:port`, `*.host`, an address, each optionally followed by ` private`.
fn parse(text: &str) -> Grant {
    let (text, private) = match text.strip_suffix(" private") {
        Some(host) => (host, true),
        None => (text, false),
    };
    let (text, wildcard) = match text.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Grant { host: address.ip().to_string(), wildcard, port: Some(address.port()), private };
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Grant { host: address.to_string(), wildcard, port: None, private };
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (text, None),
    };
    Grant { host: normal(host), wildcard, port, private }
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

impl Grant {
    fn covers(&self, host: &str, port: Option<u16>, default_port: bool) -> bool {
        let name = if self.wildcard {
            host.strip_suffix(&self.host).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
        } else {
            host == self.host
        };
        let port_fits = match self.port {
            Some(granted) => port == Some(granted),
            // An address stands for the machine; a name for the usual service there.
            None => default_port || self.host.parse::<IpAddr>().is_ok() || self.private,
        };
        name && port_fits
    }

    fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

fn host_of(url: &Url) -> String {
    match url.host() {
        Some(reqwest_host) => {
            let text = reqwest_host.to_string();
            normal(text.trim_start_matches('[').trim_end_matches(']'))
        }
        None => String::new(),
    }
}

/// What a request may reach, read once for all requests that may reach the same.
#[derive(Debug)]
pub(super) struct Fence {
    /// As it was written, for people, and as it is compared. `None`: whatever the operator wrote.
    granted: Option<(Arc<[String]>, Vec<Grant>)>,
}

impl Fence {
    pub(super) fn of(reach: &Reach) -> Fence {
        match reach {
            Reach::Operator => Fence { granted: None },
            Reach::Hosts(hosts) => {
                Fence { granted: Some((Arc::clone(hosts), hosts.iter().map(|host| parse(host)).collect())) }
            }
        }
    }

    /// Checks the name and the port of `url`, and the address if it is one.
    pub(super) fn check(&self, url: &Url) -> Result<(), OutgoingError> {
        let Some((written, grants)) = &self.granted else { return Ok(()) };
        let host = host_of(url);
        let default_port = url.port().is_none();
        let Some(grant) = grants.iter().find(|g| g.covers(&host, url.port_or_known_default(), default_port))
        else {
            let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
            let known = if written.is_empty() { "none".to_owned() } else { written.join(", ") };
            return Err(OutgoingError::Denied(format!(
                "host `{host}{port}` is not granted (granted: {known}); add it to `allow: {{ hosts: [\"{host}{port}\"] }}` of the plugin"
            )));
        };
        if let Ok(address) = host.parse::<IpAddr>()
            && !grant.is_address()
            && !grant.private
            && is_internal(address)
        {
            return Err(OutgoingError::Denied(internal(&host, address)));
        }
        Ok(())
    }
}

fn internal(host: &str, address: IpAddr) -> String {
    format!(
        "host `{host}` leads to the internal address {address}; grant the address itself, or `{host} private`"
    )
}

/// Whether `address` belongs to this machine or to a network behind it.
pub(super) fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_internal_v4(v4),
        IpAddr::V6(v6) => {
            if let Some(v4) = embedded_v4(v6) {
                return is_internal_v4(v4);
            }
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

fn is_internal_v4(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_broadcast()
        || v4.is_multicast()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && v4.octets()[2] == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240
}

/// The IPv4 address inside a mapped, compatible, translated or 6to4 IPv6 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = v6.segments();
    let tail = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(tail(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(tail(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(tail(high, low)),
        [0x2002, high, low, ..] => Some(tail(high, low)),
        _ => None,
    }
}

/// Resolves names for clients of plugins, and refuses those that lead inside.
pub(super) struct CheckedResolver {
    pub(super) granted: Vec<String>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = normal(name.as_str());
        let private = self.granted.iter().map(|g| parse(g)).any(|g| {
            let named = if g.wildcard { host.ends_with(&format!(".{}", g.host)) } else { host == g.host };
            named && g.private
        });
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if !private && let Some(bad) = addresses.iter().find(|a| is_internal(a.ip())) {
                return Err(
                    Box::new(DeniedAddress(internal(&host, bad.ip()))) as Box<dyn Error + Send + Sync>
                );
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Travels through the HTTP client's error chain.
#[derive(Debug)]
struct DeniedAddress(String);

impl fmt::Display for DeniedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DeniedAddress {}

/// The message of a refused address somewhere in `error`'s causes.
pub(super) fn denied_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(denied) = current.downcast_ref::<DeniedAddress>() {
            return Some(denied.0.clone());
        }
        cause = current.source();
    }
    None
}
