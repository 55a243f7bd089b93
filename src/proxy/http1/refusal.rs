//! Why a head or a body is not accepted.

/// A message with more than one reading, or beyond a limit. Displayed as the sentence that the client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The head exceeds [`MAX_HEAD`](crate::proxy::limits::MAX_HEAD).
    #[error("the head of the message is larger than 60 KiB")]
    HeadTooLarge,
    /// More than [`MAX_HEADERS`](crate::proxy::limits::MAX_HEADERS) lines.
    #[error("the message has more than 100 header lines")]
    TooManyHeaders,
    /// A CR or LF that is not part of a line's end.
    #[error("a line does not end in CR LF")]
    BareLineEnd,
    /// The request or status line cannot be read.
    #[error("the first line is malformed")]
    FirstLine,
    /// A header's name holds a byte that names do not have, such as a space before the colon.
    #[error("a header name is malformed")]
    HeaderName,
    /// A header's value holds a control byte, or a line is folded.
    #[error("a header value is malformed")]
    HeaderValue,
    /// No Host, in HTTP/1.1.
    #[error("the request has no Host header")]
    NoHost,
    /// More than one Host.
    #[error("the request has several Host headers")]
    SeveralHosts,
    /// The host is not a name or an address, or its port is not a port.
    #[error("the host is malformed")]
    Host,
    /// Content-Length is not one plain decimal number.
    #[error("Content-Length is malformed")]
    ContentLength,
    /// Content-Length came more than once.
    #[error("the message has several Content-Length headers")]
    SeveralContentLengths,
    /// Content-Length and Transfer-Encoding together.
    #[error("the message has both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// Transfer-Encoding is repeated, or used where the version does not have it.
    #[error("Transfer-Encoding is malformed")]
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    #[error("the only transfer coding that is understood is chunked")]
    UnknownEncoding,
    /// A chunk's size line cannot be read, or is over its limit.
    #[error("a chunk of the body is malformed")]
    Chunk,
    /// The trailers cannot be read, or are over their limit.
    #[error("the trailers are malformed")]
    Trailers,
    /// The request target is in none of HTTP's forms, or holds a byte that targets do not have.
    #[error("the request target is malformed")]
    Target,
    /// The request target holds a fragment.
    #[error("the request target has a fragment")]
    Fragment,
    /// The target's scheme is not `http`.
    #[error("only http:// is understood here")]
    Scheme,
    /// An expectation other than `100-continue`.
    #[error("the only expectation that is understood is 100-continue")]
    Expectation,
    /// An upgrade that carries a body.
    #[error("a request to upgrade must not have a body")]
    UpgradeWithBody,
    /// HTTP/1.0.
    #[error("HTTP/1.0 is not served here; HTTP/1.1 is")]
    Http10,
    /// A version that is not spoken on this listener.
    #[error("this version of HTTP is not served here; HTTP/1.1 is")]
    Version,
    /// CONNECT.
    #[error(
        "CONNECT is not served here: the mesh sends plain http:// requests through this port and encrypts them itself"
    )]
    Connect,
}

impl Refusal {
    /// The status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::Expectation => 417,
            Self::Http10 => 426,
            Self::UnknownEncoding | Self::Connect => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// One word for the access log.
    pub fn detail(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "request_headers_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::BareLineEnd => "bare_line_end",
            Self::FirstLine => "malformed_first_line",
            Self::HeaderName => "malformed_header_name",
            Self::HeaderValue => "malformed_header_value",
            Self::NoHost => "missing_host",
            Self::SeveralHosts => "several_hosts",
            Self::Host => "malformed_host",
            Self::ContentLength | Self::SeveralContentLengths => "malformed_content_length",
            Self::LengthAndEncoding => "content_length_and_transfer_encoding",
            Self::TransferEncoding | Self::UnknownEncoding => "malformed_transfer_encoding",
            Self::Chunk => "malformed_chunk",
            Self::Trailers => "malformed_trailers",
            Self::Target => "malformed_target",
            Self::Fragment => "path_with_fragment",
            Self::Scheme => "unknown_scheme",
            Self::Expectation => "unknown_expectation",
            Self::UpgradeWithBody => "upgrade_with_body",
            Self::Http10 => "low_version",
            Self::Version => "unknown_version",
            Self::Connect => "connect_refused",
        }
    }
}
