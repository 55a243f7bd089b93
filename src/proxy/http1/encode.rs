//! Heads as they are sent on: what was not changed, in runs as it came.

use super::head::Head;

/// The first line of a request that is sent on.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Path and query.
    pub path_and_query: &'a [u8],
}

/// Appends a request's head: its first line, the fields of `head` that are kept, and `added`, whole lines each.
pub fn write_request(line: RequestLine<'_>, head: &Head, bytes: &[u8], added: &[u8], written: &mut Vec<u8>) {
    written.reserve(head.length + added.len() + 16);
    written.extend_from_slice(line.method);
    written.push(b' ');
    written.extend_from_slice(line.path_and_query);
    written.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(head, bytes, written);
    written.extend_from_slice(added);
    written.extend_from_slice(b"\r\n");
}

/// Appends a response's head: its status line, the fields of `head` that are kept, and `added`, whole lines each.
pub fn write_response(head: &Head, bytes: &[u8], added: &[u8], written: &mut Vec<u8>) {
    written.reserve(head.length + added.len() + 16);
    written.extend_from_slice(b"HTTP/1.1 ");
    written.extend(status_digits(head.status));
    written.push(b' ');
    written.extend_from_slice(head.reason.of(bytes));
    written.extend_from_slice(b"\r\n");
    write_fields(head, bytes, written);
    written.extend_from_slice(added);
    written.extend_from_slice(b"\r\n");
}

/// A status code's three digits.
pub fn status_digits(status: u16) -> [u8; 3] {
    let digit = |value: u16| b'0' + (value % 10) as u8;
    [digit(status / 100), digit(status / 10), digit(status)]
}

/// Appends `name: value` and a line end.
pub fn add_line(added: &mut Vec<u8>, name: &str, value: &[u8]) {
    added.extend_from_slice(name.as_bytes());
    added.extend_from_slice(b": ");
    added.extend_from_slice(value);
    added.extend_from_slice(b"\r\n");
}

/// Appends `name: number` and a line end.
pub fn add_number(added: &mut Vec<u8>, name: &str, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut left = number;
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        start = index;
        if left == 0 {
            break;
        }
    }
    add_line(added, name, digits.get(start..).unwrap_or_default());
}

fn write_fields(head: &Head, bytes: &[u8], written: &mut Vec<u8>) {
    let mut run: Option<(u32, u32)> = None;
    let mut flush = |run: Option<(u32, u32)>| {
        if let Some((start, end)) = run {
            written.extend_from_slice(bytes.get(start as usize..end as usize).unwrap_or_default());
        }
    };
    for field in &head.fields {
        match (field.kept, run) {
            (true, Some((start, _))) => run = Some((start, field.line_end)),
            (true, None) => run = Some((field.name.start, field.line_end)),
            (false, _) => flush(run.take()),
        }
    }
    flush(run);
}
