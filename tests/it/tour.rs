//! The README's five minutes, as they stand there: its commands are run in order, and print what it says.
//!
//! Addresses of this runtime stand for the README's; names of pods, uids and times vary.

use std::os::unix::fs::symlink;
use std::process::Command;

use regex::Regex;

use crate::harness::{MESH, Runtime, repository};

/// The part of the README that is run, and where it ends: what follows needs ports of its own.
const BEGIN: &str = "## Five minutes";
const END: &str = "**A gateway from files**";

/// A command and the lines that are printed below it.
#[derive(Debug)]
struct Step {
    command: String,
    printed: String,
}

fn steps() -> Vec<Step> {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let start = readme.find(BEGIN).expect("the README has its five minutes");
    let end = start + readme[start..].find(END).expect("the README has a gateway from files");
    let mut steps: Vec<Step> = Vec::new();
    let mut console = false;
    for line in readme[start..end].lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => console = line == "```console",
            Some(command) if console => steps.push(Step { command: command.to_owned(), printed: String::new() }),
            None if console => steps.last_mut().unwrap().printed.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    steps
}

/// Without what varies: the parts of pods' names that are made up.
fn normal(text: &str) -> String {
    let hash = Regex::new(r"\b(v\d)-[a-z0-9]{5,10}(-[a-z0-9]{1,5})?\b").unwrap();
    text.lines().map(|line| hash.replace_all(line.trim_end(), "$1-<hash>").into_owned() + "\n").collect()
}

#[test]
fn the_readme_prints_what_it_says() {
    let steps = steps();
    assert!(steps.len() >= 5, "{steps:?}");
    let runtime = Runtime::demo();
    let has_kubectl = runtime.kubectl(&["version", "--client"], None).is_some();
    // The runtime of the default directory is this one.
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join(".local/state");
    std::fs::create_dir_all(&state).unwrap();
    symlink(runtime.directory(), state.join("mesh")).unwrap();
    let here = |text: &str| {
        text.replace("target/release/mesh", MESH)
            .replace("http://127.0.0.1:8080", &runtime.ingress)
            .replace("https://127.0.0.1:6443", &runtime.api)
    };
    let mut exported = String::new();
    for step in steps {
        if step.command.starts_with("kubectl") && !has_kubectl {
            println!("skipped: there is no kubectl: {}", step.command);
            continue;
        }
        if step.command.starts_with("export ") {
            exported.push_str(&format!("{}\n", here(&step.command)));
            continue;
        }
        let output = Command::new("sh")
            .args(["-c", &format!("{exported}{{ {}; }} 2>&1", here(&step.command))])
            .current_dir(repository(""))
            .env("HOME", home.path())
            .env_remove("XDG_STATE_HOME")
            .env_remove("KUBECONFIG")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let refused = step.printed.contains("error:");
        assert_eq!(output.status.success(), !refused, "$ {}\n{printed}", step.command);
        if !step.printed.is_empty() {
            assert_eq!(normal(&printed), normal(&here(&step.printed)), "$ {}", step.command);
        }
    }
}
