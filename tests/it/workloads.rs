//! Workloads other than Deployments, volumes, init containers and events, as a user sees them.

use crate::harness::{Runtime, eventually};

const WORKLOADS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello from a file}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: sesame}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  completions: 2
  template:
    spec:
      restartPolicy: Never
      initContainers:
      - {name: prepare, image: "busybox:1.36", command: [sh, -c, "echo prepared > /data/note"], volumeMounts: [{name: work, mountPath: /data}]}
      containers:
      - name: main
        image: busybox
        command: [sh, -c, "cat /data/note /etc/settings/greeting; echo; echo $WORD; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace"]
        env: [{name: WORD, valueFrom: {secretKeyRef: {name: password, key: word}}}]
        volumeMounts: [{name: work, mountPath: /data}, {name: settings, mountPath: /etc/settings}]
      volumes: [{name: work, emptyDir: {}}, {name: settings, configMap: {name: settings}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: fails}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: ["false"]}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "mesh.internal/httpbin", ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: busybox, command: [sleep, infinity]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec: {containers: [{name: main, image: busybox, command: [sh, -c, "echo run; exit 3"]}]}
"#;

#[test]
fn each_kind_of_workload_does_what_it_is_for() {
    let runtime = Runtime::start(&[]);
    if runtime.kubectl_ok(&["apply", "-f", "-"], Some(WORKLOADS)).is_none() {
        println!("skipped: there is no kubectl");
        return;
    }
    let kubectl = |arguments: &[&str]| runtime.kubectl_ok(arguments, None).unwrap();
    kubectl(&["wait", "--for=condition=Complete", "job/once", "--timeout=60s"]);
    kubectl(&["wait", "--for=condition=Failed", "job/fails", "--timeout=60s"]);
    let log = kubectl(&["logs", "job/once", "-c", "main"]);
    assert_eq!(log, "prepared\nhello from a file\nsesame\ndefault\n", "{log}");
    let jobs = kubectl(&["get", "jobs"]);
    assert!(jobs.contains("Complete") && jobs.contains("2/2") && jobs.contains("Failed"), "{jobs}");

    kubectl(&["rollout", "status", "statefulset/web", "--timeout=60s"]);
    kubectl(&["rollout", "status", "daemonset/agent", "--timeout=60s"]);
    let names = kubectl(&["get", "pods", "-l", "app=web", "-o", "name"]);
    assert_eq!(names, "pod/web-0\npod/web-1\n");
    kubectl(&["scale", "statefulset/web", "--replicas=1"]);
    eventually("the last one goes first", || {
        (kubectl(&["get", "pods", "-l", "app=web", "-o", "name"]) == "pod/web-0\n").then_some(())
    });

    let described = eventually("the crash loop is told", || {
        let described = kubectl(&["describe", "pod", "crashes"]);
        (described.contains("BackOff") && described.contains("CrashLoopBackOff")).then_some(described)
    });
    for word in ["Scheduled", "Pulled", "Created", "Started", "Exit Code:    3", "mesh://"] {
        assert!(described.contains(word), "{word}: {described}");
    }
    assert_eq!(kubectl(&["logs", "crashes", "--previous"]), "run\n");
    assert_eq!(kubectl(&["logs", "crashes", "--limit-bytes=2"]), "ru");
}

#[test]
fn a_cron_job_makes_jobs() {
    let runtime = Runtime::start(&[]);
    let create = ["create", "cronjob", "tick", "--image=busybox", "--schedule=* * * * *", "--", "echo", "tock"];
    let Some(_) = runtime.kubectl_ok(&create, None) else { return };
    let job = ["create", "job", "now", "--from=cronjob/tick"];
    runtime.kubectl_ok(&job, None);
    runtime.kubectl_ok(&["wait", "--for=condition=Complete", "job/now", "--timeout=60s"], None);
    assert_eq!(runtime.kubectl_ok(&["logs", "job/now"], None).unwrap(), "tock\n");
    assert!(runtime.kubectl_ok(&["get", "cronjobs"], None).unwrap().contains("* * * * *"));
}

