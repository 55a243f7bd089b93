//! What a mesh in a cluster needs beside its own objects: definitions of its kinds, clocks that agree, an authority that has not
//! expired, and an API server that reaches its webhooks. Each is asked for in the way that shows a user's failure, and nothing is
//! changed: the webhooks are tried with a pod that nobody keeps.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Findings, names_of};
use crate::cli::error::CliResult;
use crate::cli::input::count;
use crate::identity::{first_certificate, validity};
use crate::kube::{self, ApplyOptions, Connection, ObjectRef, Selection};
use crate::resources;

/// How far clocks may be apart: less than what certificates are dated back.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// After what time without a sign of life a node is silent; kubelets give one every 10 s.
const SILENT: SignedDuration = SignedDuration::from_secs(120);

/// How long before its end an authority's certificate has to be replaced.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Whether the API server serves every kind in the versions that are read.
pub(super) async fn definitions(connection: &Connection, program: &str, findings: &mut Findings) -> CliResult {
    let mut served: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let (mut missing, mut old, mut total) = (Vec::new(), Vec::new(), 0);
    for definition in resources::crds() {
        total += 1;
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
        let versions: Vec<&str> = versions.filter_map(|version| version["name"].as_str()).collect();
        let mut lacking = Vec::new();
        for version in &versions {
            let key = (group.clone(), (*version).to_owned());
            if !served.contains_key(&key) {
                let plurals = plurals(connection, &group, version).await?;
                served.insert(key.clone(), plurals);
            }
            if served.get(&key).is_none_or(|plurals| !plurals.contains(&plural)) {
                lacking.push(*version);
            }
        }
        match lacking.len() {
            0 => {}
            all if all == versions.len() => missing.push(format!("{plural}.{group}")),
            _ => old.push(format!("{plural}.{group} ({})", lacking.join(", "))),
        }
    }
    let remedy = format!("`{program} install` brings definitions up to date; what users wrote stays");
    if !missing.is_empty() {
        findings.failure("cluster", format!("not defined: {}", names_of(&missing)), remedy.clone());
    }
    if !old.is_empty() {
        let what = format!("not served in every version, as with definitions of an old Istio: {}", names_of(&old));
        findings.failure("cluster", what, remedy);
    }
    if missing.is_empty() && old.is_empty() {
        findings.good("cluster", format!("{} of configuration are defined", count(total, "kind")));
    }
    Ok(())
}

/// The kinds of a version of a group, by their plural names; none where the server does not have it.
async fn plurals(connection: &Connection, group: &str, version: &str) -> CliResult<BTreeSet<String>> {
    let answer = match kube::read_path(connection, &format!("/apis/{group}/{version}")).await {
        Ok(answer) => answer,
        Err(kube::Error::NotFound { .. }) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error.into()),
    };
    let resources = answer.pointer("/resources").and_then(Value::as_array).into_iter().flatten();
    Ok(resources.filter_map(|resource| Some(resource["name"].as_str()?.to_owned())).collect())
}

