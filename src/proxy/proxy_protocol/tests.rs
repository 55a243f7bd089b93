use proptest::prelude::*;

use super::*;

fn ends_of(source: &str, destination: &str) -> Option<Ends> {
    Some(Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

fn binary(command: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, kind], &length, body].concat()
}

#[test]
fn lines_of_version_1_are_read_as_the_specification_has_them() {
    for (text, expected) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", ends_of("192.0.2.1:56324", "192.0.2.2:443")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", ends_of("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 0 1\r\n", ends_of("192.0.2.1:0", "192.0.2.2:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f:f whatever this is\r\n", None),
    ] {
        let with_rest = format!("{text}GET / HTTP/1.1\r\n");
        let header = Header { length: text.len(), ends: expected };
        assert_eq!(parse(with_rest.as_bytes()), Ok(Some(header)), "{text}");
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "the first {end} bytes of {text}");
        }
    }
}

#[test]
fn what_has_two_readings_is_no_line_of_version_1() {
    for text in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +5 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 443 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 443\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 443\r\n",
        "PROXY TCP4 ::1 ::2 1 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 443\n",
        "PROXY \r\n",
        "PROXY UNKNOWN\n",
    ] {
        assert_eq!(parse(text.as_bytes()), Err(Malformed::Line), "{text:?}");
    }
    for text in ["GET / HTTP/1.1\r\n", "PROXX", "proxy TCP4", "\r\n\r\nG", "\x16\x03\x01"] {
        assert_eq!(parse(text.as_bytes()), Err(Malformed::NoHeader), "{text:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(MAX_LINE));
    assert_eq!(parse(endless.as_bytes()), Err(Malformed::Line));
}

#[test]
fn headers_of_version_2_are_read_with_whatever_follows_their_addresses() {
    let four = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb];
    let expected = ends_of("192.0.2.1:56324", "192.0.2.2:443");
    let with_tlv = [&four[..], &[0x04, 0, 3, 1, 2, 3]].concat();
    for (bytes, ends) in [
        (binary(0x21, 0x11, &four), expected),
        (binary(0x21, 0x11, &with_tlv), expected),
        (binary(0x20, 0x11, &four), None),
        (binary(0x20, 0x00, &[]), None),
        // A health check's header may be of any kind.
        (binary(0x20, 0x77, &[1, 2]), None),
        (binary(0x21, 0x00, &[1, 2, 3]), None),
        (binary(0x21, 0x31, &[0; 216]), None),
    ] {
        let with_rest = [&bytes[..], b"rest"].concat();
        assert_eq!(parse(&with_rest), Ok(Some(Header { length: bytes.len(), ends })), "{bytes:02x?}");
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "the first {end} bytes of {bytes:02x?}");
        }
    }
}

#[test]
fn headers_of_version_2_that_cannot_be_are_refused() {
    for (bytes, expected) in [
        (binary(0x11, 0x11, &[0; 12]), Malformed::Command(0x11)),
        (binary(0x22, 0x11, &[0; 12]), Malformed::Command(0x22)),
        (binary(0x21, 0x12, &[0; 12]), Malformed::Addresses(0x12, 12)),
        (binary(0x21, 0x41, &[0; 12]), Malformed::Addresses(0x41, 12)),
        (binary(0x21, 0x11, &[0; 11]), Malformed::Addresses(0x11, 11)),
        (binary(0x21, 0x21, &[0; 35]), Malformed::Addresses(0x21, 35)),
        (binary(0x21, 0x11, &[0; 60_000]), Malformed::TooLong(60_016)),
    ] {
        assert_eq!(parse(&bytes), Err(expected));
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(Ipv6Addr::from(octets))),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(source in address(), destination in address(), first in any::<bool>()) {
        let version = if first { ProxyProtocol::V1 } else { ProxyProtocol::V2 };
        let ends = Ends { source, destination };
        let mut written = Vec::new();
        write(version, Some(&ends), &mut written);
        prop_assert_eq!(parse(&written), Ok(Some(Header { length: written.len(), ends: Some(ends) })));
        written.clear();
        write(version, None, &mut written);
        prop_assert_eq!(parse(&written), Ok(Some(Header { length: written.len(), ends: None })));
    }

    #[test]
    fn more_bytes_never_change_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..3) {
        let front: &[u8] = match kind {
            0 => &[],
            1 => WORD,
            _ => &SIGNATURE,
        };
        let bytes = [front, &bytes].concat();
        let whole = parse(&bytes);
        for end in 0..bytes.len() {
            let part = parse(&bytes[..end]);
            prop_assert!(part == Ok(None) || part == whole, "{:?} then {:?}", part, whole);
        }
    }
}
