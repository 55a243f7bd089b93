//! Any bytes as the beginning of TLS: the server name is found alike however they come.
#![no_main]

use mesh::proxy::detect::is_found_alike_in_pieces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| is_found_alike_in_pieces(bytes));
