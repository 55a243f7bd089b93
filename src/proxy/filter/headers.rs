//! Header changes that rules ask for, made to a head and the lines that are added to it.

use std::borrow::Cow;

use crate::model::{HeaderChanges, HeaderText};
use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::{Head, Name};
use crate::resources::header_text::Fact;

/// A message as it is about to be sent: what came, and whole lines that are added.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    /// What came, as far as it is kept.
    pub head: &'m Head,
    /// The bytes that the head is about.
    pub bytes: &'m [u8],
    /// What is added.
    pub added: &'m [u8],
}

impl<'m> Message<'m> {
    /// The value of the first header with this name, which is lower case.
    pub fn header(&self, name: &str) -> Option<&'m [u8]> {
        let came = self
            .head
            .fields
            .iter()
            .find(|field| field.kept && field.name.of(self.bytes).eq_ignore_ascii_case(name.as_bytes()));
        came.map(|field| field.value.of(self.bytes)).or_else(|| {
            let named = |line: &&[u8]| {
                line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                    && line.get(name.len()) == Some(&b':')
            };
            let line = self.added.split(|byte| *byte == b'\n').find(named)?;
            line.get(name.len() + 1..).map(<[u8]>::trim_ascii)
        })
    }
}

/// Says what a variable stands for: a message, which is the one that is changed, and where to append.
pub type Knows<'k> = &'k dyn Fn(&Fact, Message<'_>, &mut Vec<u8>);

/// Makes the changes. `added` holds whole lines, and gets those that are set or added. A value of which nothing is left once its
/// variables are replaced is not sent (Envoy). Nor is what came under a name that was to be set: whoever trusts that header would
/// be told what the client likes.
pub fn change(changes: &HeaderChanges, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>, knows: Knows<'_>) {
    for name in &changes.remove {
        remove(name, head, bytes, added);
    }
    for (name, text) in &changes.set {
        let value = rendered(text, head, bytes, added, knows);
        if value.is_empty() && !text.as_str().is_empty() {
            remove(name, head, bytes, added);
        } else {
            set(name, &value, head, bytes, added);
        }
    }
    for (name, text) in &changes.add {
        let value = rendered(text, head, bytes, added, knows);
        if !value.is_empty() || text.as_str().is_empty() {
            add_line(added, name, &value);
        }
    }
}

fn rendered<'t>(text: &'t HeaderText, head: &Head, bytes: &[u8], added: &[u8], knows: Knows<'_>) -> Cow<'t, [u8]> {
    text.render(|fact, value| knows(fact, Message { head, bytes, added }, value))
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
        change(changes, &mut head, MESSAGE, &mut added, &|fact, message, value| {
            if let Fact::Request(name, _) = fact {
                value.extend_from_slice(message.header(name).unwrap_or_default());
            }
        });
        write_request(RequestLine { method: b"GET", path_and_query: b"/" }, &head, MESSAGE, &added, &mut written);
        String::from_utf8(written).expect("text")
    }

    fn lines(lines: &[(&str, &str)]) -> Vec<(Box<str>, HeaderText)> {
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
    fn variables_are_replaced_and_a_value_of_which_nothing_is_left_is_not_sent() {
        let changes = HeaderChanges {
            set: lines(&[("x-own", "%REQ(x-gone)%-%REQ(x-request-id):2%"), ("x-gone", "%REQ(x-nothing)%")]),
            add: lines(&[("x-new", "%REQ(x-nothing)%"), ("x-per", "100%% %NOTHING%"), ("x-empty", "")]),
            ..HeaderChanges::default()
        };
        assert_eq!(
            changed(&changes, b"x-request-id: 1234\r\n"),
            "GET / HTTP/1.1\r\nHost: a\r\nX-Owner: o\r\nx-request-id: 1234\r\nx-own: 1-12\r\n\
            x-per: 100% %NOTHING%\r\nx-empty: \r\n\r\n"
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
