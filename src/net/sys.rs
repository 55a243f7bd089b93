//! The only unsafe code in the house: what the C library does and Rust cannot check.
#![allow(unsafe_code)]

use std::{
    io,
    os::{
        fd::{FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
};

/// A step between fork and exec. The implementor promises what the compiler cannot see: it makes system calls only, on memory
/// that it already has. No allocation, no lock, no panic.
pub(super) trait BeforeExec: Send + Sync + 'static {
    /// Runs in the child. An error ends the child and is what spawning it answers, as far as it is the system's.
    fn run(&self) -> io::Result<()>;
}

/// Has every child of `command` run `step` before it becomes the program.
pub(super) fn before_exec(command: &mut Command, step: impl BeforeExec) {
    // SAFETY: the child of a process with threads may only make async-signal-safe calls until it execs. `BeforeExec` demands
    // just that, and is private to this room; its implementations are in `namespace` and use nothing but system calls over
    // buffers that were filled before the fork.
    unsafe {
        command.pre_exec(move || step.run());
    }
}

/// Takes ownership of a descriptor that the kernel has just made for this process and that nothing else knows of: one that
/// arrived with `SCM_RIGHTS`.
pub(super) fn own_received(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel installs a new descriptor for every one received and reports it to the receiver alone. The caller is
    // `handover`, which passes each number once, straight from the control message.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Has the C library's allocator keep at most `count` arenas.
#[cfg(target_env = "gnu")]
pub(super) fn limit_arenas(count: i32) {
    // SAFETY: `mallopt` takes two numbers, touches nothing but the allocator's own parameters and takes the allocator's lock.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, count);
    }
}

/// Has the C library's allocator give what is free back to the system.
#[cfg(target_env = "gnu")]
pub(super) fn trim_heap() {
    // SAFETY: `malloc_trim` gives back pages in which nothing is allocated; it takes the allocator's locks and may be called at any
    // time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Has the kernel unmap pages that it can read again from their file. `pages` must be a mapping of a file that was never
/// writable.
pub(super) fn forget_unwritten(pages: std::ops::Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(pages.start);
    // SAFETY: MADV_DONTNEED drops pages, which come back from the file when they are touched. The caller is `heap`, which passes
    // whole mappings of this process, as the kernel names them, that no write can have made different from their file. A mapping
    // that is gone by now, or another one, is refused or loses nothing, because nothing unmaps programs or maps over them.
    unsafe {
        nix::libc::madvise(start, pages.len(), nix::libc::MADV_DONTNEED);
    }
}
