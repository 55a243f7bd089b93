//! get and list.

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Call;
use crate::runtime::apiserver::failure::Failure;
use crate::runtime::apiserver::selector::Selector;
use crate::runtime::apiserver::store::{Key, Page};
use crate::runtime::apiserver::view::{self, Include, View};
use crate::runtime::apiserver::{response, table};
use crate::serve::Body;

/// One object.
pub(crate) fn get(call: &Call) -> Result<Response<Body>, Failure> {
    let object = call.server.store.get(&call.key()).ok_or_else(|| Failure::not_found(call.about()))?;
    Ok(call.show(StatusCode::OK, &object))
}

/// A collection, maybe in pages.
pub(crate) fn list(call: &Call) -> Result<Response<Body>, Failure> {
    let page = page(call)?;
    let version = page.version.to_string();
    let mut metadata = json!({"resourceVersion": version});
    if let Some(next) = &page.next {
        metadata["continue"] = continue_token(page.version, next).into();
        metadata["remainingItemCount"] = page.remaining.into();
    }
    let body = match call.view {
        View::Full => full(call, &page, &metadata),
        View::Metadata => {
            let items: Vec<Value> = page.objects.iter().map(|(_, object)| view::metadata(object)).collect();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata, "items": items,
            })
            .to_string()
            .into_bytes()
        }
        View::Table(include) => {
            let mut table = table_of(call, &page, include, &version);
            table["metadata"] = metadata;
            table.to_string().into_bytes()
        }
    };
    Ok(response::bytes(StatusCode::OK, "application/json", body))
}

fn full(call: &Call, page: &Page, metadata: &Value) -> Vec<u8> {
    let (api_version, kind) = (call.api_version(), &call.resource.kind);
    let bytes: usize = page.objects.iter().map(|(_, object)| object.json.len() + 64).sum();
    let mut out = Vec::with_capacity(bytes + 128);
    let list_kind = &call.resource.list_kind;
    let head =
        format!("{{\"apiVersion\":\"{api_version}\",\"kind\":\"{list_kind}\",\"metadata\":{metadata},\"items\":[");
    out.extend_from_slice(head.as_bytes());
    for (index, (_, object)) in page.objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        // Items of Kubernetes' own kinds do not say what they are; those of custom kinds do.
        match call.resource.builtin {
            Some(_) => object.write_item(&mut out),
            None => object.write_as(&api_version, kind, &mut out),
        }
    }
    out.extend_from_slice(b"]}");
    out
}

fn table_of(call: &Call, page: &Page, include: Include, version: &str) -> Value {
    let now = Timestamp::now();
    let rows = page
        .objects
        .iter()
        .map(|(_, object)| view::row(&call.resource, &call.place.version, object, include, now))
        .collect();
    table::table(&call.resource, &call.place.version, rows, true, version)
}

/// The objects a list request asks for.
pub(super) fn page(call: &Call) -> Result<Page, Failure> {
    let query = &call.query;
    let selector = Selector::parse(query.get("labelSelector"), query.get("fieldSelector"), &call.resource)?;
    let namespace = (!call.place.namespace.is_empty()).then_some(call.place.namespace.as_str());
    let wanted = query.number("resourceVersion")?.unwrap_or_default();
    let current = call.server.store.version();
    if wanted > current {
        return Err(Failure::timeout(format!("Too large resource version: {wanted}, current: {current}")));
    }
    let limit =
        query.number("limit")?.filter(|limit| *limit > 0).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let continued = query.get("continue").map(|token| parse_continue(token, call)).transpose()?;
    let (first, from) = continued.unzip();
    let mut page = call.server.store.list(&call.resource.key, namespace, from.as_ref(), limit, |key, object| {
        selector.is_empty() || selector.matches(key, object)
    });
    // Who watches from there on sees once more what later pages show already, and misses nothing that earlier ones could not.
    page.version = first.unwrap_or(page.version);
    Ok(page)
}

/// Pages continue by key, on the objects as they are then: a page never shows an object twice, and never skips one that stayed.
/// The version of them all is the first page's, which the token carries.
fn continue_token(version: u64, next: &Key) -> String {
    format!("{version}/{}/{}", next.namespace, next.name)
}

fn parse_continue(token: &str, call: &Call) -> Result<(u64, Key), Failure> {
    let mut parts = token.splitn(3, '/');
    match (parts.next().map(str::parse::<u64>), parts.next(), parts.next()) {
        (Some(Ok(version)), Some(namespace), Some(name)) => {
            Ok((version, Key::new(&call.resource.key, namespace, name)))
        }
        _ => Err(Failure::bad_request("continue key is not valid")),
    }
}
