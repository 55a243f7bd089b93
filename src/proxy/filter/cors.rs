//! Cross-origin sharing, as a rule's policy has it (the Fetch standard's CORS protocol).
//!
//! | request | origin permitted | not permitted |
//! | --- | --- | --- |
//! | preflight (`OPTIONS` with `Access-Control-Request-Method`) | answered here, with what is permitted | passed on, or answered without permission |
//! | any other with `Origin` | passed on; the response says what is permitted | passed on as it is |
//! | without `Origin` | passed on as it is | passed on as it is |

use crate::model::{Cors, HeaderLookup};
use crate::proxy::filter::headers;
use crate::proxy::http1::Head;
use crate::proxy::http1::encode::{add_line, add_number};
use crate::proxy::http1::head::Headers;

/// What the policy says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does not concern the request.
    None,
    /// The response is to say what is permitted.
    Permitted,
    /// The request is answered here; whether with permission.
    Preflight(bool),
}

/// Looks at a request.
pub fn look(cors: &Cors, method: &[u8], request: &Headers<'_>) -> Verdict {
    let Some(origin) = request.value("origin") else { return Verdict::None };
    let permitted = cors.permits(&origin);
    let preflight = method == b"OPTIONS" && request.value("access-control-request-method").is_some();
    match (preflight, permitted) {
        (true, true) => Verdict::Preflight(true),
        (true, false) if !cors.forwards_unmatched => Verdict::Preflight(false),
        (false, true) => Verdict::Permitted,
        _ => Verdict::None,
    }
}

/// The lines that answer a permitted preflight.
pub fn preflight(cors: &Cors, request: &Headers<'_>, lines: &mut Vec<u8>) {
    for (name, value, asked) in [
        ("access-control-allow-methods", &cors.methods, "access-control-request-method"),
        ("access-control-allow-headers", &cors.headers, "access-control-request-headers"),
    ] {
        match &**value {
            "" => {}
            // To a request with credentials `*` is a name like any other: what is asked for is permitted by its name.
            "*" if cors.credentials => {
                if let Some(asked) = request.value(asked) {
                    add_line(lines, name, &asked);
                }
            }
            value => add_line(lines, name, value.as_bytes()),
        }
    }
    if let Some(age) = cors.max_age {
        add_number(lines, "access-control-max-age", age);
    }
    permission(cors, request, lines);
}

/// Puts the permission into a response, in place of any that the upstream gives.
pub fn response(cors: &Cors, request: &Headers<'_>, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    for name in ["access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers"] {
        headers::remove(name, head, bytes, added);
    }
    permission(cors, request, added);
}

fn permission(cors: &Cors, request: &Headers<'_>, lines: &mut Vec<u8>) {
    if let Some(origin) = request.value("origin") {
        add_line(lines, "access-control-allow-origin", &origin);
    }
    if cors.credentials {
        add_line(lines, "access-control-allow-credentials", b"true");
    }
    if !cors.expose.is_empty() {
        add_line(lines, "access-control-expose-headers", cors.expose.as_bytes());
    }
}
