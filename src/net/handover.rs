//! Passing a listener out of a namespace.
//!
//! A socket belongs to the namespace that it was made in, whoever holds it. A pod's process makes the listener inside and sends
//! it to the runtime over a Unix socket, whose end it was started with; the runtime accepts the pod's connections from outside.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::TcpListener,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};
use socket2::{Socket, Type};

use super::sys;

/// The byte that a listener travels with: a message without data carries no descriptors.
const GREETING: u8 = b'L';

/// Most descriptors that one message can carry (`SCM_MAX_FD`). With room for all of them none is cut off, and each is closed.
const MOST_DESCRIPTORS: usize = 253;

/// Why a listener did not come across.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The other side has gone, or sent nothing.
    #[error("the pod's process ended before it handed its listener over")]
    Gone,
    /// The other side is too slow.
    #[error("the pod's process did not hand its listener over within {0:?}")]
    TimedOut(Duration),
    /// Something else arrived.
    #[error("the pod's process handed over {0}, expected one listening TCP socket")]
    Unexpected(&'static str),
    /// The system refused.
    #[error("the pod's listener cannot be passed: {0}")]
    System(#[source] io::Error),
}

/// Sends `listener` to whoever holds the other end of `socket`. The caller keeps its own copy, and may drop it.
///
/// # Errors
/// [`HandoverError::System`] where the other end is closed.
pub fn send_listener(socket: &UnixStream, listener: &TcpListener) -> Result<(), HandoverError> {
    let descriptors = [listener.as_raw_fd()];
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&[GREETING])],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    sent.map(|_| ()).map_err(|errno| HandoverError::System(errno.into()))
}

/// Waits up to `patience` for the listener that the other end of `socket` sends. It comes non-blocking and close-on-exec.
///
/// # Errors
/// [`HandoverError`]; whatever else was sent is closed.
pub fn receive_listener(socket: &UnixStream, patience: Duration) -> Result<TcpListener, HandoverError> {
    socket.set_read_timeout(Some(patience)).map_err(HandoverError::System)?;
    let mut greeting = [0u8; 1];
    let mut buffers = [IoSliceMut::new(&mut greeting)];
    let mut space = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
        .map_err(|errno| match errno {
            Errno::EAGAIN => HandoverError::TimedOut(patience),
            Errno::ECONNRESET => HandoverError::Gone,
            other => HandoverError::System(other.into()),
        })?;
    let mut descriptors = Vec::new();
    for message in received.cmsgs().map_err(|_| HandoverError::Unexpected("too many descriptors"))? {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            descriptors.extend(numbers.into_iter().map(sys::own_received));
        }
    }
    if received.bytes == 0 {
        return Err(HandoverError::Gone);
    }
    let (Some(descriptor), true) = (descriptors.pop(), descriptors.is_empty()) else {
        return Err(HandoverError::Unexpected("not exactly one descriptor"));
    };
    let socket = Socket::from(descriptor);
    let is_listening_tcp = socket.r#type().is_ok_and(|kind| kind == Type::STREAM)
        && socket.is_listener().unwrap_or(false)
        && socket.local_addr().is_ok_and(|address| address.as_socket().is_some());
    if !is_listening_tcp {
        return Err(HandoverError::Unexpected("a descriptor of another kind"));
    }
    socket.set_nonblocking(true).map_err(HandoverError::System)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpStream, UdpSocket};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn send(socket: &UnixStream, descriptors: &[RawFd]) {
        sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&[GREETING])],
            &[ControlMessage::ScmRights(descriptors)],
            MsgFlags::empty(),
            None,
        )
        .unwrap();
    }

    #[test]
    fn a_listener_goes_on_listening_in_other_hands() {
        let (inside, outside) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        send_listener(&inside, &listener).unwrap();
        drop(listener);
        let received = receive_listener(&outside, PATIENCE).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        received.set_nonblocking(false).unwrap();
        assert!(received.accept().is_ok());
    }

    #[test]
    fn anything_but_one_listener_is_refused_by_name() {
        let (inside, outside) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        for descriptors in [
            vec![],
            vec![udp.as_raw_fd()],
            vec![stream.as_raw_fd()],
            vec![inside.as_raw_fd()],
            vec![listener.as_raw_fd(), listener.as_raw_fd()],
        ] {
            send(&inside, &descriptors);
            let error = receive_listener(&outside, PATIENCE).unwrap_err().to_string();
            assert!(error.contains("expected one listening TCP socket"), "{descriptors:?}: {error}");
        }
        drop(inside);
        assert!(matches!(receive_listener(&outside, PATIENCE), Err(HandoverError::Gone)));
    }

    #[test]
    fn waiting_has_an_end() {
        let (_inside, outside) = UnixStream::pair().unwrap();
        let error = receive_listener(&outside, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, HandoverError::TimedOut(_)), "{error}");
    }
}
