//! The kubeconfig of the runtime.

use serde_json::json;

/// A kubeconfig for `server` (a URL), its CA and a bearer token. Whoever writes it gives it mode 0600.
#[must_use]
pub fn kubeconfig(server: &str, ca_pem: &str, token: &str) -> String {
    let authority = serde_json::to_value(k8s_openapi::ByteString(ca_pem.as_bytes().to_vec())).unwrap_or_default();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "mesh", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "mesh-admin", "user": {"token": token}}],
        "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": "mesh-admin"}}],
        "current-context": "mesh",
    });
    let mut text = serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
