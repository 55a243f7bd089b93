//! BackendTLSPolicy: how a gateway secures connections to a backend.

use std::collections::BTreeMap;

use super::reference::LocalRef;
use super::text::{
    AbsoluteUri, AnnotationValue, Group, Hostname, KindName, ObjectName, PreciseHostname, SectionName,
    WellKnownAuthorities,
};
use crate::resources::field::{Limit, names, record};
use crate::resources::rules::gateway_api as rules;

record! {
    /// How connections to a backend are secured.
    pub struct BackendTLSPolicy {
        /// The backends.
        target_refs: Vec<PolicyTarget> = "targetRefs" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(16), Limit::Atomic];
        /// How the backend is checked.
        validation: BackendValidation = "validation";
        /// Settings of the controller's own.
        options: BTreeMap<String, AnnotationValue> = "options" [Limit::MaxProperties(16)];
    }
    check: rules::backend_tls;
}

record! {
    /// A backend, or one port of it.
    pub struct PolicyTarget {
        /// The API group.
        group: Group = "group";
        /// The kind.
        kind: KindName = "kind";
        /// The name.
        name: ObjectName = "name";
        /// The port, by name.
        section_name: Option<SectionName> = "sectionName";
    }
}

record! {
    /// How a backend is checked.
    pub struct BackendValidation {
        /// The authorities that vouch for it.
        ca_certificate_refs: Vec<LocalRef> = "caCertificateRefs" [Limit::MaxItems(8), Limit::Atomic];
        /// Authorities that everybody knows.
        well_known: Option<WellKnownAuthorities> = "wellKnownCACertificates";
        /// The server name that it is asked for, and that its certificate has to hold.
        hostname: PreciseHostname = "hostname";
        /// Names one of which its certificate has to hold instead.
        subject_alt_names: Vec<SubjectAltName> = "subjectAltNames" [Limit::MaxItems(5), Limit::Atomic];
    }
    check: rules::backend_validation;
}

record! {
    /// A name in a certificate.
    pub struct SubjectAltName {
        /// Which sort of name.
        name_type: SubjectAltNameType = "type";
        /// A host.
        hostname: Option<Hostname> = "hostname";
        /// A URI.
        uri: Option<AbsoluteUri> = "uri";
    }
    check: rules::subject_alt_name;
}

names! {
    /// A sort of name in a certificate.
    pub enum SubjectAltNameType {
        /// A host.
        Hostname = "Hostname",
        /// A URI.
        Uri = "URI",
    }
}
