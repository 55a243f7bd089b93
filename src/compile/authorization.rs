//! The AuthorizationPolicies that apply to a workload.

use std::sync::Arc;

use crate::compile::selection::is_attached;
use crate::compile::world::World;
use crate::model::Workload;
use crate::model::authz::{
    Attribute, Condition, HostMatch, Policy, PolicyAction, Rule, TemplatePart, Text, ValueMatch,
};
use crate::resources::authorization_policy::{self, Action, AuthorizationPolicy, Operation, Source};
use crate::resources::authorization_values as values;
use crate::resources::authorization_values::TextMatch;
use crate::resources::{DRY_RUN, Object};

/// A trust domain that policies may name whatever the mesh's is called (Istio).
const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

/// The policies of a workload, oldest first. `trust_domains` are the names of the mesh's own trust domain, its aliases included:
/// a principal of one of them is one of each.
///
/// A policy that is attached to something else than labels or Gateways is left out: only what it is attached to asks it.
pub fn authorization(world: &World, workload: &Workload, trust_domains: &[Arc<str>]) -> Vec<Policy> {
    let applying = world.authorization_policies.iter().filter(|object| {
        let spec = &object.spec;
        let targets = (spec.target_ref.as_ref(), spec.target_refs.as_slice());
        is_attached(world, object, spec.selector.as_ref(), targets, workload)
    });
    applying.map(|object| policy(object, trust_domains)).collect()
}

fn policy(object: &Object<AuthorizationPolicy>, trust_domains: &[Arc<str>]) -> Policy {
    let provider = object.spec.provider.as_ref().and_then(|provider| provider.name.as_deref()).unwrap_or_default();
    let action = match object.spec.action.unwrap_or(Action::Allow) {
        Action::Allow => PolicyAction::Allow,
        Action::Deny => PolicyAction::Deny,
        Action::Audit => PolicyAction::Audit,
        Action::Custom => PolicyAction::Custom(provider.into()),
    };
    let before_tokens = matches!(action, PolicyAction::Custom(_));
    let compile = Compile { namespace: &object.meta.namespace, trust_domains, before_tokens };
    let dry_run = object.meta.annotations.get(DRY_RUN).is_some_and(|value| value == "true");
    let rules = object.spec.rules.iter().map(|rule| compile.rule(rule));
    Policy { provenance: object.provenance(), action, dry_run, rules: rules.collect() }
}

struct Compile<'a> {
    namespace: &'a str,
    trust_domains: &'a [Arc<str>],
    /// Whether requests are looked at before their tokens are.
    before_tokens: bool,
}

