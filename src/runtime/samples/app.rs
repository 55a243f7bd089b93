//! The closed set of built-in apps, where they listen, and what runs them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use rustls::ServerConfig;

use super::context::{AppContext, Environment};
use super::echo::Echo;
use super::httpbin::Flavour;
use super::{
    bookinfo, echo, echo_basic, ext_authz, helloworld, httpbin, jaeger, jwt_server, nginx, podinfo, reply, tornado,
};
use crate::runtime::tools::Files;
use crate::serve::{self, Body};
use crate::tls::{EdgeClients, edge_server};

/// A built-in app with its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// Bookinfo's front end.
    Productpage,
    /// Bookinfo's book data.
    Details,
    /// Bookinfo's reviews; versions differ in whether and how they show ratings.
    Reviews(ReviewsVersion),
    /// Bookinfo's star ratings.
    Ratings,
    /// Echoes requests.
    Httpbin(Flavour),
    /// Says its version.
    Helloworld(&'static str),
    /// Shows the request, or itself, in the form of a well-known image.
    Echo(Echo),
    /// Answers external authorization's questions over HTTP and gRPC.
    ExtAuthz,
    /// Publishes the keys that Istio's example tokens are signed with.
    JwtServer,
    /// Collects traces and shows them.
    Jaeger,
    /// Pushes numbers over WebSockets.
    Tornado,
    /// Sends every line back behind a word.
    TcpEcho,
    /// Takes connections and answers nothing: a database, or a name server, that nobody asks anything.
    Silent(u16),
    /// Does nothing until it is stopped (`curl`, `sleep`).
    Idle,
}

/// How reviews shows ratings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewsVersion {
    /// No stars; ratings is not called.
    V1,
    /// Black stars.
    V2,
    /// Red stars.
    V3,
}

/// A port that an app listens on.
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

impl From<u16> for Port {
    fn from(number: u16) -> Self {
        Self { number, tls: None }
    }
}

impl App {
    /// The ports the app listens on when nothing says otherwise; none for an app that listens on nothing.
    pub const fn ports(self) -> &'static [u16] {
        match self {
            Self::Productpage | Self::Details | Self::Reviews(_) | Self::Ratings => &[9080],
            Self::Httpbin(_) => &[8080],
            Self::Helloworld(_) => &[5000],
            Self::Echo(echo) => echo.ports(),
            Self::ExtAuthz => &[8000, 9000],
            Self::JwtServer => &[8000],
            Self::Jaeger => jaeger::PORTS,
            Self::Tornado => &[8888],
            Self::TcpEcho => &[9000],
            Self::Silent(5353) => &[5353],
            Self::Silent(27017) => &[27017],
            Self::Silent(_) => &[3306],
            Self::Idle => &[],
        }
    }

    /// The port of an app that listens on one only, when its container declares none.
    pub const fn default_port(self) -> Option<u16> {
        match self.ports() {
            [first, ..] => Some(*first),
            [] => None,
        }
    }

    /// Where it listens: as its arguments say, else on the declared port if it has but one, else on its own.
    pub(super) fn listens(self, declared: Option<u16>, environment: &Environment) -> Result<Vec<Port>, String> {
        let arguments = environment.arguments.as_slice();
        if self == Self::Echo(Echo::GatewayApi) {
            return echo_basic::listens(environment);
        }
        let named: Vec<Port> = match self {
            Self::Echo(Echo::Nginx) => nginx::listens()?,
            Self::Echo(echo) => echo.named_ports(arguments)?.into_iter().map(Port::from).collect(),
            _ => Vec::new(),
        };
        let mut ports = match self.ports() {
            _ if !named.is_empty() => named,
            [own] => vec![Port::from(declared.unwrap_or(*own))],
            own => own.iter().copied().map(Port::from).collect(),
        };
        if self == Self::JwtServer {
            ports.extend(secure_port(arguments)?);
        }
        Ok(ports)
    }

    /// Answers one request that came to `port`. Never fails: what goes wrong becomes a response.
    pub(super) async fn handle(self, port: u16, context: &AppContext, request: Request<Bytes>) -> Response<Body> {
        let whole = match self {
            Self::Httpbin(flavour) => return httpbin::handle(flavour, context, request).await,
            Self::Echo(Echo::GatewayApi) => return echo_basic::handle(port, context, request).await,
            Self::Echo(Echo::Podinfo) => podinfo::handle(context, &request).await,
            Self::Echo(echo) => echo::handle(echo, port, context, &request),
            Self::Tornado => return tornado::handle(context, request),
            Self::Productpage => bookinfo::productpage::handle(context, request).await,
            Self::Details => bookinfo::details::handle(&request),
            Self::Reviews(version) => bookinfo::reviews::handle(version, context, &request).await,
            Self::Ratings => bookinfo::ratings::handle(context, &request),
            Self::Helloworld(version) => helloworld::handle(version, context, &request),
            Self::ExtAuthz => ext_authz::handle(&request),
            Self::JwtServer => jwt_server::handle(&request).await,
            Self::Jaeger => jaeger::handle(context, &request),
            Self::TcpEcho | Self::Silent(_) | Self::Idle => reply::not_found(),
        };
        whole.map(serve::full)
    }
}

