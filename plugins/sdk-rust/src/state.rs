//! Small state of this plugin alone, kept across calls, restarts and replicas: 1 MiB, 1 000 keys, 64 KiB a value.
//!
//! A call sees its own writes; they are kept only if the call returns `Ok`: a call that fails leaves no trace.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, host};

/// What stands under a key, read from JSON; `None` if nothing does.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    let bytes = host::state_get(key);
    let value = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    value.map_err(|error| crate::Error::from(error).at(format_args!("state `{key}`")))
}

/// Puts a value under a key, as JSON.
pub fn set(key: &str, value: &impl Serialize) -> Result<()> {
    host::state_set(key, serde_json::to_vec(value)?, None)
}

/// Puts a value under a key for a while.
pub fn set_for(key: &str, value: &impl Serialize, lifetime: Duration) -> Result<()> {
    host::state_set(key, serde_json::to_vec(value)?, Some(lifetime))
}

/// Takes a key away; nothing happens if it is not there.
pub fn delete(key: &str) {
    host::state_delete(key);
}

/// All keys that begin so, in order.
pub fn keys(prefix: &str) -> Vec<String> {
    host::state_keys(prefix)
}
