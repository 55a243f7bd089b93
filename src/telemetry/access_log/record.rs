//! What a line says, and how it is written.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Istio's default text format, and after it the rule that decided.
    #[default]
    Text,
    /// One JSON object per line, Istio's keys and `rule`.
    Json,
}

/// One request, or one connection that was refused. `None` and empty values are written as `-` (text) or null (JSON).
#[derive(Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When the request's head was complete.
    pub start: SystemTime,
    /// Method.
    pub method: &'a [u8],
    /// Path and query as the client sent them.
    pub path: &'a [u8],
    /// `HTTP/1.1`.
    pub protocol: &'a str,
    /// Status; 0 when none was sent.
    pub code: u16,
    /// Response flags.
    pub flags: &'a str,
    /// Why the answer is what it is: `via_upstream`, `route_not_found`, …
    pub details: &'a str,
    /// Why the connection was ended.
    pub termination: &'a str,
    /// What went wrong with the connection to the upstream.
    pub transport_failure: &'a str,
    /// Bytes of the request's body.
    pub bytes_received: u64,
    /// Bytes of the response's body.
    pub bytes_sent: u64,
    /// From the complete head to the last byte of the response.
    pub duration: Duration,
    /// Until the upstream's head was complete.
    pub upstream_time: Option<Duration>,
    /// `x-forwarded-for`.
    pub forwarded_for: &'a [u8],
    /// `user-agent`.
    pub user_agent: &'a [u8],
    /// `x-request-id`.
    pub request_id: &'a [u8],
    /// Authority.
    pub authority: &'a [u8],
    /// Address that the request was sent to.
    pub upstream_host: Option<SocketAddr>,
    /// Cluster, as Envoy's users know it.
    pub upstream_cluster: Option<&'a dyn Display>,
    /// Our address on that connection.
    pub upstream_local: Option<SocketAddr>,
    /// Our address on the client's connection.
    pub downstream_local: Option<SocketAddr>,
    /// The client's address.
    pub downstream_remote: Option<SocketAddr>,
    /// Server name that the client asked for in its TLS handshake.
    pub server_name: &'a [u8],
    /// Name of the route.
    pub route_name: &'a str,
    /// The rule that decided.
    pub rule: Option<&'a dyn Display>,
}

