//! The conversions between messages and the model, both ways; there are no others.
//!
//! Model to message always succeeds. Message to model is where outside data becomes typed: what is missing, out of range or
//! unknown is a [`ConvertError`] that names the field, and the resource as a whole is refused, so that what was in force stays.

mod authz;
mod handling;
mod locality;
mod origination;
mod policy;
mod pool;
mod provider;
mod proxy;
mod routes;
mod service;
mod telemetry;
mod token;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::identity::IdentityError;
use crate::model::InvalidRegex;
use crate::resources::{Provenance, SourcePosition};
use crate::wire::proto::mesh::v1;

pub use service::ServiceRecord;

/// A message that is no model, and the field because of which.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConvertError {
    /// Path of the field in the message, for example `http[2].matches[0].path`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The field is not there.
    #[error("is missing")]
    Missing,
    /// The list is empty.
    #[error("is empty")]
    Empty,
    /// The enumeration has no such value, or none was given.
    #[error("has the unknown value {0}; the control plane is newer than this proxy, or broken")]
    UnknownValue(i32),
    /// The number is outside of what the field permits.
    #[error("is {0}, outside of {1}..={2}")]
    OutOfRange(u64, u64, u64),
    /// An address has 4 or 16 bytes.
    #[error("is an address of {0} bytes; an address has 4 or 16")]
    Address(usize),
    /// The text is not a host pattern, a place in a file, ….
    #[error("is `{0}`, which is no {1}")]
    Text(String, &'static str),
    /// The identity is no SPIFFE id.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The regular expression cannot be used.
    #[error(transparent)]
    Regex(#[from] InvalidRegex),
}

impl ConvertError {
    fn new(field: impl Into<String>, problem: impl Into<Problem>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same error, seen from the message that holds `field`.
    fn within(self, field: &str) -> Self {
        let separator = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Self { field: format!("{field}{separator}{}", self.field), ..self }
    }
}

/// Converts a list; an error names the element.
fn list<M, T>(
    field: &str,
    messages: impl IntoIterator<Item = M>,
    convert: impl Fn(M) -> Result<T, ConvertError>,
) -> Result<Vec<T>, ConvertError> {
    let numbered = messages.into_iter().enumerate();
    numbered
        .map(|(index, message)| convert(message).map_err(|error| error.within(&format!("{field}[{index}]"))))
        .collect()
}

/// Converts a message that must be there.
fn required<M, T>(
    field: &str,
    message: Option<M>,
    convert: impl FnOnce(M) -> Result<T, ConvertError>,
) -> Result<T, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::new(field, Problem::Missing))?;
    convert(message).map_err(|error| error.within(field))
}

fn non_empty(field: &str, text: String) -> Result<Arc<str>, ConvertError> {
    if text.is_empty() { Err(ConvertError::new(field, Problem::Missing)) } else { Ok(text.into()) }
}

fn port(field: &str, number: u32) -> Result<u16, ConvertError> {
    match u16::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(ConvertError::new(field, Problem::OutOfRange(number.into(), 1, u16::MAX.into()))),
    }
}

fn weight(field: &str, number: u32) -> Result<u32, ConvertError> {
    if number == 0 { Err(ConvertError::new(field, Problem::OutOfRange(0, 1, u32::MAX.into()))) } else { Ok(number) }
}

fn address(bytes: &[u8]) -> Result<IpAddr, ConvertError> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        Ok(IpAddr::from(four))
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(bytes) {
        Ok(IpAddr::from(sixteen))
    } else {
        Err(ConvertError::new("", Problem::Address(bytes.len())))
    }
}

fn address_bytes(address: IpAddr) -> Bytes {
    match address {
        IpAddr::V4(address) => Bytes::copy_from_slice(&address.octets()),
        IpAddr::V6(address) => Bytes::copy_from_slice(&address.octets()),
    }
}

fn pairs(pairs: &[(Arc<str>, Arc<str>)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn shared_pairs(map: BTreeMap<String, String>) -> Vec<(Arc<str>, Arc<str>)> {
    map.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

impl From<&Provenance> for v1::Provenance {
    fn from(provenance: &Provenance) -> Self {
        Self {
            kind: provenance.kind.to_string(),
            namespace: provenance.namespace.to_string(),
            name: provenance.name.to_string(),
            rule: provenance.rule.as_deref().unwrap_or_default().to_owned(),
            source: provenance.source.as_deref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Provenance> for Provenance {
    type Error = ConvertError;

    fn try_from(message: v1::Provenance) -> Result<Self, ConvertError> {
        Ok(Self {
            kind: non_empty("kind", message.kind)?,
            namespace: message.namespace.into(),
            name: message.name.into(),
            rule: (!message.rule.is_empty()).then(|| message.rule.into()),
            source: (!message.source.is_empty()).then(|| position(&message.source)).transpose()?.map(Arc::new),
        })
    }
}

fn position(text: &str) -> Result<SourcePosition, ConvertError> {
    let mut parts = text.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
    match (file, number(line), number(column)) {
        (Some(file), Some(line), Some(column)) => Ok(SourcePosition { file: file.into(), line, column }),
        _ => Err(ConvertError::new("source", Problem::Text(text.to_owned(), "file:line:column"))),
    }
}

#[cfg(test)]
mod tests;
