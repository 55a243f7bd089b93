//! GatewayClass, Gateway and ListenerSet: who provides the edge, and what it listens for.

use std::collections::BTreeMap;

use super::reference::{DefaultGateways, LocalRef, ObjectRef, SecretRef};
use super::text::{
    AddressType, AddressValue, AnnotationValue, ControllerName, Description, Group, Hostname, KindName, LabelValue,
    Namespace, ObjectName, Protocol, SectionName,
};
use crate::resources::field::{Limit, names, record};
use crate::resources::rules::gateway_api as rules;
use crate::resources::values::{Labels, Port};

record! {
    /// A kind of gateways, and who is in charge of them.
    pub struct GatewayClass {
        /// Who is in charge.
        controller_name: ControllerName = "controllerName";
        /// Settings of the controller's own.
        parameters_ref: Option<ObjectRef> = "parametersRef";
        /// What it is for.
        description: Option<Description> = "description";
    }
}

record! {
    /// What the mesh's edge listens for, and who may attach routes.
    pub struct Gateway {
        /// The GatewayClass.
        gateway_class_name: ObjectName = "gatewayClassName";
        /// The ports and hosts it serves.
        listeners: Vec<Listener> = "listeners" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(64), Limit::UniqueBy("name")];
        /// The addresses that are asked for.
        addresses: Vec<GatewayAddress> = "addresses" [Limit::MaxItems(16), Limit::Atomic];
        /// What the objects behind the gateway are like.
        infrastructure: Option<Infrastructure> = "infrastructure";
        /// Which ListenerSets may add listeners.
        allowed_listeners: Option<AllowedListeners> = "allowedListeners";
        /// TLS towards clients and backends.
        tls: Option<GatewayTls> = "tls";
        /// Whether routes that ask for default gateways attach.
        default_scope: Option<DefaultGateways> = "defaultScope";
    }
    check: rules::gateway;
}

