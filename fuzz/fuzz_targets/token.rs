//! Any text as a set of keys and a token: nothing panics, and what nobody signed proves nothing.
#![no_main]

use std::time::SystemTime;

use mesh::model::token::{KeySet, Place, TokenRule, authenticate};
use mesh::resources::Provenance;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (keys, token) = text.split_once('\n').unwrap_or(("", text));
    let rule = TokenRule {
        provenance: Provenance::new("RequestAuthentication", "fuzz", "fuzz"),
        issuer: "".into(),
        audiences: Vec::new(),
        keys: KeySet::parse(keys.into()),
        places: vec![Place::Header { name: "authorization".into(), prefix: "Bearer ".into() }],
        forward: false,
        payload_header: None,
        claim_headers: Vec::new(),
        space_delimited: Vec::new(),
        required: true,
    };
    assert!(authenticate(&[rule], |_| vec![token.to_owned()], SystemTime::now()).is_err());
});
