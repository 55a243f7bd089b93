use super::*;
use crate::model::matching::WholeMatch;

fn prefix(text: &str) -> StringMatch {
    StringMatch::Prefix(text.as_bytes().into())
}

fn rewritten(rewrite: &PathRewrite, path: &str, matched: Option<&StringMatch>) -> String {
    String::from_utf8(rewrite.apply(path.as_bytes(), matched)).unwrap()
}

#[test]
fn a_rewrite_replaces_what_was_matched() {
    let to = |text: &str| PathRewrite::Matched(text.into());
    let exact = StringMatch::Exact((*b"/api").into());
    let regex = StringMatch::Regex(WholeMatch::new("/.*").unwrap());
    for (replacement, path, matched, expected) in [
        ("/v1", "/api/x", Some(prefix("/api")), "/v1/x"),
        ("/", "/api/x", Some(prefix("/api/")), "/x"),
        // As it is written: the prefix is text, not a directory.
        ("/", "/api/x", Some(prefix("/api")), "//x"),
        ("/v1", "/apix", Some(prefix("/api")), "/v1x"),
        ("/v1", "/API/x", Some(StringMatch::PrefixIgnoringCase((*b"/api").into())), "/v1/x"),
        ("/v1", "/api", Some(exact), "/v1"),
        ("/v1", "/api/x", Some(regex), "/v1"),
        ("/v1/", "/x", None, "/v1/x"),
        ("v1", "/api/x", Some(prefix("/api")), "/v1/x"),
    ] {
        assert_eq!(rewritten(&to(replacement), path, matched.as_ref()), expected, "{replacement} {path} {matched:?}");
    }
}

#[test]
fn a_substitution_replaces_every_match_and_knows_groups() {
    for (pattern, replacement, path, expected) in [
        (r"^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/service/foo/v1/api", "/v1/api/instance/foo"),
        ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"),
        ("/(x)", r"/$1\\\1", "/x", r"/$1\x"),
        ("[0-9]+", "n", "/none", "/none"),
    ] {
        let rewrite = PathRewrite::Regex(Substitution::new(pattern, replacement).unwrap());
        assert_eq!(rewritten(&rewrite, path, None), expected);
    }
    assert!(Substitution::new("a", r"\x").is_err());
    assert!(Substitution::new("(", "b").is_err());
}

fn redirect() -> Redirect {
    Redirect { path: RedirectPath::Keep, authority: None, port: RedirectPort::Keep, scheme: None, status: 301 }
}

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    let https = |redirect: Redirect| Redirect { scheme: Some("https".into()), ..redirect };
    let to = |host: &str| Redirect { authority: Some(host.into()), ..redirect() };
    let path = |path: &str| Redirect { path: RedirectPath::Replace(path.into()), ..redirect() };
    let port = |port: RedirectPort| Redirect { port, ..redirect() };
    for (redirect, authority, expected) in [
        (redirect(), "a.com", "http://a.com/api/x?q=1"),
        (to("b.com"), "a.com:8080", "http://b.com/api/x?q=1"),
        (https(redirect()), "a.com", "https://a.com/api/x?q=1"),
        (https(redirect()), "a.com:80", "https://a.com/api/x?q=1"),
        (https(redirect()), "a.com:8080", "https://a.com:8080/api/x?q=1"),
        (https(redirect()), "[::1]:80", "https://[::1]/api/x?q=1"),
        (https(port(RedirectPort::Number(443))), "a.com", "https://a.com/api/x?q=1"),
        (https(port(RedirectPort::Number(8443))), "a.com:80", "https://a.com:8443/api/x?q=1"),
        (port(RedirectPort::ProtocolDefault), "a.com:8080", "http://a.com/api/x?q=1"),
        (port(RedirectPort::Request), "a.com", "http://a.com:9080/api/x?q=1"),
        (path("/new"), "a.com", "http://a.com/new?q=1"),
        (path("/new?own=1"), "a.com", "http://a.com/new?own=1"),
        (Redirect { path: RedirectPath::Matched("/v2".into()), ..redirect() }, "a.com", "http://a.com/v2/x?q=1"),
    ] {
        let facts = RedirectFacts {
            scheme: "http",
            authority: authority.as_bytes(),
            path: b"/api/x",
            query: b"?q=1",
            port: 9080,
        };
        let location = redirect.location(&facts, Some(&prefix("/api")));
        assert_eq!(String::from_utf8(location).unwrap(), expected, "{redirect:?} {authority}");
    }
}

