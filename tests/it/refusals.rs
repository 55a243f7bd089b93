//! Wrong input: one clear sentence, an exit code, and nothing lost.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::harness::{MESH, mesh, repository, stderr, stdout};

fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input.yaml");
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

fn validate(content: &str) -> (Output, String) {
    let (_directory, path) = file(content);
    let path = path.display().to_string();
    let output = mesh(&["validate", "-f", path.as_str()]);
    let said = format!("{}{}", stdout(&output), stderr(&output)).replace(&path, "input.yaml");
    (output, said)
}

pub const VIRTUAL_SERVICE: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v1
      weight: 0
    - destination:
        host: reviews
        subset: v2
      weight: 0
";

#[test]
fn text_that_is_not_yaml_is_refused_with_its_place() {
    let (output, said) = validate("apiVersion: v1\nkind: [Service\n");
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("input.yaml:"), "{said}");
    assert!(said.contains("input.yaml:2:") || said.contains("input.yaml:3:"), "{said}");
}

#[test]
fn an_unknown_field_is_refused_with_its_place_and_a_remedy() {
    let (output, said) = validate(&VIRTUAL_SERVICE.replace("  hosts:", "  host:"));
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("input.yaml:6:3"), "{said}");
    assert!(said.contains("hosts"), "{said}");
}

#[test]
fn of_a_kind_that_mesh_has_no_name_for_is_said_what_the_reader_can_act_on() {
    for (version, kind, code, expected) in [
        ("apps/v1", "DaemonSet", 0, ""),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", 0, ""),
        ("example.com/v1", "Widget", 0, "Widget of example.com/v1 is not a kind that mesh knows"),
        ("networking.istio.io/v1", "VirtualServices", 65, "has no kind VirtualServices"),
        ("install.istio.io/v1alpha1", "IstioOperator", 0, ""),
        ("x/v1", "", 65, "apiVersion"),
    ] {
        let (output, said) = validate(&format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: a\n"));
        assert_eq!(output.status.code(), Some(code), "{version} {kind}: {said}");
        assert!(said.contains(expected) && (!expected.is_empty() || !said.contains(kind)), "{version} {kind}: {said}");
    }
}

#[test]
fn weights_that_sum_to_zero_are_refused() {
    let (output, said) = validate(VIRTUAL_SERVICE);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("weight") && said.contains("sum to 0"), "{said}");
}

#[test]
fn a_field_that_is_not_in_force_is_said_and_accepted() {
    let named = "  - match: [{uri: {prefix: /}, statPrefix: all}]\n    route:";
    let (output, said) = validate(&VIRTUAL_SERVICE.replace("weight: 0", "weight: 1").replace("  - route:", named));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("statPrefix") && said.contains("not in force"), "{said}");
}

#[test]
fn every_command_documents_itself_within_80_columns() {
    for command in [
        "",
        "install",
        "upgrade",
        "uninstall",
        "verify-install",
        "manifest generate",
        "manifest diff",
        "profile list",
        "profile dump",
        "profile diff",
        "tag set",
        "tag list",
        "tag remove",
        "label-namespace",
        "proxy-status",
        "check",
        "get",
        "delete",
        "wait",
        "logs",
        "kube-inject",
        "check-inject",
        "up",
        "down",
        "status",
        "apply",
        "validate",
        "proxy",
        "version",
        "completion",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let output = Command::new(MESH).args(&arguments).env("COLUMNS", "80").output().unwrap();
        assert!(output.status.success());
        let help = stdout(&output);
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 80, "{command}: {widest} columns\n{help}");
    }
    assert_eq!(mesh(&["no-such-command"]).status.code(), Some(64));
}

#[test]
fn the_projects_own_samples_are_sound() {
    let samples = repository("samples").display().to_string();
    let output = mesh(&["validate", "-R", "-f", samples.as_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    assert!(stdout(&output).contains("nothing to say"), "{}", stdout(&output));
}

#[test]
fn a_policy_that_nobody_asks_is_accepted_and_said_to_protect_nothing() {
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: attached}\n\
                  spec: {targetRefs: [{kind: Service, name: web}], rules: [{}]}\n";
    let (output, said) = validate(policy);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("spec.targetRefs") && said.contains("it protects nothing"), "{said}");
}

#[test]
fn input_that_is_not_an_object_is_refused() {
    for content in ["- a\n", "hello\n", "kind: Service\n", "apiVersion: networking.istio.io/v1\nkind: VirtualServce\n"]
    {
        let (output, said) = validate(content);
        assert_eq!(output.status.code(), Some(65), "{content}: {said}");
        assert!(said.contains("input.yaml:1:1"), "{content}: {said}");
    }
    let missing = mesh(&["validate", "-f", "no-such-file.yaml"]);
    assert_eq!(missing.status.code(), Some(65));
    assert!(stderr(&missing).contains("no-such-file.yaml"), "{}", stderr(&missing));
}

#[test]
fn the_completion_files_are_current() {
    for (shell, file) in [("bash", "mesh.bash"), ("zsh", "_mesh"), ("fish", "mesh.fish")] {
        let printed = mesh(&["completion", shell]);
        let kept = std::fs::read(repository("completions").join(file)).unwrap_or_default();
        assert!(
            printed.stdout == kept,
            "completions/{file} is not current: `mesh completion {shell} > completions/{file}`"
        );
    }
}
