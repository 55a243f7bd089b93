//! Rules about tokens.

use crate::model::token::{ClaimHeader, KeySet, Place, TokenRule};
use crate::wire::convert::{ConvertError, Problem, list, non_empty, required};
use crate::wire::proto::mesh::v1;

impl From<&TokenRule> for v1::TokenRule {
    fn from(rule: &TokenRule) -> Self {
        let claim = |output: &ClaimHeader| v1::ClaimHeader {
            header: output.header.to_string(),
            claim: output.claim.iter().map(ToString::to_string).collect(),
        };
        Self {
            provenance: Some((&rule.provenance).into()),
            issuer: rule.issuer.to_string(),
            audiences: rule.audiences.iter().map(ToString::to_string).collect(),
            jwks: rule.keys.source().to_string(),
            places: rule.places.iter().map(v1::TokenPlace::from).collect(),
            forward: rule.forward,
            payload_header: rule.payload_header.as_deref().unwrap_or_default().to_owned(),
            claim_headers: rule.claim_headers.iter().map(claim).collect(),
            space_delimited: rule.space_delimited.iter().map(ToString::to_string).collect(),
            required: rule.required,
            fetched: rule.fetched,
        }
    }
}

impl TryFrom<v1::TokenRule> for TokenRule {
    type Error = ConvertError;

    fn try_from(message: v1::TokenRule) -> Result<Self, ConvertError> {
        let claim = |message: v1::ClaimHeader| {
            let claim = message.claim.into_iter().map(String::into_boxed_str).collect();
            Ok(ClaimHeader { header: non_empty("header", message.header)?, claim })
        };
        Ok(Self {
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
            issuer: message.issuer.into(),
            audiences: message.audiences.into_iter().map(Into::into).collect(),
            // Keys that cannot be read are none, and believe nobody.
            keys: KeySet::parse(message.jwks.into()),
            places: list("places", message.places, Place::try_from)?,
            forward: message.forward,
            payload_header: (!message.payload_header.is_empty()).then(|| message.payload_header.into()),
            claim_headers: list("claim_headers", message.claim_headers, claim)?,
            space_delimited: message.space_delimited.into_iter().map(String::into_boxed_str).collect(),
            required: message.required,
            fetched: message.fetched,
        })
    }
}

impl From<&Place> for v1::TokenPlace {
    fn from(place: &Place) -> Self {
        use v1::token_place::Kind;
        let kind = match place {
            Place::Header { name, prefix } => {
                Kind::Header(v1::TokenHeader { name: name.to_string(), prefix: prefix.to_string() })
            }
            Place::Parameter(name) => Kind::Parameter(name.to_string()),
            Place::Cookie(name) => Kind::Cookie(name.to_string()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::TokenPlace> for Place {
    type Error = ConvertError;

    fn try_from(message: v1::TokenPlace) -> Result<Self, ConvertError> {
        use v1::token_place::Kind;
        match message.kind {
            Some(Kind::Header(header)) => {
                Ok(Self::Header { name: non_empty("header.name", header.name)?, prefix: header.prefix.into() })
            }
            Some(Kind::Parameter(name)) => Ok(Self::Parameter(non_empty("parameter", name)?)),
            Some(Kind::Cookie(name)) => Ok(Self::Cookie(non_empty("cookie", name)?)),
            None => Err(ConvertError::new("kind", Problem::Missing)),
        }
    }
}
