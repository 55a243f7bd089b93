//! Header names that mean something to the proxy.

/// The headers that the proxy itself reads or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Any other.
    Other,
    /// `host`
    Host,
    /// `content-length`
    ContentLength,
    /// `transfer-encoding`
    TransferEncoding,
    /// `connection`
    Connection,
    /// `proxy-connection`
    ProxyConnection,
    /// `keep-alive`
    KeepAlive,
    /// `te`
    Te,
    /// `trailer`
    Trailer,
    /// `upgrade`
    Upgrade,
    /// `http2-settings`
    Http2Settings,
    /// `expect`
    Expect,
    /// `proxy-authorization`
    ProxyAuthorization,
    /// `server`
    Server,
    /// `user-agent`
    UserAgent,
    /// `x-request-id`
    RequestId,
    /// `x-forwarded-for`
    ForwardedFor,
    /// `x-forwarded-proto`
    ForwardedProto,
    /// `x-forwarded-client-cert`
    ForwardedClientCert,
    /// `x-envoy-upstream-service-time`
    UpstreamServiceTime,
    /// `x-envoy-attempt-count`
    AttemptCount,
    /// `x-envoy-peer-metadata`, `x-envoy-peer-metadata-id`
    PeerMetadata,
    /// `x-mesh-peer`
    MeshPeer,
    /// Any other that starts with `x-envoy-`.
    Envoy,
    /// Any other that starts with `x-mesh-`.
    Mesh,
}

/// (name, what it is), for names that are known in full.
const NAMES: [(&str, Name); 22] = [
    ("host", Name::Host),
    ("content-length", Name::ContentLength),
    ("transfer-encoding", Name::TransferEncoding),
    ("connection", Name::Connection),
    ("proxy-connection", Name::ProxyConnection),
    ("keep-alive", Name::KeepAlive),
    ("te", Name::Te),
    ("trailer", Name::Trailer),
    ("upgrade", Name::Upgrade),
    ("http2-settings", Name::Http2Settings),
    ("expect", Name::Expect),
    ("proxy-authorization", Name::ProxyAuthorization),
    ("server", Name::Server),
    ("user-agent", Name::UserAgent),
    ("x-request-id", Name::RequestId),
    ("x-forwarded-for", Name::ForwardedFor),
    ("x-forwarded-proto", Name::ForwardedProto),
    ("x-forwarded-client-cert", Name::ForwardedClientCert),
    ("x-envoy-upstream-service-time", Name::UpstreamServiceTime),
    ("x-envoy-attempt-count", Name::AttemptCount),
    ("x-envoy-peer-metadata", Name::PeerMetadata),
    ("x-envoy-peer-metadata-id", Name::PeerMetadata),
];

impl Name {
    pub(super) fn of(name: &[u8]) -> Self {
        let same = |known: &&(&str, Self)| known.0.len() == name.len() && known.0.as_bytes().eq_ignore_ascii_case(name);
        if let Some((_, found)) = NAMES.iter().find(same) {
            return *found;
        }
        let starts =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
        match () {
            () if name.eq_ignore_ascii_case(b"x-mesh-peer") => Self::MeshPeer,
            () if starts("x-envoy-") => Self::Envoy,
            () if starts("x-mesh-") => Self::Mesh,
            () => Self::Other,
        }
    }

    /// Whether it belongs to one connection and is never passed on (RFC 9110 section 7.6.1).
    pub(super) fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ProxyConnection
                | Self::KeepAlive
                | Self::Te
                | Self::Upgrade
                | Self::Http2Settings
                | Self::ProxyAuthorization
        )
    }

    /// Whether a peer may have it removed by naming it in `Connection`. What frames the message, says where it goes or is the
    /// mesh's own statement stays.
    pub(super) fn may_be_nominated(self) -> bool {
        matches!(self, Self::Other | Self::UserAgent | Self::Server | Self::Te | Self::KeepAlive | Self::Upgrade)
    }
}
