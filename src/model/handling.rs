//! What a rule does with the requests that it takes, beside choosing where they go.
//!
//! Timeout, retries, faults, rewriting, header changes, copies, cross-origin sharing: each as plain data, with the pure functions
//! that say what it means. Chance is an argument here as well: a [`Share`] is asked with a draw.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use regex::bytes::Regex;

use crate::model::matching::{InvalidRegex, StringMatch, compile_part};
use crate::model::service::ClusterName;
use crate::resources::header_text::{Fact, Piece, pieces};
use crate::resources::virtual_service::FIXED_HEADERS;

/// What happens to a rule's requests and responses on the way. The default is what a rule gets that says nothing: no timeout,
/// Istio's retries, nothing changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handling {
    /// How long a request may take, all tries together, from its last byte on. `None`: for as long as it takes (Istio's default).
    pub timeout: Option<Duration>,
    /// When it is tried again.
    pub retry: RetryPolicy,
    /// Faults to inject; `None`: none.
    pub fault: Option<Fault>,
    /// Changes to path and authority.
    pub rewrite: Option<Rewrite>,
    /// Changes to headers.
    pub headers: HeaderEdits,
    /// Where copies go.
    pub mirrors: Vec<Mirror>,
    /// What other origins' pages may do.
    pub cors: Option<Cors>,
}

/// A share of requests, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Every request.
    pub const ALL: Self = Self(1_000_000);

    /// This many of a million; more than all of them is all of them.
    pub fn of_million(count: u32) -> Self {
        Self(count.min(Self::ALL.0))
    }

    /// This many per cent, rounded to a millionth. What is no number is nothing.
    pub fn of_hundred(percent: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; NaN becomes 0")]
        Self((percent.clamp(0.0, 100.0) * 10_000.0).round() as u32)
    }

    /// Of a million, so many.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// Whether a uniformly distributed draw falls into the share.
    pub fn takes(self, draw: u64) -> bool {
        ((u128::from(draw) * u128::from(Self::ALL.0)) >> 64) < u128::from(self.0)
    }
}

/// What makes a request worth another try (Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetryCondition {
    /// The answer is 5xx, or there is none.
    ServerError,
    /// The answer is 502, 503 or 504, or there is none.
    GatewayError,
    /// There is no answer.
    Reset,
    /// There is no answer, and nothing of the request had been sent.
    ResetBeforeRequest,
    /// There was no connection.
    ConnectFailure,
    /// The answer is 409.
    Conflict,
    /// The upstream refused the stream (HTTP/2 REFUSED_STREAM).
    RefusedStream,
    /// The answer is one of the policy's own status codes.
    StatusCodes,
    /// The answer has `x-envoy-ratelimited`.
    RateLimited,
    /// The answer's head has this `grpc-status`.
    Grpc(u8),
}

/// Every condition under its name in `retryOn`. `retriable-headers` and `http3-post-connect-failure` are accepted and never hold:
/// there is no way to name the headers, and no HTTP/3.
pub const RETRY_CONDITIONS: &[(&str, RetryCondition)] = &[
    ("5xx", RetryCondition::ServerError),
    ("gateway-error", RetryCondition::GatewayError),
    ("reset", RetryCondition::Reset),
    ("reset-before-request", RetryCondition::ResetBeforeRequest),
    ("connect-failure", RetryCondition::ConnectFailure),
    ("retriable-4xx", RetryCondition::Conflict),
    ("refused-stream", RetryCondition::RefusedStream),
    ("retriable-status-codes", RetryCondition::StatusCodes),
    ("envoy-ratelimited", RetryCondition::RateLimited),
    ("cancelled", RetryCondition::Grpc(1)),
    ("deadline-exceeded", RetryCondition::Grpc(4)),
    ("resource-exhausted", RetryCondition::Grpc(8)),
    ("internal", RetryCondition::Grpc(13)),
    ("unavailable", RetryCondition::Grpc(14)),
];

/// When a request is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first; 0: none.
    pub attempts: u32,
    /// How long one try may take.
    pub per_try_timeout: Option<Duration>,
    /// After what.
    pub on: Vec<RetryCondition>,
    /// The answers that [`RetryCondition::StatusCodes`] means.
    pub status_codes: Vec<u16>,
    /// Base of the wait before a try: a random time up to this, doubled with every try, ten times at most (Envoy).
    pub backoff: Duration,
    /// Whether endpoints that failed are left out while there are others.
    pub avoids_tried: bool,
}

