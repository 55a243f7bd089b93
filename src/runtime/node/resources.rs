//! What a container asks for and may take, as its environment and its downward API files say it.
//!
//! Limits are told and not enforced: containers are processes of one user. A limit that is not set is the whole machine.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};

use super::register;

/// A container's requests and limits.
#[derive(Debug, Clone, Default)]
pub(super) struct Resources {
    limits: BTreeMap<String, String>,
    requests: BTreeMap<String, String>,
}

impl Resources {
    pub(super) fn of(container: &Container) -> Self {
        let given = container.resources.clone().unwrap_or_default();
        let texts = |map: Option<BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>| {
            map.unwrap_or_default().into_iter().map(|(name, quantity)| (name, quantity.0)).collect()
        };
        Self { limits: texts(given.limits), requests: texts(given.requests) }
    }

    /// The value of a field such as `limits.cpu`, in units of the divisor, rounded up; `None` where there is no such field.
    pub(super) fn field(&self, selector: &ResourceFieldSelector) -> Option<String> {
        let (kind, resource) = selector.resource.split_once('.')?;
        let given = match kind {
            "limits" => self.limits.get(resource),
            "requests" => self.requests.get(resource),
            _ => return None,
        };
        let amount = match given {
            Some(quantity) => parse(quantity)?,
            None if kind == "requests" => 0.0,
            None => parse(&register::capacity(resource)?)?,
        };
        let divisor = selector.divisor.as_ref().map_or(Some(1.0), |divisor| parse(&divisor.0));
        let divisor = divisor.filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
        // A hair below a whole number is that number: fractions of ten are no binary fractions.
        Some(format!("{:.0}", (amount / divisor - 1e-9).ceil().max(0.0).abs()))
    }
}

/// A quantity as Kubernetes writes it: a number with a decimal or binary suffix, or an exponent.
pub(in crate::runtime) fn parse(quantity: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    if let Ok(number) = quantity.parse::<f64>() {
        return Some(number);
    }
    let (suffix, unit) = SUFFIXES.iter().find(|(suffix, _)| quantity.ends_with(suffix))?;
    Some(quantity.strip_suffix(suffix)?.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn field(resource: &str, divisor: Value) -> Option<String> {
        let container = json!({"name": "a", "resources": {
            "limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}});
        let selector = json!({"resource": resource, "divisor": divisor});
        let resources = Resources::of(&serde_json::from_value(container).unwrap());
        resources.field(&serde_json::from_value(selector).unwrap())
    }

    #[test]
    fn fields_are_counted_in_units_of_the_divisor_and_rounded_up() {
        for (resource, divisor, expected) in [
            ("limits.cpu", json!("1"), "1"),
            ("limits.cpu", json!("1m"), "500"),
            ("requests.cpu", json!("1m"), "100"),
            ("limits.memory", json!("1Mi"), "64"),
            ("limits.memory", json!(null), "67108864"),
            ("requests.memory", json!("1"), "0"),
        ] {
            assert_eq!(field(resource, divisor).as_deref(), Some(expected), "{resource}");
        }
        assert!(field("limits.cpu", json!("1")).is_some());
        assert_eq!(field("nonsense", json!("1")), None);
        assert_eq!(parse("1e3"), Some(1000.0));
        assert_eq!(parse("x"), None);
    }
}
