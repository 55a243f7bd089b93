//! Heads of requests and responses as tables of offsets.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use crate::model::HeaderLookup;
use crate::proxy::limits;

use super::body::Framing;
use super::name::Name;
use super::refusal::Refusal;

/// A stretch of the bytes of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes that it stands for.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    fn locate(base: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(base.as_ptr() as usize);
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }
}

/// One header line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// What it is.
    pub known: Name,
    /// Whether it is passed on.
    pub kept: bool,
    /// Its name as it came.
    pub name: Span,
    /// Its value, without surrounding whitespace.
    pub value: Span,
    /// Offset behind its line's end.
    pub line_end: u32,
}

/// A parsed head. Offsets count from the head's first byte; they hold as long as those bytes stay where they are.
#[derive(Debug, Default)]
pub struct Head {
    /// Method of a request.
    pub method: Span,
    /// Target of a request, as it came.
    pub target: Span,
    /// Status of a response.
    pub status: u16,
    /// Reason phrase of a response.
    pub reason: Span,
    /// Whether the version is HTTP/1.0.
    pub http10: bool,
    /// Header lines, in order.
    pub fields: Vec<Field>,
    /// Bytes of the head, the empty line included.
    pub length: usize,
    /// How the body is framed.
    pub framing: Framing,
    /// `Connection: close`, or HTTP/1.0 without `keep-alive`.
    pub close: bool,
    /// `Connection: upgrade` and `Upgrade: websocket`.
    pub websocket: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
}

/// What a head is looked up in: its table and the bytes that the table is about.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// The table.
    pub head: &'a Head,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl HeaderLookup for Headers<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut joined: Option<Cow<'_, [u8]>> = None;
        for field in &self.head.fields {
            // What is not passed on has no say either: hop-by-hop headers, and internal ones that a client made up.
            if !field.kept || !field.name.of(self.bytes).eq_ignore_ascii_case(name.as_bytes()) {
                continue;
            }
            let value = field.value.of(self.bytes);
            match &mut joined {
                None => joined = Some(Cow::Borrowed(value)),
                Some(joined) => {
                    let joined = joined.to_mut();
                    joined.push(b',');
                    joined.extend_from_slice(value);
                }
            }
        }
        joined
    }
}

/// A request's headers as they are passed on: those that came and are kept, and the lines that the proxy adds. What a gateway
/// makes of `x-forwarded-for` and a sidecar of `x-forwarded-client-cert` is what rules see, and not what the client made up.
#[derive(Debug, Clone, Copy)]
pub struct Edited<'a> {
    /// What came.
    pub headers: Headers<'a>,
    /// Whole lines, names in lower case.
    pub added: &'a [u8],
}

impl HeaderLookup for Edited<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut joined = self.headers.value(name);
        for line in self.added.split(|byte| *byte == b'\n') {
            let Some(value) = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":")) else {
                continue;
            };
            let value = value.trim_ascii();
            match &mut joined {
                None => joined = Some(Cow::Borrowed(value)),
                Some(joined) => {
                    let joined = joined.to_mut();
                    joined.push(b',');
                    joined.extend_from_slice(value);
                }
            }
        }
        joined
    }
}

