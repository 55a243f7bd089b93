//! Counting a connection whose bytes are not looked at, from its start to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{InboundPolicy, Service};
use crate::proxy::directory::UpstreamEndpoint;
use crate::proxy::exchange::{Facts, Role};
use crate::proxy::filter::logged::Logged;
use crate::proxy::filter::stats::{Call, Sides};
use crate::proxy::local::Local;
use crate::telemetry::{AccessRecord, ConnectionCell, Customized, Party};

/// Counts one connection. Its series may expire while it is silent; what moves later is counted in a new one.
pub(super) struct Meter<'l> {
    local: &'l Local,
    own: Option<Arc<InboundPolicy>>,
    cluster: Arc<str>,
    service: Option<Arc<Service>>,
    endpoint: Option<Arc<UpstreamEndpoint>>,
    peer: Option<Arc<Party>>,
    /// Port of the workload, where it is the one that is called.
    called: Option<u16>,
    flags: &'static str,
    mutual_tls: bool,
    customized: Option<Arc<Customized>>,
    told: (u64, u64),
}

impl<'l> Meter<'l> {
    /// A connection to an endpoint of a service, as far as they are known; `proved`: whether mutual TLS leads
    /// there, and `upstream`: its address.
    pub(super) fn begin(
        local: &'l Local,
        facts: &Facts,
        service: Option<&Arc<Service>>,
        endpoint: Option<&Arc<UpstreamEndpoint>>,
        (proved, upstream): (bool, Option<SocketAddr>),
        flags: &'static str,
    ) -> Self {
        let directory = &local.shared.directory;
        let settings = directory.settings();
        let side = facts.role.side();
        let metrics = settings.reporting(side).metrics.as_ref();
        let customized = local.stats.customized(side, metrics, &local.shared.registry, |told| {
            let record = AccessRecord {
                flags,
                upstream_host: upstream,
                downstream_local: facts.local,
                downstream_remote: facts.remote,
                server_name: &facts.server_name,
                ..AccessRecord::now()
            };
            told(&Logged { record: &record, headers: None, scheme: "", mutual_tls: facts.peer.is_some() });
        });
        let called = match facts.role {
            Role::Inbound { port, .. } => Some(port),
            _ => None,
        };
        let meter = Self {
            local,
            own: directory.inbound(),
            cluster: settings.cluster.clone(),
            service: service.cloned(),
            endpoint: endpoint.cloned(),
            peer: facts.peer.as_ref().map(|peer| peer.party.clone()),
            called,
            flags,
            mutual_tls: if called.is_some() { facts.peer.is_some() } else { proved },
            customized,
            told: (0, 0),
        };
        meter.cell().open();
        meter
    }

    /// Takes note of the bytes that have come from the client and gone to it so far.
    pub(super) fn moved(&mut self, received: u64, sent: u64) {
        let (before_received, before_sent) = std::mem::replace(&mut self.told, (received, sent));
        self.cell().moved(received.saturating_sub(before_received), sent.saturating_sub(before_sent));
    }

    fn cell(&self) -> Arc<ConnectionCell> {
        let call = match self.called {
            Some(port) => Call::Inbound(port, self.peer.as_ref()),
            None => Call::Outbound(self.service.as_ref(), self.endpoint.as_ref()),
        };
        let sides = Sides {
            call,
            own: self.own.as_ref(),
            cluster: &self.cluster,
            flags: self.flags,
            mutual_tls: self.mutual_tls,
            customized: self.customized.as_ref(),
        };
        self.local.stats.connection(&sides, &self.local.shared.registry, self.local.worker.number)
    }
}

/// However it ends, also by the proxy's own end.
impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.cell().close();
    }
}
