//! What the variables in headers' values stand for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::proxy::exchange::Facts;
use crate::proxy::filter::headers::Message;
use crate::resources::header_text::{Fact, PlainFact};

/// What is known of a request when its headers, or those of its response, are changed.
pub(super) struct Known<'a> {
    pub facts: &'a Facts,
    /// Name of the pod.
    pub hostname: &'a str,
    /// Name of the route.
    pub route: &'a str,
    pub method: &'a [u8],
    /// As it was before it was rewritten.
    pub path_and_query: &'a [u8],
    pub authority: &'a [u8],
    pub http10: bool,
    /// How long ago the request began.
    pub age: Duration,
    /// The request, where it is the response that is changed.
    pub request: Option<Message<'a>>,
    /// Status of the response.
    pub status: Option<u16>,
}

impl Known<'_> {
    /// Appends what a fact is. `changed` is the message whose headers are changed.
    pub fn append(&self, fact: &Fact, changed: Message<'_>, value: &mut Vec<u8>) {
        match fact {
            Fact::Plain(fact) => self.append_plain(*fact, value),
            Fact::Request(first, second) => {
                let request = self.request.unwrap_or(changed);
                let names = [Some(first), second.as_ref()];
                let mut found = names.into_iter().flatten().filter_map(|name| self.of_request(name, request));
                value.extend_from_slice(found.next().unwrap_or_default());
            }
            Fact::Response(first, second) => {
                // While the request is changed there is no response yet.
                let Some(status) = self.status else { return };
                for name in [Some(first), second.as_ref()].into_iter().flatten() {
                    if &**name == ":status" {
                        return value.extend_from_slice(status.to_string().as_bytes());
                    }
                    if let Some(found) = changed.header(name) {
                        return value.extend_from_slice(found);
                    }
                }
            }
        }
    }

    fn of_request<'m>(&'m self, name: &str, request: Message<'m>) -> Option<&'m [u8]> {
        match name {
            ":path" => Some(self.path_and_query),
            ":method" => Some(self.method),
            ":authority" | "host" => Some(self.authority),
            ":scheme" => Some(self.facts.scheme().as_bytes()),
            name => request.header(name),
        }
    }

    fn append_plain(&self, fact: PlainFact, value: &mut Vec<u8>) {
        let (facts, peer) = (self.facts, self.facts.peer.as_ref());
        let text = match fact {
            PlainFact::RemoteAddress => facts.remote.map(|address| address.to_string()),
            PlainFact::RemoteIp => facts.remote.map(|address| address.ip().to_string()),
            PlainFact::RemotePort => facts.remote.map(|address| address.port().to_string()),
            PlainFact::LocalAddress => facts.local.map(|address| address.to_string()),
            PlainFact::LocalIp => facts.local.map(|address| address.ip().to_string()),
            PlainFact::LocalPort => facts.local.map(|address| address.port().to_string()),
            PlainFact::PeerUri => peer.map(|peer| peer.uri.to_string()),
            PlainFact::PeerFingerprint => peer.map(|peer| peer.hash.to_string()),
            PlainFact::OwnUri => peer.map(|peer| peer.own.to_string()),
            PlainFact::ServerName => Some(String::from_utf8_lossy(&facts.server_name).into_owned()),
            PlainFact::Protocol => Some(super::protocol(facts.http2, self.http10).to_owned()),
            PlainFact::ResponseCode => self.status.map(|status| status.to_string()),
            PlainFact::RouteName => Some(self.route.to_owned()),
            PlainFact::Hostname => Some(self.hostname.to_owned()),
            PlainFact::StartTime => {
                let age = SignedDuration::try_from(self.age).unwrap_or_default();
                let start = Timestamp::now().checked_sub(age).ok();
                start.map(|start| start.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
            }
        };
        // A server name is the client's to choose; what could end a line is left out.
        value.extend(text.unwrap_or_default().bytes().filter(|byte| !byte.is_ascii_control()));
    }
}
