//! WasmPlugin and TrafficExtension.

use crate::resources::extension::{EnvVar, TrafficExtension, ValueSource, Wasm, WasmPlugin};
use crate::resources::field::Cx;
use crate::resources::policy_target::one_attachment;
use crate::resources::suggest;

const SCHEMES: &[&str] = &["oci", "http", "https", "file"];

pub(in crate::resources) fn wasm_plugin(plugin: &WasmPlugin, cx: &mut Cx) {
    one_attachment(plugin.selector.as_ref(), plugin.target_ref.as_ref(), &plugin.target_refs, cx);
    url(&plugin.url, cx);
}

pub(in crate::resources) fn traffic_extension(extension: &TrafficExtension, cx: &mut Cx) {
    one_attachment(extension.selector.as_ref(), None, &extension.target_refs, cx);
    if extension.wasm.is_none() && extension.lua.is_none() {
        cx.error("has no code: set wasm or lua");
    }
}

pub(in crate::resources) fn wasm(wasm: &Wasm, cx: &mut Cx) {
    url(&wasm.url, cx);
}

/// Without a scheme, it names an image.
fn url(url: &str, cx: &mut Cx) {
    if url.is_empty() {
        return;
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("oci", url));
    let readable = !rest.is_empty()
        && rest
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'%' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`'));
    if !SCHEMES.contains(&scheme) || !readable {
        cx.error_at("url", format!("is no URL with the scheme {}: {:?}", SCHEMES.join(", "), suggest::shortened(url)));
    }
}

pub(in crate::resources) fn env_var(variable: &EnvVar, cx: &mut Cx) {
    if variable.value_from == Some(ValueSource::Host) && variable.value.is_some() {
        cx.error_at("value", "has no use with HOST, which takes the proxy's own: remove it");
    }
}
