//! Which image names the built-in apps answer to.
//!
//! One table. An image is known when its repository (tag and digest removed) is a prefix of the table followed by the
//! app's name, so that Istio's manifests run unchanged while an unrelated image of the same short name is refused
//! instead of being silently replaced.

use super::app::{App, ReviewsVersion};
use super::echo::Echo;
use super::httpbin::Flavour;

/// Where Istio's samples are published, and this project's own name for images that exist only inside the binary.
const SAMPLE_REGISTRIES: &[&str] =
    &["registry.istio.io/release/", "docker.io/istio/", "istio/", "gcr.io/istio-release/", "mesh.internal/"];

const HTTPBIN_REGISTRIES: &[&str] = &[
    "docker.io/mccutchen/",
    "mccutchen/",
    "docker.io/kennethreitz/",
    "kennethreitz/",
    "docker.io/kong/",
    "kong/",
    "mesh.internal/",
];

/// Where Istio publishes what only its tests and guides use.
const TEST_REGISTRIES: &[&str] = &[
    "registry.istio.io/testing/",
    "registry.istio.io/release/",
    "gcr.io/istio-testing/",
    "gcr.io/istio-release/",
    "docker.io/istio/",
    "istio/",
];

const CURL_REGISTRIES: &[&str] = &["docker.io/curlimages/", "curlimages/", "docker.io/istio/", "mesh.internal/"];

const JAEGER_REGISTRIES: &[&str] =
    &["docker.io/jaegertracing/", "jaegertracing/", "cr.jaegertracing.io/jaegertracing/", "quay.io/jaegertracing/"];

/// Where the Gateway API's conformance suite has its images.
const CONFORMANCE_REGISTRIES: &[&str] =
    &["gcr.io/k8s-staging-gateway-api/", "registry.k8s.io/gateway-api/", "registry.k8s.io/gateway-api/conformance/"];

struct Known {
    registries: &'static [&'static str],
    name: &'static str,
    app: App,
}

const fn sample(name: &'static str, app: App) -> Known {
    Known { registries: SAMPLE_REGISTRIES, name, app }
}

/// Images of a system with a shell and small commands, which all are built in.
const SYSTEMS: &[&str] =
    &["docker.io/library/", "docker.io/", "library/", "registry.k8s.io/", "public.ecr.aws/docker/library/", ""];

const fn testing(name: &'static str, app: App) -> Known {
    Known { registries: TEST_REGISTRIES, name, app }
}

/// An image that Docker Hub, a mirror or Kubernetes' registry publishes under one owner.
const fn echo(registries: &'static [&'static str], name: &'static str, echo: Echo) -> Known {
    Known { registries, name, app: App::Echo(echo) }
}

const fn system(name: &'static str) -> Known {
    Known { registries: SYSTEMS, name, app: App::Idle }
}

