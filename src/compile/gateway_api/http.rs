//! HTTPRoute and GRPCRoute as rules, in the order in which they are asked.

use std::cmp::Reverse;
use std::time::Duration;

use super::backend::{Target, target};
use super::listeners::{places, service_ports};
use crate::compile::handling::path_text;
use crate::compile::listeners::GatewayWorkload;
use crate::compile::world::{Scope, World};
use crate::model::matching::WholeMatch;
use crate::model::{
    Action, Cors, DirectResponse, Handling, HeaderChanges, HeaderEdits, HostPattern, HttpRule, Mirror, PathRewrite,
    Redirect, RedirectPath, RedirectPort, RequestMatch, RetryCondition, RetryPolicy, Rewrite, Service, Share,
    StringMatch, Substitution, WeightedCluster,
};
use crate::resources::Object;
use crate::resources::gateway_api::filter::{self, HeaderFilter};
use crate::resources::gateway_api::grpc_route::{
    GrpcBackendRef, GrpcMethodMatch, GrpcRouteFilter, GrpcRouteMatch, GrpcRouteRule,
};
use crate::resources::gateway_api::http_route::{
    CorsFilter, HttpBackendRef, HttpRetry, HttpRouteFilter, HttpRouteMatch, HttpRouteRule, PathMatch, PathMatchType,
    PathModifier, PathModifierType, RequestRedirect, Scheme, UrlRewrite, ValueMatchType,
};
use crate::resources::gateway_api::{GRPCRoute, HTTPRoute};

/// How specific a match is: the greater is asked first. Kind and length of the path, whether there is a method, how many headers
/// and query parameters.
type Rank = (u8, usize, bool, usize, usize);

/// A rule and how specific it is.
type Ranked = (Rank, HttpRule);

/// The rules of one host of one port of a gateway.
pub(in crate::compile) fn gateway_rules(
    world: &World,
    workload: &GatewayWorkload,
    port: u16,
    host: &HostPattern,
) -> Vec<HttpRule> {
    let mut found = Vec::new();
    for place in places(world, workload, port, host) {
        for (route, number) in place.routes(world, &world.http_routes) {
            found.extend(http_rules(world, route, Some(number)));
        }
        for (route, _) in place.routes(world, &world.grpc_routes) {
            found.extend(grpc_rules(world, route));
        }
    }
    in_order(found)
}

/// The rules that routes have for a service, as clients of `scope` see them, and the ports that they are for; none where no
/// route names the service.
///
/// Routes of the clients' own namespace go before those of the service's (GAMMA: consumer and producer routes). A port that a
/// route is attached to has no other rules.
pub(in crate::compile) fn service_rules(world: &World, scope: &Scope, service: &Service) -> (Vec<HttpRule>, Vec<u16>) {
    let namespaces = [&*scope.namespace, &*service.namespace];
    for namespace in namespaces {
        let mut found = Vec::new();
        let mut ports = Vec::new();
        for route in world.http_routes.iter().filter(|route| route.meta.namespace == namespace) {
            for port in service_ports(route, service) {
                bound(http_rules(world, route, None), port, &mut found);
                ports.push(port);
            }
        }
        for route in world.grpc_routes.iter().filter(|route| route.meta.namespace == namespace) {
            for port in service_ports(route, service) {
                bound(grpc_rules(world, route), port, &mut found);
                ports.push(port);
            }
        }
        if !ports.is_empty() {
            return (in_order(found), ports);
        }
    }
    (Vec::new(), Vec::new())
}

/// The same rules for requests to one port.
fn bound(rules: Vec<Ranked>, port: u16, found: &mut Vec<Ranked>) {
    found.extend(rules.into_iter().map(|(rank, mut rule)| {
        for conditions in &mut rule.matches {
            conditions.port = Some(port);
        }
        (rank, rule)
    }));
}

/// The most specific first; of equals the oldest route's, in the order in which it has them.
fn in_order(mut rules: Vec<Ranked>) -> Vec<HttpRule> {
    rules.sort_by_key(|(rank, _)| Reverse(*rank));
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// What filters do, whichever kind of route they are of.
#[derive(Default)]
struct Filters<'a> {
    request: Option<&'a HeaderFilter>,
    response: Option<&'a HeaderFilter>,
    mirrors: Vec<&'a filter::Mirror>,
    redirect: Option<&'a RequestRedirect>,
    rewrite: Option<&'a UrlRewrite>,
    cors: Option<&'a CorsFilter>,
    /// There is one that nobody knows, or that would have to be asked for permission.
    unknown: bool,
}