#[test]
fn a_share_takes_its_part_of_the_draws() {
    let at = |share: f64| (share * u64::MAX as f64) as u64;
    let tenth = Share::of_hundred(10.0);
    assert!(tenth.takes(0) && tenth.takes(at(0.0999)) && !tenth.takes(at(0.1001)) && !tenth.takes(u64::MAX));
    assert!(Share::ALL.takes(u64::MAX) && !Share::of_hundred(0.0).takes(0));
    assert_eq!(Share::of_hundred(0.0001).millionths(), 1);
    assert_eq!(Share::of_hundred(f64::NAN).millionths(), 0);
    assert_eq!(Share::of_hundred(250.0), Share::ALL);
}

#[test]
fn istios_default_retries_what_cannot_have_been_taken() {
    let policy = RetryPolicy::default();
    for (failure, expected) in [
        (TryFailure::NotConnected, true),
        (TryFailure::Refused, true),
        (TryFailure::Reset { sent: false }, false),
        (TryFailure::Reset { sent: true }, false),
        (TryFailure::Timeout, false),
    ] {
        assert_eq!(policy.retries_failure(failure), expected, "{failure:?}");
    }
    assert!(policy.retries_answer(200, Some(14), false) && !policy.retries_answer(200, Some(13), false));
    assert!(!policy.retries_answer(503, None, false));
}

#[test]
fn every_condition_means_what_envoy_documents() {
    let failures = [
        TryFailure::NotConnected,
        TryFailure::Refused,
        TryFailure::Reset { sent: false },
        TryFailure::Reset { sent: true },
        TryFailure::Timeout,
    ];
    for (name, statuses, expected) in [
        ("5xx", &[500, 599][..], [true; 5]),
        ("gateway-error", &[502, 503, 504], [true; 5]),
        ("reset", &[], [true; 5]),
        ("reset-before-request", &[], [false, false, true, false, false]),
        ("connect-failure", &[], [true, false, false, false, false]),
        ("retriable-4xx", &[409], [false; 5]),
        ("refused-stream", &[], [false, true, false, false, false]),
    ] {
        let (_, condition) = RETRY_CONDITIONS.iter().find(|(known, _)| *known == name).unwrap();
        let policy = RetryPolicy { on: vec![*condition], ..RetryPolicy::default() };
        assert_eq!(failures.map(|failure| policy.retries_failure(failure)), expected, "{name}");
        for status in [200, 404, 409, 500, 501, 502, 503, 504, 599] {
            let expected = statuses.contains(&status) || (name == "5xx" && status >= 500);
            assert_eq!(policy.retries_answer(status, None, false), expected, "{name} {status}");
        }
    }
}

#[test]
fn the_wait_grows_to_ten_times_its_base() {
    let policy = RetryPolicy::default();
    let longest = |number| policy.wait(number, u64::MAX).as_millis();
    assert_eq!([longest(1), longest(2), longest(3), longest(9)], [24, 49, 99, 249]);
    assert_eq!(policy.wait(3, 0), Duration::ZERO);
}

#[test]
fn origins_are_matched_whole_and_a_star_is_everybody() {
    let cors = |origins: Vec<StringMatch>| Cors { origins, ..Cors::default() };
    let exact = |text: &str| StringMatch::Exact(text.as_bytes().into());
    assert!(cors(vec![exact("*")]).permits(b"https://evil.example"));
    assert!(cors(vec![exact("https://a.com")]).permits(b"https://a.com"));
    assert!(!cors(vec![exact("https://a.com")]).permits(b"https://a.com.evil.example"));
    assert!(!cors(Vec::new()).permits(b"https://a.com"));
}
