//! Foghorn.
fn main() {}
