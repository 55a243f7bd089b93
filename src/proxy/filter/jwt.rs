//! Tokens on the request path: where they are found, and what of them the workload gets.
//!
//! The workload gets the headers that a rule makes of a token from nobody but this filter: what a client sends under such a name
//! is dropped, token or not.

use crate::model::HeaderLookup;
use crate::model::token::{Authenticated, Place, TokenRule};
use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::head::{Head, Headers};

/// The tokens that a request carries at a place.
pub fn tokens(place: &Place, headers: &Headers<'_>, query: &[u8]) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    match place {
        Place::Header { name, prefix } => {
            let Some(value) = headers.value(name) else { return Vec::new() };
            // No token has a comma in it: what is behind one is another line of the header, or another token.
            let parts = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            parts.filter_map(|part| Some(text(after(part, prefix.as_bytes())?.trim_ascii()))).collect()
        }
        Place::Parameter(name) => {
            let pairs = query.split(|byte| *byte == b'&');
            pairs.filter_map(|pair| Some(text(pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?))).collect()
        }
        Place::Cookie(name) => {
            let Some(value) = headers.value("cookie") else { return Vec::new() };
            let pairs = value.split(|byte| matches!(byte, b';' | b',')).map(<[u8]>::trim_ascii);
            pairs.filter_map(|pair| Some(text(pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?))).collect()
        }
    }
}

fn after<'v>(value: &'v [u8], prefix: &[u8]) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether a request asks what another origin's page may do. It carries no token, and is not asked for one.
pub fn is_preflight(method: &[u8], headers: &Headers<'_>) -> bool {
    method == b"OPTIONS"
        && headers.value("origin").is_some()
        && headers.value("access-control-request-method").is_some_and(|method| !method.is_empty())
}

/// Drops what a client sends under the names of headers that rules make of tokens.
pub fn sanitize(rules: &[TokenRule], head: &mut Head, bytes: &[u8]) {
    for rule in rules {
        let claims = rule.claim_headers.iter().map(|output| &output.header);
        for name in rule.payload_header.iter().chain(claims) {
            drop_lookalikes(name, head, bytes);
        }
    }
}

/// Puts what the rule wants the workload to get into `added`.
pub fn hand_on(found: &Authenticated<'_>, added: &mut Vec<u8>) {
    if let Some(name) = &found.rule.payload_header {
        add_line(added, name, found.payload.as_bytes());
    }
    for output in &found.rule.claim_headers {
        let value = found.claims.texts(&output.claim).join(",");
        // A claim is a stranger's text: one that could end the line, or is none for a header, is left out.
        if !value.is_empty() && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            add_line(added, &output.header, value.as_bytes());
        }
    }
}

/// Takes the token off the request, where the workload is not to get it. A cookie stays, as with Envoy: it is the client's.
///
/// `path_and_query` loses the parameter; the path in front of the query is `path_length` bytes long.
pub fn take_off(place: &Place, head: &mut Head, bytes: &[u8], path_and_query: &mut Vec<u8>, path_length: usize) {
    match place {
        Place::Header { name, .. } => drop_header(name, head, bytes),
        Place::Parameter(name) => {
            let Some(query) = path_and_query.get(path_length..).and_then(|query| query.strip_prefix(b"?")) else {
                return;
            };
            let is_token = |pair: &&[u8]| pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
            let kept: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(|pair| !is_token(pair)).collect();
            let kept = kept.join(&b'&');
            path_and_query.truncate(path_length);
            if !kept.is_empty() {
                path_and_query.push(b'?');
                path_and_query.extend_from_slice(&kept);
            }
        }
        Place::Cookie(_) => {}
    }
}

/// Drops a header, and what servers that put headers into variables take for it: `x_sub` for `x-sub`.
fn drop_lookalikes(name: &str, head: &mut Head, bytes: &[u8]) {
    let read = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    for field in &mut head.fields {
        field.kept &= !field.name.of(bytes).iter().map(read).eq(name.as_bytes().iter().map(read));
    }
}

fn drop_header(name: &str, head: &mut Head, bytes: &[u8]) {
    for field in &mut head.fields {
        if field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()) {
            field.kept = false;
        }
    }
}
