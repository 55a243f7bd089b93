//! What Istio's guides have their readers do, on the built-in runtime, with the apps that they deploy.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::harness::{Connection, MESH, Runtime, eventually, mesh, stderr, stdout};

const APPS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: httpbin}, spec: {selector: {app: httpbin}, ports: [{name: http, port: 8000, targetPort: 8080}]}}
- {apiVersion: v1, kind: Service, metadata: {name: ext-authz}, spec: {selector: {app: ext-authz}, ports: [{name: http, port: 8000}, {name: grpc, port: 9000}]}}
- {apiVersion: v1, kind: Service, metadata: {name: jwt-server}, spec: {selector: {app: jwt-server}, ports: [{name: http, port: 8000}]}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: httpbin}
  spec:
    selector: {matchLabels: {app: httpbin}}
    template:
      metadata: {labels: {app: httpbin}}
      spec: {containers: [{name: httpbin, image: 'docker.io/mccutchen/go-httpbin:v2.15.0', ports: [{containerPort: 8080}]}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: ext-authz}
  spec:
    selector: {matchLabels: {app: ext-authz}}
    template:
      metadata: {labels: {app: ext-authz, sidecar.istio.io/inject: 'false'}}
      spec: {containers: [{name: ext-authz, image: 'registry.istio.io/testing/ext-authz:latest', ports: [{containerPort: 8000}, {containerPort: 9000}]}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: jwt-server}
  spec:
    selector: {matchLabels: {app: jwt-server}}
    template:
      metadata: {labels: {app: jwt-server}}
      spec: {containers: [{name: jwt-server, image: 'registry.istio.io/testing/jwt-server:0.8', ports: [{containerPort: 8000}]}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: fortio}
  spec:
    selector: {matchLabels: {app: fortio}}
    template:
      metadata: {labels: {app: fortio}}
      spec: {containers: [{name: fortio, image: 'docker.io/fortio/fortio:latest_release', ports: [{containerPort: 8080}, {containerPort: 8079}]}]}
";

/// As Istio's addon has it: a container that declares no port.
const JAEGER: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: jaeger, namespace: istio-system}
  spec:
    selector: {matchLabels: {app: jaeger}}
    template:
      metadata: {labels: {app: jaeger, sidecar.istio.io/inject: 'false'}}
      spec:
        containers:
        - name: jaeger
          image: docker.io/jaegertracing/jaeger:2.17.0
          args: [--config, /jaeger-configuration/config.yaml]
          readinessProbe: {httpGet: {path: /status, port: 13133}}
- apiVersion: v1
  kind: Service
  metadata: {name: jaeger-collector, namespace: istio-system}
  spec: {selector: {app: jaeger}, ports: [{name: http-zipkin, port: 9411}, {name: grpc-otel, port: 4317}, {name: http-otel, port: 4318}]}
";

/// A token that Istio publishes for its guides: issuer `testing@secure.istio.io`, good until 2034.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IkRIRmJwb0lVcXJZOHQyenBBMnFYZkNtcjVWTzVaRXI0UnpIVV8tZW52dlEiLCJ0eXAiOiJKV1QifQ.eyJleHAiOjQ2ODU5ODk3MDAsImZvbyI6ImJhciIsImlhdCI6MTUzMjM4OTcwMCwiaXNzIjoidGVzdGluZ0BzZWN1cmUuaXN0aW8uaW8iLCJzdWIiOiJ0ZXN0aW5nQHNlY3VyZS5pc3Rpby5pbyJ9.CfNnxWP2tcnR9q0vxyxweaF3ovQYHYZl82hAUsn21bwQd9zP7c-LS9qd_vpdLG4Tn1A15NxfCjp5f7QNBUo-KC9PJqYpgGbaXhaGx7bEdFWjcwv3nZzvc7M__ZpaCERdwU7igUmJqYGBYQ51vr2njU9ZimyKkfDe3axcyiBZde7G6dabliUosJvvKOPcKIWPccCgefSj_GNfwIip3-SsFdlR7BtbVUcqR-yv-XOxJ3Uc1MI0tz3uMiiZcyPV7sNCU4KRnemRIMHVOfuvHsU60_GhGbiSFzgPTAa9WTltbnarTbxudb_YEOx12JiwYToeX0DCPb43W1tzIBxgm8NxUg";

struct Guide {
    runtime: Runtime,
}

impl Guide {
    fn start() -> Self {
        let runtime = Runtime::start(&[]);
        assert!(runtime.mesh(&["label-namespace", "default"]).status.success());
        let guide = Self { runtime };
        guide.apply(APPS);
        eventually("all pods are ready", || {
            let table = stdout(&guide.runtime.mesh(&["get", "pods"]));
            let pods: Vec<_> = table.lines().skip(1).collect();
            let ready = |line: &&str| line.contains("2/2") || line.contains("1/1");
            (pods.len() == 4 && pods.iter().all(ready)).then_some(())
        });
        guide
    }

    fn apply(&self, manifest: &str) {
        let file = self.runtime.path("guide.yaml");
        std::fs::write(&file, manifest).unwrap();
        let output = self.runtime.mesh(&["apply", "-f", &file]);
        assert!(output.status.success(), "{}", stderr(&output));
    }

    fn fortio(&self, arguments: &[&str]) -> String {
        let data = self.runtime.path("");
        let exec = ["exec", "deploy/fortio", "-c", "fortio", "--data-dir", &data, "--", "fortio"];
        let output = Command::new(MESH).args(exec).args(arguments).output().unwrap();
        stdout(&output) + &stderr(&output)
    }

    /// What fortio's sidecar answers to the guides' `pilot-agent request GET`.
    fn stats(&self, path: &str) -> String {
        let data = self.runtime.path("");
        let exec = ["exec", "deploy/fortio", "-c", "istio-proxy", "--data-dir", &data, "--"];
        let asked = ["pilot-agent", "request", "GET", path];
        let output = Command::new(MESH).args(exec).args(asked).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }

    /// Asks httpbin from fortio's pod until the answer has the status.
    fn asked(&self, status: u16, arguments: &[&str]) -> String {
        let expected = format!("HTTP/1.1 {status} ");
        eventually(&format!("{arguments:?} is answered with {status}"), || {
            let answer = self.fortio(&[&["curl", "-quiet"], arguments].concat());
            answer.starts_with(&expected).then_some(answer)
        })
    }
}

#[test]
fn the_guides_to_circuit_breaking_external_authorization_and_tokens_work_as_written() {
    let guide = Guide::start();
    guide.asked(200, &["http://httpbin:8000/get"]);

    // Three connections where one request may run and one may wait: some are refused, and the report says how many.
    guide.apply(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: httpbin}\nspec:\n  host: httpbin\n  \
         trafficPolicy:\n    connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, \
         maxRequestsPerConnection: 1}}\n",
    );
    eventually("the circuit breaks", || {
        let report = guide.fortio(&["load", "-c", "8", "-qps", "0", "-n", "80", "http://httpbin:8000/delay/0.02"]);
        assert!(report.contains("80 calls") && report.contains("# target 99.9%"), "{report}");
        (report.contains("Code 200 : ") && report.contains("Code 503 : ")).then_some(())
    });
    // What the guide has its readers look for.
    let stats = guide.stats("stats");
    let of_httpbin = "cluster.outbound|8000||httpbin.default.svc.cluster.local.";
    let counted = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("{of_httpbin}{name}: ")));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_else(|| panic!("{name} in {stats}"))
    };
    assert!(counted("upstream_rq_pending_overflow") > 0 && counted("upstream_rq_pending_total") > 0, "{stats}");
    assert_eq!(counted("circuit_breakers.default.remaining_pending"), 1);
    let filtered = guide.stats("stats?filter=upstream_rq_pending_overflow");
    assert!(!filtered.is_empty() && filtered.lines().all(|line| line.contains("pending_overflow")), "{filtered}");
    assert!(guide.runtime.mesh(&["delete", "destinationrule", "httpbin"]).status.success());

    // The providers of the guide are written into the mesh's settings, ports as text.
    guide.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    \
         extensionProviders:\n    - name: sample-ext-authz-grpc\n      envoyExtAuthzGrpc: {service: \
         ext-authz.default.svc.cluster.local, port: '9000'}\n    - name: sample-ext-authz-http\n      envoyExtAuthzHttp: \
         {service: ext-authz.default.svc.cluster.local, port: '8000', includeRequestHeadersInCheck: [x-ext-authz]}\n",
    );
    for provider in ["sample-ext-authz-http", "sample-ext-authz-grpc"] {
        guide.apply(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: ext-authz}}\nspec:\n  selector: \
             {{matchLabels: {{app: httpbin}}}}\n  action: CUSTOM\n  provider: {{name: {provider}}}\n  rules: [{{to: \
             [{{operation: {{paths: [/headers]}}}}]}}]\n"
        ));
        let denied = guide.asked(403, &["-H", "x-ext-authz: deny", "http://httpbin:8000/headers"]);
        assert!(denied.contains("denied by ext_authz"), "{denied}");
        guide.asked(200, &["-H", "x-ext-authz: allow", "http://httpbin:8000/headers"]);
        guide.asked(200, &["http://httpbin:8000/ip"]);
    }
    assert!(guide.runtime.mesh(&["delete", "authorizationpolicy", "ext-authz"]).status.success());

    // The keys come from a Service of the mesh.
    guide.apply(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt}\nspec:\n  selector: {matchLabels: \
         {app: httpbin}}\n  jwtRules:\n  - issuer: testing@secure.istio.io\n    jwksUri: \
         http://jwt-server.default.svc.cluster.local:8000/jwks\n---\napiVersion: security.istio.io/v1\nkind: \
         AuthorizationPolicy\nmetadata: {name: jwt}\nspec:\n  selector: {matchLabels: {app: httpbin}}\n  rules: [{from: \
         [{source: {requestPrincipals: ['testing@secure.istio.io/*']}}]}]\n",
    );
    guide.asked(403, &["http://httpbin:8000/headers"]);
    guide.asked(401, &["-H", "Authorization: Bearer deadbeef", "http://httpbin:8000/headers"]);
    guide.asked(200, &["-H", &format!("Authorization: Bearer {TOKEN}"), "http://httpbin:8000/headers"]);
}

