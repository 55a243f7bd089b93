//! What of a ProxyConfig injection has to know: the mesh's (`defaultConfig`), and over it that of the pod's annotation
//! (<https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig>). The rest of it the control plane reads.

use std::collections::BTreeMap;

use serde_json::Value;

use super::annotation::{self, Wrong};
use crate::yaml;

const ANNOTATION: &str = "proxy.istio.io/config";

/// How a proxy is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Whether the application is held back until the proxy is ready; it is, unless somebody says otherwise.
    pub holds: Option<bool>,
    /// Variables of the proxy's environment.
    pub metadata: BTreeMap<String, String>,
    /// For how long the proxy goes on once it was told to end, as text.
    pub drain: Option<String>,
    /// Threads that serve requests.
    pub workers: Option<u64>,
    /// Where the control plane answers, `host:port`.
    pub discovery: Option<String>,
}

impl ProxySettings {
    /// What a ProxyConfig says.
    ///
    /// # Errors
    /// A field has the wrong type; reads on from the name of whatever holds it.
    pub fn read(config: &Value) -> Result<Self, String> {
        let Value::Object(fields) = config else { return Err("is no mapping of settings of the proxy".to_owned()) };
        let mut said = Self::default();
        for (field, value) in fields {
            let wrong = |expected: &str| format!("{field} has to be {expected}, and is {value}");
            match field.as_str() {
                "holdApplicationUntilProxyStarts" => {
                    said.holds = Some(value.as_bool().ok_or_else(|| wrong("true or false"))?);
                }
                "terminationDrainDuration" => {
                    let text = value.as_str().ok_or_else(|| wrong("a time, such as 5s"))?;
                    text.parse::<crate::resources::Duration>().map_err(|_| wrong("a time, such as 5s"))?;
                    said.drain = Some(text.to_owned());
                }
                // Istio's 0 is every processor there is, which Kubernetes' limits are a better word for.
                "concurrency" => {
                    let number = value.as_u64().filter(|number| *number <= 256);
                    said.workers = Some(number.ok_or_else(|| wrong("a number of threads up to 256"))?);
                }
                "discoveryAddress" => {
                    let text = value.as_str().filter(|text| text.contains(':'));
                    said.discovery = Some(text.ok_or_else(|| wrong("HOST:PORT"))?.to_owned());
                }
                "proxyMetadata" => {
                    let entries = value.as_object().ok_or_else(|| wrong("a mapping of names to texts"))?;
                    for (name, value) in entries {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        said.metadata.insert(name.clone(), text);
                    }
                }
                _ => {}
            }
        }
        Ok(said)
    }

    /// The same, with what a pod says in its annotation over it.
    pub(super) fn of_pod(&self, pod: &Value) -> Result<Self, Wrong> {
        let Some(text) = annotation::text(pod, ANNOTATION) else { return Ok(self.clone()) };
        let wrong = |reason: String| (ANNOTATION, reason);
        let loaded = yaml::load(ANNOTATION, text.as_bytes());
        if let Some(error) = loaded.errors.first() {
            return Err(wrong(error.to_string()));
        }
        let Some(document) = loaded.documents.into_iter().next() else { return Ok(self.clone()) };
        let own = Self::read(&document.value).map_err(wrong)?;
        let mut metadata = self.metadata.clone();
        metadata.extend(own.metadata);
        Ok(Self {
            holds: own.holds.or(self.holds),
            metadata,
            drain: own.drain.or_else(|| self.drain.clone()),
            workers: own.workers.or(self.workers),
            discovery: own.discovery.or_else(|| self.discovery.clone()),
        })
    }
}
