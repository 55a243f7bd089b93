//! Images that say what they were asked, or who they are: those that tutorials deploy to see where a request arrived.
//!
//! One table of ports and one function per form of answer. What the originals can do beyond it (uploads, load, shells) is not there.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, SERVER};
use http::{Request, Response, StatusCode, Version};
use serde_json::{Map, Value, json};

use super::app::flag_values;
use super::context::AppContext;
use super::{bookinfo, reply};
use crate::serve::{self, Body, Connection};

/// Whose form the answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// `echo-basic` of the Gateway API's conformance suite: JSON.
    GatewayApi,
    /// `app` of Istio's tests: `Name=value` lines.
    Istio,
    /// `health` of Istio's samples: the port and the path's word.
    Health,
    /// `traefik/whoami`: the request as it came.
    Whoami,
    /// `hashicorp/http-echo`: the text of `-text`.
    Text,
    /// `hello-app` of Google's tutorials: version and host name.
    HelloApp(&'static str),
    /// `agnhost` of Kubernetes' tests: its `netexec`.
    Agnhost,
    /// `nginx`: its welcome page.
    Nginx,
    /// `fortio`'s server: the body comes back.
    Fortio,
    /// `stefanprodan/podinfo`: JSON about the pod.
    Podinfo,
}

impl Echo {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GatewayApi => "echo-basic",
            Self::Istio => "app",
            Self::Health => "health",
            Self::Whoami => "whoami",
            Self::Text => "http-echo",
            Self::HelloApp(_) => "hello-app",
            Self::Agnhost => "agnhost",
            Self::Nginx => "nginx",
            Self::Fortio => "fortio",
            Self::Podinfo => "podinfo",
        }
    }

    /// Where it listens when nothing says otherwise.
    pub const fn ports(self) -> &'static [u16] {
        match self {
            Self::GatewayApi => &[3000, 3001],
            Self::Istio | Self::HelloApp(_) | Self::Agnhost => &[8080],
            Self::Health => &[8001, 8002],
            Self::Whoami | Self::Nginx => &[80],
            Self::Text => &[5678],
            Self::Fortio => &[8080, 8079],
            Self::Podinfo => &[9898, 9797],
        }
    }

    /// The ports that its arguments name; what follows a colon in `-listen=:5678`.
    pub(super) fn named_ports(self, arguments: &[String]) -> Result<Vec<u16>, String> {
        let flags: &[&str] = match self {
            Self::Istio => &["port", "grpc"],
            Self::Whoami => &["port"],
            Self::Text => &["listen"],
            Self::Agnhost | Self::Fortio => &["http-port"],
            Self::Podinfo => &["port", "port-metrics"],
            Self::GatewayApi | Self::Health | Self::HelloApp(_) | Self::Nginx => &[],
        };
        let named = flags.iter().flat_map(|flag| flag_values(arguments, flag).map(move |value| (flag, value)));
        let mut ports = named
            .map(|(flag, value)| {
                let digits = value.rsplit(':').next().unwrap_or(value);
                digits.parse().map_err(|_| format!("-{flag} {value}: expected a port"))
            })
            .collect::<Result<Vec<u16>, _>>()?;
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }
}

