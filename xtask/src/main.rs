//! Chores of this repository: `cargo xtask plugins`.
fn main() {}
