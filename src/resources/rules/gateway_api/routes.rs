//! The rules of routes.

use std::collections::HashSet;

use super::needs_port;
use crate::resources::field::{Cx, Field};
use crate::resources::gateway_api::filter::{Fraction, Mirror};
use crate::resources::gateway_api::grpc_route::{
    GRPCRoute, GrpcBackendRef, GrpcFilterType, GrpcHeaderMatch, GrpcMethodMatch, GrpcRouteFilter, GrpcRouteRule,
};
use crate::resources::gateway_api::http_route::{
    AuthProtocol, CorsFilter, CorsMethod, ExternalAuth, HTTPRoute, HeaderMatch, HttpBackendRef, HttpFilterType,
    HttpRouteFilter, HttpRouteRule, HttpTimeouts, PathMatch, PathMatchType, PathModifier, PathModifierType, QueryMatch,
    ValueMatchType,
};
use crate::resources::gateway_api::reference::ParentRef;
use crate::resources::gateway_api::session::{CookieLifetime, SessionPersistence, SessionType};
use crate::resources::gateway_api::stream_route::{TCPRoute, TLSRoute, UDPRoute};
use crate::resources::gateway_api::text::{Hostname, SectionName, is_path_text};
use crate::resources::suggest::shortened;
use crate::resources::values::Pattern;

/// The most matches that the rules of a route can have together.
const MAX_MATCHES: usize = 128;

pub(in crate::resources) fn http_route(route: &HTTPRoute, cx: &mut Cx) {
    parents(&route.parent_refs, cx);
    rules(route.rules.iter().map(|rule| (&rule.name, rule.matches.len())), cx);
}

pub(in crate::resources) fn grpc_route(route: &GRPCRoute, cx: &mut Cx) {
    parents(&route.parent_refs, cx);
    rules(route.rules.iter().map(|rule| (&rule.name, rule.matches.len())), cx);
}

pub(in crate::resources) fn tls_route(route: &TLSRoute, cx: &mut Cx) {
    parents(&route.parent_refs, cx);
    cx.at("hostnames", |cx| {
        for (index, host) in route.hostnames.iter().map(Hostname::as_str).enumerate() {
            if host.parse::<std::net::IpAddr>().is_ok() {
                cx.at_index(index, |cx| cx.error("is an IP address, which no connection has as its server name"));
            }
        }
    });
}

pub(in crate::resources) fn tcp_route(route: &TCPRoute, cx: &mut Cx) {
    parents(&route.parent_refs, cx);
}

pub(in crate::resources) fn udp_route(route: &UDPRoute, cx: &mut Cx) {
    parents(&route.parent_refs, cx);
}

/// Several references to one parent name different parts of it.
fn parents(parents: &[ParentRef], cx: &mut Cx) {
    cx.at("parentRefs", |cx| {
        for (index, parent) in parents.iter().enumerate() {
            let is_same = |other: &&ParentRef| {
                other.names(parent.group(), parent.kind())
                    && other.name == parent.name
                    && other.namespace == parent.namespace
            };
            for other in parents.iter().take(index).filter(is_same) {
                let fault = if (&other.section_name, other.port) == (&parent.section_name, parent.port) {
                    "is listed before: remove one"
                } else if (other.section_name.is_none(), other.port.is_none())
                    != (parent.section_name.is_none(), parent.port.is_none())
                {
                    "names a parent that is named before in another way: use `sectionName` or `port` in both"
                } else {
                    continue;
                };
                cx.at_index(index, |cx| cx.error(fault));
                break;
            }
        }
    });
}

fn rules<'r>(rules: impl Iterator<Item = (&'r Option<SectionName>, usize)>, cx: &mut Cx) {
    let mut names = HashSet::new();
    let mut matches = 0;
    for (index, (name, count)) in rules.enumerate() {
        matches += count;
        if name.as_ref().is_some_and(|name| !names.insert(name)) {
            cx.at("rules", |cx| {
                cx.at_index(index, |cx| cx.error_at("name", "is the name of a rule before: change it"));
            });
        }
    }
    if matches > MAX_MATCHES {
        cx.error_at("rules", format!("have {matches} matches together, and can have at most {MAX_MATCHES}"));
    }
}

pub(in crate::resources) fn http_rule(rule: &HttpRouteRule, cx: &mut Cx) {
    let of_backends = rule.backend_refs.iter().flat_map(|backend| &backend.filters);
    let has_redirect = rule.filters.iter().any(|filter| filter.request_redirect.is_some());
    if has_redirect && !rule.backend_refs.is_empty() {
        cx.error_at("backendRefs", "get no requests, for the rule redirects them: remove them, or the redirect");
    }
    let replaces_prefix = rule.filters.iter().chain(of_backends).any(|filter| {
        let rewrite = filter.url_rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref());
        let redirect = filter.request_redirect.as_ref().and_then(|redirect| redirect.path.as_ref());
        rewrite.or(redirect).is_some_and(|path| path.modifier_type == PathModifierType::ReplacePrefixMatch)
    });
    let matches_one_prefix = match rule.matches.as_slice() {
        [only] => only.path.as_ref().is_none_or(|path| path.match_type.is_none_or(|t| t == PathMatchType::PathPrefix)),
        // What is absent is a match on the prefix `/`.
        [] => true,
        _ => false,
    };
    if replaces_prefix && !matches_one_prefix {
        cx.error_at(
            "matches",
            "has to be one match on a PathPrefix, for a filter replaces the prefix that was matched",
        );
    }
    http_filters(&rule.filters, cx);
}

