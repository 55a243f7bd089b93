//! HTTPRoute: what becomes of HTTP requests that reach a listener or a service.

use serde_json::{Value, json};

use super::filter::{HeaderFilter, Mirror};
use super::reference::{BackendObjectRef, DefaultGateways, LocalRef, ParentRef};
use super::session::SessionPersistence;
use super::text::{
    Group, HeaderName, HeaderValue, Hostname, KindName, Namespace, ObjectName, Origin, PathText, PreciseHostname,
    QueryValue, SectionName, ServicePath, Span,
};
use crate::resources::field::{Cx, Field, Limit, names, record, whole};
use crate::resources::rules::gateway_api as rules;
use crate::resources::values::Port;

record! {
    /// What becomes of HTTP requests.
    pub struct HTTPRoute {
        /// What it attaches to.
        parent_refs: Vec<ParentRef> = "parentRefs" [Limit::MaxItems(32), Limit::Atomic];
        /// The hosts that requests are for; none: every one.
        hostnames: Vec<Hostname> = "hostnames" [Limit::MaxItems(16), Limit::Atomic];
        /// The rules; the most specific match wins, whatever their order.
        rules: Vec<HttpRouteRule> = "rules" [
            Limit::MinItems(1),
            Limit::MaxItems(16),
            Limit::Atomic,
            Limit::Default(r#"[{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]"#)
        ];
        /// Whether it attaches to gateways that are everybody's default.
        use_default_gateways: Option<DefaultGateways> = "useDefaultGateways";
    }
    check: rules::http_route;
}

record! {
    /// Requests, and what becomes of them.
    pub struct HttpRouteRule {
        /// Its name.
        name: Option<SectionName> = "name";
        /// Alternatives, one of which has to hold; none: every request.
        matches: Vec<HttpRouteMatch> = "matches" [
            Limit::MaxItems(64),
            Limit::Atomic,
            Limit::Default(r#"[{"path": {"type": "PathPrefix", "value": "/"}}]"#)
        ];
        /// What is done with the requests on the way.
        filters: Vec<HttpRouteFilter> = "filters" [Limit::MaxItems(16), Limit::Atomic];
        /// Where they go.
        backend_refs: Vec<HttpBackendRef> = "backendRefs" [Limit::MaxItems(16), Limit::Atomic];
        /// How long they may take.
        timeouts: Option<HttpTimeouts> = "timeouts";
        /// When they are tried again.
        retry: Option<HttpRetry> = "retry";
        /// Whether the requests of one client go to one endpoint.
        session_persistence: Option<SessionPersistence> = "sessionPersistence";
    }
    check: rules::http_rule;
}

record! {
    /// Conditions, all of which have to hold.
    pub struct HttpRouteMatch {
        /// The path.
        path: Option<PathMatch> = "path" [Limit::Default(r#"{"type": "PathPrefix", "value": "/"}"#)];
        /// Headers.
        headers: Vec<HeaderMatch> = "headers" [Limit::MaxItems(16), Limit::UniqueBy("name")];
        /// Parameters of the query.
        query_params: Vec<QueryMatch> = "queryParams" [Limit::MaxItems(16), Limit::UniqueBy("name")];
        /// The method.
        method: Option<HttpMethod> = "method";
    }
}

record! {
    /// A condition on the path.
    pub struct PathMatch {
        /// How it is compared.
        match_type: Option<PathMatchType> = "type" [Limit::Default("\"PathPrefix\"")];
        /// With what.
        value: Option<PathText> = "value" [Limit::Default("\"/\"")];
    }
    check: rules::path_match;
}

names! {
    /// How a path is compared.
    pub enum PathMatchType {
        /// It is the same.
        Exact = "Exact",
        /// It begins with the same segments.
        PathPrefix = "PathPrefix",
        /// All of it matches an expression.
        RegularExpression = "RegularExpression",
    }
}

names! {
    /// How a value is compared.
    pub enum ValueMatchType {
        /// It is the same.
        Exact = "Exact",
        /// All of it matches an expression.
        RegularExpression = "RegularExpression",
    }
}

record! {
    /// A condition on a header.
    pub struct HeaderMatch {
        /// How it is compared.
        match_type: Option<ValueMatchType> = "type" [Limit::Default("\"Exact\"")];
        /// The header.
        name: HeaderName = "name";
        /// The value, or the expression.
        value: HeaderValue = "value";
    }
    check: rules::header_match;
}

record! {
    /// A condition on a parameter of the query.
    pub struct QueryMatch {
        /// How it is compared.
        match_type: Option<ValueMatchType> = "type" [Limit::Default("\"Exact\"")];
        /// The parameter.
        name: HeaderName = "name";
        /// The value, or the expression.
        value: QueryValue = "value";
    }
    check: rules::query_match;
}

names! {
    /// A method.
    pub enum HttpMethod {
        /// GET
        Get = "GET",
        /// HEAD
        Head = "HEAD",
        /// POST
        Post = "POST",
        /// PUT
        Put = "PUT",
        /// DELETE
        Delete = "DELETE",
        /// CONNECT
        Connect = "CONNECT",
        /// OPTIONS
        Options = "OPTIONS",
        /// TRACE
        Trace = "TRACE",
        /// PATCH
        Patch = "PATCH",
    }
}

record! {
    /// One thing that is done with requests on the way.
    pub struct HttpRouteFilter {
        /// What it is.
        filter_type: HttpFilterType = "type";
        /// Changes to headers of requests.
        request_header_modifier: Option<HeaderFilter> = "requestHeaderModifier";
        /// Changes to headers of responses.
        response_header_modifier: Option<HeaderFilter> = "responseHeaderModifier";
        /// A place where copies go.
        request_mirror: Option<Mirror> = "requestMirror";
        /// A redirect as the answer.
        request_redirect: Option<RequestRedirect> = "requestRedirect";
        /// Changes to path and host.
        url_rewrite: Option<UrlRewrite> = "urlRewrite";
        /// What other origins' pages may do.
        cors: Option<CorsFilter> = "cors";
        /// A service that is asked for permission.
        external_auth: Option<ExternalAuth> = "externalAuth";
        /// A filter of the controller's own.
        extension_ref: Option<LocalRef> = "extensionRef";
    }
    check: rules::http_filter;
}

names! {
    /// What is done with requests on the way.
    pub enum HttpFilterType {
        /// Headers of requests are changed.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Headers of responses are changed.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// They are copied.
        RequestMirror = "RequestMirror",
        /// They are answered with a redirect.
        RequestRedirect = "RequestRedirect",
        /// Path or host are changed.
        UrlRewrite = "URLRewrite",
        /// Something of the controller's own.
        ExtensionRef = "ExtensionRef",
        /// Other origins' pages are told what they may do.
        Cors = "CORS",
        /// A service is asked for permission.
        ExternalAuth = "ExternalAuth",
    }
}

record! {
    /// A redirect as the answer.
    pub struct RequestRedirect {
        /// The scheme; none: the request's.
        scheme: Option<Scheme> = "scheme";
        /// The host; none: the request's.
        hostname: Option<PreciseHostname> = "hostname";
        /// What becomes of the path.
        path: Option<PathModifier> = "path";
        /// The port; none: the scheme's own where the scheme is named, otherwise the listener's.
        port: Option<Port> = "port";
        /// The status.
        status_code: Option<RedirectStatus> = "statusCode" [Limit::Default("302")];
    }
}

names! {
    /// A scheme.
    pub enum Scheme {
        /// http
        Http = "http",
        /// https
        Https = "https",
    }
}

/// The status of a redirect: 301, 302, 303, 307 or 308.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectStatus(u16);

impl RedirectStatus {
    const ALL: [u16; 5] = [301, 302, 303, 307, 308];

