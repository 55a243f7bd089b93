//! What conditions on the access log, and labels of metrics, are asked about.

use std::borrow::Cow;

use crate::model::HeaderLookup;
use crate::resources::expression::{Attribute, Attributes, Value};
use crate::telemetry::AccessRecord;

/// What is known of a request or a connection that has ended, as a line of the log has it.
pub struct Logged<'a> {
    /// What it says.
    pub record: &'a AccessRecord<'a>,
    /// The request's headers; `None` for a connection.
    pub headers: Option<&'a dyn HeaderLookup>,
    /// `http` or `https`; empty for a connection.
    pub scheme: &'a str,
    /// Whether the client has proved who it is.
    pub mutual_tls: bool,
}

impl Attributes for Logged<'_> {
    fn value(&self, attribute: Attribute) -> Option<Value<'_>> {
        let record = self.record;
        let text = |bytes: &'_ [u8]| (!bytes.is_empty()).then(|| Value::Text(Cow::Owned(bytes.to_vec())));
        let number = |number: u64| Some(Value::Int(i64::try_from(number).unwrap_or(i64::MAX)));
        let address = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
        let of_request = |value: Option<Value<'static>>| value.filter(|_| self.headers.is_some());
        match attribute {
            Attribute::Path => text(record.path),
            Attribute::UrlPath => text(record.path.split(|byte| *byte == b'?').next()?),
            Attribute::Query => {
                let at = record.path.iter().position(|byte| *byte == b'?')?;
                text(record.path.get(at + 1..)?)
            }
            Attribute::Host => text(record.authority),
            Attribute::Scheme => text(self.scheme.as_bytes()),
            Attribute::Method => text(record.method),
            Attribute::Protocol => text(record.protocol.as_bytes()),
            Attribute::RequestId => text(record.request_id),
            Attribute::UserAgent => text(record.user_agent),
            Attribute::Duration => of_request(Some(Value::Duration(record.duration))),
            Attribute::RequestSize => of_request(number(record.bytes_received)),
            // Headers are asked for by name.
            Attribute::Headers => None,
            Attribute::Code => of_request((record.code > 0).then(|| Value::Int(record.code.into()))),
            Attribute::CodeDetails => of_request(text(record.details.as_bytes())),
            Attribute::ResponseSize => of_request(number(record.bytes_sent)),
            Attribute::SourceAddress => text(address(record.downstream_remote)?.as_bytes()),
            Attribute::SourcePort => number(record.downstream_remote?.port().into()),
            Attribute::DestinationAddress => text(address(record.downstream_local)?.as_bytes()),
            Attribute::DestinationPort => number(record.downstream_local?.port().into()),
            Attribute::MutualTls => Some(Value::Bool(self.mutual_tls)),
            Attribute::ServerName => text(record.server_name),
            Attribute::UpstreamAddress => text(address(record.upstream_host)?.as_bytes()),
            Attribute::UpstreamPort => number(record.upstream_host?.port().into()),
            Attribute::Cluster => text(record.upstream_cluster?.to_string().as_bytes()),
            Attribute::Route => text(record.route_name.as_bytes()),
        }
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.headers?.value(name)
    }
}