impl Default for RetryPolicy {
    /// Istio's: two tries more, on what cannot have been taken.
    fn default() -> Self {
        Self {
            attempts: 2,
            per_try_timeout: None,
            on: vec![
                RetryCondition::ConnectFailure,
                RetryCondition::RefusedStream,
                RetryCondition::StatusCodes,
                RetryCondition::Grpc(1),
                RetryCondition::Grpc(14),
            ],
            status_codes: Vec::new(),
            backoff: Duration::from_millis(25),
            avoids_tried: true,
        }
    }
}

/// How a try without an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryFailure {
    /// There was no connection.
    NotConnected,
    /// The upstream said that it did not take the request.
    Refused,
    /// The connection ended; whether anything of the request had been sent.
    Reset {
        /// Something had been sent.
        sent: bool,
    },
    /// It took too long.
    Timeout,
}

impl RetryPolicy {
    /// A policy under which nothing is tried again.
    pub fn never() -> Self {
        Self { attempts: 0, on: Vec::new(), ..Self::default() }
    }

    /// Whether a try that ended without an answer is worth another.
    pub fn retries_failure(&self, failure: TryFailure) -> bool {
        self.on.iter().any(|condition| match condition {
            RetryCondition::ServerError | RetryCondition::GatewayError | RetryCondition::Reset => true,
            RetryCondition::ResetBeforeRequest => failure == TryFailure::Reset { sent: false },
            RetryCondition::ConnectFailure => failure == TryFailure::NotConnected,
            RetryCondition::RefusedStream => failure == TryFailure::Refused,
            _ => false,
        })
    }

    /// Whether an answer is worth another try. `grpc_status` is the one in the answer's head.
    pub fn retries_answer(&self, status: u16, grpc_status: Option<u8>, rate_limited: bool) -> bool {
        self.on.iter().any(|condition| match condition {
            RetryCondition::ServerError => (500..600).contains(&status),
            RetryCondition::GatewayError => (502..=504).contains(&status),
            RetryCondition::Conflict => status == 409,
            RetryCondition::StatusCodes => self.status_codes.contains(&status),
            RetryCondition::RateLimited => rate_limited,
            RetryCondition::Grpc(wanted) => grpc_status == Some(*wanted),
            _ => false,
        })
    }

    /// How long to wait before try number `number` (the first one after the failure is 1).
    pub fn wait(&self, number: u32, draw: u64) -> Duration {
        let most =
            self.backoff.saturating_mul(1 << number.saturating_sub(1).min(8)).min(self.backoff.saturating_mul(10));
        let nanoseconds = (u128::from(draw) * most.as_nanos()) >> 64;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Faults to inject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// How long, and for which share of requests.
    pub delay: Option<(Duration, Share)>,
    /// The answer, and for which share of requests.
    pub abort: Option<(AbortStatus, Share)>,
}

/// The answer that takes a request's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStatus {
    /// This status.
    Http(u16),
    /// This gRPC status, with HTTP status 200 to gRPC clients; the status that Envoy maps it to for others.
    Grpc(u8),
}

/// Changes to path and authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// What replaces the authority.
    pub authority: Option<Box<str>>,
    /// What replaces the path, or a part of it.
    pub path: Option<PathRewrite>,
}

/// A change of the path. The query stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// What was matched is replaced: the prefix, or the whole path; nothing was matched: the leading slash.
    Matched(Box<str>),
    /// Every match of an expression is replaced.
    Regex(Substitution),
}

impl PathRewrite {
    /// The path of a request that was taken because of `matched`; it starts with a slash.
    pub fn apply(&self, path: &[u8], matched: Option<&StringMatch>) -> Vec<u8> {
        let mut written = match self {
            Self::Matched(replacement) => replace_matched(replacement.as_bytes(), path, matched),
            Self::Regex(substitution) => substitution.apply(path),
        };
        if written.first() != Some(&b'/') {
            written.insert(0, b'/');
        }
        written
    }
}

/// Puts whole segments in front of the rest of a path, with one slash between them.
fn replace_segments(replacement: &[u8], rest: &[u8]) -> Vec<u8> {
    let replacement = match replacement {
        [kept @ .., b'/'] if rest.starts_with(b"/") => kept,
        all => all,
    };
    let written = [replacement, rest].concat();
    if written.is_empty() { b"/".to_vec() } else { written }
}

