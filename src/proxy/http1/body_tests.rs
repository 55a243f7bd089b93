use super::*;

/// Passes `bytes` through, at most `piece` at a time, and answers what is forwarded and what is left.
fn pass(mut body: Body, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize, Body), Refusal> {
    let mut forwarded = Vec::new();
    let (mut start, mut end) = (0, piece.min(bytes.len()));
    loop {
        match body.step(&bytes[start..end])? {
            Step::Forward(count) => {
                forwarded.extend_from_slice(&bytes[start..start + count]);
                start += count;
            }
            Step::Skip(count) => start += count,
            Step::Done => return Ok((forwarded, bytes.len() - start, body)),
            Step::More if end == bytes.len() => return Ok((forwarded, bytes.len() - start, body)),
            Step::More => end = (end + piece).min(bytes.len()),
        }
    }
}

#[test]
fn a_chunked_body_passes_as_it_came_however_it_is_cut() {
    let message = b"5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\nGET /next";
    let expected = b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
    for piece in 1..=message.len() {
        let (forwarded, left, body) = pass(Body::new(Framing::Chunked), message, piece).expect("well-formed");
        assert_eq!(forwarded, expected, "in pieces of {piece}");
        assert_eq!(left, b"GET /next".len());
        assert!(body.is_done());
        assert_eq!(body.data(), 15);
    }
}

#[test]
fn a_receiver_without_chunks_gets_the_data() {
    let message = b"5\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
    let (forwarded, left, _) = pass(Body::new(Framing::Chunked).unframed(), message, 7).expect("well-formed");
    assert_eq!((forwarded.as_slice(), left), (&b"hello!"[..], 0));
}

#[test]
fn malformed_chunks_are_refused() {
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(limits::MAX_CHUNK_EXTENSION + 1));
    let trailers = format!("0\r\nX: {}\r\n\r\n", "x".repeat(limits::MAX_TRAILERS));
    for message in [
        "\r\n",
        "x\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "ffffffffffffffffffff\r\nhello",
        "00000000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "0\r\nX y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: \0\r\n\r\n",
        "0\r\n\n",
        &extension,
        &trailers,
    ] {
        for piece in [1, 3, message.len()] {
            let outcome = pass(Body::new(Framing::Chunked), message.as_bytes(), piece);
            assert!(outcome.is_err(), "{} in pieces of {piece}: {outcome:?}", message.escape_debug());
        }
    }
}

#[test]
fn a_length_takes_no_byte_of_the_next_message() {
    let (forwarded, left, body) = pass(Body::new(Framing::Length(5)), b"helloGET /", 3).expect("well-formed");
    assert_eq!((forwarded.as_slice(), left, body.is_done()), (&b"hello"[..], 5, true));
}

#[test]
fn only_a_body_that_ends_with_its_connection_may_end_with_it() {
    assert!(Body::new(Framing::UntilClose).end());
    assert!(!Body::new(Framing::Length(5)).end());
    assert!(!Body::new(Framing::Chunked).end());
    assert!(Body::new(Framing::None).end());
}
