//! kubectl prints against the built-in API server what it prints against Kubernetes' own.
//!
//! `commands.txt` holds the commands, in order; `transcripts.txt` what kubectl 1.36 printed on kube-apiserver 1.36 with its
//! controllers and no node. The same commands run here, and what they print is compared, without what is different each time (ages,
//! uids, times, addresses, generated names). Two differences are meant: the built-in runtime warns of what it stores and does not
//! act on, and explains fields in its own words.
//!
//! kubectl is the one that `MESH_KUBECTL` names, else the one on the path; where there is none, or one of another minor version (it
//! words some things differently), the test says so and ends. `MESH_FIDELITY_KUBECONFIG` with `MESH_FIDELITY_RECORD=1` writes
//! `transcripts.txt` anew.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;

use crate::harness::{Runtime, repository, text};

/// The minor version that the transcripts are of.
const MINOR: &str = "36";

/// How long a command is repeated that shows what a controller does in the background.
const PATIENCE: Duration = Duration::from_secs(15);

/// One command: its words, the file it reads, and whether it is repeated until it prints what is expected.
struct Step {
    line: String,
    words: Vec<String>,
    input: Option<String>,
    eventually: bool,
}

impl Step {
    /// A line of `commands.txt`: words as a shell would split them at blanks and single quotes; `< FILE` at its end, and `~` at its
    /// beginning where it is repeated.
    fn parse(line: &str) -> Self {
        let (eventually, rest) = line.strip_prefix("~ ").map_or((false, line), |rest| (true, rest));
        let (command, input) = rest.split_once(" < ").map_or((rest, None), |(command, file)| (command, Some(file)));
        let mut words = Vec::new();
        for (number, part) in command.split('\'').enumerate() {
            if number % 2 == 1 {
                // A quote may be part of a word: `--for=jsonpath='{.x}'`.
                match words.last_mut() {
                    Some(last) if !command.contains(&format!(" '{part}'")) => *last = format!("{last}{part}"),
                    _ => words.push(part.to_owned()),
                }
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        let input = input.map(|file| {
            std::fs::read_to_string(repository("tests/it/fidelity").join(file.trim()))
                .unwrap_or_else(|error| panic!("{line}: {error}"))
        });
        Self { line: line.to_owned(), words, input, eventually }
    }
}

struct Kubectl {
    program: String,
    /// Holds a copy of the kubeconfig, which some commands write.
    home: tempfile::TempDir,
}

impl Kubectl {
    /// One that speaks to the cluster of a kubeconfig; why there is none.
    fn find(kubeconfig: &str) -> Result<Self, String> {
        let program = std::env::var("MESH_KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let home = tempfile::tempdir().unwrap();
        std::fs::copy(kubeconfig, home.path().join("kubeconfig")).unwrap();
        let found = Self { program, home };
        let Some(version) = found.run(&["version", "--client", "-o", "json"], None) else {
            return Err(format!("{} cannot be run; MESH_KUBECTL may name a kubectl", found.program));
        };
        let version: Value = serde_json::from_str(version.0.trim()).unwrap_or_default();
        let minor = text(&version["clientVersion"]["minor"]);
        if minor.trim_end_matches('+') != MINOR {
            return Err(format!(
                "{} is 1.{minor}, and the transcripts are of 1.{MINOR}; MESH_KUBECTL may name another",
                found.program
            ));
        }
        Ok(found)
    }

    /// What it prints, errors last, and its exit code.
    fn run(&self, words: &[&str], input: Option<&str>) -> Option<(String, i32)> {
        let mut child = Command::new(&self.program)
            .args(words)
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .env("HOME", self.home.path())
            .env("KUBE_EDITOR", "sed -i s/first/edited/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        Some((String::from_utf8_lossy(&printed).into_owned(), output.status.code().unwrap_or(-1)))
    }

    fn step(&self, step: &Step, masks: &Masks) -> String {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        let (printed, code) = self.run(&words, step.input.as_deref()).unwrap();
        let mut shown = masks.apply(&printed, &step.words);
        if code != 0 {
            shown.push_str(&format!("[exit {code}]\n"));
        }
        shown
    }
}

/// What is different each time, and what stands for it.
struct Masks(Vec<(Regex, &'static str)>);

impl Masks {
    fn new() -> Self {
        let all = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
            (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<date>"),
            (r"\b10\.96\.\d+\.\d+", "<ip>"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", "<date>"),
            (r"Resource Version:\s+\d+", "Resource Version: <version>"),
            (r"(?m)^W\d{4} \S+\s+\d+ ", "W<time> "),
            (r#"Context "[^"]+""#, "Context <name>"),
            (r#"resourceVersion: "\d+""#, "resourceVersion: <version>"),
            (r#""resourceVersion": "\d+""#, r#""resourceVersion": <version>"#),
            (r"pod-template-hash=[a-z0-9]+", "pod-template-hash=<hash>"),
            (r"\bweb-[a-z0-9]{8,10}\b", "web-<hash>"),
            (r"\b(web|j|jj|now)-(<hash>-)?[a-z0-9]{5}\b", "$1-$2<suffix>"),
            (r"\b(\d+[smhd])+ ago", "<age> ago"),
            (r"(?m)(^|\s)(\d+[smhd]){1,2}(\s|$)", "$1<age>$3"),
            (r"/tmp/(LIVE|MERGED)-\d+/", "/$1/"),
            (r"(?m)^(---|\+\+\+) (\S+)\s.*$", "$1 $2"),
            // Columns are as wide as what is in them.
            (r"[ \t]{2,}", "  "),
            (r"(?m)[ \t]+$", ""),
        ];
        Self(all.map(|(pattern, stands)| (Regex::new(pattern).unwrap(), stands)).into())
    }

    fn apply(&self, printed: &str, words: &[String]) -> String {
        let explains = words.first().is_some_and(|word| word == "explain");
        // Meant: what is stored and not in force here is said.
        let is_notice = |line: &&str| line.starts_with("Warning: ") && line.contains("the built-in runtime");
        let mut shown = String::new();
        for line in printed.lines().filter(|line| !is_notice(line)) {
            // Meant: texts are our own. Names, types and values are compared.
            let is_fact =
                line.contains("\t<") || line.trim_start().starts_with("enum: ") || line.starts_with(char::is_uppercase);
            if !explains || is_fact {
                shown.push_str(line);
                shown.push('\n');
            }
        }
        self.0.iter().fold(shown, |text, (pattern, stands)| pattern.replace_all(&text, *stands).into_owned())
    }
}

fn steps() -> Vec<Step> {
    let commands = std::fs::read_to_string(repository("tests/it/fidelity/commands.txt")).unwrap();
    commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(Step::parse).collect()
}

/// What was recorded for each command.
fn recorded() -> Vec<(String, String)> {
    let kept = std::fs::read_to_string(repository("tests/it/fidelity/transcripts.txt")).unwrap_or_default();
    let mut all: Vec<(String, String)> = Vec::new();
    for line in kept.lines() {
        match (line.strip_prefix("$ kubectl "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => printed.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    all
}

fn record(kubeconfig: &str) {
    let kubectl = Kubectl::find(kubeconfig).unwrap();
    let masks = Masks::new();
    let mut all = String::new();
    for step in steps() {
        if step.eventually {
            // Controllers work in the background; what they come to is what is recorded.
            std::thread::sleep(Duration::from_secs(3));
        }
        all.push_str(&format!("$ kubectl {}\n{}", step.line, kubectl.step(&step, &masks)));
    }
    std::fs::write(repository("tests/it/fidelity/transcripts.txt"), all).unwrap();
}

#[test]
fn kubectl_prints_what_it_prints_on_kubernetes() {
    if let (Ok(kubeconfig), Some(_)) =
        (std::env::var("MESH_FIDELITY_KUBECONFIG"), std::env::var_os("MESH_FIDELITY_RECORD"))
    {
        record(&kubeconfig);
    }
    let runtime = Runtime::start(&[]);
    let kubectl = match Kubectl::find(&runtime.path("kubeconfig")) {
        Ok(kubectl) => kubectl,
        Err(why) => return println!("skipped: {why}"),
    };
    let masks = Masks::new();
    let recorded = recorded();
    let steps = steps();
    let known: Vec<&str> = recorded.iter().map(|(command, _)| command.as_str()).collect();
    let asked: Vec<&str> = steps.iter().map(|step| step.line.as_str()).collect();
    assert_eq!(known, asked, "transcripts.txt is not of the commands in commands.txt: record it anew");
    let mut differences = Vec::new();
    for (step, (_, expected)) in steps.iter().zip(&recorded) {
        let deadline = Instant::now() + PATIENCE;
        let mut printed = kubectl.step(step, &masks);
        while step.eventually && printed != *expected && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            printed = kubectl.step(step, &masks);
        }
        if printed != *expected {
            let diff = similar::TextDiff::from_lines(expected.as_str(), &printed);
            differences.push(format!("$ kubectl {}\n{}", step.line, diff.unified_diff().context_radius(1)));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ (- Kubernetes, + here):\n{}",
        differences.len(),
        steps.len(),
        differences.join("\n")
    );
}
