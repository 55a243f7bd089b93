//! Headers that say who the client is and who answered: trusted from nobody who might make them up.
//!
//! | | sidecar, inbound | sidecar, outbound | gateway |
//! | --- | --- | --- | --- |
//! | `x-forwarded-for` | kept | kept | client's address appended |
//! | `x-forwarded-proto` | set where absent | set where absent | set; where absent behind a proxy that is believed |
//! | `x-forwarded-client-cert` | appended to over mutual TLS, else dropped | dropped | dropped |
//! | `x-envoy-peer-metadata*`, `x-mesh-*` | dropped | dropped | dropped |
//! | other `x-envoy-*` | kept | kept | dropped |
//! | `server` of the response | `istio-envoy` | `envoy` | `istio-envoy` |
//!
//! (Istio's settings of Envoy's connection manager; dropping all of `x-envoy-*` at the edge answers CVE-2024-45806.)

use std::net::IpAddr;

use crate::proxy::http1::encode::{add_line, add_number};
use crate::proxy::http1::{Head, Name};

/// Where a proxy stands on a request's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// Beside the called workload.
    Inbound,
    /// Beside the calling workload.
    Outbound,
    /// At the edge of the mesh.
    Gateway,
}

/// What the client's connection proves.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificate<'a> {
    /// SPIFFE id of the client.
    pub uri: &'a str,
    /// SHA-256 of its certificate, in hexadecimal.
    pub hash: &'a str,
    /// SPIFFE id that we answered with.
    pub by: &'a str,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its address.
    pub address: Option<IpAddr>,
    /// The scheme of its connection.
    pub scheme: &'a str,
    /// What its connection proves.
    pub certificate: Option<ClientCertificate<'a>>,
    /// Whether it is a proxy that is believed (`gatewayTopology.numTrustedProxies`).
    pub is_believed: bool,
}

/// Edits a request's headers. `added` gets whole lines.
pub fn request(stance: Stance, client: Client<'_>, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    for field in &mut head.fields {
        field.kept &= match field.known {
            Name::PeerMetadata | Name::MeshPeer | Name::Mesh => false,
            Name::Envoy | Name::UpstreamServiceTime => stance != Stance::Gateway,
            Name::AttemptCount => stance == Stance::Inbound,
            _ => true,
        };
    }
    client_certificate(stance, client.certificate, head, bytes, added);
    if stance == Stance::Gateway {
        forwarded_for(client.address, head, bytes, added);
        if !client.is_believed {
            head.remove(Name::ForwardedProto);
        }
    }
    if head.get(Name::ForwardedProto, bytes).is_none() {
        add_line(added, "x-forwarded-proto", client.scheme.as_bytes());
    }
}

fn forwarded_for(client: Option<IpAddr>, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    let Some(client) = client else { return };
    added.extend_from_slice(b"x-forwarded-for: ");
    for field in head.fields.iter_mut().filter(|field| field.known == Name::ForwardedFor && field.kept) {
        field.kept = false;
        added.extend_from_slice(field.value.of(bytes));
        added.push(b',');
    }
    added.extend_from_slice(client.to_string().as_bytes());
    added.extend_from_slice(b"\r\n");
}

fn client_certificate(
    stance: Stance,
    certificate: Option<ClientCertificate<'_>>,
    head: &mut Head,
    bytes: &[u8],
    added: &mut Vec<u8>,
) {
    let Some(certificate) = certificate.filter(|_| stance == Stance::Inbound) else {
        head.remove(Name::ForwardedClientCert);
        return;
    };
    added.extend_from_slice(b"x-forwarded-client-cert: ");
    for field in head.fields.iter_mut().filter(|field| field.known == Name::ForwardedClientCert && field.kept) {
        field.kept = false;
        added.extend_from_slice(field.value.of(bytes));
        added.push(b',');
    }
    for part in ["By=", certificate.by, ";Hash=", certificate.hash, ";Subject=\"\";URI=", certificate.uri, "\r\n"] {
        added.extend_from_slice(part.as_bytes());
    }
}

