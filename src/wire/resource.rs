//! The types of resources, in the order in which a response carries them, and how one is encoded.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use twox_hash::XxHash64;

use crate::wire::Any;

/// A type of resource. The order is that of docs/wire.md section 7: what others name comes before what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum ResourceType {
    /// What a proxy is told about itself and the mesh.
    Settings,
    /// What a workload demands of its callers.
    InboundPolicy,
    /// A service under one of its names.
    Service,
    /// How a service's endpoints are talked to.
    TrafficPolicy,
    /// Up to [`MAX_ENDPOINTS_PER_CHUNK`](crate::wire::MAX_ENDPOINTS_PER_CHUNK) endpoints of a service.
    Endpoints,
    /// Rules of a service or of a gateway's virtual host.
    Routes,
    /// A port of a gateway.
    Listener,
}

/// Every type, in order.
const TYPES: [ResourceType; 7] = [
    ResourceType::Settings,
    ResourceType::InboundPolicy,
    ResourceType::Service,
    ResourceType::TrafficPolicy,
    ResourceType::Endpoints,
    ResourceType::Routes,
    ResourceType::Listener,
];

impl ResourceType {
    /// Every type, in the order in which they are sent.
    pub fn all() -> impl Iterator<Item = Self> {
        TYPES.into_iter()
    }

    /// The type URL.
    pub fn url(self) -> &'static str {
        match self {
            Self::Settings => "type.googleapis.com/mesh.v1.Settings",
            Self::InboundPolicy => "type.googleapis.com/mesh.v1.InboundPolicy",
            Self::Service => "type.googleapis.com/mesh.v1.Service",
            Self::TrafficPolicy => "type.googleapis.com/mesh.v1.TrafficPolicy",
            Self::Endpoints => "type.googleapis.com/mesh.v1.Endpoints",
            Self::Routes => "type.googleapis.com/mesh.v1.Routes",
            Self::Listener => "type.googleapis.com/mesh.v1.Listener",
        }
    }

    /// The type with this URL.
    pub fn from_url(url: &str) -> Option<Self> {
        Self::all().find(|kind| kind.url() == url)
    }

    /// Wraps an encoded resource of this type.
    pub fn any(self, value: Bytes) -> Any {
        Any { type_url: self.url().to_owned(), value }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A resource as it is sent, encoded once for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Hash of the bytes, 16 hexadecimal digits.
    pub version: Arc<str>,
    /// The message.
    pub bytes: Bytes,
}

impl Encoded {
    /// Encodes a message.
    pub fn new(message: &impl Message) -> Self {
        let bytes = Bytes::from(message.encode_to_vec());
        let mut hasher = XxHash64::with_seed(0);
        hasher.write(&bytes);
        Self { version: format!("{:016x}", hasher.finish()).into(), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::mesh::v1;

    #[test]
    fn every_type_is_found_by_its_url_and_none_by_another() {
        for kind in ResourceType::all() {
            assert_eq!(ResourceType::from_url(kind.url()), Some(kind));
        }
        assert_eq!(ResourceType::from_url("type.googleapis.com/envoy.config.listener.v3.Listener"), None);
    }

    #[test]
    fn a_response_carries_settings_first_and_routes_after_what_they_name() {
        let order: Vec<_> = ResourceType::all().collect();
        assert_eq!(order.first(), Some(&ResourceType::Settings));
        assert!(order.is_sorted());
        assert!(ResourceType::Endpoints < ResourceType::Routes && ResourceType::TrafficPolicy < ResourceType::Routes);
    }

    #[test]
    fn versions_differ_where_bytes_differ_and_only_there() {
        let settings = |scope: &str| v1::Settings { scope: scope.to_owned(), ..v1::Settings::default() };
        assert_eq!(Encoded::new(&settings("a")), Encoded::new(&settings("a")));
        assert_ne!(Encoded::new(&settings("a")).version, Encoded::new(&settings("b")).version);
    }
}
