//! The README's tour on a real cluster: install, label, an application, the gateway, a canary, strict mutual TLS, what the
//! webhooks refuse, a Job that ends, uninstall.
//!
//! Runs where `MESH_E2E_KUBECONFIG` names the kubeconfig of a cluster that may be changed, whose nodes have the image
//! `mesh/proxy` of this version (`MESH_E2E_HUB` and `MESH_E2E_TAG` name another), `busybox`, and `mesh-e2e/client:1` with curl in it,
//! and whose Service addresses this machine reaches; with kubectl on the path.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{MESH, stderr, stdout};

const PATIENCE: Duration = Duration::from_secs(120);

/// The Service, a client beside it, and one outside of the mesh.
const APPLICATION: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: mesh-e2e-outside}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: mesh-e2e}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: mesh-e2e}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "mesh-e2e/client:1", imagePullPolicy: IfNotPresent, command: [busybox, sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: mesh-e2e-outside}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "mesh-e2e/client:1", imagePullPolicy: IfNotPresent, command: [busybox, sleep, "100000"]}]
"#;

/// A web server that says its version. Version 2 has a classic sidecar.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-VERSION, namespace: mesh-e2e}
spec:
  selector: {matchLabels: {app: web, version: VERSION}}
  template:
    metadata:
      labels: {app: web, version: VERSION}
      annotations: {sidecar.istio.io/nativeSidecar: "NATIVE"}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: busybox
        imagePullPolicy: IfNotPresent
        command:
        - sh
        - -c
        - busybox mkdir -p /tmp/www && echo version=VERSION > /tmp/www/index.html && exec busybox httpd -f -p 8080 -h /tmp/www
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 8080}}
"#;

const ROUTING: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: mesh-e2e}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [web.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: mesh-e2e}
spec:
  host: web
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: mesh-e2e}
spec:
  hosts: [web.example.com, web]
  gateways: [web, mesh]
  http: [{route: [{destination: {host: web, subset: SUBSET}}]}]
";

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: mesh-e2e}
spec: {mtls: {mode: STRICT}}
";

const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: mesh-e2e}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: once, image: 'mesh-e2e/client:1', imagePullPolicy: IfNotPresent, command: [curl, -sSf, 'http://web/']}
";

struct Cluster {
    kubeconfig: String,
}