impl<'a> Filters<'a> {
    fn of_http(filters: &'a [HttpRouteFilter]) -> Self {
        let mut all = Self::default();
        for filter in filters {
            all.request = all.request.or(filter.request_header_modifier.as_ref());
            all.response = all.response.or(filter.response_header_modifier.as_ref());
            all.mirrors.extend(&filter.request_mirror);
            all.redirect = all.redirect.or(filter.request_redirect.as_ref());
            all.rewrite = all.rewrite.or(filter.url_rewrite.as_ref());
            all.cors = all.cors.or(filter.cors.as_ref());
            all.unknown |= filter.extension_ref.is_some() || filter.external_auth.is_some();
        }
        all
    }

    fn of_grpc(filters: &'a [GrpcRouteFilter]) -> Self {
        let mut all = Self::default();
        for filter in filters {
            all.request = all.request.or(filter.request_header_modifier.as_ref());
            all.response = all.response.or(filter.response_header_modifier.as_ref());
            all.mirrors.extend(&filter.request_mirror);
            all.unknown |= filter.extension_ref.is_some();
        }
        all
    }

    fn headers(&self) -> HeaderEdits {
        let changes = |filter: Option<&HeaderFilter>| filter.map(header_changes).unwrap_or_default();
        HeaderEdits { request: changes(self.request), response: changes(self.response) }
    }
}

/// A backend, whichever kind of route names it.
struct Backend<'a> {
    target: Target<'a>,
    weight: Option<i32>,
    filters: Filters<'a>,
}

impl<'a> From<&'a HttpBackendRef> for Backend<'a> {
    fn from(backend: &'a HttpBackendRef) -> Self {
        Self { target: target!(backend), weight: backend.weight, filters: Filters::of_http(&backend.filters) }
    }
}

impl<'a> From<&'a GrpcBackendRef> for Backend<'a> {
    fn from(backend: &'a GrpcBackendRef) -> Self {
        Self { target: target!(backend), weight: backend.weight, filters: Filters::of_grpc(&backend.filters) }
    }
}

/// Every backend that requests may go to, copies of them included.
pub(super) fn http_backends(rules: &[HttpRouteRule]) -> Vec<Target<'_>> {
    let mut found = Vec::new();
    for rule in rules {
        found.extend(rule.backend_refs.iter().map(|backend| target!(backend)));
        let filters = rule.filters.iter().chain(rule.backend_refs.iter().flat_map(|backend| &backend.filters));
        let mirrors = filters.filter_map(|filter| filter.request_mirror.as_ref());
        found.extend(mirrors.map(|mirror| target!(mirror.backend_ref)));
    }
    found
}

/// The same of a GRPCRoute.
pub(super) fn grpc_backends(rules: &[GrpcRouteRule]) -> Vec<Target<'_>> {
    let mut found = Vec::new();
    for rule in rules {
        found.extend(rule.backend_refs.iter().map(|backend| target!(backend)));
        let filters = rule.filters.iter().chain(rule.backend_refs.iter().flat_map(|backend| &backend.filters));
        let mirrors = filters.filter_map(|filter| filter.request_mirror.as_ref());
        found.extend(mirrors.map(|mirror| target!(mirror.backend_ref)));
    }
    found
}

/// A route's rule, as far as both kinds have it.
struct Common<'a> {
    world: &'a World,
    kind: &'static str,
    namespace: &'a str,
    filters: Filters<'a>,
    backends: Vec<Backend<'a>>,
    /// The port of the listener, where there is one.
    number: Option<u16>,
}

