use super::*;
use crate::identity::Authority;

fn authority(dir: &tempfile::TempDir, domain: &str) -> Authority {
    let domain = TrustDomain::new(domain).unwrap();
    Authority::load_or_create(&dir.path().join(domain.as_str()), &domain).unwrap()
}

#[test]
fn a_union_keeps_roots_apart_by_domain_and_counts_each_once() {
    let (dir, next_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (authority(&dir, "cluster.local"), authority(&next_dir, "cluster.local"));
    let other = authority(&dir, "example.org");
    let both = old.bundle().union(&new.bundle()).union(&old.bundle());
    assert_eq!(both.roots(old.trust_domain()).len(), 2);
    let all = both.union(&other.bundle());
    assert_eq!(all.roots(old.trust_domain()).len(), 2);
    assert_eq!(all.roots(other.trust_domain()).len(), 1);
    let read = TrustBundle::from_pem(old.trust_domain(), &both.to_pem()).unwrap();
    assert_eq!(read, both);
    let stranger = TrustDomain::new("stranger.example").unwrap();
    assert!(all.roots(&stranger).is_empty());
}

#[test]
fn what_is_no_authority_is_no_root() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir, "cluster.local");
    let (chain, _) = authority.sign_server(&["a.example".into()], &[], std::time::Duration::from_secs(60)).unwrap();
    let error =
        TrustBundle::from_pem(authority.trust_domain(), &pem::certificate_pem(&chain[0])).unwrap_err().to_string();
    assert!(error.contains("CA:TRUE"), "{error}");
    assert!(TrustBundle::from_pem(authority.trust_domain(), "").is_err());
}