impl Head {
    /// The value of the first line with this name that is passed on.
    pub fn get<'b>(&self, name: Name, bytes: &'b [u8]) -> Option<&'b [u8]> {
        self.fields.iter().find(|field| field.known == name && field.kept).map(|field| field.value.of(bytes))
    }

    /// The value of the first line with this name, whether it is passed on or not.
    pub fn received<'b>(&self, name: Name, bytes: &'b [u8]) -> Option<&'b [u8]> {
        self.fields.iter().find(|field| field.known == name).map(|field| field.value.of(bytes))
    }

    /// Has the lines with this name not passed on. Whether there were any.
    pub fn remove(&mut self, name: Name) -> bool {
        let mut found = false;
        for field in &mut self.fields {
            if field.known == name && field.kept {
                field.kept = false;
                found = true;
            }
        }
        found
    }

    fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    fn list(&mut self, bytes: &[u8], headers: &[httparse::Header<'_>]) {
        self.fields.extend(headers.iter().map(|header| Field {
            known: Name::of(header.name.as_bytes()),
            kept: true,
            name: Span::locate(bytes, header.name.as_bytes()),
            value: Span::locate(bytes, header.value),
            line_end: 0,
        }));
        // A line ends where the next one begins: there are no folded lines and no bare line ends by now.
        let mut end = (self.length as u32).saturating_sub(2);
        for field in self.fields.iter_mut().rev() {
            field.line_end = end;
            end = field.name.start;
        }
    }

    /// Content-Length and Transfer-Encoding, each of which must have one reading.
    fn lengths(&self, bytes: &[u8]) -> Result<(Option<u64>, bool), Refusal> {
        let mut length = None;
        let mut chunked = false;
        for field in &self.fields {
            match field.known {
                Name::ContentLength if length.is_some() => return Err(Refusal::SeveralContentLengths),
                Name::ContentLength => length = Some(decimal(field.value.of(bytes)).ok_or(Refusal::ContentLength)?),
                Name::TransferEncoding if chunked || self.http10 => return Err(Refusal::TransferEncoding),
                Name::TransferEncoding if field.value.of(bytes).eq_ignore_ascii_case(b"chunked") => chunked = true,
                Name::TransferEncoding => return Err(Refusal::UnknownEncoding),
                _ => {}
            }
        }
        if chunked && length.is_some() {
            return Err(Refusal::LengthAndEncoding);
        }
        Ok((length, chunked))
    }

    /// Reads `Connection` and `Upgrade`, and drops what is not passed on.
    fn connection(&mut self, bytes: &[u8]) {
        let (mut close, mut keep_alive, mut upgrade) = (false, false, false);
        let mut nominated = false;
        for field in self.fields.iter().filter(|field| field.known == Name::Connection) {
            for token in tokens(field.value.of(bytes)) {
                match token {
                    token if token.eq_ignore_ascii_case(b"close") => close = true,
                    token if token.eq_ignore_ascii_case(b"keep-alive") => keep_alive = true,
                    token if token.eq_ignore_ascii_case(b"upgrade") => upgrade = true,
                    _ => nominated = true,
                }
            }
        }
        let websocket =
            |field: &Field| field.known == Name::Upgrade && field.value.of(bytes).eq_ignore_ascii_case(b"websocket");
        self.websocket = upgrade && !self.http10 && self.fields.iter().any(websocket);
        self.close = close || (self.http10 && !keep_alive);
        if nominated {
            self.drop_nominated(bytes);
        }
        for field in &mut self.fields {
            field.kept &= !field.known.is_hop_by_hop();
        }
    }

    fn drop_nominated(&mut self, bytes: &[u8]) {
        for index in 0..self.fields.len() {
            let Some(field) = self.fields.get(index).copied() else { break };
            let named = |connection: &Field| {
                connection.known == Name::Connection
                    && tokens(connection.value.of(bytes)).any(|token| token.eq_ignore_ascii_case(field.name.of(bytes)))
            };
            if field.known.may_be_nominated()
                && self.fields.iter().any(named)
                && let Some(field) = self.fields.get_mut(index)
            {
                field.kept = false;
            }
        }
    }
}

/// Comma-separated tokens of a header's value.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// How far the search for the end of a head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadEnd {
    /// The head is complete; so many bytes.
    At(usize),
    /// More bytes are needed; so many have been looked at.
    Beyond(usize),
}

