//! PROXY protocol, versions 1 and 2: what stands in front of a connection and says between whom it really is.
//!
//! It is HAProxy's (`proxy-protocol.txt`). A gateway reads it where its topology says that a load balancer writes it, and then
//! demands it: a connection without it is closed, because whoever reaches the port around the load balancer would be believed
//! otherwise. A cluster's connections begin with it where a DestinationRule says so.
//!
//! [`parse`] guarantees that it reads nothing beyond [`limits::MAX_PROXY_HEADER`] bytes and answers as soon as the bytes cannot
//! become a header any more. It refuses what the specification calls invalid, datagrams on a stream, and numbers with two
//! spellings. What follows the addresses of version 2 (TLVs) is skipped.

mod receive;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::ProxyProtocol;
use crate::proxy::limits;

pub(in crate::proxy) use receive::receive;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// Bytes of the longest line of version 1, its end included.
const MAX_LINE: usize = 107;

/// Bytes of version 2 before its addresses.
const FIXED: usize = 16;

/// Between whom a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes.
    pub length: usize,
    /// What it says; `None`: the connection is its sender's own, or of a kind that has no such addresses.
    pub ends: Option<Ends>,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They begin like neither version.
    #[error("the connection does not begin with a PROXY protocol header")]
    NoHeader,
    /// The line of version 1 does not end where it has to, or is none.
    #[error("the PROXY protocol line is malformed")]
    Line,
    /// The version is not 2, or the command unknown.
    #[error("the PROXY protocol header has version and command {0:#04x}")]
    Command(u8),
    /// The addresses are of a kind that a stream does not have, or too short for their kind.
    #[error("the PROXY protocol header has {1} bytes of addresses of kind {0:#04x}")]
    Addresses(u8, u16),
    /// It is longer than we read.
    #[error("the PROXY protocol header has {0} bytes, and {max} is the most", max = limits::MAX_PROXY_HEADER)]
    TooLong(usize),
    /// It was not there in time.
    #[error("the PROXY protocol header did not come in time")]
    Late,
}

/// The header at the front of `bytes`; `None` while it is not complete and may still become one.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, wanted)| byte == wanted);
    if begins(&SIGNATURE) {
        if bytes.len() < FIXED { Ok(None) } else { parse_binary(bytes) }
    } else if begins(WORD) {
        parse_line(bytes)
    } else {
        Err(Malformed::NoHeader)
    }
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let seen = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
        return if seen.len() < MAX_LINE { Ok(None) } else { Err(Malformed::Line) };
    };
    let line = seen.get(WORD.len()..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Line)?;
    let mut parts = line.split(' ');
    let header = |ends| Ok(Some(Header { length: end + 1, ends }));
    let kind = parts.next().unwrap_or_default();
    if kind == "UNKNOWN" {
        // What follows is to be ignored.
        return header(None);
    }
    let [Some(source), Some(destination), Some(from), Some(to), None] =
        [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()]
    else {
        return Err(Malformed::Line);
    };
    let address = |text: &str| -> Result<IpAddr, Malformed> {
        match kind {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| Malformed::Line),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| Malformed::Line),
            _ => Err(Malformed::Line),
        }
    };
    header(Some(ends((address(source)?, port(from)?), (address(destination)?, port(to)?))))
}

/// A port in the one way of writing it: no sign, no zero in front.
fn port(text: &str) -> Result<u16, Malformed> {
    let has_one_spelling = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| has_one_spelling).ok_or(Malformed::Line)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some([command, kind, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    let (command, kind, announced) = (*command, *kind, u16::from_be_bytes([*high, *low]));
    let is_own = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed::Command(command)),
    };
    let length = FIXED + usize::from(announced);
    if length > limits::MAX_PROXY_HEADER {
        return Err(Malformed::TooLong(length));
    }
    // Bytes of the addresses: of TCP over IPv4, over IPv6, of Unix sockets.
    let needed = match kind {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ if is_own => 0,
        _ => return Err(Malformed::Addresses(kind, announced)),
    };
    if !is_own && usize::from(announced) < needed {
        return Err(Malformed::Addresses(kind, announced));
    }
    let Some(addresses) = bytes.get(FIXED..length) else { return Ok(None) };
    let found = if is_own { None } else { binary_ends(kind, addresses) };
    Ok(Some(Header { length, ends: found }))
}

