//! curl's side of TLS: the machine's roots or `--cacert`, a client certificate, and `-k`.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, StreamOwned};

use super::args::{Failure, Options};
use crate::runtime::tools::Files;
use crate::tls::{self, OriginTrust, TlsError};

pub(super) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Makes a connection secure.
pub(super) fn connect(mut stream: TcpStream, host: &str, options: &Options) -> Result<Secured, Failure> {
    let config = config(options)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(35, format!("TLS connect error: {host:?} is no server name")))?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(35, format!("TLS connect error: {error}"));
    let mut session = ClientConnection::new(config, name).map_err(|error| failed(&error))?;
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

fn config(options: &Options) -> Result<Arc<ClientConfig>, Failure> {
    let authorities = options.ca.as_deref().map(|path| {
        read(path).map_err(|error| Failure::new(77, format!("error adding trust anchors from file: {path}: {error}")))
    });
    let authorities = authorities.transpose()?;
    let trust = match &authorities {
        _ if options.insecure => OriginTrust::Anybody,
        Some(pem) => OriginTrust::Authorities(pem),
        None => OriginTrust::System,
    };
    let shown = options.certificate.as_deref().map(|path| {
        let file = |path: &str| read(path).map_err(|error| Failure::new(58, format!("{path}: {error}")));
        let chain = file(path)?;
        let key = options.key.as_deref().map_or_else(|| Ok(chain.clone()), file)?;
        Ok::<_, Failure>((path, chain, key))
    });
    let shown = shown.transpose()?;
    let certificate = shown.as_ref().map(|(_, chain, key)| (chain.as_str(), key.as_str()));
    tls::origin_client(trust, &[], certificate, &[b"http/1.1"]).map_err(|error| match (error, &shown) {
        (TlsError::NoRoots, _) => Failure::new(77, "there are no certificates to trust; give --cacert FILE, or -k"),
        (error, Some((path, ..))) => {
            Failure::new(58, format!("could not load PEM client certificate from {path}: {error}"))
        }
        (error, None) => Failure::new(77, format!("cannot use the roots: {error}")),
    })
}

fn read(path: &str) -> std::io::Result<String> {
    let bytes = fs::read(Files::of_environment().outside(path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
