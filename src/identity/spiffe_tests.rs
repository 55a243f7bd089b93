use proptest::prelude::*;

use super::*;

fn domain() -> TrustDomain {
    TrustDomain::new("cluster.local").unwrap()
}

#[test]
fn an_id_takes_apart_into_what_it_was_made_of() {
    let id = SpiffeId::new(&domain(), "bookinfo", "bookinfo-reviews").unwrap();
    assert_eq!(id.to_string(), "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews");
    assert_eq!(id.principal(), "cluster.local/ns/bookinfo/sa/bookinfo-reviews");
    let read: SpiffeId = id.as_str().parse().unwrap();
    assert_eq!(read, id);
    assert_eq!(read.trust_domain().as_str(), "cluster.local");
    assert_eq!(read.namespace(), "bookinfo");
    assert_eq!(read.service_account(), "bookinfo-reviews");
}

#[test]
fn an_id_with_a_second_reading_is_refused() {
    let refused = [
        ("", "spiffe://"),
        ("cluster.local/ns/a/sa/b", "spiffe://"),
        ("SPIFFE://cluster.local/ns/a/sa/b", "spiffe://"),
        ("https://cluster.local/ns/a/sa/b", "spiffe://"),
        ("spiffe://", "no path"),
        ("spiffe://cluster.local", "no path"),
        ("spiffe:///ns/a/sa/b", "empty"),
        ("spiffe://Cluster.Local/ns/a/sa/b", "upper case"),
        ("spiffe://cluster.local:8443/ns/a/sa/b", "port"),
        ("spiffe://me@cluster.local/ns/a/sa/b", "a-z"),
        ("spiffe://cluster%2elocal/ns/a/sa/b", "a-z"),
        ("spiffe://cluster.local/ns/a/sa/b?x=y", "segment"),
        ("spiffe://cluster.local/ns/a/sa/b#x", "segment"),
        ("spiffe://cluster.local/ns/a%2Fsa/sa/b", "segment"),
        ("spiffe://cluster.local/ns/a/sa/b\0", "segment"),
        ("spiffe://cluster.local/ns/a\0/sa/b", "segment"),
        ("spiffe://cluster.local\0.evil/ns/a/sa/b", "a-z"),
        ("spiffe://cluster.local/ns/ä/sa/b", "segment"),
        ("spiffe://cluster.local/ns/*/sa/b", "segment"),
        ("spiffe://cluster.local/ns/a b/sa/b", "segment"),
        ("spiffe://cluster.local/ns//sa/b", "empty"),
        ("spiffe://cluster.local/ns/a/sa/", "empty"),
        ("spiffe://cluster.local/ns/../sa/b", "'..'"),
        ("spiffe://cluster.local/ns/a/sa/.", "'.'"),
        ("spiffe://cluster.local/ns/a/sa/b/", "path"),
        ("spiffe://cluster.local//ns/a/sa/b", "path"),
        ("spiffe://cluster.local/NS/a/SA/b", "path"),
        ("spiffe://cluster.local/sa/b/ns/a", "path"),
        ("spiffe://cluster.local/anything", "path"),
    ];
    for (text, why) in refused {
        let error = text.parse::<SpiffeId>().unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
        assert!(!error.contains('\0'), "{error}");
    }
}

#[test]
fn parts_cannot_smuggle_in_a_path() {
    for part in ["", ".", "..", "a/sa/b", "a/", "/a", "a\0", "a%", "ns?"] {
        assert!(SpiffeId::new(&domain(), part, "ok").is_err(), "{part:?}");
        assert!(SpiffeId::new(&domain(), "ok", part).is_err(), "{part:?}");
    }
}

#[test]
fn lengths_are_bounded() {
    assert!(TrustDomain::new(&"d".repeat(255)).is_ok());
    assert!(TrustDomain::new(&"d".repeat(256)).is_err());
    let frame = "spiffe://cluster.local/ns//sa/".len();
    let longest = "n".repeat(2048 - frame - 1);
    assert!(SpiffeId::new(&domain(), &longest, "s").is_ok());
    assert!(SpiffeId::new(&domain(), &longest, "ss").is_err());
    let error = format!("spiffe://cluster.local/ns/{}/sa/b", "n".repeat(100_000)).parse::<SpiffeId>().unwrap_err();
    assert!(error.to_string().len() < 1000);
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_canonical(text in "\\PC{0,40}|spiffe://[a-zA-Z.:%@-]{0,8}/ns/[a-zA-Z0-9./%?_-]{0,9}/sa/[a-z.%#/]{0,9}") {
        if let Ok(id) = text.parse::<SpiffeId>() {
            prop_assert_eq!(id.as_str(), text.as_str());
            let again = SpiffeId::new(id.trust_domain(), id.namespace(), id.service_account()).unwrap();
            prop_assert_eq!(again, id);
        }
    }

    #[test]
    fn every_well_formed_id_reads_back(
        domain in "[a-z0-9_-][a-z0-9._-]{0,30}",
        namespace in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}",
        account in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}",
    ) {
        let trust_domain = TrustDomain::new(&domain).unwrap();
        let id = SpiffeId::new(&trust_domain, &namespace, &account).unwrap();
        let read: SpiffeId = id.as_str().parse().unwrap();
        prop_assert_eq!(&read, &id);
        prop_assert_eq!(read.trust_domain(), &trust_domain);
        prop_assert_eq!(read.namespace(), namespace);
        prop_assert_eq!(read.service_account(), account);
    }
}
