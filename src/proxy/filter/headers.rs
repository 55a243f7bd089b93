//! Header changes that rules ask for, made to a head and the lines that are added to it.

use crate::model::HeaderChanges;
use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::{Head, Name};

/// Makes the changes. `added` holds whole lines, and gets those that are set or added.
pub fn change(changes: &HeaderChanges, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    for name in &changes.remove {
        remove(name, head, bytes, added);
    }
    for (name, value) in &changes.set {
        set(name, value.as_bytes(), head, bytes, added);
    }
    for (name, value) in &changes.add {
        add_line(added, name, value.as_bytes());
    }
}

/// Gives a header this value instead of any that it has.
pub fn set(name: &str, value: &[u8], head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    remove(name, head, bytes, added);
    add_line(added, name, value);
}

/// Takes a header away: from what came and from what was added.
pub fn remove(name: &str, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    for field in &mut head.fields {
        field.kept &= !field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes());
    }
    remove_lines(name, added);
}

/// Takes the lines with this name away from whole lines.
pub fn remove_lines(name: &str, added: &mut Vec<u8>) {
    let mut start = 0;
    while let Some(rest) = added.get(start..).filter(|rest| !rest.is_empty()) {
        let length = rest.windows(2).position(|end| end == b"\r\n").map_or(rest.len(), |end| end + 2);
        let is_named = rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
            && rest.get(name.len()) == Some(&b':');
        if is_named {
            added.drain(start..start + length);
        } else {
            start += length;
        }
    }
}

/// Replaces the authority that the upstream gets.
pub fn set_host(authority: &[u8], head: &mut Head, added: &mut Vec<u8>) {
    head.remove(Name::Host);
    remove_lines("host", added);
    add_line(added, "host", authority);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http1::{RequestLine, parse_request, write_request};

    const MESSAGE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\nx-own: 2\r\nX-Gone: 1\r\nX-Owner: o\r\n\r\n";

    fn changed(changes: &HeaderChanges, before: &[u8]) -> String {
        let (mut head, mut added, mut written) = (Head::default(), before.to_vec(), Vec::new());
        parse_request(MESSAGE, false, &mut head).expect("well-formed");
        change(changes, &mut head, MESSAGE, &mut added);
        write_request(RequestLine { method: b"GET", path_and_query: b"/" }, &head, MESSAGE, &added, &mut written);
        String::from_utf8(written).expect("text")
    }

    fn lines(lines: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
        lines.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn headers_are_removed_then_set_then_added() {
        let changes = HeaderChanges {
            remove: vec!["x-gone".into(), "x-request-id".into()],
            set: lines(&[("x-own", "3")]),
            add: lines(&[("x-own", "4"), ("x-new", "5")]),
        };
        assert_eq!(
            changed(&changes, b"x-request-id: 1\r\nx-request-id-too: 2\r\n"),
            "GET / HTTP/1.1\r\nHost: a\r\nX-Owner: o\r\nx-request-id-too: 2\r\nx-own: 3\r\nx-own: 4\r\nx-new: 5\r\n\r\n"
        );
    }

    #[test]
    fn the_authority_is_replaced_wherever_it_stands() {
        for before in [&b""[..], b"host: b\r\n"] {
            let (mut head, mut added, mut written) = (Head::default(), before.to_vec(), Vec::new());
            parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, &mut head).expect("well-formed");
            set_host(b"c:1", &mut head, &mut added);
            let line = RequestLine { method: b"GET", path_and_query: b"/" };
            write_request(line, &head, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &added, &mut written);
            assert_eq!(String::from_utf8(written).expect("text"), "GET / HTTP/1.1\r\nhost: c:1\r\n\r\n");
        }
    }
}