record! {
    /// A port and a host that are served.
    pub struct Listener {
        /// Its name.
        name: SectionName = "name";
        /// The host; none: every one.
        hostname: Option<Hostname> = "hostname";
        /// The port.
        port: Port = "port";
        /// What is spoken.
        protocol: Protocol = "protocol";
        /// How connections are secured.
        tls: Option<ListenerTls> = "tls";
        /// Which routes may attach.
        allowed_routes: Option<AllowedRoutes> = "allowedRoutes" [Limit::Default(r#"{"namespaces": {"from": "Same"}}"#)];
    }
}

record! {
    /// How a listener secures connections.
    pub struct ListenerTls {
        /// Whether TLS ends here.
        mode: Option<TlsMode> = "mode" [Limit::Default("\"Terminate\"")];
        /// The Secrets with certificates and keys.
        certificate_refs: Vec<SecretRef> = "certificateRefs" [Limit::MaxItems(64), Limit::Atomic];
        /// Settings of the controller's own.
        options: BTreeMap<String, AnnotationValue> = "options" [Limit::MaxProperties(16)];
    }
    check: rules::listener_tls;
}

names! {
    /// Whether TLS ends at the gateway.
    pub enum TlsMode {
        /// It ends here.
        Terminate = "Terminate",
        /// Connections are passed on as they are, by their server name.
        Passthrough = "Passthrough",
    }
}

record! {
    /// Which routes may attach to a listener.
    pub struct AllowedRoutes {
        /// Of which namespaces.
        namespaces: Option<RouteNamespaces> = "namespaces" [Limit::Default(r#"{"from": "Same"}"#)];
        /// Of which kinds; none: those that fit the protocol.
        kinds: Vec<RouteKind> = "kinds" [Limit::MaxItems(8), Limit::Atomic];
    }
}

record! {
    /// Namespaces whose routes may attach.
    pub struct RouteNamespaces {
        /// Which.
        from: Option<FromNamespaces> = "from" [Limit::Default("\"Same\"")];
        /// Labels of the namespaces.
        selector: Option<LabelSelector> = "selector";
    }
}

names! {
    /// Which namespaces.
    pub enum FromNamespaces {
        /// Every one.
        All = "All",
        /// Those with certain labels.
        Selector = "Selector",
        /// The Gateway's own.
        Same = "Same",
    }
}

record! {
    /// A kind of routes.
    pub struct RouteKind {
        /// The API group.
        group: Option<Group> = "group" [Limit::Default("\"gateway.networking.k8s.io\"")];
        /// The kind.
        kind: KindName = "kind";
    }
}

record! {
    /// Labels, all of which have to be there.
    pub struct LabelSelector {
        /// Labels and their values.
        match_labels: Labels = "matchLabels";
        /// Conditions on labels.
        match_expressions: Vec<LabelCondition> = "matchExpressions" [Limit::Atomic];
    }
}

record! {
    /// A condition on one label.
    pub struct LabelCondition {
        /// The label.
        key: String = "key";
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        operator: String = "operator";
        /// The values that `In` and `NotIn` look for.
        values: Vec<String> = "values" [Limit::Atomic];
    }
    check: rules::label_condition;
}

impl LabelSelector {
    /// Whether labels fulfil every condition. An operator that there is not never holds.
    pub fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        let holds = |condition: &LabelCondition| {
            let value = label(&condition.key);
            let listed = value.is_some_and(|value| condition.values.iter().any(|known| known == value));
            match condition.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.match_labels.iter().all(|(key, value)| label(key) == Some(value))
            && self.match_expressions.iter().all(holds)
    }
}

record! {
    /// An address that a Gateway asks for.
    pub struct GatewayAddress {
        /// What sort it is.
        address_type: Option<AddressType> = "type" [Limit::Default("\"IPAddress\"")];
        /// The address; none: any of its sort.
        value: Option<AddressValue> = "value";
    }
    check: rules::address;
}

record! {
    /// What the objects behind a Gateway are like.
    pub struct Infrastructure {
        /// Labels that they get.
        labels: BTreeMap<String, LabelValue> = "labels" [Limit::MaxProperties(8)];
        /// Annotations that they get.
        annotations: BTreeMap<String, AnnotationValue> = "annotations" [Limit::MaxProperties(16)];
        /// Settings of the controller's own.
        parameters_ref: Option<LocalRef> = "parametersRef";
    }
    check: rules::infrastructure;
}

record! {
    /// Which ListenerSets may add listeners.
    pub struct AllowedListeners {
        /// Of which namespaces.
        namespaces: Option<ListenerNamespaces> = "namespaces" [Limit::Default(r#"{"from": "None"}"#)];
    }
}

record! {
    /// Namespaces whose ListenerSets may add listeners.
    pub struct ListenerNamespaces {
        /// Which.
        from: Option<FromListenerNamespaces> = "from" [Limit::Default("\"None\"")];
        /// Labels of the namespaces.
        selector: Option<LabelSelector> = "selector";
    }
}

names! {
    /// Which namespaces.
    pub enum FromListenerNamespaces {
        /// Every one.
        All = "All",
        /// Those with certain labels.
        Selector = "Selector",
        /// The Gateway's own.
        Same = "Same",
        /// None.
        None = "None",
    }
}

record! {
    /// TLS of a Gateway as a whole.
    pub struct GatewayTls {
        /// Towards backends.
        backend: Option<BackendTls> = "backend";
        /// Towards clients.
        frontend: Option<FrontendTls> = "frontend";
    }
}

record! {
    /// TLS towards backends.
    pub struct BackendTls {
        /// The certificate that is shown to them.
        client_certificate_ref: Option<SecretRef> = "clientCertificateRef";
    }
}

record! {
    /// TLS towards clients.
    pub struct FrontendTls {
        /// For every port that has no settings of its own.
        default: FrontendTlsSettings = "default";
        /// For single ports.
        per_port: Vec<PortTls> = "perPort" [Limit::MaxItems(64), Limit::UniqueBy("port")];
    }
}

record! {
    /// TLS towards clients of one port.
    pub struct PortTls {
        /// The port.
        port: Port = "port";
        /// Its settings.
        tls: FrontendTlsSettings = "tls";
    }
}

record! {
    /// Settings of TLS towards clients.
    pub struct FrontendTlsSettings {
        /// How clients are checked.
        validation: Option<FrontendValidation> = "validation";
    }
}

record! {
    /// How clients are checked.
    pub struct FrontendValidation {
        /// The authorities that vouch for them.
        ca_certificate_refs: Vec<ObjectRef> = "caCertificateRefs" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(16), Limit::Atomic];
        /// What becomes of clients that nobody vouches for.
        mode: Option<FrontendValidationMode> = "mode" [Limit::Default("\"AllowValidOnly\"")];
    }
}

names! {
    /// What becomes of clients that nobody vouches for.
    pub enum FrontendValidationMode {
        /// They are refused.
        AllowValidOnly = "AllowValidOnly",
        /// They are served.
        AllowInsecureFallback = "AllowInsecureFallback",
    }
}

record! {
    /// Listeners that are added to a Gateway.
    pub struct ListenerSet {
        /// The Gateway.
        parent_ref: ParentGateway = "parentRef";
        /// The listeners.
        listeners: Vec<Listener> = "listeners" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(64), Limit::UniqueBy("name")];
    }
    check: rules::listener_set;
}

record! {
    /// The Gateway that listeners are added to.
    pub struct ParentGateway {
        /// The API group.
        group: Option<Group> = "group" [Limit::Default("\"gateway.networking.k8s.io\"")];
        /// The kind.
        kind: Option<KindName> = "kind" [Limit::Default("\"Gateway\"")];
        /// The name.
        name: ObjectName = "name";
        /// The namespace, where it is another.
        namespace: Option<Namespace> = "namespace";
    }
}
