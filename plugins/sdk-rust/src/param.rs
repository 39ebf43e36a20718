//! Parameters: the manifest's defaults under the operator's values.

use serde::de::DeserializeOwned;

use crate::{Error, Result, host};

/// A parameter, as any type that `serde` can read from JSON. One that is not set reads as `null`, so an `Option` is
/// how to ask for one that may be missing.
///
/// ```
/// # use foghorn_plugin::{fake::FakeHost, param, Result};
/// # let outcome: Result<()> = FakeHost::new().param("limit", 90.0).run(|| {
/// let limit: f64 = param("limit")?;
/// let team: Option<String> = param("team")?;
/// # assert_eq!((limit, team), (90.0, None));
/// # Ok(())
/// # });
/// # outcome.unwrap();
/// ```
pub fn param<T: DeserializeOwned>(name: &str) -> Result<T> {
    let text = host::param(name);
    serde_json::from_str(text.as_deref().unwrap_or("null")).map_err(|error| match text {
        Some(text) => Error::config(format!("parameter `{name}` is `{text}`: {error}")),
        None => Error::config(format!("parameter `{name}` is missing")),
    })
}
