//! The proxy's certificate and what is made of it, replaced as a whole on renewal.
//!
//! TLS configurations are made once per certificate, so that connections share them; a client configuration belongs to one
//! expected identity, and so do the sessions that it may resume. An expired certificate is refused here, with the reason why
//! it was not renewed, instead of by the peer, with an alert.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::{ClientConfig, ServerConfig};

use crate::identity::{SpiffeId, Svid, TrustBundle};
use crate::tls::{self, ClientAuth, TlsError};

/// What a client offers for HTTP/1.1 over mesh TLS (Istio's names), the preferred first.
const CLIENT_ALPN: &[&[u8]] = &[b"istio-http/1.1", b"istio", b"http/1.1"];

/// The same for HTTP/2.
const CLIENT_ALPN_HTTP2: &[&[u8]] = &[b"istio-h2", b"istio-http/1.1", b"istio", b"h2"];

/// The same for what is no HTTP.
const CLIENT_ALPN_BYTES: &[&[u8]] = &[b"istio-peer-exchange", b"istio"];

/// What a server accepts over mesh TLS, the preferred first.
const SERVER_ALPN: &[&[u8]] =
    &[b"istio-h2", b"istio-http/1.1", b"istio-http/1.0", b"istio", b"istio-peer-exchange", b"http/1.1"];

/// How many client configurations are kept; beyond it, one is dropped and made again when it is needed.
const MAX_CLIENT_CONFIGS: usize = 1024;

/// What a connection to a mesh server carries, which the client says in its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, where the server can.
    Http2,
    /// No HTTP.
    Bytes,
}

impl Spoken {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => CLIENT_ALPN,
            Self::Http2 => CLIENT_ALPN_HTTP2,
            Self::Bytes => CLIENT_ALPN_BYTES,
        }
    }
}

/// Why the proxy cannot prove who it is.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The certificate's time is over and the control plane has not given a new one.
    #[error("the certificate of {id} expired at {since} and could not be renewed: {cause}")]
    Expired {
        /// Whose certificate.
        id: SpiffeId,
        /// When its time was over.
        since: jiff::Timestamp,
        /// What the last attempt to renew it ended with.
        cause: String,
    },
    /// No TLS configuration can be made of it.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why the last attempt at a new certificate failed; shared by the one who renews and those who must explain.
pub type RenewalFailure = Arc<ArcSwapOption<String>>;

/// A certificate and the TLS configurations made of it.
pub struct Credentials {
    /// Who the proxy proves to be.
    pub svid: Svid,
    /// Whom it believes.
    pub bundle: TrustBundle,
    /// For connections to the workload. A client certificate is demanded: mesh TLS always proves the caller, in permissive
    /// mode too.
    pub server_tls: Arc<ServerConfig>,
    clients: Mutex<HashMap<(SpiffeId, Spoken), Arc<ClientConfig>>>,
    renewal_failure: Option<RenewalFailure>,
}

impl Credentials {
    /// Makes the TLS configurations of a certificate.
    pub fn new(svid: Svid, bundle: TrustBundle) -> Result<Self, CredentialsError> {
        let server_tls = tls::mesh_server(&svid, &bundle, ClientAuth::Required, SERVER_ALPN)?;
        Ok(Self { svid, bundle, server_tls, clients: Mutex::default(), renewal_failure: None })
    }

    /// The same, telling why it was not renewed once it has expired.
    #[must_use]
    pub fn explained_by(self, renewal_failure: RenewalFailure) -> Self {
        Self { renewal_failure: Some(renewal_failure), ..self }
    }

    /// The same certificate, which believes other roots from now on; `None` where these are the roots that it believes.
    pub fn believing(&self, bundle: &TrustBundle) -> Option<Result<Self, CredentialsError>> {
        (self.bundle != *bundle).then(|| {
            let believing = Self::new(self.svid.clone(), bundle.clone())?;
            Ok(Self { renewal_failure: self.renewal_failure.clone(), ..believing })
        })
    }

