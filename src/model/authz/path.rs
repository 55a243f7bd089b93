//! The ways in which a path can be read behind the proxy.
//!
//! What the proxy sends is normalised already (RFC 3986 section 6.2.2). Servers go on from there, each in its own way: they decode
//! `%2F` and `%5C`, drop `;parameters`, merge slashes, take `/a/` for `/a` (the classes behind CVE-2021-31920 and its kind).
//! A policy must hold whichever of them runs there.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::facts::Facts;

/// The readings of one request's path.
#[derive(Debug)]
pub(super) struct Paths<'a> {
    sent: &'a [u8],
    /// Everything decoded, parameters dropped, slashes merged, dot segments resolved; `None` where that changes nothing.
    canonical: Option<Vec<u8>>,
}

impl<'a> Paths<'a> {
    /// The readings of a request's path; one, and empty, for a connection.
    pub(super) fn of(facts: &Facts<'a>) -> Self {
        let sent = facts.http.map_or(&b""[..], |http| http.path);
        let canonical = is_ambiguous(sent).then(|| canonical(sent)).filter(|canonical| canonical != sent);
        Self { sent, canonical }
    }

    /// The readings, each of which counts.
    pub(super) fn readings(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.sent).chain(self.canonical.as_deref())
    }
}

fn is_ambiguous(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"//") || path.iter().any(|byte| matches!(byte, b'%' | b';' | b'\\'))
}

fn canonical(path: &[u8]) -> Vec<u8> {
    let decoded = Cow::from(percent_decode(path));
    let mut segments: Vec<Cow<'_, [u8]>> = Vec::new();
    let mut ends_in_slash = false;
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        ends_in_slash = name.is_empty() || name == b"." || name == b"..";
        match name {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            name => segments.push(Cow::Borrowed(name)),
        }
    }
    let mut whole = Vec::with_capacity(path.len());
    for segment in &segments {
        whole.push(b'/');
        whole.extend_from_slice(segment);
    }
    if ends_in_slash || whole.is_empty() {
        whole.push(b'/');
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_take_for_one_path_is_one() {
        for (path, expected) in [
            ("/admin%2Fx", "/admin/x"),
            ("/a%5Cb", "/a/b"),
            ("/public/..%2Fadmin", "/admin"),
            ("/public/..;/admin", "/admin"),
            ("/admin;v=1/x;y", "/admin/x"),
            ("//admin", "/admin"),
            ("/a//", "/a/"),
            ("/%61dmin", "/admin"),
            ("/a%2", "/a%2"),
            ("/..%2f..", "/"),
            ("/a/%2e%2e", "/"),
        ] {
            assert_eq!(String::from_utf8_lossy(&canonical(path.as_bytes())), expected, "{path}");
        }
    }
}
