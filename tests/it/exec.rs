//! What guides type after `kubectl exec`: through a runtime, and the commands by themselves.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::{Connection, MESH, Runtime, eventually, stderr, stdout};

/// Two clients of httpbin: one in the mesh, one not.
const APPS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: legacy}
---
apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: foo}
spec:
  selector: {app: httpbin}
  ports: [{name: http, port: 8000, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: httpbin, namespace: foo, labels: {app: httpbin}}
spec:
  containers: [{name: httpbin, image: "docker.io/mccutchen/go-httpbin:v2.15.0", ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: curl, namespace: foo}
spec:
  containers: [{name: curl, image: "docker.io/curlimages/curl:8.16.0", command: [/bin/sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: curl, namespace: legacy}
spec:
  containers: [{name: curl, image: "docker.io/curlimages/curl:8.16.0", command: [/bin/sleep, infinity]}]
"#;

const STRICT: &str = r#"
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: foo}
spec: {mtls: {mode: STRICT}}
"#;

fn apps() -> Option<Runtime> {
    let runtime = Runtime::start(&[]);
    if runtime.kubectl_ok(&["apply", "-f", "-"], Some(APPS)).is_none() {
        println!("skipped: there is no kubectl");
        return None;
    }
    for namespace in ["foo", "legacy"] {
        runtime.kubectl_ok(&["wait", "-n", namespace, "--for=condition=Ready", "pods", "--all", "--timeout=60s"], None);
    }
    Some(runtime)
}

fn exec(runtime: &Runtime, pod: &str, command: &[&str]) -> Output {
    let (namespace, name) = pod.split_once('/').unwrap();
    let container = ["exec", "-n", namespace, name, "-c", name, "--"];
    runtime.kubectl(&[&container, command].concat(), None).unwrap()
}

#[test]
fn an_unmeshed_pod_reaches_a_meshed_one_in_permissive_mode_and_is_cut_off_in_strict_mode() {
    let Some(runtime) = apps() else { return };
    let call = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://httpbin.foo:8000/ip"];
    eventually("httpbin answers", || {
        let output = exec(&runtime, "legacy/curl", &call);
        (stdout(&output) == "200").then_some(())
    });
    runtime.kubectl_ok(&["apply", "-f", "-"], Some(STRICT));
    let refused = eventually("the connection is refused", || {
        let output = exec(&runtime, "legacy/curl", &call);
        (stdout(&output) == "000").then_some(output)
    });
    assert_eq!(refused.status.code(), Some(56), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(said.contains("curl: (56) Recv failure: Connection reset by peer"), "{said}");
    assert!(said.contains("command terminated with exit code 56"), "{said}");
    assert_eq!(stdout(&exec(&runtime, "foo/curl", &call)), "200");
    let headers = stdout(&exec(&runtime, "foo/curl", &["curl", "-s", "http://httpbin:8000/headers"]));
    assert!(headers.contains("URI=spiffe://cluster.local/ns/foo/sa/default"), "{headers}");
}

#[test]
fn exec_gives_streams_exit_codes_and_the_proxys_own_commands() {
    let Some(runtime) = apps() else { return };
    let loop_of =
        "for i in 1 2 3; do curl -s -o /dev/null -w '%{http_code}\\n' httpbin:8000/status/20$i; done | sort -r";
    assert_eq!(stdout(&exec(&runtime, "foo/curl", &["sh", "-c", loop_of])), "203\n202\n201\n");
    let failed = exec(&runtime, "foo/curl", &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((failed.status.code(), stdout(&failed).as_str()), (Some(7), "out\n"));
    assert!(stderr(&failed).starts_with("err\n"), "{}", stderr(&failed));
    let typed = ["exec", "-i", "-n", "foo", "curl", "-c", "curl", "--", "sh"];
    let typed = runtime.kubectl_ok(&typed, Some("cd /tmp\npwd\necho $((6*7))\n")).unwrap();
    assert_eq!(typed, "/tmp\n42\n");
    let unknown = exec(&runtime, "foo/curl", &["python3", "-V"]);
    assert!(!unknown.status.success() && stderr(&unknown).contains("python3: not found"), "{}", stderr(&unknown));
    let dump = ["exec", "-n", "foo", "curl", "-c", "istio-proxy", "--", "pilot-agent", "request", "GET", "config_dump"];
    assert!(runtime.kubectl_ok(&dump, None).unwrap().contains("spiffe://cluster.local/ns/foo/sa/default"));
}

#[test]
fn files_are_copied_into_a_pod_and_back() {
    let Some(runtime) = apps() else { return };
    let here = tempfile::tempdir().unwrap();
    let (from, to) = (here.path().join("a.txt"), here.path().join("b.txt"));
    std::fs::write(&from, "some text\n").unwrap();
    let path = |path: &Path| path.display().to_string();
    runtime.kubectl_ok(&["cp", "-c", "curl", &path(&from), "foo/curl:/tmp/a.txt"], None);
    assert_eq!(stdout(&exec(&runtime, "foo/curl", &["cat", "/tmp/a.txt"])), "some text\n");
    runtime.kubectl_ok(&["cp", "-c", "curl", "foo/curl:tmp/a.txt", &path(&to)], None);
    assert_eq!(std::fs::read_to_string(to).unwrap(), "some text\n");
}

#[test]
fn what_a_container_prints_is_seen_by_who_attaches() {
    let Some(runtime) = apps() else { return };
    let ticker = r#"
apiVersion: v1
kind: Pod
metadata: {name: ticker, namespace: foo, annotations: {sidecar.istio.io/inject: "false"}}
spec:
  restartPolicy: Never
  containers: [{name: ticker, image: "docker.io/curlimages/curl:8.16.0", command: [sh, -c, "for i in 1 2 3 4 5 6; do sleep 1; echo tick $i; done"]}]
"#;
    runtime.kubectl_ok(&["apply", "-f", "-"], Some(ticker));
    runtime.kubectl_ok(&["wait", "-n", "foo", "--for=condition=Ready", "pod/ticker", "--timeout=60s"], None);
    // It ends with the container.
    let seen = runtime.kubectl(&["attach", "-n", "foo", "ticker"], None).unwrap();
    assert!(seen.status.success() && stdout(&seen).ends_with("tick 6\n"), "{}{}", stdout(&seen), stderr(&seen));
}

#[test]
fn a_port_is_forwarded() {
    let Some(runtime) = apps() else { return };
    let mut forward = Command::new("kubectl")
        .env("KUBECONFIG", runtime.path("kubeconfig"))
        .env("HOME", runtime.directory())
        .args(["port-forward", "-n", "foo", "pod/httpbin", ":8080"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Kept: kubectl goes on writing there, and would end with it.
    let mut said = BufReader::new(forward.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let port = line.split(" -> ").next().and_then(|text| text.rsplit(':').next()).unwrap().to_owned();
    let mut visitor = Connection::open(format!("127.0.0.1:{port}").parse().unwrap());
    for _ in 0..3 {
        let answer = visitor.get("/status/418", &[]);
        assert_eq!(answer.status, 418, "{answer:?}");
    }
    assert_eq!(visitor.get("/bytes/100000", &[]).body.len(), 100_000);
    // Each connection is a pair of streams of its own.
    for _ in 0..3 {
        let mut another = Connection::open(format!("127.0.0.1:{port}").parse().unwrap());
        assert_eq!(another.get("/status/204", &[]).status, 204);
    }
    forward.kill().unwrap();
    forward.wait().unwrap();
    drop(said);
}

/// Runs a command as a process of a pod does, without a runtime.
fn tool(root: &Path, command: &[&str], input: &str) -> Output {
    let parent = std::process::id().to_string();
    let mut child = Command::new(MESH)
        .args(["pod-exec", &parent, "default/test", "curlimages/curl"])
        .args(command)
        .env_clear()
        .env("MESH_POD_ROOT", root)
        .env("HOSTNAME", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn sh(script: &str) -> (i32, String, String) {
    let root = tempfile::tempdir().unwrap();
    let output = tool(root.path(), &["sh", "-c", script, "sh", "one", "two words"], "");
    (output.status.code().unwrap_or(-1), stdout(&output), stderr(&output))
}

#[test]
fn the_shell_does_what_scripts_expect() {
    for (script, expected) in [
        ("echo a   b; echo 'c  d'", "a b\nc  d\n"),
        ("x=5; echo \"$x ${x}y ${unset:-none} ${#x}\"", "5 5y none 1\n"),
        ("for i in $(seq 1 3); do echo -n $i; done; echo", "123\n"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", "3\n"),
        ("if [ a = a ] && ! [ -z x ]; then echo yes; else echo no; fi", "yes\n"),
        ("false || echo or; true && echo and", "or\nand\n"),
        ("case abc in x*) echo x;; a*|b*) echo a;; esac", "a\n"),
        ("printf '%s-%03d\\n' a 7 b 8", "a-007\nb-008\n"),
        ("echo one two three | wc -w", "3\n"),
        ("(echo b; echo a) | sort | head -n 1", "a\n"),
        ("{ echo x; echo y; } | tail -1", "y\n"),
        ("for a in \"$@\"; do echo \"<$a>\"; done; echo $#", "<one>\n<two words>\n2\n"),
        ("f() { echo \"f:$1\"; return 3; }; f a; echo $?", "f:a\n3\n"),
        ("echo text > /tmp.txt; cat < /tmp.txt; cat /tmp.txt | tr a-z A-Z", "text\nTEXT\n"),
        ("cat <<EOF\nhello $1\nEOF\necho after", "hello one\nafter\n"),
        ("cat <<'EOF'\n$1\nEOF", "$1\n"),
        ("echo err 2>&1 >/dev/null; echo $(echo nested $(echo deep))", "nested deep\n"),
        ("p=/a/b/c.txt; echo ${p##*/} ${p%/*} ${p%.txt}", "c.txt /a/b /a/b/c\n"),
        ("until true; do echo never; done; echo done", "done\n"),
        ("for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done", "1\n3\n"),
        ("echo a b c | { read x rest; echo $rest; }", "b c\n"),
        ("mkdir -p /d; cd /d; pwd; touch x y; ls; echo *", "/d\nx\ny\nx y\n"),
        ("set -e; (exit 3) || echo caught; echo on", "caught\non\n"),
        ("A=1 env | grep ^A=; export B=2; env | grep ^B=", "A=1\nB=2\n"),
        ("sleep 0 & wait; echo $?", "0\n"),
        ("echo 'a:b' | cut -d: -f2; echo abc | grep -o 'b.'", "b\nbc\n"),
        ("# a comment\necho x # another", "x\n"),
        ("while read l; do echo \"[$l]\"; done <<EOF\na\nb\nEOF", "[a]\n[b]\n"),
        ("echo $(( (2+3)*4 % 7 ))$?", "60\n"),
        ("f() { echo out; echo err >&2; }; f >/x 2>/y; cat /x; cat /y; f 2>&1 | wc -l", "out\nerr\n2\n"),
        ("f() { read a; echo \"$a\"; }; f <<EOF\nline\nEOF\necho next", "line\nnext\n"),
        ("f() { env | grep ^X=; X=3; }; X=1; X=2 f; echo $X", "X=2\n1\n"),
        ("f() { local i=2 j; j=3; echo $i$j; }; i=1; j=0; f; echo $i$j", "23\n10\n"),
        ("(exec >/log 2>&1; echo kept; nosuch); wc -l </log", "2\n"),
        (
            "echo() { :; }; command echo plain; command -v cat; command cat /none 2>/dev/null || command echo $?",
            "plain\n/usr/bin/cat\n1\n",
        ),
        ("for i in 1 2; do for j in 1 2; do break 0; done; echo $i; done; break; echo on", "1\n2\non\n"),
        ("set -e; false && true; { false && true; }; if false; then :; fi; ! true; echo on", "on\n"),
        ("seq 9223372036854775806 9223372036854775807", "9223372036854775806\n9223372036854775807\n"),
        (
            "seen() { n=0; until grep -q $1 /g || [ $n = 500 ]; do sleep 0.01; n=$((n+1)); done; }; echo a >/f; >/g; \
             tail -f /f >/g & seen a; echo b >>/f; seen b; cat /g",
            "a\nb\n",
        ),
    ] {
        let (code, out, err) = sh(script);
        assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""), "{script}");
    }
}

#[test]
fn the_shell_says_what_it_cannot_do() {
    for (script, expected, said) in [
        ("exit 4", 4, ""),
        ("nosuch", 127, "nosuch: not found"),
        ("set -e; false; echo not reached", 1, ""),
        ("set -e; true && false; echo not reached", 1, ""),
        ("set -e; f() { false; echo not reached; }; f", 1, ""),
        ("echo x | nosuch | cat", 0, "nosuch: not found"),
        ("echo 'open", 2, "' is not closed"),
        ("if true; then", 2, "is not closed"),
        ("echo )", 2, "unexpected"),
        ("cat /nowhere", 1, "No such file or directory"),
        ("echo ${x:?needed}", 2, "x: needed"),
        ("echo $((1/0))", 2, "division by zero"),
        ("cat ../../../../etc/passwd", 1, "No such file or directory"),
    ] {
        let (code, out, err) = sh(script);
        assert_eq!((code, out.as_str()), (expected, ""), "{script}: {err}");
        assert!(err.contains(said), "{script}: {err}");
    }
    let deep = format!("{}{}", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(sh(&deep).0, 2);
}

#[test]
fn curl_refuses_as_curl_does() {
    let root = tempfile::tempdir().unwrap();
    for (arguments, code, said) in [
        (&["curl"][..], 2, "no URL specified"),
        (&["curl", "--no-such-option", "x"], 2, "curl: option --no-such-option: is unknown"),
        (&["curl", "-m"], 2, "option -m: requires parameter"),
        (&["curl", "ftp://x/"], 1, "Protocol \"ftp\" not supported"),
        (&["curl", "http://no-such-host.invalid/"], 6, "curl: (6) Could not resolve host: no-such-host.invalid"),
        (&["curl", "http://127.255.255.1:1/"], 7, "curl: (7) Failed to connect to 127.255.255.1 port 1"),
    ] {
        let output = tool(root.path(), arguments, "");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(stderr(&tool(root.path(), &["curl", "-s", "http://127.255.255.1:1/"], "")), "");
}

#[test]
fn an_archive_unpacks_where_it_is_told_and_nowhere_else() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(from.path().join("d/e")).unwrap();
    std::fs::write(from.path().join("d/e/f"), vec![7; 1_000]).unwrap();
    let long = format!("d/{}", "n".repeat(150));
    std::fs::write(from.path().join(&long), "x").unwrap();
    let packed = tool(from.path(), &["tar", "cf", "-", "d"], "");
    assert!(packed.status.success(), "{}", stderr(&packed));
    std::fs::write(to.path().join("a.tar"), &packed.stdout).unwrap();
    let unpacked = tool(to.path(), &["sh", "-c", "mkdir /in; tar -xmf - -C /in < /a.tar"], "");
    assert!(unpacked.status.success(), "{}", stderr(&unpacked));
    assert_eq!(std::fs::read(to.path().join("in/d/e/f")).unwrap(), vec![7; 1_000]);
    assert_eq!(std::fs::read_to_string(to.path().join("in").join(&long)).unwrap(), "x");
    // A name that leads out is left out.
    let mut evil = packed.stdout;
    evil[..2].copy_from_slice(b"..");
    evil[2..9].copy_from_slice(b"/out\0\0\0");
    std::fs::write(to.path().join("a.tar"), evil).unwrap();
    let refused = tool(to.path(), &["sh", "-c", "tar -xf - -C /in < /a.tar"], "");
    assert!(stderr(&refused).contains("leads out"), "{}", stderr(&refused));
    assert!(!to.path().join("out").exists());
}
