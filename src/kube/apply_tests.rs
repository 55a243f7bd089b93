use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use kube::Client;
use serde_json::json;

use super::*;

/// A server that gives these answers, in order, and remembers what it was asked.
struct Script {
    answers: Mutex<VecDeque<(u16, Option<&'static str>, Value)>>,
    asked: Mutex<Vec<String>>,
}

fn server(answers: &[(u16, Option<&'static str>, Value)]) -> (Arc<Script>, Connection) {
    let script = Arc::new(Script { answers: Mutex::new(answers.to_vec().into()), asked: Mutex::default() });
    let service = {
        let script = script.clone();
        tower::service_fn(move |request: http::Request<Body>| {
            let script = script.clone();
            async move {
                script.asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
                let (code, warning, body) = script.answers.lock().unwrap().pop_front().expect("a further answer");
                let mut response = http::Response::builder().status(code);
                if let Some(warning) = warning {
                    response = response.header("warning", warning);
                }
                Ok::<_, std::convert::Infallible>(response.body(Body::from(body.to_string().into_bytes())).unwrap())
            }
        })
    };
    (script, Connection::new(Client::new(service, "shop"), "test", "https://test"))
}

fn kinds() -> (u16, Option<&'static str>, Value) {
    let resource = json!({"name": "configmaps", "singularName": "configmap", "namespaced": true, "kind": "ConfigMap",
        "verbs": ["get", "patch", "delete"]});
    (200, None, json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource]}))
}

fn status(code: u16, message: &str) -> (u16, Option<&'static str>, Value) {
    (code, None, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}))
}

fn stored(version: &str) -> Value {
    let mut value = map();
    value["metadata"]["resourceVersion"] = version.into();
    value
}

fn map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {}})
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_named_with_what_to_do() {
    let said =
        "Internal error occurred: failed calling webhook \"rev.validation.istio.io\": failed to call webhook: refused";
    let (_, connection) = server(&[kinds(), status(404, "not found"), status(500, said)]);
    let error = apply(&connection, &map(), ApplyOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Webhook { .. }), "{error:?}");
    assert!(
        error.to_string().contains("rev.validation.istio.io") && error.to_string().contains("`mesh check`"),
        "{error}"
    );
}

#[tokio::test]
async fn applying_tells_created_configured_and_unchanged_apart() {
    for (before, after, expected) in [
        (status(404, "not found"), (201, None, stored("1")), Outcome::Created),
        ((200, None, stored("1")), (200, None, stored("2")), Outcome::Configured),
        ((200, None, stored("2")), (200, None, stored("2")), Outcome::Unchanged),
    ] {
        let (script, connection) = server(&[kinds(), before, after]);
        let applied = apply(&connection, &map(), ApplyOptions::default()).await.unwrap();
        assert_eq!(applied.outcome, expected);
        let asked = script.asked.lock().unwrap();
        let patch = asked.last().unwrap();
        assert!(patch.starts_with("PATCH /api/v1/namespaces/shop/configmaps/map?"), "{patch}");
        assert!(patch.contains("fieldManager=mesh") && !patch.contains("force=true"), "{patch}");
    }
}

#[tokio::test]
async fn the_servers_warnings_are_handed_on() {
    let warned = (200, Some(r#"299 - "spec.http[0].timeout is not \"in force\" yet""#), stored("2"));
    let (_, connection) = server(&[kinds(), (200, None, stored("1")), warned]);
    let applied = apply(&connection, &map(), ApplyOptions::default()).await.unwrap();
    assert_eq!(applied.warnings, [r#"spec.http[0].timeout is not "in force" yet"#]);
}

#[tokio::test]
async fn refusals_name_the_object_the_server_and_what_to_do() {
    for (code, expected) in [
        (401, "https://test does not accept these credentials: no; log in again, or name another context"),
        (
            403,
            "https://test does not permit this with ConfigMap map: no; ask for the permission, or use another context",
        ),
        (404, "ConfigMap map is not found on https://test: no; check its name and namespace"),
        (409, "ConfigMap map conflicts with what others wrote: no; apply with force to take the fields over"),
        (422, "https://test refuses ConfigMap map: no"),
        (500, "https://test answered for ConfigMap map with what cannot be used: 500 no"),
    ] {
        let (_, connection) = server(&[kinds(), (200, None, stored("1")), status(code, "no")]);
        let error = apply(&connection, &map(), ApplyOptions::default()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_kind_that_the_server_does_not_have_is_told_from_an_object_that_is_not_there() {
    let (_, connection) = server(&[status(404, "the server could not find the requested resource")]);
    let route = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web"}});
    let error = apply(&connection, &route, ApplyOptions::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "https://test has no kind VirtualService in networking.istio.io/v1, which VirtualService web is; \
         install its CustomResourceDefinition first"
    );
}

#[tokio::test]
async fn an_object_that_does_not_say_what_it_is_is_not_sent() {
    let (script, connection) = server(&[]);
    for (value, field) in [
        (json!({"kind": "ConfigMap", "metadata": {"name": "map"}}), "apiVersion"),
        (json!({"apiVersion": "v1", "metadata": {"name": "map"}}), "kind"),
        (json!({"apiVersion": "v1", "kind": "ConfigMap"}), "metadata.name"),
    ] {
        let error = apply(&connection, &value, ApplyOptions::default()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("an object without `{field}` cannot be applied; add the field"));
    }
    assert!(script.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn deleting_what_is_not_there_is_no_failure() {
    let object = ObjectRef::of(&map()).unwrap();
    let (_, connection) = server(&[kinds(), status(404, "not found")]);
    assert_eq!(delete(&connection, &object).await.unwrap(), Deleted::Absent);
    let (_, connection) = server(&[kinds(), (200, None, stored("1"))]);
    assert_eq!(delete(&connection, &object).await.unwrap(), Deleted::Deleted);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_what_was_waited_for() {
    let service = tower::service_fn(|request: http::Request<Body>| async move {
        if request.uri().path() == "/api/v1" {
            return Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(
                kinds().2.to_string().into_bytes(),
            )));
        }
        std::future::pending().await
    });
    let connection = Connection::new(Client::new(service, "shop"), "test", "https://test");
    let object = ObjectRef::of(&map()).unwrap();
    let waited = crate::kube::wait_for(&connection, &object, "gone", Duration::from_secs(5), |found| found.is_none());
    assert_eq!(waited.await.unwrap_err().to_string(), "ConfigMap map on https://test was not gone within 5 s");
}
