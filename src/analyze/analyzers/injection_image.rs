//! Pods that run another proxy than their namespace would inject today.

use std::collections::BTreeMap;

use serde_json::Value;

use super::injection::{injector, proxy};
use crate::analyze::Found;
use crate::analyze::codes::PODS_ISTIO_PROXY_IMAGE_MISMATCH_IN_NAMESPACE;
use crate::analyze::object::{Object, selects, text};
use crate::analyze::snapshot::{Snapshot, parsed};

/// One message for each namespace.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let mut images: BTreeMap<String, Option<String>> = BTreeMap::new();
    for namespace in snapshot.all("Namespace") {
        let revision = match (namespace.label("istio-injection"), namespace.label("istio.io/rev")) {
            ("enabled", _) => "",
            ("", revision) if !revision.is_empty() => revision,
            _ => continue,
        };
        let map = match revision {
            "" | "default" => "istio-sidecar-injector".to_owned(),
            revision => format!("istio-sidecar-injector-{revision}"),
        };
        let image =
            images.entry(map).or_insert_with_key(|map| injector(snapshot, map).and_then(|values| image(&values)));
        let Some(image) = image else { continue };
        let other: Vec<&str> = snapshot
            .pods_in(&namespace.name)
            .filter(|pod| pod.annotation("sidecar.istio.io/proxyImage").is_empty())
            .filter(|pod| {
                // The variant that is asked for, or the plain image, which every variant stands in for.
                let fits = |running: &str| running == image || running == variant(image, &image_type(snapshot, pod));
                proxy(pod).is_some_and(|running| !fits(running))
            })
            .map(|pod| &*pod.name)
            .collect();
        if !other.is_empty() {
            let text = format!(
                "The pods {} run another proxy than {image}, which would be injected today: restart them.",
                other.join(", ")
            );
            found.note(PODS_ISTIO_PROXY_IMAGE_MISMATCH_IN_NAMESPACE, namespace, text);
        }
    }
}

/// The image that an injector's values name.
fn image(values: &Value) -> Option<String> {
    let name = text(values, "/global/proxy/image");
    if name.contains('/') {
        return Some(name.to_owned());
    }
    let tag = values.pointer("/global/tag")?;
    let tag = tag.as_str().map_or_else(|| tag.to_string(), str::to_owned);
    Some(format!("{}/{name}:{tag}", text(values, "/global/hub")))
}

/// The variant of the image that a pod gets, the closest word first: its own, its workload's, its namespace's, the mesh's.
fn image_type(snapshot: &Snapshot, pod: &Object) -> String {
    let own = parsed(pod.annotation("proxy.istio.io/config"));
    let own = own.as_ref().map_or("", |config| text(config, "/image/imageType"));
    for chosen in [pod.annotation("sidecar.istio.io/proxyImageType"), own] {
        if !chosen.is_empty() {
            return chosen.to_owned();
        }
    }
    let root = snapshot.root_namespace();
    let mut chosen = text(&snapshot.mesh_config, "/defaultConfig/image/imageType");
    let mut rank = 0;
    for config in snapshot.all("ProxyConfig") {
        let selector = config.map("/spec/selector/matchLabels");
        let here = config.namespace == pod.namespace;
        let this = match (here, selector.is_empty()) {
            (true, false) if selects(&selector, &pod.labels()) => 3,
            (true, true) => 2,
            (false, true) if *config.namespace == *root => 1,
            _ => continue,
        };
        let image = config.text("/spec/image/imageType");
        if this > rank && !image.is_empty() {
            (chosen, rank) = (image, this);
        }
    }
    chosen.to_owned()
}

/// The image of a variant.
fn variant(image: &str, kind: &str) -> String {
    match kind {
        "" | "default" => image.to_owned(),
        kind if image.ends_with(&format!("-{kind}")) => image.to_owned(),
        kind => format!("{image}-{kind}"),
    }
}
