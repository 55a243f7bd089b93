//! Any bytes as a file: loading, validating and saying what is wrong never panics, and what is printed reads back.
#![no_main]

use mesh::resources::{kinds, validate};
use mesh::yaml;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let loaded = yaml::load("fuzz.yaml", bytes);
    let text = String::from_utf8_lossy(bytes);
    for error in &loaded.errors {
        error.render(&text);
    }
    for document in loaded.documents {
        let printed = yaml::to_string(&document.value);
        let again = yaml::load("printed.yaml", printed.as_bytes());
        assert!(again.errors.is_empty(), "{printed}");
        if let Some(kind) = kinds::of(&document.value) {
            for finding in validate(kind, &document.value).located(&document).iter() {
                assert!(!finding.to_string().is_empty());
            }
        }
    }
});
