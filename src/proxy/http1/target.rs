//! Request targets: one host, one port, one path, normalised once.
//!
//! Paths are normalised as Istio's `BASE` does it: dot segments are resolved, percent-encoded unreserved characters are decoded,
//! backslashes become slashes; `%2F` and repeated slashes stay (RFC 3986 section 6.2.2, and Envoy's treatment of `\`). Hosts are
//! compared in lower case, without port and trailing dot.

use std::net::{IpAddr, Ipv6Addr};

use crate::proxy::limits;

use super::head::Head;
use super::name::Name;
use super::refusal::Refusal;

/// Where a request goes. The texts are reused from request to request.
#[derive(Debug, Default)]
pub struct Target {
    /// Host for matching: lower case, no port, no trailing dot, no brackets.
    pub host: String,
    /// Port that the authority names.
    pub port: Option<u16>,
    /// Authority as the client wrote it, for the upstream's Host and the log.
    pub authority: Vec<u8>,
    /// Whether the target named the authority, which then replaces what Host says (RFC 9112 section 3.2.2).
    pub absolute: bool,
    /// Normalised path, and the query as it came.
    pub path_and_query: Vec<u8>,
    /// Bytes of the path in it.
    path_length: usize,
}

impl Target {
    /// Normalised path without query.
    pub fn path(&self) -> &[u8] {
        self.path_and_query.get(..self.path_length).unwrap_or_default()
    }

    /// The query with its `?`; nothing where there is none.
    pub fn query(&self) -> &[u8] {
        self.path_and_query.get(self.path_length..).unwrap_or_default()
    }

    /// Replaces the path; the query stays.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path_and_query.splice(..self.path_length, path.iter().copied());
        self.path_length = path.len();
    }

    /// Bytes that its texts have room for.
    pub fn capacity(&self) -> usize {
        self.host.capacity() + self.authority.capacity() + self.path_and_query.capacity()
    }

    fn clear(&mut self) {
        self.host.clear();
        self.port = None;
        self.authority.clear();
        self.absolute = false;
        self.path_and_query.clear();
        self.path_length = 0;
    }
}

/// Reads where a request goes. `bytes` is its head.
pub fn read_target(head: &Head, bytes: &[u8], target: &mut Target) -> Result<(), Refusal> {
    target.clear();
    let raw = head.target.of(bytes);
    if raw.contains(&b'#') {
        return Err(Refusal::Fragment);
    }
    if !raw.iter().all(u8::is_ascii_graphic) {
        return Err(Refusal::Target);
    }
    let mut hosts = head.fields.iter().filter(|field| field.known == Name::Host);
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Refusal::SeveralHosts),
        (Some(field), None) => Some(field.value.of(bytes)),
        (None, _) if head.http10 => None,
        (None, _) => return Err(Refusal::NoHost),
    };
    let path = match raw {
        [b'/', ..] => raw,
        b"*" if head.method.of(bytes) == b"OPTIONS" => raw,
        _ => {
            let (authority, path) = absolute_form(raw)?;
            target.absolute = true;
            target.authority.extend_from_slice(authority);
            path
        }
    };
    match host {
        // What Host says is replaced, but a malformed one is still a request with two readings.
        Some(host) if target.absolute => check_host(host)?,
        Some(host) => target.authority.extend_from_slice(host),
        None => {}
    }
    let authority = std::mem::take(&mut target.authority);
    let read = read_authority(&authority, target);
    target.authority = authority;
    read?;
    write_path(path, target)
}

fn absolute_form(raw: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    const SCHEME: &[u8] = b"http://";
    match raw.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {}
        _ if raw.windows(3).any(|window| window == b"://") => return Err(Refusal::Scheme),
        _ => return Err(Refusal::Target),
    }
    let rest = raw.get(SCHEME.len()..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'\\')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(Refusal::Target)?;
    if authority.is_empty() {
        return Err(Refusal::Host);
    }
    Ok((authority, path))
}

