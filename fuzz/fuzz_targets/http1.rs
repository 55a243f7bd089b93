//! Any bytes as a connection: what our codec and hyper both accept, both read alike.
#![no_main]

use mesh::proxy::http1::properties::is_read_like_hyper_reads_it;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| is_read_like_hyper_reads_it(bytes));
