//! From bytes to resources.

use std::sync::Arc;

use prost::Message;

use crate::model::{Endpoints, InboundPolicy, Listener, Routes, Settings, TrafficPolicy};
use crate::proxy::directory::{Record, Resource};
use crate::wire::proto::envoy::service::discovery::v3 as discovery;
use crate::wire::proto::mesh::v1;
use crate::wire::{Any, ConvertError, ResourceType, ServiceRecord};

/// A resource that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// There is nothing in the envelope.
    #[error("the resource has no content")]
    Empty,
    /// What is in it is something else than the response announced.
    #[error("the resource is a `{0}`")]
    Type(String),
    /// The bytes are not the message.
    #[error("the resource cannot be decoded: {0}")]
    Bytes(#[from] prost::DecodeError),
    /// The message is not the resource.
    #[error(transparent)]
    Content(#[from] ConvertError),
}

/// Reads a resource of a type.
pub(super) fn decode(kind: ResourceType, envelope: &discovery::Resource) -> Result<Resource, DecodeError> {
    let Any { type_url, value } = envelope.resource.as_ref().ok_or(DecodeError::Empty)?;
    if type_url != kind.url() {
        return Err(DecodeError::Type(type_url.clone()));
    }
    let bytes = value.clone();
    Ok(match kind {
        ResourceType::Settings => Resource::Settings(Settings::try_from(v1::Settings::decode(bytes)?)?),
        ResourceType::InboundPolicy => {
            Resource::InboundPolicy(InboundPolicy::try_from(v1::InboundPolicy::decode(bytes)?)?)
        }
        ResourceType::Service => Resource::Service(ServiceRecord::try_from(v1::Service::decode(bytes)?)?.into()),
        ResourceType::TrafficPolicy => {
            Resource::TrafficPolicy(TrafficPolicy::try_from(v1::TrafficPolicy::decode(bytes)?)?)
        }
        ResourceType::Endpoints => Resource::Endpoints(Endpoints::try_from(v1::Endpoints::decode(bytes)?)?),
        ResourceType::Routes => {
            Resource::Routes(Routes::try_from((envelope.name.as_str(), v1::Routes::decode(bytes)?))?)
        }
        ResourceType::Listener => Resource::Listener(Listener::try_from(v1::Listener::decode(bytes)?)?),
    })
}

impl From<ServiceRecord> for Record {
    fn from(record: ServiceRecord) -> Self {
        Self {
            service: Arc::new(record.service),
            routes: record.routes,
            traffic_policy: record.traffic_policy,
            endpoints: record.endpoints,
        }
    }
}