const PODS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {one: first, two: second}
---
apiVersion: v1
kind: Pod
metadata: {name: served}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: busybox, command: [sh, -c, "echo first > /data/log"], volumeMounts: [{name: work, mountPath: /data}]}
  - name: beside
    image: busybox
    restartPolicy: Always
    command: [sh, -c, "echo beside >> /data/log; touch /data/up; sleep 1000"]
    startupProbe: {exec: {command: [cat, /data/up]}, periodSeconds: 1}
    volumeMounts: [{name: work, mountPath: /data}]
  - {name: last, image: busybox, command: [sh, -c, "echo last >> /data/log"], volumeMounts: [{name: work, mountPath: /data}]}
  containers:
  - {name: main, image: busybox, command: [sh, -c, "cat /data/log"], volumeMounts: [{name: work, mountPath: /data}]}
  volumes: [{name: work, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: told, labels: {team: a}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "sleep 1000"]
    resources: {limits: {cpu: 1500m, memory: 64Mi}, requests: {cpu: 100m}}
    env:
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: TEAM, valueFrom: {fieldRef: {fieldPath: "metadata.labels['team']"}}}
    - {name: TOGETHER, value: "$(TEAM)-$(CPU)"}
    envFrom: [{configMapRef: {name: settings}, prefix: SET_}]
    volumeMounts: [{name: settings, mountPath: /settings}, {name: settings, mountPath: /alone, subPath: one}, {name: all, mountPath: /all}]
  volumes:
  - {name: settings, configMap: {name: settings}}
  - name: all
    projected:
      sources:
      - {serviceAccountToken: {path: token, audience: bank, expirationSeconds: 600}}
      - {configMap: {name: kube-root-ca.crt}}
      - {downwardAPI: {items: [{path: cpu, resourceFieldRef: {containerName: main, resource: requests.cpu, divisor: 1m}}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: late}
spec: {activeDeadlineSeconds: 1, terminationGracePeriodSeconds: 1, containers: [{name: main, image: busybox, command: [sleep, "1000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: elsewhere}
spec: {nodeSelector: {zone: none}, containers: [{name: main, image: busybox, command: [sleep, "1000"]}]}
"#;

#[test]
fn pods_have_sidecars_volumes_that_follow_limits_and_a_place() {
    let runtime = Runtime::start(&[]);
    if runtime.kubectl_ok(&["apply", "-f", "-"], Some(PODS)).is_none() {
        println!("skipped: there is no kubectl");
        return;
    }
    let kubectl = |arguments: &[&str]| runtime.kubectl_ok(arguments, None).unwrap();
    kubectl(&["wait", "--for=condition=Ready", "pod/told", "--timeout=60s"]);
    let inside = |script: &str| kubectl(&["exec", "told", "--", "sh", "-c", script]);
    assert_eq!(
        inside("echo $CPU $MEMORY $TEAM $TOGETHER $SET_one; cat /all/cpu; echo; cat /alone; ls /all"),
        "2 64 a a-2 first\n100\nfirstca.crt\ncpu\ntoken\n"
    );
    // A changed ConfigMap reaches the files, and an entry that is gone takes its file with it.
    kubectl(&["patch", "configmap", "settings", "--type=merge", "-p", r#"{"data": {"one": "changed", "two": null}}"#]);
    eventually("the files follow", || {
        (inside("cat /settings/one; echo; ls /settings") == "changed\none\n").then_some(())
    });

    // A sidecar starts in its turn, does not hold up what follows, and ends with what it serves.
    eventually("the pod with a sidecar ends", || {
        (kubectl(&["get", "pod", "served", "-o", "jsonpath={.status.phase}"]) == "Succeeded").then_some(())
    });
    assert_eq!(kubectl(&["logs", "served", "-c", "main"]), "first\nbeside\nlast\n");

    let late = eventually("the deadline ends the pod", || {
        let late = kubectl(&["get", "pod", "late", "-o", "jsonpath={.status.phase} {.status.reason}"]);
        late.starts_with("Failed").then_some(late)
    });
    assert_eq!(late, "Failed DeadlineExceeded");

    let described = eventually("the scheduler says why", || {
        let described = kubectl(&["describe", "pod", "elsewhere"]);
        described.contains("FailedScheduling").then_some(described)
    });
    assert!(
        described.contains("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
        "{described}"
    );
    kubectl(&["label", "node", "mesh", "zone=none"]);
    kubectl(&["wait", "--for=condition=Ready", "pod/elsewhere", "--timeout=60s"]);
    kubectl(&["cordon", "mesh"]);
    kubectl(&["run", "waits", "--image=busybox", "--", "sleep", "1000"]);
    eventually("a cordoned node takes no pods", || {
        kubectl(&["describe", "pod", "waits"]).contains("1 node(s) were unschedulable").then_some(())
    });
    kubectl(&["uncordon", "mesh"]);
    kubectl(&["wait", "--for=condition=Ready", "pod/waits", "--timeout=60s"]);
}

const PRIVILEGED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}], readinessProbe: {httpGet: {port: 80}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, labels: {app: plain, sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}], readinessProbe: {tcpSocket: {port: 80}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {selector: {app: plain}, ports: [{name: http, port: 8000, targetPort: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: inside}
spec: {containers: [{name: main, image: curlimages/curl, command: [sleep, infinity]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: outside, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: main, image: curlimages/curl, args: [sleep, infinity]}]}
"#;

#[test]
fn a_pod_has_its_port_below_1024_where_the_system_does_not_allow_it() {
    let Some(runtime) = Runtime::ordinary() else { return };
    let label = ["label", "namespace", "default", "istio-injection=enabled"];
    if runtime.kubectl_ok(&label, None).is_none() {
        return;
    }
    runtime.kubectl_ok(&["apply", "-f", "-"], Some(PRIVILEGED));
    runtime.kubectl_ok(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s"], None);
    for client in ["inside", "outside"] {
        for url in ["http://web/", "http://plain:8000/"] {
            eventually(&format!("{client} is answered by {url}"), || {
                let asked = ["exec", client, "-c", "main", "--", "curl", "-s", url];
                let output = runtime.kubectl(&asked, None).unwrap();
                String::from_utf8_lossy(&output.stdout).contains("Welcome to nginx!").then_some(())
            });
        }
    }
    let own = ["exec", "web", "-c", "web", "--", "curl", "-s", "http://localhost/"];
    assert!(runtime.kubectl_ok(&own, None).unwrap().contains("Welcome to nginx!"));
}

/// As its own manifest has it: its command, and probes by its own program.
const PODINFO: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: podinfo}
spec:
  containers:
  - name: podinfod
    image: ghcr.io/stefanprodan/podinfo:6.14.1
    ports: [{name: http, containerPort: 9898}, {name: http-metrics, containerPort: 9797}]
    command: [./podinfo, --port=9898, --port-metrics=9797, --level=info]
    env: [{name: PODINFO_UI_MESSAGE, value: hello from a pod}]
    readinessProbe: {exec: {command: [podcli, check, http, "localhost:9898/readyz"]}, periodSeconds: 1}
"#;

#[test]
fn podinfo_is_ready_by_its_own_probe_and_says_what_it_was_told_to_say() {
    let runtime = Runtime::start(&[]);
    if runtime.kubectl_ok(&["apply", "-f", "-"], Some(PODINFO)).is_none() {
        return;
    }
    runtime.kubectl_ok(&["wait", "--for=condition=Ready", "pod/podinfo", "--timeout=60s"], None);
    let asked = ["exec", "podinfo", "--", "curl", "-s", "http://localhost:9898/api/info"];
    let said = runtime.kubectl_ok(&asked, None).unwrap();
    assert!(said.contains("\"message\": \"hello from a pod\"") && said.contains("\"hostname\": \"podinfo\""), "{said}");
}
