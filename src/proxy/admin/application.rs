//! Asking the application on behalf of a kubelet, whose own questions would come from outside of the mesh.
//!
//! The proxy asks from the address by which capture knows its connections to the application, so that they arrive there. It
//! answers with the application's own status. It asks what it was told when it started, and nothing that a caller chooses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use prost::Message;
use serde::Deserialize;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::net::{self, APPLICATION_SOURCE};

use super::Response;

/// How long an application may take where its probe does not say (Kubernetes' default).
const TIMEOUT: Duration = Duration::from_secs(1);

/// The most that is read of a health check's answer, in bytes.
const MAX_HEALTH_BYTES: usize = 1024;

/// Bytes before a message of gRPC: a flag and its length.
const FRAME_HEAD: usize = 5;

/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: i32 = 1;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthAnswer {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// What an application can be asked.
#[derive(Debug, Clone)]
pub struct Application {
    address: IpAddr,
    questions: BTreeMap<String, Question>,
    client: reqwest::Client,
    /// For gRPC, which begins with HTTP/2; `None` where nothing is asked over it.
    grpc: Option<reqwest::Client>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpPort>,
    grpc: Option<GrpcHealth>,
    timeout_seconds: Option<u64>,
}

/// A request over HTTP, as Kubernetes' `HTTPGetAction` with a numbered port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    #[serde(default)]
    path: String,
    port: u16,
    scheme: Option<String>,
    #[serde(default)]
    http_headers: Vec<Header>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// A call of `grpc.health.v1.Health/Check`, as Kubernetes' `GRPCAction`
/// (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct GrpcHealth {
    port: u16,
    service: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct TcpPort {
    port: u16,
}

/// Why an application cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// What is to be asked cannot be read.
    #[error("the application's probes cannot be read: {0}")]
    Questions(#[from] serde_json::Error),
    /// No HTTP client can be made.
    #[error("the application cannot be asked: {0}")]
    Client(#[from] reqwest::Error),
}

impl Application {
    /// The application of the pod at `address`; `questions` is what injection wrote: paths, and what to ask for each, as JSON.
    ///
    /// # Errors
    /// The questions cannot be read.
    pub fn new(address: IpAddr, questions: &str) -> Result<Self, ApplicationError> {
        let builder = || {
            let client = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                // As a kubelet does: an application's certificate is nobody's who could be verified.
                .danger_accept_invalid_certs(true);
            if address.is_ipv4() { client.local_address(IpAddr::V4(APPLICATION_SOURCE)) } else { client }
        };
        let questions: BTreeMap<String, Question> = serde_json::from_str(questions)?;
        let calls = questions.values().any(|question| question.grpc.is_some());
        let grpc = if calls { Some(builder().http2_prior_knowledge().build()?) } else { None };
        Ok(Self { address, questions, client: builder().build()?, grpc })
    }

    /// Asks what `path` stands for; `None` where it stands for nothing.
    pub async fn ask(&self, path: &str) -> Option<Response> {
        let question = self.questions.get(path)?;
        let bound = question.timeout_seconds.filter(|seconds| *seconds > 0).map_or(TIMEOUT, Duration::from_secs);
        let answer = async {
            match question {
                Question { http_get: Some(get), .. } => self.get(get).await,
                Question { grpc: Some(health), .. } => self.check(health).await.map(|()| StatusCode::OK),
                Question { tcp_socket: Some(TcpPort { port }), .. } => {
                    self.connect(*port).await.map(|()| StatusCode::OK)
                }
                _ => Err("there is nothing to ask".to_owned()),
            }
        };
        Some(match timeout(bound, answer).await {
            Ok(Ok(status)) => Response::text(status, format!("the application answered {status}\n")),
            Ok(Err(reason)) => Response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            Err(_) => {
                Response::text(StatusCode::SERVICE_UNAVAILABLE, format!("no answer within {} s\n", bound.as_secs()))
            }
        })
    }

    async fn get(&self, get: &HttpGet) -> Result<StatusCode, String> {
        let address = SocketAddr::new(self.address, get.port);
        let scheme = if get.scheme.as_deref() == Some("HTTPS") { "https" } else { "http" };
        let slash = if get.path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{address}{slash}{}", get.path);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("kube-probe/mesh"));
        for Header { name, value } in &get.http_headers {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            // A host replaces ours; others may come more than once.
            if name == HOST || name == USER_AGENT {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        let answer = self.client.get(&url).headers(headers).send().await;
        answer.map(|answer| answer.status()).map_err(|error| format!("{url}: {}", innermost(&error)))
    }

    async fn check(&self, health: &GrpcHealth) -> Result<(), String> {
        let address = SocketAddr::new(self.address, health.port);
        let client = self.grpc.as_ref().ok_or("there is no client for gRPC")?;
        let service = health.service.as_deref().unwrap_or_default();
        let request = HealthRequest { service: service.to_owned() }.encode_to_vec();
        let length = u32::try_from(request.len()).map_err(|error| error.to_string())?;
        let body = [&[0][..], &length.to_be_bytes(), &request].concat();
        let call = client
            .post(format!("http://{address}/grpc.health.v1.Health/Check"))
            .header(USER_AGENT, "kube-probe/mesh")
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(body);
        let failed = |error: &reqwest::Error| format!("{address}: {}", innermost(error));
        let mut answer = call.send().await.map_err(|error| failed(&error))?;
        let mut told = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| failed(&error))? {
            told.extend_from_slice(&part);
            if told.len() > MAX_HEALTH_BYTES {
                return Err(format!("{address} answers with more than a health check's answer"));
            }
        }
        // Without a message (the service or the method is unknown) the call failed.
        let message = told.get(FRAME_HEAD..).and_then(|message| HealthAnswer::decode(message).ok());
        match message.map(|answer| answer.status) {
            Some(SERVING) => Ok(()),
            Some(status) => Err(format!("{address}: the service {service:?} is not serving (status {status})")),
            None => Err(format!("{address} does not answer for the health of the service {service:?}")),
        }
    }

    async fn connect(&self, port: u16) -> Result<(), String> {
        let address = SocketAddr::new(self.address, port);
        let failed = |error: std::io::Error| format!("{address}: {error}");
        let socket = match address.is_ipv4() {
            true => TcpSocket::from_std_stream(net::socket_from(APPLICATION_SOURCE.into()).map_err(failed)?),
            false => TcpSocket::new_v6().map_err(failed)?,
        };
        socket.connect(address).await.map(drop).map_err(failed)
    }
}

/// The reason at the bottom, which says what happened.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_application_is_asked_from_the_proxy_s_address_and_its_status_is_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            (peer.ip(), String::from_utf8_lossy(&head[..read]).into_owned())
        });
        let questions = format!(
            r#"{{"/app-health/web/readyz": {{"httpGet": {{"path": "/ok?x=1", "port": {port},
                "httpHeaders": [{{"name": "X-Who", "value": "kubelet"}}]}}}},
              "/app-health/web/livez": {{"tcpSocket": {{"port": 1}}}}}}"#
        );
        let application = Application::new("127.0.0.1".parse().unwrap(), &questions).unwrap();
        let answer = application.ask("/app-health/web/readyz").await.unwrap();
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
        let (peer, head) = served.await.unwrap();
        assert_eq!(peer, IpAddr::V4(APPLICATION_SOURCE));
        assert!(head.starts_with("GET /ok?x=1 HTTP/1.1\r\n") && head.contains("x-who: kubelet"), "{head}");

        let health = async |answer: &'static [u8]| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let served = tokio::spawn(async move {
                let (stream, peer) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (request, mut respond) = connection.accept().await.unwrap().unwrap();
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let mut body = respond.send_response(http::Response::new(()), answer.is_empty()).unwrap();
                if !answer.is_empty() {
                    body.send_data(answer.into(), true).unwrap();
                }
                std::future::poll_fn(|cx| connection.poll_closed(cx)).await.unwrap();
                peer.ip()
            });
            let question = format!(r#"{{"/app-health/a/livez": {{"grpc": {{"port": {port}, "service": "ready"}}}}}}"#);
            let application = Application::new("127.0.0.1".parse().unwrap(), &question).unwrap();
            let answer = application.ask("/app-health/a/livez").await.unwrap();
            drop(application);
            assert_eq!(served.await.unwrap(), IpAddr::V4(APPLICATION_SOURCE));
            answer.status
        };
        assert_eq!(health(&[0, 0, 0, 0, 2, 8, 1]).await, StatusCode::OK);
        assert_eq!(health(&[0, 0, 0, 0, 2, 8, 2]).await, StatusCode::SERVICE_UNAVAILABLE, "it says NOT_SERVING");
        assert_eq!(health(&[]).await, StatusCode::SERVICE_UNAVAILABLE, "it knows no such service");

        let refused = application.ask("/app-health/web/livez").await.unwrap();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
        assert_eq!(application.ask("/app-health/other/livez").await, None);
    }
}
