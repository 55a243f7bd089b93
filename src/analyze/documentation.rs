//! `docs/analysis.md`, made from the tables of codes and analyzers, for people.

use super::analyzers::ANALYZERS;
use super::codes::{CODES, Code};

/// Where it is kept.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analysis.md");

const OPENING: &str = "\
# What `mesh analyze` finds

`mesh analyze` looks at files, at a cluster, or at files laid over a cluster as they would be once applied, for what is
accepted and does not work. A message has a code. Codes that start with `IST` are Istio's, under their names and severities;
codes that start with `MSH` are this mesh's own. `-S CODE=RESOURCE` and the annotation `galley.istio.io/analyze-suppress`
suppress them. The command fails with exit code 79 where a message reaches `--failure-threshold` (in every form of output),
and with 65 where a file can't be read.

Without a cluster, files are taken to be meant for a default installation, which has an ingress gateway; a Deployment stands
for the pods that it will have; and analyzers that look for kinds of which the files hold none are skipped: what is not there
may stand in files that were not named.

This file is generated from the tables that the command uses.

";

fn text() -> String {
    let mut text = OPENING.to_owned();
    text.push_str("## Codes\n\n| code | name | level | what it says |\n| --- | --- | --- | --- |\n");
    for Code { id, name, level, about } in CODES {
        text.push_str(&format!("| {id} | {name} | {level} | {about} |\n"));
    }
    text.push_str("\n## Analyzers\n\n| analyzer | looks for |\n| --- | --- |\n");
    for analyzer in ANALYZERS {
        let asked = if analyzer.default { "" } else { " (only if asked for)" };
        text.push_str(&format!("| {} | {}{asked} |\n", analyzer.name, analyzer.about));
    }
    text
}

#[test]
fn the_documentation_is_current() {
    assert!(
        std::fs::read_to_string(PATH).unwrap_or_default() == text(),
        "docs/analysis.md is out of date: run `cargo test --lib analyze::documentation -- --ignored regenerate`"
    );
}

#[test]
#[ignore = "writes docs/analysis.md"]
fn regenerate() {
    std::fs::write(PATH, text()).unwrap();
}
