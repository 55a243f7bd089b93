use proptest::prelude::*;

use super::*;

const SCOPE: &str = "00ff00ff00ff00ff";

#[test]
fn hosts_are_brought_to_the_form_in_which_they_are_asked_for() {
    for (used, asked) in [
        ("reviews", Some("reviews")),
        ("Reviews.Default:9080", Some("reviews.default")),
        ("reviews.default.svc.cluster.local.", Some("reviews.default.svc.cluster.local")),
        ("reviews.:80", Some("reviews")),
        ("10.96.3.7:80", Some("10.96.3.7")),
        ("[FD00::1]:80", Some("fd00::1")),
        ("[fd00::0001]", Some("fd00::1")),
        ("fd00::1", Some("fd00::1")),
        ("", None),
        (".", None),
        ("a..b", None),
        ("a/b", None),
        ("a b", None),
        ("web:http", None),
        ("web:99999", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[10.0.0.1]", None),
        ("*.foo.com", None),
    ] {
        assert_eq!(authority(used).as_deref(), asked, "{used}");
    }
}

#[test]
fn names_that_parse_are_displayed_as_the_same_text() {
    fn round_trip<N: FromStr<Err = InvalidName> + fmt::Display>(text: &str) {
        assert_eq!(text.parse::<N>().map(|name| name.to_string()).as_deref(), Ok(text));
    }
    round_trip::<ServiceName>(&format!("{SCOPE}/web.bank"));
    round_trip::<ServiceName>(&format!("{SCOPE}/fd00::1"));
    round_trip::<RoutesName>(&format!("{SCOPE}/web.bank.svc.cluster.local"));
    round_trip::<RoutesName>(&format!("{SCOPE}/gateway/8080/*"));
    round_trip::<RoutesName>(&format!("{SCOPE}/gateway/8080/*.example.com"));
    round_trip::<RoutesName>(&format!("{SCOPE}/gateway/8080/*-prod.example.com"));
    round_trip::<TrafficPolicyName>(&format!("{SCOPE}/web.bank.svc.cluster.local"));
    round_trip::<EndpointsName>("web.bank.svc.cluster.local/3");
    round_trip::<EndpointsName>("shop/*.example.com/0");
    round_trip::<TrafficPolicyName>(&format!("{SCOPE}/*.example.com"));
}

#[test]
fn what_has_another_form_names_nothing() {
    for text in ["", "/", "web", "0/web", &format!("{SCOPE}/"), &format!("{SCOPE}/Web"), &format!("{SCOPE}/web:80")] {
        assert!(text.parse::<ServiceName>().is_err(), "{text}");
        assert!(text.parse::<RoutesName>().is_err(), "{text}");
        assert!(text.parse::<TrafficPolicyName>().is_err(), "{text}");
    }
    for text in ["gateway/80", "gateway/0/*", "gateway/080/*", "gateway/80/a*", "gateway/80/*foo.*", "gatewai/80/*"] {
        assert!(format!("{SCOPE}/{text}").parse::<RoutesName>().is_err(), "{text}");
    }
    for text in ["web", "web/-1", "web/01", "web/+1", "/1", "a/b/c/1", "/web/1", "*/web/1", "*/1"] {
        assert!(text.parse::<EndpointsName>().is_err(), "{text}");
    }
    let long = format!("{SCOPE}/{}", "a.".repeat(300));
    assert_eq!(long.parse::<ServiceName>(), Err(InvalidName::TooLong(long.len())));
}

#[test]
fn scopes_tell_parts_from_their_concatenation() {
    assert_ne!(Scope::of(["ab", "c"]), Scope::of(["a", "bc"]));
    assert_eq!(Scope::of(["shop"]), Scope::of(["shop"]));
    let scope = Scope::of(["shop"]);
    assert_eq!(scope.as_str().parse::<Scope>(), Ok(scope));
    assert!("00FF00FF00FF00FF".parse::<Scope>().is_err());
}

proptest! {
    /// A Gateway's host that could not be named would keep its whole port from every proxy.
    #[test]
    fn every_host_that_an_object_can_name_is_a_pattern(text in "[*]?[-.*a-zA-Z0-9]{1,12}|[0-9a-fA-F:]{2,20}|[*]-?[a-z0-9.]{240,252}") {
        if let Ok(host) = text.parse::<crate::resources::values::Host>() {
            let pattern = HostPattern::parse(host.as_str()).to_string();
            let read = host_pattern(&pattern);
            prop_assert_eq!(read.map(|pattern| pattern.to_string()), Some(pattern.clone()));
            let name = format!("{SCOPE}/gateway/443/{pattern}");
            prop_assert_eq!(name.parse::<RoutesName>().map(|name| name.to_string()), Ok(name));
        }
    }

    #[test]
    fn no_text_is_read_as_two_names(text in "[0-9a-f]{16}/[a-z0-9./*:]{0,24}|.{0,40}") {
        if let Ok(name) = text.parse::<ServiceName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<RoutesName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<EndpointsName>() {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn bringing_a_host_to_form_twice_changes_nothing_more(host in ".{0,40}|[a-zA-Z0-9.:\\[\\]-]{0,40}") {
        if let Some(once) = authority(&host) {
            prop_assert_eq!(authority(&once), Some(once));
        }
    }
}
