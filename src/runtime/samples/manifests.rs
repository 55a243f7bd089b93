//! The demo's manifests, compiled in so that `mesh up --demo` needs no file beside the binary.

/// A manifest: the file it comes from (relative to the repository) and its text.
#[derive(Debug, Clone, Copy)]
pub struct Manifest {
    /// For messages.
    pub path: &'static str,
    /// YAML, one or more documents.
    pub text: &'static str,
}

macro_rules! manifest {
    ($path:literal) => {
        Manifest { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)) }
    };
}

/// Bookinfo's services, service accounts and deployments.
pub const BOOKINFO: Manifest = manifest!("samples/bookinfo/bookinfo.yaml");
/// The way in: the gateway, and the paths it passes to productpage.
pub const GATEWAY: Manifest = manifest!("samples/bookinfo/gateway.yaml");
/// The subsets of reviews.
pub const DESTINATION_RULE: Manifest = manifest!("samples/bookinfo/destination-rule-reviews.yaml");
/// The header rule and the 90/10 canary.
pub const VIRTUAL_SERVICE: Manifest = manifest!("samples/bookinfo/virtual-service-reviews.yaml");

/// Everything the demo applies, in order.
pub const DEMO: [Manifest; 4] = [BOOKINFO, GATEWAY, DESTINATION_RULE, VIRTUAL_SERVICE];
