//! The RequestAuthentications that apply to a workload.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::compile::selection::is_attached;
use crate::compile::world::World;
use crate::model::Workload;
use crate::model::token::{ClaimHeader, KeySet, Place, TokenRule};
use crate::resources::request_authentication::{JwtRule, Presence};
use crate::resources::{Object, Provenance, RequestAuthentication};

/// Where an issuer's keys come from, if they are not written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// This URL.
    Uri(Arc<str>),
    /// The URL that the issuer's OpenID configuration names.
    Discovery(Arc<str>),
}

/// How long fetching keys may take where no rule says it (Istio's default).
const FETCH: Duration = Duration::from_secs(5);

/// The longest that a rule may allow: who does not answer keeps others waiting.
const LONGEST_FETCH: Duration = Duration::from_secs(60);

/// Every source of keys that a RequestAuthentication names, and how long fetching them may take: as long as the most patient rule
/// says.
pub fn key_sources(world: &World) -> BTreeMap<KeySource, Duration> {
    let mut sources = BTreeMap::new();
    for rule in world.request_authentications.iter().flat_map(|object| &object.spec.jwt_rules) {
        let Some(source) = key_source(rule) else { continue };
        let allowed = rule.timeout.map_or(FETCH, |timeout| timeout.get().min(LONGEST_FETCH));
        let longest = sources.entry(source).or_insert(allowed);
        *longest = allowed.max(*longest);
    }
    sources
}

/// The rules of a workload, ordered by issuer, so that the order in which objects were made decides nothing.
///
/// Keys that are not known, because they could not be fetched or are not there yet, are an empty set: such a rule believes nobody.
pub fn token_rules(world: &World, workload: &Workload) -> Vec<TokenRule> {
    let mut rules: Vec<TokenRule> = applying(world, workload).flat_map(|object| rules(world, object)).collect();
    // Stable: of one issuer's rules the older object's come first.
    rules.sort_by(|a, b| a.issuer.cmp(&b.issuer));
    rules
}

/// Where the keys come from of those whose tokens a workload believes.
pub fn key_sources_of(world: &World, workload: &Workload) -> BTreeSet<KeySource> {
    applying(world, workload).flat_map(|object| &object.spec.jwt_rules).filter_map(key_source).collect()
}

fn applying<'w>(
    world: &'w World,
    workload: &'w Workload,
) -> impl Iterator<Item = &'w Arc<Object<RequestAuthentication>>> {
    world.request_authentications.iter().filter(move |object| {
        let spec = &object.spec;
        let targets = (spec.target_ref.as_ref(), spec.target_refs.as_slice());
        is_attached(world, object, spec.selector.as_ref(), targets, workload)
    })
}

fn rules<'w>(world: &'w World, object: &'w Object<RequestAuthentication>) -> impl Iterator<Item = TokenRule> + 'w {
    let provenance = object.provenance();
    let numbered = object.spec.jwt_rules.iter().enumerate();
    numbered.map(move |(index, jwt)| rule(world, jwt, provenance.clone().with_rule(format!("jwtRules[{index}]"))))
}

fn rule(world: &World, jwt: &JwtRule, provenance: Provenance) -> TokenRule {
    let keys = match (&jwt.jwks, key_source(jwt)) {
        (Some(keys), _) => Arc::from(keys.as_str()),
        (None, Some(source)) => world.keys.get(&source).cloned().unwrap_or_default(),
        (None, None) => Arc::default(),
    };
    let lower = |name: &str| Arc::<str>::from(name.to_ascii_lowercase());
    let way = |claim: &str| -> Arc<[Box<str>]> { claim.split('.').map(Box::from).collect() };
    TokenRule {
        provenance,
        issuer: jwt.issuer.as_deref().unwrap_or_default().into(),
        audiences: jwt.audiences.iter().map(|audience| audience.as_str().into()).collect(),
        keys: KeySet::parse(keys),
        places: places(jwt),
        forward: jwt.forward_original_token.unwrap_or(false),
        payload_header: jwt.output_payload_to_header.as_deref().filter(|name| !name.is_empty()).map(lower),
        claim_headers: jwt
            .output_claim_to_headers
            .iter()
            .map(|output| ClaimHeader { header: lower(&output.header), claim: way(&output.claim) })
            .collect(),
        space_delimited: jwt.space_delimited_claims.iter().map(|name| name.as_str().into()).collect(),
        required: jwt.presence == Some(Presence::Required),
        fetched: key_source(jwt).is_some(),
    }
}

/// The places that are named; `Authorization: Bearer` and the parameter `access_token` where none is.
fn places(jwt: &JwtRule) -> Vec<Place> {
    let headers = jwt.from_headers.iter().map(|header| Place::Header {
        name: header.name.to_ascii_lowercase().into(),
        prefix: header.prefix.as_deref().unwrap_or_default().into(),
    });
    let parameters = jwt.from_params.iter().map(|name| Place::Parameter(name.as_str().into()));
    let cookies = jwt.from_cookies.iter().map(|name| Place::Cookie(name.as_str().into()));
    let named: Vec<Place> = headers.chain(parameters).chain(cookies).collect();
    if named.is_empty() {
        let bearer = Place::Header { name: "authorization".into(), prefix: "Bearer ".into() };
        return vec![bearer, Place::Parameter("access_token".into())];
    }
    named
}

fn key_source(jwt: &JwtRule) -> Option<KeySource> {
    if jwt.jwks.is_some() {
        return None;
    }
    match jwt.jwks_uri.as_ref().or(jwt.jwks_uri_old.as_ref()) {
        Some(uri) => Some(KeySource::Uri(uri.as_str().into())),
        None => Some(KeySource::Discovery(jwt.issuer.as_deref()?.into())),
    }
}