pub(in crate::resources) fn http_backend(backend: &HttpBackendRef, cx: &mut Cx) {
    needs_port(backend.group.as_ref(), backend.kind.as_ref(), backend.port, cx);
    http_filters(&backend.filters, cx);
}

fn http_filters(filters: &[HttpRouteFilter], cx: &mut Cx) {
    let of = |wanted: HttpFilterType| filters.iter().filter(move |filter| filter.filter_type == wanted).count();
    cx.at("filters", |cx| {
        use HttpFilterType::{Cors, RequestHeaderModifier, RequestRedirect, ResponseHeaderModifier, UrlRewrite};
        for once in [Cors, RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect, UrlRewrite] {
            if of(once) > 1 {
                cx.error(format!("has {once} several times, and can have it once: put them together"));
            }
        }
        if of(RequestRedirect) > 0 && of(UrlRewrite) > 0 {
            cx.error("has RequestRedirect and URLRewrite, and only one of them can be: remove one");
        }
    });
}

/// Which of a filter's fields has to be there, and which are.
fn only_its_own(filter_type: &str, fields: &[(&str, &str, bool)], cx: &mut Cx) {
    for (of, field, present) in fields {
        if *of == filter_type && !present {
            cx.error_at(field, format!("is required with the type {filter_type}: add it"));
        } else if *of != filter_type && *present {
            cx.error_at(field, format!("cannot be set with the type {filter_type}: remove it"));
        }
    }
}

pub(in crate::resources) fn http_filter(filter: &HttpRouteFilter, cx: &mut Cx) {
    let fields = [
        ("RequestHeaderModifier", "requestHeaderModifier", filter.request_header_modifier.is_some()),
        ("ResponseHeaderModifier", "responseHeaderModifier", filter.response_header_modifier.is_some()),
        ("RequestMirror", "requestMirror", filter.request_mirror.is_some()),
        ("RequestRedirect", "requestRedirect", filter.request_redirect.is_some()),
        ("URLRewrite", "urlRewrite", filter.url_rewrite.is_some()),
        ("CORS", "cors", filter.cors.is_some()),
        ("ExternalAuth", "externalAuth", filter.external_auth.is_some()),
        ("ExtensionRef", "extensionRef", filter.extension_ref.is_some()),
    ];
    only_its_own(filter.filter_type.as_str(), &fields, cx);
}

pub(in crate::resources) fn path_match(path: &PathMatch, cx: &mut Cx) {
    let value = path.value.as_ref().map_or("/", |value| value.as_str());
    let fault = match path.match_type.unwrap_or(PathMatchType::PathPrefix) {
        PathMatchType::RegularExpression => {
            expression("value", value, cx);
            return;
        }
        _ if !value.starts_with('/') => "has to start with `/`",
        _ if value.contains("//") => "has `//`, which no path has when rules are asked",
        _ if value.split('/').any(|segment| matches!(segment, "." | "..")) => {
            "has `.` or `..` as a segment, which no path has when rules are asked"
        }
        _ if value.contains("%2f") || value.contains("%2F") => "has an encoded `/`",
        _ if value.contains('#') => "has `#`, which no request's path has",
        _ if !is_path_text(value) => "has characters that a path cannot have: encode them with `%`",
        _ => return,
    };
    cx.error_at("value", format!("{fault}: {:?}", shortened(value)));
}

/// An expression that the proxy can use.
fn expression(field: &str, text: &str, cx: &mut Cx) {
    cx.at(field, |cx| {
        // What is wrong with it is said by the type.
        let _ = Pattern::decode(&text.into(), cx);
    });
}

pub(in crate::resources) fn header_match(header: &HeaderMatch, cx: &mut Cx) {
    if header.match_type == Some(ValueMatchType::RegularExpression) {
        expression("value", header.value.as_str(), cx);
    }
}

pub(in crate::resources) fn query_match(query: &QueryMatch, cx: &mut Cx) {
    if query.match_type == Some(ValueMatchType::RegularExpression) {
        expression("value", query.value.as_str(), cx);
    }
}

pub(in crate::resources) fn grpc_header(header: &GrpcHeaderMatch, cx: &mut Cx) {
    if header.match_type == Some(ValueMatchType::RegularExpression) {
        expression("value", header.value.as_str(), cx);
    }
}

pub(in crate::resources) fn path_modifier(path: &PathModifier, cx: &mut Cx) {
    let fields = [
        ("ReplaceFullPath", "replaceFullPath", path.replace_full_path.is_some()),
        ("ReplacePrefixMatch", "replacePrefixMatch", path.replace_prefix_match.is_some()),
    ];
    only_its_own(path.modifier_type.as_str(), &fields, cx);
}

