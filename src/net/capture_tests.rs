//! A raw TCP connection captured in a namespace, by whoever runs the tests and by an ordinary user. The child is this test
//! binary, told to run [`inside`].

use std::{
    env, fs,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    num::NonZeroU16,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, Stdio},
    time::Duration,
};

use nix::errno::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 7);
const SERVICE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 9080);
const MARK: u32 = 0x539;
/// `nobody`, on every distribution.
const ORDINARY: u32 = 65534;

pub(super) fn this_binary(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn listen_anywhere(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
}

#[test]
fn raw_tcp_is_captured_with_its_destination() {
    if let Err(unsupported) = namespaces_supported() {
        println!("skipped: {unsupported}");
        return;
    }
    let (within, without) = UnixStream::pair().unwrap();
    let mut command = this_binary("net::capture_tests::inside");
    command.stdin(OwnedFd::from(within));
    isolate(&mut command);
    let child = command.spawn().unwrap();
    // The child's end of the pair would otherwise stay open here.
    drop(command);

    let serve = || -> Result<(), Box<dyn std::error::Error>> {
        let listener = receive_listener(&without, PATIENCE)?;
        listener.set_nonblocking(false)?;
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE))?;
        let (mut stream, peer) = listener.accept()?;
        assert_eq!(peer.ip(), POD);
        assert_eq!(original_destination(&stream)?, Some(SERVICE));
        let mut bytes = [0; 5];
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut bytes)?;
        stream.write_all(&bytes)?;

        // The child ends its input, then tries what must not come here.
        assert_eq!(stream.read(&mut bytes)?, 0);
        let mut end = Vec::new();
        (&without).read_to_end(&mut end)?;
        listener.set_nonblocking(true)?;
        let error = listener.accept().err().ok_or("a second connection was captured")?;
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        Ok(())
    };
    let served = serve().map_err(|error| error.to_string());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{served:?}\n{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert_eq!(served, Ok(()));
}

#[test]
fn an_ordinary_user_can_capture_as_well() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: the other test has shown it already, as an ordinary user");
        return;
    }
    let mut command = this_binary("net::capture_tests::raw_tcp_is_captured_with_its_destination");
    command.uid(ORDINARY).gid(ORDINARY).current_dir("/").stdin(Stdio::null());
    let output = match command.output() {
        // The binary lies where that user may not go, or this user namespace does not know the user.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => {
            println!("skipped: another user can't run this binary: {error}");
            return;
        }
        result => result.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    print!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
#[ignore = "runs in the child process of raw_tcp_is_captured_with_its_destination"]
fn inside() {
    let port = NonZeroU16::new(15001).unwrap();
    let capture = Capture { pod: POD, port, exempt_mark: Some(MARK) };
    let parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    let listener = capture.set_up().unwrap();
    send_listener(&parent, &listener).unwrap();
    drop(listener);

    let mut stream = TcpStream::connect_timeout(&SERVICE, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(stream.peer_addr().unwrap(), SERVICE, "the client does not notice");
    drop(stream);

    // A pod talks to itself directly.
    let own = listen_anywhere(8080);
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 3, 2, 1), POD] {
        let client = TcpStream::connect_timeout(&SocketAddr::new(address.into(), 8080), PATIENCE).unwrap();
        let (_, peer) = own.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }

    // A marked socket is left alone, and finds nobody.
    let marked = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    marked.set_mark(MARK).unwrap();
    let error = marked.connect_timeout(&SERVICE.into(), Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ConnectionRefused), "{error}");

    // IPv6 leads nowhere, at once.
    let error = TcpStream::connect_timeout(&"[2001:db8::1]:80".parse().unwrap(), PATIENCE).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::TimedOut, "{error}");

    // A namespace in use is not set up a second time.
    assert_eq!(capture.set_up().unwrap_err().errno, Errno::EBUSY);

    // Where namespaces are switched off, the switch is named.
    fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
    let unsupported = namespaces_supported().unwrap_err().to_string();
    assert!(unsupported.contains("user.max_user_namespaces"), "{unsupported}");
}