/// Runs openssl in a directory; `None` where there is none.
fn openssl(directory: &Path, arguments: &str, input: &str) -> Option<Output> {
    let mut child = Command::new("openssl")
        .current_dir(directory)
        .args(arguments.split(' ').map(|word| word.replace('+', " ")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[test]
fn the_guides_to_secure_gateways_and_traces_work_as_written() {
    let guide = Guide::start();
    secure_gateway(&guide);
    injected_file(&guide);
    traces(&guide);
}

/// Certificates as the guide makes them have no extensions: they are of version 1.
fn secure_gateway(guide: &Guide) {
    let directory = tempfile::tempdir().unwrap();
    let ask = |arguments: &str| openssl(directory.path(), arguments, "").map(|output| output.status.success());
    let made = ask(
        "req -x509 -sha256 -nodes -days 365 -newkey rsa:2048 -subj /O=example+Inc./CN=example.com -keyout ca.key -out ca.crt",
    );
    if made.is_none() {
        println!("skipped: there is no openssl");
        return;
    }
    for name in ["httpbin", "client"] {
        let request = format!(
            "req -out {name}.csr -newkey rsa:2048 -nodes -keyout {name}.key -subj /CN={name}.example.com/O={name}"
        );
        let sign = format!(
            "x509 -req -sha256 -days 365 -CA ca.crt -CAkey ca.key -set_serial 1 -in {name}.csr -out {name}.crt"
        );
        assert_eq!((ask(&request), ask(&sign)), (Some(true), Some(true)));
    }
    let pem = |file: &str| {
        let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
        text.lines().map(|line| format!("    {line}\n")).collect::<String>()
    };
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: httpbin-credential, namespace: istio-system}}\nstringData:\n  tls.crt: \
         |\n{}  tls.key: |\n{}  ca.crt: |\n{}",
        pem("httpbin.crt"),
        pem("httpbin.key"),
        pem("ca.crt")
    );
    guide.apply(&secret);
    let gateway = |mode: &str| {
        guide.apply(&format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: mygateway}}\nspec:\n  selector: {{istio: \
             ingressgateway}}\n  servers:\n  - port: {{number: 443, name: https, protocol: HTTPS}}\n    tls: {{mode: {mode}, \
             credentialName: httpbin-credential}}\n    hosts: [httpbin.example.com]\n---\napiVersion: \
             networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: httpbin}}\nspec:\n  hosts: \
             [httpbin.example.com]\n  gateways: [mygateway]\n  http: [{{match: [{{uri: {{prefix: /status}}}}], route: \
             [{{destination: {{port: {{number: 8000}}, host: httpbin}}}}]}}]\n"
        ));
    };
    let services = guide.runtime.mesh(&["get", "svc", "istio-ingressgateway", "-n", "istio-system", "-o", "json"]);
    let services: serde_json::Value = serde_json::from_slice(&services.stdout).unwrap();
    let address = services.pointer("/status/loadBalancer/ingress/0/ip").and_then(|ip| ip.as_str()).unwrap().to_owned();
    let visit = |more: &str| {
        let arguments = format!(
            "s_client -quiet -connect {address}:443 -servername httpbin.example.com -CAfile ca.crt -verify_return_error{more}"
        );
        let request = "GET /status/418 HTTP/1.1\r\nhost: httpbin.example.com\r\nconnection: close\r\n\r\n";
        stdout(&openssl(directory.path(), &arguments, request).unwrap())
    };
    let teapot = |answer: String| answer.starts_with("HTTP/1.1 418 ").then_some(());
    gateway("SIMPLE");
    eventually("the gateway shows the certificate", || teapot(visit("")));
    let waited = guide.runtime.mesh(&["x", "wait", "--for=distribution", "virtualservice", "httpbin.default"]);
    assert!(waited.status.success(), "{}", stderr(&waited));
    gateway("MUTUAL");
    eventually("a client without a certificate is refused", || visit("").is_empty().then_some(()));
    eventually("a client with one gets in", || teapot(visit(" -cert client.crt -key client.key")));
}

