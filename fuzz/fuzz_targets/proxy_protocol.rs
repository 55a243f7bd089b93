//! Any bytes as a PROXY protocol header: read alike however they come, and written as they were read.
#![no_main]

use mesh::proxy::proxy_protocol::is_read_alike_in_pieces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| is_read_alike_in_pieces(bytes));
