//! Commands that look into what runs: what a proxy holds, what a pod sees, what an apply would do and has done.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{MESH, Runtime, eventually, mesh, repository, stderr, stdout, text};

fn json(runtime: &Runtime, arguments: &[&str]) -> Value {
    let output = runtime.mesh(&[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn table(runtime: &Runtime, arguments: &[&str]) -> String {
    let output = runtime.mesh(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// The demo, after a page was fetched through it: its proxies hold what that took.
fn visited() -> Runtime {
    let runtime = Runtime::demo();
    eventually("a page with reviews", || {
        let answer = runtime.visitor().get("/productpage", &[]);
        (answer.status == 200).then_some(())
    });
    runtime
}

#[test]
fn what_a_proxy_holds_is_shown_with_the_object_that_says_so() {
    let runtime = visited();
    let routes = json(&runtime, &["proxy-config", "route", "deploy/productpage-v1", "--name", "reviews"]);
    let rules: Vec<String> = routes[0]["rules"].as_array().unwrap().iter().map(|rule| text(&rule["rule"])).collect();
    assert!(rules.iter().all(|rule| rule.starts_with("VirtualService default/reviews")), "{rules:?}");
    let shown = table(&runtime, &["pc", "r", "deploy/productpage-v1"]);
    let jason = shown.lines().find(|line| line.contains("end-user=jason")).unwrap();
    assert!(
        jason.contains("reviews.default:9080/v2") && jason.contains("VirtualService default/reviews http[0]"),
        "{jason}"
    );

    let v2 = ["proxy-config", "cluster", "deploy/productpage-v1", "--subset", "v2", "--direction", "outbound"];
    let clusters = json(&runtime, &v2);
    let [cluster] = clusters.as_array().unwrap().as_slice() else { panic!("{clusters}") };
    assert_eq!(text(&cluster["name"]), "outbound|9080|v2|reviews.default.svc.cluster.local");
    assert!(text(&cluster["rule"]).starts_with("DestinationRule default/reviews"), "{cluster}");
    let [endpoint] = cluster["endpoints"].as_array().unwrap().as_slice() else { panic!("{cluster}") };
    assert!(text(&endpoint["workload"]).starts_with("default/reviews-v2-"), "{endpoint}");
    assert_eq!(text(&endpoint["protocol"]), "mtls");
    let inbound = table(&runtime, &["pc", "c", "deploy/productpage-v1", "--direction", "inbound"]);
    assert!(inbound.lines().count() == 2 && inbound.contains("productpage.default"), "{inbound}");

    let certificates = json(&runtime, &["proxy-config", "secret", "deploy/reviews-v2"]);
    let kinds: Vec<String> = certificates.as_array().unwrap().iter().map(|held| text(&held["name"])).collect();
    assert_eq!(kinds, ["default", "ROOTCA"]);
    assert!(text(&certificates[0]["identity"]).ends_with("/ns/default/sa/bookinfo-reviews"), "{certificates}");
    let policies = table(&runtime, &["proxy-config", "policy", "deploy/reviews-v2"]);
    assert!(policies.contains("mtls"), "{policies}");

    let listeners = table(&runtime, &["proxy-config", "listener", "deploy/reviews-v2"]);
    assert!(listeners.contains("15001") && listeners.contains("reviews.default.svc.cluster.local"), "{listeners}");
    let gateway = ["proxy-config", "listener", "deploy/istio-ingressgateway", "-n", "istio-system"];
    let gateway = table(&runtime, &gateway);
    assert!(gateway.contains("Gateway default/bookinfo-gateway"), "{gateway}");

    // A dump is read back without a cluster, and holds no key.
    let dump = table(&runtime, &["proxy-config", "all", "deploy/productpage-v1", "-o", "json"]);
    assert!(!dump.contains("PRIVATE KEY"));
    let file = runtime.path("dump.json");
    std::fs::write(&file, &dump).unwrap();
    let offline = mesh(&["proxy-config", "route", "-f", &file]);
    assert_eq!(stdout(&offline), shown);
}

/// Keys that nobody tells, a provider that the mesh does not have, and what metrics are to say.
const LACKING: &str = "\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: far, namespace: default}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules: [{issuer: far, jwksUri: 'http://127.0.0.1:1/keys'}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: asks, namespace: default}
spec: {selector: {matchLabels: {app: reviews}}, action: CUSTOM, provider: {name: nobody}, rules: [{to: [{operation: {paths: [/x]}}]}]}
";

#[test]
fn what_a_policy_lacks_to_do_its_work_is_shown() {
    let runtime = visited();
    let before = table(&runtime, &["proxy-config", "policy", "deploy/reviews-v2"]);
    assert!(!before.contains("LACKS"), "{before}");
    let applied = with_input(&runtime, &["apply", "-f", "-", "--wait"], LACKING);
    assert!(applied.status.success(), "{}", stderr(&applied));
    let shown = eventually("both are held", || {
        let shown = table(&runtime, &["proxy-config", "policy", "deploy/reviews-v2"]);
        (shown.contains("default/far") && shown.contains("default/asks")).then_some(shown)
    });
    assert!(shown.lines().next().is_some_and(|heading| heading.trim_end().ends_with("LACKS")), "{shown}");
    let line = |of: &str| shown.lines().find(|line| line.contains(of)).unwrap_or_default().to_owned();
    assert!(line("default/far").contains("no keys"), "{shown}");
    assert!(line("default/asks").contains("nobody"), "{shown}");
}

#[test]
fn who_has_no_proxy_is_told_so() {
    let runtime = Runtime::start(&[]);
    let missing = runtime.mesh(&["proxy-config", "route", "absent"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("Pod default/absent is not on"), "{}", stderr(&missing));
    let wrong = mesh(&["proxy-config", "route", "-f", &repository("Cargo.toml").display().to_string()]);
    assert_eq!(wrong.status.code(), Some(65), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("is no dump of a proxy"));
}

#[test]
fn what_is_applied_is_looked_at_together_with_what_is_there() {
    let runtime = Runtime::demo();
    let file = runtime.path("ratings.yaml");
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: ratings\nspec:\n  hosts:\n  \
                 - ratings\n  http:\n  - route:\n    - destination:\n        host: ratings\n        subset: v9\n";
    std::fs::write(&file, route).unwrap();
    let applied = runtime.mesh(&["apply", "-f", &file]);
    assert!(applied.status.success(), "{}", stderr(&applied));
    assert!(stdout(&applied).contains("VirtualService ratings created"), "{}", stdout(&applied));
    let warned = stderr(&applied);
    assert!(
        warned.contains("warning: [IST0101] (VirtualService default/ratings") && warned.contains("ratings.yaml:12)"),
        "{warned}"
    );
    // What others did wrong is not this one's to hear of.
    let service = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: details\nspec:\n  \
                   host: details\n";
    std::fs::write(&file, service).unwrap();
    let applied = runtime.mesh(&["apply", "-f", &file]);
    assert!(applied.status.success() && !stderr(&applied).contains("warning"), "{}", stderr(&applied));
    // A pod's name is a workload's and some more letters.
    let meant = runtime.mesh(&["logs", "ratings-v1"]);
    assert!(stderr(&meant).contains("did you mean ratings-v1-"), "{}", stderr(&meant));
}

fn with_input(runtime: &Runtime, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(MESH)
        .args(arguments)
        .args(["--data-dir", &runtime.path("")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

const CURL: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: curl}
spec: {containers: [{name: curl, image: "docker.io/curlimages/curl:8.16.0", command: [/bin/sleep, infinity]}]}
"#;

#[test]
fn commands_run_in_pods_and_requests_leave_from_there() {
    let runtime = visited();
    let applied = with_input(&runtime, &["apply", "-f", "-", "--wait"], CURL);
    assert!(applied.status.success(), "{}", stderr(&applied));
    let shell = ["exec", "curl", "--data-dir", &runtime.path(""), "--", "sh", "-c", "echo out; echo err >&2; exit 7"];
    let shell = Command::new(MESH).args(shell).output().unwrap();
    assert_eq!((shell.status.code(), stdout(&shell).as_str()), (Some(7), "out\n"));
    assert!(stderr(&shell).contains("err\n"), "{}", stderr(&shell));
    let typed = Command::new(MESH)
        .args(["exec", "curl.default", "-i", "--data-dir", &runtime.path(""), "--", "cat"])
        .stdin(Stdio::from(std::fs::File::open(repository("rustfmt.toml")).unwrap()))
        .output()
        .unwrap();
    assert_eq!(stdout(&typed), std::fs::read_to_string(repository("rustfmt.toml")).unwrap());

    let data = runtime.path("");
    let asked = ["curl", "--data-dir", &data, "curl", "http://reviews:9080/reviews/0", "-H", "end-user: jason"];
    let asked = eventually("the answer of reviews", || {
        let output = Command::new(MESH).args(asked).output().unwrap();
        output.status.success().then_some(output)
    });
    let answer: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert!(text(&answer["podname"]).starts_with("reviews-v2-"), "{answer}");
}

const TIMEOUT: &str = r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http: [{timeout: 2s, route: [{destination: {host: ratings}}]}]
"#;

#[test]
fn an_apply_is_shown_before_it_is_done_and_waited_for_after() {
    let runtime = visited();
    let diff = with_input(&runtime, &["apply", "-f", "-", "--diff"], TIMEOUT);
    assert_eq!(diff.status.code(), Some(1), "{}", stderr(&diff));
    let added = stdout(&diff).lines().any(|line| line.starts_with('+') && line.ends_with("timeout: 2s"));
    assert!(added, "{}", stdout(&diff));
    let dry = with_input(&runtime, &["apply", "-f", "-", "--dry-run=server"], TIMEOUT);
    assert_eq!(stdout(&dry), "VirtualService ratings created (dry run)\n");
    assert!(!runtime.mesh(&["get", "vs", "ratings"]).status.success(), "a dry run has created it");
    let local = with_input(&runtime, &["apply", "-f", "-", "--dry-run=client"], TIMEOUT);
    assert_eq!(stdout(&local), "VirtualService ratings is valid (dry run)\n");

    let applied = with_input(&runtime, &["apply", "-f", "-", "--wait"], TIMEOUT);
    assert!(applied.status.success(), "{}", stderr(&applied));
    assert!(stdout(&applied).contains("is in force in"), "{}", stdout(&applied));
    let unchanged = with_input(&runtime, &["apply", "-f", "-", "--diff"], TIMEOUT);
    assert!(unchanged.status.success(), "{}{}", stdout(&unchanged), stderr(&unchanged));
    // In force means that: reviews' proxy, which calls ratings, shows it at once.
    let data = runtime.path("");
    let ratings =
        ["exec", "deploy/reviews-v2", "--data-dir", &data, "--", "curl", "-s", "http://ratings:9080/ratings/0"];
    assert!(Command::new(MESH).args(ratings).output().unwrap().status.success());
    let held = table(&runtime, &["proxy-config", "route", "deploy/reviews-v2"]);
    assert!(held.contains("timeout 2s"), "{held}");
}

#[test]
fn a_pod_and_its_service_are_described_from_the_objects_that_say_so() {
    let runtime = visited();
    let pod = table(&runtime, &["describe", "pod", "deploy/reviews-v2"]);
    for said in [
        "spiffe://cluster.local/ns/default/sa/bookinfo-reviews",
        "PERMISSIVE: mutual TLS and plaintext  (the mesh's default)",
        "Service reviews.default.svc.cluster.local",
        "9080 http HTTP → pod port 9080",
        "v2  version=v2  1 endpoint, this pod among them",
        "end-user=jason → reviews.default:9080/v2  (VirtualService default/reviews http[0])",
    ] {
        assert!(pod.contains(said), "{said:?} is not in\n{pod}");
    }
    let page = table(&runtime, &["describe", "svc", "productpage"]);
    assert!(page.contains("Gateway default/bookinfo-gateway") && page.contains("/productpage"), "{page}");
    let report = json(&runtime, &["describe", "service", "reviews.default"]);
    assert_eq!(report["subsets"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(text(&report["routes"][0]["from"]), "VirtualService default/reviews http[0]");
    let missing = runtime.mesh(&["describe", "service", "absent"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("Service default/absent is not on"), "{}", stderr(&missing));
}

#[test]
fn a_report_holds_what_helps_and_nothing_secret() {
    let runtime = visited();
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hunter2}}";
    assert!(with_input(&runtime, &["apply", "-f", "-"], secret).status.success());
    let path = runtime.path("report.tar.gz");
    let written = runtime.mesh(&["bug-report", "--output-file", &path]);
    assert!(written.status.success(), "{}", stderr(&written));
    let tar = Command::new("tar").args(["-xzOf", &path]).output().unwrap();
    assert!(tar.status.success(), "{}", stderr(&tar));
    let all = stdout(&tar);
    for held in ["kind: VirtualService", "name: s\n", "\"outbound_mode\": \"ALLOW_ANY\"", "spiffe://cluster.local"] {
        assert!(all.contains(held), "{held:?} is not in the report");
    }
    for secret in ["hunter2", "aHVudGVyMg", "PRIVATE KEY", "eyJ"] {
        assert!(!all.contains(secret), "{secret:?} is in the report");
    }
    let again = runtime.mesh(&["bug-report", "--output-file", &path]);
    assert_eq!(again.status.code(), Some(73), "a file that was there was overwritten");
}
