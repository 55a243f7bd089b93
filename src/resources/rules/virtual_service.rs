//! VirtualService.

use std::collections::{BTreeMap, HashMap};

use crate::resources::authorization_values::routed_claim;
use crate::resources::field::{Cx, Field};
use crate::resources::hosts::{HostSet, overlaps};
use crate::resources::suggest;
use crate::resources::values::{GatewayRef, Host, StringMatch, is_lower_label};
use crate::resources::virtual_service::{
    Abort, CorsPolicy, Delay, Delegate, Destination, DirectResponse, FIXED_HEADERS, Fault, HeaderChanges, Headers,
    HttpMatch, HttpRoute, Percent, PortSelector, Redirect, RegexRewrite, Retries, Rewrite, TcpMatch, TcpRoute,
    TlsMatch, TlsRoute, VirtualService,
};

/// The most bytes of a direct response's body.
const MAX_BODY: usize = 1 << 20;

/// From how many bytes on the author of a direct response is warned.
const LARGE_BODY: usize = 100 << 10;

const RETRY_ON: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// The names of gRPC's statuses; a name's place is its number.
pub const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

pub(in crate::resources) fn virtual_service(service: &VirtualService, cx: &mut Cx) {
    let for_mesh = service.gateways.is_empty() || service.gateways.contains(&GatewayRef::Mesh);
    if service.hosts.is_empty() {
        delegate_root(service, cx);
    } else if for_mesh {
        for (index, _) in service.hosts.iter().enumerate().filter(|(_, host)| host.as_str() == "*") {
            cx.at("hosts", |cx| {
                cx.at_index(index, |cx| {
                    cx.error("cannot be `*` for sidecars: name the hosts, or set gateways to those of the edge");
                });
            });
        }
    }
    overlapping_hosts(&service.hosts, cx);
    if service.http.is_empty() && service.tls.is_empty() && service.tcp.is_empty() {
        cx.error("has no rules: set http, tls or tcp");
    }
    if for_mesh {
        claims_at_sidecars(service, cx);
    }
    for (index, route) in service.http.iter().enumerate() {
        cx.at("http", |cx| {
            cx.at_index(index, |cx| {
                if route.delegate.is_some() && service.hosts.is_empty() {
                    cx.error_at("delegate", "cannot be in a VirtualService without hosts, which is a delegate itself");
                }
            });
        });
    }
    let hosts = HostSet::new(&service.hosts);
    for (index, route) in service.tls.iter().enumerate() {
        cx.at("tls", |cx| cx.at_index(index, |cx| sni_hosts(route, &hosts, cx)));
    }
    super::export_to(&service.export_to, cx);
    unreachable(&service.http, cx);
}

/// Without hosts, a VirtualService is for others to delegate to.
fn delegate_root(service: &VirtualService, cx: &mut Cx) {
    const WHY: &str = "cannot be set without hosts, since the VirtualService that delegates to this one decides it: \
                       add hosts, or remove it";
    for (name, empty) in
        [("gateways", service.gateways.is_empty()), ("tls", service.tls.is_empty()), ("tcp", service.tcp.is_empty())]
    {
        if !empty {
            cx.error_at(name, WHY);
        }
    }
}

fn overlapping_hosts(hosts: &[Host], cx: &mut Cx) {
    for (later, earlier) in overlaps(hosts) {
        let (Some(host), Some(other)) = (hosts.get(later), hosts.get(earlier)) else { continue };
        cx.at("hosts", |cx| {
            cx.at_index(later, |cx| {
                cx.error(format!("is {host}, which overlaps {other} before it: remove one of the two"));
            });
        });
    }
}

