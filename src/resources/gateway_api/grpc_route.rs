//! GRPCRoute: what becomes of gRPC calls that reach a listener or a service.

use super::filter::{HeaderFilter, Mirror};
use super::http_route::ValueMatchType;
use super::reference::{DefaultGateways, LocalRef, ParentRef};
use super::session::SessionPersistence;
use super::text::{Group, HeaderName, HeaderText, Hostname, KindName, Namespace, ObjectName, PathText, SectionName};
use crate::resources::field::{Limit, names, record};
use crate::resources::rules::gateway_api as rules;
use crate::resources::values::Port;

record! {
    /// What becomes of gRPC calls.
    pub struct GRPCRoute {
        /// What it attaches to.
        parent_refs: Vec<ParentRef> = "parentRefs" [Limit::MaxItems(32), Limit::Atomic];
        /// The hosts that calls are for; none: every one.
        hostnames: Vec<Hostname> = "hostnames" [Limit::MaxItems(16), Limit::Atomic];
        /// The rules; the most specific match wins, whatever their order.
        rules: Vec<GrpcRouteRule> = "rules" [Limit::MaxItems(16), Limit::Atomic];
        /// Whether it attaches to gateways that are everybody's default.
        use_default_gateways: Option<DefaultGateways> = "useDefaultGateways";
    }
    check: rules::grpc_route;
}

record! {
    /// Calls, and what becomes of them.
    pub struct GrpcRouteRule {
        /// Its name.
        name: Option<SectionName> = "name";
        /// Alternatives, one of which has to hold; none: every call.
        matches: Vec<GrpcRouteMatch> = "matches" [Limit::MaxItems(64), Limit::Atomic];
        /// What is done with the calls on the way.
        filters: Vec<GrpcRouteFilter> = "filters" [Limit::MaxItems(16), Limit::Atomic];
        /// Where they go.
        backend_refs: Vec<GrpcBackendRef> = "backendRefs" [Limit::MaxItems(16), Limit::Atomic];
        /// Whether the calls of one client go to one endpoint.
        session_persistence: Option<SessionPersistence> = "sessionPersistence";
    }
    check: rules::grpc_rule;
}

record! {
    /// Conditions, all of which have to hold.
    pub struct GrpcRouteMatch {
        /// The service and its method.
        method: Option<GrpcMethodMatch> = "method";
        /// Headers.
        headers: Vec<GrpcHeaderMatch> = "headers" [Limit::MaxItems(16), Limit::UniqueBy("name")];
    }
}

record! {
    /// A condition on what is called.
    pub struct GrpcMethodMatch {
        /// How it is compared.
        match_type: Option<ValueMatchType> = "type" [Limit::Default("\"Exact\"")];
        /// The service, with its package.
        service: Option<PathText> = "service";
        /// The method.
        method: Option<PathText> = "method";
    }
    check: rules::grpc_method;
}

record! {
    /// A condition on a header.
    pub struct GrpcHeaderMatch {
        /// How it is compared.
        match_type: Option<ValueMatchType> = "type" [Limit::Default("\"Exact\"")];
        /// The header.
        name: HeaderName = "name";
        /// The value, or the expression.
        value: HeaderText = "value";
    }
    check: rules::grpc_header;
}

record! {
    /// One thing that is done with calls on the way.
    pub struct GrpcRouteFilter {
        /// What it is.
        filter_type: GrpcFilterType = "type";
        /// Changes to headers of requests.
        request_header_modifier: Option<HeaderFilter> = "requestHeaderModifier";
        /// Changes to headers of responses.
        response_header_modifier: Option<HeaderFilter> = "responseHeaderModifier";
        /// A place where copies go.
        request_mirror: Option<Mirror> = "requestMirror";
        /// A filter of the controller's own.
        extension_ref: Option<LocalRef> = "extensionRef";
    }
    check: rules::grpc_filter;
}

names! {
    /// What is done with calls on the way.
    pub enum GrpcFilterType {
        /// Headers of responses are changed.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Headers of requests are changed.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// They are copied.
        RequestMirror = "RequestMirror",
        /// Something of the controller's own.
        ExtensionRef = "ExtensionRef",
    }
}

record! {
    /// A backend, its share, and what is done with the calls that go there.
    pub struct GrpcBackendRef {
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
        /// What is done with calls that go there.
        filters: Vec<GrpcRouteFilter> = "filters" [Limit::MaxItems(16), Limit::Atomic];
    }
    check: rules::grpc_backend;
}