const IMAGES: &[Known] = &[
    sample("examples-bookinfo-productpage-v1", App::Productpage),
    sample("examples-bookinfo-details-v1", App::Details),
    sample("examples-bookinfo-ratings-v1", App::Ratings),
    sample("examples-bookinfo-reviews-v1", App::Reviews(ReviewsVersion::V1)),
    sample("examples-bookinfo-reviews-v2", App::Reviews(ReviewsVersion::V2)),
    sample("examples-bookinfo-reviews-v3", App::Reviews(ReviewsVersion::V3)),
    sample("examples-bookinfo-details-v2", App::Details),
    sample("examples-bookinfo-ratings-v2", App::Ratings),
    sample("examples-bookinfo-mongodb", App::Silent(27017)),
    sample("examples-bookinfo-mysqldb", App::Silent(3306)),
    // It is asked over UDP, which the runtime does not carry.
    Known { registries: &["registry.k8s.io/coredns/", "coredns/"], name: "coredns", app: App::Silent(5353) },
    sample("tcp-echo-server", App::TcpEcho),
    sample("examples-helloworld-v1", App::Helloworld("v1")),
    sample("examples-helloworld-v2", App::Helloworld("v2")),
    Known { registries: HTTPBIN_REGISTRIES, name: "httpbin", app: App::Httpbin(Flavour::Python) },
    Known { registries: HTTPBIN_REGISTRIES, name: "go-httpbin", app: App::Httpbin(Flavour::Go) },
    Known { registries: CURL_REGISTRIES, name: "curl", app: App::Idle },
    Known { registries: &["mesh.internal/"], name: "sleep", app: App::Idle },
    testing("health", App::Echo(Echo::Health)),
    testing("ext-authz", App::ExtAuthz),
    testing("jwt-server", App::JwtServer),
    Known { registries: JAEGER_REGISTRIES, name: "jaeger", app: App::Jaeger },
    Known { registries: JAEGER_REGISTRIES, name: "all-in-one", app: App::Jaeger },
    testing("app", App::Echo(Echo::Istio)),
    Known { registries: &["docker.io/hiroakis/", "hiroakis/"], name: "tornado-websocket-example", app: App::Tornado },
    echo(&["docker.io/fortio/", "fortio/"], "fortio", Echo::Fortio),
    echo(CONFORMANCE_REGISTRIES, "echo-basic", Echo::GatewayApi),
    echo(CONFORMANCE_REGISTRIES, "echo-advanced", Echo::Istio),
    echo(
        &["registry.k8s.io/e2e-test-images/", "k8s.gcr.io/e2e-test-images/", "gcr.io/kubernetes-e2e-test-images/"],
        "agnhost",
        Echo::Agnhost,
    ),
    echo(&["docker.io/traefik/", "traefik/", "docker.io/containous/", "containous/"], "whoami", Echo::Whoami),
    echo(&["docker.io/hashicorp/", "hashicorp/"], "http-echo", Echo::Text),
    echo(&["gcr.io/google-samples/"], "hello-app", Echo::HelloApp("1.0.0")),
    echo(SYSTEMS, "nginx", Echo::Nginx),
    echo(&["docker.io/nginxinc/", "nginxinc/"], "nginx-unprivileged", Echo::Nginx),
    echo(&["ghcr.io/stefanprodan/", "docker.io/stefanprodan/", "stefanprodan/"], "podinfo", Echo::Podinfo),
    system("busybox"),
    system("alpine"),
    system("ubuntu"),
    system("debian"),
    system("bash"),
    Known { registries: &["docker.io/nicolaka/", "nicolaka/"], name: "netshoot", app: App::Idle },
    Known { registries: &["docker.io/radial/", "radial/"], name: "busyboxplus", app: App::Idle },
    Known { registries: &["docker.io/alpine/", "alpine/"], name: "curl", app: App::Idle },
    Known {
        registries: &["registry.k8s.io/", "k8s.gcr.io/", "gcr.io/google-containers/"],
        name: "pause",
        app: App::Idle,
    },
];

/// The built-in app behind an image reference, whatever its tag or digest; `None` for an image that is not built in.
pub fn resolve(image: &str) -> Option<App> {
    let repository = repository_of(image);
    IMAGES
        .iter()
        .find(|known| repository.strip_suffix(known.name).is_some_and(|prefix| known.registries.contains(&prefix)))
        .map(|known| known.app)
}

/// The program that the arguments of a container without `command` are given to; `None`: the arguments are the command.
pub fn entrypoint(image: &str) -> Option<&'static str> {
    repository_of(image).ends_with("/curl").then_some("curl")
}

/// Programs beside a mesh that people install with it, and what to use in their place where images cannot run.
const INSTEAD: &[(&[&str], &str)] = &[
    (
        &["prometheus", "prometheus-config-reloader"],
        "`mesh status` shows the traffic; a Prometheus on this machine finds the pods with kubernetes_sd_configs and the runtime's \
         kubeconfig, each proxy's metrics at http://POD_IP:15090/stats/prometheus",
    ),
    (
        &["grafana"],
        "a Grafana on this machine shows Istio's dashboards from a Prometheus that scrapes \
         http://POD_IP:15090/stats/prometheus of every pod",
    ),
    (
        &["kiali"],
        "`mesh status` shows services and their traffic, `mesh describe` what the mesh makes of a pod, `mesh analyze` what is \
         wrong; a Kiali on this machine takes the runtime's kubeconfig",
    ),
    (&["loki", "k8s-sidecar"], "`mesh logs` and `kubectl logs` print what pods logged"),
    (
        &["opentelemetry-collector", "opentelemetry-collector-contrib"],
        "`kubectl apply -f samples/addons/jaeger.yaml` of Istio's runs a built-in collector of traces; a collector on this machine \
         is named in a ServiceEntry",
    ),
    (&["ratelimit"], "the mesh asks no rate limit service"),
];

/// What to use in place of a well-known image that is not built in.
pub fn instead(image: &str) -> Option<&'static str> {
    let repository = repository_of(image);
    let name = repository.rsplit('/').next().unwrap_or(repository);
    INSTEAD.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}

/// `host:port/path/name:tag@digest` without tag and digest. A colon before the last slash belongs to the host.
fn repository_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(repository, _)| repository);
    let name_start = image.rfind('/').map_or(0, |slash| slash + 1);
    match image.get(name_start..).and_then(|name| name.find(':')) {
        Some(colon) => image.get(..name_start + colon).unwrap_or(image),
        None => image,
    }
}