/// Replaces the part of `path` that was matched.
pub(super) fn replace_matched(replacement: &[u8], path: &[u8], matched: Option<&StringMatch>) -> Vec<u8> {
    if let Some(StringMatch::Segments(prefix)) = matched {
        return replace_segments(replacement, path.get(prefix.len()..).unwrap_or_default());
    }
    let rest = match matched {
        Some(StringMatch::Prefix(prefix) | StringMatch::PrefixIgnoringCase(prefix)) => path.get(prefix.len()..),
        Some(StringMatch::Present) | None => path.get(1..),
        Some(_) => None,
    };
    [replacement, rest.unwrap_or_default()].concat()
}

/// A regular expression and what replaces each of its matches.
#[derive(Debug, Clone)]
pub struct Substitution {
    pattern: Box<str>,
    replacement: Box<str>,
    compiled: Regex,
    /// The replacement in the syntax of the library.
    template: Box<[u8]>,
}

impl Substitution {
    /// Compiles a substitution. In the replacement, `\1` stands for the first group, `\0` for all of the match and `\\` for a
    /// backslash, as in RE2.
    pub fn new(pattern: &str, replacement: &str) -> Result<Self, InvalidRegex> {
        let compiled = compile_part(pattern)?;
        let mut template = Vec::with_capacity(replacement.len());
        let mut rest = replacement.chars();
        while let Some(character) = rest.next() {
            match character {
                '\\' => match rest.next() {
                    Some(digit) if digit.is_ascii_digit() => template.extend(format!("${{{digit}}}").bytes()),
                    Some('\\') => template.push(b'\\'),
                    _ => {
                        return Err(InvalidRegex::Syntax(
                            r"in a replacement, `\` is followed by a digit or `\`".into(),
                        ));
                    }
                },
                '$' => template.extend_from_slice(b"$$"),
                other => template.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        Ok(Self { pattern: pattern.into(), replacement: replacement.into(), compiled, template: template.into() })
    }

    /// The expression as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The replacement as it was written.
    pub fn replacement(&self) -> &str {
        &self.replacement
    }

    fn apply(&self, path: &[u8]) -> Vec<u8> {
        self.compiled.replace_all(path, &*self.template).into_owned()
    }
}

impl PartialEq for Substitution {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.replacement == other.replacement
    }
}

impl Eq for Substitution {}

/// Changes to headers, in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Of requests.
    pub request: HeaderChanges,
    /// Of responses.
    pub response: HeaderChanges,
}

/// Changes to headers, in this order: remove, set, add (Envoy removes first). Names are lower case, and none frames the message
/// or says where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// Headers that are taken away.
    pub remove: Vec<Box<str>>,
    /// Headers that get this value instead of any they have.
    pub set: Vec<(Box<str>, HeaderText)>,
    /// Headers that get this value beside those they have.
    pub add: Vec<(Box<str>, HeaderText)>,
}

/// A value of a header, in which facts about the request may take the place of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderText {
    source: Box<str>,
    /// None where the source is the value.
    pieces: Box<[Piece]>,
}

impl HeaderText {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The value. `append` appends what a variable stands for now, as far as there is something.
    pub fn render(&self, mut append: impl FnMut(&Fact, &mut Vec<u8>)) -> Cow<'_, [u8]> {
        if self.pieces.is_empty() {
            return Cow::Borrowed(self.source.as_bytes());
        }
        let mut value = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) | Piece::Unknown(text) => value.extend_from_slice(text.as_bytes()),
                Piece::Variable(variable) => {
                    let before = value.len();
                    append(&variable.fact, &mut value);
                    value.truncate(before.saturating_add(variable.most.unwrap_or(usize::MAX)));
                }
            }
        }
        Cow::Owned(value)
    }
}

impl From<Box<str>> for HeaderText {
    fn from(source: Box<str>) -> Self {
        let pieces = if source.contains('%') { pieces(&source) } else { Vec::new() };
        Self { source, pieces: pieces.into() }
    }
}

impl From<&str> for HeaderText {
    fn from(source: &str) -> Self {
        Box::<str>::from(source).into()
    }
}

impl HeaderChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Whether a rule may change the header: not what frames the message, belongs to one connection, says where the request goes
    /// (which is a rewrite's to change), or is the mesh's own statement.
    pub fn permits(name: &str) -> bool {
        !name.starts_with(':') && !name.starts_with("x-mesh-") && !FIXED_HEADERS.contains(&name)
    }
}

