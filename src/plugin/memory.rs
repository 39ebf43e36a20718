//! How much memory a script holds: an allocator that counts what its thread allocates and frees.
//!
//! Rhai's own size limits make its containers quadratic and miss `m[k] = v`; its operation limit does not bound memory at
//! all. So the process's allocator counts, per thread, and the script's progress callback reads the count. The binary
//! installs it once:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: plugin::CountingAllocator = plugin::CountingAllocator::system();
//! ```
//!
//! Without it scripts have no memory limit, and [`crate::PluginHost::new`] says so in the log.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes allocated minus bytes freed by this thread. May be negative: memory moves between threads.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// The allocator `A`, counted. Costs one thread-local addition per call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator<A = System>(A);

impl CountingAllocator<System> {
    /// Over the system's allocator.
    pub const fn system() -> Self {
        CountingAllocator(System)
    }
}

impl<A> CountingAllocator<A> {
    /// Over another allocator.
    pub const fn over(allocator: A) -> Self {
        CountingAllocator(allocator)
    }
}

fn count(bytes: isize) {
    // While a thread ends, its locals may be gone already; then nobody counts any more.
    let _ = LIVE.try_with(|live| live.set(live.get().wrapping_add(bytes)));
}

#[expect(unsafe_code, reason = "an allocator is an unsafe trait; this one only adds numbers")]
// SAFETY: every call is handed on unchanged to `A`, which keeps the contract of `GlobalAlloc`. Counting neither
// allocates (the thread-local is const-initialised and has no destructor) nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about `layout` is handed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise about `pointer` and `layout` is handed on.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about `layout` is handed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count((size as isize).wrapping_sub(layout.size() as isize));
        // SAFETY: the caller's promise about `pointer`, `layout` and `size` is handed on.
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}

/// What this thread holds, relative to any earlier answer on the same thread.
pub(crate) fn live() -> isize {
    LIVE.with(Cell::get)
}

/// Whether the process's allocator counts.
pub(crate) fn is_counted() -> bool {
    let before = live();
    let probe = std::hint::black_box(vec![0u8; 64]);
    let counted = live() != before;
    drop(probe);
    counted
}

/// Runs `work` without counting what it allocates and frees: the host's own business on a script's thread.
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = live();
    let done = work();
    LIVE.with(|live| live.set(before));
    done
}

/// Something that the host made and a script holds: charged as `bytes` while it lives, whoever allocated it.
#[derive(Debug)]
pub(crate) struct Charged<T> {
    inner: Option<T>,
    bytes: isize,
}

impl<T> Charged<T> {
    pub(crate) fn new(inner: T, bytes: usize) -> Self {
        let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
        count(bytes);
        Charged { inner: Some(inner), bytes }
    }
}

impl<T> std::ops::Deref for Charged<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.inner.as_ref().expect("only `drop` takes it out")
    }
}

impl<T> Drop for Charged<T> {
    fn drop(&mut self) {
        uncounted(|| drop(self.inner.take()));
        count(-self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_held() {
        assert!(is_counted());
        let start = live();
        let held = vec![0u8; 10_000];
        assert!(live() - start >= 10_000);
        drop(held);
        assert!((live() - start).abs() < 1000);
    }

    #[test]
    fn charges_while_it_lives() {
        let start = live();
        let data = uncounted(|| vec![0u8; 5000]);
        assert_eq!(live(), start);
        let charged = Charged::new(data, 7000);
        assert_eq!(live() - start, 7000);
        assert_eq!(charged.len(), 5000);
        drop(charged);
        assert_eq!(live(), start);
    }
}
