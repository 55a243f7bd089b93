//! Answers that the proxy gives itself: one short sentence each, with the response flags that Envoy's users know.

use bytes::Bytes;
use jiff::Timestamp;

use crate::model::token::TokenError;
use crate::model::{
    ClusterName, DirectResponse, HeaderLookup, HttpRule, Redirect, RedirectFacts, RedirectPath, RedirectPort,
};
use crate::proxy::exchange::plan::Plan;
use crate::proxy::exchange::times::Expired;
use crate::proxy::exchange::{Exchange, Next, Outcome, Taken};
use crate::proxy::filter::ext_authz::Denial;
use crate::proxy::filter::{edge, rbac};
use crate::proxy::http1::Body;
use crate::proxy::http1::encode::{add_line, add_number, status_digits};
use crate::proxy::http1::head::Headers;
use crate::proxy::http1::{Framing, Head, Refusal, Target};
use crate::proxy::transfer::Transfer;

/// An answer of our own.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub flags: &'static str,
    pub details: &'static str,
    pub body: Bytes,
    /// What went wrong with the upstream's connection, for the log.
    pub failure: String,
    /// Whole header lines that go with it.
    pub lines: Vec<u8>,
    /// The gRPC status that clients of gRPC are told, where it is not the one that the HTTP status stands for.
    grpc_status: Option<u8>,
    /// Whether the connection can take no further request.
    close: bool,
}

impl Reply {
    /// One that says a sentence.
    pub fn new(status: u16, flags: &'static str, details: &'static str, mut sentence: String) -> Self {
        sentence.push('\n');
        Self { flags, body: sentence.into(), ..Self::bare(status, details) }
    }

    /// One without a body.
    pub fn bare(status: u16, details: &'static str) -> Self {
        Self {
            status,
            flags: "-",
            details,
            body: Bytes::new(),
            failure: String::new(),
            lines: Vec::new(),
            grpc_status: None,
            close: false,
        }
    }

    /// The answer that a rule gives.
    pub fn direct(response: &DirectResponse) -> Self {
        Self { body: response.body.clone(), ..Self::bare(response.status, "direct_response") }
    }

    /// An injected fault.
    pub fn fault(status: u16, grpc_status: Option<u8>) -> Self {
        Self { grpc_status, ..Self::new(status, "FI", "fault_filter_abort", "fault filter abort".into()) }
    }

    /// A time that the rule gives is over.
    pub fn timed_out(expired: Expired, plan: &Plan) -> Self {
        let (details, what) = match expired {
            Expired::Whole => ("response_timeout", "the request took longer than its rule allows"),
            Expired::Try => ("upstream_per_try_timeout", "a try took longer than its rule allows"),
        };
        Self::new(504, "UT", details, format!("{what}{}", plan.because()))
    }

    /// The message has no one reading; neither has what follows it on the connection.
    pub fn refusal(refusal: Refusal) -> Self {
        let lines = if refusal == Refusal::Http10 { b"upgrade: HTTP/1.1\r\n".to_vec() } else { Vec::new() };
        Self { lines, close: true, ..Self::new(refusal.status(), "DPE", refusal.detail(), refusal.to_string()) }
    }

    pub fn proxy_authorization() -> Self {
        let sentence =
            "this proxy serves one pod: send that pod's token as Proxy-Authorization (its http_proxy has it)";
        let lines = b"proxy-authenticate: Basic realm=\"mesh\"\r\n".to_vec();
        Self { lines, ..Self::new(407, "-", "proxy_authorization_required", sentence.into()) }
    }

    /// The caller may not do that. Who decided is for the log, not for the caller.
    pub fn denied() -> Self {
        Self::new(403, "-", rbac::DENIED_DETAIL, rbac::DENIED.to_owned())
    }

    /// The provider of authorization that decides about it says no.
    pub fn denied_by_provider(denial: Denial) -> Self {
        let Denial { status, lines, body } = denial;
        Self { flags: "UAEX", lines, body, ..Self::bare(status, "ext_authz_denied") }
    }

    /// It does not say anything.
    pub fn provider_failed(status: u16) -> Self {
        Self { flags: "UAEX", ..Self::bare(status, "ext_authz_error") }
    }

    /// The provider sees so much of a body, and this one is longer.
    pub fn too_long_to_check() -> Self {
        let sentence = "the body is longer than the authorization provider may be shown".into();
        Self { close: true, ..Self::new(413, "-", "request_payload_too_large", sentence) }
    }

    /// The client has gone before it was decided what it may do.
    pub fn client_gone() -> Self {
        Self { flags: "DC", close: true, ..Self::bare(499, "downstream_remote_disconnect") }
    }

    /// Its token, or that it has none.
    pub fn token(error: &TokenError) -> Self {
        let challenge = match error {
            TokenError::Audience => "",
            TokenError::Missing => "www-authenticate: Bearer\r\n",
            _ => "www-authenticate: Bearer error=\"invalid_token\"\r\n",
        };
        let lines = challenge.as_bytes().to_vec();
        Self { lines, ..Self::new(error.status(), "-", "jwt_authn_access_denied", error.to_string()) }
    }

