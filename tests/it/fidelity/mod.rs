//! The built-in API server answers as Kubernetes' own does.
//!
//! `requests.yaml` is what is asked, in order; `answers.json` is what kube-apiserver 1.36 answered. The same requests go to the
//! built-in API server, and what it answers is compared: status codes and bodies, without what is different each time (uids,
//! versions, times, addresses). `refusals.yaml` and `refusals.json` are the same for objects that contradict themselves.
//!
//! With `MESH_FIDELITY_KUBECONFIG` the requests go to the cluster that it names first, and the recorded answers are compared with
//! what it says; `MESH_FIDELITY_RECORD=1` writes them anew.

mod transcripts;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Method};
use serde_json::{Map, Value, json};

use crate::harness::{Runtime, repository, text};

/// How long `until` may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fields whose values are different each time.
const VARYING: [&str; 9] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "time",
    "continue",
    "clusterIP",
    "remainingItemCount",
    "token",
];

struct Server {
    client: Client,
    anonymous: Client,
    url: String,
    token: Option<String>,
}

impl Server {
    fn of(path: &str) -> Self {
        let config: Value = serde_yaml::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let field = |pointer: &str| config.pointer(pointer).map(text).filter(|text| !text.is_empty());
        let decoded = |pointer: &str| {
            let bytes: Option<k8s_openapi::ByteString> =
                field(pointer).map(|text| serde_json::from_value(text.into()).unwrap());
            bytes.map(|bytes| bytes.0)
        };
        let root = decoded("/clusters/0/cluster/certificate-authority-data").unwrap();
        let client = || {
            let root = Certificate::from_pem(&root).unwrap();
            Client::builder().http1_only().tls_certs_only([root])
        };
        let certificate = decoded("/users/0/user/client-certificate-data");
        let identified = match certificate.zip(decoded("/users/0/user/client-key-data")) {
            Some((certificate, key)) => {
                client().identity(Identity::from_pem(&[certificate, b"\n".to_vec(), key].concat()).unwrap())
            }
            None => client(),
        };
        Self {
            client: identified.build().unwrap(),
            anonymous: client().build().unwrap(),
            url: field("/clusters/0/cluster/server").unwrap(),
            token: field("/users/0/user/token"),
        }
    }

    /// What the server answers to one request: its code and its body.
    async fn send(&self, step: &Value, kept: &BTreeMap<String, String>) -> (u16, Value) {
        let filled = |text: &str| {
            // Longer names first: `$RV` is the beginning of `$RV2`.
            let mut names: Vec<&String> = kept.keys().collect();
            names.sort_by_key(|name| std::cmp::Reverse(name.len()));
            names.iter().fold(text.to_owned(), |text, name| text.replace(&format!("${name}"), &kept[*name]))
        };
        let send = text(&step["send"]);
        let (method, path) = send.split_once(' ').unwrap();
        let own_token = step["token"].as_str().map(filled);
        let client = if own_token.is_some() { &self.anonymous } else { &self.client };
        let mut request = client
            .request(method.parse::<Method>().unwrap(), format!("{}{}", self.url, filled(path)))
            .header("user-agent", "fidelity")
            .header("accept", step["accept"].as_str().unwrap_or("application/json"));
        if let Some(token) = own_token.as_ref().or(self.token.as_ref()) {
            request = request.bearer_auth(token);
        }
        let body = match (&step["body"], step["text"].as_str()) {
            (Value::Null, None) => None,
            (Value::Null, Some(text)) => Some(text.to_owned()),
            (body, _) => Some(filled(&body.to_string())),
        };
        if let Some(body) = body {
            request = request.header("content-type", step["type"].as_str().unwrap_or("application/json")).body(body);
        }
        let mut response = request.send().await.unwrap();
        let code = response.status().as_u16();
        if let (Some(lines), 200) = (step["lines"].as_u64(), code) {
            let mut read = String::new();
            while (read.matches('\n').count() as u64) < lines {
                let Some(chunk) = response.chunk().await.unwrap() else { break };
                read.push_str(&String::from_utf8_lossy(&chunk));
            }
            let lines = read.lines().take(usize::try_from(lines).unwrap());
            return (code, lines.map(|line| serde_json::from_str::<Value>(line).unwrap()).collect());
        }
        let body = response.text().await.unwrap();
        (code, serde_json::from_str(&body).unwrap_or_else(|_| body.into()))
    }