fn claims_at_sidecars(service: &VirtualService, cx: &mut Cx) {
    for (rule, route) in service.http.iter().enumerate() {
        for (index, conditions) in route.matches.iter().enumerate() {
            for (field, headers) in [("headers", &conditions.headers), ("withoutHeaders", &conditions.without_headers)]
            {
                for key in headers.keys().filter(|key| routed_claim(key).is_some()) {
                    let path = |cx: &mut Cx| {
                        cx.at(field, |cx| {
                            cx.error_at(key, "matches a JWT's claim, which only gateways can: set gateways");
                        });
                    };
                    cx.at("http", |cx| cx.at_index(rule, |cx| cx.at("match", |cx| cx.at_index(index, path))));
                }
            }
        }
    }
}

fn sni_hosts(route: &TlsRoute, hosts: &HostSet<'_>, cx: &mut Cx) {
    for (index, conditions) in route.matches.iter().enumerate() {
        for (position, sni) in conditions.sni_hosts.iter().enumerate() {
            let within = hosts.covering(sni).next().is_some();
            cx.at("match", |cx| {
                cx.at_index(index, |cx| {
                    cx.at("sniHosts", |cx| {
                        cx.at_index(position, |cx| {
                            if sni.is_ip() {
                                cx.warn(format!("is the address {sni}, which clients do not send as a server name"));
                            } else if !within {
                                cx.error(format!(
                                    "is {sni}, which no host of the VirtualService covers: add it to hosts"
                                ));
                            }
                        });
                    });
                });
            });
        }
    }
}

/// Rules that no request reaches, because rules before them take it.
fn unreachable(rules: &[HttpRoute], cx: &mut Cx) {
    let mut catch_all = None;
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (rule, route) in rules.iter().enumerate() {
        if let Some(earlier) = catch_all {
            cx.at("http", |cx| {
                cx.at_index(rule, |cx| {
                    cx.warn(format!("is never reached: http[{earlier}] has no match and takes every request"));
                });
            });
            continue;
        }
        if route.matches.is_empty() {
            catch_all = Some(rule);
            continue;
        }
        for (index, conditions) in route.matches.iter().enumerate() {
            let anonymous = HttpMatch { name: None, ..conditions.clone() };
            let Some(key) = anonymous.encode().map(|value| value.to_string()) else { continue };
            if let Some(earlier) = seen.insert(key, rule) {
                cx.at("http", |cx| {
                    cx.at_index(rule, |cx| {
                        cx.at("match", |cx| {
                            cx.at_index(index, |cx| {
                                cx.warn(format!("is never reached: http[{earlier}] has the same match"));
                            });
                        });
                    });
                });
            }
        }
    }
}

pub(in crate::resources) fn http_route(route: &HttpRoute, cx: &mut Cx) {
    let actions = [
        ("route", !route.route.is_empty()),
        ("redirect", route.redirect.is_some()),
        ("directResponse", route.direct_response.is_some()),
        ("delegate", route.delegate.is_some()),
    ];
    let mut set = actions.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    match (set.next(), set.next()) {
        (None, _) => cx.error("says nothing about where requests go: add route, redirect, directResponse or delegate"),
        (Some(first), Some(second)) => {
            cx.error(format!("has both `{first}` and `{second}`, and only one of them can be: remove one"));
        }
        (Some("redirect"), None) => {
            for (name, set) in [("fault", route.fault.is_some()), ("rewrite", route.rewrite.is_some())] {
                if set {
                    cx.error_at(name, "cannot be set with redirect: remove one of the two");
                }
            }
        }
        (Some("directResponse"), None) if route.rewrite.is_some() => {
            cx.error_at("rewrite", "cannot be set with directResponse: remove one of the two");
        }
        _ => {}
    }
    if route.redirect.as_ref().is_some_and(|redirect| redirect.prefix_rewrite.is_some()) {
        for (index, conditions) in route.matches.iter().enumerate() {
            if conditions.uri.as_ref().is_some_and(|uri| !matches!(uri, StringMatch::Prefix(_))) {
                cx.at("match", |cx| {
                    cx.at_index(index, |cx| {
                        cx.error_at("uri", "has to be a prefix, since redirect.prefixRewrite replaces what it matched");
                    });
                });
            }
        }
    }
    super::weights(route.route.iter().map(|destination| destination.weight.0), cx);
    if route.mirror.is_some() && !route.mirrors.is_empty() {
        cx.error("has both `mirror` and `mirrors`, and only one of them can be: keep `mirrors`");
    }
    for (name, percent) in [("mirrorPercent", route.mirror_percent), ("mirror_percent", route.mirror_percent_old)] {
        if let Some(percent) = percent {
            if percent > 100 {
                cx.error_at(name, format!("has to be between 0 and 100, and is {percent}"));
            }
            cx.warn_at(name, "is deprecated: use mirrorPercentage");
        }
    }
    authority_once(route, cx);
}