pub(in crate::resources) fn mirror(mirror: &Mirror, cx: &mut Cx) {
    if mirror.percent.is_some() && mirror.fraction.is_some() {
        cx.error("has both `percent` and `fraction`, and only one of them can be: remove one");
    }
}

pub(in crate::resources) fn fraction(fraction: &Fraction, cx: &mut Cx) {
    let denominator = fraction.denominator.unwrap_or(100);
    if fraction.numerator > denominator {
        cx.error_at(
            "numerator",
            format!("is {}, and can be at most the denominator, {denominator}", fraction.numerator),
        );
    }
}

pub(in crate::resources) fn cors(cors: &CorsFilter, cx: &mut Cx) {
    let stars = [
        ("allowOrigins", cors.allow_origins.len(), cors.allow_origins.iter().any(|origin| origin.as_str() == "*")),
        ("allowMethods", cors.allow_methods.len(), cors.allow_methods.contains(&CorsMethod::Any)),
        ("allowHeaders", cors.allow_headers.len(), cors.allow_headers.iter().any(|name| name.as_str() == "*")),
    ];
    for (field, count, star) in stars {
        if star && count > 1 {
            cx.error_at(field, "has `*`, which is every one, beside others: keep one or the other");
        }
    }
}

pub(in crate::resources) fn external_auth(auth: &ExternalAuth, cx: &mut Cx) {
    let fields = [("GRPC", "grpc", auth.grpc.is_some()), ("HTTP", "http", auth.http.is_some())];
    let protocol = match auth.protocol {
        AuthProtocol::Grpc => "GRPC",
        AuthProtocol::Http => "HTTP",
    };
    only_its_own(protocol, &fields, cx);
}

pub(in crate::resources) fn timeouts(timeouts: &HttpTimeouts, cx: &mut Cx) {
    if let (Some(request), Some(one)) = (&timeouts.request, &timeouts.backend_request)
        && !request.get().is_zero()
        && one.get() > request.get()
    {
        cx.error_at("backendRequest", format!("is longer than the whole request may take, {request}: shorten it"));
    }
}

pub(in crate::resources) fn session(session: &SessionPersistence, cx: &mut Cx) {
    let kind = session.session_type.unwrap_or(SessionType::Cookie);
    if session.header.is_some() != (kind == SessionType::Header) {
        cx.error_at("header", "goes with the type Header, and that with it");
    }
    if session.cookie.is_some() && kind != SessionType::Cookie {
        cx.error_at("cookie", "cannot be set with the type Header: remove it");
    }
    let lifetime = session.cookie.as_ref().and_then(|cookie| cookie.lifetime_type);
    if lifetime == Some(CookieLifetime::Permanent) && session.absolute_timeout.is_none() {
        cx.error_at("absoluteTimeout", "is required where the cookie is permanent: add it");
    }
}

pub(in crate::resources) fn grpc_rule(rule: &GrpcRouteRule, cx: &mut Cx) {
    grpc_filters(&rule.filters, cx);
}

pub(in crate::resources) fn grpc_backend(backend: &GrpcBackendRef, cx: &mut Cx) {
    needs_port(backend.group.as_ref(), backend.kind.as_ref(), backend.port, cx);
    grpc_filters(&backend.filters, cx);
}

fn grpc_filters(filters: &[GrpcRouteFilter], cx: &mut Cx) {
    cx.at("filters", |cx| {
        for once in [GrpcFilterType::RequestHeaderModifier, GrpcFilterType::ResponseHeaderModifier] {
            if filters.iter().filter(|filter| filter.filter_type == once).count() > 1 {
                cx.error(format!("has {once} several times, and can have it once: put them together"));
            }
        }
    });
}

pub(in crate::resources) fn grpc_filter(filter: &GrpcRouteFilter, cx: &mut Cx) {
    let fields = [
        ("RequestHeaderModifier", "requestHeaderModifier", filter.request_header_modifier.is_some()),
        ("ResponseHeaderModifier", "responseHeaderModifier", filter.response_header_modifier.is_some()),
        ("RequestMirror", "requestMirror", filter.request_mirror.is_some()),
        ("ExtensionRef", "extensionRef", filter.extension_ref.is_some()),
    ];
    only_its_own(filter.filter_type.as_str(), &fields, cx);
}

pub(in crate::resources) fn grpc_method(method: &GrpcMethodMatch, cx: &mut Cx) {
    let (service, name) = (method.service.as_ref(), method.method.as_ref());
    if service.is_none() && name.is_none() {
        cx.error("names neither `service` nor `method`: add one of them");
    }
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for (field, text) in [("service", service), ("method", name)] {
        let Some(text) = text.map(|text| text.as_str()) else { continue };
        if method.match_type == Some(ValueMatchType::RegularExpression) {
            expression(field, text, cx);
            continue;
        }
        let fine = match field {
            "service" => text.strip_prefix('.').unwrap_or(text).split('.').all(is_word),
            _ => is_word(text),
        };
        if !fine {
            cx.error_at(field, format!("is no {field} of gRPC: {:?}", shortened(text)));
        }
    }
}
