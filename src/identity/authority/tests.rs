use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rcgen::{BasicConstraints, DnType};

use super::*;
use crate::identity::Svid;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn domain() -> TrustDomain {
    TrustDomain::new("cluster.local").unwrap()
}

fn reviews() -> SpiffeId {
    SpiffeId::new(&domain(), "bookinfo", "reviews").unwrap()
}

/// A directory for an authority that is not there yet.
fn vacant() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("ca");
    (root, dir)
}

fn request_with(key: &rcgen::KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    change(&mut params);
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn a_new_authority_is_private_and_is_found_again() {
    let (_root, dir) = vacant();
    let made = Authority::load_or_create(&dir, &domain()).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    for file in ["ca-key.pem", "ca-cert.pem", "root-cert.pem"] {
        let mode = fs::metadata(dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(dir.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    let found = Authority::load_or_create(&dir, &domain()).unwrap();
    assert_eq!(found.root_pem(), made.root_pem());
    let years = found.validity.not_after.duration_since(SystemTime::now()).unwrap().as_secs() / (365 * 24 * 3600);
    assert_eq!(years, 10);
}

#[test]
fn an_incomplete_set_names_the_missing_file_and_changes_nothing() {
    for missing in ["ca-key.pem", "ca-cert.pem", "root-cert.pem"] {
        let (_root, dir) = vacant();
        Authority::load_or_create(&dir, &domain()).unwrap();
        fs::remove_file(dir.join(missing)).unwrap();
        let error = Authority::load_or_create(&dir, &domain()).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
        assert!(!dir.join(missing).exists());
    }
}

#[test]
fn a_directory_of_other_things_is_not_taken() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    let error = Authority::load_or_create(root.path(), &domain()).unwrap_err().to_string();
    assert!(error.contains("empty directory"), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn wrong_files_are_named() {
    let (_root, dir) = vacant();
    Authority::load_or_create(&dir, &domain()).unwrap();
    let refusal = |domain: &TrustDomain| Authority::load_or_create(&dir, domain).unwrap_err().to_string();

    let other = TrustDomain::new("example.org").unwrap();
    let error = refusal(&other);
    assert!(error.contains("cluster.local") && error.contains("example.org"), "{error}");

    let key = fs::read(dir.join("ca-key.pem")).unwrap();
    fs::write(dir.join("ca-key.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = refusal(&domain());
    assert!(error.contains("ca-key.pem") && error.contains("matching"), "{error}");
    fs::write(dir.join("ca-key.pem"), "nonsense").unwrap();
    let error = refusal(&domain());
    assert!(error.contains("ca-key.pem"), "{error}");
    fs::write(dir.join("ca-key.pem"), key).unwrap();

    fs::write(dir.join("root-cert.pem"), "").unwrap();
    let error = refusal(&domain());
    assert!(error.contains("root-cert.pem"), "{error}");
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn write_set(dir: &Path, key: &rcgen::KeyPair, certificates: [&str; 2], above: &str) {
    let [signing, root] = certificates;
    fs::create_dir_all(dir).unwrap();
    for (name, text) in [
        ("ca-key.pem", key.serialize_pem()),
        ("ca-cert.pem", signing.to_owned()),
        ("root-cert.pem", root.to_owned()),
        ("cert-chain.pem", format!("{signing}{above}{root}")),
    ] {
        fs::write(dir.join(name), text).unwrap();
    }
}

/// A plugged-in set: a root kept elsewhere, and an intermediate that signs.
fn plug_in(dir: &Path, change: impl FnOnce(&mut CertificateParams)) -> String {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let root_params = authority_params("Company Root");
    let root = root_params.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root_params, root_key);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = authority_params("Mesh Signer");
    change(&mut params);
    let signing = params.signed_by(&key, &issuer).unwrap();
    write_set(dir, &key, [&signing.pem(), &root.pem()], "");
    root.pem()
}

/// A set with one more authority between the root and the one that signs, all of them with keys of one kind; that one in between
/// holds until `between`.
fn plug_in_long(dir: &Path, kind: &'static rcgen::SignatureAlgorithm, between: SystemTime) -> String {
    let key = || rcgen::KeyPair::generate_for(kind).unwrap();
    let (root_key, middle_key, signing_key) = (key(), key(), key());
    let root_params = authority_params("Company Root");
    let root = root_params.self_signed(&root_key).unwrap();
    let mut middle_params = authority_params("Company Region");
    middle_params.not_after = between.into();
    let middle = middle_params.signed_by(&middle_key, &Issuer::new(root_params, root_key)).unwrap();
    let signing = authority_params("Mesh Signer").signed_by(&signing_key, &Issuer::new(middle_params, middle_key));
    write_set(dir, &signing_key, [&signing.unwrap().pem(), &root.pem()], &middle.pem());
    root.pem()
}

#[test]
fn nothing_that_is_signed_outlives_a_certificate_on_its_way_to_the_root() {
    let (_root, dir) = vacant();
    plug_in_long(&dir, &rcgen::PKCS_ECDSA_P256_SHA256, SystemTime::now() + Duration::from_secs(3600));
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let key = KeyPair::generate().unwrap();
    let svid = Svid::new(&authority.sign_workload(&key.csr_pem(&reviews()).unwrap(), &reviews(), DAY).unwrap(), key);
    let left = svid.unwrap().not_after.duration_since(SystemTime::now()).unwrap();
    assert!(left <= Duration::from_secs(3600), "{left:?}");

    plug_in_long(&dir, &rcgen::PKCS_ECDSA_P256_SHA256, SystemTime::now() - Duration::from_secs(60));
    let error = Authority::load_or_create(&dir, &domain()).unwrap_err().to_string();
    assert!(error.contains("Company Region") && error.contains("expired at 20"), "{error}");
}

/// OpenSSL believes what plugged-in authorities sign, whatever their keys are, for clients and for servers.
#[test]
fn openssl_finds_the_way_from_what_is_signed_to_the_root() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl is not here");
        return;
    }
    for kind in [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let (root, dir) = vacant();
        plug_in_long(&dir, kind, SystemTime::now() + DAY);
        let authority = Authority::load_or_create(&dir, &domain()).unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = authority.sign_workload(&key.csr_pem(&reviews()).unwrap(), &reviews(), DAY / 2).unwrap();
        assert_eq!(chain.len(), 4, "leaf, two intermediates, root");
        let file = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (leaf, above) = (file("leaf.pem", &chain[0]), file("above.pem", &chain[1..3].concat()));
        let roots = file("roots.pem", &authority.root_pem());
        for purpose in ["sslserver", "sslclient"] {
            let verify = |above: &Path| {
                let mut command = std::process::Command::new("openssl");
                command.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"]).arg(&roots);
                command.arg("-untrusted").arg(above).arg(&leaf).output().unwrap()
            };
            let output = verify(&above);
            assert!(output.status.success(), "{kind:?} {purpose}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(!verify(&leaf).status.success(), "{kind:?}: without its intermediates nobody believes it");
        }
    }
}

#[test]
fn a_plugged_in_intermediate_signs_with_its_way_to_the_root() {
    let (_root, dir) = vacant();
    let root = plug_in(&dir, |_| {});
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    assert_eq!(authority.root_pem(), root);
    let key = KeyPair::generate().unwrap();
    let chain = authority.sign_workload(&key.csr_pem(&reviews()).unwrap(), &reviews(), DAY).unwrap();
    assert_eq!(chain.len(), 3, "leaf, intermediate, root");
    assert_eq!(chain[2], root);
    assert_eq!(Svid::new(&chain, key).unwrap().chain.len(), 2);
    let (server, _) = authority.sign_server(&["istiod.istio-system.svc".into()], &[], DAY).unwrap();
    assert_eq!(server.len(), 2);
}

#[test]
fn a_plugged_in_set_is_whole_or_refused() {
    let (_root, dir) = vacant();
    plug_in(&dir, |_| {});
    fs::remove_file(dir.join("cert-chain.pem")).unwrap();
    let refusal = |dir: &Path| Authority::load_or_create(dir, &domain()).unwrap_err().to_string();
    let error = refusal(&dir);
    assert!(error.contains("cert-chain.pem is missing"), "{error}");

    let (_root, stranger) = vacant();
    plug_in(&stranger, |_| {});
    plug_in(&dir, |_| {});
    fs::copy(stranger.join("root-cert.pem"), dir.join("root-cert.pem")).unwrap();
    let chain = fs::read_to_string(dir.join("ca-cert.pem")).unwrap();
    fs::write(dir.join("cert-chain.pem"), chain).unwrap();
    let error = refusal(&dir);
    assert!(error.contains("no way from ca-cert.pem to a root"), "{error}");

    plug_in(&dir, |params| params.is_ca = IsCa::ExplicitNoCa);
    let error = refusal(&dir);
    assert!(error.contains("may not sign certificates"), "{error}");

    plug_in(&dir, |params| {
        params.not_after = (SystemTime::now() - DAY).into();
    });
    let error = refusal(&dir);
    assert!(error.contains("expired at 20"), "{error}");

    plug_in(&dir, |params| {
        params.not_before = (SystemTime::now() + DAY).into();
    });
    let error = refusal(&dir);
    assert!(error.contains("clock"), "{error}");
}

#[test]
fn the_request_proves_a_key_and_asks_for_nothing() {
    let (_root, dir) = vacant();
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let greedy = request_with(&key, |params| {
        params.subject_alt_names = vec![
            SanType::URI("spiffe://cluster.local/ns/kube-system/sa/admin".try_into().unwrap()),
            SanType::DnsName("*.example.org".try_into().unwrap()),
        ];
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    });
    let chain = authority.sign_workload(&greedy, &reviews(), DAY).unwrap();
    let leaf = pem::certificates(&chain[0]).unwrap().remove(0);
    assert_eq!(certificate::spiffe_id(&leaf).unwrap(), reviews());
    let parsed = certificate::parse(&leaf).unwrap();
    assert!(!parsed.is_ca());
    assert!(parsed.subject().as_raw().len() <= 2, "no subject");
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    let uses = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(uses.server_auth && uses.client_auth && !uses.code_signing);
}

#[test]
fn rsa_requests_are_signed_and_other_keys_are_not() {
    let (_root, dir) = vacant();
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let chain = authority.sign_workload(&request_with(&rsa, |_| {}), &reviews(), DAY).unwrap();
    assert_eq!(chain.len(), 2);
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let error = authority.sign_workload(&request_with(&key, |_| {}), &reviews(), DAY).unwrap_err().to_string();
        assert!(error.contains("P-256"), "{error}");
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let (_root, dir) = vacant();
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let key = KeyPair::generate().unwrap();
    let request = CertificateSigningRequestDer::from_pem_slice(key.csr_pem(&reviews()).unwrap().as_bytes()).unwrap();
    let mut forged = request.as_ref().to_vec();
    let victim = KeyPair::generate().unwrap().public_key_info();
    let own = key.public_key_info();
    let at = forged.windows(own.len()).position(|window| window == own).unwrap();
    forged[at..at + own.len()].copy_from_slice(&victim);
    let text = pem::certificate_pem(&CertificateDer::from(forged))
        .replace("BEGIN CERTIFICATE", "BEGIN CERTIFICATE REQUEST")
        .replace("END CERTIFICATE", "END CERTIFICATE REQUEST");
    let error = authority.sign_workload(&text, &reviews(), DAY).unwrap_err().to_string();
    assert!(error.contains("not signed by the key"), "{error}");
}

#[test]
fn lifetimes_stay_within_the_authoritys_and_begin_a_little_early() {
    let (_root, dir) = vacant();
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let key = KeyPair::generate().unwrap();
    let csr = key.csr_pem(&reviews()).unwrap();
    let sign = |ttl| {
        let chain = authority.sign_workload(&csr, &reviews(), ttl)?;
        Svid::new(&chain, key.clone())
    };
    let svid = sign(DAY).unwrap();
    assert!(svid.not_before <= SystemTime::now() - Duration::from_secs(119));
    let svid = sign(DAY * 365 * 100).unwrap();
    assert_eq!(svid.not_after, authority.validity.not_after);
    let error = sign(Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("one second"), "{error}");

    let later = authority.validity.not_after + DAY;
    let error = authority.sign_workload_at(later, &csr, &reviews(), DAY).unwrap_err().to_string();
    assert!(error.contains("expired at 20"), "{error}");
}

#[test]
fn an_identity_of_another_trust_domain_is_not_signed() {
    let (_root, dir) = vacant();
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let other = TrustDomain::new("example.org").unwrap();
    let id = SpiffeId::new(&other, "bookinfo", "reviews").unwrap();
    let key = KeyPair::generate().unwrap();
    let error = authority.sign_workload(&key.csr_pem(&id).unwrap(), &id, DAY).unwrap_err().to_string();
    assert!(error.contains("another trust domain"), "{error}");
}

#[test]
fn server_names_are_checked() {
    let (_root, dir) = vacant();
    let authority = Authority::load_or_create(&dir, &domain()).unwrap();
    let sign = |dns: &[&str]| {
        let dns: Vec<String> = dns.iter().map(ToString::to_string).collect();
        authority.sign_server(&dns, &[], DAY)
    };
    assert!(sign(&["istiod.istio-system.svc", "*.example.org"]).is_ok());
    for bad in ["", "a b", "a\0b", "*", "a.*.b", "http://x"] {
        assert!(sign(&[bad]).is_err(), "{bad:?}");
    }
    assert!(sign(&[]).is_err());
    assert!(authority.sign_server(&[], &["127.0.0.1".parse().unwrap()], DAY).is_ok());
}
