//! EnvoyFilter: changes to Envoy's own configuration. Kept and checked, and not in force in a proxy that is not Envoy.

use std::collections::BTreeMap;

use super::field::{Limit, names, record};
use super::policy_target::TargetRef;
use super::rules::envoy_filter as rules;
use super::values::{Free, Port};
use super::workload_entry::LabelSelector;

record! {
    /// Changes to the configuration of Envoy.
    pub struct EnvoyFilter {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if not said.
        workload_selector: Option<LabelSelector> = "workloadSelector";
        /// The objects that the changes are attached to.
        target_refs: Vec<TargetRef> = "targetRefs" [Limit::MaxItems(16)];
        /// The changes.
        config_patches: Vec<ConfigPatch> = "configPatches";
        /// Those with a smaller number come first.
        priority: Option<i32> = "priority";
    }
    cel: &[(
        "(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        "only one of workloadSelector and targetRefs can be set",
    )];
    check: rules::envoy_filter;
}

record! {
    /// A change.
    pub struct ConfigPatch {
        /// What is changed.
        apply_to: Option<ApplyTo> = "applyTo";
        /// Which of them.
        matches: Option<PatchMatch> = "match";
        /// How.
        patch: Option<Patch> = "patch";
    }
    check: rules::config_patch;
}

names! {
    /// What is changed.
    pub enum ApplyTo {
        /// Nothing.
        Invalid = "INVALID",
        /// A listener.
        Listener = "LISTENER",
        /// A listener's filter chain.
        FilterChain = "FILTER_CHAIN",
        /// A network filter.
        NetworkFilter = "NETWORK_FILTER",
        /// An HTTP filter.
        HttpFilter = "HTTP_FILTER",
        /// A route configuration.
        RouteConfiguration = "ROUTE_CONFIGURATION",
        /// A virtual host.
        VirtualHost = "VIRTUAL_HOST",
        /// A route.
        HttpRoute = "HTTP_ROUTE",
        /// A cluster.
        Cluster = "CLUSTER",
        /// A configuration of an extension.
        ExtensionConfig = "EXTENSION_CONFIG",
        /// What Envoy starts with.
        Bootstrap = "BOOTSTRAP",
        /// A filter of a listener.
        ListenerFilter = "LISTENER_FILTER",
    }
}

record! {
    /// Which parts are changed.
    pub struct PatchMatch {
        /// In which proxies.
        context: Option<PatchContext> = "context";
        /// In proxies of this kind.
        proxy: Option<ProxyMatch> = "proxy";
        /// Parts of these listeners.
        listener: Option<ListenerMatch> = "listener";
        /// Parts of these route configurations.
        route_configuration: Option<RouteConfigurationMatch> = "routeConfiguration";
        /// These clusters.
        cluster: Option<ClusterMatch> = "cluster";
        /// Parts of waypoints.
        waypoint: Option<WaypointMatch> = "waypoint";
    }
    one_of: &[&["listener", "routeConfiguration", "cluster", "waypoint"]];
    cel: &[(
        r#"has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint)) : !has(self.waypoint)"#,
        "waypoint goes with the context WAYPOINT",
    )];
    check: rules::patch_match;
}

names! {
    /// In which proxies.
    pub enum PatchContext {
        /// In all.
        Any = "ANY",
        /// In sidecars, for requests to their workloads.
        SidecarInbound = "SIDECAR_INBOUND",
        /// In sidecars, for requests of their workloads.
        SidecarOutbound = "SIDECAR_OUTBOUND",
        /// In gateways.
        Gateway = "GATEWAY",
        /// In waypoints.
        Waypoint = "WAYPOINT",
    }
}

record! {
    /// Which proxies.
    pub struct ProxyMatch {
        /// A regular expression on the version.
        proxy_version: Option<String> = "proxyVersion";
        /// What their metadata says.
        metadata: BTreeMap<String, String> = "metadata";
    }
    check: rules::proxy_match;
}

record! {
    /// Which listeners.
    pub struct ListenerMatch {
        /// By port.
        port_number: Option<u32> = "portNumber";
        /// Not in use.
        port_name: Option<String> = "portName";
        /// By filter chain.
        filter_chain: Option<FilterChainMatch> = "filterChain";
        /// By listener filter.
        listener_filter: Option<String> = "listenerFilter";
        /// By name.
        name: Option<String> = "name";
    }
}