/// A pod that `kube-inject` has given its sidecar runs, and asks through it.
fn injected_file(guide: &Guide) {
    let file = guide.runtime.path("plain.yaml");
    let plain = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: injected}\nspec:\n  selector: {matchLabels: {app: \
                 injected}}\n  template:\n    metadata: {labels: {app: injected}}\n    spec: {containers: [{name: curl, image: \
                 curlimages/curl, command: [/bin/sleep, 3650d]}]}\n";
    std::fs::write(&file, plain).unwrap();
    let injected = mesh(&["kube-inject", "-f", &file]);
    assert!(injected.status.success(), "{}", stderr(&injected));
    guide.apply(&stdout(&injected));
    let data = guide.runtime.path("");
    eventually("the injected pod is ready", || {
        let waited = guide.runtime.mesh(&["get", "pods", "-l", "app=injected"]);
        stdout(&waited).contains("2/2").then_some(())
    });
    eventually("its requests are answered, and it has an identity", || {
        let exec = ["exec", "deploy/injected.default", "-c", "curl", "--data-dir", &data, "--", "curl", "-sS"];
        let asked = Command::new(MESH).args(exec).arg("http://httpbin:8000/headers").output().unwrap();
        stdout(&asked).contains("X-Forwarded-Client-Cert").then_some(())
    });
    // Beside the proxy's own commands there are those of the application's container.
    let beside = ["exec", "deploy/injected", "-c", "istio-proxy", "--data-dir", &data, "--", "echo", "here"];
    assert_eq!(stdout(&Command::new(MESH).args(beside).output().unwrap()), "here\n");
}

