//! What is logged where a Telemetry has a condition.

use std::sync::Arc;

use super::harness::{App, any_port, inbound, settings, start};
use crate::model::{AppProtocol, MtlsMode, OutboundMode, Reporting};
use crate::proxy::Bind;
use crate::proxy::directory::FixedDirectory;
use crate::resources::expression::Expression;

#[tokio::test]
async fn only_requests_for_which_the_condition_holds_are_logged() {
    let app = App::start(|request| {
        let status = if request.contains("/broken") { "500 Internal Server Error" } else { "200 OK" };
        (format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes(), false)
    })
    .await;
    let condition = "response.code >= 400 && request.headers['x-team'] == 'red' && !connection.mtls";
    let filter = Some(Arc::new(Expression::parse(condition).unwrap()));
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
    let mut settings = settings(OutboundMode::AllowAny);
    settings.server = Reporting { filter, ..settings.server };
    let known = FixedDirectory {
        settings,
        inbound: Some(inbound("reviews", MtlsMode::Permissive, free.port(), AppProtocol::Http, None)),
        ..FixedDirectory::default()
    };
    let proxy = start(known, vec![Bind::InboundExplicit { bind: free, app: app.address }]);
    let mut peer = proxy.connect().await;
    for (path, team) in [("/fine", "red"), ("/broken-1", "blue"), ("/broken-2", "red")] {
        peer.ask(&format!("GET {path} HTTP/1.1\r\nHost: reviews\r\nX-Team: {team}\r\n\r\n")).await;
    }
    // Lines come in the order of the requests.
    assert!(proxy.log.line("GET /").await.contains("/broken-2"));
}
