//! Columns of what leads traffic to pods.

use serde_json::Value;

use super::{Printer, age, at, first, labels, list, or_none, selector, string, text, wide};

pub const SERVICE: Printer = Printer {
    columns: &[text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), text("Age"), wide("Selector")],
    row: |o, now| {
        let ports: Vec<String> = list(o, "/spec/ports")
            .iter()
            .map(|port| {
                let number = port["port"].as_i64().unwrap_or_default();
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                match port["nodePort"].as_i64() {
                    Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
                    _ => format!("{number}/{protocol}"),
                }
            })
            .collect();
        vec![
            at(o, "/spec/type"),
            or_none(string(o, "/spec/clusterIP")),
            external(o),
            or_none(&ports.join(",")),
            age(o, now),
            labels(o.pointer("/spec/selector")),
        ]
    },
};

pub const ENDPOINTS: Printer = Printer {
    columns: &[text("Endpoints"), text("Age")],
    row: |o, now| {
        let mut all = Vec::new();
        for subset in list(o, "/subsets") {
            for address in list(subset, "/addresses") {
                for port in list(subset, "/ports") {
                    all.push(format!("{}:{}", string(address, "/ip"), port["port"]));
                }
            }
        }
        vec![or_none(&first(&all, 3)), age(o, now)]
    },
};

pub const ENDPOINT_SLICE: Printer = Printer {
    columns: &[text("AddressType"), text("Ports"), text("Endpoints"), text("Age")],
    row: |o, now| {
        let ports: Vec<String> = list(o, "/ports")
            .iter()
            .map(|port| match port["port"].as_i64() {
                Some(number) => number.to_string(),
                None => string(port, "/name").to_owned(),
            })
            .collect();
        let addresses: Vec<String> = list(o, "/endpoints")
            .iter()
            .flat_map(|endpoint| list(endpoint, "/addresses"))
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let unset = |shown: String| -> Value { if shown.is_empty() { "<unset>".into() } else { shown.into() } };
        vec![at(o, "/addressType"), unset(first(&ports, 3)), unset(first(&addresses, 3)), age(o, now)]
    },
};

pub const INGRESS: Printer = Printer {
    columns: &[text("Class"), text("Hosts"), text("Address"), text("Ports"), text("Age")],
    row: |o, now| {
        let hosts: Vec<String> = list(o, "/spec/rules")
            .iter()
            .map(|rule| string(rule, "/host").to_owned())
            .filter(|host| !host.is_empty())
            .collect();
        let hosts = if hosts.is_empty() { "*".to_owned() } else { first(&hosts, 3) };
        let ports = if list(o, "/spec/tls").is_empty() { "80" } else { "80, 443" };
        vec![
            or_none(string(o, "/spec/ingressClassName")),
            hosts.into(),
            ingress_addresses(o).join(",").into(),
            ports.into(),
            age(o, now),
        ]
    },
};

pub const INGRESS_CLASS: Printer = Printer {
    columns: &[text("Controller"), text("Parameters"), text("Age")],
    row: |o, now| {
        let parameters = &o["spec"]["parameters"];
        let shown = match (string(parameters, "/kind"), string(parameters, "/apiGroup")) {
            ("", _) => String::new(),
            (kind, "") => format!("{kind}/{}", string(parameters, "/name")),
            (kind, group) => format!("{kind}.{group}/{}", string(parameters, "/name")),
        };
        vec![at(o, "/spec/controller"), or_none(&shown), age(o, now)]
    },
};

pub const NETWORK_POLICY: Printer = Printer {
    columns: &[text("Pod-Selector"), text("Age")],
    row: |o, now| vec![selector(o.pointer("/spec/podSelector")), age(o, now)],
};

fn ingress_addresses(object: &Value) -> Vec<&str> {
    list(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| {
            let ip = string(ingress, "/ip");
            if ip.is_empty() { string(ingress, "/hostname") } else { ip }
        })
        .collect()
}

fn external(service: &Value) -> Value {
    let mut all = ingress_addresses(service);
    all.extend(list(service, "/spec/externalIPs").iter().filter_map(Value::as_str));
    match string(service, "/spec/type") {
        "ExternalName" => string(service, "/spec/externalName").into(),
        "LoadBalancer" if all.is_empty() => "<pending>".into(),
        _ => or_none(&all.join(",")),
    }
}