/// A place where copies of requests go. What comes back is thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Where to.
    pub cluster: ClusterName,
    /// Which share of requests is copied.
    pub share: Share,
}

/// What other origins' pages may do (the Fetch standard's CORS protocol).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// The origins.
    pub origins: Vec<StringMatch>,
    /// `access-control-allow-methods`; empty: the header is not sent.
    pub methods: Box<str>,
    /// `access-control-allow-headers`; empty: the header is not sent.
    pub headers: Box<str>,
    /// `access-control-expose-headers`; empty: the header is not sent.
    pub expose: Box<str>,
    /// `access-control-max-age`, in seconds.
    pub max_age: Option<u64>,
    /// `access-control-allow-credentials`.
    pub credentials: bool,
    /// Whether preflights from other origins are left to the upstream, instead of being answered without permission.
    pub forwards_unmatched: bool,
}

impl Cors {
    /// Whether pages of `origin` are permitted. The exact match `*` is every origin (Envoy).
    pub fn permits(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|permitted| {
            matches!(permitted, StringMatch::Exact(text) if **text == *b"*") || permitted.matches(origin)
        })
    }
}

/// A redirect as the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// What becomes of the path.
    pub path: RedirectPath,
    /// The authority to go to; `None`: the request's.
    pub authority: Option<Box<str>>,
    /// The port to go to.
    pub port: RedirectPort,
    /// `http` or `https`; `None`: the request's.
    pub scheme: Option<Box<str>>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// What a redirect does with the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPath {
    /// It stays.
    Keep,
    /// This one instead; the query stays, unless this has one.
    Replace(Box<str>),
    /// What was matched is replaced.
    Matched(Box<str>),
}

/// What a redirect does with the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectPort {
    /// It stays as the authority has it, unless the scheme changes and it is the old one's own.
    Keep,
    /// This one.
    Number(u16),
    /// The scheme's own.
    ProtocolDefault,
    /// The one that the request was sent to.
    Request,
}

/// A request as a redirect sees it.
#[derive(Debug, Clone, Copy)]
pub struct RedirectFacts<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Authority, as the client wrote it.
    pub authority: &'a [u8],
    /// Path, normalised.
    pub path: &'a [u8],
    /// Query with its `?`, or nothing.
    pub query: &'a [u8],
    /// The port that the request was sent to.
    pub port: u16,
}

impl Redirect {
    /// Where a request is sent that was taken because of `matched`: the value of `location`. A scheme's own port is left out.
    pub fn location(&self, request: &RedirectFacts<'_>, matched: Option<&StringMatch>) -> Vec<u8> {
        let scheme = self.scheme.as_deref().unwrap_or(request.scheme);
        let authority = self.authority.as_deref().map_or(request.authority, str::as_bytes);
        let (host, written_port) = split_port(authority);
        let old_default = default_port(request.scheme);
        let port = match self.port {
            RedirectPort::Keep => written_port.filter(|port| scheme == request.scheme || *port != old_default),
            RedirectPort::Number(port) => Some(port),
            RedirectPort::ProtocolDefault => None,
            RedirectPort::Request => Some(request.port),
        };
        let mut location = [scheme.as_bytes(), b"://", host].concat();
        if let Some(port) = port.filter(|port| *port != default_port(scheme)) {
            location.extend(format!(":{port}").bytes());
        }
        match &self.path {
            RedirectPath::Keep => location.extend_from_slice(request.path),
            RedirectPath::Replace(path) if path.contains('?') => {
                location.extend(path.bytes());
                return location;
            }
            RedirectPath::Replace(path) => location.extend(path.bytes()),
            RedirectPath::Matched(replacement) => {
                location.extend(replace_matched(replacement.as_bytes(), request.path, matched));
            }
        }
        location.extend_from_slice(request.query);
        location
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Host and port of an authority; an address in brackets keeps them.
fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let Some(colon) = authority.iter().rposition(|byte| *byte == b':') else { return (authority, None) };
    let (host, port) = (authority.get(..colon).unwrap_or_default(), authority.get(colon + 1..).unwrap_or_default());
    match std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()) {
        Some(port) if !host.contains(&b':') || host.ends_with(b"]") => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// The status.
    pub status: u16,
    /// The body; empty: none.
    pub body: Bytes,
}

/// The HTTP status that stands for a gRPC status where the client speaks no gRPC (Envoy's mapping).
pub fn http_status_of_grpc(status: u8) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

#[cfg(test)]
#[path = "handling_tests.rs"]
mod tests;
