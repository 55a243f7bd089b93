//! Writes `src/wire/gen/` from `src/wire/proto/`, and holds that what is checked in is what would be written.
//!
//! The default build runs no code generator (DESIGN.md section 10). After a change to a `.proto` file:
//! `cargo test --lib wire::generated -- --ignored regenerate`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PROTOS: [&str; 5] = [
    "mesh/v1/mesh.proto",
    "istio/v1/auth/ca.proto",
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/discovery/v3/discovery.proto",
    "opentelemetry/proto/trace/v1/trace.proto",
];

fn source(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire").join(directory)
}

/// File name to content, as the generator writes them into an empty directory.
fn generate() -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(PROTOS, [source("proto")]).unwrap();
    tonic_prost_build::configure()
        // Maps in the order of their keys and byte strings that are shared: equal resources have equal bytes, encoded once.
        .btree_map(".")
        .bytes(".")
        .extern_path(".google.protobuf.Any", "crate::wire::Any")
        .emit_package(true)
        .out_dir(directory.path())
        .compile_fds(descriptors)
        .unwrap();
    read(directory.path())
}

fn read(directory: &Path) -> BTreeMap<String, String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

#[test]
fn what_is_checked_in_is_current() {
    let (expected, found) = (generate(), read(&source("gen")));
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "run `cargo test --lib wire::generated -- --ignored regenerate`");
    for (name, content) in expected {
        assert!(found[&name] == content, "{name} is out of date: run the ignored test `regenerate`");
    }
}

#[test]
#[ignore = "writes into the source tree"]
fn regenerate() {
    let directory = source("gen");
    for name in read(&directory).keys() {
        fs::remove_file(directory.join(name)).unwrap();
    }
    for (name, content) in generate() {
        fs::write(directory.join(name), content).unwrap();
    }
}