pub(super) async fn handle(echo: Echo, port: u16, context: &AppContext, request: Request<Bytes>) -> Response<Body> {
    let whole = match echo {
        Echo::GatewayApi => gateway_api(port, context, &request).await,
        Echo::Istio => istio(port, context, &request),
        Echo::Health => match request.uri().path() {
            path @ ("/foo" | "/bar") => {
                reply::text(StatusCode::OK, format!("Listening on {port}: {} ", path.trim_start_matches('/')))
            }
            _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
        Echo::Whoami => whoami(context, &request),
        Echo::Text => {
            let text = flag_values(&context.environment.arguments, "text").next();
            reply::text(StatusCode::OK, format!("{}\n", text.unwrap_or_else(|| context.shown("ECHO_TEXT"))))
        }
        Echo::HelloApp(version) => {
            let host = &context.environment.pod_name;
            reply::text(StatusCode::OK, format!("Hello, world!\nVersion: {version}\nHostname: {host}\n"))
        }
        Echo::Agnhost => agnhost(context, &request),
        Echo::Nginx => nginx(&request),
        Echo::Fortio => fortio(context, &request),
        Echo::Podinfo => podinfo(context, &request).await,
    };
    whole.map(serve::full)
}

fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn host(request: &Request<Bytes>) -> String {
    let named = request.headers().get(HOST).map(text_of);
    named.or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default()
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// `path?query`.
fn target(request: &Request<Bytes>) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

/// Every field but `host`, with names as Go writes them.
fn fields(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<String>)> + '_ {
    headers
        .keys()
        .filter(|name| *name != HOST)
        .map(|name| (super::httpbin::capitalised(name.as_str()), headers.get_all(name).iter().map(text_of).collect()))
}

/// The peer's address.
fn peer(request: &Request<Bytes>) -> String {
    request.extensions().get::<Connection>().map(|connection| connection.peer.to_string()).unwrap_or_default()
}

fn query(request: &Request<Bytes>, name: &str) -> Option<String> {
    bookinfo::form::pairs(request.uri().query().unwrap_or("")).find_map(|(key, value)| (key == name).then_some(value))
}

/// JSON of what came. `/status/CODE` answers with that code, `X-Echo-Set-Header: name:value, …` adds fields to the answer.
async fn gateway_api(port: u16, context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    if path == "/health" {
        return reply::text(StatusCode::OK, "OK");
    }
    if let Some(delay) = query(request, "delay").and_then(|delay| delay.parse::<crate::resources::Duration>().ok()) {
        tokio::time::sleep(delay.get().min(super::httpbin::DELAY_LIMIT)).await;
    }
    let status = path.strip_prefix("/status/").and_then(|code| code.parse().ok()).unwrap_or(StatusCode::OK);
    let headers: Map<String, Value> = fields(request.headers()).map(|(name, values)| (name, json!(values))).collect();
    let mut response = reply::pretty(&json!({
        "path": target(request),
        "host": host(request),
        "method": request.method().as_str(),
        "proto": protocol(request.version()),
        "headers": headers,
        "httpPort": port.to_string(),
        "namespace": context.shown("NAMESPACE"),
        "ingress": context.shown("INGRESS_NAME"),
        "service": context.shown("SERVICE_NAME"),
        "pod": context.environment.pod_name,
    }));
    *response.status_mut() = status;
    for asked in request.headers().get_all("x-echo-set-header") {
        for pair in text_of(asked).split(',') {
            let Some((name, value)) = pair.split_once(':') else { continue };
            let field = (HeaderName::from_bytes(name.trim().as_bytes()), HeaderValue::from_str(value.trim()));
            if let (Ok(name), Ok(value)) = field {
                response.headers_mut().append(name, value);
            }
        }
    }
    response
}

/// JSON about the pod. `/status/CODE` answers with that code, `/delay/SECONDS` later, `/echo` with what came.
async fn podinfo(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    const VERSION: &str = "6.14.1";
    let path = request.uri().path();
    let (word, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match word {
        "healthz" | "readyz" => reply::pretty(&json!({"status": "OK"})),
        "version" => reply::pretty(&json!({"version": VERSION, "commit": "unknown"})),
        "headers" => {
            let all: Map<String, Value> =
                fields(request.headers()).map(|(name, values)| (name, json!(values))).collect();
            reply::pretty(&all.into())
        }
        "status" => {
            let code = rest.parse().unwrap_or(StatusCode::BAD_REQUEST);
            let mut response = reply::pretty(&json!({"status": code.as_u16()}));
            *response.status_mut() = code;
            response
        }
        "delay" => {
            let seconds = rest.parse::<u64>().unwrap_or(0);
            tokio::time::sleep(Duration::from_secs(seconds).min(super::httpbin::DELAY_LIMIT)).await;
            reply::pretty(&json!({"delay": seconds}))
        }
        "echo" => {
            let mut response = Response::new(request.body().clone());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        "" | "api" => reply::pretty(&json!({
            "hostname": context.environment.pod_name,
            "version": VERSION,
            "revision": "unknown",
            "color": context.shown("PODINFO_UI_COLOR"),
            "message": match context.shown("PODINFO_UI_MESSAGE") {
                "" => format!("greetings from podinfo v{VERSION}"),
                message => message.to_owned(),
            },
        })),
        _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn istio(port: u16, context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let version = flag_values(&context.environment.arguments, "version").next().unwrap_or_default();
    let mut lines = vec![
        format!("ServiceVersion={version}"),
        format!("ServicePort={port}"),
        format!("Host={}", host(request)),
        format!("URL={}", target(request)),
        format!("Method={}", request.method()),
        format!("Proto={}", protocol(request.version())),
        format!("IP={}", peer(request).rsplit_once(':').map_or("", |(ip, _)| ip)),
    ];
    for (name, values) in fields(request.headers()) {
        lines.extend(values.into_iter().map(|value| format!("RequestHeader={name}:{value}")));
    }
    lines.push(format!("Hostname={}", context.environment.pod_name));
    reply::text(StatusCode::OK, format!("{}\n", lines.join("\n")))
}

fn whoami(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let name = &context.environment.pod_name;
    if request.uri().path() == "/health" {
        return reply::text(StatusCode::OK, Bytes::new());
    }
    let mut out = format!(
        "Hostname: {name}\nIP: {}\nRemoteAddr: {}\n{} {} {}\nHost: {}\n",
        context.environment.listen_ip,
        peer(request),
        request.method(),
        target(request),
        protocol(request.version()),
        host(request)
    );
    for (name, values) in fields(request.headers()) {
        out.extend(values.into_iter().map(|value| format!("{name}: {value}\n")));
    }
    out.push('\n');
    reply::text(StatusCode::OK, out)
}

fn agnhost(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let text = match request.uri().path() {
        "/hostname" | "/hostName" => context.environment.pod_name.clone(),
        "/echo" => query(request, "msg").unwrap_or_default(),
        "/clientip" => peer(request),
        "/healthz" => String::new(),
        "/header" => {
            let name = query(request, "key").unwrap_or_default();
            request.headers().get(name).map(text_of).unwrap_or_default()
        }
        "/" => format!("NOW: {}", k8s_openapi::jiff::Timestamp::now()),
        _ => return reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    reply::text(StatusCode::OK, text)
}

const WELCOME: &str = "<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>This page comes from mesh's built-in runtime, which runs no images: it answers in nginx's place.</p>
</body>
</html>
";

fn nginx(request: &Request<Bytes>) -> Response<Bytes> {
    let mut response = match request.uri().path() {
        "/" | "/index.html" => reply::html(WELCOME.to_owned()),
        _ => {
            let page = "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<center><h1>404 Not Found</h1></center>\n\
                        <hr><center>nginx</center>\n</body>\n</html>\n";
            let mut response = reply::html(page.to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    };
    response.headers_mut().insert(SERVER, HeaderValue::from_static("nginx"));
    response
}

/// The body comes back; `status`, `header` and `size` of the query change the answer. `/debug` shows the request.
fn fortio(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    if request.uri().path().trim_end_matches('/').ends_with("/debug") {
        return whoami(context, request);
    }
    let status = query(request, "status").and_then(|code| code.parse().ok()).unwrap_or(StatusCode::OK);
    let size = query(request, "size").and_then(|size| size.parse::<usize>().ok());
    let body = match size {
        Some(size) => Bytes::from(vec![b'x'; size.min(super::client::BODY_LIMIT)]),
        None => request.body().clone(),
    };
    let mut response = reply::text(status, body);
    if let Some(content_type) = request.headers().get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    let asked = bookinfo::form::pairs(request.uri().query().unwrap_or("")).filter(|(name, _)| name == "header");
    for (_, field) in asked {
        let Some((name, value)) = field.split_once(':') else { continue };
        if let (Ok(name), Ok(value)) = (name.trim().parse::<HeaderName>(), HeaderValue::from_str(value.trim())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