record! {
    /// Which filter chains.
    pub struct FilterChainMatch {
        /// By name.
        name: Option<String> = "name";
        /// By server name.
        sni: Option<String> = "sni";
        /// By transport protocol.
        transport_protocol: Option<String> = "transportProtocol";
        /// By application protocols.
        application_protocols: Option<String> = "applicationProtocols";
        /// By filter.
        filter: Option<FilterMatch> = "filter";
        /// By port.
        destination_port: Option<u32> = "destinationPort";
        /// By transport socket.
        transport_socket: Option<String> = "transportSocket";
    }
}

record! {
    /// Which filters.
    pub struct FilterMatch {
        /// By name.
        name: Option<String> = "name";
        /// By the filter inside it.
        sub_filter: Option<SubFilterMatch> = "subFilter";
    }
}

record! {
    /// Which filters inside a filter.
    pub struct SubFilterMatch {
        /// By name.
        name: Option<String> = "name";
    }
}

record! {
    /// Which route configurations.
    pub struct RouteConfigurationMatch {
        /// By port.
        port_number: Option<u32> = "portNumber";
        /// By the port's name.
        port_name: Option<String> = "portName";
        /// By gateway.
        gateway: Option<String> = "gateway";
        /// By virtual host.
        vhost: Option<VirtualHostMatch> = "vhost";
        /// By name.
        name: Option<String> = "name";
    }
}

record! {
    /// Which virtual hosts.
    pub struct VirtualHostMatch {
        /// By name.
        name: Option<String> = "name";
        /// By route.
        route: Option<RouteMatch> = "route";
        /// By domain.
        domain_name: Option<String> = "domainName";
    }
}

record! {
    /// Which routes.
    pub struct RouteMatch {
        /// By name.
        name: Option<String> = "name";
        /// By what they do.
        action: Option<RouteAction> = "action";
    }
}

names! {
    /// What a route does.
    pub enum RouteAction {
        /// Anything.
        Any = "ANY",
        /// It routes.
        Route = "ROUTE",
        /// It redirects.
        Redirect = "REDIRECT",
        /// It answers.
        DirectResponse = "DIRECT_RESPONSE",
    }
}

record! {
    /// Which clusters.
    pub struct ClusterMatch {
        /// By port.
        port_number: Option<u32> = "portNumber";
        /// By service.
        service: Option<String> = "service";
        /// By subset.
        subset: Option<String> = "subset";
        /// By name.
        name: Option<String> = "name";
    }
}

record! {
    /// Which parts of waypoints.
    pub struct WaypointMatch {
        /// By port.
        port_number: Option<Port> = "portNumber";
        /// By filter.
        filter: Option<FilterMatch> = "filter";
        /// By route.
        route: Option<WaypointRouteMatch> = "route";
    }
}

record! {
    /// Which routes of waypoints.
    pub struct WaypointRouteMatch {
        /// By name.
        name: Option<String> = "name";
    }
}

record! {
    /// How something is changed.
    pub struct Patch {
        /// What is done with the value.
        operation: Option<Operation> = "operation";
        /// The value: a message of Envoy's.
        value: Option<Free> = "value";
        /// Where a new filter stands.
        filter_class: Option<FilterClass> = "filterClass";
    }
    check: rules::patch;
}

names! {
    /// What is done with a value.
    pub enum Operation {
        /// Nothing.
        Invalid = "INVALID",
        /// It is merged.
        Merge = "MERGE",
        /// It is added.
        Add = "ADD",
        /// What matches is removed.
        Remove = "REMOVE",
        /// It is put before what matches.
        InsertBefore = "INSERT_BEFORE",
        /// It is put behind what matches.
        InsertAfter = "INSERT_AFTER",
        /// It is put before all others.
        InsertFirst = "INSERT_FIRST",
        /// It is put in the place of what matches.
        Replace = "REPLACE",
        /// It is merged, and its lists replace those that are there.
        MergeAndReplaceList = "MERGE_AND_REPLACE_LIST",
    }
}

names! {
    /// Where a new filter stands.
    pub enum FilterClass {
        /// At the end.
        Unspecified = "UNSPECIFIED",
        /// Behind authentication.
        Authn = "AUTHN",
        /// Behind authorization.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }
}
