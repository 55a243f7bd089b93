//! Services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::columns::{list, string};
use super::super::failure::Cause;
use super::label_keys;
use super::rules::{self, Field, Rule};

const PORT: &[Field] = &[
    ("name", Rule::Label),
    ("port", Rule::Port),
    ("protocol", Rule::OneOf(&["SCTP", "TCP", "UDP"])),
    ("targetPort", Rule::PortOrName),
];

const SPEC: &[Field] = &[
    ("sessionAffinity", Rule::OneOf(&["ClientIP", "None"])),
    ("externalIPs[]", Rule::Address),
    ("type", Rule::OneOf(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])),
];

const LAST: &[Field] = &[("internalTrafficPolicy", Rule::OneOf(&["Cluster", "Local"]))];

/// A Service, and what a change of it does that none may.
pub(super) fn check(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let kind = string(spec, "/type");
    let address = string(spec, "/clusterIP");
    let ports = list(spec, "/ports");
    if ports.is_empty() && kind != "ExternalName" && address != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    match kind {
        "NodePort" | "LoadBalancer" if address == "None" => {
            let why = format!("may not be set to 'None' for {kind} services");
            causes.push(Cause::invalid("spec.clusterIPs[0]", &address.into(), why));
        }
        "ExternalName" => {
            if !address.is_empty() {
                causes.push(Cause::forbidden("spec.clusterIPs", "may not be set for ExternalName services"));
            }
            let name = string(spec, "/externalName");
            // A name of the DNS may end in the root's dot.
            let plain = json!({"externalName": name.strip_suffix('.').unwrap_or(name)});
            rules::check(&plain, "spec", &[("externalName", Rule::Needed), ("externalName", Rule::Subdomain)], causes);
        }
        _ => {}
    }
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let here = format!("spec.ports[{index}]");
        let name = string(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{here}.name"), ""));
        }
        rules::check(port, &here, PORT, causes);
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{here}.name"), &name.into()));
        }
    }
    label_keys(&spec["selector"], "spec.selector", causes);
    rules::check(spec, "spec", SPEC, causes);
    port_places(ports, kind, causes);
    if kind != "ExternalName" && !address.is_empty() && address != "None" {
        rules::check(&json!({"clusterIPs": [address]}), "spec", &[("clusterIPs[]", Rule::Address)], causes);
    }
    let outside = ["NodePort", "LoadBalancer"].contains(&kind) || !list(spec, "/externalIPs").is_empty();
    if !outside && !string(spec, "/externalTrafficPolicy").is_empty() {
        let why = "may only be set for externally-accessible services";
        causes.push(Cause::invalid("spec.externalTrafficPolicy", &spec["externalTrafficPolicy"], why));
    }
    rules::check(spec, "spec", LAST, causes);
    if let Some(old) = old
        && kind != "ExternalName"
        && !string(old, "/spec/clusterIP").is_empty()
        && old["spec"]["clusterIP"] != spec["clusterIP"]
    {
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!([address]), "may not change once set"));
    }
}

/// Two ports of one protocol have different numbers; only some kinds have ports of nodes.
fn port_places(ports: &[Value], kind: &str, causes: &mut Vec<Cause>) {
    let mut places = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let here = format!("spec.ports[{index}]");
        let (number, protocol) = (port["port"].as_i64().unwrap_or_default(), string(port, "/protocol"));
        if !places.insert((protocol, number)) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":\"{protocol}\",\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\
                 \"NodePort\":0}}"
            );
            causes.push(Cause::duplicate(here.as_str(), &Value::Null).of_structure(&shown));
        }
        if kind == "ClusterIP" && port["nodePort"].as_i64().is_some_and(|port| port != 0) {
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(format!("{here}.nodePort"), why));
        }
    }
}
