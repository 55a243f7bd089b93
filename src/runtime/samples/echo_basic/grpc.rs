//! The gRPC server: `GrpcEcho` with the methods `Echo` and `EchoTwo`, which say what they were asked.

use bytes::Bytes;
use http::{Request, Response};
use prost::Message;

use super::super::context::AppContext;
use super::super::echo::{host, text_of};
use super::super::ext_authz::{UNIMPLEMENTED, framed, grpc, is_grpc};
use super::super::reply;
use crate::serve::Connection;

const SERVICE: &str = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/";

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Pod {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    ingress: String,
    #[prost(string, tag = "3")]
    service_name: String,
    #[prost(string, tag = "4")]
    pod: String,
}

#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, tag = "2")]
    negotiated_protocol: String,
    #[prost(string, tag = "3")]
    server_name: String,
    #[prost(string, tag = "4")]
    cipher_suite: String,
    #[prost(string, repeated, tag = "5")]
    peer_certificates: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Assertions {
    #[prost(string, tag = "1")]
    fully_qualified_method: String,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<Header>,
    #[prost(string, tag = "3")]
    authority: String,
    #[prost(message, optional, tag = "4")]
    context: Option<Pod>,
    #[prost(message, optional, tag = "5")]
    tls: Option<Session>,
}

#[derive(Clone, PartialEq, Message)]
struct EchoResponse {
    #[prost(message, optional, tag = "1")]
    assertions: Option<Assertions>,
}

pub(super) fn handle(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    if !is_grpc(request) {
        return reply::not_found();
    }
    let path = request.uri().path();
    if !matches!(path.strip_prefix(SERVICE), Some("Echo" | "EchoTwo")) {
        return grpc(UNIMPLEMENTED, Bytes::new());
    }
    let authority = host(request);
    let named = request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text_of(value)));
    let pseudo = [(":authority".to_owned(), authority.clone())];
    let headers = pseudo.into_iter().chain(named).map(|(key, value)| Header { key, value }).collect();
    let connection = request.extensions().get::<Connection>();
    let tls = connection.and_then(|known| Some((known, known.session.as_ref()?))).map(|(known, session)| Session {
        version: session.version.to_owned(),
        negotiated_protocol: session.protocol.clone(),
        server_name: session.server_name.clone(),
        cipher_suite: session.suite.clone(),
        peer_certificates: super::certificates(known),
    });
    let assertions = Assertions {
        fully_qualified_method: path.to_owned(),
        headers,
        authority,
        context: Some(Pod {
            namespace: context.shown("NAMESPACE").to_owned(),
            ingress: context.shown("INGRESS_NAME").to_owned(),
            service_name: context.shown("SERVICE_NAME").to_owned(),
            pod: context.environment.pod_name.clone(),
        }),
        tls,
    };
    grpc("0", framed(&EchoResponse { assertions: Some(assertions) }))
}
