//! Gateway: what the mesh's edge listens for.

use super::field::{Limit, names, record};
use super::rules::gateway as rules;
use super::values::{Labels, ServerHost};

record! {
    /// What the proxies at the mesh's edge listen for.
    pub struct Gateway {
        /// The labels of the proxies' pods.
        selector: Labels = "selector";
        /// The ports they open, and the hosts they serve there.
        servers: Vec<Server> = "servers";
    }
    check: rules::gateway;
}

record! {
    /// A port, and the hosts served on it.
    pub struct Server {
        /// The port.
        port: ServerPort = "port";
        /// The address to listen on.
        bind: Option<String> = "bind";
        /// The hosts, with the namespaces that their VirtualServices may be in.
        hosts: Vec<ServerHost> = "hosts" [Limit::Required];
        /// How connections are secured.
        tls: Option<ServerTls> = "tls";
        /// Not in use.
        default_endpoint: Option<String> = "defaultEndpoint";
        /// The server's name.
        name: Option<String> = "name";
    }
    check: rules::server;
}

record! {
    /// A port of the edge.
    pub struct ServerPort {
        /// Its number, as clients know it.
        number: u32 = "number";
        /// The protocol spoken on it.
        protocol: String = "protocol";
        /// Its name.
        name: String = "name";
        /// Not in use.
        target_port: Option<u32> = "targetPort";
    }
    check: rules::server_port;
}

record! {
    /// How the edge secures connections.
    pub struct ServerTls {
        /// Whether plaintext requests are sent to https.
        https_redirect: Option<bool> = "httpsRedirect";
        /// How.
        mode: Option<ServerTlsMode> = "mode";
        /// The file of the server's certificate.
        server_certificate: Option<String> = "serverCertificate";
        /// The file of its key.
        private_key: Option<String> = "privateKey";
        /// The file of the authorities that clients are checked against.
        ca_certificates: Option<String> = "caCertificates";
        /// The file of revoked certificates.
        ca_crl: Option<String> = "caCrl";
        /// The secret that holds certificate and key.
        credential_name: Option<String> = "credentialName";
        /// Secrets that hold certificates of different kinds.
        credential_names: Vec<String> = "credentialNames" [Limit::MinItems(1), Limit::MaxItems(2)];
        /// The secret or config map that holds the authorities.
        ca_cert_credential_name: Option<String> = "caCertCredentialName";
        /// Certificates of different kinds, as files.
        tls_certificates: Vec<TlsCertificate> = "tlsCertificates" [Limit::MinItems(1), Limit::MaxItems(2)];
        /// The names one of which the client's certificate has to hold.
        subject_alt_names: Vec<String> = "subjectAltNames";
        /// Hashes of the public keys that clients may have.
        verify_certificate_spki: Vec<String> = "verifyCertificateSpki";
        /// Hashes of the certificates that clients may have.
        verify_certificate_hash: Vec<String> = "verifyCertificateHash";
        /// The oldest version of TLS.
        min_protocol_version: Option<TlsVersion> = "minProtocolVersion";
        /// The newest version of TLS.
        max_protocol_version: Option<TlsVersion> = "maxProtocolVersion";
        /// The ciphers, in order of preference.
        cipher_suites: Vec<String> = "cipherSuites";
        /// The curves, in order of preference.
        ecdh_curves: Vec<String> = "ecdhCurves";
        /// Whether clients are not checked at all.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify" [Limit::Nullable];
    }
    cel: &[
        (
            "(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1",
            "only one of credentialName, credentialNames and tlsCertificates can be set",
        ),
    ];
    check: rules::server_tls;
}

record! {
    /// A certificate as files.
    pub struct TlsCertificate {
        /// The file of the certificate.
        server_certificate: Option<String> = "serverCertificate";
        /// The file of its key.
        private_key: Option<String> = "privateKey";
        /// The file of the authorities that clients are checked against.
        ca_certificates: Option<String> = "caCertificates";
    }
}

names! {
    /// How the edge secures connections.
    pub enum ServerTlsMode {
        /// Connections are passed on as they are, by their server name.
        Passthrough = "PASSTHROUGH",
        /// TLS.
        Simple = "SIMPLE",
        /// TLS, and clients have to show a certificate.
        Mutual = "MUTUAL",
        /// Connections are passed on to the service that their server name spells.
        AutoPassthrough = "AUTO_PASSTHROUGH",
        /// TLS with the mesh's certificates on both sides.
        IstioMutual = "ISTIO_MUTUAL",
        /// TLS, and clients may show a certificate.
        OptionalMutual = "OPTIONAL_MUTUAL",
    }
}

names! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// As the mesh has it.
        Auto = "TLS_AUTO",
        /// 1.0
        V1_0 = "TLSV1_0",
        /// 1.1
        V1_1 = "TLSV1_1",
        /// 1.2
        V1_2 = "TLSV1_2",
        /// 1.3
        V1_3 = "TLSV1_3",
    }
}
