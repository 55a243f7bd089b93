//! What the main tables look like on the built-in runtime with its demo, in a terminal of 80 columns.
//!
//! `tests/tables.txt` holds them, without what is different each time; `MESH_TABLES_RECORD=1` writes it anew.

use regex::Regex;

use crate::harness::{Runtime, eventually, mesh, repository, stdout};

/// The commands.
const COMMANDS: [&str; 11] = [
    "get pods",
    "get virtualservices",
    "label-namespace default --dry-run",
    "label-namespace default --remove --dry-run",
    "profile list",
    "proxy-status",
    "check",
    "status",
    "tag list",
    "version",
    "get vs nosuch",
];

/// Widest line.
const COLUMNS: usize = 80;

fn normal(printed: &str) -> String {
    let masks = [
        (r"-[a-z0-9]{9}-[a-z0-9]{5}\b", "-<hash>"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
        (r"pid \d+, up \d+ (ms|s|min)", "pid <pid>, up <time>"),
        (r"\b\d+ h\b", "<time>"),
        (r"(?m)(\s)\d+(ms|s|m)$", "$1<age>"),
        (r"(SYNCED {3})\d+", "$1<number>"),
        (r"generation \d+", "generation <number>"),
        (r"(?m)^(kubeconfig\s+).*", "$1<path>"),
    ];
    masks.iter().fold(printed.to_owned(), |text, (pattern, stands)| {
        Regex::new(pattern).unwrap().replace_all(&text, *stands).into_owned()
    })
}

#[test]
fn tables_are_those_that_were_read() {
    let runtime = Runtime::demo();
    eventually("every proxy has everything", || {
        runtime.mesh(&["proxy-status", "--exit-code"]).status.success().then_some(())
    });
    let mut all = String::new();
    for command in COMMANDS {
        let words: Vec<&str> = command.split(' ').collect();
        // What needs no cluster takes no data directory.
        let output = if words[0] == "profile" { mesh(&words) } else { runtime.mesh(&words) };
        let printed = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
        // What was routed so far is not part of the table that is compared.
        let printed = printed.split("\nSERVICE ").next().unwrap().trim_end().to_owned();
        // Paths are as long as they are, and so are sentences.
        let stated = |line: &str| line.starts_with("kubeconfig") || line.starts_with("error: ");
        let wide = printed.lines().find(|line| line.chars().count() > COLUMNS && !stated(line));
        assert_eq!(wide, None, "mesh {command}");
        all.push_str(&format!("$ mesh {command}\n{}\n\n", normal(&printed)));
    }
    let path = repository("tests/tables.txt");
    if std::env::var_os("MESH_TABLES_RECORD").is_some() {
        std::fs::write(&path, &all).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let diff = similar::TextDiff::from_lines(kept.as_str(), &all);
    assert!(kept == all, "MESH_TABLES_RECORD=1 writes it anew:\n{}", diff.unified_diff().context_radius(2));
}