/// Looks for the empty line that ends a head, from `scanned` on: each byte is looked at once, however slowly they come.
/// A CR or LF on its own is refused here, before anything is made of it.
pub fn find_head(bytes: &[u8], scanned: usize) -> Result<HeadEnd, Refusal> {
    let mut position = scanned;
    while let Some(found) =
        bytes.get(position..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')))
    {
        position += found;
        match (bytes.get(position), bytes.get(position + 1)) {
            (Some(b'\r'), None) => return within_limit(position),
            (Some(b'\r'), Some(b'\n')) => {}
            _ => return Err(Refusal::BareLineEnd),
        }
        let end = position + 2;
        let line_before = position.checked_sub(2).and_then(|start| bytes.get(start..position));
        if line_before == Some(b"\r\n") {
            return if end <= limits::MAX_HEAD { Ok(HeadEnd::At(end)) } else { Err(Refusal::HeadTooLarge) };
        }
        position = end;
    }
    within_limit(bytes.len())
}

fn within_limit(scanned: usize) -> Result<HeadEnd, Refusal> {
    if scanned >= limits::MAX_HEAD { Err(Refusal::HeadTooLarge) } else { Ok(HeadEnd::Beyond(scanned)) }
}

/// Reads the head of a request, which [`find_head`] has found to be complete.
pub fn parse_request(bytes: &[u8], http10_allowed: bool, head: &mut Head) -> Result<(), Refusal> {
    head.clear();
    head.length = bytes.len();
    let mut room = [const { MaybeUninit::uninit() }; limits::MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, &mut room);
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::FirstLine),
        Err(error) => return Err(refusal_of(error)),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::FirstLine);
    };
    head.method = Span::locate(bytes, method.as_bytes());
    head.target = Span::locate(bytes, target.as_bytes());
    head.http10 = version == 0;
    head.list(bytes, request.headers);
    if head.http10 && !http10_allowed {
        return Err(Refusal::Http10);
    }
    if method == "CONNECT" {
        return Err(Refusal::Connect);
    }
    let (length, chunked) = head.lengths(bytes)?;
    head.framing = match (length, chunked) {
        (_, true) => Framing::Chunked,
        (Some(0) | None, false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
    };
    expectation(head, bytes)?;
    head.connection(bytes);
    if head.websocket && head.framing != Framing::None {
        return Err(Refusal::UpgradeWithBody);
    }
    Ok(())
}

fn expectation(head: &mut Head, bytes: &[u8]) -> Result<(), Refusal> {
    for field in head.fields.iter_mut().filter(|field| field.known == Name::Expect) {
        if !field.value.of(bytes).eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::Expectation);
        }
        // Without a body there is nothing to wait for (RFC 9110 section 10.1.1).
        field.kept = head.framing != Framing::None;
        head.expects_continue = field.kept;
    }
    Ok(())
}

/// Reads the head of a response to `method`, which [`find_head`] has found to be complete.
pub fn parse_response(bytes: &[u8], method: &[u8], head: &mut Head) -> Result<(), Refusal> {
    head.clear();
    head.length = bytes.len();
    let mut room = [const { MaybeUninit::uninit() }; limits::MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut room);
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::FirstLine),
        Err(error) => return Err(refusal_of(error)),
    }
    let (Some(status), Some(version)) = (response.code, response.version) else { return Err(Refusal::FirstLine) };
    if !(100..600).contains(&status) {
        return Err(Refusal::FirstLine);
    }
    head.status = status;
    head.reason = Span::locate(bytes, response.reason.unwrap_or_default().as_bytes());
    if response.reason.is_none_or(str::is_empty) {
        head.reason = Span::default();
    }
    head.http10 = version == 0;
    head.list(bytes, response.headers);
    let (length, chunked) = head.lengths(bytes)?;
    let without_body = method == b"HEAD" || matches!(status, 100..200 | 204 | 304);
    head.framing = match (length, chunked) {
        _ if without_body => Framing::None,
        (_, true) => Framing::Chunked,
        (Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::UntilClose,
    };
    if matches!(status, 100..200 | 204) {
        // Neither may carry them (RFC 9110 section 8.6, RFC 9112 section 6.1); a peer behind us might believe them.
        head.remove(Name::ContentLength);
        head.remove(Name::TransferEncoding);
    }
    head.connection(bytes);
    Ok(())
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::HeaderName => Refusal::HeaderName,
        httparse::Error::HeaderValue => Refusal::HeaderValue,
        httparse::Error::TooManyHeaders => Refusal::TooManyHeaders,
        httparse::Error::Version => Refusal::Version,
        _ => Refusal::FirstLine,
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