impl Common<'_> {
    /// What becomes of the requests. A rule without a backend that can be used answers 500, as the Gateway API has it.
    fn action(&self) -> Action {
        let failed = || Action::Respond(DirectResponse { status: 500, body: bytes::Bytes::new() });
        if self.filters.unknown || self.backends.iter().any(|backend| backend.filters.unknown) {
            return failed();
        }
        if let Some(redirect) = self.filters.redirect {
            return Action::Redirect(self.redirect(redirect));
        }
        let mut usable = false;
        let shares = self.backends.iter().filter_map(|backend| {
            let weight = u32::try_from(backend.weight.unwrap_or(1)).ok().filter(|weight| *weight > 0)?;
            let found = backend.target.cluster(self.world, self.kind, self.namespace);
            usable |= found.is_ok();
            let cluster = found.unwrap_or_else(|_| backend.target.nowhere());
            Some(WeightedCluster { headers: backend.filters.headers(), ..WeightedCluster::new(cluster, weight) })
        });
        let shares: Vec<WeightedCluster> = shares.collect();
        if usable { Action::Forward(shares) } else { failed() }
    }

    fn redirect(&self, redirect: &RequestRedirect) -> Redirect {
        let scheme = redirect.scheme.map(Scheme::as_str);
        let port = match (redirect.port, scheme, &redirect.hostname, self.number) {
            (Some(port), ..) => RedirectPort::Number(port.get()),
            (None, Some(_), ..) => RedirectPort::ProtocolDefault,
            // Another host is asked on the listener's port; the same host as the client knows it.
            (None, None, Some(_), Some(number)) => RedirectPort::Number(number),
            (None, None, ..) => RedirectPort::Keep,
        };
        let path = redirect.path.as_ref().map_or(RedirectPath::Keep, |path| match path.modifier_type {
            PathModifierType::ReplaceFullPath => RedirectPath::Replace(path_text(replacement(path))),
            PathModifierType::ReplacePrefixMatch => RedirectPath::Matched(path_text(replacement(path))),
        });
        Redirect {
            path,
            authority: redirect.hostname.as_ref().map(|host| host.as_str().into()),
            port,
            scheme: scheme.map(Into::into),
            status: redirect.status_code.map_or(302, |status| status.get()),
        }
    }

    fn handling(&self) -> Handling {
        let mirrors = self.filters.mirrors.iter().filter_map(|mirror| {
            let reference = &mirror.backend_ref;
            let cluster = target!(reference).cluster(self.world, self.kind, self.namespace).ok()?;
            let share = match (&mirror.percent, &mirror.fraction) {
                (Some(percent), _) => Share::of_hundred(f64::from(*percent)),
                (None, Some(part)) => {
                    let whole = f64::from(part.denominator.unwrap_or(100).max(1));
                    Share::of_hundred(f64::from(part.numerator) * 100.0 / whole)
                }
                (None, None) => Share::ALL,
            };
            (share.millionths() > 0).then_some(Mirror { cluster, share })
        });
        Handling {
            rewrite: self.filters.rewrite.and_then(rewrite),
            headers: self.filters.headers(),
            mirrors: mirrors.collect(),
            cors: self.filters.cors.map(cors),
            ..Handling::default()
        }
    }
}

fn http_rules(world: &World, route: &Object<HTTPRoute>, number: Option<u16>) -> Vec<Ranked> {
    let mut found = Vec::new();
    for (index, rule) in route.spec.rules.iter().enumerate() {
        let common = Common {
            world,
            kind: "HTTPRoute",
            namespace: &route.meta.namespace,
            filters: Filters::of_http(&rule.filters),
            backends: rule.backend_refs.iter().map(Backend::from).collect(),
            number,
        };
        let mut handling = common.handling();
        times(rule, &mut handling);
        let own = HttpRule {
            provenance: route.provenance().with_rule(format!("rules[{index}]")),
            name: rule.name.as_ref().map_or("default", |name| name.as_str()).into(),
            matches: Vec::new(),
            action: common.action(),
            handling,
            tier: 0,
        };
        // No match stands for one on every path.
        let every = [HttpRouteMatch { path: None, headers: Vec::new(), query_params: Vec::new(), method: None }];
        let matches = if rule.matches.is_empty() { every.as_slice() } else { rule.matches.as_slice() };
        for (place, conditions) in matches.iter().enumerate() {
            let place = format!("spec.rules[{index}].matches[{place}]");
            let (rank, conditions) = http_match(conditions, &place);
            found.push((rank, HttpRule { matches: vec![conditions], ..own.clone() }));
        }
    }
    found
}

fn times(rule: &HttpRouteRule, handling: &mut Handling) {
    let time = |span: Option<Duration>| span.filter(|span| !span.is_zero());
    let timeouts = rule.timeouts.as_ref();
    handling.timeout = time(timeouts.and_then(|timeouts| timeouts.request.as_ref()).map(|span| span.get()));
    if let Some(asked) = &rule.retry {
        handling.retry = retry(asked);
    }
    handling.retry.per_try_timeout =
        time(timeouts.and_then(|timeouts| timeouts.backend_request.as_ref()).map(|span| span.get()));
}

fn retry(asked: &HttpRetry) -> RetryPolicy {
    let default = RetryPolicy::default();
    let mut policy = RetryPolicy {
        attempts: asked.attempts.map_or(default.attempts, |attempts| attempts.get()),
        backoff: asked.backoff.as_ref().map_or(default.backoff, |span| span.get()),
        status_codes: asked.codes.iter().map(|status| status.get()).collect(),
        ..default
    };
    // A connection that breaks and a try that takes too long are tried again wherever somebody asks for retries (GEP-1731).
    for condition in [RetryCondition::StatusCodes, RetryCondition::Reset] {
        if !policy.on.contains(&condition) {
            policy.on.push(condition);
        }
    }
    policy
}

