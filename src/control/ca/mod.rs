//! The certificate service: a caller gets a certificate for the identity that its connection proves, and for no other.
//!
//! What the signing request says about names is not looked at (`docs/wire.md` section 11).

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use crate::identity::{Authority, IdentityError};
use crate::wire::proto::istio::v1::auth::istio_certificate_service_server::IstioCertificateService;
use crate::wire::proto::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};

use super::connection::Peer;

/// The longest life of a workload's certificate, and what one gets that asks for none.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Signs for callers.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    pub(super) authority: Arc<Authority>,
}

#[tonic::async_trait]
impl IstioCertificateService for Certificates {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let identity = Peer::of(&request)?;
        let IstioCertificateRequest { csr, validity_duration, .. } = request.into_inner();
        let ttl = match u64::try_from(validity_duration) {
            Ok(0) => MAX_TTL,
            Ok(seconds) => Duration::from_secs(seconds).min(MAX_TTL),
            Err(_) => return Err(Status::invalid_argument("validity_duration: a certificate lives for a time")),
        };
        let signed = self.authority.sign_workload(&csr, &identity, ttl);
        let cert_chain = signed.map_err(|error| match error {
            IdentityError::Request(_) => Status::invalid_argument(error.to_string()),
            _ => Status::failed_precondition(error.to_string()),
        })?;
        tracing::info!(%identity, ttl = ?ttl, "signed a certificate");
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}
