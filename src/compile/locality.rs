//! Which endpoints come first because of where they are.
//!
//! Istio's order: a DestinationRule's `localityLbSetting`, else what the service's owner wants (`trafficDistribution`), else the
//! mesh's setting, which is on unless it says otherwise. Going to the nearest needs outlier detection, because without it nobody
//! would notice that the nearest have failed; only the service's owner may want it regardless, and shares need none.

use std::sync::Arc;

use crate::compile::mesh_config::MeshConfig;
use crate::model::{Distribution, LocalityPattern, LocalityPolicy, Service, TrafficDistribution};
use crate::resources::destination_rule::LocalityLb;

/// By what endpoints are near, the coarse first.
const PLACE: [&str; 5] = [
    "topology.istio.io/network",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
];

/// The policy of a service whose rule says this. `ejects`: whether there is outlier detection.
pub(super) fn policy(
    rule: Option<&LocalityLb>,
    service: &Service,
    mesh: &MeshConfig,
    ejects: bool,
) -> Option<LocalityPolicy> {
    let found = match rule {
        Some(setting) => read(setting),
        None => match service.distribution {
            TrafficDistribution::SameZone => return Some(near(&PLACE[..4])),
            TrafficDistribution::SameNode => return Some(near(&PLACE)),
            TrafficDistribution::Any => mesh.locality(),
        },
    };
    found.filter(|found| ejects || matches!(found, LocalityPolicy::Distribute(_)))
}

fn near(labels: &[&str]) -> LocalityPolicy {
    LocalityPolicy::Labels(labels.iter().map(|label| (Arc::from(*label), None)).collect())
}

/// What a setting says; `None` where it says that places make no difference.
pub(super) fn read(setting: &LocalityLb) -> Option<LocalityPolicy> {
    if setting.enabled == Some(false) {
        return None;
    }
    let text = |text: &Option<String>| -> Arc<str> { text.as_deref().unwrap_or_default().into() };
    if !setting.distribute.is_empty() {
        let distributions = setting.distribute.iter().map(|distribution| Distribution {
            from: LocalityPattern::new(&text(&distribution.from)),
            to: distribution.to.iter().map(|(place, share)| (LocalityPattern::new(place), *share)).collect(),
        });
        return Some(LocalityPolicy::Distribute(distributions.collect()));
    }
    if !setting.failover_priority.is_empty() {
        let labels = setting.failover_priority.iter().map(|label| match label.split_once('=') {
            Some((key, value)) => (key.into(), Some(value.into())),
            None => (label.as_str().into(), None),
        });
        return Some(LocalityPolicy::Labels(labels.collect()));
    }
    let failover = setting.failover.iter().map(|failover| (text(&failover.from), text(&failover.to)));
    Some(LocalityPolicy::Nearest { failover: failover.collect() })
}

#[cfg(test)]
#[path = "locality_tests.rs"]
mod tests;