/// Whether this machine and the nodes have the API server's time: certificates and tokens hold for some time only.
pub(super) async fn clocks(connection: &Connection, findings: &mut Findings) -> CliResult {
    const REMEDY: &str = "have a time service (NTP) set the clock: certificates and tokens of a wrong time are refused";
    let Some(server) = kube::server_time(connection).await? else { return Ok(()) };
    let ahead = Timestamp::now().duration_since(server);
    if ahead.abs() > SKEW {
        findings.warning("cluster", format!("this machine's clock is {} the API server's", apart(ahead)), REMEDY);
    }
    let selection = Selection { namespace: Some("kube-node-lease"), labels: "" };
    let leases = match kube::list(connection, "coordination.k8s.io/v1", "Lease", selection).await {
        Ok(leases) => leases,
        // Who may not look at nodes is not to blame for their clocks.
        Err(kube::Error::Forbidden { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut agreed = 0;
    for lease in &leases {
        let name = lease.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let renewed = lease.pointer("/spec/renewTime").and_then(Value::as_str).and_then(|time| time.parse().ok());
        let Some(renewed) = renewed else { continue };
        let ahead = Timestamp::duration_since(renewed, server);
        if ahead > SKEW {
            findings.failure(
                "cluster",
                format!("the clock of node {name} is {} the API server's", apart(ahead)),
                REMEDY,
            );
        } else if ahead < -SILENT {
            let what =
                format!("node {name} gave no sign of life for {} s, or its clock is behind", ahead.abs().as_secs());
            findings.warning("cluster", what, format!("`kubectl describe node {name}` says how it is; {REMEDY}"));
        } else {
            agreed += 1;
        }
    }
    if agreed == leases.len() && ahead.abs() <= SKEW {
        let whose = match agreed {
            0 => "this machine's clock agrees with the API server's".to_owned(),
            _ => format!("the clocks of this machine and {} agree", count(agreed, "node")),
        };
        findings.good("cluster", whose);
    }
    Ok(())
}

fn apart(ahead: SignedDuration) -> String {
    format!("{} s {}", ahead.abs().as_secs(), if ahead.is_negative() { "behind" } else { "ahead of" })
}

/// Whether the mesh's authority holds: the root that namespaces have, and its own certificate, where one may look at it.
pub(super) async fn authority(
    connection: &Connection,
    namespace: &str,
    program: &str,
    findings: &mut Findings,
) -> CliResult {
    let object = |kind: &str, name: &str| ObjectRef {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    };
    let root = object("ConfigMap", "istio-ca-root-cert");
    match kube::get(connection, &root).await? {
        Some(map) => {
            let pem = map.pointer("/data/root-cert.pem").and_then(Value::as_str).unwrap_or_default();
            let remedy = "the Secret of the authority is named below, or not readable with these permissions";
            certificate(&format!("the root in {root}"), pem, remedy, findings);
        }
        None => findings.failure(
            "mesh",
            format!("{root} is not there: proxies have no root to believe"),
            format!("the control plane writes it; `{program} logs deploy/istiod -n {namespace}` says why it does not"),
        ),
    }
    for (name, remedy) in [
        (
            "cacerts",
            "replace it; root-cert.pem holds the old and the new root until every workload has a new certificate"
                .to_owned(),
        ),
        (
            "istio-ca-secret",
            format!(
                "delete it, then start the control plane and the workloads anew (`{program} label-namespace … --restart`)"
            ),
        ),
    ] {
        let secret = object("Secret", name);
        let Ok(Some(found)) = kube::get(connection, &secret).await else { continue };
        let pem = found.pointer("/data/ca-cert.pem").and_then(Value::as_str);
        let pem = pem.and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default();
        certificate(&format!("the authority in {secret}"), &String::from_utf8_lossy(&pem), &remedy, findings);
        // The first of them is the one in force.
        break;
    }
    Ok(())
}

fn certificate(what: &str, pem: &str, remedy: &str, findings: &mut Findings) {
    let end = first_certificate(pem).and_then(|certificate| validity(&certificate).ok());
    let end = end.and_then(|validity| Timestamp::try_from(validity.not_after).ok());
    let Some(end) = end else {
        findings.failure("mesh", format!("{what} is no certificate"), remedy);
        return;
    };
    let left = end.duration_since(Timestamp::now());
    let day = end.strftime("%Y-%m-%d");
    if left.is_negative() {
        findings.failure("mesh", format!("{what} expired on {day}: nobody is believed any more"), remedy);
    } else if left < SOON {
        findings.warning("mesh", format!("{what} expires on {day}"), remedy);
    } else {
        findings.good("mesh", format!("{what} holds until {day}"));
    }
}

/// Whether the API server reaches each revision's webhook: a pod that is tried gets its sidecar.
pub(super) async fn injection(
    connection: &Connection,
    revisions: &[String],
    program: &str,
    findings: &mut Findings,
) -> CliResult {
    for revision in revisions {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "mesh-check", "namespace": "default",
                "labels": {"istio.io/rev": revision, "sidecar.istio.io/inject": "true"}},
            "spec": {"containers": [{"name": "app", "image": "none"}]},
        });
        let tried = kube::apply(connection, &pod, ApplyOptions { force: true, dry_run: true }).await;
        let injected = |object: &Value| {
            let lists = ["/spec/initContainers", "/spec/containers"].into_iter();
            let mut containers = lists.filter_map(|list| object.pointer(list)?.as_array()).flatten();
            containers.any(|container| container["name"] == crate::inject::SIDECAR)
        };
        match tried {
            Ok(applied) if injected(&applied.object) => {
                findings.good("mesh", format!("revision {revision} injects sidecars"));
            }
            Ok(_) => findings.failure(
                "mesh",
                format!("the API server does not ask revision {revision} about pods"),
                format!("`{program} verify-install --revision {revision}` says what became of its webhook"),
            ),
            Err(error) => {
                let said = error.to_string();
                let Some((what, remedy)) = unreachable(&said, program) else {
                    let what = format!("whether revision {revision} injects sidecars cannot be tried: {said}");
                    findings.warning("mesh", what, "trying takes `patch` and `create` on pods in namespace default");
                    continue;
                };
                findings.failure("mesh", format!("revision {revision} injects nothing: {what}"), remedy);
            }
        }
    }
    Ok(())
}

