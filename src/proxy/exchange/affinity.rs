//! The key by which requests of one client go to the same endpoint.

use std::borrow::Cow;

use crate::model::route::parameter;
use crate::model::{CookieKey, HashKey, HeaderLookup};
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::plan::{Goal, Plan};
use crate::proxy::http1::head::Headers;
use crate::proxy::upstream;

impl Exchange<'_> {
    /// The hash of the request's key; `None` where the cluster asks for none, or the request has none. Where the key is a cookie
    /// that the proxy makes, a client without it gets one.
    pub(super) fn key(&mut self, plan: &Plan) -> Option<u64> {
        let Goal::Cluster(cluster) = &plan.goal else { return None };
        let request = Headers { head: &self.scratch.request, bytes: self.conn.head() };
        match &cluster.policy.hash.as_ref()?.key {
            HashKey::Header(name) => request.value(name).map(|value| upstream::hash(&value)),
            HashKey::Query(name) => parameter(self.scratch.target.query(), name.as_bytes()).map(upstream::hash),
            HashKey::Source => self.facts.remote.map(|remote| upstream::hash(remote.ip().to_string().as_bytes())),
            HashKey::Cookie(cookie) => match cookie_value(&request, cookie.name.as_bytes()) {
                Some(value) => Some(upstream::hash(&value)),
                None => self.new_cookie(cookie),
            },
        }
    }

    fn new_cookie(&mut self, cookie: &CookieKey) -> Option<u64> {
        let ttl = cookie.ttl?;
        let value = format!("{:016x}", self.local.worker.draw());
        let age = if ttl.is_zero() { String::new() } else { format!("; Max-Age={}", ttl.as_secs().max(1)) };
        self.cookie = Some(format!("{}={value}{age}{}; HttpOnly", cookie.name, cookie.attributes));
        Some(upstream::hash(value.as_bytes()))
    }
}

/// The value of the first cookie with this name.
fn cookie_value<'a>(request: &'a Headers<'_>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let cookies = request.value("cookie")?;
    let find = |cookies: &[u8]| -> Option<(usize, usize)> {
        let mut start = 0;
        // Several lines of cookies are joined by commas.
        for pair in cookies.split(|byte| matches!(byte, b';' | b',')) {
            let inner = start + pair.len() - pair.trim_ascii_start().len();
            let trimmed = pair.trim_ascii();
            if let Some(value) = trimmed.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
                let begin = inner + name.len() + 1;
                return Some((begin, begin + value.len()));
            }
            start += pair.len() + 1;
        }
        None
    };
    let (begin, end) = find(&cookies)?;
    Some(match cookies {
        Cow::Borrowed(cookies) => Cow::Borrowed(cookies.get(begin..end)?),
        Cow::Owned(cookies) => Cow::Owned(cookies.get(begin..end)?.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http1::{Head, parse_request};

    #[test]
    fn a_cookie_is_found_among_others() {
        for (lines, expected) in [
            ("Cookie: a=1; user=jason; b=2\r\n", Some("jason")),
            ("Cookie: a=1\r\nCookie: user=jason\r\n", Some("jason")),
            ("Cookie: xuser=eve; user=jason\r\n", Some("jason")),
            ("Cookie:  user=\r\n", Some("")),
            ("Cookie: username=jason\r\n", None),
            ("", None),
        ] {
            let message = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let mut head = Head::default();
            parse_request(message.as_bytes(), false, &mut head).expect("well-formed");
            let request = Headers { head: &head, bytes: message.as_bytes() };
            let found = cookie_value(&request, b"user");
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{lines}");
        }
    }
}
