//! What the process does with memory that it no longer uses.
//!
//! It has nothing to do with sockets, and is in this room because the one module that may call the C library unchecked is.
//! glibc's allocator gives each thread an arena of its own, up to eight per core, and keeps what is freed in each: a process that
//! starts by reading much and then holds little would keep several times of what it holds. Where the C library is another one,
//! these functions do nothing.

#[cfg(target_env = "gnu")]
use super::sys;

/// Arenas at most. Two threads that allocate at once do not wait for each other; more threads than that rarely do in this program,
/// because small blocks come from each thread's own cache.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;

/// Sets the allocator up; called once, before there are threads.
pub fn configure_heap() {
    #[cfg(target_env = "gnu")]
    sys::limit_arenas(ARENAS);
}

/// Gives memory that is free back to the system; called when a phase that needed much is over. Takes some milliseconds.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    sys::trim_heap();
}