/// The authority is rewritten in one place at most.
fn authority_once(route: &HttpRoute, cx: &mut Cx) {
    let changes = route.headers.as_ref().and_then(|headers| headers.request.as_ref());
    let by_header = changes.into_iter().flat_map(|changes| changes.set.keys().chain(changes.add.keys()));
    let by_header = by_header.filter(|name| is_authority(name)).count();
    let by_rewrite = route.rewrite.as_ref().is_some_and(|rewrite| rewrite.authority.is_some());
    if by_header + usize::from(by_rewrite) > 1 {
        cx.error("sets the authority more than once: keep rewrite.authority, or one header");
    }
}

pub(in crate::resources) fn http_match(conditions: &HttpMatch, cx: &mut Cx) {
    for (field, headers) in [("headers", &conditions.headers), ("withoutHeaders", &conditions.without_headers)] {
        for name in headers.keys() {
            cx.at(field, |cx| match routed_claim(name) {
                None => header_name(name, cx),
                Some(Err(wrong)) => cx.error_at(name, wrong),
                Some(Ok(_)) => {}
            });
        }
    }
    empty_prefixes(conditions, cx);
    super::labels(&conditions.source_labels, "sourceLabels", cx);
    namespace("sourceNamespace", conditions.source_namespace.as_deref(), cx);
}

const EMPTY_PREFIX: &str = "is empty, which every text starts with: remove the match";

/// Only a path may start with nothing, as in Envoy; it says no more than no match does.
fn empty_prefixes(conditions: &HttpMatch, cx: &mut Cx) {
    let is_empty = |value: &StringMatch| matches!(value, StringMatch::Prefix(prefix) if prefix.is_empty());
    if conditions.uri.as_ref().is_some_and(is_empty) {
        cx.at("uri", |cx| cx.warn_at("prefix", EMPTY_PREFIX));
    }
    let single = [("scheme", &conditions.scheme), ("method", &conditions.method), ("authority", &conditions.authority)];
    for (field, _) in single.iter().filter(|(_, value)| value.as_ref().is_some_and(is_empty)) {
        cx.at(field, |cx| cx.error_at("prefix", EMPTY_PREFIX));
    }
    let maps = [
        ("headers", &conditions.headers),
        ("withoutHeaders", &conditions.without_headers),
        ("queryParams", &conditions.query_params),
    ];
    for (field, map) in maps {
        for (name, _) in map.iter().filter(|(_, value)| is_empty(value)) {
            cx.at(field, |cx| cx.at(name, |cx| cx.error_at("prefix", EMPTY_PREFIX)));
        }
    }
}

fn namespace(field: &str, namespace: Option<&str>, cx: &mut Cx) {
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty() && !is_lower_label(namespace)) {
        cx.error_at(field, format!("is no namespace's name: {:?}", suggest::shortened(namespace)));
    }
}

fn header_name(name: &str, cx: &mut Cx) {
    let fine = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if name.starts_with(':') {
        let field = match name {
            ":path" => "uri",
            ":method" => "method",
            ":scheme" => "scheme",
            _ => "authority",
        };
        cx.error_at(name, format!("is no header: match it with {field}"));
    } else if !fine {
        cx.error_at(name, "is no header's name: letters, digits, `-` and `_`");
    }
}