    /// What the server answers to all of them.
    async fn answers(&self, steps: &[Value]) -> Vec<Value> {
        let mut kept = BTreeMap::new();
        let mut answers = Vec::new();
        for step in steps {
            let asking = async {
                loop {
                    let (code, body) = self.send(step, &kept).await;
                    if step["until"].as_u64().is_none_or(|wanted| wanted == u64::from(code)) {
                        return (code, body);
                    }
                    // Another process works on it; nothing tells when it is done.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let answer = tokio::time::timeout(PATIENCE, asking).await;
            let (code, body) = answer.unwrap_or_else(|_| panic!("{}: not within {PATIENCE:?}", step["send"]));
            for (name, pointer) in step["keep"].as_object().into_iter().flatten() {
                kept.insert(name.clone(), body.pointer(pointer.as_str().unwrap()).map(text).unwrap_or_default());
            }
            let body = normal(&body, "");
            let body = match step["only"].as_array() {
                None => body,
                Some(pointers) => pointers
                    .iter()
                    .map(|pointer| (text(pointer), body.pointer(&text(pointer)).cloned().unwrap_or_default()))
                    .collect::<Map<_, _>>()
                    .into(),
            };
            answers.push(json!({"send": step["send"], "code": code, "body": body}));
        }
        answers
    }
}

/// The answer without what is different each time.
fn normal(value: &Value, field: &str) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, value)| (plain(name), normal(value, name))).collect(),
        Value::Array(_) if field == "clusterIPs" => json!(["<clusterIPs>"]),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| normal(item, "")).collect();
            if field == "managedFields" {
                // Controllers write when they come to it.
                items.retain(|entry| entry["manager"] != "kube-controller-manager");
                // Ordered by times, which fall into one second or two.
                items.sort_by_key(|entry| {
                    [&entry["manager"], &entry["operation"], &entry["subresource"]].map(ToString::to_string)
                });
            }
            items.into()
        }
        Value::String(text) if VARYING.contains(&field) && !text.is_empty() => format!("<{field}>").into(),
        Value::Number(_) if VARYING.contains(&field) => format!("<{field}>").into(),
        Value::String(text) => plain(text).into(),
        other => other.clone(),
    }
}

/// A text without uids, versions and generated names in it.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(word.len());
        let (word, rest) = word.split_at(end);
        let is_uid = word.len() == 36 && word.matches('-').count() == 4 && !word.starts_with("00000000");
        match word.strip_prefix("gen-") {
            Some(suffix) if suffix.len() == 5 => out.push_str("gen-<suffix>"),
            _ if is_uid => out.push_str("<uid>"),
            _ => out.push_str(word),
        }
        out.push_str(rest);
    }
    match out.find("in record (").map(|at| at + "in record (".len()) {
        Some(start) if out[start..].starts_with(|c: char| c.is_ascii_digit()) => {
            let end = out[start..].find(')').map_or(out.len(), |end| start + end);
            format!("{}<version>{}", &out[..start], &out[end..])
        }
        _ => out,
    }
}

fn differences(expected: &[Value], given: &[Value]) -> Vec<String> {
    let pairs = expected.iter().zip(given).enumerate();
    let mut found: Vec<String> = pairs
        .filter(|(_, (expected, given))| expected != given)
        .map(|(number, (expected, given))| format!("request {number}\n  expected {expected}\n  given    {given}"))
        .collect();
    if expected.len() != given.len() {
        found.push(format!("{} answers are recorded for {} requests", expected.len(), given.len()));
    }
    found
}

/// Sends the requests of a file to the built-in API server and compares what it says with what is recorded beside the file.
async fn compare(name: &str) {
    let here = repository("tests/it/fidelity");
    let steps = std::fs::read(here.join(format!("{name}.yaml"))).unwrap();
    let steps: Vec<Value> = serde_yaml::from_slice(&steps).unwrap();
    let path = here.join(format!("{}.json", if name == "requests" { "answers" } else { name }));
    if let Ok(kubeconfig) = std::env::var("MESH_FIDELITY_KUBECONFIG") {
        let real = Server::of(&kubeconfig).answers(&steps).await;
        if std::env::var_os("MESH_FIDELITY_RECORD").is_some() {
            let lines: Vec<String> = real.iter().map(Value::to_string).collect();
            std::fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        }
        let recorded: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let differences = differences(&recorded, &real);
        assert!(differences.is_empty(), "what is recorded is not what it says:\n{}", differences.join("\n"));
    }
    let recorded: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let runtime = Runtime::start(&[]);
    let ours = Server::of(&runtime.path("kubeconfig")).answers(&steps).await;
    let differences = differences(&recorded, &ours);
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), steps.len(), differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_answers_as_kubernetes_does() {
    compare("requests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself_is_refused_in_kubernetes_words() {
    compare("refusals").await;
}
