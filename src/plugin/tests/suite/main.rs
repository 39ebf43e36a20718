//! Plugins from the outside: loaded through [`plugin::PluginHost`], called through the seams, against a world in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bundled;
mod component;
mod fake;
mod hostile;
mod kept;
mod lifecycle;
mod permissions;
mod same;
mod scripts;

#[global_allocator]
static ALLOCATOR: plugin::CountingAllocator = plugin::CountingAllocator::system();