impl Cluster {
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs `mesh` and demands that it succeeds.
    fn mesh(&self, arguments: &[&str]) -> String {
        let output = self.run(MESH, arguments, "");
        assert!(output.status.success(), "mesh {arguments:?}\n{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    /// Runs kubectl and demands that it succeeds.
    fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run("kubectl", arguments, input);
        assert!(output.status.success(), "kubectl {arguments:?}\n{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    fn apply(&self, text: &str) {
        self.kubectl(&["apply", "-f", "-"], text);
    }

    /// What a client's GET of `http://web/` gives; `None` where it fails.
    fn fetch(&self, namespace: &str) -> Option<String> {
        let url = "http://web.mesh-e2e/";
        let get = ["exec", "-n", namespace, "client", "-c", "client", "--", "curl", "-sSf", "-m", "5", url];
        let output = self.run("kubectl", &get, "");
        output.status.success().then(|| stdout(&output).trim().to_owned())
    }

    /// What a request through the ingress gateway gives.
    fn ingress(&self) -> Option<String> {
        let service =
            ["get", "service", "-n", "istio-system", "istio-ingressgateway", "-o", "jsonpath={.spec.clusterIP}"];
        let address = self.kubectl(&service, "");
        let mut stream = TcpStream::connect((address.trim(), 80)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: web.example.com\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer
            .split_once("\r\n\r\n")
            .filter(|(head, _)| head.starts_with("HTTP/1.1 200"))
            .map(|(_, body)| body.trim().to_owned())
    }

    /// Applies configuration as the tour does: until it is in force.
    fn configure(&self, text: &str) -> String {
        let output = self.run(MESH, &["apply", "-f", "-", "--wait"], text);
        assert!(output.status.success(), "mesh apply\n{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    /// The connected proxies, as `mesh proxy-status` tells them; none where it fails.
    fn proxies(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(MESH, &[&["proxy-status", "-o", "json"], arguments].concat(), "");
        match serde_json::from_str(&stdout(&output)) {
            Ok(Value::Array(proxies)) => proxies,
            _ => Vec::new(),
        }
    }

    fn remove_application(&self) {
        let namespaces = ["mesh-e2e", "mesh-e2e-outside"];
        let gone = ["delete", "namespace", "--ignore-not-found", "--wait", namespaces[0], namespaces[1]];
        self.kubectl(&gone, "");
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A second replica of the control plane is asked as well, and counts for itself; its start and its end cost no request.
fn replicas(cluster: &Cluster) {
    let istiod = ["-n", "istio-system", "deploy/istiod"];
    let scale = |replicas: &str| {
        cluster.kubectl(&[&["scale"], &istiod[..], &["--replicas", replicas]].concat(), "");
        cluster.kubectl(&[&["rollout", "status", "--timeout=120s"], &istiod[..]].concat(), "");
    };
    scale("2");
    // New pods are the ones that the second replica may get.
    cluster.kubectl(&["rollout", "restart", "-n", "mesh-e2e", "deploy/web-v2"], "");
    cluster.kubectl(&["rollout", "status", "-n", "mesh-e2e", "deploy/web-v2", "--timeout=120s"], "");
    let said = cluster.mesh(&["wait", "--for", "distribution"]);
    assert!(said.contains("of 2 control planes"), "{said}");
    cluster.configure(&ROUTING.replace("SUBSET", "v1"));
    assert_eq!(cluster.fetch("mesh-e2e").as_deref(), Some("version=v1"), "both replicas' proxies have it");

    cluster.kubectl(&[&["rollout", "restart"], &istiod[..]].concat(), "");
    let deadline = Instant::now() + PATIENCE;
    let mut failures = 0;
    loop {
        failures += usize::from(cluster.fetch("mesh-e2e").is_none());
        let done = cluster.run("kubectl", &[&["rollout", "status", "--timeout=1s"], &istiod[..]].concat(), "");
        if done.status.success() {
            break;
        }
        assert!(Instant::now() < deadline, "the control plane was not started anew within {PATIENCE:?}");
    }
    assert_eq!(failures, 0, "requests do not notice that the control plane is started anew");
    scale("1");
    cluster.configure(&ROUTING.replace("SUBSET", "v2"));
    eventually("proxies find the replica that is left", || {
        let proxies = cluster.proxies(&["--revision", "default"]);
        proxies.len() >= 5 && proxies.iter().all(|proxy| proxy["status"] == "SYNCED")
    });
}

/// Without a control plane proxies serve on, what would need it is refused, and both commands and `check` say so.
fn away(cluster: &Cluster) {
    let istiod = ["-n", "istio-system", "deploy/istiod"];
    cluster.kubectl(&[&["scale", "--replicas=0"], &istiod[..]].concat(), "");
    let pods = ["get", "pods", "-n", "istio-system", "-l", "app=istiod", "-o", "name"];
    eventually("the control plane is gone", || cluster.kubectl(&pods, "").is_empty());
    assert_eq!(cluster.fetch("mesh-e2e").as_deref(), Some("version=v2"), "what was in force is in force");
    let refused = cluster.run(MESH, &["apply", "-f", "-"], &ROUTING.replace("SUBSET", "v1"));
    assert_eq!(refused.status.code(), Some(69), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("`mesh check`"), "{}", stderr(&refused));
    let checked = cluster.run(MESH, &["check"], "");
    let said = stdout(&checked);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    for what in ["revision default injects nothing", "no control plane runs in namespace istio-system"] {
        assert!(said.contains(what), "{what} is not in\n{said}");
    }
    cluster.kubectl(&[&["scale", "--replicas=1"], &istiod[..]].concat(), "");
    cluster.kubectl(&[&["rollout", "status", "--timeout=120s"], &istiod[..]].concat(), "");
    eventually("all is well again", || cluster.run(MESH, &["check"], "").status.success());
}

#[test]
fn the_tour_on_a_real_cluster() {
    let Ok(kubeconfig) = std::env::var("MESH_E2E_KUBECONFIG") else {
        println!("skipped: MESH_E2E_KUBECONFIG does not name a cluster's kubeconfig");
        return;
    };
    let hub = std::env::var("MESH_E2E_HUB").unwrap_or_else(|_| "mesh".to_owned());
    let tag = std::env::var("MESH_E2E_TAG").unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned());
    let cluster = Cluster { kubeconfig };
    cluster.remove_application();
    let image = [format!("values.global.hub={hub}"), format!("values.global.tag={tag}")];
    let install = ["install", "--profile", "demo", "-y", "--set", &image[0], "--set", &image[1]];
    cluster.mesh(&install);
    let again = cluster.run(MESH, &install, "");
    assert!(stdout(&again).contains("0 created, 0 changed, 0 removed"), "{}{}", stdout(&again), stderr(&again));
    cluster.mesh(&["verify-install"]);

    cluster.kubectl(&["create", "namespace", "mesh-e2e"], "");
    cluster.mesh(&["label-namespace", "mesh-e2e"]);
    cluster.apply(APPLICATION);
    cluster.apply(&WEB.replace("VERSION", "v1").replace("NATIVE", "true"));
    cluster.apply(&WEB.replace("VERSION", "v2").replace("NATIVE", "false"));
    cluster.configure(&ROUTING.replace("SUBSET", "v1"));
    let ready = ["wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s", "-n"];
    cluster.kubectl(&[&ready[..], &["mesh-e2e"]].concat(), "");
    cluster.kubectl(&[&ready[..], &["mesh-e2e-outside"]].concat(), "");
    cluster.mesh(&["check"]);

    eventually("every proxy is in sync, as the control plane says through the API server", || {
        let proxies = cluster.proxies(&[]);
        proxies.len() >= 5 && proxies.iter().all(|proxy| proxy["status"] == "SYNCED")
    });
    eventually("the gateway leads to v1", || cluster.ingress().as_deref() == Some("version=v1"));
    eventually("so does the sidecar", || cluster.fetch("mesh-e2e").as_deref() == Some("version=v1"));
    let said = cluster.configure(&ROUTING.replace("SUBSET", "v2"));
    assert!(said.contains("in force in"), "{said}");
    assert_eq!(cluster.ingress().as_deref(), Some("version=v2"), "the canary has taken over once `apply --wait` ends");
    assert_eq!(cluster.fetch("mesh-e2e").as_deref(), Some("version=v2"), "for the sidecar, too");
    cluster.mesh(&["wait", "--for", "distribution"]);
    assert!(cluster.mesh(&["proxy-config", "route", "client.mesh-e2e"]).contains("web"));
    assert!(cluster.mesh(&["describe", "service", "web", "-n", "mesh-e2e"]).contains("VirtualService"));

    replicas(&cluster);
    away(&cluster);

    assert!(cluster.fetch("mesh-e2e-outside").is_some(), "permissive mutual TLS lets everybody in");
    cluster.configure(STRICT);
    assert_eq!(cluster.fetch("mesh-e2e-outside"), None, "strict mutual TLS keeps others out");
    assert_eq!(cluster.fetch("mesh-e2e").as_deref(), Some("version=v2"));
    cluster.kubectl(&[&ready[..], &["mesh-e2e"]].concat(), "");

    cluster.apply(JOB);
    cluster.kubectl(&["wait", "--for=condition=complete", "job/once", "-n", "mesh-e2e", "--timeout=120s"], "");
    let bad = ROUTING.replace("hosts: [web.example.com, web]", "hosts: [a..b]");
    let refused = cluster.run("kubectl", &["apply", "-f", "-"], &bad);
    assert!(
        !refused.status.success() && stderr(&refused).contains("spec.hosts[0] is no host name"),
        "{}{}",
        stdout(&refused),
        stderr(&refused)
    );
    cluster.mesh(&["analyze", "-n", "mesh-e2e"]);

    cluster.remove_application();
    let context = cluster.kubectl(&["config", "current-context"], "");
    cluster.mesh(&["uninstall", "--purge", "--confirm-context", context.trim()]);
    let left = ["get", "-A", "-l", "app.kubernetes.io/managed-by=mesh", "-o", "name"];
    let kinds = "all,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,crds,\
                 mutatingwebhookconfigurations,validatingwebhookconfigurations";
    eventually("nothing is left", || cluster.kubectl(&[&left[..], &[kinds]].concat(), "").is_empty());
    let roots = ["get", "configmaps", "-A", "--field-selector", "metadata.name=istio-ca-root-cert", "-o", "name"];
    assert_eq!(cluster.kubectl(&roots, ""), "");
}

#[test]
fn who_may_not_install_is_told_what_is_missing_before_anything_is_changed() {
    let Ok(kubeconfig) = std::env::var("MESH_E2E_KUBECONFIG") else {
        println!("skipped: MESH_E2E_KUBECONFIG does not name a cluster's kubeconfig");
        return;
    };
    let cluster = Cluster { kubeconfig };
    let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: mesh-e2e-nobody, namespace: default}}";
    cluster.apply(account);
    let token = cluster.kubectl(&["create", "token", "mesh-e2e-nobody", "-n", "default"], "");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let view = cluster.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"], "");
    let mut config: Value = serde_json::from_str(&view).unwrap();
    config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
    std::fs::write(&path, config.to_string()).unwrap();
    let nobody = Cluster { kubeconfig: path.display().to_string() };
    let refused = nobody.run(MESH, &["install", "--profile", "minimal", "-y", "--revision", "nobody"], "");
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(77), "{said}");
    for permission in
        ["create deployments.apps in namespace istio-system", "create clusterroles.rbac.authorization.k8s.io"]
    {
        assert!(said.contains(permission), "{said}");
    }
    assert!(said.contains("nothing was changed"), "{said}");
    cluster.kubectl(&["delete", "serviceaccount", "mesh-e2e-nobody", "-n", "default"], "");
}
