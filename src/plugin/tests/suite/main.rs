//! Plugins from the outside: loaded through [`plugin::PluginHost`], called through the seams, against a world in memory.

mod bundled;
mod component;
mod fake;
mod hostile;
mod lifecycle;
mod permissions;
mod same;
mod scripts;

#[global_allocator]
static ALLOCATOR: plugin::CountingAllocator = plugin::CountingAllocator::system();
