//! Secrets that the operator granted. A plugin never holds one.

use crate::{Result, host};

/// A stand-in for a secret: put it into a URL, a header or a body of [`crate::http`]; the host replaces it when the
/// request leaves, if it goes to a host that the secret is bound to. A secret that is a URL has a URL as its stand-in.
pub fn secret(name: &str) -> Result<String> {
    host::stand_in(name)
}

/// HMAC-SHA256 of `data` under a secret, for services that want requests signed.
pub fn hmac_sha256(name: &str, data: &[u8]) -> Result<Vec<u8>> {
    host::hmac_sha256(name, data)
}
