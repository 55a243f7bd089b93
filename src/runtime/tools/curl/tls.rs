//! curl's side of TLS: the machine's roots or `--cacert`, a client certificate, and `-k`.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, StreamOwned,
};

use super::args::{Failure, Options};
use crate::runtime::tools::Files;
use crate::tls;

/// Where systems keep the roots that they trust.
const ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Takes any certificate: what `-k` asks for. Signatures are checked, so that the peer at least has the key.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

pub(super) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Makes a connection secure.
pub(super) fn connect(mut stream: TcpStream, host: &str, options: &Options) -> Result<Secured, Failure> {
    let config = config(options)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(35, format!("TLS connect error: {host:?} is no server name")))?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(35, format!("TLS connect error: {error}"));
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(&error))?;
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut stream) {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
            return Err(match cause {
                Some(Error::InvalidCertificate(why)) => {
                    Failure::new(60, format!("SSL certificate problem: {why:?}; -k takes it all the same"))
                }
                Some(other) => failed(other),
                None if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    Failure::new(35, "Recv failure: Connection reset by peer")
                }
                None => failed(&error),
            });
        }
    }
    Ok(StreamOwned::new(session, stream))
}

/// `TLSv1.3 / TLS13_AES_256_GCM_SHA384`
pub(super) fn describe(secured: &Secured) -> String {
    let version = secured.conn.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default();
    let suite = secured.conn.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    format!("{} / {suite}", version.replace('_', "."))
}

fn config(options: &Options) -> Result<ClientConfig, Failure> {
    let provider = tls::provider();
    let wrong = |error: Error| Failure::new(35, format!("TLS connect error: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(wrong)?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
        Arc::new(Anyone(provider))
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(options)?), provider).build();
        verifier.map_err(|error| Failure::new(77, format!("cannot use the roots: {error}")))?
    };
    let builder = builder.with_custom_certificate_verifier(verifier);
    let mut config = match &options.certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable = |what: &dyn std::fmt::Display| {
                Failure::new(58, format!("could not load PEM client certificate from {path}: {what}"))
            };
            let text = read(path)?;
            let chain: Vec<_> =
                CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|e| unusable(&e))?;
            let key = match &options.key {
                Some(key) => read(key)?,
                None => text,
            };
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| unusable(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    fs::read(Files::of_environment().outside(path)).map_err(|error| Failure::new(58, format!("{path}: {error}")))
}

fn roots(options: &Options) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    let text = match &options.ca {
        Some(path) => fs::read(Files::of_environment().outside(path))
            .map_err(|error| Failure::new(77, format!("error adding trust anchors from file: {path}: {error}")))?,
        None => ROOTS.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default(),
    };
    store.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    if store.is_empty() {
        return Err(Failure::new(77, "there are no certificates to trust; give --cacert FILE, or -k"));
    }
    Ok(store)
}
