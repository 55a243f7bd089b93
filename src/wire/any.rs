//! `google.protobuf.Any` whose value is shared: one encoded resource goes to every proxy without being copied for each.

use bytes::Bytes;

/// A message of any type, encoded. On the wire it is `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/` and the full name of the message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}
