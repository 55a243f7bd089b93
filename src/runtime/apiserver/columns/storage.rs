//! Columns of volumes and what they are asked for with.

use serde_json::Value;

use super::{Printer, age, at, list, or_none, string, text, wide};

pub const VOLUME: Printer = Printer {
    columns: &[
        text("Capacity"),
        text("Access Modes"),
        text("Reclaim Policy"),
        text("Status"),
        text("Claim"),
        text("StorageClass"),
        text("VolumeAttributesClass"),
        text("Reason"),
        text("Age"),
        wide("VolumeMode"),
    ],
    row: |o, now| {
        let claim = match (string(o, "/spec/claimRef/namespace"), string(o, "/spec/claimRef/name")) {
            (_, "") => String::new(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        vec![
            at(o, "/spec/capacity/storage"),
            access_modes(o, "/spec/accessModes"),
            at(o, "/spec/persistentVolumeReclaimPolicy"),
            at(o, "/status/phase"),
            claim.into(),
            at(o, "/spec/storageClassName"),
            or_unset(string(o, "/spec/volumeAttributesClassName")),
            at(o, "/status/reason"),
            age(o, now),
            or_unset(string(o, "/spec/volumeMode")),
        ]
    },
};

pub const CLAIM: Printer = Printer {
    columns: &[
        text("Status"),
        text("Volume"),
        text("Capacity"),
        text("Access Modes"),
        text("StorageClass"),
        text("VolumeAttributesClass"),
        text("Age"),
        wide("VolumeMode"),
    ],
    row: |o, now| {
        vec![
            at(o, "/status/phase"),
            at(o, "/spec/volumeName"),
            at(o, "/status/capacity/storage"),
            access_modes(o, "/status/accessModes"),
            at(o, "/spec/storageClassName"),
            or_unset(string(o, "/spec/volumeAttributesClassName")),
            age(o, now),
            or_unset(string(o, "/spec/volumeMode")),
        ]
    },
};

pub const STORAGE_CLASS: Printer = Printer {
    columns: &[
        text("Provisioner"),
        text("ReclaimPolicy"),
        text("VolumeBindingMode"),
        text("AllowVolumeExpansion"),
        text("Age"),
    ],
    row: |o, now| {
        vec![
            at(o, "/provisioner"),
            at(o, "/reclaimPolicy"),
            at(o, "/volumeBindingMode"),
            o["allowVolumeExpansion"].as_bool().unwrap_or_default().to_string().into(),
            age(o, now),
        ]
    },
};

fn or_unset(text: &str) -> Value {
    if text.is_empty() { "<unset>".into() } else { or_none(text) }
}

/// The short forms that kubectl's users know.
fn access_modes(object: &Value, path: &str) -> Value {
    let all: Vec<&str> = list(object, path)
        .iter()
        .map(|mode| match mode.as_str().unwrap_or_default() {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
        .collect();
    all.join(",").into()
}
