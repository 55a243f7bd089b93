//! The environment of a container: exactly what its pod declares, what the network gives and a few names of the pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, EnvVarSource, Secret};
use kube::{Api, Client};

use super::network::PodAttachment;
use super::plan::{ContainerPlan, PodPlan};
use super::pod_exec::{ARGUMENTS_VARIABLE, PORT_VARIABLE};

/// Why a container has no environment.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvError {
    #[error("variable {variable}: {kind} {name} has no key {key}")]
    MissingKey { variable: String, kind: &'static str, name: String, key: String },
    #[error("{kind} {name} does not exist; create it, or mark the reference optional")]
    MissingObject { kind: &'static str, name: String },
    #[error("{kind} {name} cannot be read: {source}")]
    Api { kind: &'static str, name: String, source: Box<kube::Error> },
    #[error("variable {variable}: {field} is not a field that the built-in runtime can pass on")]
    Field { variable: String, field: String },
}

/// Reads ConfigMaps and Secrets of one namespace.
struct Sources<'a> {
    client: &'a Client,
    namespace: &'a str,
}

type Data = BTreeMap<String, String>;

impl Sources<'_> {
    async fn config_map(&self, name: &str) -> Result<Option<Data>, EnvError> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), self.namespace);
        let found = api.get_opt(name).await.map_err(|source| api_error("ConfigMap", name, source))?;
        Ok(found.map(|object| object.data.unwrap_or_default()))
    }

    async fn secret(&self, name: &str) -> Result<Option<Data>, EnvError> {
        let api = Api::<Secret>::namespaced(self.client.clone(), self.namespace);
        let found = api.get_opt(name).await.map_err(|source| api_error("Secret", name, source))?;
        Ok(found.map(|object| {
            let data = object.data.unwrap_or_default();
            data.into_iter().map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect()
        }))
    }
}

fn api_error(kind: &'static str, name: &str, source: kube::Error) -> EnvError {
    EnvError::Api { kind, name: name.to_owned(), source: Box::new(source) }
}

/// Resolves the environment. The network's variables win over the pod's own, so that a pod cannot leave its proxy by
/// setting `http_proxy`.
pub(super) async fn resolve(
    client: &Client,
    pod: &PodPlan,
    container: &ContainerPlan,
    attachment: &PodAttachment,
    host_ip: &str,
) -> Result<Vec<(String, String)>, EnvError> {
    let sources = Sources { client, namespace: &pod.network.namespace };
    let mut env = Data::new();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (name, value) in [("HOSTNAME", pod.network.name.as_str()), ("PATH", path), ("HOME", "/root")] {
        env.insert(name.to_owned(), value.to_owned());
    }
    for source in &container.env_from {
        let prefix = source.prefix.as_deref().unwrap_or("");
        let (kind, name, optional, data) = if let Some(reference) = &source.config_map_ref {
            ("ConfigMap", &reference.name, reference.optional, sources.config_map(&reference.name).await?)
        } else if let Some(reference) = &source.secret_ref {
            ("Secret", &reference.name, reference.optional, sources.secret(&reference.name).await?)
        } else {
            continue;
        };
        match data {
            Some(data) => env.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value))),
            None if optional == Some(true) => {}
            None => return Err(EnvError::MissingObject { kind, name: name.clone() }),
        }
    }
    for variable in &container.env {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => Some(expand(value, &env)),
            (None, Some(source)) => {
                referenced(&sources, pod, container, attachment, host_ip, (&variable.name, source)).await?
            }
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    if let Some(port) = container.port {
        env.insert(PORT_VARIABLE.to_owned(), port.to_string());
    }
    if !container.args.is_empty() {
        env.insert(ARGUMENTS_VARIABLE.to_owned(), container.args.join("\n"));
    }
    env.insert("APP_IP".to_owned(), attachment.app_ip.to_string());
    env.extend(attachment.env.iter().cloned());
    Ok(env.into_iter().collect())
}

async fn referenced(
    sources: &Sources<'_>,
    pod: &PodPlan,
    container: &ContainerPlan,
    attachment: &PodAttachment,
    host_ip: &str,
    (variable, source): (&str, &EnvVarSource),
) -> Result<Option<String>, EnvError> {
    let (kind, name, key, optional, data) = if let Some(field) = &source.field_ref {
        let value = field_of(pod, attachment, host_ip, &field.field_path);
        return value
            .map(Some)
            .ok_or_else(|| EnvError::Field { variable: variable.to_owned(), field: field.field_path.clone() });
    } else if let Some(selector) = &source.resource_field_ref {
        let of = selector.container_name.as_deref().unwrap_or(&container.name);
        let value = pod.all().find(|other| other.name == of).and_then(|of| of.resources.field(selector));
        return value
            .map(Some)
            .ok_or_else(|| EnvError::Field { variable: variable.to_owned(), field: selector.resource.clone() });
    } else if let Some(reference) = &source.config_map_key_ref {
        let data = sources.config_map(&reference.name).await?;
        ("ConfigMap", &reference.name, &reference.key, reference.optional, data)
    } else if let Some(reference) = &source.secret_key_ref {
        let data = sources.secret(&reference.name).await?;
        ("Secret", &reference.name, &reference.key, reference.optional, data)
    } else {
        return Err(EnvError::Field { variable: variable.to_owned(), field: "its source".to_owned() });
    };
    match data.map(|mut data| data.remove(key)) {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        Some(None) => {
            Err(EnvError::MissingKey { variable: variable.to_owned(), kind, name: name.clone(), key: key.clone() })
        }
        None => Err(EnvError::MissingObject { kind, name: name.clone() }),
    }
}

pub(super) fn field_of(pod: &PodPlan, attachment: &PodAttachment, host_ip: &str, path: &str) -> Option<String> {
    let value = match path {
        "metadata.name" => pod.network.name.clone(),
        "metadata.namespace" => pod.network.namespace.clone(),
        "metadata.uid" => pod.network.uid.clone(),
        "spec.nodeName" => pod.node_name.clone(),
        "spec.serviceAccountName" => pod.network.service_account.clone(),
        "status.podIP" | "status.podIPs" => attachment.pod_ip.to_string(),
        "status.hostIP" | "status.hostIPs" => host_ip.to_owned(),
        keyed => {
            let (map, rest) = match keyed.strip_prefix("metadata.labels[") {
                Some(rest) => (&pod.network.labels, rest),
                None => (&pod.annotations, keyed.strip_prefix("metadata.annotations[")?),
            };
            let key = rest.strip_suffix(']')?.trim_matches(['\'', '"']);
            map.get(key).cloned().unwrap_or_default()
        }
    };
    Some(value)
}

/// `$(NAME)` becomes the value of an earlier variable; an unknown name stays as written; `$$` is a dollar sign.
fn expand(text: &str, env: &Data) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        out.push_str(before);
        if let Some(escaped) = after.strip_prefix("$$") {
            out.push('$');
            rest = escaped;
            continue;
        }
        let reference = after.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        match reference.and_then(|(name, tail)| Some((env.get(name)?, tail))) {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after.strip_prefix('$').unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_earlier_variables_are_expanded() {
        let env = Data::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in [
            ("$(A)/$(A)", "1/1"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("a$", "a$"),
            ("$(A", "$(A"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