/// What Istio's addon deploys collects what a Telemetry has proxies tell; `mesh dashboard` leads to it.
fn traces(guide: &Guide) {
    guide.apply(JAEGER);
    guide.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    enableTracing: \
         true\n    extensionProviders:\n    - {name: jaeger, opentelemetry: {port: 4317, service: \
         jaeger-collector.istio-system.svc.cluster.local}}\n---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: \
         {name: mesh-default, namespace: istio-system}\nspec: {tracing: [{providers: [{name: jaeger}], \
         randomSamplingPercentage: 100}]}\n",
    );
    eventually("the collector is ready", || {
        let pods = guide.runtime.mesh(&["get", "pods", "-n", "istio-system", "-l", "app=jaeger"]);
        stdout(&pods).contains("1/1").then_some(())
    });
    let opened = Command::new(MESH)
        .args(["dashboard", "jaeger", "--port", "0", "--data-dir", &guide.runtime.path("")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut dashboard = Ended(opened.unwrap());
    let mut url = String::new();
    BufReader::new(dashboard.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let (address, path) = url.trim().strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
    let read = |path: &str| Connection::open(address.parse().unwrap()).get(path, &[]);
    eventually("the proxies of both sides have told their spans", || {
        guide.asked(200, &["http://httpbin:8000/get"]);
        let found = read("/jaeger/api/traces?service=fortio.default");
        let found: serde_json::Value = serde_json::from_str(&found.body).unwrap();
        let told =
            found["data"].as_array().unwrap().iter().any(|trace| trace["processes"].as_object().unwrap().len() == 2);
        told.then_some(())
    });
    let page = read(&format!("/{path}")).body;
    assert!(page.contains("fortio.default") && page.contains("httpbin.default"), "{page}");
}

/// A command that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
