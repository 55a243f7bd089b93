//! Whether whoever asks may do something, by the server's own word.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use crate::kube::{Connection, Error, ObjectRef};

/// Whether the server permits `verb` (`get`, `create`, `patch`, …) on an object. `None`: it does; else what is missing, in words:
/// `create deployments.apps in namespace istio-system`.
pub async fn lacks(connection: &Connection, object: &ObjectRef, verb: &str) -> Result<Option<String>, Error> {
    let location = object.locate(connection).await?;
    let (group, resource) = (location.resource.group.clone(), location.resource.plural.clone());
    let attributes = ResourceAttributes {
        group: Some(group.clone()),
        resource: Some(resource.clone()),
        namespace: location.namespace.clone(),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let question = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(connection.client.clone());
    let answer = reviews.create(&PostParams::default(), &question).await;
    let answer = answer.map_err(|error| Error::of(error, object, connection))?;
    if answer.status.is_some_and(|status| status.allowed) {
        return Ok(None);
    }
    let dot = if group.is_empty() { "" } else { "." };
    let place = location.namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    Ok(Some(format!("{verb} {resource}{dot}{group}{place}")))
}
