use super::*;
use crate::identity::{Authority, TrustDomain};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn authority(dir: &tempfile::TempDir) -> Authority {
    let domain = TrustDomain::new("cluster.local").unwrap();
    Authority::load_or_create(&dir.path().join("ca"), &domain).unwrap()
}

fn id(authority: &Authority, account: &str) -> SpiffeId {
    SpiffeId::new(authority.trust_domain(), "bookinfo", account).unwrap()
}

#[test]
fn a_signed_request_becomes_an_identity_without_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir);
    let key = KeyPair::generate().unwrap();
    let id = id(&authority, "reviews");
    let chain = authority.sign_workload(&key.csr_pem(&id).unwrap(), &id, DAY).unwrap();
    assert_eq!(chain.len(), 2, "leaf and root");
    assert_eq!(chain[1], authority.root_pem());

    let svid = Svid::new(&chain, key.clone()).unwrap();
    assert_eq!(svid.id, id);
    assert_eq!(svid.chain.len(), 1);
    let without_root = Svid::new(&chain[..1], key.clone()).unwrap();
    assert_eq!(without_root.chain, svid.chain);
    let in_one_text = Svid::new(&[chain.concat()], key).unwrap();
    assert_eq!(in_one_text.chain, svid.chain);
    assert!(!format!("{svid:?}").contains("PRIVATE"));
}

#[test]
fn anothers_certificate_an_authoritys_and_a_mixed_chain_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other_dir = tempfile::tempdir().unwrap();
    let (authority, other) = (authority(&dir), self::authority(&other_dir));
    let key = KeyPair::generate().unwrap();
    let id = id(&authority, "reviews");
    let chain = authority.sign_workload(&key.csr_pem(&id).unwrap(), &id, DAY).unwrap();
    let refusal = |chain: &[String], key: KeyPair| Svid::new(chain, key).unwrap_err().to_string();

    let error = refusal(&chain, KeyPair::generate().unwrap());
    assert!(error.contains("another key"), "{error}");
    let error = refusal(&[authority.root_pem()], key.clone());
    assert!(error.contains("SPIFFE id"), "{error}");
    let error = refusal(&[chain[0].clone(), other.root_pem()], key.clone());
    assert!(error.contains("not signed by the one after it"), "{error}");
    let error = refusal(&[], key.clone());
    assert!(error.contains("no certificate"), "{error}");
    let error = refusal(&["garbage".into()], key);
    assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
}

#[test]
fn renewal_is_at_half_life_and_jitter_only_brings_it_forward() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir);
    let key = KeyPair::generate().unwrap();
    let id = id(&authority, "reviews");
    for ttl in [DAY, Duration::from_secs(60)] {
        let chain = authority.sign_workload(&key.csr_pem(&id).unwrap(), &id, ttl).unwrap();
        let svid = Svid::new(&chain, key.clone()).unwrap();
        let life = svid.not_after.duration_since(svid.not_before).unwrap();
        assert_eq!(svid.renew_at(0.0), svid.not_before + life / 2);
        assert!(svid.renew_at(1.0) >= svid.not_before + life.mul_f64(0.399));
        assert!(svid.renew_at(0.5) < svid.renew_at(0.0));
        assert!(svid.renew_at(1.0) < svid.renew_at(0.5));
        assert_eq!(svid.renew_at(f64::NAN), svid.renew_at(0.0));
        assert_eq!(svid.renew_at(7.0), svid.renew_at(1.0));
        assert!(svid.renew_at(1.0) > SystemTime::now(), "a fresh one is not due, of {ttl:?}");
    }
}

#[test]
fn keys_survive_pem_and_other_algorithms_are_refused() {
    let key = KeyPair::generate().unwrap();
    let read = KeyPair::from_pem(&key.to_pem()).unwrap();
    assert_eq!(read.public_key_info(), key.public_key_info());
    assert_eq!(format!("{key:?}"), "KeyPair(secret)");

    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let error = KeyPair::from_pem(&p384.serialize_pem()).unwrap_err().to_string();
    assert!(error.contains("P-256"), "{error}");
    let error = KeyPair::from_pem("").unwrap_err().to_string();
    assert!(error.contains("private key"), "{error}");
}