/// Edits a response's headers. `upstream_milliseconds` is the time that the upstream took for its head.
pub fn response(stance: Stance, upstream_milliseconds: u64, head: &mut Head, added: &mut Vec<u8>) {
    for field in &mut head.fields {
        field.kept &= !matches!(
            field.known,
            Name::PeerMetadata | Name::MeshPeer | Name::Mesh | Name::Server | Name::UpstreamServiceTime
        );
    }
    add_number(added, "x-envoy-upstream-service-time", upstream_milliseconds);
    add_line(added, "server", server(stance).as_bytes());
}

/// Value of the `server` header.
pub fn server(stance: Stance) -> &'static str {
    match stance {
        Stance::Outbound => "envoy",
        Stance::Inbound | Stance::Gateway => "istio-envoy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http1::{RequestLine, parse_request, write_request};

    const MESSAGE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-Client-Cert: By=evil\r\nX-Envoy-Peer-Metadata: m\r\nX-Envoy-Peer-Metadata-Id: i\r\nX-Mesh-Peer: p\r\nx-mesh-z: 1\r\n\
        X-Envoy-Decorator-Operation: d\r\nX-Own: 1\r\n\r\n";

    fn edited(stance: Stance, certificate: Option<ClientCertificate<'_>>) -> String {
        edited_for(stance, certificate, false)
    }

    fn edited_for(stance: Stance, certificate: Option<ClientCertificate<'_>>, is_believed: bool) -> String {
        let (mut head, mut added, mut written) = (Head::default(), Vec::new(), Vec::new());
        parse_request(MESSAGE, false, &mut head).expect("well-formed");
        let client = Client { address: "10.9.8.7".parse().ok(), scheme: "http", certificate, is_believed };
        request(stance, client, &mut head, MESSAGE, &mut added);
        write_request(RequestLine { method: b"GET", path_and_query: b"/" }, &head, MESSAGE, &added, &mut written);
        String::from_utf8(written).expect("text")
    }

    #[test]
    fn a_gateway_believes_nothing_that_a_client_says_about_itself() {
        assert_eq!(
            edited(Stance::Gateway, None),
            "GET / HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\nx-forwarded-for: 1.2.3.4,10.9.8.7\r\nx-forwarded-proto: http\r\n\r\n"
        );
    }

    #[test]
    fn a_gateway_behind_a_proxy_that_is_believed_keeps_the_scheme_that_it_was_told() {
        let edited = edited_for(Stance::Gateway, None, true);
        assert!(edited.contains("X-Forwarded-Proto: https\r\n") && !edited.contains("proto: http\r\n"), "{edited}");
        assert!(edited.contains("x-forwarded-for: 1.2.3.4,10.9.8.7\r\n"), "{edited}");
    }

    #[test]
    fn a_sidecar_appends_what_the_clients_certificate_says() {
        let certificate = ClientCertificate { uri: "spiffe://c/ns/a/sa/b", hash: "0f", by: "spiffe://c/ns/d/sa/e" };
        let with = edited(Stance::Inbound, Some(certificate));
        let expected = "x-forwarded-client-cert: By=evil,By=spiffe://c/ns/d/sa/e;Hash=0f;Subject=\"\";URI=spiffe://c/ns/a/sa/b\r\n";
        assert!(with.contains(expected), "{with}");
        let without = edited(Stance::Inbound, None);
        assert!(!without.to_lowercase().contains("client-cert"), "{without}");
        let outbound = edited(Stance::Outbound, Some(certificate));
        assert!(!outbound.to_lowercase().contains("client-cert"), "{outbound}");
    }

    #[test]
    fn internal_headers_pass_no_proxy() {
        for stance in [Stance::Inbound, Stance::Outbound, Stance::Gateway] {
            let edited = edited(stance, None).to_lowercase();
            assert!(!edited.contains("x-mesh-") && !edited.contains("peer-metadata"), "{stance:?}: {edited}");
        }
    }
}
