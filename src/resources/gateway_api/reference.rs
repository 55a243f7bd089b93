//! How the Gateway API's objects name others: parents, backends, secrets, and who may.

use super::text::{Group, KindName, Namespace, ObjectName, SectionName};
use crate::resources::field::{Limit, names, record};
use crate::resources::rules::gateway_api as rules;
use crate::resources::values::Port;

/// The Gateway API's own group.
pub const GROUP: &str = "gateway.networking.k8s.io";

record! {
    /// What a route attaches to.
    pub struct ParentRef {
        /// The API group of the parent.
        group: Option<Group> = "group" [Limit::Default("\"gateway.networking.k8s.io\"")];
        /// The kind of the parent.
        kind: Option<KindName> = "kind" [Limit::Default("\"Gateway\"")];
        /// The namespace of the parent, where it is another.
        namespace: Option<Namespace> = "namespace";
        /// The name of the parent.
        name: ObjectName = "name";
        /// The listener, or the service's port, by name.
        section_name: Option<SectionName> = "sectionName";
        /// The listener's or the service's port.
        port: Option<Port> = "port";
    }
}

impl ParentRef {
    /// The group of the parent.
    pub fn group(&self) -> &str {
        self.group.as_ref().map_or(GROUP, Group::as_str)
    }

    /// The kind of the parent.
    pub fn kind(&self) -> &str {
        self.kind.as_ref().map_or("Gateway", KindName::as_str)
    }

    /// Whether it names an object of this group and kind.
    pub fn names(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.kind() == kind
    }

    /// The namespace of the parent of an object in `own`.
    pub fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_ref().map_or(own, Namespace::as_str)
    }
}

record! {
    /// A backend.
    pub struct BackendObjectRef {
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
    }
    check: rules::backend_object;
}

record! {
    /// A backend and its share.
    pub struct BackendRef {
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
    }
    check: rules::backend;
}

record! {
    /// A Secret.
    pub struct SecretRef {
        /// The API group of the object.
        group: Option<Group> = "group" [Limit::Default("\"\"")];
        /// The kind of the object.
        kind: Option<KindName> = "kind" [Limit::Default("\"Secret\"")];
        /// The name of the object.
        name: ObjectName = "name";
        /// The namespace of the object, where it is another; a ReferenceGrant there has to permit it.
        namespace: Option<Namespace> = "namespace";
    }
}

record! {
    /// An object of the same namespace.
    pub struct LocalRef {
        /// The API group of the object.
        group: Group = "group";
        /// The kind of the object.
        kind: KindName = "kind";
        /// The name of the object.
        name: ObjectName = "name";
    }
}

record! {
    /// An object.
    pub struct ObjectRef {
        /// The API group of the object.
        group: Group = "group";
        /// The kind of the object.
        kind: KindName = "kind";
        /// The name of the object.
        name: ObjectName = "name";
        /// The namespace of the object, where it is another.
        namespace: Option<Namespace> = "namespace";
    }
}

record! {
    /// Permits objects of other namespaces to name objects of this one.
    pub struct ReferenceGrant {
        /// Who may.
        from: Vec<GrantFrom> = "from" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(16), Limit::Atomic];
        /// What they may name.
        to: Vec<GrantTo> = "to" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(16), Limit::Atomic];
    }
}

record! {
    /// Objects that may name others.
    pub struct GrantFrom {
        /// Their API group.
        group: Group = "group";
        /// Their kind.
        kind: KindName = "kind";
        /// Their namespace.
        namespace: Namespace = "namespace";
    }
}

record! {
    /// Objects that may be named.
    pub struct GrantTo {
        /// Their API group.
        group: Group = "group";
        /// Their kind.
        kind: KindName = "kind";
        /// One of them alone.
        name: Option<ObjectName> = "name";
    }
}

names! {
    /// Whether gateways that are everybody's default take a route.
    pub enum DefaultGateways {
        /// All of them.
        All = "All",
        /// None.
        None = "None",
    }
}
