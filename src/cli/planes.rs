//! The control planes of a cluster, asked how far their proxies are, without a route to them: the built-in runtime's through its
//! API server, a cluster's one by one through the API server's port-forward.
//!
//! Every replica of every revision is asked, at the same time and each within a bound: a proxy is connected to one of them, and
//! generations are each replica's own. One that does not answer is named; with none that does the command fails and says what is
//! missing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::ui::Ui;
use crate::control::{MONITORING_PORT, PROXIES_PATH, Proxies};
use crate::inject::{DEFAULT_REVISION, SIDECAR};
use crate::kube::{self, Connection, ObjectRef, Selection};

/// What the pods of control planes are labelled with.
const LABEL: &str = "app=istiod";

/// What injection labels pods with.
const IN_THE_MESH: &str = "security.istio.io/tlsMode=istio";

/// How many are asked at one time.
const AT_ONCE: usize = 8;

/// What asking takes, in the words of a Role.
const PERMISSION: &str = "asking takes `get` and `list` on pods, and `get` and `create` on pods/portforward";

/// Where control planes are
#[derive(Debug, Clone, clap::Args)]
pub struct Where {
    /// Namespace of the control plane
    #[arg(
        short = 'i',
        long,
        alias = "istioNamespace",
        value_name = "NAME",
        default_value = "istio-system",
        help_heading = "Cluster"
    )]
    pub istio_namespace: String,
}

/// A control plane, and what it told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plane {
    /// Its pod; `None` for the built-in runtime's.
    pub pod: Option<String>,
    /// Its revision.
    pub revision: String,
    /// How far its proxies are.
    #[serde(flatten)]
    pub told: Proxies,
}

/// What control planes told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Those that answered, in the order of their names.
    pub planes: Vec<Plane>,
    /// Those that did not, each with the reason, as one sentence.
    pub silent: Vec<String>,
}

impl Answers {
    /// One control plane's answer, whose name nobody knows.
    pub fn of_one(told: Proxies) -> Self {
        let plane = Plane { pod: None, revision: DEFAULT_REVISION.to_owned(), told };
        Self { planes: vec![plane], silent: Vec::new() }
    }

    /// Says whose proxies are not among what follows.
    pub fn warn_of_silent(&self, ui: &Ui) {
        for reason in &self.silent {
            ui.warn(format!("{reason}; its proxies are not shown"));
        }
    }
}

