//! Providers of authorization decisions.

use std::time::Duration;

use crate::model::authz::{CheckedBody, HttpCheck, Provider, ProviderProtocol, Text};
use crate::wire::convert::{ConvertError, Problem, list, non_empty, port};
use crate::wire::proto::mesh::v1;

impl From<&Provider> for v1::AuthorizationProvider {
    fn from(provider: &Provider) -> Self {
        Self {
            name: provider.name.to_string(),
            host: provider.host.to_string(),
            port: provider.port.into(),
            // At least 1: a timeout of less than a millisecond must not be read as none.
            timeout_ms: u32::try_from(provider.timeout.as_millis()).unwrap_or(u32::MAX).max(1),
            fail_open: provider.fail_open,
            status_on_error: provider.status_on_error.into(),
            body: provider.body.map(|body| v1::CheckedBody {
                max_bytes: body.max_bytes,
                allow_partial: body.allow_partial,
                as_bytes: body.as_bytes,
            }),
            http: match &provider.protocol {
                ProviderProtocol::Grpc => None,
                ProviderProtocol::Http(check) => Some(check.into()),
            },
        }
    }
}

impl TryFrom<v1::AuthorizationProvider> for Provider {
    type Error = ConvertError;

    fn try_from(message: v1::AuthorizationProvider) -> Result<Self, ConvertError> {
        let status = message.status_on_error;
        let status_on_error = u16::try_from(status).ok().filter(|status| (400..600).contains(status));
        Ok(Self {
            name: non_empty("name", message.name)?,
            host: non_empty("host", message.host)?,
            port: port("port", message.port)?,
            timeout: Duration::from_millis(message.timeout_ms.into()),
            fail_open: message.fail_open,
            status_on_error: status_on_error
                .ok_or_else(|| ConvertError::new("status_on_error", Problem::OutOfRange(status.into(), 400, 599)))?,
            body: message.body.map(|body| CheckedBody {
                max_bytes: body.max_bytes,
                allow_partial: body.allow_partial,
                as_bytes: body.as_bytes,
            }),
            protocol: match message.http {
                None => ProviderProtocol::Grpc,
                Some(check) => {
                    ProviderProtocol::Http(check.try_into().map_err(|error: ConvertError| error.within("http"))?)
                }
            },
        })
    }
}

impl From<&HttpCheck> for v1::HttpCheck {
    fn from(check: &HttpCheck) -> Self {
        let texts = |texts: &[Text]| texts.iter().map(v1::TextMatch::from).collect();
        let lines = check.additional_headers.iter();
        Self {
            path_prefix: check.path_prefix.to_string(),
            request_headers: texts(&check.request_headers),
            additional_headers: lines
                .map(|(name, value)| v1::HeaderLine { name: name.to_string(), value: value.to_string() })
                .collect(),
            upstream_on_allow: texts(&check.upstream_on_allow),
            downstream_on_allow: texts(&check.downstream_on_allow),
            downstream_on_deny: texts(&check.downstream_on_deny),
        }
    }
}

impl TryFrom<v1::HttpCheck> for HttpCheck {
    type Error = ConvertError;

    fn try_from(message: v1::HttpCheck) -> Result<Self, ConvertError> {
        let lines = message.additional_headers.into_iter();
        Ok(Self {
            path_prefix: message.path_prefix.into(),
            request_headers: list("request_headers", message.request_headers, Text::try_from)?,
            additional_headers: lines.map(|line| (line.name.into(), line.value.into())).collect(),
            upstream_on_allow: list("upstream_on_allow", message.upstream_on_allow, Text::try_from)?,
            downstream_on_allow: list("downstream_on_allow", message.downstream_on_allow, Text::try_from)?,
            downstream_on_deny: list("downstream_on_deny", message.downstream_on_deny, Text::try_from)?,
        })
    }
}