impl AccessRecord<'_> {
    /// A record of which only the time is known.
    pub fn new(start: SystemTime) -> Self {
        Self {
            start,
            method: b"",
            path: b"",
            protocol: "",
            code: 0,
            flags: "-",
            details: "",
            termination: "",
            transport_failure: "",
            bytes_received: 0,
            bytes_sent: 0,
            duration: Duration::ZERO,
            upstream_time: None,
            forwarded_for: b"",
            user_agent: b"",
            request_id: b"",
            authority: b"",
            upstream_host: None,
            upstream_cluster: None,
            upstream_local: None,
            downstream_local: None,
            downstream_remote: None,
            server_name: b"",
            route_name: "",
            rule: None,
        }
    }

    /// Appends the line, its end included. `start` is the record's time as text.
    pub(super) fn write(&self, format: AccessLogFormat, start: &str, line: &mut String) {
        match format {
            AccessLogFormat::Text => self.write_text(start, line),
            AccessLogFormat::Json => self.write_json(start, line),
        }
        line.push('\n');
    }

    fn write_text(&self, start: &str, line: &mut String) {
        let text =
            |line: &mut String, value: &[u8]| if value.is_empty() { line.push('-') } else { escape(line, value) };
        let shown = |line: &mut String, value: Option<&dyn Display>| match value {
            // Writing to a String cannot fail.
            Some(value) => drop(write!(Escaped(line), "{value}")),
            None => line.push('-'),
        };
        let address = |line: &mut String, value: Option<SocketAddr>| match value {
            Some(value) => address(line, value),
            None => line.push('-'),
        };
        line.push('[');
        line.push_str(start);
        line.push_str("] \"");
        text(line, self.method);
        line.push(' ');
        text(line, self.path);
        line.push(' ');
        text(line, self.protocol.as_bytes());
        line.push_str("\" ");
        number(line, u64::from(self.code));
        for word in [self.flags, self.details, self.termination] {
            line.push(' ');
            text(line, word.as_bytes());
        }
        line.push_str(" \"");
        text(line, self.transport_failure.as_bytes());
        line.push_str("\" ");
        number(line, self.bytes_received);
        line.push(' ');
        number(line, self.bytes_sent);
        line.push(' ');
        number(line, milliseconds(self.duration));
        line.push(' ');
        match self.upstream_time {
            Some(time) => number(line, milliseconds(time)),
            None => line.push('-'),
        }
        for value in [self.forwarded_for, self.user_agent, self.request_id, self.authority] {
            line.push_str(" \"");
            text(line, value);
            line.push('"');
        }
        line.push_str(" \"");
        address(line, self.upstream_host);
        line.push_str("\" ");
        shown(line, self.upstream_cluster);
        for value in [self.upstream_local, self.downstream_local, self.downstream_remote] {
            line.push(' ');
            address(line, value);
        }
        line.push(' ');
        text(line, self.server_name);
        line.push(' ');
        text(line, self.route_name.as_bytes());
        line.push_str(" \"");
        shown(line, self.rule);
        line.push('"');
    }

    fn write_json(&self, start: &str, line: &mut String) {
        let mut object = Object { line, first: true };
        object.text("start_time", start.as_bytes());
        object.text("method", self.method);
        object.text("path", self.path);
        object.text("protocol", self.protocol.as_bytes());
        object.number("response_code", Some(u64::from(self.code)));
        object.text("response_flags", self.flags.as_bytes());
        object.text("response_code_details", self.details.as_bytes());
        object.text("connection_termination_details", self.termination.as_bytes());
        object.text("upstream_transport_failure_reason", self.transport_failure.as_bytes());
        object.number("bytes_received", Some(self.bytes_received));
        object.number("bytes_sent", Some(self.bytes_sent));
        object.number("duration", Some(milliseconds(self.duration)));
        object.number("upstream_service_time", self.upstream_time.map(milliseconds));
        object.text("x_forwarded_for", self.forwarded_for);
        object.text("user_agent", self.user_agent);
        object.text("request_id", self.request_id);
        object.text("authority", self.authority);
        object.shown("upstream_host", self.upstream_host.as_ref().map(|address| address as &dyn Display));
        object.shown("upstream_cluster", self.upstream_cluster);
        object.shown("upstream_local_address", self.upstream_local.as_ref().map(|address| address as &dyn Display));
        object.shown("downstream_local_address", self.downstream_local.as_ref().map(|address| address as &dyn Display));
        object
            .shown("downstream_remote_address", self.downstream_remote.as_ref().map(|address| address as &dyn Display));
        object.text("requested_server_name", self.server_name);
        object.text("route_name", self.route_name.as_bytes());
        object.shown("rule", self.rule);
        line.push('}');
    }
}

/// A JSON object under way.
struct Object<'a> {
    line: &'a mut String,
    first: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        self.line.push(if self.first { '{' } else { ',' });
        self.first = false;
        self.line.push('"');
        self.line.push_str(name);
        self.line.push_str("\":");
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        if value.is_empty() {
            self.line.push_str("null");
            return;
        }
        self.line.push('"');
        in_runs(self.line, value, |line, byte| match byte {
            b'"' => line.push_str("\\\""),
            b'\\' => line.push_str("\\\\"),
            other => put(line, format_args!("\\u{other:04x}")),
        });
        self.line.push('"');
    }

    fn shown(&mut self, name: &str, value: Option<&dyn Display>) {
        let text = value.map(ToString::to_string).unwrap_or_default();
        self.text(name, text.as_bytes());
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        self.name(name);
        match value {
            Some(value) => number(self.line, value),
            None => self.line.push_str("null"),
        }
    }
}

/// Writes as text fields are written, without a copy in between.
struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        escape(self.0, text.as_bytes());
        Ok(())
    }
}

fn escape(line: &mut String, value: &[u8]) {
    in_runs(line, value, |line, byte| put(line, format_args!("\\x{byte:02X}")));
}

