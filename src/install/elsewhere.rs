//! Settings of Istio's that mesh does not have, and what is to be done instead: who brings a file of theirs is told more than
//! that a name is unknown.

/// Where such a setting is, and what to do instead; what is inside of it is meant as well.
const ELSEWHERE: &[(&str, &str)] = &[
    ("components.pilot.namespace", "the control plane has one namespace: set `namespace`"),
    ("components.base.namespace", "the control plane has one namespace: set `namespace`"),
    ("unvalidatedValues", "everything that is said is checked: leave it out"),
    ("addonComponents", "add-ons are installed by their own manifests: leave it out"),
    ("installPackagePath", "the manifests are part of the program: leave it out"),
    ("values.profile", "set `profile`, beside `values`"),
    ("values.base", "definitions come with components.base: leave it out"),
    ("values.istiodRemote", "set components.istiodRemote.enabled and values.global.remotePilotAddress"),
    ("values.istio_cni", "mesh has no network plugin, an init container captures: leave it out"),
    ("values.cni", "mesh has no network plugin, an init container captures: leave it out"),
    ("values.pilot.cni", "mesh has no network plugin, an init container captures: leave it out"),
    ("values.ztunnel", "belongs to ambient mode, which mesh does not have yet: leave it out"),
    ("values.telemetry", "metrics are always there, and Telemetry objects say the rest: leave it out"),
    ("values.meshNetworks", "there is one network: leave it out"),
    ("values.pilot.image", "there is one image, HUB/proxy:TAG: set `hub` and `tag`"),
    ("values.pilot.hub", "there is one image: set `hub`, or components.pilot.hub"),
    ("values.pilot.tag", "there is one image: set `tag`, or components.pilot.tag"),
    ("values.pilot.configMap", "the ConfigMap of the mesh is always there: leave it out"),
    ("values.pilot.jwksResolverExtraRootCA", "keys of token issuers are fetched with the image's roots: leave it out"),
    ("values.global.arch", "set components.*.k8s.affinity"),
    ("values.global.caAddress", "authorities outside are not in force; Secret cacerts holds one of one's own"),
    ("values.global.caName", "authorities outside are not in force; Secret cacerts holds one of one's own"),
    ("values.global.certSigners", "authorities outside are not in force; Secret cacerts holds one of one's own"),
    ("values.global.configCluster", "a control plane serves the cluster that it runs in: leave it out"),
    ("values.global.configValidation", "configuration is always checked: leave it out"),
    ("values.global.defaultNodeSelector", "set components.*.k8s.nodeSelector"),
    ("values.global.defaultPodDisruptionBudget", "there is one where there is more than one replica: leave it out"),
    ("values.global.defaultResources", "set components.*.k8s.resources"),
    ("values.global.defaultTolerations", "set components.*.k8s.tolerations"),
    ("values.global.externalIstiod", "a control plane serves the cluster that it runs in: leave it out"),
    ("values.global.istiod", "`mesh analyze` analyses: leave it out"),
    ("values.global.logAsJson", "logs are text: leave it out"),
    ("values.global.meshNetworks", "there is one network: leave it out"),
    (
        "values.global.mountMtlsCerts",
        "certificates of files are not in force; Secret cacerts holds an authority of one's own",
    ),
    ("values.global.nativeNftables", "nf_tables is what is always used: leave it out"),
    ("values.global.networkPolicy", "mesh writes no NetworkPolicy: apply one of your own"),
    ("values.global.omitSidecarInjectorConfigMap", "there is no such ConfigMap: leave it out"),
    ("values.global.operatorManageWebhooks", "the webhooks are always there: leave it out"),
    ("values.global.pilotCertProvider", "the mesh's own authority vouches for the control plane: leave it out"),
    ("values.global.proxy.autoInject", "`mesh label-namespace` says whose pods get sidecars: leave it out"),
    ("values.global.proxy.componentLogLevel", "there is one level: set values.global.proxy.logLevel"),
    ("values.global.proxy.enableCoreDump", "nothing dumps core: leave it out"),
    ("values.global.proxy.image", "there is one image, HUB/proxy:TAG: set `hub` and `tag`"),
    ("values.global.proxy.privileged", "no sidecar is privileged: leave it out"),
    ("values.global.proxy.statusPort", "it is 15020: leave it out"),
    ("values.global.proxy.tracer", "set meshConfig.extensionProviders, and name one in a Telemetry object"),
    ("values.global.proxy_init", "the init container has the proxy's image and resources: leave it out"),
    ("values.global.sds", "tokens are for the audience istio-ca: leave it out"),
    ("values.global.sts", "tokens are not exchanged: leave it out"),
    ("values.global.tracer", "set meshConfig.extensionProviders, and name one in a Telemetry object"),
    ("values.global.variant", "there is one image: leave it out"),
    ("values.global.waypoint", "belongs to ambient mode, which mesh does not have yet: leave it out"),
    ("values.sidecarInjectorWebhook.alwaysInjectSelector", "label the pods sidecar.istio.io/inject=true"),
    ("values.sidecarInjectorWebhook.defaultTemplates", "a container istio-proxy of a pod says what differs there"),
    ("values.sidecarInjectorWebhook.neverInjectSelector", "label the pods sidecar.istio.io/inject=false"),
    ("values.sidecarInjectorWebhook.templates", "a container istio-proxy of a pod says what differs there"),
];

/// What to do instead of setting what is at `path`.
pub(super) fn instead_of(path: &str) -> Option<&'static str> {
    let inside =
        |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    ELSEWHERE.iter().find(|(place, _)| inside(place)).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::Settings;
    use crate::resources::field::Field as _;

    #[test]
    fn what_is_said_to_be_elsewhere_is_no_setting() {
        let schema = Settings::schema();
        for (place, _) in ELSEWHERE {
            let found = place.split('.').try_fold(&schema, |schema, key| schema.get("properties")?.get(key));
            assert_eq!(found, None, "{place}");
        }
        assert!(instead_of("values.global.proxy_init.resources").is_some());
        assert_eq!(instead_of("values.global.proxy"), None);
    }
}
