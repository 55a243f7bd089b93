//! Netlink: requests to the kernel as bytes, and sending them.
//!
//! Encoding allocates; sending does not, so that a batch made before a fork can be sent between fork and exec. A batch is sent
//! whole, and has succeeded when the kernel has acknowledged every request in it.
//!
//! The layouts are those of `linux/netlink.h`; headers are in the machine's byte order.

use std::os::fd::AsRawFd;

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt,
            socket, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

use super::SetupError;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLMSG_ERROR`: an acknowledgement, or an error.
const TYPE_ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x01;
/// `NLM_F_ACK`.
const ACK: u16 = 0x04;
/// `NLM_F_CREATE`, for requests that make something.
pub(super) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`, for lists.
pub(super) const APPEND: u16 = 0x800;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// Longest answer that is read at once; an acknowledgement repeats its request, and ours are shorter than 1 KiB.
const ANSWER: usize = 8192;
/// How long the kernel may take for one answer, in seconds. It answers while it is being asked.
const PATIENCE: i64 = 2;

/// Requests to one part of the kernel, in order.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    protocol: SockProtocol,
    bytes: Vec<u8>,
    /// What each message does, for errors; its index is the message's sequence number. `None` is not acknowledged.
    steps: Vec<Option<&'static str>>,
}

impl Batch {
    pub(super) fn new(protocol: SockProtocol) -> Self {
        Self { protocol, bytes: Vec::new(), steps: Vec::new() }
    }