/// Whether a control plane's pod may have proxies: one that is stopping has told them to go elsewhere, and one that has ended (was
/// evicted, say) is there to be looked at alone.
fn may_have_proxies(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    pod.pointer("/metadata/deletionTimestamp").is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Asks every control plane.
///
/// # Errors
/// There is none in the namespace, or none answers.
pub async fn ask(connection: &Connection, place: &Where) -> CliResult<Answers> {
    if kube::server_version(connection).await?.built_in {
        let answer = kube::read_path(connection, PROXIES_PATH).await?;
        let told = serde_json::from_value(answer).map_err(|error| CliError::new(Kind::Failed, error))?;
        return Ok(Answers::of_one(told));
    }
    let namespace = &place.istio_namespace;
    let selection = Selection { namespace: Some(namespace), labels: LABEL };
    let pods = kube::list(connection, "v1", "Pod", selection).await.map_err(permission)?;
    let pods: Vec<Value> = pods.into_iter().filter(may_have_proxies).collect();
    if pods.is_empty() {
        let error = format!("no control plane runs in namespace {namespace} of {connection}");
        let error = CliError::message(Kind::Unavailable, error);
        return Err(error.hint(
            "`mesh check` says what is there, `mesh install` installs one; --istio-namespace names another namespace",
        ));
    }
    let asked = futures_util::stream::iter(&pods).map(|pod| one(connection, pod)).buffered(AT_ONCE);
    let mut answers = Answers::default();
    let mut refused = None;
    for answer in asked.collect::<Vec<_>>().await {
        match answer {
            Ok(plane) => answers.planes.push(plane),
            Err(error) => {
                answers.silent.push(error.to_string());
                refused = Some(error);
            }
        }
    }
    match refused {
        Some(error) if answers.planes.is_empty() => Err(error),
        _ => {
            answers.planes.sort_by(|a, b| (&a.revision, &a.pod).cmp(&(&b.revision, &b.pod)));
            Ok(answers)
        }
    }
}

/// The pods, as `NAME.NAMESPACE`, whose proxy has served and is connected to none of those that answered; none where one may not
/// look at pods, and in the built-in runtime, whose proxies are its own.
///
/// # Errors
/// The server does not answer.
pub async fn absent(connection: &Connection, answers: &Answers) -> CliResult<Vec<String>> {
    if answers.planes.iter().any(|plane| plane.pod.is_none()) {
        return Ok(Vec::new());
    }
    let pods = match kube::list(connection, "v1", "Pod", Selection { namespace: None, labels: IN_THE_MESH }).await {
        Ok(pods) => pods,
        Err(kube::Error::Forbidden { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let connected: BTreeSet<&str> = answers
        .planes
        .iter()
        .flat_map(|plane| &plane.told.proxies)
        .filter_map(|proxy| proxy.node.split('~').nth(2))
        .collect();
    let mut absent: Vec<String> = pods.iter().filter(|pod| serves(pod)).filter_map(id).collect();
    absent.retain(|pod| !connected.contains(pod.as_str()));
    absent.sort();
    Ok(absent)
}

fn id(pod: &Value) -> Option<String> {
    let name = pod.pointer("/metadata/name")?.as_str()?;
    Some(format!("{name}.{}", pod.pointer("/metadata/namespace")?.as_str()?))
}

/// Whether a proxy of ours stands before the pod and has been ready: one that starts or fails has nothing that could be old.
fn serves(pod: &Value) -> bool {
    let within = |lists: [&str; 2]| {
        let lists = lists.into_iter().filter_map(|list| pod.pointer(list)?.as_array());
        lists.flatten().find(|container| container["name"] == SIDECAR)
    };
    let ours = within(["/spec/initContainers", "/spec/containers"])
        .and_then(|container| container["args"].as_array())
        .is_some_and(|args| args.iter().any(|argument| argument == "--xds-address"));
    let ready = within(["/status/initContainerStatuses", "/status/containerStatuses"])
        .is_some_and(|status| status["ready"] == true);
    ours && ready && pod.pointer("/metadata/deletionTimestamp").is_none()
}

async fn one(connection: &Connection, pod: &Value) -> CliResult<Plane> {
    let reference = ObjectRef::of(pod)?;
    if let Some(reason) = not_ready(pod) {
        let error = format!("the control plane {reference} is not ready: {reason}");
        let remedy =
            format!("`mesh logs {} -n {}`", reference.name, reference.namespace.as_deref().unwrap_or_default());
        return Err(CliError::message(Kind::Unavailable, error).hint(format!("{remedy} may say why")));
    }
    let answer = kube::ask_port(connection, &reference, MONITORING_PORT, http::Method::GET, PROXIES_PATH).await;
    let answer = answer.map_err(permission)?;
    let not_ours = |said: String| {
        let error = format!("the control plane {reference} tells nothing about its proxies: {said}");
        CliError::message(Kind::Failed, error).hint(
            "`mesh version` tells whether it is mesh's and of which version; `mesh upgrade` brings it to this one",
        )
    };
    if !answer.status.is_success() {
        return Err(not_ours(format!("it answers {}", answer.status)));
    }
    let told = serde_json::from_slice(&answer.body).map_err(|error| not_ours(error.to_string()))?;
    let revision = pod.pointer("/metadata/labels/istio.io~1rev").and_then(Value::as_str).unwrap_or(DEFAULT_REVISION);
    Ok(Plane { pod: Some(reference.name), revision: revision.to_owned(), told })
}

/// Why a pod takes no requests; `None`: it does.
fn not_ready(pod: &Value) -> Option<String> {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
    if ready.any(|condition| condition["status"] == "True") {
        return None;
    }
    let waiting = pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
    let reason = waiting.filter_map(|status| status.pointer("/state/waiting/reason")?.as_str()).next();
    let phase = || pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    Some(reason.unwrap_or_else(phase).to_owned())
}

/// The hint that a refusal asks for.
fn permission(error: kube::Error) -> CliError {
    let forbidden = matches!(error, kube::Error::Forbidden { .. });
    let error = CliError::from(error);
    if forbidden { error.hint(PERMISSION) } else { error }
}

/// What a change that has been accepted waits for: that every control plane has seen it, and that its proxies have it.
#[derive(Debug)]
pub struct Distribution {
    /// By `KIND.GROUP`: the `resourceVersion` that has to have been seen.
    wanted: BTreeMap<String, u64>,
    /// By pod of a control plane: the generation that holds it.
    generations: BTreeMap<Option<String>, u64>,
}

/// How far a distribution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Everybody has it: (proxies, of how many control planes).
    Done(usize, usize),
    /// These wait, each in words.
    Waiting(Vec<String>),
}

impl Distribution {
    /// Of objects as the API server has them; of everything that there is if there are none.
    pub fn of<'o>(objects: impl IntoIterator<Item = &'o Value>) -> Self {
        let mut wanted = BTreeMap::new();
        for object in objects {
            let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
            let Some(version) = text("/metadata/resourceVersion").and_then(|version| version.parse::<u64>().ok())
            else {
                continue;
            };
            let group = text("/apiVersion").and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
            let kind = format!("{}.{group}", text("/kind").unwrap_or_default());
            let known = wanted.entry(kind).or_default();
            *known = version.max(*known);
        }
        Self { wanted, generations: BTreeMap::new() }
    }

    /// What the answers say.
    pub fn progress(&mut self, answers: &Answers) -> Progress {
        let mut waiting = answers.silent.clone();
        let mut proxies = 0;
        for plane in &answers.planes {
            let name = plane.pod.as_deref().unwrap_or("the control plane");
            // A kind that it tells nothing of is one that it does not watch.
            let behind = self.wanted.iter().filter_map(|(kind, version)| {
                let seen = plane.told.seen.get(kind.as_str())?;
                (seen < version).then_some(kind)
            });
            if let Some(kind) = behind.min() {
                waiting.push(format!("{name} has not seen the {kind} yet"));
                continue;
            }
            let wanted = *self.generations.entry(plane.pod.clone()).or_insert(plane.told.generation);
            for proxy in &plane.told.proxies {
                match &proxy.last_nack {
                    Some(nack) if nack.generation >= wanted => {
                        waiting.push(format!("{} refused: {}", proxy.node, nack.message));
                    }
                    _ if proxy.generation < wanted => waiting.push(proxy.node.clone()),
                    _ => proxies += 1,
                }
            }
        }
        if waiting.is_empty() { Progress::Done(proxies, answers.planes.len()) } else { Progress::Waiting(waiting) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::ProxyStatus;

    fn plane(pod: &str, generation: u64, seen: Option<u64>, proxies: &[u64]) -> Plane {
        let proxies = proxies.iter().map(|&generation| ProxyStatus {
            node: format!("sidecar~10.0.0.1~{pod}-client.shop~shop.svc.cluster.local"),
            identity: "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap(),
            generation,
            last_nack: None,
            foreign_names: 0,
            subscriptions: 3,
        });
        let seen = seen.map(|version| ("VirtualService.networking.istio.io".into(), version));
        let told = Proxies { generation, seen: seen.into_iter().collect(), proxies: proxies.collect() };
        Plane { pod: Some(pod.to_owned()), revision: "default".to_owned(), told }
    }

    fn answers(planes: Vec<Plane>) -> Answers {
        Answers { planes, silent: Vec::new() }
    }

    #[test]
    fn a_change_is_in_force_once_every_replica_has_seen_it_and_its_own_proxies_have_it() {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "resourceVersion": "120"}});
        let mut distribution = Distribution::of([&object]);
        let waits = |progress| match progress {
            Progress::Waiting(who) => who,
            Progress::Done(..) => Vec::new(),
        };
        // One replica counts to 900, the other to 7: neither generation says anything about the other.
        let first = answers(vec![plane("a", 900, Some(119), &[900]), plane("b", 7, Some(121), &[6])]);
        let said = waits(distribution.progress(&first)).join("; ");
        assert!(said.contains("a has not seen the VirtualService.networking.istio.io yet"), "{said}");
        assert!(said.contains("b-client.shop"), "{said}");
        let second = answers(vec![plane("a", 901, Some(120), &[900]), plane("b", 9, Some(130), &[7])]);
        assert_eq!(
            waits(distribution.progress(&second)).len(),
            1,
            "b is done: its proxy has the generation that held it"
        );
        let third = answers(vec![plane("a", 950, Some(140), &[901]), plane("b", 9, Some(130), &[7])]);
        assert_eq!(distribution.progress(&third), Progress::Done(2, 2));
    }

    #[test]
    fn a_kind_that_nobody_watches_is_not_waited_for_and_a_silent_replica_is() {
        let object = json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
            "metadata": {"name": "all", "resourceVersion": "5"}});
        let mut distribution = Distribution::of([&object]);
        let mut answers = answers(vec![plane("a", 3, None, &[3])]);
        assert_eq!(distribution.progress(&answers), Progress::Done(1, 1));
        answers.silent.push("the control plane Pod istio-system/b is not ready: Pending".to_owned());
        assert!(matches!(distribution.progress(&answers), Progress::Waiting(_)));
    }

    #[test]
    fn a_proxy_that_has_served_is_missed_and_one_that_starts_or_is_not_ours_is_not() {
        let pod = |argument: &str, ready: bool| {
            json!({"metadata": {"name": "web", "namespace": "shop"},
                "spec": {"initContainers": [{"name": "istio-proxy", "args": ["proxy", argument, "istiod:15012"]}]},
                "status": {"initContainerStatuses": [{"name": "istio-proxy", "ready": ready}]}})
        };
        assert!(serves(&pod("--xds-address", true)));
        assert!(!serves(&pod("--xds-address", false)) && !serves(&pod("sidecar", true)));
        assert_eq!(id(&pod("sidecar", true)).as_deref(), Some("web.shop"));
    }

    #[test]
    fn why_a_pod_is_not_ready_is_what_its_container_waits_for() {
        let pod = |ready: &str, state: Value| {
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"state": state}]}})
        };
        assert_eq!(not_ready(&pod("True", json!({}))), None);
        let crashing = pod("False", json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        assert_eq!(not_ready(&crashing).as_deref(), Some("CrashLoopBackOff"));
        assert_eq!(not_ready(&pod("False", json!({"running": {}}))).as_deref(), Some("Running"));
    }
}