fn http_match(conditions: &HttpRouteMatch, place: &str) -> (Rank, RequestMatch) {
    let mut unsupported = Vec::new();
    let mut expression = |field: &str, text: &str| match WholeMatch::new(text) {
        Ok(expression) => StringMatch::Regex(expression),
        Err(_) => {
            // Validation refuses what does not compile; should it come in another way, the match must not hold.
            unsupported.push(format!("{place}.{field}").into());
            StringMatch::Present
        }
    };
    let (path_rank, length, path) = path_match(conditions.path.as_ref(), &mut expression);
    let mut value = |field: &str, how: Option<ValueMatchType>, text: &str| match how.unwrap_or(ValueMatchType::Exact) {
        ValueMatchType::Exact => StringMatch::Exact(text.as_bytes().into()),
        ValueMatchType::RegularExpression => expression(field, text),
    };
    let headers: Vec<(Box<str>, StringMatch)> = conditions
        .headers
        .iter()
        .map(|header| {
            let name = header.name.as_str().to_ascii_lowercase().into();
            (name, value("headers", header.match_type, header.value.as_str()))
        })
        .collect();
    let query: Vec<(Box<str>, StringMatch)> = conditions
        .query_params
        .iter()
        .map(|query| (query.name.as_str().into(), value("queryParams", query.match_type, query.value.as_str())))
        .collect();
    let rank = (path_rank, length, conditions.method.is_some(), headers.len(), query.len());
    let method = conditions.method.map(|method| StringMatch::Exact(method.as_str().as_bytes().into()));
    (rank, RequestMatch { path: Some(path), method, query, headers, unsupported, ..RequestMatch::default() })
}

fn path_match(
    path: Option<&PathMatch>,
    expression: &mut dyn FnMut(&str, &str) -> StringMatch,
) -> (u8, usize, StringMatch) {
    let text = path.and_then(|path| path.value.as_ref()).map_or("/", |value| value.as_str());
    match path.and_then(|path| path.match_type).unwrap_or(PathMatchType::PathPrefix) {
        PathMatchType::Exact => (3, text.len(), StringMatch::Exact(text.as_bytes().into())),
        PathMatchType::PathPrefix => (2, text.len(), StringMatch::segments(text)),
        PathMatchType::RegularExpression => (1, text.len(), expression("path", text)),
    }
}

fn grpc_rules(world: &World, route: &Object<GRPCRoute>) -> Vec<Ranked> {
    let mut found = Vec::new();
    for (index, rule) in route.spec.rules.iter().enumerate() {
        let common = Common {
            world,
            kind: "GRPCRoute",
            namespace: &route.meta.namespace,
            filters: Filters::of_grpc(&rule.filters),
            backends: rule.backend_refs.iter().map(Backend::from).collect(),
            number: None,
        };
        let own = HttpRule {
            provenance: route.provenance().with_rule(format!("rules[{index}]")),
            name: rule.name.as_ref().map_or("default", |name| name.as_str()).into(),
            matches: Vec::new(),
            action: common.action(),
            handling: common.handling(),
            tier: 0,
        };
        let every = [GrpcRouteMatch { method: None, headers: Vec::new() }];
        let matches = if rule.matches.is_empty() { every.as_slice() } else { rule.matches.as_slice() };
        for (place, conditions) in matches.iter().enumerate() {
            let (rank, conditions) = grpc_match(conditions, &format!("spec.rules[{index}].matches[{place}]"));
            found.push((rank, HttpRule { matches: vec![conditions], ..own.clone() }));
        }
    }
    found
}

fn grpc_match(conditions: &GrpcRouteMatch, place: &str) -> (Rank, RequestMatch) {
    let mut unsupported = Vec::new();
    let mut expression = |field: &str, text: &str| match WholeMatch::new(text) {
        Ok(expression) => StringMatch::Regex(expression),
        Err(_) => {
            unsupported.push(format!("{place}.{field}").into());
            StringMatch::Present
        }
    };
    let path = conditions.method.as_ref().map(|method| method_path(method, &mut expression));
    let headers: Vec<(Box<str>, StringMatch)> = conditions
        .headers
        .iter()
        .map(|header| {
            let text = header.value.as_str();
            let value = match header.match_type {
                Some(ValueMatchType::RegularExpression) => expression("headers", text),
                _ => StringMatch::Exact(text.as_bytes().into()),
            };
            (header.name.as_str().to_ascii_lowercase().into(), value)
        })
        .collect();
    let length = |text: Option<&str>| text.map_or(0, str::len);
    let method = conditions.method.as_ref();
    // Characters of the service before those of the method.
    let rank = (
        u8::from(method.is_some()) * 3,
        length(method.and_then(|m| m.service.as_ref()).map(|text| text.as_str())) * 2048
            + length(method.and_then(|m| m.method.as_ref()).map(|text| text.as_str())),
        false,
        headers.len(),
        0,
    );
    (rank, RequestMatch { path, headers, unsupported, ..RequestMatch::default() })
}

