//! The workload's certificate: fetched over the channel that is up, renewed at half of its life, kept until there is a better.
//!
//! Without a control plane the certificate serves on until its time is over. Who uses it then is told that it has expired and
//! what the last attempt to renew it ended with ([`CredentialsError::Expired`](crate::proxy::directory::CredentialsError)).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Channel;

use crate::identity::{KeyPair, SpiffeId, Svid, TrustBundle, TrustDomain};
use crate::proxy::directory::{Credentials, RenewalFailure, Shared};
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::proto::istio::v1::auth::IstioCertificateRequest;
use crate::wire::proto::istio::v1::auth::istio_certificate_service_client::IstioCertificateServiceClient;

use super::backoff::{Backoff, random_fraction};
use super::link::{authorized, sentence};
use super::{Clock, NodeId, TokenSource, XdsConfig};

/// How long a certificate is asked for; the control plane may give less (`docs/wire.md` §11).
const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How long is slept at most before the time of day is looked at again: the time that a machine sleeps counts too, and a clock
/// that jumps by days must not leave an expired certificate in use for longer.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("there is no connection to the control plane")]
    NoConnection,
    #[error("the control plane did not answer within {} s", ATTEMPT.as_secs())]
    Timeout,
    #[error("the control plane refused: {0}")]
    Refused(String),
    #[error("the certificate that the control plane gave cannot be used: {0}")]
    Unusable(String),
    #[error("no request can be made: {0}")]
    Request(String),
}

/// Keeps a certificate.
pub(super) struct Renewal {
    node: NodeId,
    token: TokenSource,
    channel: watch::Receiver<Option<Channel>>,
    shared: Arc<Shared>,
    clock: Clock,
    failure: RenewalFailure,
}

impl Renewal {
    pub(super) fn new(
        config: &XdsConfig,
        channel: watch::Receiver<Option<Channel>>,
        shared: Arc<Shared>,
        clock: Clock,
    ) -> Self {
        let failure = Arc::new(ArcSwapOption::empty());
        Self { node: config.node.clone(), token: config.token.clone(), channel, shared, clock, failure }
    }

    /// Keeps the certificate until told to stop.
    pub(super) async fn run(mut self, token: CancellationToken) {
        let _stopped = token.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            self.until_due().await;
            let Some(channel) = self.next_channel().await else { return };
            match self.fetch(channel).await {
                Ok(credentials) => {
                    tracing::info!(id = %credentials.svid.id, "certificate obtained");
                    self.failure.store(None);
                    self.shared.credentials.store(Some(Arc::new(credentials)));
                    if let Some(bundle) = &self.shared.settings.load().bundle {
                        self.shared.believe(bundle);
                    }
                    self.shared.update_ready();
                    backoff.reset();
                }
                Err(error) => {
                    let wait = backoff.next();
                    tracing::warn!(node = %self.node, %error, retry_in = ?wait, "no new certificate");
                    self.failure.store(Some(Arc::new(error.to_string())));
                    sleep(wait).await;
                }
            }
        }
    }

    /// Waits until it is time for another certificate. One that does not hold yet is of a clock that has gone back since: nobody
    /// who has the same clock believes it, so that another is due as well, though not faster than the clock is looked at.
    async fn until_due(&self) {
        let Some(current) = self.shared.credentials.load_full() else { return };
        let (begins, due) = (current.svid.not_before, current.svid.renew_at(random_fraction()));
        drop(current);
        loop {
            let now = (self.clock)();
            let remaining = due.duration_since(now).unwrap_or_default();
            if remaining.is_zero() {
                return;
            }
            sleep(remaining.min(LOOK_AGAIN)).await;
            if now < begins {
                tracing::warn!(node = %self.node, "the clock has gone back to before the certificate: another one is asked for");
                return;
            }
        }
    }

    /// The channel that is up, as soon as one is; `None` when there will be none any more.
    async fn next_channel(&mut self) -> Option<Channel> {
        if self.channel.borrow().is_none() {
            self.failure.store(Some(Arc::new(RenewalError::NoConnection.to_string())));
        }
        self.channel.wait_for(Option::is_some).await.ok()?.clone()
    }

    async fn fetch(&self, channel: Channel) -> Result<Credentials, RenewalError> {
        let key = KeyPair::generate().map_err(|error| RenewalError::Request(error.to_string()))?;
        let csr = self
            .requested_id()
            .and_then(|id| key.csr_pem(&id))
            .map_err(|error| RenewalError::Request(error.to_string()))?;
        let validity_duration = i64::try_from(VALIDITY.as_secs()).unwrap_or(i64::MAX);
        let request = IstioCertificateRequest { csr, validity_duration, metadata: None };
        let request = authorized(Request::new(request), (self.token)()).map_err(RenewalError::Request)?;
        let mut client = IstioCertificateServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answer = timeout(ATTEMPT, client.create_certificate(request)).await.map_err(|_| RenewalError::Timeout)?;
        let chain = answer.map_err(|status| RenewalError::Refused(sentence(&status)))?.into_inner().cert_chain;
        self.check(&chain, key).map(|credentials| credentials.explained_by(self.failure.clone()))
    }

    /// The identity to name in the request. The control plane ignores it and certifies what the caller has proved; before the
    /// first certificate the service account is not known here.
    fn requested_id(&self) -> Result<SpiffeId, crate::identity::IdentityError> {
        match self.shared.credentials.load_full() {
            Some(current) => Ok(current.svid.id.clone()),
            None => SpiffeId::new(&TrustDomain::new("cluster.local")?, &self.node.namespace, "default"),
        }
    }

    fn check(&self, chain: &[String], key: KeyPair) -> Result<Credentials, RenewalError> {
        let unusable = |reason: &dyn std::fmt::Display| RenewalError::Unusable(reason.to_string());
        let svid = Svid::new(chain, key).map_err(|error| unusable(&error))?;
        if svid.id.namespace() != &*self.node.namespace {
            return Err(unusable(&format!("it names {}, a workload of another namespace", svid.id)));
        }
        if svid.not_after <= (self.clock)() {
            return Err(unusable(&"its time is over already; compare the clocks of both machines"));
        }
        let root = chain.last().filter(|_| chain.len() > 1);
        let root = root.ok_or_else(|| unusable(&"there is no root with it"))?;
        let bundle = match &self.shared.settings.load().bundle {
            // What the mesh believes is said once for all, and may be more than the root of this certificate.
            Some(bundle) => bundle.clone(),
            None => TrustBundle::from_pem(svid.id.trust_domain(), root).map_err(|error| unusable(&error))?,
        };
        Credentials::new(svid, bundle).map_err(|error| unusable(&error))
    }
}
