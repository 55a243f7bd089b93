//! Reading all objects of a kind.

use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Resource as _};
use serde_json::Value;

use crate::kube::{Connection, Error};

/// How many objects are asked for at a time.
const PAGE: u32 = 500;

/// A kind whose objects are read.
#[derive(Debug, Clone, Copy)]
pub struct ListedKind<'k> {
    /// API group; empty for Kubernetes' core.
    pub group: &'k str,
    /// Its versions, in the order in which they are tried.
    pub versions: &'k [&'k str],
    /// Its name.
    pub kind: &'k str,
    /// Its name in URLs.
    pub plural: &'k str,
}

/// All objects of a kind, in every namespace, without their managed fields. A kind that the server does not have has none.
///
/// # Errors
/// The server can't be reached, or refuses.
pub async fn list(connection: &Connection, kind: ListedKind<'_>) -> Result<Vec<Value>, Error> {
    for version in kind.versions {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(kind.group, version, kind.kind), kind.plural);
        let api: Api<DynamicObject> = Api::all_with(connection.client.clone(), &resource);
        match pages(&api, &resource).await {
            Ok(objects) => return Ok(objects),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(Error::of(error, &kind.plural, connection)),
        }
    }
    Ok(Vec::new())
}

async fn pages(api: &Api<DynamicObject>, resource: &ApiResource) -> Result<Vec<Value>, kube::Error> {
    let mut objects = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&parameters).await?;
        for mut object in page.items {
            object.meta_mut().managed_fields = None;
            // Items of a list do not say what they are.
            object.types.get_or_insert_with(|| kube::core::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            objects.extend(serde_json::to_value(object).ok());
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