pub(in crate::resources) fn destination(destination: &Destination, cx: &mut Cx) {
    if destination.host.as_str() == "*" || destination.host.is_ip() {
        cx.error_at("host", format!("has to be the host of a service, and is {}", destination.host));
    }
    if let Some(subset) = destination.subset.as_deref().filter(|subset| !subset.is_empty()) {
        super::destination_rule::subset_name(subset, "subset", cx);
    }
}

pub(in crate::resources) fn port_selector(port: &PortSelector, cx: &mut Cx) {
    if port.number.is_none() {
        cx.error_at("number", "is required: add it");
    }
}

pub(in crate::resources) fn redirect(redirect: &Redirect, cx: &mut Cx) {
    let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let port = redirect.port.is_some() || redirect.derive_port.is_some();
    if empty(&redirect.uri)
        && empty(&redirect.prefix_rewrite)
        && empty(&redirect.authority)
        && empty(&redirect.scheme)
        && !port
    {
        cx.error("says nothing about where to: set uri, prefixRewrite, authority, scheme or port");
    }
    if !empty(&redirect.uri) && !empty(&redirect.prefix_rewrite) {
        cx.error("has both `uri` and `prefixRewrite`, and only one of them can be: remove one");
    }
    if let Some(code) = redirect.redirect_code.filter(|code| *code != 0 && !matches!(code, 301 | 302 | 303 | 307 | 308))
    {
        cx.error_at("redirectCode", format!("has to be 301, 302, 303, 307 or 308, and is {code}"));
    }
    if let Some(scheme) = redirect.scheme.as_deref().filter(|scheme| !matches!(*scheme, "" | "http" | "https")) {
        cx.error_at("scheme", format!("has to be http or https, and is {:?}", suggest::shortened(scheme)));
    }
    authority_text("authority", redirect.authority.as_deref(), cx);
}

pub(in crate::resources) fn direct_response(response: &DirectResponse, cx: &mut Cx) {
    if !(200..=599).contains(&response.status) {
        cx.error_at("status", format!("has to be between 200 and 599, and is {}", response.status));
    }
    let Some(body) = &response.body else { return };
    // Base64 spends four characters on three bytes.
    let size =
        body.string.as_ref().map_or(0, String::len).max(body.bytes.as_ref().map_or(0, |text| text.len() / 4 * 3));
    if size > MAX_BODY {
        cx.error_at("body", format!("is {size} bytes long, and {MAX_BODY} is the most"));
    } else if size > LARGE_BODY {
        cx.warn_at("body", format!("is {size} bytes long, and every proxy holds it in memory"));
    }
}

pub(in crate::resources) fn delegate(delegate: &Delegate, cx: &mut Cx) {
    if delegate.name.as_deref().unwrap_or_default().is_empty() {
        cx.error_at("name", "is required: name the VirtualService that decides");
    }
}

pub(in crate::resources) fn rewrite(rewrite: &Rewrite, cx: &mut Cx) {
    let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    if !empty(&rewrite.uri) && rewrite.uri_regex_rewrite.is_some() {
        cx.error("has both `uri` and `uriRegexRewrite`, and only one of them can be: remove one");
    } else if empty(&rewrite.uri) && empty(&rewrite.authority) && rewrite.uri_regex_rewrite.is_none() {
        cx.error("is empty: set uri, uriRegexRewrite or authority");
    }
    authority_text("authority", rewrite.authority.as_deref(), cx);
}

/// An authority goes into a header line as it is.
fn authority_text(field: &str, text: Option<&str>, cx: &mut Cx) {
    let text = text.unwrap_or_default();
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(&b)) {
        cx.error_at(field, format!("is no host with or without a port: {:?}", suggest::shortened(text)));
    }
}

pub(in crate::resources) fn regex_rewrite(rewrite: &RegexRewrite, cx: &mut Cx) {
    if rewrite.matches.is_none() {
        cx.error_at("match", "is required: add it");
    }
    if rewrite.rewrite.as_deref().unwrap_or_default().is_empty() {
        cx.error_at("rewrite", "is required: add it");
    }
    let replacement = rewrite.rewrite.as_deref().unwrap_or_default();
    let mut rest = replacement.chars();
    while let Some(character) = rest.next() {
        if character == '\\' && !rest.next().is_some_and(|next| next.is_ascii_digit() || next == '\\') {
            cx.error_at("rewrite", "has a `\\` that is followed by neither a digit nor another `\\`");
            break;
        }
    }
}

