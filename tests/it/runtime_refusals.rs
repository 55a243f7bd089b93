//! Wrong input to the runtime: one clear sentence, an exit code, and nothing lost.

use std::net::TcpListener;
use std::process::Command;

use crate::harness::{MESH, Runtime, mesh, stderr, stdout};
use crate::refusals::VIRTUAL_SERVICE;

#[test]
fn the_api_server_refuses_what_validate_refuses_and_keeps_what_was_there() {
    let runtime = Runtime::demo();
    let applied = runtime.kubectl(&["apply", "-f", "-"], Some(VIRTUAL_SERVICE));
    let Some(applied) = applied else {
        println!("skipped: there is no kubectl");
        return;
    };
    assert!(!applied.status.success());
    assert!(stderr(&applied).contains("sum to 0"), "{}", stderr(&applied));
    let unknown = VIRTUAL_SERVICE.replace("subset: v1", "subsets: v1").replace("weight: 0", "weight: 1");
    let applied = runtime.kubectl(&["apply", "-f", "-"], Some(&unknown)).unwrap();
    assert!(!applied.status.success());
    assert!(stderr(&applied).contains("unknown field") && stderr(&applied).contains("subsets"), "{}", stderr(&applied));
    let jason = runtime.visitor().get("/api/v1/products/0/reviews", &[("end-user", "jason")]);
    assert_eq!(jason.reviews_version(), "v2");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--ingress-port", "--api-port"] {
        let other = if option == "--api-port" { "--ingress-port" } else { "--api-port" };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        let output = mesh(&["up", option, port.as_str(), other, "0", "--data-dir", path.as_str()]);
        assert_eq!(output.status.code(), Some(73), "{option}: {}", stderr(&output));
        assert!(stderr(&output).contains(&port), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().filter(|line| line.starts_with("error:")).count(), 1);
    }
}

#[test]
fn a_second_runtime_on_the_same_directory_is_refused() {
    let runtime = Runtime::start(&[]);
    let output = runtime.mesh(&["up", "--api-port", "0", "--ingress-port", "0"]);
    assert_eq!(output.status.code(), Some(73), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("pid {}", runtime.pid())), "{}", stderr(&output));
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let output = mesh(&["up", "--api-port", "0", "--ingress-port", "0", "--data-dir", "/sys/mesh"]);
    assert_eq!(output.status.code(), Some(77), "{}", stderr(&output));
    assert!(stderr(&output).contains("/sys/mesh"), "{}", stderr(&output));
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    // A filesystem of 6 MiB in a mount namespace of its own; the second command runs in the same one.
    let script = format!(
        "command -v kubectl >/dev/null || exit 0; mount -t tmpfs -o size=6m tmpfs '{path}' && \
         '{MESH}' up --detach --api-port 0 --ingress-port 0 --data-dir '{path}' >&2 && \
         dd if=/dev/zero of='{path}/ballast' bs=64k 2>/dev/null; \
         big=$(head -c 200000 /dev/zero | tr '\\0' x); \
         for n in 1 2 3 4 5 6 7 8; do \
           printf '{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"big-%s\",\"namespace\":\"default\"}},\"data\":{{\"x\":\"%s\"}}}}' $n $big \
             | kubectl --kubeconfig '{path}/kubeconfig' create -f - 2>&1 || break; \
         done; \
         rm '{path}/ballast'; \
         '{MESH}' status --data-dir '{path}' -o json >/dev/null && echo still running; \
         '{MESH}' down --data-dir '{path}' >&2"
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output();
    let Ok(output) = output.as_ref().map_err(|_| ()) else { return println!("skipped: there is no unshare") };
    if stderr(output).contains("unshare failed") || stderr(output).contains("mount:") {
        return println!("skipped: this user may not mount: {}", stderr(output));
    }
    let said = stdout(output);
    assert!(said.contains("full"), "{said}{}", stderr(output));
    assert!(said.contains("still running"), "{said}{}", stderr(output));
}

#[test]
fn a_command_that_needs_a_runtime_says_that_there_is_none() {
    let output = mesh(&["status"]);
    assert_eq!(output.status.code(), Some(69));
    assert_eq!(stderr(&output).lines().filter(|line| line.starts_with("error:")).count(), 1, "{}", stderr(&output));
}
