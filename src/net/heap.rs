//! What the process does with memory that it no longer uses.
//!
//! It has nothing to do with sockets, and is in this room because the one module that may call the C library unchecked is.
//! glibc's allocator gives each thread an arena of its own, up to eight per core, and keeps what is freed in each: a process that
//! starts by reading much and then holds little would keep several times of what it holds. Where the C library is another one,
//! these functions do nothing to it.
//!
//! Of the program itself, start-up and every busy minute leave pages resident that an idle process does not touch; the kernel
//! counts them as its memory until they are unmapped. They are the file's, so that nothing is lost, and nothing is read from
//! the disk again as long as the page cache holds them.

use std::ops::Range;

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

/// Gives back what an idle process does not need: memory that is free, and the program's own pages, which return when they are
/// used. Called when a process has become idle; the first request after it waits some tenths of a millisecond longer.
pub fn settle() {
    trim_heap();
    // Where the system does not say what is mapped, everything stays.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    program_pages(&maps).for_each(sys::forget_unwritten);
}

/// The mappings of program files that were never writable, by proc_pid_maps(5): code, and what lies at the beginning of a file
/// (headers and constants). What is made read-only after it was written lies elsewhere.
fn program_pages(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (range, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let offset = u64::from_str_radix(offset, 16).ok()?;
        let is_file = fields.nth(2)?.starts_with('/');
        let (start, end) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let unwritten = is_file && (permissions == "r-xp" || (permissions == "r--p" && offset == 0));
        unwritten.then_some(address(start)?..address(end)?)
    })
}

/// Gives memory that is free back to the system; called when a phase that needed much is over. Takes some milliseconds.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    sys::trim_heap();
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55e0c0000000-55e0c0400000 r--p 00000000 fe:00 123                        /usr/local/bin/mesh
55e0c0400000-55e0c2000000 r-xp 00400000 fe:00 123                        /usr/local/bin/mesh
55e0c2000000-55e0c20f0000 r--p 02000000 fe:00 123                        /usr/local/bin/mesh
55e0c20f0000-55e0c2100000 rw-p 020f0000 fe:00 123                        /usr/local/bin/mesh
55e0c3000000-55e0c3100000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000010000 r--p 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn only_what_the_file_still_holds_is_given_back() {
        let pages: Vec<_> = program_pages(MAPS).collect();
        assert_eq!(pages, [0x55e0_c000_0000..0x55e0_c040_0000, 0x55e0_c040_0000..0x55e0_c200_0000]);
    }

    #[test]
    fn a_process_that_has_settled_works_on() {
        let text = "kept".repeat(1000);
        settle();
        assert_eq!(text.matches("kept").count(), 1000);
        assert!(format!("{:?}", std::time::Duration::from_millis(1500)).contains("1.5s"));
    }
}
