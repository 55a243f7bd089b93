//! Answers that the proxy gives itself: one short sentence each, with the response flags that Envoy's users know.

use jiff::Timestamp;

use crate::model::{ClusterName, HttpRule};
use crate::proxy::exchange::plan::Plan;
use crate::proxy::exchange::{Exchange, Next, Outcome};
use crate::proxy::filter::edge;
use crate::proxy::http1::Body;
use crate::proxy::http1::encode::{add_line, add_number, status_digits};
use crate::proxy::http1::{Framing, Refusal};
use crate::proxy::transfer::Transfer;

/// An answer of our own.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub flags: &'static str,
    pub details: &'static str,
    pub sentence: String,
    /// What went wrong with the upstream's connection, for the log.
    pub failure: String,
    /// A whole header line that goes with it.
    line: &'static str,
    /// Whether the connection can take no further request.
    close: bool,
}

impl Reply {
    pub fn new(status: u16, flags: &'static str, details: &'static str, sentence: String) -> Self {
        Self { status, flags, details, sentence, failure: String::new(), line: "", close: false }
    }

    /// The message has no one reading; neither has what follows it on the connection.
    pub fn refusal(refusal: Refusal) -> Self {
        let line = if refusal == Refusal::Http10 { "upgrade: HTTP/1.1\r\n" } else { "" };
        Self { line, close: true, ..Self::new(refusal.status(), "DPE", refusal.detail(), refusal.to_string()) }
    }

    pub fn proxy_authorization() -> Self {
        let sentence =
            "this proxy serves one pod: send that pod's token as Proxy-Authorization (its http_proxy has it)";
        let line = "proxy-authenticate: Basic realm=\"mesh\"\r\n";
        Self { line, ..Self::new(407, "-", "proxy_authorization_required", sentence.into()) }
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

    pub fn no_host(host: &str, port: u16) -> Self {
        Self::new(404, "NR", "route_not_found", format!("no Gateway and VirtualService serve {host} on port {port}"))
    }

    pub fn no_route(host: &str) -> Self {
        Self::new(404, "NR", "route_not_found", format!("no rule for {host} takes this request"))
    }

    pub fn no_cluster(cluster: &ClusterName, rule: &HttpRule) -> Self {
        let sentence = format!("{} leads to {cluster}, which does not exist", rule.provenance);
        Self::new(503, "NC", "cluster_not_found", sentence)
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

    pub fn malformed_response(refusal: Refusal) -> Self {
        let sentence = format!("the upstream's answer is refused: {refusal}");
        Self::new(502, "UPE", "upstream_protocol_error", sentence)
    }

    pub fn stalled() -> Self {
        let sentence = "the body of the request did not go on".into();
        Self { close: true, ..Self::new(408, "SI", "request_body_stalled", sentence) }
    }

    #[must_use]
    pub fn closing(self) -> Self {
        Self { close: true, ..self }
    }
}

impl Exchange<'_> {
    /// Answers, counts and logs.
    pub(super) async fn reply(&mut self, reply: Reply, plan: Option<&Plan>) -> Next {
        let next = self.write_reply(&reply).await;
        let outcome = Outcome {
            failure: &reply.failure,
            plan,
            sent: reply.sentence.len() as u64 + 1,
            ..Outcome::new(reply.status, reply.flags, reply.details)
        };
        self.finish(&outcome);
        next
    }

    /// Writes an answer of our own.
    pub(super) async fn write_reply(&mut self, reply: &Reply) -> Next {
        let server = edge::server(self.stance());
        let complete = !reply.close && self.skip_body();
        let keeps = complete && !self.scratch.request.close && !self.local.seats.draining();
        let is_head = self.scratch.request.method.of(self.conn.head()) == b"HEAD";
        let output = self.conn.output();
        output.extend_from_slice(b"HTTP/1.1 ");
        output.extend(status_digits(reply.status));
        output.push(b' ');
        output.extend_from_slice(reason(reply.status).as_bytes());
        output.extend_from_slice(b"\r\n");
        add_number(output, "content-length", reply.sentence.len() as u64 + 1);
        add_line(output, "content-type", b"text/plain");
        add_line(output, "x-content-type-options", b"nosniff");
        add_line(output, "date", Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().as_bytes());
        add_line(output, "server", server.as_bytes());
        output.extend_from_slice(reply.line.as_bytes());
        if !keeps {
            add_line(output, "connection", b"close");
        }
        output.extend_from_slice(b"\r\n");
        if !is_head {
            output.extend_from_slice(reply.sentence.as_bytes());
            output.push(b'\n');
        }
        let sent = self.conn.send(self.deadline, self.local.shared.limits.write_stall).await;
        match sent {
            Ok(()) if keeps => Next::Again,
            Ok(()) if complete => Next::Close,
            Ok(()) => Next::Linger,
            Err(_) => Next::Close,
        }
    }

    /// Takes the request's body off the connection where all of it has been read. Whether that is so.
    fn skip_body(&mut self) -> bool {
        if self.scratch.request.framing == Framing::None {
            return true;
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

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}
