//! Which endpoints come first because of where they are, and how new ones come to their share.

use std::time::Duration;

use crate::model::{Distribution, LocalityPattern, LocalityPolicy, TrafficDistribution, Warmup};
use crate::wire::convert::{ConvertError, Problem, list, non_empty};
use crate::wire::proto::mesh::v1;
use crate::wire::proto::mesh::v1::locality_policy::Kind;

impl From<&LocalityPolicy> for v1::LocalityPolicy {
    fn from(policy: &LocalityPolicy) -> Self {
        let kind = match policy {
            LocalityPolicy::Nearest { failover } => Kind::Nearest(v1::NearestFirst {
                failover: failover
                    .iter()
                    .map(|(from, to)| v1::RegionFailover { from: from.to_string(), to: to.to_string() })
                    .collect(),
            }),
            LocalityPolicy::Labels(labels) => Kind::Labels(v1::LabelsFirst {
                labels: labels
                    .iter()
                    .map(|(key, value)| v1::PlaceLabel {
                        key: key.to_string(),
                        value: value.as_ref().map(ToString::to_string),
                    })
                    .collect(),
            }),
            LocalityPolicy::Distribute(distributions) => {
                Kind::Distribute(v1::Distributions { distributions: distributions.iter().map(Into::into).collect() })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::LocalityPolicy> for LocalityPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::LocalityPolicy) -> Result<Self, ConvertError> {
        Ok(match message.kind.ok_or_else(|| ConvertError::new("kind", Problem::Missing))? {
            Kind::Nearest(nearest) => Self::Nearest {
                failover: nearest.failover.into_iter().map(|pair| (pair.from.into(), pair.to.into())).collect(),
            },
            Kind::Labels(first) => Self::Labels(list("labels", first.labels, |label| {
                Ok((non_empty("key", label.key)?, label.value.map(Into::into)))
            })?),
            Kind::Distribute(all) => Self::Distribute(all.distributions.into_iter().map(Distribution::from).collect()),
        })
    }
}

impl From<&Distribution> for v1::Distribution {
    fn from(distribution: &Distribution) -> Self {
        let to = distribution
            .to
            .iter()
            .map(|(place, share)| v1::LocalityShare { place: place.as_str().to_owned(), share: *share });
        Self { from: distribution.from.as_str().to_owned(), to: to.collect() }
    }
}

/// Every text is a pattern.
impl From<v1::Distribution> for Distribution {
    fn from(message: v1::Distribution) -> Self {
        let to = message.to.into_iter().map(|share| (LocalityPattern::new(&share.place), share.share));
        Self { from: LocalityPattern::new(&message.from), to: to.collect() }
    }
}

impl From<&Warmup> for v1::Warmup {
    fn from(warmup: &Warmup) -> Self {
        Self {
            duration: u64::try_from(warmup.duration.as_nanos()).unwrap_or(u64::MAX),
            least: warmup.least,
            aggression: warmup.aggression,
        }
    }
}

impl From<v1::Warmup> for Warmup {
    fn from(message: v1::Warmup) -> Self {
        Self { duration: Duration::from_nanos(message.duration), least: message.least, aggression: message.aggression }
    }
}

impl From<TrafficDistribution> for v1::TrafficDistribution {
    fn from(distribution: TrafficDistribution) -> Self {
        match distribution {
            TrafficDistribution::Any => Self::Any,
            TrafficDistribution::SameZone => Self::SameZone,
            TrafficDistribution::SameNode => Self::SameNode,
        }
    }
}

impl From<v1::TrafficDistribution> for TrafficDistribution {
    fn from(message: v1::TrafficDistribution) -> Self {
        match message {
            v1::TrafficDistribution::Any => Self::Any,
            v1::TrafficDistribution::SameZone => Self::SameZone,
            v1::TrafficDistribution::SameNode => Self::SameNode,
        }
    }
}
