//! Every limit of the request path, in one table.
//!
//! Nothing that a peer sends is held, counted or waited for without one of these.

use std::time::Duration;

/// The limits of one proxy. [`Limits::default`] is what runs; tests shorten the times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections that one proxy holds open, all workers together; later ones are closed at once.
    pub connections: usize,
    /// From the first byte of a connection until it is known what is spoken on it, and for a connection that sends nothing.
    pub detection: Duration,
    /// A PROXY protocol header, where one has to come (HAProxy waits as long for its clients' handshakes at most).
    pub proxy_header: Duration,
    /// A client's silence after which its server is given the chance to speak first, where nobody has said what is spoken.
    pub server_first: Duration,
    /// TLS handshake, in either direction (Istio's gateway default).
    pub handshake: Duration,
    /// From the first byte of a request's head to its last.
    pub request_head: Duration,
    /// A client's connection without a request (Envoy's default).
    pub idle_downstream: Duration,
    /// The same while the proxy drains: who was busy a moment ago has a request under way to us, or is told with the next one.
    pub idle_draining: Duration,
    /// A pooled connection without a request (Envoy's default); shorter than what servers commonly allow would only cost
    /// handshakes, longer is answered by the check before reuse.
    pub idle_upstream: Duration,
    /// The same where it was announced to be for one client (PROXY protocol), who may be gone.
    pub idle_announced: Duration,
    /// Pooled connections without a request, per destination and worker.
    pub idle_per_destination: usize,
    /// Pooled connections without a request, per proxy and worker.
    pub idle_in_all: usize,
    /// Without a byte of a body that the client is sending.
    pub body_stall: Duration,
    /// Without a byte of what a peer should be taking.
    pub write_stall: Duration,
    /// A tunnel (upgrade or raw TCP) without a byte in either direction (Istio's default for TCP).
    pub tunnel_idle: Duration,
    /// A tunnel of which one side has ended.
    pub half_closed: Duration,
    /// Looking up a host that the mesh does not know.
    pub dns: Duration,
    /// How long such an answer is used.
    pub dns_kept: Duration,
    /// Such answers held, per worker.
    pub dns_names: usize,
    /// Accepting pauses this long when the process is out of file descriptors.
    pub accept_pause: Duration,
    /// A connection that was answered while it was still sending is read on for this long, so that the answer arrives.
    pub linger: Duration,
    /// Waiting for a connection to a cluster that limits them.
    pub queue: Duration,
    /// A copy of a request and its answer.
    pub mirror: Duration,
    /// Copies of requests under way, per proxy and worker; there are no more while so many are.
    pub errands: usize,
    /// Retries of one cluster that may always be under way; more of them only as long as they are fewer than its requests.
    pub retries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            detection: Duration::from_secs(30),
            proxy_header: Duration::from_secs(5),
            server_first: Duration::from_millis(50),
            handshake: Duration::from_secs(15),
            request_head: Duration::from_secs(30),
            idle_downstream: Duration::from_secs(3600),
            idle_draining: Duration::from_millis(500),
            idle_upstream: Duration::from_secs(3600),
            idle_announced: Duration::from_secs(10),
            idle_per_destination: 64,
            idle_in_all: 1024,
            body_stall: Duration::from_secs(60),
            write_stall: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(3600),
            half_closed: Duration::from_secs(60),
            dns: Duration::from_secs(5),
            dns_kept: Duration::from_secs(5),
            dns_names: 256,
            accept_pause: Duration::from_millis(100),
            linger: Duration::from_secs(2),
            queue: Duration::from_secs(60),
            mirror: Duration::from_secs(60),
            errands: 1024,
            retries: 100,
        }
    }
}

/// Bytes of a request's or response's head (Envoy's default).
pub const MAX_HEAD: usize = 60 * 1024;
/// Header lines in a head (Envoy's default).
pub const MAX_HEADERS: usize = 100;
/// Empty lines before a request, which RFC 9112 section 2.2 lets a server skip.
pub const MAX_LEADING_LINES: usize = 2;
/// Bytes of one chunk's size line after its digits.
pub const MAX_CHUNK_EXTENSION: usize = 256;
/// Hexadecimal digits of a chunk's size.
pub const MAX_CHUNK_DIGITS: usize = 15;
/// Bytes of a trailer section.
pub const MAX_TRAILERS: usize = 8 * 1024;
/// Interim (1xx) responses before the final one.
pub const MAX_INTERIM: usize = 16;
/// Bytes of a host name.
pub const MAX_HOST: usize = 255;
/// Bytes of a buffer that a busy connection holds; a head that needs more gets [`MAX_HEAD`] and a little.
pub const BUFFER: usize = 16 * 1024;
/// Buffers that a worker keeps for reuse.
pub const SPARE_BUFFERS: usize = 64;
/// Bytes that are read at once where a connection carries as much as it can: four records of TLS, and what one system call moves
/// without its own cost showing.
pub const WIDE_BUFFER: usize = 64 * 1024;
/// Such buffers that a worker keeps for reuse.
pub const SPARE_WIDE_BUFFERS: usize = 4;
/// Bytes of a ClientHello, its record headers included.
pub const MAX_CLIENT_HELLO: usize = 16 * 1024;
/// Bytes of a PROXY protocol header, what follows its addresses included.
pub const MAX_PROXY_HEADER: usize = 4096;
/// Unread bytes taken from a client that was answered early.
pub const MAX_LINGER: usize = 256 * 1024;
/// Bytes of the header in which mesh peers tell who they are.
pub const MAX_PEER_METADATA: usize = 1024;
/// Distinct peers remembered by one worker of one proxy.
pub const MAX_PEERS: usize = 1024;
/// Metric cells cached by one worker of one proxy.
pub const MAX_CELLS: usize = 4096;