/// The path of a call is `/service/method`.
fn method_path(method: &GrpcMethodMatch, expression: &mut dyn FnMut(&str, &str) -> StringMatch) -> StringMatch {
    let service = method.service.as_ref().map(|text| text.as_str());
    let name = method.method.as_ref().map(|text| text.as_str());
    let is_expression = method.match_type == Some(ValueMatchType::RegularExpression);
    match (service, name) {
        (Some(service), Some(name)) if !is_expression => {
            StringMatch::Exact(format!("/{service}/{name}").into_bytes().into())
        }
        (Some(service), None) if !is_expression => StringMatch::Prefix(format!("/{service}/").into_bytes().into()),
        (None, Some(name)) if !is_expression => expression("method", &format!("/[^/]+/{name}")),
        (None, None) => StringMatch::segments("/"),
        (service, name) => {
            let part = |text: Option<&str>| text.map_or_else(|| "[^/]+".to_owned(), |text| format!("(?:{text})"));
            expression("method", &format!("/{}/{}", part(service), part(name)))
        }
    }
}

fn header_changes(filter: &HeaderFilter) -> HeaderChanges {
    let named = |headers: &[filter::Header]| {
        let lowered = headers.iter().map(|header| {
            let name: Box<str> = header.name.as_str().to_ascii_lowercase().into();
            (name, header.value.as_str().into())
        });
        lowered.filter(|(name, _)| HeaderChanges::permits(name)).collect()
    };
    let removed = filter.remove.iter().map(|name| name.to_ascii_lowercase());
    HeaderChanges {
        remove: removed.filter(|name: &String| HeaderChanges::permits(name)).map(Into::into).collect(),
        set: named(&filter.set),
        add: named(&filter.add),
    }
}

/// What takes the place of the path, or of the segments that were matched.
fn replacement(path: &PathModifier) -> &str {
    let text = match path.modifier_type {
        PathModifierType::ReplaceFullPath => &path.replace_full_path,
        PathModifierType::ReplacePrefixMatch => &path.replace_prefix_match,
    };
    text.as_ref().map_or("", |text| text.as_str())
}

fn rewrite(asked: &UrlRewrite) -> Option<Rewrite> {
    let authority = asked.hostname.as_ref().map(|host| host.as_str().into());
    let path = asked.path.as_ref().and_then(|path| match path.modifier_type {
        PathModifierType::ReplacePrefixMatch => Some(PathRewrite::Matched(path_text(replacement(path)))),
        PathModifierType::ReplaceFullPath => {
            let text = path_text(replacement(path)).replace('\\', "%5C");
            Substitution::new(r"(?s)\A.*\z", &text).ok().map(PathRewrite::Regex)
        }
    });
    (authority.is_some() || path.is_some()).then_some(Rewrite { authority, path })
}

fn cors(filter: &CorsFilter) -> Cors {
    let origin = |text: &str| match text.split_once('*') {
        // The mesh's own sign for every origin.
        Some(_) if text == "*" => Some(StringMatch::Exact(text.as_bytes().into())),
        Some((before, after)) => {
            let expression = format!("{}.+{}", regex::escape(before), regex::escape(after));
            WholeMatch::new(&expression).ok().map(StringMatch::Regex)
        }
        None => Some(StringMatch::Exact(text.as_bytes().into())),
    };
    Cors {
        origins: filter.allow_origins.iter().filter_map(|text| origin(text.as_str())).collect(),
        methods: joined(filter.allow_methods.iter().map(|method| method.as_str())),
        headers: joined(filter.allow_headers.iter().map(|name| name.as_str())),
        expose: joined(filter.expose_headers.iter().map(|name| name.as_str())),
        max_age: Some(filter.max_age.and_then(|age| u64::try_from(age).ok()).unwrap_or(5)),
        credentials: filter.allow_credentials == Some(true),
        forwards_unmatched: false,
    }
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> Box<str> {
    names.collect::<Vec<_>>().join(",").into()
}
