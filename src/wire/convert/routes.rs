//! Routes: rules for requests and for connections, conditions, string matches.

use bytes::Bytes;

use crate::model::matching::WholeMatch;
use crate::model::route::ClaimWay;
use crate::model::{
    Action, ClusterName, HttpRule, RequestMatch, Routes, StreamMatch, StreamRule, StringMatch, WeightedCluster,
};
use crate::wire::convert::authz::{network, network_message};
use crate::wire::convert::handling::authority;
use crate::wire::convert::proxy::host_pattern;
use crate::wire::convert::{ConvertError, Problem, list, non_empty, pairs, port, required, shared_pairs, weight};
use crate::wire::proto::mesh::v1;
use crate::wire::proto::mesh::v1::string_match::Kind;

impl From<&Routes> for v1::Routes {
    /// The name of the resource is not in the message: the envelope carries it.
    fn from(routes: &Routes) -> Self {
        Self {
            http: routes.http.iter().map(v1::HttpRule::from).collect(),
            streams: routes.streams.iter().map(v1::StreamRule::from).collect(),
        }
    }
}

/// Reads a message under the name that its envelope gave.
impl TryFrom<(&str, v1::Routes)> for Routes {
    type Error = ConvertError;

    fn try_from((name, message): (&str, v1::Routes)) -> Result<Self, ConvertError> {
        Ok(Self {
            name: name.into(),
            http: list("http", message.http, HttpRule::try_from)?,
            streams: list("streams", message.streams, StreamRule::try_from)?,
        })
    }
}

impl From<&HttpRule> for v1::HttpRule {
    fn from(rule: &HttpRule) -> Self {
        let action = match &rule.action {
            Action::Forward(clusters) => {
                let clusters = clusters.iter().map(v1::WeightedCluster::from).collect();
                v1::http_rule::Action::Forward(v1::Forward { clusters })
            }
            Action::Redirect(redirect) => v1::http_rule::Action::Redirect(redirect.into()),
            Action::Respond(response) => v1::http_rule::Action::Respond(response.into()),
        };
        Self {
            provenance: Some((&rule.provenance).into()),
            name: rule.name.to_string(),
            matches: rule.matches.iter().map(v1::RequestMatch::from).collect(),
            action: Some(action),
            handling: Some((&rule.handling).into()),
            tier: rule.tier,
        }
    }
}

impl TryFrom<v1::HttpRule> for HttpRule {
    type Error = ConvertError;

    fn try_from(message: v1::HttpRule) -> Result<Self, ConvertError> {
        let action = message.action.ok_or_else(|| ConvertError::new("action", Problem::Missing))?;
        let action = match action {
            v1::http_rule::Action::Forward(forward) if forward.clusters.is_empty() => {
                return Err(ConvertError::new("forward.clusters", Problem::Empty));
            }
            v1::http_rule::Action::Forward(forward) => {
                Action::Forward(list("forward.clusters", forward.clusters, WeightedCluster::try_from)?)
            }
            v1::http_rule::Action::Redirect(redirect) => Action::Redirect(within("redirect", redirect)?),
            v1::http_rule::Action::Respond(response) => Action::Respond(within("respond", response)?),
        };
        Ok(Self {
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
            name: message.name.into(),
            matches: list("matches", message.matches, RequestMatch::try_from)?,
            action,
            handling: required("handling", message.handling, TryInto::try_into)?,
            tier: message.tier,
        })
    }
}

impl From<&StreamRule> for v1::StreamRule {
    fn from(rule: &StreamRule) -> Self {
        Self {
            provenance: Some((&rule.provenance).into()),
            matches: rule.matches.iter().map(v1::StreamMatch::from).collect(),
            clusters: rule.destinations.iter().map(v1::WeightedCluster::from).collect(),
        }
    }
}

impl TryFrom<v1::StreamRule> for StreamRule {
    type Error = ConvertError;

