//! Plugins from the outside: loaded through [`plugin::PluginHost`], called through the seams, against a world in memory.

mod component;
mod fake;
mod hostile;
mod lifecycle;
mod permissions;
mod scripts;

#[global_allocator]
static ALLOCATOR: plugin::CountingAllocator = plugin::CountingAllocator::system();
