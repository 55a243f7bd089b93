use super::*;
use crate::proxy::http1::head::parse_request;

fn target(line_target: &str, host: &str) -> Target {
    let message = format!("GET {line_target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let (mut head, mut target) = (Head::default(), Target::default());
    parse_request(message.as_bytes(), false, &mut head).expect("well-formed");
    read_target(&head, message.as_bytes(), &mut target).expect("well-formed");
    target
}

#[test]
fn paths_are_normalised_as_istios_base_does_it() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a//b", "/a//b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a\\b", "/a/b"),
        ("/a\\..\\b", "/b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2fb"),
        ("/a%5Cb", "/a%5Cb"),
        ("/%61%7E%2D", "/a~-"),
        ("/%zz%4", "/%zz%4"),
        ("/a?b=../c", "/a?b=../c"),
        ("/a/../b?x#".trim_end_matches('#'), "/b?x"),
        ("/.well-known", "/.well-known"),
        ("/...", "/..."),
    ] {
        assert_eq!(String::from_utf8_lossy(&target(path, "a").path_and_query), expected, "{path}");
    }
    assert_eq!(target("/a/b?c", "a").path(), b"/a/b");
}

#[test]
fn normalising_twice_changes_nothing_that_matters_to_dot_segments() {
    for path in ["/a/%2e%2e/b", "/%252e%252e/b", "/a/..\\../b"] {
        let once = String::from_utf8(target(path, "a").path_and_query).expect("ASCII");
        let twice = String::from_utf8(target(&once, "a").path_and_query).expect("ASCII");
        assert!(!once.contains("/../") && !once.contains("/./"), "{path} became {once}");
        assert!(!once.contains("%2e") || once == "/%252e%252e/b", "{path} became {once}");
        assert_eq!(once.matches('/').count(), twice.matches('/').count());
    }
}

#[test]
fn escapes_that_only_decoding_would_make_are_refused() {
    for path in ["/a/%%32e%%32e/b", "/%2%65%2%65/b", "/%%%32%65", "/%4%31"] {
        let message = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (mut head, mut found) = (Head::default(), Target::default());
        parse_request(message.as_bytes(), false, &mut head).expect("well-formed");
        let read = read_target(&head, message.as_bytes(), &mut found);
        assert_eq!(read, Err(Refusal::Target), "{path}");
    }
    assert_eq!(target("/100%/%7e", "a").path(), b"/100%/~");
}

#[test]
fn hosts_are_compared_in_one_form() {
    for (host, expected, port) in [
        ("Reviews", "reviews", None),
        ("reviews:9080", "reviews", Some(9080)),
        ("reviews.default.svc.cluster.local.", "reviews.default.svc.cluster.local", None),
        ("reviews.:80", "reviews", Some(80)),
        ("under_score.a", "under_score.a", None),
        ("10.96.0.1:80", "10.96.0.1", Some(80)),
        ("[2001:DB8::1]:80", "2001:db8::1", Some(80)),
        ("[::1]", "::1", None),
    ] {
        let found = target("/", host);
        assert_eq!((found.host.as_str(), found.port), (expected, port), "{host}");
        assert_eq!(found.authority, host.as_bytes());
    }
}

#[test]
fn an_absolute_target_wins_over_host() {
    let found = target("http://Reviews:9080/reviews/0?x=1", "other");
    assert!(found.absolute);
    assert_eq!((found.host.as_str(), found.port), ("reviews", Some(9080)));
    assert_eq!(found.authority, b"Reviews:9080");
    assert_eq!(found.path_and_query, b"/reviews/0?x=1");
    assert_eq!(target("http://a?x", "a").path_and_query, b"/?x");
    assert_eq!(target("HTTP://a", "a").path_and_query, b"/");
}
