//! Any bytes as a path: what was normalised once is normal.
#![no_main]

use mesh::proxy::http1::properties::is_normal_after_once;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| is_normal_after_once(&[b"/", bytes].concat()));