    /// Appends a request that the kernel acknowledges. `step` completes the sentence "cannot …".
    pub(super) fn request(
        &mut self,
        step: &'static str,
        message_type: u16,
        flags: u16,
        fill: impl FnOnce(&mut Payload<'_>),
    ) {
        self.message(Some(step), message_type, flags | REQUEST | ACK, fill);
    }

    /// Appends a message that marks something and is not answered.
    pub(super) fn mark(&mut self, message_type: u16, fill: impl FnOnce(&mut Payload<'_>)) {
        self.message(None, message_type, REQUEST, fill);
    }

    fn message(
        &mut self,
        step: Option<&'static str>,
        message_type: u16,
        flags: u16,
        fill: impl FnOnce(&mut Payload<'_>),
    ) {
        let start = self.bytes.len();
        let sequence = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&message_type.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        fill(&mut Payload(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.steps.push(step);
    }

    /// Sends the batch and waits until every request is acknowledged. Makes system calls and nothing else.
    pub(super) fn send(&self) -> Result<(), SetupError> {
        let opening = |errno| SetupError { step: "open a netlink socket", errno };
        let talking = |errno| SetupError { step: "talk with the kernel over netlink", errno };
        let socket =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, self.protocol).map_err(opening)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(PATIENCE, 0)).map_err(opening)?;
        let kernel = NetlinkAddr::new(0, 0);
        bind(socket.as_raw_fd(), &kernel).map_err(opening)?;
        let sent = sendto(socket.as_raw_fd(), &self.bytes, &kernel, MsgFlags::empty()).map_err(talking)?;
        if sent != self.bytes.len() {
            return Err(talking(Errno::EMSGSIZE));
        }
        let mut awaited = self.steps.iter().filter(|step| step.is_some()).count();
        let mut buffer = [0u8; ANSWER];
        while awaited > 0 {
            let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received.map_err(talking)?,
            };
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((answer, next)) = Answer::read(rest) {
                rest = next;
                // A batch that fails as a whole is answered for the message that marks its beginning, which has no step.
                let step =
                    usize::try_from(answer.sequence).ok().and_then(|index| self.steps.get(index).copied().flatten());
                match (answer.errno, step) {
                    (0, Some(_)) => awaited = awaited.saturating_sub(1),
                    (0, None) => {}
                    (errno, step) => {
                        let step = step.unwrap_or("have the kernel take the rules");
                        return Err(SetupError { step, errno: Errno::from_raw(errno) });
                    }
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One acknowledgement; `errno` 0 is success.
struct Answer {
    sequence: u32,
    errno: i32,
}

impl Answer {
    /// The next answer in `bytes` and what follows it; messages of other types are passed over.
    fn read(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        loop {
            let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
            let message = bytes.get(..length).filter(|_| length >= HEADER)?;
            let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            let message_type = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
            if message_type == TYPE_ERROR {
                let sequence = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
                let code = i32::from_ne_bytes(*message.get(HEADER..)?.first_chunk()?);
                return Some((Self { sequence, errno: code.saturating_neg() }, next));
            }
            bytes = next;
        }
    }
}

/// The inside of a message or of a nested attribute.
pub(super) struct Payload<'a>(&'a mut Vec<u8>);

impl Payload<'_> {
    /// Appends a fixed header's bytes.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends attribute `kind` with `value`, padded to four bytes.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.framed(kind, |inside| inside.raw(value));
    }

    /// Appends a name, which ends in a NUL.
    pub(super) fn name(&mut self, kind: u16, value: &str) {
        self.framed(kind, |inside| {
            inside.raw(value.as_bytes());
            inside.raw(&[0]);
        });
    }

    /// Appends a number in network byte order, as netfilter has them.
    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Appends attribute `kind` that holds attributes.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Payload<'_>)) {
        self.framed(kind | NESTED, fill);
    }

    fn framed(&mut self, kind: u16, fill: impl FnOnce(&mut Payload<'_>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(&mut Payload(self.0));
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = self.0.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.0.resize(start + (self.0.len() - start).next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as the kernel writes it.
    fn answer(message_type: u16, sequence: u32, code: i32) -> Vec<u8> {
        let mut bytes = 20u32.to_ne_bytes().to_vec();
        bytes.extend(message_type.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(code.to_ne_bytes());
        bytes
    }

    #[test]
    fn messages_and_attributes_are_framed_and_padded() {
        let mut batch = Batch::new(SockProtocol::NetlinkRoute);
        batch.request("try", 0x1234, CREATE, |payload| {
            payload.raw(&[1, 2, 3, 4]);
            payload.name(5, "lo");
            payload.nested(6, |inside| inside.number(7, 0x0102_0304));
        });
        let mut expected = Vec::new();
        expected.extend(40u32.to_ne_bytes());
        expected.extend(0x1234u16.to_ne_bytes());
        expected.extend((CREATE | REQUEST | ACK).to_ne_bytes());
        expected.extend(0u32.to_ne_bytes());
        expected.extend([0; 4]);
        expected.extend([1, 2, 3, 4]);
        expected.extend(7u16.to_ne_bytes());
        expected.extend(5u16.to_ne_bytes());
        expected.extend(*b"lo\0\0");
        expected.extend(12u16.to_ne_bytes());
        expected.extend((6u16 | NESTED).to_ne_bytes());
        expected.extend(8u16.to_ne_bytes());
        expected.extend(7u16.to_ne_bytes());
        expected.extend([1, 2, 3, 4]);
        assert_eq!(batch.bytes(), expected);
    }

    #[test]
    fn answers_are_found_among_others_and_broken_ones_are_not_followed() {
        let mut bytes = answer(3, 0, 0);
        bytes.extend(answer(TYPE_ERROR, 4, -13));
        bytes.extend(answer(TYPE_ERROR, 5, 0));
        let (first, rest) = Answer::read(&bytes).unwrap();
        assert_eq!((first.sequence, first.errno), (4, 13));
        let (second, rest) = Answer::read(rest).unwrap();
        assert_eq!((second.sequence, second.errno), (5, 0));
        assert!(Answer::read(rest).is_none());

        let mut endless = answer(TYPE_ERROR, 1, 0);
        endless[..4].copy_from_slice(&0u32.to_ne_bytes());
        assert!(Answer::read(&endless).is_none());
        let mut too_long = answer(TYPE_ERROR, 1, 0);
        too_long[..4].copy_from_slice(&21u32.to_ne_bytes());
        assert!(Answer::read(&too_long).is_none());
    }
}
