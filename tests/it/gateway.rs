//! A gateway from files: the split, the header rule, the log, and an end that loses no request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{MESH, repository, stderr};

/// A server that answers every request with `name`, until the test process ends.
pub fn backend(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" {
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

/// `mesh proxy --local` on the samples, with ports that are free.
struct Gateway {
    child: Child,
    address: SocketAddr,
    _files: tempfile::TempDir,
}

/// The sample's files, with these backends and a port that is free.
pub fn files(v1: u16, v2: u16) -> (tempfile::TempDir, SocketAddr) {
    let files = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let replaced = |file: &str, pairs: &[(&str, u16)]| {
        let mut text = std::fs::read_to_string(repository("samples/local").join(file)).unwrap();
        for (from, to) in pairs {
            text = text.replace(from, &to.to_string());
        }
        std::fs::write(files.path().join(file), text).unwrap();
    };
    replaced("gateway.yaml", &[("8080", free.port())]);
    replaced("endpoints.yaml", &[("9001", v1), ("9002", v2)]);
    (files, free)
}

impl Gateway {
    fn start(v1: u16, v2: u16) -> Self {
        let (files, free) = files(v1, v2);
        let mut child = Self::command(files.path()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("listening on http://{free}"));
        Self { child, address: free, _files: files }
    }

    fn command(files: &Path) -> Command {
        let mut command = Command::new(MESH);
        command.args(["proxy", "--local", "-f"]).arg(files).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn stop(mut self) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let mut log = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Visitor(BufReader<TcpStream>);

impl Visitor {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(BufReader::new(stream))
    }

    /// Status and body of the answer to a GET.
    fn get(&mut self, headers: &str) -> (u16, String) {
        self.0
            .get_mut()
            .write_all(format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n").as_bytes())
            .unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

#[test]
fn requests_follow_the_weights_and_the_header_rule_and_each_is_logged_with_its_rule() {
    let gateway = Gateway::start(backend("v1"), backend("v2"));
    let mut visitor = Visitor::new(gateway.address);
    let mut v2 = 0;
    for _ in 0..1_000 {
        let (status, body) = visitor.get("");
        assert_eq!(status, 200, "{body}");
        v2 += usize::from(body == "v2");
    }
    assert!((60..=140).contains(&v2), "{v2} of 1,000 requests reached v2");
    for _ in 0..1_000 {
        assert_eq!(visitor.get("end-user: jason\r\n"), (200, "v2".to_owned()));
    }
    drop(visitor);
    let (code, log) = gateway.stop();
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2_000, "{}", lines.first().unwrap_or(&""));
    let by = |rule: &str| lines.iter().filter(|line| line.contains(rule)).count();
    assert_eq!((by("VirtualService shop/web http[0]"), by("VirtualService shop/web http[1]")), (1_000, 1_000));
}

#[test]
fn a_request_that_no_endpoint_can_take_is_answered_and_says_why() {
    // Nobody listens on the second port: it was free a moment ago.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gateway = Gateway::start(backend("v1"), nobody);
    let (status, body) = Visitor::new(gateway.address).get("end-user: jason\r\n");
    assert_eq!(status, 503, "{body}");
    let (_, log) = gateway.stop();
    // Tried again, as Istio does with connections that fail, and given up.
    assert!(log.contains(" UF,URX "), "{log}");
}

#[test]
fn a_request_with_two_readings_is_refused_and_reaches_nobody() {
    let gateway = Gateway::start(backend("v1"), backend("v2"));
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
    ] {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer}");
    }
}

#[test]
fn files_without_a_gateway_start_nothing() {
    let files = tempfile::tempdir().unwrap();
    std::fs::copy(repository("samples/local/endpoints.yaml"), files.path().join("endpoints.yaml")).unwrap();
    let output = Gateway::command(files.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    assert!(stderr(&output).contains("--labels"), "{}", stderr(&output));
}

#[test]
fn a_port_that_is_taken_is_said() {
    let files = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let gateway = std::fs::read_to_string(repository("samples/local/gateway.yaml")).unwrap().replace("8080", &port);
    std::fs::write(files.path().join("gateway.yaml"), gateway).unwrap();
    let output = Gateway::command(files.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", stderr(&output));
}
