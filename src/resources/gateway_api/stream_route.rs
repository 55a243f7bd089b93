//! TLSRoute, TCPRoute and UDPRoute: where bytes go that are not looked into.

use super::reference::{BackendRef, DefaultGateways, ParentRef};
use super::text::{Hostname, SectionName};
use crate::resources::field::{Limit, record};
use crate::resources::rules::gateway_api as rules;

record! {
    /// Where TLS connections go, by their server name.
    pub struct TLSRoute {
        /// What it attaches to.
        parent_refs: Vec<ParentRef> = "parentRefs" [Limit::MaxItems(32), Limit::Atomic];
        /// The server names that connections are for.
        hostnames: Vec<Hostname> = "hostnames" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(1024), Limit::Atomic];
        /// The rule.
        rules: Vec<StreamRule> = "rules" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(1), Limit::Atomic];
        /// Whether it attaches to gateways that are everybody's default.
        use_default_gateways: Option<DefaultGateways> = "useDefaultGateways";
    }
    check: rules::tls_route;
}

record! {
    /// Where TCP connections go.
    pub struct TCPRoute {
        /// What it attaches to.
        parent_refs: Vec<ParentRef> = "parentRefs" [Limit::MaxItems(32), Limit::Atomic];
        /// The rule.
        rules: Vec<StreamRule> = "rules" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(1), Limit::Atomic];
        /// Whether it attaches to gateways that are everybody's default.
        use_default_gateways: Option<DefaultGateways> = "useDefaultGateways";
    }
    check: rules::tcp_route;
}

record! {
    /// Where UDP datagrams go.
    pub struct UDPRoute {
        /// What it attaches to.
        parent_refs: Vec<ParentRef> = "parentRefs" [Limit::MaxItems(32), Limit::Atomic];
        /// The rule.
        rules: Vec<StreamRule> = "rules" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(1), Limit::Atomic];
        /// Whether it attaches to gateways that are everybody's default.
        use_default_gateways: Option<DefaultGateways> = "useDefaultGateways";
    }
    check: rules::udp_route;
}

record! {
    /// Where connections or datagrams go.
    pub struct StreamRule {
        /// Its name.
        name: Option<SectionName> = "name";
        /// Where they go.
        backend_refs: Vec<BackendRef> = "backendRefs" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(16), Limit::Atomic];
    }
}
