//! ProxyConfig: how proxies are started.

use std::collections::BTreeMap;

use super::field::{Limit, record};
use super::peer_authentication::WorkloadSelector;

record! {
    /// How proxies are started.
    pub struct ProxyConfig {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if not said.
        selector: Option<WorkloadSelector> = "selector";
        /// How many threads do the work; as many as there are cores for 0.
        concurrency: Option<i32> = "concurrency" [Limit::Min(0), Limit::Nullable];
        /// Variables of the proxies' environment.
        environment_variables: BTreeMap<String, String> = "environmentVariables" [Limit::ItemsMaxLength(2048)];
        /// The proxies' image.
        image: Option<ProxyImage> = "image";
    }
}

record! {
    /// The image of proxies.
    pub struct ProxyImage {
        /// Its variant, as `distroless`.
        image_type: Option<String> = "imageType";
    }
}