fn check_host(host: &[u8]) -> Result<(), Refusal> {
    read_authority(host, &mut Target::default())
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn read_authority(authority: &[u8], target: &mut Target) -> Result<(), Refusal> {
    if authority.is_empty() {
        // HTTP/1.0 without Host; in HTTP/1.1 an empty Host names no one (RFC 9112 section 3.2 allows it only for targets
        // without authority, which this proxy does not serve).
        return if target.absolute { Err(Refusal::Host) } else { Ok(()) };
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix(b"[") {
        let end = rest.iter().position(|byte| *byte == b']').ok_or(Refusal::Host)?;
        let (address, after) = rest.split_at_checked(end).ok_or(Refusal::Host)?;
        let text = std::str::from_utf8(address).map_err(|_| Refusal::Host)?;
        // Scoped addresses (`%eth0`) do not parse: a zone means something on this machine only.
        let address: Ipv6Addr = text.parse().map_err(|_| Refusal::Host)?;
        target.host.push_str(&address.to_string());
        (None, after.get(1..).unwrap_or_default())
    } else {
        let end = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
        let (host, port) = authority.split_at_checked(end).ok_or(Refusal::Host)?;
        (Some(host), port)
    };
    target.port = match port {
        [] => None,
        [b':', digits @ ..] if digits.len() <= 5 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0, |number: u32, digit| number * 10 + u32::from(digit - b'0'));
            Some(u16::try_from(number).ok().filter(|port| *port != 0).ok_or(Refusal::Host)?)
        }
        _ => return Err(Refusal::Host),
    };
    if let Some(host) = host {
        read_host(host, target)?;
    }
    Ok(())
}

fn read_host(host: &[u8], target: &mut Target) -> Result<(), Refusal> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let labels_filled = host.split(|byte| *byte == b'.').all(|label| !label.is_empty());
    if host.is_empty() || host.len() > limits::MAX_HOST || !host.iter().all(plain) || !labels_filled {
        return Err(Refusal::Host);
    }
    target.host.extend(host.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    // `0x7f.1` and `127.1` are addresses to some resolvers and names to others.
    let last = target.host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && target.host.parse::<IpAddr>().is_err() {
        return Err(Refusal::Host);
    }
    Ok(())
}

fn write_path(raw: &[u8], target: &mut Target) -> Result<(), Refusal> {
    let end = raw.iter().position(|byte| *byte == b'?').unwrap_or(raw.len());
    let (path, query) = raw.split_at_checked(end).ok_or(Refusal::Target)?;
    let written = &mut target.path_and_query;
    if path.is_empty() {
        written.push(b'/');
    } else if path == b"*" || !needs_normalisation(path) {
        written.extend_from_slice(path);
    } else {
        normalise(path, written)?;
    }
    target.path_length = written.len();
    written.extend_from_slice(query);
    Ok(())
}

fn needs_normalisation(path: &[u8]) -> bool {
    let mut before = 0;
    for byte in path {
        match byte {
            b'%' | b'\\' => return true,
            b'.' if before == b'/' => return true,
            _ => before = *byte,
        }
    }
    false
}

fn normalise(path: &[u8], written: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'\\' => decoded.push(b'/'),
            b'%' => match escape(behind) {
                Some(0) => return Err(Refusal::Target),
                Some(value) if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') => {
                    // `%%32e`: decoding would make an escape of a percent sign that was none, for somebody else to decode.
                    if value.is_ascii_hexdigit() && ends_in_percent(&decoded) {
                        return Err(Refusal::Target);
                    }
                    decoded.push(value);
                    rest = behind.get(2..).unwrap_or_default();
                }
                _ => decoded.push(b'%'),
            },
            other => decoded.push(*other),
        }
    }
    let base = written.len();
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." if last => written.push(b'/'),
            b"." => {}
            b".." => {
                let cut = written.get(base..).and_then(|so_far| so_far.iter().rposition(|byte| *byte == b'/'));
                written.truncate(base + cut.unwrap_or(0));
                if last {
                    written.push(b'/');
                }
            }
            other => {
                written.push(b'/');
                written.extend_from_slice(other);
            }
        }
    }
    if written.len() == base {
        written.push(b'/');
    }
    Ok(())
}

/// Whether a percent sign, or one and a digit, wait for what would make them an escape.
fn ends_in_percent(decoded: &[u8]) -> bool {
    match decoded {
        [.., b'%'] => true,
        [.., b'%', digit] => digit.is_ascii_hexdigit(),
        _ => false,
    }
}

/// The value of the two hexadecimal digits at the front.
fn escape(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