    /// The status.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Field for RedirectStatus {
    fn schema() -> Value {
        json!({"type": "integer", "enum": Self::ALL})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let found = whole(value).and_then(|number| u16::try_from(number).ok()).filter(|code| Self::ALL.contains(code));
        if found.is_none() {
            cx.error(format!("has to be 301, 302, 303, 307 or 308, and is {value}"));
        }
        found.map(Self)
    }

    fn encode(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

record! {
    /// Changes to path and host.
    pub struct UrlRewrite {
        /// The host that takes the place of the request's.
        hostname: Option<PreciseHostname> = "hostname";
        /// What becomes of the path.
        path: Option<PathModifier> = "path";
    }
}

record! {
    /// A change of the path.
    pub struct PathModifier {
        /// What is replaced.
        modifier_type: PathModifierType = "type";
        /// What takes the place of the whole path.
        replace_full_path: Option<PathText> = "replaceFullPath";
        /// What takes the place of the matched segments.
        replace_prefix_match: Option<PathText> = "replacePrefixMatch";
    }
    check: rules::path_modifier;
}

names! {
    /// What of a path is replaced.
    pub enum PathModifierType {
        /// All of it.
        ReplaceFullPath = "ReplaceFullPath",
        /// The segments that were matched.
        ReplacePrefixMatch = "ReplacePrefixMatch",
    }
}

record! {
    /// What other origins' pages may do.
    pub struct CorsFilter {
        /// The origins.
        allow_origins: Vec<Origin> = "allowOrigins" [Limit::MaxItems(64), Limit::Set];
        /// Whether requests may carry credentials.
        allow_credentials: Option<bool> = "allowCredentials";
        /// The methods.
        allow_methods: Vec<CorsMethod> = "allowMethods" [Limit::MaxItems(9), Limit::Set];
        /// The headers of requests.
        allow_headers: Vec<HeaderName> = "allowHeaders" [Limit::MaxItems(64), Limit::Set];
        /// The headers of responses that pages see.
        expose_headers: Vec<HeaderName> = "exposeHeaders" [Limit::MaxItems(64), Limit::Set];
        /// How long the permission is remembered, in seconds.
        max_age: Option<i32> = "maxAge" [Limit::Min(1), Limit::Default("5")];
    }
    check: rules::cors;
}

names! {
    /// A method that other origins' pages may use.
    pub enum CorsMethod {
        /// GET
        Get = "GET",
        /// HEAD
        Head = "HEAD",
        /// POST
        Post = "POST",
        /// PUT
        Put = "PUT",
        /// DELETE
        Delete = "DELETE",
        /// CONNECT
        Connect = "CONNECT",
        /// OPTIONS
        Options = "OPTIONS",
        /// TRACE
        Trace = "TRACE",
        /// PATCH
        Patch = "PATCH",
        /// Every method.
        Any = "*",
    }
}

record! {
    /// A service that is asked for permission.
    pub struct ExternalAuth {
        /// What it speaks.
        protocol: AuthProtocol = "protocol";
        /// The service.
        backend_ref: BackendObjectRef = "backendRef";
        /// How it is asked over gRPC.
        grpc: Option<GrpcAuth> = "grpc";
        /// How it is asked over HTTP.
        http: Option<HttpAuth> = "http";
        /// Whether it gets the body.
        forward_body: Option<ForwardBody> = "forwardBody";
    }
    check: rules::external_auth;
}

names! {
    /// What a service that is asked for permission speaks.
    pub enum AuthProtocol {
        /// HTTP.
        Http = "HTTP",
        /// gRPC.
        Grpc = "GRPC",
    }
}

record! {
    /// How a gRPC service is asked.
    pub struct GrpcAuth {
        /// The headers that it gets.
        allowed_headers: Vec<String> = "allowedHeaders" [Limit::MaxItems(64), Limit::Set];
    }
}

record! {
    /// How an HTTP service is asked.
    pub struct HttpAuth {
        /// What goes before the request's path.
        path: Option<ServicePath> = "path";
        /// The headers that it gets.
        allowed_headers: Vec<String> = "allowedHeaders" [Limit::MaxItems(64), Limit::Set];
        /// The headers of its answer that go on.
        allowed_response_headers: Vec<String> = "allowedResponseHeaders" [Limit::MaxItems(64), Limit::Set];
    }
}

record! {
    /// How much of the body goes to the service.
    pub struct ForwardBody {
        /// Bytes.
        max_size: Option<i32> = "maxSize" [Limit::Min(0)];
    }
}

record! {
    /// A backend, its share, and what is done with the requests that go there.
    pub struct HttpBackendRef {
        /// The API group of the backend.
        group: Option<Group> = "group" [Limit::Default("\"\"")];
        /// The kind of the backend.
        kind: Option<KindName> = "kind" [Limit::Default("\"Service\"")];
        /// The name of the backend.
        name: ObjectName = "name";
        /// The namespace of the backend, where it is another; a ReferenceGrant there has to permit it.
        namespace: Option<Namespace> = "namespace";
        /// The backend's port.
        port: Option<Port> = "port";
        /// Its share, relative to the sum of its siblings'.
        weight: Option<i32> = "weight" [Limit::Between(0, 1_000_000), Limit::Default("1")];
        /// What is done with requests that go there.
        filters: Vec<HttpRouteFilter> = "filters" [Limit::MaxItems(16), Limit::Atomic];
    }
    check: rules::http_backend;
}

record! {
    /// How long requests may take; `0s`: as long as they take.
    pub struct HttpTimeouts {
        /// A request, all tries together.
        request: Option<Span> = "request";
        /// One try.
        backend_request: Option<Span> = "backendRequest";
    }
    check: rules::timeouts;
}

/// How often something is tried again: 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(u32);

impl Attempts {
    /// How often.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A status that is worth another try: 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryStatus(u16);

impl RetryStatus {
    /// The status.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Field for Attempts {
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let found = whole(value).and_then(|number| u32::try_from(number).ok()).filter(|count| *count > 0);
        if found.is_none() {
            cx.error(format!("has to be a whole number of 1 or more, and is {value}"));
        }
        found.map(Self)
    }

    fn encode(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

impl Field for RetryStatus {
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 400, "maximum": 599})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let status = whole(value).and_then(|number| u16::try_from(number).ok());
        let found = status.filter(|status| (400..600).contains(status));
        if found.is_none() {
            cx.error(format!("has to be a status from 400 to 599, and is {value}"));
        }
        found.map(Self)
    }

    fn encode(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

record! {
    /// When requests are tried again.
    pub struct HttpRetry {
        /// The answers that are worth another try.
        codes: Vec<RetryStatus> = "codes" [Limit::Set];
        /// How often.
        attempts: Option<Attempts> = "attempts";
        /// How long to wait before a try, at least.
        backoff: Option<Span> = "backoff";
    }
}
