//! The rules of a cluster's pod, in a namespace of one's own: who is led where. The child is this test binary, told to run
//! [`inside_a_pod`]. That what comes in from outside is captured needs an outside, and is shown on a real cluster.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    time::Duration,
};

use nix::errno::Errno;

use super::capture_tests::this_binary;
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 7);

fn redirect(proxy_id: u32) -> Redirect {
    Redirect {
        proxy_id,
        outbound_port: 15001,
        inbound_port: 15006,
        inbound: Extent::All,
        exclude_inbound: vec![15020, 15021, 15090],
        outbound: Extent::All,
        exclude_outbound: vec!["192.168.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()],
        outbound_ports: vec![9999],
        exclude_outbound_ports: vec![9998],
    }
}

#[test]
fn the_proxy_and_the_application_are_told_from_each_other() {
    if let Err(unsupported) = namespaces_supported() {
        println!("skipped: {unsupported}");
        return;
    }
    let mut command = this_binary("net::redirect_tests::inside_a_pod");
    command.stdin(Stdio::null());
    isolate(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Who accepts a connection from `stream`: it says its own port.
fn speaker(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let original = original_destination(&stream).unwrap();
            let _ = write!(stream, "{port} {original:?}");
        }
    });
}

fn says(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
#[ignore = "runs in the child process of the_proxy_and_the_application_are_told_from_each_other"]
fn inside_a_pod() {
    let refused = redirect(1337).set_up(IpAddr::V4(POD)).unwrap_err();
    assert_eq!(refused.errno, Errno::EADDRNOTAVAIL, "this is nobody's pod yet");
    route::everything_to_loopback(POD).send().unwrap();
    for port in [8080, 15001, 15006] {
        speaker(port);
    }
    let at = |ip: Ipv4Addr| SocketAddr::new(ip.into(), 8080);
    let call = |ip| says(TcpStream::connect_timeout(&at(ip), PATIENCE).unwrap());

    // This process is the application: it calls itself directly.
    redirect(1337).set_up(IpAddr::V4(POD)).unwrap();
    assert_eq!(call(POD), "8080 None");
    assert_eq!(call(Ipv4Addr::LOCALHOST), "8080 None");

    // Now it is the proxy (inside, this process is user 0): what it sends to its own pod comes in like anybody's.
    redirect(0).set_up(IpAddr::V4(POD)).unwrap();
    assert_eq!(call(POD), format!("15006 {:?}", Some(at(POD))));
    assert_eq!(call(Ipv4Addr::LOCALHOST), "8080 None");
    // … but for what comes from the address that is meant for the application.
    let socket = socket2::Socket::from(socket_from(APPLICATION_SOURCE.into()).unwrap());
    socket.set_nonblocking(false).unwrap();
    socket.connect(&at(POD).into()).unwrap();
    let stream = TcpStream::from(socket);
    assert_eq!(stream.local_addr().unwrap().ip(), IpAddr::V4(APPLICATION_SOURCE));
    assert_eq!(says(stream), "8080 None");

    // Rules are replaced, not added to.
    redirect(1337).set_up(IpAddr::V4(POD)).unwrap();
    assert_eq!(call(POD), "8080 None");
}