    /// It is not known yet who may do what.
    pub fn no_policy() -> Self {
        Self::new(503, "NC", "not_ready", "this proxy does not know its policy yet".to_owned())
    }

    pub fn unavailable(host: &str, detail: &'static str) -> Self {
        Self::new(503, "NC", detail, format!("it is not known yet where {host} is: {detail}"))
    }

    pub fn not_in_mesh(host: &str, port: u16) -> Self {
        let sentence = format!("{host}:{port} is not in the mesh, and the outbound mode is REGISTRY_ONLY");
        Self::new(502, "-", "direct_response", sentence)
    }

    pub fn own_address(host: &str, port: u16) -> Self {
        let sentence = format!("{host}:{port} is this proxy itself; the request would go in circles");
        Self::new(502, "-", "request_loop", sentence)
    }

    pub fn no_address(host: &str) -> Self {
        Self::new(503, "DF", "dns_resolution_failure", format!("{host} is not in the mesh and has no address"))
    }

    /// The connection was let in for other hosts.
    pub fn misdirected(host: &str) -> Self {
        let sentence =
            format!("this connection is for other hosts than {host}: open one with {host} as its server name");
        Self::new(421, "NR", "misdirected_request", sentence)
    }

    /// Plaintext is not served here; https is.
    pub fn to_https(target: &Target) -> Self {
        let redirect = Redirect {
            path: RedirectPath::Keep,
            authority: None,
            port: RedirectPort::ProtocolDefault,
            scheme: Some("https".into()),
            status: 301,
        };
        let facts = RedirectFacts {
            scheme: "http",
            authority: &target.authority,
            path: target.path(),
            query: target.query(),
            port: 80,
        };
        let mut reply = Self::bare(301, "direct_response");
        add_line(&mut reply.lines, "location", &redirect.location(&facts, None));
        reply
    }

    pub fn no_host(host: &str, port: u16) -> Self {
        Self::new(404, "NR", "route_not_found", format!("no Gateway and VirtualService serve {host} on port {port}"))
    }

    pub fn no_route(host: &str) -> Self {
        Self::new(404, "NR", "route_not_found", format!("no rule for {host} takes this request"))
    }

    /// The share of an HTTPRoute's backend that is not there is answered with 500 (Gateway API, `backendRefs`).
    pub fn no_cluster(cluster: &ClusterName, rule: &HttpRule) -> Self {
        let sentence = format!("{} leads to {cluster}, which does not exist", rule.provenance);
        let status = if &*rule.provenance.kind == "HTTPRoute" { 500 } else { 503 };
        Self::new(status, "NC", "cluster_not_found", sentence)
    }

    pub fn no_endpoint(cluster: &ClusterName, plan: &Plan) -> Self {
        let sentence = format!("no endpoint of {cluster} takes requests{}", plan.because());
        Self::new(503, "UH", "no_healthy_upstream", sentence)
    }

    pub fn not_connected(failure: String, plan: &Plan) -> Self {
        let details = "upstream_reset_before_response_started{connection_failure}";
        let sentence = format!("cannot connect to the upstream{}", plan.because());
        Self { failure, ..Self::new(503, "UF", details, sentence) }
    }

    pub fn reset(failure: String, plan: &Plan) -> Self {
        let details = "upstream_reset_before_response_started{connection_termination}";
        let sentence = format!("the upstream ended the connection before it answered{}", plan.because());
        Self { failure, ..Self::new(503, "UC", details, sentence) }
    }

    /// As many requests as the cluster's policy allows are under way, or wait.
    pub fn overflow(cluster: &ClusterName, plan: &Plan) -> Self {
        let sentence = format!("{cluster} has as many requests as its policy allows{}", plan.because());
        let lines = b"x-envoy-overloaded: true\r\n".to_vec();
        Self { lines, ..Self::new(503, "UO", "overflow", sentence) }
    }

    pub fn refused(plan: &Plan) -> Self {
        let details = "upstream_reset_before_response_started{remote_refused_stream}";
        Self::new(503, "UR", details, format!("the upstream refused the request{}", plan.because()))
    }

    pub fn malformed_response(refusal: Refusal) -> Self {
        let sentence = format!("the upstream's answer is refused: {refusal}");
        Self::new(502, "UPE", "upstream_protocol_error", sentence)
    }

    pub fn stalled() -> Self {
        let sentence = "the body of the request did not go on".into();
        Self { close: true, ..Self::new(408, "SI", "request_body_stalled", sentence) }
    }

    fn has_line(&self, name: &str) -> bool {
        let lines = self.lines.split(|byte| *byte == b'\n');
        let mut names = lines.filter_map(|line| line.split(|byte| *byte == b':').next());
        names.any(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    }

    #[must_use]
    pub fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// What a client of gRPC is told.
    pub(super) fn grpc_status(&self) -> u8 {
        self.grpc_status.unwrap_or_else(|| grpc_status_of_http(self.status))
    }
}

impl Exchange<'_> {
    /// Answers, counts and logs.
    pub(super) async fn reply(&mut self, reply: Reply, plan: Option<&Plan>) -> Next {
        let (next, status) = self.write_reply(&reply).await;
        let outcome = Outcome {
            failure: &reply.failure,
            plan,
            sent: reply.body.len() as u64,
            grpc_status: Some(reply.grpc_status()),
            ..Outcome::new(status, reply.flags, reply.details)
        };
        self.finish(&outcome);
        next
    }

