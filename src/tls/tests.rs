use std::{
    io,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, ServerConnection, pki_types::ServerName};

use super::*;
use crate::identity::{Authority, KeyPair, TrustDomain};

const HOUR: Duration = Duration::from_secs(3600);

/// A trust domain with its authority, in a directory of its own.
struct Realm {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Realm {
    fn new(domain: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let domain = TrustDomain::new(domain).unwrap();
        let authority = Authority::load_or_create(&dir.path().join("ca"), &domain).unwrap();
        Self { dir, authority }
    }

    fn id(&self, account: &str) -> SpiffeId {
        SpiffeId::new(self.authority.trust_domain(), "bookinfo", account).unwrap()
    }

    fn svid(&self, account: &str) -> Svid {
        self.svid_at(SystemTime::now(), account)
    }

    fn svid_at(&self, now: SystemTime, account: &str) -> Svid {
        let (id, key) = (self.id(account), KeyPair::generate().unwrap());
        let csr = key.csr_pem(&id).unwrap();
        let chain = self.authority.sign_workload_at(now, &csr, &id, HOUR).unwrap();
        Svid::new(&chain, key).unwrap()
    }

    fn roots(&self) -> TrustBundle {
        self.authority.bundle()
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A certificate that the authority itself would never sign, with the names and uses that a test wants.
    fn forge(
        &self,
        names: Vec<SanType>,
        uses: Vec<ExtendedKeyUsagePurpose>,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let read = |file: &str| std::fs::read_to_string(self.dir().join("ca").join(file)).unwrap();
        let issuer =
            Issuer::from_ca_cert_pem(&read("ca-cert.pem"), rcgen::KeyPair::from_pem(&read("ca-key.pem")).unwrap())
                .unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        params.extended_key_usages = uses;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        let leaf = params.signed_by(&key, &issuer).unwrap();
        (vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// A server that presents what [`Realm::forge`] made.
    fn forged_server(&self, names: Vec<SanType>, uses: Vec<ExtendedKeyUsagePurpose>) -> Arc<ServerConfig> {
        let (chain, key) = self.forge(names, uses);
        server(chain, key, &[]).unwrap()
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn both_uses() -> Vec<ExtendedKeyUsagePurpose> {
    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
}

/// Both ends of a finished handshake.
#[derive(Debug)]
struct Connected {
    client: ClientConnection,
    server: ServerConnection,
}

/// Which end gave up, and its error.
#[derive(Debug)]
enum Refused {
    ByClient(rustls::Error),
    ByServer(rustls::Error),
}

impl Refused {
    fn by_client(self) -> String {
        match self {
            Self::ByClient(error) => reason(&error),
            other => panic!("{other:?}"),
        }
    }

    fn by_server(self) -> String {
        match self {
            Self::ByServer(error) => reason(&error),
            other => panic!("{other:?}"),
        }
    }
}

fn reason(error: &rustls::Error) -> String {
    PeerError::of_tls(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Lets the two ends talk until both have finished and nothing is under way, session tickets included.
fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<Connected, Refused> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    loop {
        let mut moved = false;
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        let mut rest: &[u8] = &flight;
        while !rest.is_empty() {
            moved = true;
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().map_err(Refused::ByServer)?;
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        let mut rest: &[u8] = &flight;
        while !rest.is_empty() {
            moved = true;
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().map_err(Refused::ByClient)?;
        }
        if !moved {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok(Connected { client, server });
        }
    }
}

fn expect(ids: &[SpiffeId]) -> Arc<[SpiffeId]> {
    ids.into()
}

fn mesh_client_of(realm: &Realm, account: &str, expected: &[SpiffeId]) -> Arc<ClientConfig> {
    mesh_client(&realm.svid(account), &realm.roots(), expect(expected), &[b"istio"]).unwrap()
}

fn mesh_server_of(realm: &Realm, account: &str) -> Arc<ServerConfig> {
    mesh_server(&realm.svid(account), &realm.roots(), ClientAuth::Required, &[b"istio"]).unwrap()
}

#[test]
fn two_workloads_know_each_other_over_tls_1_3() {
    let realm = Realm::new("cluster.local");
    let client = mesh_client_of(&realm, "productpage", &[realm.id("details"), realm.id("reviews")]);
    let server = mesh_server_of(&realm, "reviews");
    let ends = handshake(&client, &server, "outbound_.9080_.v1_.reviews").unwrap();
    assert_eq!(peer_id(ends.client.peer_certificates()), Some(realm.id("reviews")));
    assert_eq!(peer_id(ends.server.peer_certificates()), Some(realm.id("productpage")));
    assert_eq!(ends.client.alpn_protocol(), Some(&b"istio"[..]));
    assert_eq!(ends.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(peer_id(None), None);
}

#[test]
fn the_wrong_server_is_named_with_those_expected() {
    let realm = Realm::new("cluster.local");
    let client = mesh_client_of(&realm, "productpage", &[realm.id("details")]);
    let error = handshake(&client, &mesh_server_of(&realm, "reviews"), "details").unwrap_err().by_client();
    assert_eq!(
        error,
        "wrong SPIFFE id: got spiffe://cluster.local/ns/bookinfo/sa/reviews, expected one of spiffe://cluster.local/ns/bookinfo/sa/details"
    );
}

#[test]
fn expecting_nobody_is_refused() {
    let realm = Realm::new("cluster.local");
    let error = mesh_client(&realm.svid("productpage"), &realm.roots(), expect(&[]), &[]);
    assert!(matches!(error, Err(TlsError::NobodyExpected)));
}

#[test]
fn an_unknown_authority_is_refused_on_either_side_even_under_our_name() {
    let (ours, theirs) = (Realm::new("cluster.local"), Realm::new("cluster.local"));
    let client = mesh_client_of(&ours, "productpage", &[ours.id("reviews")]);
    let error = handshake(&client, &mesh_server_of(&theirs, "reviews"), "reviews").unwrap_err().by_client();
    assert!(error.contains("unknown authority") && error.contains("sa/reviews"), "{error}");

    let intruder =
        mesh_client(&theirs.svid("productpage"), &ours.roots(), expect(&[ours.id("reviews")]), &[b"istio"]).unwrap();
    let error = handshake(&intruder, &mesh_server_of(&ours, "reviews"), "reviews").unwrap_err().by_server();
    assert!(error.contains("unknown authority") && error.contains("sa/productpage"), "{error}");
}

#[test]
fn a_root_vouches_only_for_its_own_trust_domain() {
    let (ours, partner) = (Realm::new("cluster.local"), Realm::new("partner.example"));
    let error = handshake(
        &mesh_client(&partner.svid("shop"), &ours.roots(), expect(&[ours.id("reviews")]), &[b"istio"]).unwrap(),
        &mesh_server_of(&ours, "reviews"),
        "reviews",
    )
    .unwrap_err()
    .by_server();
    assert!(error.contains("no roots are known for trust domain partner.example"), "{error}");

    let federated = ours.roots().union(&partner.roots());
    let server = mesh_server(&ours.svid("reviews"), &federated, ClientAuth::Required, &[]).unwrap();
    let client = mesh_client(&partner.svid("shop"), &ours.roots(), expect(&[ours.id("reviews")]), &[]).unwrap();
    let ends = handshake(&client, &server, "reviews").unwrap();
    assert_eq!(peer_id(ends.server.peer_certificates()), Some(partner.id("shop")));

    let posing = partner.forged_server(vec![uri(ours.id("reviews").as_str())], both_uses());
    let client = mesh_client(&ours.svid("productpage"), &federated, expect(&[ours.id("reviews")]), &[]).unwrap();
    let error = handshake(&client, &posing, "reviews").unwrap_err().by_client();
    assert!(error.contains("not by a root of trust domain cluster.local"), "{error}");
}

#[test]
fn certificates_out_of_their_time_are_refused_with_the_time() {
    let realm = Realm::new("cluster.local");
    let now = SystemTime::now();
    for (issued, said) in [(now - 2 * HOUR, "expired, valid until 20"), (now + HOUR, "not valid before 20")] {
        let svid = realm.svid_at(issued, "reviews");
        let server = mesh_server(&svid, &realm.roots(), ClientAuth::Required, &[b"istio"]).unwrap();
        let client = mesh_client_of(&realm, "productpage", &[realm.id("reviews")]);
        let error = handshake(&client, &server, "reviews").unwrap_err().by_client();
        assert!(error.contains(said), "{error}");

        let client = mesh_client(&svid, &realm.roots(), expect(&[realm.id("details")]), &[]).unwrap();
        let error = handshake(&client, &mesh_server_of(&realm, "details"), "details").unwrap_err().by_server();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn only_one_well_formed_uri_makes_a_workload() {
    let realm = Realm::new("cluster.local");
    let reviews = realm.id("reviews");
    let client = mesh_client_of(&realm, "productpage", std::slice::from_ref(&reviews));
    let anything = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let refused: [(&str, Vec<SanType>); 6] = [
        ("more than one URI", vec![uri(reviews.as_str()), uri(realm.id("details").as_str())]),
        ("more than one URI", vec![uri(reviews.as_str()), uri("https://example.org/")]),
        ("no URI", vec![anything("*"), anything("reviews"), anything("*.cluster.local")]),
        ("segment", vec![uri("spiffe://cluster.local/ns/bookinfo/sa/reviews\0.evil")]),
        ("segment", vec![uri("spiffe://cluster.local/ns/*/sa/*")]),
        ("path", vec![uri("spiffe://cluster.local")]),
    ];
    for (why, names) in refused {
        let server = realm.forged_server(names.clone(), both_uses());
        let error = handshake(&client, &server, "reviews").unwrap_err().by_client();
        assert!(error.contains(why), "{names:?}: {error}");
    }

    let beside_a_wildcard = vec![anything("*.example.org"), uri(reviews.as_str())];
    let server = realm.forged_server(beside_a_wildcard, both_uses());
    let ends = handshake(&client, &server, "elsewhere.example").unwrap();
    assert_eq!(peer_id(ends.client.peer_certificates()), Some(reviews));
}

#[test]
fn a_certificate_is_used_only_for_what_it_was_issued() {
    let realm = Realm::new("cluster.local");
    let reviews = realm.id("reviews");
    let client = mesh_client_of(&realm, "productpage", std::slice::from_ref(&reviews));
    let server = realm.forged_server(vec![uri(reviews.as_str())], vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let error = handshake(&client, &server, "reviews").unwrap_err().by_client();
    assert!(error.contains("not for TLS server authentication"), "{error}");
}

#[test]
fn a_client_without_a_certificate_gets_in_only_where_that_is_allowed() {
    let realm = Realm::new("cluster.local");
    let (chain, key) = realm.authority.sign_server(&["istiod.example".into()], &[], HOUR).unwrap();
    let anonymous = client(&realm.roots(), &[]).unwrap();
    let with = |auth| server_for_workloads(chain.clone(), key.private_key(), &realm.roots(), auth, &[]).unwrap();
    for auth in [ClientAuth::Optional, ClientAuth::None] {
        let ends = handshake(&anonymous, &with(auth), "istiod.example").unwrap();
        assert_eq!(peer_id(ends.server.peer_certificates()), None);
    }
    let error = handshake(&anonymous, &with(ClientAuth::Required), "istiod.example").unwrap_err().by_server();
    assert!(error.contains("no certificates"), "{error}");

    let known = client_as(&realm.svid("reviews"), &realm.roots(), &[]).unwrap();
    let ends = handshake(&known, &with(ClientAuth::Optional), "istiod.example").unwrap();
    assert_eq!(peer_id(ends.server.peer_certificates()), Some(realm.id("reviews")));
    let stranger = Realm::new("stranger.example");
    let unknown = client_as(&stranger.svid("reviews"), &realm.roots(), &[]).unwrap();
    let error = handshake(&unknown, &with(ClientAuth::Optional), "istiod.example").unwrap_err().by_server();
    assert!(error.contains("no roots are known"), "a bad certificate is worse than none: {error}");
}

#[test]
fn named_servers_are_known_by_name_and_address() {
    let realm = Realm::new("cluster.local");
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let (chain, key) = realm.authority.sign_server(&["kubernetes.default.svc".into()], &[loopback], HOUR).unwrap();
    let server = server(chain, key.private_key(), &[b"h2", b"http/1.1"]).unwrap();
    let client = client(&realm.roots(), &[b"http/1.1"]).unwrap();
    let ends = handshake(&client, &server, "kubernetes.default.svc").unwrap();
    assert_eq!(ends.client.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(handshake(&client, &server, "127.0.0.1").is_ok());
    let error = handshake(&client, &server, "127.0.0.2").unwrap_err().by_client();
    assert!(error.contains("not valid for name"), "{error}");
}

#[test]
fn an_ordinary_client_is_not_talked_into_a_workload_for_a_name() {
    let realm = Realm::new("cluster.local");
    let client = client(&realm.roots(), &[b"istio"]).unwrap();
    let error = handshake(&client, &mesh_server_of(&realm, "reviews"), "reviews").unwrap_err().by_client();
    assert!(error.contains("not valid for name"), "{error}");
}

#[test]
fn workloads_never_resume_a_session() {
    let realm = Realm::new("cluster.local");
    let client = mesh_client_of(&realm, "productpage", &[realm.id("reviews")]);
    let server = mesh_server_of(&realm, "reviews");
    for _ in 0..3 {
        let ends = handshake(&client, &server, "reviews").unwrap();
        assert_eq!(ends.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(ends.client.tls13_tickets_received(), 0);
    }
}

#[test]
fn a_rotated_bundle_and_a_changed_expectation_hold_from_the_next_connection_on() {
    let (old, new) = (Realm::new("cluster.local"), Realm::new("cluster.local"));
    let both = old.roots().union(&new.roots());
    let svid = old.svid("productpage");
    let expected = expect(&[old.id("reviews")]);
    let client = mesh_client(&svid, &both, expected, &[]).unwrap();
    let serve = |realm: &Realm, roots: &TrustBundle| {
        mesh_server(&realm.svid("reviews"), roots, ClientAuth::Required, &[]).unwrap()
    };
    for server in [serve(&old, &both), serve(&new, &both)] {
        let ends = handshake(&client, &server, "reviews").unwrap();
        assert_eq!(ends.server.handshake_kind(), Some(HandshakeKind::Full));
    }

    let error = handshake(&client, &serve(&new, &new.roots()), "reviews").unwrap_err().by_server();
    assert!(error.contains("unknown authority"), "the old root is gone: {error}");
    let moved = mesh_client(&svid, &both, expect(&[old.id("details")]), &[]).unwrap();
    let error = handshake(&moved, &serve(&old, &both), "reviews").unwrap_err().by_client();
    assert!(error.contains("wrong SPIFFE id"), "{error}");
}

#[test]
fn the_reason_is_found_behind_an_io_error() {
    let realm = Realm::new("cluster.local");
    let client = mesh_client_of(&realm, "productpage", &[realm.id("details")]);
    let Err(Refused::ByClient(error)) = handshake(&client, &mesh_server_of(&realm, "reviews"), "details") else {
        panic!("the client accepted the wrong server");
    };
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    assert!(matches!(PeerError::of(&error), Some(PeerError::WrongIdentity { .. })));
    assert!(PeerError::of(&io::Error::other("else")).is_none());
}

/// DER: tag, length, content.
fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], &content].concat()
}

/// A certificate of version 1 for a key, as `openssl x509 -req` makes it: RFC 5280 section 4.1, without version and extensions.
fn version1(
    issuer: &Issuer<'_, rcgen::KeyPair>,
    model: &CertificateDer<'_>,
    days: [&str; 2],
) -> CertificateDer<'static> {
    use rcgen::SigningKey;

    const SEQUENCE: u8 = 0x30;
    const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let (_, model) = x509_parser::parse_x509_certificate(model).unwrap();
    let validity = days.map(|day| der(0x18, &[format!("{day}000000Z").as_bytes()])).concat();
    let signed = der(
        SEQUENCE,
        &[
            &[0x02, 0x01, 0x07],
            ECDSA_SHA256,
            model.issuer().as_raw(),
            &der(SEQUENCE, &[&validity]),
            model.subject().as_raw(),
            model.public_key().raw,
        ],
    );
    let signature = issuer.key().sign(&signed).unwrap();
    der(SEQUENCE, &[&signed, ECDSA_SHA256, &der(0x03, &[&[0], &signature])]).into()
}

#[test]
fn a_certificate_of_version_1_is_a_server_s_or_a_client_s_where_a_named_authority_signed_it() {
    use rustls::pki_types::pem::PemObject;

    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem)
    };
    let ((issuer, roots), (stranger, others)) = (authority("example.com"), authority("other.example"));
    let key = rcgen::KeyPair::generate().unwrap();
    let model = |issuer: &Issuer<'_, rcgen::KeyPair>| CertificateParams::default().signed_by(&key, issuer).unwrap();
    let pem = |der: &CertificateDer<'_>| {
        let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    let now = ["20200101", "20990101"];
    let leaf = pem(&version1(&issuer, model(&issuer).der(), now));
    let shown = (leaf.as_str(), &*key.serialize_pem());
    assert!(CertificateDer::from_pem_slice(leaf.as_bytes()).is_ok());

    let server = |clients| edge_server(shown.0, shown.1, clients, &[]).unwrap();
    let believing = origin_client(OriginTrust::Anybody, &[], None, &[]).unwrap();
    handshake(&believing, &server(EdgeClients::Anonymous), "example.com").unwrap();
    let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert!(edge_server(shown.0, &other_key, EdgeClients::Anonymous, &[]).is_err(), "the key is another's");

    // It holds no name, so a client that wants one refuses it.
    let naming = origin_client(OriginTrust::Authorities(&roots), &[], None, &[]).unwrap();
    let error = handshake(&naming, &server(EdgeClients::Anonymous), "example.com").unwrap_err().by_client();
    assert!(error.contains("none of example.com"), "{error}");

    let as_client = |chain: &str| origin_client(OriginTrust::Anybody, &[], Some((chain, shown.1)), &[]).unwrap();
    for versions in [EdgeVersions::Only12, EdgeVersions::From13] {
        let demands = EdgeDemands { versions, ..EdgeDemands::default() };
        let server = edge_server_with(shown.0, shown.1, EdgeClients::Required(&roots), &[], demands).unwrap();
        let ends = handshake(&as_client(&leaf), &server, "example.com").unwrap();
        assert!(ends.server.peer_certificates().is_some());
    }
    let names: Vec<Arc<str>> = vec!["client.example.com".into()];
    let demands = EdgeDemands { client_names: &names, ..EdgeDemands::default() };
    let demanding = edge_server_with(shown.0, shown.1, EdgeClients::Required(&roots), &[], demands).unwrap();
    let error = handshake(&as_client(&leaf), &demanding, "example.com").unwrap_err().by_server();
    assert!(error.contains("none of client.example.com"), "{error}");

    let posing = pem(&version1(&stranger, model(&issuer).der(), now));
    let expired = pem(&version1(&issuer, model(&issuer).der(), ["20200101", "20200102"]));
    for (chain, trusted, why) in
        [(&leaf, &others, "UnknownIssuer"), (&posing, &roots, "BadSignature"), (&expired, &roots, "Expired")]
    {
        let server = server(EdgeClients::Required(trusted));
        let error = handshake(&as_client(chain), &server, "example.com").unwrap_err().by_server();
        assert!(error.contains(why) || error.to_lowercase().contains(&why.to_lowercase()), "{why}: {error}");
    }
}