/// The value of `-name VALUE`, `--name VALUE`, `-name=VALUE` or `--name=VALUE`, as Go's flags are written; every time it is given.
pub(super) fn flag_values<'a>(arguments: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    arguments.iter().enumerate().filter_map(move |(at, argument)| {
        let rest = argument.strip_prefix('-')?;
        match rest.strip_prefix('-').unwrap_or(rest).strip_prefix(name)? {
            "" => arguments.get(at + 1).map(String::as_str),
            with_value => with_value.strip_prefix('='),
        }
    })
}

/// `-https PORT -cert FILE -key FILE`.
fn secure_port(arguments: &[String]) -> Result<Option<Port>, String> {
    let value = |name| flag_values(arguments, name).next();
    let (Some(chain), Some(key)) = (value("cert"), value("key")) else { return Ok(None) };
    let number = value("https").unwrap_or("8443");
    let number = number.parse().map_err(|_| format!("-https {number}: expected a port"))?;
    Ok(Some(Port { number, tls: Some(tls_of_files(chain, key, None, &[b"h2", b"http/1.1"])?) }))
}

/// TLS with the container's files: chain, key, and the authorities of clients' certificates, which clients may show.
pub(super) fn tls_of_files(
    chain: &str,
    key: &str,
    authorities: Option<&str>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, String> {
    let files = Files::of_environment();
    let read = |path: &str| std::fs::read_to_string(files.outside(path)).map_err(|error| format!("{path}: {error}"));
    let authorities = authorities.map(read).transpose()?;
    let clients = authorities.as_deref().map_or(EdgeClients::Anonymous, EdgeClients::Optional);
    edge_server(&read(chain)?, &read(key)?, clients, alpn).map_err(|error| format!("{chain}: {error}"))
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Productpage => f.write_str("productpage"),
            Self::Details => f.write_str("details"),
            Self::Reviews(ReviewsVersion::V1) => f.write_str("reviews-v1"),
            Self::Reviews(ReviewsVersion::V2) => f.write_str("reviews-v2"),
            Self::Reviews(ReviewsVersion::V3) => f.write_str("reviews-v3"),
            Self::Ratings => f.write_str("ratings"),
            Self::Httpbin(_) => f.write_str("httpbin"),
            Self::Helloworld(version) => write!(f, "helloworld-{version}"),
            Self::Echo(echo) => f.write_str(echo.name()),
            Self::ExtAuthz => f.write_str("ext-authz"),
            Self::JwtServer => f.write_str("jwt-server"),
            Self::Jaeger => f.write_str("jaeger"),
            Self::Tornado => f.write_str("tornado"),
            Self::TcpEcho => f.write_str("tcp-echo"),
            Self::Silent(port) => write!(f, "silent-{port}"),
            Self::Idle => f.write_str("sleep"),
        }
    }
}