    /// The configuration for connections to a workload that must prove to be `expected`.
    ///
    /// Fails when the certificate has expired, see [`Credentials::check`].
    pub fn client_tls(&self, expected: &SpiffeId, spoken: Spoken) -> Result<Arc<ClientConfig>, CredentialsError> {
        self.check(SystemTime::now())?;
        if let Some(config) = self.clients.lock().get(&(expected.clone(), spoken)) {
            return Ok(config.clone());
        }
        let config = tls::mesh_client(&self.svid, &self.bundle, Arc::from([expected.clone()]), spoken.alpn())?;
        let mut clients = self.clients.lock();
        if clients.len() >= MAX_CLIENT_CONFIGS
            && let Some(dropped) = clients.keys().next().cloned()
        {
            clients.remove(&dropped);
        }
        Ok(clients.entry((expected.clone(), spoken)).or_insert(config).clone())
    }

    /// Whether the certificate is still good at `now`.
    pub fn check(&self, now: SystemTime) -> Result<(), CredentialsError> {
        if now < self.svid.not_after {
            return Ok(());
        }
        let cause = self.renewal_failure.as_ref().and_then(|failure| failure.load_full());
        Err(CredentialsError::Expired {
            id: self.svid.id.clone(),
            since: jiff::Timestamp::try_from(self.svid.not_after).unwrap_or(jiff::Timestamp::MAX),
            cause: cause.map_or_else(|| "nobody has tried to".to_owned(), |cause| cause.to_string()),
        })
    }

    /// When the certificate's time is over.
    pub fn expires(&self) -> SystemTime {
        self.svid.not_after
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.svid.id).field("expires", &self.svid.not_after).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::{Authority, KeyPair, TrustDomain};

    const LIFE: Duration = Duration::from_secs(3600);

    fn issued_at(now: SystemTime) -> Credentials {
        let directory = tempfile::tempdir().unwrap();
        let domain = TrustDomain::new("cluster.local").unwrap();
        let authority = Authority::load_or_create(directory.path(), &domain).unwrap();
        let id = SpiffeId::new(&domain, "shop", "reviews").unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = authority.sign_workload_at(now, &key.csr_pem(&id).unwrap(), &id, LIFE).unwrap();
        Credentials::new(Svid::new(&chain, key).unwrap(), authority.bundle()).unwrap()
    }

    #[test]
    fn connections_to_one_identity_share_a_configuration_and_to_two_do_not() {
        let credentials = issued_at(SystemTime::now());
        let id = |account: &str| format!("spiffe://cluster.local/ns/shop/sa/{account}").parse().unwrap();
        let (first, again) = (
            credentials.client_tls(&id("a"), Spoken::Http1).unwrap(),
            credentials.client_tls(&id("a"), Spoken::Http1).unwrap(),
        );
        assert!(Arc::ptr_eq(&first, &again));
        assert!(
            !Arc::ptr_eq(&first, &credentials.client_tls(&id("b"), Spoken::Http1).unwrap()),
            "sessions could be resumed across"
        );
    }

    #[test]
    fn client_configurations_are_bounded() {
        let credentials = issued_at(SystemTime::now());
        for n in 0..=MAX_CLIENT_CONFIGS {
            let id = format!("spiffe://cluster.local/ns/shop/sa/a{n}").parse().unwrap();
            credentials.client_tls(&id, Spoken::Http1).unwrap();
        }
        assert_eq!(credentials.clients.lock().len(), MAX_CLIENT_CONFIGS);
    }

    #[test]
    fn an_expired_certificate_opens_no_connection_and_says_why_it_was_not_renewed() {
        let failure: RenewalFailure = Arc::default();
        let credentials = issued_at(SystemTime::now() - LIFE * 2).explained_by(failure.clone());
        failure.store(Some(Arc::new("there is no connection to the control plane".into())));
        let error = credentials.client_tls(&credentials.svid.id.clone(), Spoken::Http1).unwrap_err().to_string();
        assert!(
            error.starts_with("the certificate of spiffe://cluster.local/ns/shop/sa/reviews expired at 2"),
            "{error}"
        );
        assert!(error.ends_with("could not be renewed: there is no connection to the control plane"), "{error}");
    }
}
