//! AuthorizationPolicies.

use ipnet::IpNet;

use crate::model::authz::{
    Attribute, Condition, HostMatch, Policy, PolicyAction, Rule, TemplatePart, Text, ValueMatch,
};
use crate::wire::convert::{ConvertError, Problem, address, address_bytes, list, non_empty, port, required};
use crate::wire::proto::mesh::v1;

impl From<&Policy> for v1::AuthorizationPolicy {
    fn from(policy: &Policy) -> Self {
        let (action, provider) = match &policy.action {
            PolicyAction::Allow => (v1::PolicyAction::Allow, ""),
            PolicyAction::Deny => (v1::PolicyAction::Deny, ""),
            PolicyAction::Audit => (v1::PolicyAction::Audit, ""),
            PolicyAction::Custom(provider) => (v1::PolicyAction::Custom, &**provider),
        };
        Self {
            provenance: Some((&policy.provenance).into()),
            action: action.into(),
            provider: provider.to_owned(),
            dry_run: policy.dry_run,
            rules: policy.rules.iter().map(v1::AuthorizationRule::from).collect(),
        }
    }
}

impl TryFrom<v1::AuthorizationPolicy> for Policy {
    type Error = ConvertError;

    fn try_from(message: v1::AuthorizationPolicy) -> Result<Self, ConvertError> {
        let action = match v1::PolicyAction::try_from(message.action) {
            Ok(v1::PolicyAction::Allow) => PolicyAction::Allow,
            Ok(v1::PolicyAction::Deny) => PolicyAction::Deny,
            Ok(v1::PolicyAction::Audit) => PolicyAction::Audit,
            Ok(v1::PolicyAction::Custom) => PolicyAction::Custom(message.provider.into()),
            Ok(v1::PolicyAction::Unspecified) | Err(_) => {
                return Err(ConvertError::new("action", Problem::UnknownValue(message.action)));
            }
        };
        Ok(Self {
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
            action,
            dry_run: message.dry_run,
            rules: list("rules", message.rules, Rule::try_from)?,
        })
    }
}

impl From<&Rule> for v1::AuthorizationRule {
    fn from(rule: &Rule) -> Self {
        let conditions = |conditions: &[Condition]| conditions.iter().map(v1::AuthorizationCondition::from).collect();
        let group = |group: &Vec<Condition>| v1::AuthorizationConditions { conditions: conditions(group) };
        Self {
            from: rule.from.iter().map(group).collect(),
            to: rule.to.iter().map(group).collect(),
            when: conditions(&rule.when),
        }
    }
}

impl TryFrom<v1::AuthorizationRule> for Rule {
    type Error = ConvertError;

    fn try_from(message: v1::AuthorizationRule) -> Result<Self, ConvertError> {
        let group = |message: v1::AuthorizationConditions| list("conditions", message.conditions, Condition::try_from);
        Ok(Self {
            from: list("from", message.from, group)?,
            to: list("to", message.to, group)?,
            when: list("when", message.when, Condition::try_from)?,
        })
    }
}

impl From<&Condition> for v1::AuthorizationCondition {
    fn from(condition: &Condition) -> Self {
        let mut names = Vec::new();
        let attribute = match &condition.attribute {
            Attribute::Principal => v1::Attribute::Principal,
            Attribute::Namespace => v1::Attribute::Namespace,
            Attribute::ServiceAccount => v1::Attribute::ServiceAccount,
            Attribute::TrustDomain => v1::Attribute::TrustDomain,
            Attribute::SourceIp => v1::Attribute::SourceIp,
            Attribute::RemoteIp => v1::Attribute::RemoteIp,
            Attribute::DestinationIp => v1::Attribute::DestinationIp,
            Attribute::DestinationPort => v1::Attribute::DestinationPort,
            Attribute::ServerName => v1::Attribute::ServerName,
            Attribute::RequestPrincipal => v1::Attribute::RequestPrincipal,
            Attribute::Claim(way) => {
                names.extend(way.iter().map(ToString::to_string));
                v1::Attribute::Claim
            }
            Attribute::Host => v1::Attribute::Host,
            Attribute::Method => v1::Attribute::Method,
            Attribute::Path => v1::Attribute::Path,
            Attribute::Header(name) => {
                names.push(name.to_string());
                v1::Attribute::Header
            }
            Attribute::Unknown(name) => {
                names.push(name.to_string());
                v1::Attribute::Unknown
            }
        };
        let values = |values: &[ValueMatch]| values.iter().map(v1::ValueMatch::from).collect();
        Self {
            attribute: attribute.into(),
            names,
            values: values(&condition.values),
            not_values: values(&condition.not_values),
        }
    }
}

impl TryFrom<v1::AuthorizationCondition> for Condition {
    type Error = ConvertError;