    fn try_from(message: v1::StreamRule) -> Result<Self, ConvertError> {
        if message.clusters.is_empty() {
            return Err(ConvertError::new("clusters", Problem::Empty));
        }
        Ok(Self {
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
            matches: list("matches", message.matches, StreamMatch::try_from)?,
            destinations: list("clusters", message.clusters, WeightedCluster::try_from)?,
        })
    }
}

impl From<&StreamMatch> for v1::StreamMatch {
    fn from(conditions: &StreamMatch) -> Self {
        Self {
            server_names: conditions.server_names.iter().map(ToString::to_string).collect(),
            subnets: conditions.subnets.iter().map(network_message).collect(),
            port: conditions.port.unwrap_or_default().into(),
            source_labels: pairs(&conditions.source_labels),
            source_namespace: conditions.source_namespace.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl TryFrom<v1::StreamMatch> for StreamMatch {
    type Error = ConvertError;

    fn try_from(message: v1::StreamMatch) -> Result<Self, ConvertError> {
        Ok(Self {
            server_names: list("server_names", message.server_names, host_pattern)?,
            subnets: list("subnets", message.subnets, |message| network(&message))?,
            port: match message.port {
                0 => None,
                number => Some(port("port", number)?),
            },
            source_labels: shared_pairs(message.source_labels),
            source_namespace: (!message.source_namespace.is_empty()).then(|| message.source_namespace.into()),
        })
    }
}

/// Converts a message that is there.
fn within<M, T: TryFrom<M, Error = ConvertError>>(field: &str, message: M) -> Result<T, ConvertError> {
    T::try_from(message).map_err(|error| error.within(field))
}

impl From<&WeightedCluster> for v1::WeightedCluster {
    fn from(destination: &WeightedCluster) -> Self {
        Self {
            host: destination.cluster.host.to_string(),
            port: destination.cluster.port.into(),
            subset: destination.cluster.subset.as_deref().unwrap_or_default().to_owned(),
            weight: destination.weight,
            authority: destination.authority.as_deref().unwrap_or_default().to_owned(),
            headers: Some((&destination.headers).into()),
        }
    }
}

impl TryFrom<v1::WeightedCluster> for WeightedCluster {
    type Error = ConvertError;

    fn try_from(message: v1::WeightedCluster) -> Result<Self, ConvertError> {
        Ok(Self {
            cluster: ClusterName {
                host: non_empty("host", message.host)?,
                port: port("port", message.port)?,
                subset: (!message.subset.is_empty()).then(|| message.subset.into()),
            },
            weight: weight("weight", message.weight)?,
            authority: authority("authority", message.authority)?,
            headers: required("headers", message.headers, TryInto::try_into)?,
        })
    }
}

impl From<&RequestMatch> for v1::RequestMatch {
    fn from(conditions: &RequestMatch) -> Self {
        Self {
            path: conditions.path.as_ref().map(Into::into),
            method: conditions.method.as_ref().map(Into::into),
            headers: conditions.headers.iter().map(header_message).collect(),
            without_headers: conditions.without_headers.iter().map(header_message).collect(),
            port: conditions.port.unwrap_or_default().into(),
            source_labels: pairs(&conditions.source_labels),
            source_namespace: conditions.source_namespace.as_deref().unwrap_or_default().to_owned(),
            unsupported: conditions.unsupported.iter().map(ToString::to_string).collect(),
            scheme: conditions.scheme.as_ref().map(Into::into),
            authority: conditions.authority.as_ref().map(Into::into),
            query: conditions.query.iter().map(header_message).collect(),
            claims: conditions.claims.iter().map(claim_message).collect(),
            without_claims: conditions.without_claims.iter().map(claim_message).collect(),
        }
    }
}

impl TryFrom<v1::RequestMatch> for RequestMatch {
    type Error = ConvertError;

    fn try_from(message: v1::RequestMatch) -> Result<Self, ConvertError> {
        let string = |field: &str, message: Option<v1::StringMatch>| {
            message.map(|message| StringMatch::try_from(message).map_err(|error| error.within(field))).transpose()
        };
        Ok(Self {
            path: string("path", message.path)?,
            method: string("method", message.method)?,
            scheme: string("scheme", message.scheme)?,
            authority: string("authority", message.authority)?,
            query: list("query", message.query, |message| {
                Ok((message.name.into(), required("value", message.value, TryInto::try_into)?))
            })?,
            headers: list("headers", message.headers, header)?,
            without_headers: list("without_headers", message.without_headers, header)?,
            claims: list("claims", message.claims, claim)?,
            without_claims: list("without_claims", message.without_claims, claim)?,
            port: match message.port {
                0 => None,
                number => Some(port("port", number)?),
            },
            source_labels: shared_pairs(message.source_labels),
            source_namespace: (!message.source_namespace.is_empty()).then(|| message.source_namespace.into()),
            unsupported: message.unsupported.into_iter().map(Into::into).collect(),
        })
    }
}

fn header_message((name, value): &(Box<str>, StringMatch)) -> v1::HeaderMatch {
    v1::HeaderMatch { name: name.to_string(), value: Some(value.into()) }
}

fn header(message: v1::HeaderMatch) -> Result<(Box<str>, StringMatch), ConvertError> {
    if message.name.is_empty() || message.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ConvertError::new("name", Problem::Text(message.name, "lower-case header name")));
    }
    Ok((message.name.into(), required("value", message.value, TryInto::try_into)?))
}

fn claim_message((way, value): &(ClaimWay, StringMatch)) -> v1::ClaimMatch {
    v1::ClaimMatch { claim: way.iter().map(ToString::to_string).collect(), value: Some(value.into()) }
}

fn claim(message: v1::ClaimMatch) -> Result<(ClaimWay, StringMatch), ConvertError> {
    if message.claim.is_empty() {
        return Err(ConvertError::new("claim", Problem::Empty));
    }
    let way = message.claim.into_iter().map(String::into_boxed_str).collect();
    Ok((way, required("value", message.value, TryInto::try_into)?))
}

impl From<&StringMatch> for v1::StringMatch {
    fn from(string: &StringMatch) -> Self {
        let kind = match string {
            StringMatch::Exact(value) => Kind::Exact(Bytes::copy_from_slice(value)),
            StringMatch::ExactIgnoringCase(value) => Kind::ExactIgnoringCase(Bytes::copy_from_slice(value)),
            StringMatch::Prefix(value) => Kind::Prefix(Bytes::copy_from_slice(value)),
            StringMatch::PrefixIgnoringCase(value) => Kind::PrefixIgnoringCase(Bytes::copy_from_slice(value)),
            StringMatch::Regex(expression) => Kind::Regex(expression.as_str().to_owned()),
            StringMatch::Present => Kind::Present(true),
            StringMatch::Segments(value) => Kind::Segments(Bytes::copy_from_slice(value)),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::StringMatch> for StringMatch {
    type Error = ConvertError;

    fn try_from(message: v1::StringMatch) -> Result<Self, ConvertError> {
        Ok(match message.kind.ok_or_else(|| ConvertError::new("kind", Problem::Missing))? {
            Kind::Exact(value) => Self::Exact((*value).into()),
            Kind::ExactIgnoringCase(value) => Self::ExactIgnoringCase((*value).into()),
            Kind::Prefix(value) => Self::Prefix((*value).into()),
            Kind::PrefixIgnoringCase(value) => Self::PrefixIgnoringCase((*value).into()),
            Kind::Regex(source) => {
                Self::Regex(WholeMatch::new(&source).map_err(|error| ConvertError::new("regex", error))?)
            }
            Kind::Segments(value) => Self::Segments((*value).into()),
            Kind::Present(true) => Self::Present,
            Kind::Present(false) => {
                return Err(ConvertError::new("present", Problem::Text("false".to_owned(), "presence")));
            }
        })
    }
}