pub(in crate::resources) fn retries(retries: &Retries, cx: &mut Cx) {
    let attempts = retries.attempts.unwrap_or(0);
    if attempts < 0 {
        cx.error_at("attempts", format!("cannot be negative, and is {attempts}"));
    }
    let configured =
        retries.per_try_timeout.is_some() || retries.retry_on.is_some() || retries.retry_remote_localities.is_some();
    if attempts == 0 && configured {
        cx.error_at("attempts", "is 0, which means never, and the other settings have no effect: raise it");
    }
    for policy in retries.retry_on.iter().flat_map(|list| list.split(',')).filter(|policy| !policy.is_empty()) {
        let status = policy.parse::<u16>().is_ok_and(|status| (100..600).contains(&status));
        if !status && !RETRY_ON.contains(&policy) {
            let hint = cx.guess(policy, RETRY_ON);
            cx.error_at(
                "retryOn",
                format!("has {:?}, which is no condition to retry on{hint}", suggest::shortened(policy)),
            );
        }
    }
}

pub(in crate::resources) fn fault(fault: &Fault, cx: &mut Cx) {
    if fault.delay.is_none() && fault.abort.is_none() {
        cx.error("is empty: set delay or abort, or remove it");
    }
}

pub(in crate::resources) fn delay(delay: &Delay, cx: &mut Cx) {
    if delay.exponential_delay.is_some() {
        cx.error_at("exponentialDelay", "is not supported by any proxy: use fixedDelay");
    }
    if let Some(percent) = delay.percent {
        if !(0..=100).contains(&percent) {
            cx.error_at("percent", format!("has to be between 0 and 100, and is {percent}"));
        }
        cx.warn_at("percent", "is deprecated: use percentage");
    }
}

pub(in crate::resources) fn abort(abort: &Abort, cx: &mut Cx) {
    if let Some(status) = abort.http_status.filter(|status| !(200..=599).contains(status)) {
        cx.error_at("httpStatus", format!("has to be between 200 and 599, and is {status}"));
    }
    if let Some(status) = abort.grpc_status.as_deref().filter(|status| !GRPC_STATUSES.contains(status)) {
        let hint = cx.guess(status, &GRPC_STATUSES);
        cx.error_at("grpcStatus", format!("is {:?}, which is no gRPC status{hint}", suggest::shortened(status)));
    }
    if abort.http2_error.is_some() {
        cx.error_at("http2Error", "is not supported by any proxy: use httpStatus");
    }
    if abort.http_status.is_none() && abort.grpc_status.is_none() && abort.http2_error.is_none() {
        cx.warn("has no status and does nothing: set httpStatus or grpcStatus");
    }
}

pub(in crate::resources) fn percent(percent: &Percent, cx: &mut Cx) {
    if let Some(value) = percent.value {
        cx.at("value", |cx| super::percentage(value, cx));
    }
}

