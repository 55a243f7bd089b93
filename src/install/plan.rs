//! Settings, resolved: every question that rendering has is answered here, once.

use serde_json::{Map, Value, json};

use crate::install::settings::{GatewayComponent, GatewayValues, K8s, PlatformName, PullPolicy, Settings, Tree};
use crate::install::{DEFAULT_REVISION, Error, Layers, VERSION, tree};

/// What the mesh is installed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Platform {
    /// A Kubernetes cluster.
    #[default]
    Kubernetes,
    /// The built-in runtime, whose own control plane serves: there is none to deploy.
    Runtime,
}

/// What is to be installed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) settings: Settings,
    pub(super) platform: Platform,
    pub(super) revision: String,
    pub(super) namespace: String,
    /// The content of the files, and the assignments, that the settings came from.
    pub(super) said: (String, Vec<String>),
}

/// A gateway that is to be installed.
pub(super) struct GatewayPlan<'p> {
    pub(super) component: &'static str,
    pub(super) gateway: &'p GatewayComponent,
    pub(super) values: Option<&'p GatewayValues>,
    pub(super) namespace: &'p str,
    pub(super) image: String,
    pub(super) labels: Value,
}

impl Plan {
    /// What these settings ask for, on this platform.
    pub fn new(settings: Settings, platform: Platform) -> Self {
        let revision = settings.revision.clone().or_else(|| settings.values.revision.clone());
        let revision = revision.filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT_REVISION.to_owned());
        let namespace = settings.values.global.istio_namespace.clone().unwrap_or_else(|| settings.namespace.clone());
        Self { settings, platform, revision, namespace, said: Default::default() }
    }

    /// What these layers ask for, which they are recorded with: who upgrades says only what is new.
    ///
    /// # Errors
    /// The layers are not settings.
    pub fn of(layers: &Layers, platform: Platform) -> Result<Self, Error> {
        Ok(Self { said: layers.said(), ..Self::new(layers.settings()?, platform) })
    }

    /// The revision of the control plane; `default` where none was named.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The namespace of the control plane.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The profile that the settings were laid on.
    pub fn profile(&self) -> &str {
        self.settings.profile.as_deref().unwrap_or(DEFAULT_REVISION)
    }

    /// What names of objects end in: nothing for the default revision.
    pub(super) fn suffix(&self) -> String {
        super::suffix(&self.revision)
    }

    /// The image of the control plane, and of what does not say another.
    pub(super) fn image(&self) -> String {
        let pilot = &self.settings.components.pilot;
        self.image_of(pilot.hub.as_ref(), pilot.tag.as_ref())
    }

    /// The image of a part that says these of it.
    fn image_of(&self, hub: Option<&String>, tag: Option<&Tree>) -> String {
        let global = &self.settings.values.global;
        let hub = hub.or(global.hub.as_ref()).unwrap_or(&self.settings.hub);
        let tags = [tag, global.tag.as_ref(), self.settings.tag.as_ref()];
        let tag = tags.into_iter().flatten().map(|Tree(tag)| text(tag)).find(|tag| !tag.is_empty());
        format!("{}/proxy:{}", hub.trim_end_matches('/'), tag.unwrap_or_else(|| VERSION.to_owned()))
    }

    pub(super) fn pull_policy(&self, k8s: Option<&K8s>) -> PullPolicy {
        k8s.and_then(|k8s| k8s.image_pull_policy).unwrap_or(self.settings.values.global.image_pull_policy)
    }

    pub(super) fn installs_base(&self) -> bool {
        self.settings.components.base.enabled == Some(true)
    }

    pub(super) fn installs_pilot(&self) -> bool {
        self.settings.components.pilot.enabled == Some(true)
    }

    pub(super) fn installs_remote(&self) -> bool {
        self.settings.components.istiod_remote.enabled == Some(true)
    }

    pub(super) fn installs_stable_policy(&self) -> bool {
        let trial = self.settings.values.experimental.as_ref();
        self.installs_pilot() && trial.is_some_and(|trial| trial.stable_validation_policy == Some(true))
    }

    /// Whether this revision is the one that `istio-injection=enabled` stands for.
    pub(super) fn is_default(&self) -> bool {
        self.settings.values.default_revision.as_deref().unwrap_or(DEFAULT_REVISION) == self.revision
    }

    pub(super) fn openshift(&self) -> bool {
        self.settings.values.global.platform == Some(PlatformName::Openshift)
    }

    /// The gateways that are enabled, those into the mesh first.
    pub(super) fn gateways(&self) -> Vec<GatewayPlan<'_>> {
        let components = &self.settings.components;
        let sides = [
            ("IngressGateways", "ingressgateway", &components.ingress_gateways),
            ("EgressGateways", "egressgateway", &components.egress_gateways),
        ];
        let mut gateways = Vec::new();
        for (component, istio, side) in sides {
            let values = &self.settings.values.gateways;
            let by_value = |name: &str| values.get(name).and_then(|values| values.enabled);
            for gateway in side.iter().filter(|gateway| by_value(&gateway.name).or(gateway.enabled) == Some(true)) {
                let mut labels = json!({"app": gateway.name, "istio": istio});
                if let Some(labels) = labels.as_object_mut() {
                    labels.extend(gateway.label.iter().map(|(key, value)| (key.clone(), json!(value))));
                }
                gateways.push(GatewayPlan {
                    component,
                    gateway,
                    values: self.settings.values.gateways.get(&gateway.name).or_else(|| {
                        // A gateway of one's own starts from the values of Istio's.
                        self.settings.values.gateways.get(&format!("istio-{istio}"))
                    }),
                    namespace: gateway.namespace.as_deref().unwrap_or(&self.namespace),
                    image: match (&gateway.hub, &gateway.tag) {
                        (None, None) => self.image(),
                        (hub, tag) => self.image_of(hub.as_ref(), tag.as_ref()),
                    },
                    labels,
                });
            }
        }
        gateways
    }

    /// The MeshConfig: what the settings say, over what follows from them.
    pub(super) fn mesh_config(&self) -> Value {
        let values = &self.settings.values;
        let mut config = json!({
            "defaultConfig": {
                "discoveryAddress": self.discovery_address(),
                "tracing": {"sampling": values.pilot.trace_sampling},
            },
            "rootNamespace": self.namespace,
            "trustDomain": values.global.proxy.cluster_domain,
        });
        if let Some(mesh) = &values.global.mesh_id {
            tree::overlay(&mut config, &json!({"defaultConfig": {"meshId": mesh}}), &|_| false);
        }
        for Tree(said) in [&self.settings.mesh_config, &values.mesh_config].into_iter().flatten() {
            tree::overlay(&mut config, said, &|_| false);
        }
        config
    }

    pub(super) fn discovery_address(&self) -> String {
        match &self.settings.values.global.remote_pilot_address {
            Some(address) if self.installs_remote() => format!("{address}:15012"),
            _ => format!("istiod{}.{}.svc:15012", self.suffix(), self.namespace),
        }
    }

    /// The settings as they were resolved, for those who come later.
    pub(super) fn recorded(&self) -> Map<String, Value> {
        use crate::resources::field::Field as _;
        match self.settings.encode() {
            Some(Value::Object(settings)) => settings,
            _ => Map::new(),
        }
    }
}

/// A scalar as text: a tag may be written as a number.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