    fn try_from(message: v1::AuthorizationCondition) -> Result<Self, ConvertError> {
        let v1::AuthorizationCondition { attribute, names, values, not_values } = message;
        let one_name = || match names.as_slice() {
            [name] => non_empty("names", name.clone()),
            _ => Err(ConvertError::new("names", Problem::Missing)),
        };
        let attribute = match v1::Attribute::try_from(attribute) {
            Ok(v1::Attribute::Principal) => Attribute::Principal,
            Ok(v1::Attribute::Namespace) => Attribute::Namespace,
            Ok(v1::Attribute::ServiceAccount) => Attribute::ServiceAccount,
            Ok(v1::Attribute::TrustDomain) => Attribute::TrustDomain,
            Ok(v1::Attribute::SourceIp) => Attribute::SourceIp,
            Ok(v1::Attribute::RemoteIp) => Attribute::RemoteIp,
            Ok(v1::Attribute::DestinationIp) => Attribute::DestinationIp,
            Ok(v1::Attribute::DestinationPort) => Attribute::DestinationPort,
            Ok(v1::Attribute::ServerName) => Attribute::ServerName,
            Ok(v1::Attribute::RequestPrincipal) => Attribute::RequestPrincipal,
            Ok(v1::Attribute::Claim) if !names.is_empty() => {
                Attribute::Claim(names.iter().map(|name| name.as_str().into()).collect())
            }
            Ok(v1::Attribute::Claim) => return Err(ConvertError::new("names", Problem::Missing)),
            Ok(v1::Attribute::Host) => Attribute::Host,
            Ok(v1::Attribute::Method) => Attribute::Method,
            Ok(v1::Attribute::Path) => Attribute::Path,
            Ok(v1::Attribute::Header) => Attribute::Header(one_name()?),
            Ok(v1::Attribute::Unknown) => Attribute::Unknown(one_name()?),
            // One that this proxy does not know yet is one that it can't look at.
            Ok(v1::Attribute::Unspecified) | Err(_) => {
                return Err(ConvertError::new("attribute", Problem::UnknownValue(attribute)));
            }
        };
        Ok(Self {
            attribute,
            values: list("values", values, ValueMatch::try_from)?,
            not_values: list("not_values", not_values, ValueMatch::try_from)?,
        })
    }
}

impl From<&Text> for v1::TextMatch {
    fn from(text: &Text) -> Self {
        use v1::text_match::Kind;
        let bytes = |bytes: &[u8]| bytes.to_vec().into();
        let kind = match text {
            Text::Exact(text) => Kind::Exact(bytes(text)),
            Text::Prefix(text) => Kind::Prefix(bytes(text)),
            Text::Suffix(text) => Kind::Suffix(bytes(text)),
            Text::Present => Kind::Present(true),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::TextMatch> for Text {
    type Error = ConvertError;

    fn try_from(message: v1::TextMatch) -> Result<Self, ConvertError> {
        use v1::text_match::Kind;
        match message.kind {
            Some(Kind::Exact(text)) => Ok(Self::Exact(text.as_ref().into())),
            Some(Kind::Prefix(text)) => Ok(Self::Prefix(text.as_ref().into())),
            Some(Kind::Suffix(text)) => Ok(Self::Suffix(text.as_ref().into())),
            Some(Kind::Present(true)) => Ok(Self::Present),
            Some(Kind::Present(false)) | None => Err(ConvertError::new("kind", Problem::Missing)),
        }
    }
}

pub(super) fn network_message(network: &IpNet) -> v1::Network {
    v1::Network { address: address_bytes(network.addr()), prefix: network.prefix_len().into() }
}

pub(super) fn network(message: &v1::Network) -> Result<IpNet, ConvertError> {
    let address = address(&message.address).map_err(|error| error.within("address"))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let out_of_range = || ConvertError::new("prefix", Problem::OutOfRange(message.prefix.into(), 0, most));
    let prefix = u8::try_from(message.prefix).map_err(|_| out_of_range())?;
    IpNet::new(address, prefix).map_err(|_| out_of_range())
}

impl From<&ValueMatch> for v1::ValueMatch {
    fn from(value: &ValueMatch) -> Self {
        use v1::value_match::Kind;
        let kind = match value {
            ValueMatch::Text(text) => Kind::Text(text.into()),
            ValueMatch::Network(network) => Kind::Network(network_message(network)),
            ValueMatch::Port(port) => Kind::Port((*port).into()),
            ValueMatch::Template(parts) => {
                Kind::Template(v1::Template { parts: parts.iter().map(v1::TemplatePart::from).collect() })
            }
            ValueMatch::Host(host) => {
                Kind::Host(v1::HostMatch { host: Some((&host.host).into()), port: host.port.map_or(0, u32::from) })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::ValueMatch> for ValueMatch {
    type Error = ConvertError;

    fn try_from(message: v1::ValueMatch) -> Result<Self, ConvertError> {
        use v1::value_match::Kind;
        match message.kind {
            Some(Kind::Text(text)) => text.try_into().map(Self::Text),
            Some(Kind::Network(message)) => {
                network(&message).map(Self::Network).map_err(|error| error.within("network"))
            }
            Some(Kind::Port(number)) => port("port", number).map(Self::Port),
            Some(Kind::Template(template)) => {
                list("template.parts", template.parts, TemplatePart::try_from).map(Self::Template)
            }
            Some(Kind::Host(host)) => Ok(Self::Host(HostMatch {
                host: required("host", host.host, Text::try_from)?,
                port: if host.port == 0 { None } else { Some(port("port", host.port)?) },
            })),
            None => Err(ConvertError::new("kind", Problem::Missing)),
        }
    }
}

impl From<&TemplatePart> for v1::TemplatePart {
    fn from(part: &TemplatePart) -> Self {
        use v1::template_part::Kind;
        let kind = match part {
            TemplatePart::Literal(literal) => Kind::Literal(literal.to_vec().into()),
            TemplatePart::Segment => Kind::Segment(true),
            TemplatePart::Rest => Kind::Rest(true),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::TemplatePart> for TemplatePart {
    type Error = ConvertError;

    fn try_from(message: v1::TemplatePart) -> Result<Self, ConvertError> {
        use v1::template_part::Kind;
        match message.kind {
            Some(Kind::Literal(literal)) => Ok(Self::Literal(literal.as_ref().into())),
            Some(Kind::Segment(true)) => Ok(Self::Segment),
            Some(Kind::Rest(true)) => Ok(Self::Rest),
            Some(Kind::Segment(false) | Kind::Rest(false)) | None => Err(ConvertError::new("kind", Problem::Missing)),
        }
    }
}
