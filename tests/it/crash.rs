//! What survives `kill -9`, and what must not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use crate::harness::{Runtime, eventually, text};

/// How long a restart may take: 2 s as it is shipped; without optimization, beside other tests, more.
const BACK: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 2 });

/// Kills at random moments.
const KILLS: u64 = 20;

fn alive(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn children(runtime: &Runtime) -> Vec<u64> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u64>() else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).map(str::to_owned);
        if parent == Some(runtime.pid().to_string()) {
            found.push(pid);
        }
    }
    found
}

#[test]
fn after_a_kill_everything_is_soon_as_before() {
    let mut runtime = Runtime::demo();
    let weights = |runtime: &Runtime| {
        runtime
            .kubectl_ok(&["get", "virtualservice", "reviews", "-o", "jsonpath={.spec}{.metadata.uid}"], None)
            .unwrap_or_default()
    };
    let before = weights(&runtime);
    // What is not the demo's may never be ready, and holds nothing up.
    runtime.kubectl_ok(&["create", "deployment", "own", "--image=nobody/knows:it"], None);
    let processes = children(&runtime);
    assert!(processes.len() >= 6, "{processes:?}");

    runtime.kill();
    eventually("the pods' processes end with the runtime", || processes.iter().all(|pid| !alive(*pid)).then_some(()));

    let killed = Instant::now();
    runtime.restart();
    let mut visitor = runtime.visitor();
    let jason = visitor.get("/api/v1/products/0/reviews", &[("end-user", "jason")]);
    let took = killed.elapsed();
    assert_eq!((jason.status, jason.reviews_version().as_str()), (200, "v2"), "{jason:?}");
    assert!(took <= BACK, "the first request was routed {took:?} after the restart");
    let mut canary = 0;
    for _ in 0..500 {
        canary += usize::from(visitor.get("/api/v1/products/0/reviews", &[]).reviews_version() == "v2");
    }
    assert!((20..=85).contains(&canary), "{canary} of 500 requests reached v2");
    assert_eq!(weights(&runtime), before);
}

#[test]
fn no_acknowledged_write_is_lost_in_twenty_kills() {
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut runtime = Runtime::start(&[]);
    let mut acknowledged = BTreeSet::new();
    // A fixed sequence of moments, 5 to 250 ms after the first write: a failure can be looked at again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..KILLS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_millis(5 + (state >> 33) % 245);
        let connecting = runtime.client();
        let written = executor.block_on(async {
            let api: Api<ConfigMap> = Api::namespaced(connecting.await, "default");
            let writing = tokio::spawn(write(api, round));
            tokio::time::sleep(moment).await;
            runtime.kill();
            writing.await.unwrap()
        });
        acknowledged.extend(written);
        runtime.restart();
        let connecting = runtime.client();
        let found: BTreeSet<String> = executor.block_on(async {
            let api: Api<ConfigMap> = Api::namespaced(connecting.await, "default");
            let list = api.list(&ListParams::default()).await.unwrap();
            list.into_iter().filter_map(|object| object.metadata.name).collect()
        });
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}, killed after {moment:?}: lost {lost:?}");
    }
    assert!(acknowledged.len() > KILLS as usize, "only {} writes were acknowledged", acknowledged.len());
}

/// Writes until the server is gone; the names of what it acknowledged.
async fn write(api: Api<ConfigMap>, round: u64) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let name = format!("write-{round}-{number}");
        let object = json!({"metadata": {"name": name}, "data": {"number": number.to_string()}});
        match api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await {
            Ok(created) => acknowledged.push(created.metadata.name.unwrap()),
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn a_runtime_that_is_stopped_ends_its_pods() {
    let runtime = Runtime::start(&["--demo", "--no-traffic"]);
    let processes = children(&runtime);
    let status = runtime.status();
    assert_eq!(text(&status["ingress"]), runtime.ingress);
    let down = runtime.mesh(&["down"]);
    assert!(down.status.success(), "{}", crate::harness::stderr(&down));
    eventually("the pods' processes end", || processes.iter().all(|pid| !alive(*pid)).then_some(()));
    assert_eq!(runtime.mesh(&["status"]).status.code(), Some(69));
}
