//! The host's functions: in a component the imports, natively the fake host.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::fake::functions::*;
#[cfg(target_arch = "wasm32")]
pub(crate) use crate::glue::functions::*;