/// What stands between the API server and a webhook, and what to do; `None` where it is something else.
fn unreachable(said: &str, program: &str) -> Option<(String, String)> {
    let (_, reason) = said.split_once("failed calling webhook")?;
    let reason = reason.trim_matches([':', ' ', '"']);
    // Behind the webhook's name and URL.
    let reason = reason.rsplit_once(": ").map_or(reason, |(_, last)| last).to_owned();
    let remedy = if reason.contains("x509") || reason.contains("certificate") || said.contains("x509") {
        format!(
            "the control plane enters its root into the webhook: `{program} logs deploy/istiod -n istio-system` says why it could not"
        )
    } else if reason.contains("no endpoints available") || reason.contains("not found") {
        format!(
            "no control plane is ready to answer: `{program} verify-install` says why; pods that ask for a sidecar wait for it"
        )
    } else {
        "a control plane has to be ready (see proxies, below), and the API server to reach port 15017 of its pods: a firewall \
         or NetworkPolicy may be between them"
            .to_owned()
    };
    Some((format!("the API server cannot reach its webhook: {reason}"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_api_server_and_a_webhook_is_told_with_its_own_remedy() {
        let call = r#"failed calling webhook "namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": "#;
        for (reason, remedy) in [
            ("dial tcp 10.96.3.1:443: connect: connection refused", "port 15017"),
            ("context deadline exceeded", "port 15017"),
            ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "enters its root"),
            (r#"no endpoints available for service "istiod""#, "no control plane is ready"),
            (r#"service "istiod" not found"#, "no control plane is ready"),
        ] {
            let (what, said) =
                unreachable(&format!("the server refuses Pod: Internal error: {call}{reason}"), "mesh").unwrap();
            assert!(said.contains(remedy), "{reason}: {said}");
            assert!(!what.contains("Post"), "{what}");
        }
        assert_eq!(unreachable("pods \"mesh-check\" is forbidden: exceeded quota", "mesh"), None);
    }

    #[test]
    fn an_authority_is_good_about_to_end_or_over() {
        let told = |days: i64| {
            let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
            let now = std::time::SystemTime::now();
            let day = std::time::Duration::from_secs(24 * 3600);
            parameters.not_before = (now - 400 * day).into();
            let span = day * u32::try_from(days.unsigned_abs()).unwrap();
            parameters.not_after = if days < 0 { now - span } else { now + span }.into();
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = parameters.self_signed(&key).unwrap().pem();
            let mut findings = Findings::default();
            certificate("the root", &pem, "replace it", &mut findings);
            findings.0.remove(0).outcome
        };
        assert_eq!(
            [told(365), told(10), told(-2)],
            [super::super::Outcome::Good, super::super::Outcome::Warning, super::super::Outcome::Failure]
        );
    }
}