pub(in crate::resources) fn cors_policy(policy: &CorsPolicy, cx: &mut Cx) {
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let fault = match origin {
            StringMatch::Present => "is empty: set exact, prefix or regex",
            StringMatch::Prefix(prefix) if prefix.is_empty() => EMPTY_PREFIX,
            _ => continue,
        };
        cx.at("allowOrigins", |cx| cx.at_index(index, |cx| cx.error(fault)));
    }
    for (index, method) in policy.allow_methods.iter().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            let hint = cx.guess(method, METHODS);
            cx.at("allowMethods", |cx| {
                cx.at_index(index, |cx| {
                    cx.error(format!("is {:?}, which is no method{hint}", suggest::shortened(method)));
                });
            });
        }
    }
    for (field, names) in [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)] {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| *name != "*") {
            let fine = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !fine {
                cx.at(field, |cx| {
                    cx.at_index(index, |cx| cx.error("is no header's name: letters, digits, `-` and `_`"));
                });
            }
        }
    }
    if policy.max_age.is_some_and(|age| age.get().subsec_nanos() != 0) {
        cx.error_at("maxAge", "has to be whole seconds");
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

pub(in crate::resources) fn headers(headers: &Headers, cx: &mut Cx) {
    for (field, changes, request) in [("request", &headers.request, true), ("response", &headers.response, false)] {
        let Some(changes) = changes else { continue };
        cx.at(field, |cx| header_changes(changes, request, cx));
    }
}

const FIXED: &str = "stays as it is: it frames the message or belongs to one connection";

fn is_fixed(name: &str) -> bool {
    FIXED_HEADERS.iter().any(|fixed| fixed.eq_ignore_ascii_case(name))
}

fn header_changes(changes: &HeaderChanges, request: bool, cx: &mut Cx) {
    for (field, values) in [("set", &changes.set), ("add", &changes.add)] {
        cx.at(field, |cx| header_values(values, request, cx));
    }
    for (index, name) in changes.remove.iter().enumerate() {
        let fault = match name.as_str() {
            "" => "is empty: name a header",
            name if is_authority(name) || name.starts_with(':') => "cannot be removed: every request has to have it",
            name if is_fixed(name) => {
                cx.at("remove", |cx| cx.at_index(index, |cx| cx.warn(FIXED)));
                continue;
            }
            _ => continue,
        };
        cx.at("remove", |cx| cx.at_index(index, |cx| cx.error(fault)));
    }
}

fn header_values(values: &BTreeMap<String, String>, request: bool, cx: &mut Cx) {
    for (name, value) in values {
        if name.is_empty() {
            cx.error("has an empty header name");
        } else if is_authority(name) && !request {
            cx.error_at(name, "cannot be set in a response");
        } else if name.starts_with(':') && !is_authority(name) {
            cx.error_at(name, "cannot be set: of the names with `:`, only `:authority` can");
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            cx.error_at(name, "has a control character in its value, which no header can have");
        } else if is_authority(name) && request {
            authority_text(name, Some(value), cx);
        }
        if !name.is_empty() && !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&b)) {
            cx.error_at(name, "is no header's name: letters, digits, `-` and `_`");
        } else if !is_authority(name) && is_fixed(name) {
            cx.warn_at(name, FIXED);
        }
    }
}

pub(in crate::resources) fn tls_route(route: &TlsRoute, cx: &mut Cx) {
    if route.matches.is_empty() {
        cx.error_at("match", "is empty: a TLS rule has to have at least one match");
    }
    if route.route.is_empty() {
        cx.error_at("route", "is required: say where connections go");
    }
    super::weights(route.route.iter().map(|destination| destination.weight.0), cx);
}

pub(in crate::resources) fn tls_match(conditions: &TlsMatch, cx: &mut Cx) {
    if conditions.sni_hosts.is_empty() {
        cx.error_at("sniHosts", "is empty: name at least one server name");
    }
    super::subnets(&conditions.destination_subnets, "destinationSubnets", cx);
    super::labels(&conditions.source_labels, "sourceLabels", cx);
    namespace("sourceNamespace", conditions.source_namespace.as_deref(), cx);
}

pub(in crate::resources) fn tcp_route(route: &TcpRoute, cx: &mut Cx) {
    if route.route.is_empty() {
        cx.error_at("route", "is required: say where connections go");
    }
    super::weights(route.route.iter().map(|destination| destination.weight.0), cx);
}

pub(in crate::resources) fn tcp_match(conditions: &TcpMatch, cx: &mut Cx) {
    super::subnets(&conditions.destination_subnets, "destinationSubnets", cx);
    super::labels(&conditions.source_labels, "sourceLabels", cx);
    namespace("sourceNamespace", conditions.source_namespace.as_deref(), cx);
}
