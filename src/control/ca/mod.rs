//! The certificate service: a caller gets a certificate for the identity that its connection proves, and for no other.
//!
//! What the signing request says about names is not looked at (`docs/wire.md` section 11).

mod quota;
mod roots;
mod secret;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tonic::{Request, Response, Status};

use crate::identity::{Authority, IdentityError};
use crate::wire::proto::istio::v1::auth::istio_certificate_service_server::IstioCertificateService;
use crate::wire::proto::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};

pub(in crate::control) use quota::Quota;
pub use roots::distribute_roots;
pub use secret::{SecretError, from_secret};

use super::connection::Peer;

/// The longest life of a workload's certificate, and what one gets that asks for none.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Signs for callers.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    pub(super) authority: Arc<ArcSwap<Authority>>,
    pub(super) issued: Issued,
    pub(super) longest: Longest,
    pub(super) quota: Quota,
}

/// The longest life of a workload's certificate; [`MAX_TTL`] where nobody has said less.
#[derive(Debug, Clone)]
pub(super) struct Longest(Arc<AtomicU64>);

impl Default for Longest {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(MAX_TTL.as_secs())))
    }
}

impl Longest {
    pub(super) fn set(&self, longest: Duration) {
        self.0.store(longest.as_secs().clamp(1, MAX_TTL.as_secs()), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// What became of the requests so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Issued(Arc<[AtomicU64; 2]>);

impl Issued {
    /// (signed, refused)
    pub(super) fn counts(&self) -> (u64, u64) {
        let [signed, refused] = &*self.0;
        (signed.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
    }

    fn count(&self, is_signed: bool) {
        let [signed, refused] = &*self.0;
        let counter = if is_signed { signed } else { refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[tonic::async_trait]
impl IstioCertificateService for Certificates {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let signed = self.sign(request).await;
        self.issued.count(signed.is_ok());
        signed
    }
}

impl Certificates {
    async fn sign(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let identity = Peer::of(&request).await?.identity;
        self.quota.take(&identity, Instant::now()).map_err(|wait| {
            let sentence = format!("{identity} asks for too many certificates; ask again in {wait:?}");
            Status::resource_exhausted(sentence)
        })?;
        let IstioCertificateRequest { csr, validity_duration, .. } = request.into_inner();
        let ttl = match u64::try_from(validity_duration) {
            Ok(0) => self.longest.get(),
            Ok(seconds) => Duration::from_secs(seconds).min(self.longest.get()),
            Err(_) => return Err(Status::invalid_argument("validity_duration: a certificate lives for a time")),
        };
        let signed = self.authority.load().sign_workload(&csr, &identity, ttl);
        let cert_chain = signed.map_err(|error| match error {
            IdentityError::Request(_) => Status::invalid_argument(error.to_string()),
            _ => Status::failed_precondition(error.to_string()),
        })?;
        tracing::info!(%identity, ttl = ?ttl, "signed a certificate");
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}