    /// Writes an answer of our own; to clients of gRPC as one of theirs. Answers the status that was sent as well.
    pub(super) async fn write_reply(&mut self, reply: &Reply) -> (Next, u16) {
        let server = edge::server(self.stance());
        let complete = !reply.close && self.skip_body();
        let request = &self.scratch.request;
        let keeps = complete && !request.close && !request.http10 && !self.local.seats.draining();
        let is_head = self.scratch.request.method.of(self.conn.head()) == b"HEAD";
        let is_grpc = self.is_grpc();
        let status = if is_grpc { 200 } else { reply.status };
        let output = self.conn.output();
        output.extend_from_slice(b"HTTP/1.1 ");
        output.extend(status_digits(status));
        output.push(b' ');
        output.extend_from_slice(reason(status).as_bytes());
        output.extend_from_slice(b"\r\n");
        let mut body: &[u8] = &reply.body;
        if is_grpc {
            add_line(output, "content-type", b"application/grpc");
            add_number(output, "grpc-status", reply.grpc_status().into());
            if !body.is_empty() {
                add_line(output, "grpc-message", &percent_encoded(body.trim_ascii_end()));
            }
            body = b"";
        } else if !body.is_empty() && !reply.has_line("content-type") {
            add_line(output, "content-type", b"text/plain");
            add_line(output, "x-content-type-options", b"nosniff");
        }
        // Neither may have a body, and 204 may not say how long it would be (RFC 9110 section 8.6).
        if matches!(status, 204 | 304) {
            body = b"";
        }
        if status != 204 {
            add_number(output, "content-length", body.len() as u64);
        }
        add_line(output, "date", Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().as_bytes());
        add_line(output, "server", server.as_bytes());
        output.extend_from_slice(&reply.lines);
        if !keeps {
            add_line(output, "connection", b"close");
        }
        output.extend_from_slice(b"\r\n");
        if !is_head {
            output.extend_from_slice(body);
        }
        let sent = self.conn.send(self.deadline, self.local.shared.limits.write_stall).await;
        let next = match sent {
            Ok(()) if keeps => Next::Again,
            Ok(()) if complete => Next::Close,
            Ok(()) => Next::Linger,
            Err(_) => Next::Close,
        };
        (next, status)
    }

    /// Whether the client speaks gRPC.
    pub(super) fn is_grpc(&self) -> bool {
        let request = Headers { head: &self.scratch.request, bytes: self.conn.head() };
        request.value("content-type").is_some_and(|media| match media.strip_prefix(b"application/grpc") {
            Some(rest) => matches!(rest, [] | [b'+' | b';', ..]),
            None => false,
        })
    }

    /// Takes the request's body off the connection where all of it has been read. Whether it is off.
    fn skip_body(&mut self) -> bool {
        match self.taken {
            Taken::Nothing if self.scratch.request.framing != Framing::None => {}
            Taken::Nothing | Taken::Everything => return true,
            Taken::Part => return false,
        }
        let mut transfer = Transfer::new(Body::new(self.scratch.request.framing));
        let mut discarded = Vec::new();
        let taken = transfer.stage(self.conn.window(), &mut discarded, usize::MAX);
        match taken {
            Ok(taken) if transfer.body_is_done() => {
                self.conn.pass(taken);
                true
            }
            _ => false,
        }
    }
}

/// How a call of gRPC has ended, where the head of its answer says it.
pub(super) fn grpc_status(response: &Head, bytes: &[u8]) -> Option<u8> {
    let headers = Headers { head: response, bytes };
    let status = headers.value("grpc-status")?;
    std::str::from_utf8(&status).ok()?.parse().ok()
}

/// The gRPC status that clients of gRPC read from an HTTP status (gRPC's own mapping).
fn grpc_status_of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Text as `grpc-message` carries it.
fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => encoded.push(*byte),
            _ => encoded.extend(format!("%{byte:02X}").bytes()),
        }
    }
    encoded
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Handling};
    use crate::resources::Provenance;

    #[test]
    fn a_destination_that_is_not_there_is_answered_as_its_rules_kind_has_it() {
        let cluster = ClusterName { host: "gone.invalid".into(), port: 80, subset: None };
        for (kind, expected) in [("VirtualService", 503), ("HTTPRoute", 500), ("GRPCRoute", 503)] {
            let rule = HttpRule {
                provenance: Provenance::new(kind, "shop", "web"),
                name: "default".into(),
                matches: Vec::new(),
                action: Action::Forward(Vec::new()),
                handling: Handling::default(),
                tier: 0,
            };
            assert_eq!(Reply::no_cluster(&cluster, &rule).status, expected, "{kind}");
        }
    }
}
