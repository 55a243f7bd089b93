use std::sync::Arc;

use super::*;
use crate::proxy::directory::FixedDirectory;

fn ask(method: Method, path: &str) -> Response {
    let (_sender, bound) = watch::channel(Vec::new());
    let directory = Directory::fixed(FixedDirectory::default());
    let since = Instant::now();
    let subject = Subject {
        directory,
        registry: Registry::default(),
        ways: Arc::from([]),
        bound,
        since,
        doors: Doors::default(),
    };
    handle(Request::of(&method, path), &subject)
}

#[test]
fn only_a_post_ends_a_proxy() {
    assert!(ask(Method::POST, "/quitquitquit").quit);
    let refused = ask(Method::GET, "/quitquitquit");
    assert!(!refused.quit && refused.status == StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(Method::GET, "/drain_listeners").status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(Method::POST, "/drain_listeners").body, "OK\n");
    assert_eq!(ask(Method::POST, "/stats").status, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn the_dump_is_json_and_the_rest_is_said() {
    let dump: Dump = serde_json::from_str(&ask(Method::GET, "/config_dump").body).expect("JSON");
    assert!(dump.ready && dump.listeners.is_empty() && dump.settings.outbound_mode == "REGISTRY_ONLY");
    let unknown = ask(Method::GET, "/x");
    assert!(unknown.status == StatusCode::NOT_FOUND && unknown.body.contains("/stats/prometheus"), "{}", unknown.body);
    assert!(ask(Method::GET, "/stats/prometheus").body.contains("istio_requests_total"));
}

#[test]
fn envoy_s_paths_answer_as_envoy_does() {
    assert_eq!(ask(Method::GET, "/ready").body, "LIVE\n");
    for (path, field) in [
        ("/server_info", "state"),
        ("/certs", "certificates"),
        ("/clusters?format=json", "cluster_statuses"),
        ("/listeners?format=json", "listener_statuses"),
        ("/stats?format=json", "stats"),
    ] {
        let answer: serde_json::Value = serde_json::from_str(&ask(Method::GET, path).body).expect("JSON");
        assert!(answer.get(field).is_some(), "{path}: {answer}");
    }
}

#[test]
fn stats_are_filtered_by_a_regular_expression() {
    let all = ask(Method::GET, "/stats").body;
    assert!(all.contains("server.live: 1\n") && all.contains("mesh_connections_accepted_total: 0\n"), "{all}");
    assert_eq!(ask(Method::GET, "/stats?usedonly&filter=%5Eserver%5C.li").body, "server.live: 1\n");
    let metrics = ask(Method::GET, "/stats?format=prometheus&filter=denied").body;
    assert!(metrics.lines().count() == 3 && metrics.starts_with("# HELP mesh_authorization_denied_total"), "{metrics}");
    for wrong in ["/stats?filter=(", "/stats?format=xml"] {
        assert_eq!(ask(Method::GET, wrong).status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
