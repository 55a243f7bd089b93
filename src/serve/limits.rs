//! The limits of a server, in one value.

use std::time::Duration;

/// What one server allows its clients. `Limits::default()` fits a server on loopback or inside a cluster.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at one time; further ones wait in the kernel's accept queue.
    pub connections: usize,
    /// Header fields of one HTTP/1.1 request.
    pub header_count: usize,
    /// Bytes of all header fields of one request.
    pub header_bytes: u32,
    /// Time from accepting a connection, or from the end of the last request, to complete request headers.
    pub header_time: Duration,
    /// Time a TLS handshake may take.
    pub handshake_time: Duration,
    /// HTTP/2 streams at one time on one connection.
    pub streams: u32,
    /// HTTP/2 flow-control window of one stream, bytes.
    pub stream_window: u32,
    /// HTTP/2 flow-control window of one connection, bytes.
    pub connection_window: u32,
    /// Streams that a client may reset before they were accepted; one more closes the connection.
    pub pending_resets: usize,
    /// Bytes of response data buffered for one HTTP/2 stream.
    pub send_buffer: usize,
    /// Interval of HTTP/2 keep-alive pings; a peer that answers none within the same time is cut.
    pub ping: Duration,
    /// Time open requests get to finish after the server was told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_count: 100,
            header_bytes: 64 * 1024,
            header_time: Duration::from_secs(30),
            handshake_time: Duration::from_secs(10),
            streams: 256,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            pending_resets: 32,
            send_buffer: 256 * 1024,
            ping: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}
