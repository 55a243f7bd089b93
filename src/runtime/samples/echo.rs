//! Images that say what they were asked, or who they are: those that tutorials deploy to see where a request arrived.
//!
//! One table of ports and one function per form of answer. What the originals can do beyond it (uploads, load, shells) is not there.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use prost::Message;

use super::app::flag_values;
use super::context::AppContext;
use super::ext_authz::{GRPC_PREFIX, INVALID_ARGUMENT, UNIMPLEMENTED, framed, grpc, is_grpc};
use super::{bookinfo, nginx, reply};
use crate::serve::Connection;

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

/// Answers for every form but those of `echo-basic` and `podinfo`, which may wait.
pub(super) fn handle(echo: Echo, port: u16, context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    match echo {
        Echo::GatewayApi | Echo::Podinfo => reply::not_found(),
        Echo::Istio if is_grpc(request) => istio_grpc(port, context, request),
        Echo::Istio => istio(port, context, request),
        Echo::Health => match request.uri().path() {
            path @ ("/foo" | "/bar") => {
                reply::text(StatusCode::OK, format!("Listening on {port}: {} ", path.trim_start_matches('/')))
            }
            _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
        Echo::Whoami => whoami(context, request),
        Echo::Text => {
            let text = flag_values(&context.environment.arguments, "text").next();
            reply::text(StatusCode::OK, format!("{}\n", text.unwrap_or_else(|| context.shown("ECHO_TEXT"))))
        }
        Echo::HelloApp(version) => {
            let host = &context.environment.pod_name;
            reply::text(StatusCode::OK, format!("Hello, world!\nVersion: {version}\nHostname: {host}\n"))
        }
        Echo::Agnhost => agnhost(context, request),
        Echo::Nginx => nginx::handle(request),
        Echo::Fortio => fortio(context, request),
    }
}

pub(super) fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

pub(super) fn host(request: &Request<Bytes>) -> String {
    let named = request.headers().get(HOST).map(text_of);
    named.or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default()
}

pub(super) const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// `path?query`.
pub(super) fn target(request: &Request<Bytes>) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

/// Every field but `host`, with names as Go writes them.
pub(super) fn fields(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<String>)> + '_ {
    headers
        .keys()
        .filter(|name| *name != HOST)
        .map(|name| (super::httpbin::capitalised(name.as_str()), headers.get_all(name).iter().map(text_of).collect()))
}

/// The peer's address.
fn peer(request: &Request<Bytes>) -> String {
    request.extensions().get::<Connection>().map(|connection| connection.peer.to_string()).unwrap_or_default()
}

pub(super) fn query(request: &Request<Bytes>, name: &str) -> Option<String> {
    bookinfo::form::pairs(request.uri().query().unwrap_or("")).find_map(|(key, value)| (key == name).then_some(value))
}

/// The method of Istio's echo server over gRPC.
pub(in crate::runtime) const ECHO_METHOD: &str = "/proto.EchoTestService/Echo";

/// What that method is asked with, and what it answers with.
#[derive(Clone, PartialEq, Message)]
pub(in crate::runtime) struct EchoMessage {
    #[prost(string, tag = "1")]
    pub(in crate::runtime) message: String,
}

/// The same over gRPC: the message tells of the call.
fn istio_grpc(port: u16, context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    if request.uri().path() != ECHO_METHOD {
        return grpc(UNIMPLEMENTED, Bytes::new());
    }
    let asked = request.body().get(GRPC_PREFIX..).and_then(|message| EchoMessage::decode(message).ok());
    let Some(EchoMessage { message }) = asked else { return grpc(INVALID_ARGUMENT, Bytes::new()) };
    let version = flag_values(&context.environment.arguments, "version").next().unwrap_or_default();
    let mut lines = vec![format!("Host={}", host(request)), format!("RequestHeader=:authority:{}", host(request))];
    let named = request.headers().iter().filter(|(name, _)| *name != HOST);
    lines.extend(named.map(|(name, value)| format!("RequestHeader={name}:{}", text_of(value))));
    lines.extend([
        "StatusCode=200".to_owned(),
        format!("ServiceVersion={version}"),
        format!("ServicePort={port}"),
        format!("IP={}", peer(request).rsplit_once(':').map_or("", |(ip, _)| ip)),
        "Proto=GRPC".to_owned(),
        format!("Echo={message}"),
        format!("Hostname={}", context.environment.pod_name),
    ]);
    grpc("0", framed(&EchoMessage { message: format!("{}\n", lines.join("\n")) }))
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
