//! What a pod's proxy tells on the pod's address: its metrics and whether it is ready, where Istio's proxies tell it.
//!
//! Nothing that changes the proxy, and nothing of its configuration, is reached here: everybody on the machine can call.

use std::net::{Ipv4Addr, SocketAddr};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::net;
use crate::proxy::admin::{self, Subject};
use crate::serve::{self, Body, Limits};

/// Istio's ports for merged metrics, for health checks and for the proxy's own metrics.
const PORTS: [u16; 3] = [15_020, 15_021, 15_090];

/// What is answered.
const PATHS: [&str; 2] = ["/stats/prometheus", "/healthz/ready"];

/// Serves a pod's ports until `token` is cancelled. A port that is taken is said and left out.
pub(super) fn start(pod: Ipv4Addr, subject: &Subject, token: &CancellationToken) {
    for port in PORTS {
        let listener = net::bind(SocketAddr::from((pod, port))).map_err(|error| error.to_string());
        let listener = listener.and_then(|listener| {
            listener
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(listener))
                .map_err(|error| error.to_string())
        });
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!("the metrics of the pod at {pod}: {error}");
                continue;
            }
        };
        let subject = subject.clone();
        let service = serve::handler(move |request: Request<Incoming>| {
            let response = answer(&request, &subject);
            async move { response }
        });
        tokio::spawn(serve::serve(listener, None, Limits::default(), service, token.clone()));
    }
}

fn answer(request: &Request<Incoming>, subject: &Subject) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    if !PATHS.contains(&path) {
        let mut response = Response::new(serve::full(format!("there are {}\n", PATHS.join(" and "))));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    admin::handle(admin::Request::of(method, path), subject).into_http()
}
