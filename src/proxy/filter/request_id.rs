//! Every request has an `x-request-id`: the client's own, or a random UUID (version 4).

use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::{Head, Name};

/// An id that was made here; empty where the client had one.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestId(Option<[u8; 36]>);

impl RequestId {
    /// The id as text.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |id| id)
    }
}

/// Adds one where there is none. `draw` gives uniformly distributed numbers.
pub fn request(head: &Head, bytes: &[u8], added: &mut Vec<u8>, mut draw: impl FnMut() -> u64) -> RequestId {
    if let Some(present) = head.get(Name::RequestId, bytes)
        && !present.is_empty()
    {
        return RequestId::default();
    }
    let mut id = [0; 36];
    let random = (u128::from(draw()) << 64) | u128::from(draw());
    // Version and variant (RFC 9562 section 5.4).
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut shift = 128;
    for (position, byte) in id.iter_mut().enumerate() {
        *byte = if matches!(position, 8 | 13 | 18 | 23) {
            b'-'
        } else {
            shift -= 4;
            let digit = ((bits >> shift) & 0xf) as u8;
            if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
        };
    }
    add_line(added, "x-request-id", &id);
    RequestId(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http1::parse_request;

    fn id_of(message: &[u8]) -> String {
        let (mut head, mut added) = (Head::default(), Vec::new());
        parse_request(message, false, &mut head).expect("well-formed");
        request(&head, message, &mut added, || u64::MAX);
        String::from_utf8(added).expect("text")
    }

    #[test]
    fn a_missing_id_is_a_version_4_uuid() {
        let added = id_of(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(added, "x-request-id: ffffffff-ffff-4fff-bfff-ffffffffffff\r\n");
    }

    #[test]
    fn a_present_id_stays() {
        assert_eq!(id_of(b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n"), "");
    }
}