impl Compile<'_> {
    fn rule(&self, rule: &authorization_policy::Rule) -> Rule {
        let mut rule = Rule {
            from: rule.from.iter().filter_map(|from| from.source.as_ref()).map(|source| self.source(source)).collect(),
            to: rule.to.iter().filter_map(|to| to.operation.as_ref()).map(operation).collect(),
            when: rule.when.iter().map(|condition| self.condition(condition)).collect(),
        };
        if self.before_tokens {
            for condition in rule.from.iter_mut().flatten().chain(&mut rule.when) {
                if matches!(condition.attribute, Attribute::RequestPrincipal | Attribute::Claim(_)) {
                    // Nobody can tell yet: rather ask the provider once too often than not at all.
                    condition.attribute = Attribute::Unknown("request.auth".into());
                }
            }
        }
        rule
    }

    fn source(&self, source: &Source) -> Vec<Condition> {
        let accounts = |accounts: &[values::ServiceAccount]| accounts.iter().map(|it| self.account(it)).collect();
        let principals = |list: &[TextMatch]| list.iter().flat_map(|it| self.principal(it)).collect();
        let domains = |list: &[TextMatch]| list.iter().flat_map(|it| self.trust_domain(it)).collect();
        set([
            (Attribute::Principal, principals(&source.principals), principals(&source.not_principals)),
            (Attribute::Namespace, texts(&source.namespaces), texts(&source.not_namespaces)),
            (Attribute::ServiceAccount, accounts(&source.service_accounts), accounts(&source.not_service_accounts)),
            (Attribute::TrustDomain, domains(&source.trust_domains), domains(&source.not_trust_domains)),
            (Attribute::RequestPrincipal, texts(&source.request_principals), texts(&source.not_request_principals)),
            (Attribute::SourceIp, networks(&source.ip_blocks), networks(&source.not_ip_blocks)),
            (Attribute::RemoteIp, networks(&source.remote_ip_blocks), networks(&source.not_remote_ip_blocks)),
        ])
    }

    fn condition(&self, condition: &authorization_policy::Condition) -> Condition {
        type Read<'r> = Box<dyn Fn(&str) -> Vec<ValueMatch> + 'r>;
        let text: fn(&str) -> Vec<ValueMatch> = |value| value.parse().ok().map(|it| one(&it)).into_iter().collect();
        let claim = |name: &str| Attribute::Claim(Arc::from([Box::from(name)]));
        let network = || -> Read<'_> {
            let read = |value: &str| value.parse::<values::IpBlock>().ok().map(|it| ValueMatch::Network(it.get()));
            Box::new(move |value| read(value).into_iter().collect())
        };
        let (attribute, read): (Attribute, Read<'_>) = match &condition.key {
            // What HTTP/2 has instead of a request line.
            values::Attribute::Header(name) if **name == *":authority" || **name == *"host" => {
                let read = |value: &str| value.parse().ok().map(|it| host(&it));
                (Attribute::Host, Box::new(move |value| read(value).into_iter().collect()))
            }
            values::Attribute::Header(name) if **name == *":method" => (Attribute::Method, Box::new(text)),
            values::Attribute::Header(name) if **name == *":path" => (Attribute::Path, Box::new(text)),
            values::Attribute::Header(name) => (Attribute::Header(name.clone()), Box::new(text)),
            values::Attribute::SourceIp => (Attribute::SourceIp, network()),
            values::Attribute::RemoteIp => (Attribute::RemoteIp, network()),
            values::Attribute::DestinationIp => (Attribute::DestinationIp, network()),
            values::Attribute::DestinationPort => {
                let read = |value: &str| value.parse::<values::PortText>().ok().map(|it| ValueMatch::Port(it.0.get()));
                (Attribute::DestinationPort, Box::new(move |value| read(value).into_iter().collect()))
            }
            values::Attribute::SourceNamespace => (Attribute::Namespace, Box::new(text)),
            values::Attribute::SourcePrincipal => {
                let read = |value: &str| value.parse().ok().map(|it| self.principal(&it)).unwrap_or_default();
                (Attribute::Principal, Box::new(read))
            }
            values::Attribute::SourceTrustDomain => {
                let read = |value: &str| value.parse().ok().map(|it| self.trust_domain(&it)).unwrap_or_default();
                (Attribute::TrustDomain, Box::new(read))
            }
            values::Attribute::SourceServiceAccount => {
                let read = |value: &str| value.parse().ok().map(|it| self.account(&it));
                (Attribute::ServiceAccount, Box::new(move |value| read(value).into_iter().collect()))
            }
            values::Attribute::RequestPrincipal => (Attribute::RequestPrincipal, Box::new(text)),
            values::Attribute::Audiences => (claim("aud"), Box::new(text)),
            values::Attribute::Presenter => (claim("azp"), Box::new(text)),
            values::Attribute::Claim(way) => {
                (Attribute::Claim(way.iter().map(|name| name.as_str().into()).collect()), Box::new(text))
            }
            values::Attribute::Sni => (Attribute::ServerName, Box::new(text)),
            unknown @ values::Attribute::EnvoyMetadata { .. } => {
                (Attribute::Unknown(unknown.to_string().into()), Box::new(text))
            }
        };
        let all = |list: &[String]| -> Vec<ValueMatch> { list.iter().flat_map(|value| read(value)).collect() };
        let (values, not_values) = (all(&condition.values), all(&condition.not_values));
        // Validation has refused values that cannot be read. Should one come in another way, the condition is one that nobody
        // can tell to hold.
        let is_whole = (condition.values.is_empty() || !values.is_empty())
            && (condition.not_values.is_empty() || !not_values.is_empty());
        if !is_whole {
            let attribute = Attribute::Unknown(condition.key.to_string().into());
            return Condition { attribute, values: Vec::new(), not_values: Vec::new() };
        }
        Condition { attribute, values, not_values }
    }

    /// A principal of the mesh's own trust domain, whatever that is called.
    fn principal(&self, wanted: &TextMatch) -> Vec<ValueMatch> {
        let renamed = |text: &str, form: fn(Arc<str>) -> TextMatch| -> Option<Vec<ValueMatch>> {
            let (domain, rest) = text.split_once('/')?;
            let names = self.names_of(domain)?;
            Some(names.into_iter().map(|name| one(&form(format!("{name}/{rest}").into()))).collect())
        };
        let several = match wanted {
            TextMatch::Exact(text) => renamed(text, TextMatch::Exact),
            TextMatch::Prefix(text) => renamed(text, TextMatch::Prefix),
            TextMatch::Suffix(_) | TextMatch::Present => None,
        };
        several.unwrap_or_else(|| vec![one(wanted)])
    }

    fn trust_domain(&self, wanted: &TextMatch) -> Vec<ValueMatch> {
        let several = match wanted {
            TextMatch::Exact(domain) => self.names_of(domain),
            TextMatch::Prefix(_) | TextMatch::Suffix(_) | TextMatch::Present => None,
        };
        match several {
            Some(names) => names.into_iter().map(|name| one(&TextMatch::Exact(name))).collect(),
            None => vec![one(wanted)],
        }
    }

    /// Every name of a trust domain, if it is the mesh's own.
    fn names_of(&self, domain: &str) -> Option<Vec<Arc<str>>> {
        let own = domain == DEFAULT_TRUST_DOMAIN || self.trust_domains.iter().any(|name| **name == *domain);
        own.then(|| self.trust_domains.to_vec())
    }

    fn account(&self, account: &values::ServiceAccount) -> ValueMatch {
        let namespace = account.namespace.as_deref().unwrap_or(self.namespace);
        ValueMatch::Text(Text::Exact(format!("{namespace}/{}", account.name).into_bytes().into()))
    }
}