fn binary_ends(kind: u8, bytes: &[u8]) -> Option<Ends> {
    fn split<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N], u16, u16)> {
        let (source, rest) = bytes.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (from, rest) = rest.split_first_chunk::<2>()?;
        let to = rest.first_chunk::<2>()?;
        Some((*source, *destination, u16::from_be_bytes(*from), u16::from_be_bytes(*to)))
    }
    match kind {
        0x11 => split::<4>(bytes).map(|(source, destination, from, to)| {
            ends((Ipv4Addr::from(source).into(), from), (Ipv4Addr::from(destination).into(), to))
        }),
        0x21 => split::<16>(bytes).map(|(source, destination, from, to)| {
            ends((Ipv6Addr::from(source).into(), from), (Ipv6Addr::from(destination).into(), to))
        }),
        _ => None,
    }
}

/// An IPv4 address has one spelling for rules: as itself, not as IPv6.
fn ends(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Ends {
    let address = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
    Ends { source: address(source), destination: address(destination) }
}

/// What has to hold of any bytes: that more of them never change an answer, and that what was read is written so that it is read
/// again. For `fuzz/` and tests.
///
/// # Panics
/// Where it does not hold.
pub fn is_read_alike_in_pieces(bytes: &[u8]) {
    let whole = parse(bytes);
    for end in 0..bytes.len().min(limits::MAX_PROXY_HEADER + 1) {
        let part = parse(bytes.get(..end).unwrap_or_default());
        assert!(part == Ok(None) || part == whole, "the first {end} bytes: {part:?}, and all: {whole:?}");
    }
    let Ok(Some(Header { ends: Some(ends), .. })) = whole else { return };
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let mut written = Vec::new();
        write(version, Some(&ends), &mut written);
        assert_eq!(parse(&written), Ok(Some(Header { length: written.len(), ends: Some(ends) })));
    }
}

/// Appends a header to `output`; without `ends`, one that says that the connection is our own.
pub fn write(version: ProxyProtocol, ends: Option<&Ends>, output: &mut Vec<u8>) {
    let ends = ends.map(same_family);
    match version {
        ProxyProtocol::V1 => write_line(ends, output),
        ProxyProtocol::V2 => write_binary(ends, output),
    }
}

/// Both addresses have to be of one kind: where one is IPv6, the other is written as IPv6 as well.
fn same_family(ends: &Ends) -> Ends {
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (source, destination) = (canonical(ends.source), canonical(ends.destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return Ends { source, destination };
    }
    let wide = |end: SocketAddr| match end.ip() {
        IpAddr::V4(address) => SocketAddr::new(address.to_ipv6_mapped().into(), end.port()),
        IpAddr::V6(_) => end,
    };
    Ends { source: wide(source), destination: wide(destination) }
}

fn write_line(ends: Option<Ends>, output: &mut Vec<u8>) {
    let line = match ends {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some(Ends { source, destination }) => {
            let kind = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.port(), destination.port());
            format!("PROXY {kind} {} {} {from} {to}\r\n", source.ip(), destination.ip())
        }
    };
    output.extend_from_slice(line.as_bytes());
}

fn write_binary(ends: Option<Ends>, output: &mut Vec<u8>) {
    output.extend_from_slice(&SIGNATURE);
    let Some(Ends { source, destination }) = ends else {
        output.extend_from_slice(&[0x20, 0x00, 0, 0]);
        return;
    };
    let (kind, length) = if source.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    output.extend_from_slice(&[0x21, kind, 0, length]);
    for end in [source, destination] {
        match end.ip() {
            IpAddr::V4(address) => output.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => output.extend_from_slice(&address.octets()),
        }
    }
    for end in [source, destination] {
        output.extend_from_slice(&end.port().to_be_bytes());
    }
}
