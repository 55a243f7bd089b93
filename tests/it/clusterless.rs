//! Commands that need no cluster are quick and small: within 50 ms and 30 MiB in a release build.
//!
//! The build under test is not optimized and carries its debug information, so it gets more; what is measured is printed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::harness::{MESH, repository};

/// Times and bytes that a command may take: (time, KiB).
const BUDGET: (Duration, i64) = if cfg!(debug_assertions) {
    (Duration::from_millis(1000), 90 * 1024)
} else {
    (Duration::from_millis(50), 30 * 1024)
};

/// Runs, of which the quickest counts: the machine does other things as well.
const RUNS: u32 = 5;

/// Every command that answers from files and from the program itself.
const COMMANDS: [&str; 16] = [
    "--help",
    "--version",
    "up --help",
    "version --client",
    "completion bash",
    "completion zsh",
    "profile list",
    "profile dump demo",
    "profile diff default demo",
    "manifest generate --set profile=demo",
    "validate -f samples/bookinfo",
    "validate -f samples/local",
    "analyze -k=false samples/bookinfo",
    "kube-inject -f samples/bookinfo/bookinfo.yaml",
    "apply --dry-run=client -f samples/bookinfo",
    "nonsense",
];

/// Where the child process finds the command that it measures.
const MEASURED: &str = "MESH_TEST_MEASURED";

#[test]
fn commands_without_a_cluster_are_quick_and_small() {
    let mut over = Vec::new();
    println!("{:<48} {:>8} {:>10}", "COMMAND", "MS", "MIB");
    for command in COMMANDS {
        // The system counts the largest of all children, so each command is measured by a process of its own.
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "clusterless::measure", "--ignored", "--nocapture"])
            .env(MEASURED, command)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures = printed.lines().find_map(|line| line.split_once("measured: ")).map(|(_, figures)| figures);
        let figures: Vec<u64> =
            figures.unwrap_or_else(|| panic!("{command}: {printed}")).split(' ').map(|n| n.parse().unwrap()).collect();
        let (micros, kib) = (figures[0], figures[1]);
        println!("{command:<48} {:>8.1} {:>10.1}", micros as f64 / 1000.0, kib as f64 / 1024.0);
        if Duration::from_micros(micros) > BUDGET.0 || i64::try_from(kib).unwrap() > BUDGET.1 {
            over.push(format!("{command}: {} ms, {} KiB", micros / 1000, kib));
        }
    }
    assert!(over.is_empty(), "over {BUDGET:?}: {over:#?}");
}

#[test]
#[ignore = "measures one command for the test above"]
fn measure() {
    let Ok(command) = std::env::var(MEASURED) else { return };
    let home = tempfile::tempdir().unwrap();
    let mut least = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        Command::new(MESH)
            .args(command.split(' '))
            .current_dir(repository(""))
            .env("HOME", home.path())
            .env_remove("KUBECONFIG")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        least = least.min(start.elapsed());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    println!("measured: {} {}", least.as_micros(), usage.max_rss());
}

#[test]
fn a_result_that_nobody_reads_ends_its_command_and_one_that_cannot_be_written_fails_it() {
    let command = || {
        let mut command = Command::new(MESH);
        command.args(["manifest", "generate"]).stdin(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let mut unread = command().stdout(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    let unread = unread.wait_with_output().unwrap();
    assert_eq!((unread.status.code(), unread.stderr.as_slice()), (Some(141), &b""[..]));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let unwritten = command().stdout(full).output().unwrap();
    assert_eq!(unwritten.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&unwritten.stderr).contains("standard output: No space left"));
}