fn operation(operation: &Operation) -> Vec<Condition> {
    let ports = |ports: &[values::PortText]| ports.iter().map(|port| ValueMatch::Port(port.0.get())).collect();
    let paths = |paths: &[values::PathMatch]| paths.iter().map(path).collect();
    let hosts = |hosts: &[TextMatch]| hosts.iter().map(host).collect();
    set([
        (Attribute::Host, hosts(&operation.hosts), hosts(&operation.not_hosts)),
        (Attribute::DestinationPort, ports(&operation.ports), ports(&operation.not_ports)),
        (Attribute::Method, texts(&operation.methods), texts(&operation.not_methods)),
        (Attribute::Path, paths(&operation.paths), paths(&operation.not_paths)),
    ])
}

/// Those conditions that say something.
fn set<const N: usize>(fields: [(Attribute, Vec<ValueMatch>, Vec<ValueMatch>); N]) -> Vec<Condition> {
    let fields = fields.into_iter().filter(|(_, values, not_values)| !values.is_empty() || !not_values.is_empty());
    fields.map(|(attribute, values, not_values)| Condition { attribute, values, not_values }).collect()
}

fn texts(list: &[TextMatch]) -> Vec<ValueMatch> {
    list.iter().map(one).collect()
}

fn networks(list: &[values::IpBlock]) -> Vec<ValueMatch> {
    list.iter().map(|block| ValueMatch::Network(block.get())).collect()
}

fn one(wanted: &TextMatch) -> ValueMatch {
    ValueMatch::Text(text(wanted))
}

pub(super) fn text(wanted: &TextMatch) -> Text {
    let bytes = |text: &str| text.as_bytes().into();
    match wanted {
        TextMatch::Exact(text) => Text::Exact(bytes(text)),
        TextMatch::Prefix(text) => Text::Prefix(bytes(text)),
        TextMatch::Suffix(text) => Text::Suffix(bytes(text)),
        TextMatch::Present => Text::Present,
    }
}

fn path(wanted: &values::PathMatch) -> ValueMatch {
    match wanted {
        values::PathMatch::Text(wanted) => one(wanted),
        values::PathMatch::Template(parts) => {
            let part = |part: &values::TemplatePart| match part {
                values::TemplatePart::Literal(literal) => TemplatePart::Literal(literal.as_bytes().into()),
                values::TemplatePart::Segment => TemplatePart::Segment,
                values::TemplatePart::Rest => TemplatePart::Rest,
            };
            ValueMatch::Template(parts.iter().map(part).collect())
        }
    }
}

/// A host, with `:PORT` or `:*` where the authority has to name a port. A name stands for itself with and without the port and
/// the dot at its end, which requests are compared without.
fn host(wanted: &TextMatch) -> ValueMatch {
    let lower = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let (host, port) = match wanted {
        TextMatch::Exact(whole) => match split_port(whole) {
            Some((host, port)) => (Text::Exact(lower(host).into_bytes().into()), Some(port)),
            None => (Text::Exact(bare(&lower(whole)).as_bytes().into()), None),
        },
        // `host:*` is any port of this one host.
        TextMatch::Prefix(whole) => match whole.strip_suffix(':') {
            Some(host) => (Text::Exact(bare(&lower(host)).as_bytes().into()), None),
            None => (Text::Prefix(whole.to_ascii_lowercase().into_bytes().into()), None),
        },
        TextMatch::Suffix(whole) => match split_port(whole) {
            Some((host, port)) => (Text::Suffix(lower(host).into_bytes().into()), Some(port)),
            None => (Text::Suffix(lower(whole).into_bytes().into()), None),
        },
        TextMatch::Present => (Text::Present, None),
    };
    ValueMatch::Host(HostMatch { host, port })
}

/// `host:8080`, and `[::1]:8080` without its brackets.
fn split_port(whole: &str) -> Option<(&str, u16)> {
    let (host, port) = whole.rsplit_once(':')?;
    let is_address = host.contains(':') && !host.starts_with('[');
    let port = port.parse().ok().filter(|_| !is_address)?;
    Some((bare(host), port))
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