/// Appends `value`: printable ASCII as it is, a run at a time, and every other byte, quotes and backslashes as `special` says.
fn in_runs(line: &mut String, value: &[u8], special: impl Fn(&mut String, u8)) {
    let mut rest = value;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff));
        let (run, behind) = rest.split_at(end.unwrap_or(rest.len()));
        // ASCII, so it is text.
        line.push_str(str::from_utf8(run).unwrap_or_default());
        let Some((byte, behind)) = behind.split_first() else { return };
        special(line, *byte);
        rest = behind;
    }
}

/// Appends a number; the formatting machinery costs several times of this, and a line has a dozen of them.
fn number(line: &mut String, mut value: u64) {
    let mut digits = [0; 20];
    let mut begin = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        begin -= 1;
        if value == 0 {
            break;
        }
    }
    line.push_str(str::from_utf8(digits.get(begin..).unwrap_or_default()).unwrap_or_default());
}

fn address(line: &mut String, address: SocketAddr) {
    let SocketAddr::V4(address) = address else { return put(line, format_args!("{address}")) };
    for (octet, end) in address.ip().octets().into_iter().zip(['.', '.', '.', ':']) {
        number(line, octet.into());
        line.push(end);
    }
    number(line, address.port().into());
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn put(line: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = line.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &AccessRecord<'_>, format: AccessLogFormat) -> String {
        let mut line = String::new();
        record.write(format, "2026-11-23T09:00:00.000Z", &mut line);
        line
    }

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            method: b"GET",
            path: b"/reviews/0",
            protocol: "HTTP/1.1",
            code: 200,
            details: "via_upstream",
            bytes_sent: 295,
            duration: Duration::from_millis(4),
            upstream_time: Some(Duration::from_millis(3)),
            user_agent: b"curl/8",
            authority: b"reviews:9080",
            upstream_host: "10.1.0.4:9080".parse().ok(),
            upstream_cluster: Some(&"outbound|9080|v2|reviews.default.svc.cluster.local"),
            route_name: "default",
            rule: Some(&"VirtualService default/reviews http[0]"),
            ..AccessRecord::new(SystemTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn text_lines_have_istios_default_fields_and_the_rule() {
        let expected = concat!(
            "[2026-11-23T09:00:00.000Z] \"GET /reviews/0 HTTP/1.1\" 200 - via_upstream - \"-\" 0 295 4 3 \"-\" \"curl/8\" ",
            "\"-\" \"reviews:9080\" \"10.1.0.4:9080\" outbound|9080|v2|reviews.default.svc.cluster.local - - - - default ",
            "\"VirtualService default/reviews http[0]\"\n"
        );
        assert_eq!(line(&record(), AccessLogFormat::Text), expected);
    }

    #[test]
    fn nothing_that_a_client_sends_ends_a_line_or_leaves_its_field() {
        let record = AccessRecord { user_agent: b"x\"\n[forged] \\ \x1b[2J\xff", server_name: b"a\nb", ..record() };
        for format in [AccessLogFormat::Text, AccessLogFormat::Json] {
            let line = line(&record, format);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{line}");
        }
        assert!(line(&record, AccessLogFormat::Text).contains(r#""x\x22\x0A[forged] \x5C \x1B[2J\xFF""#));
    }

    #[test]
    fn numbers_and_addresses_are_written_as_everywhere() {
        for value in [0, 7, 10, 99, 100, 65_535, u64::MAX] {
            let mut line = String::new();
            number(&mut line, value);
            assert_eq!(line, value.to_string());
        }
        for text in ["0.0.0.0:0", "255.10.1.99:65535", "[::1]:80", "[fd00::1%3]:9080"] {
            let mut line = String::new();
            address(&mut line, text.parse().expect("an address"));
            assert_eq!(line, text);
        }
    }

    #[test]
    fn json_lines_are_json_with_null_for_what_is_absent() {
        let value: serde_json::Value = serde_json::from_str(&line(&record(), AccessLogFormat::Json)).expect("JSON");
        assert_eq!(value["response_code"], 200);
        assert_eq!(value["upstream_host"], "10.1.0.4:9080");
        assert_eq!(value["rule"], "VirtualService default/reviews http[0]");
        assert!(value["request_id"].is_null() && value["downstream_remote_address"].is_null());
        assert_eq!(value.as_object().map(|object| object.len()), Some(25));
    }
}
