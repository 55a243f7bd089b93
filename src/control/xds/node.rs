//! What a proxy says about itself, and whether that is what it has proved.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;
use tonic::Status;

use crate::control::push::{Snapshots, Subject};
use crate::control::source::Key;
use crate::control::token::Caller;

/// How long a pod may take to appear: a proxy that starts with its pod is a little ahead of the watch.
const PATIENCE: Duration = Duration::from_secs(3);

/// A proxy's own words: `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    is_gateway: bool,
    address: IpAddr,
    pod: Key,
}

impl Announced {
    pub(super) fn parse(id: &str) -> Option<Self> {
        let mut parts = id.split('~');
        let (kind, address, pod, domain) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_gateway = match kind {
            "sidecar" => false,
            "router" => true,
            _ => return None,
        };
        // The name of a pod may have dots; that of a namespace has none.
        let (name, namespace) = pod.rsplit_once('.')?;
        let whole = parts.next().is_none() && domain.split('.').next() == Some(namespace) && !name.is_empty();
        whole.then_some(Self { is_gateway, address: address.parse().ok()?, pod: Key::new(namespace, name) })
    }

    /// Waits for the pod and checks it against the identity.
    pub(super) async fn admit(self, caller: &Caller, snapshots: &mut Snapshots) -> Result<Subject, Status> {
        let identity = &caller.identity;
        if identity.namespace() != &*self.pod.namespace {
            let told = format!("{identity} cannot speak for pod {}: it is of another namespace", self.pod);
            return Err(Status::permission_denied(told));
        }
        if let Some(bound) = caller.pod.as_ref().filter(|bound| **bound != self.pod.name) {
            let told = format!("the token of pod {bound} does not speak for pod {}", self.pod);
            return Err(Status::permission_denied(told));
        }
        let mut reason = "the control plane has not read its source yet".to_owned();
        let appeared = snapshots.wait_for(|snapshot| {
            let Some(snapshot) = snapshot else { return false };
            let placed = snapshot.pod(&self.pod);
            reason = match placed {
                None => "there is no such pod".to_owned(),
                Some(placed) if *placed.service_account != *identity.service_account() => {
                    format!("it runs as service account {}", placed.service_account)
                }
                Some(placed) if !placed.workload.addresses.contains(&self.address) => {
                    format!("it does not have the address {}", self.address)
                }
                Some(placed) if self.is_gateway && !placed.is_gateway => {
                    "an application runs in it, and this proxy says that it is a gateway".to_owned()
                }
                Some(_) => return true,
            };
            false
        });
        match timeout(PATIENCE, appeared).await {
            Ok(Ok(appeared)) => match appeared.as_deref() {
                Some(snapshot) => Ok(Subject::new(self.pod, identity.clone(), self.is_gateway, snapshot)),
                None => Err(Status::unavailable("the control plane has not read its source yet")),
            },
            Ok(Err(_)) => Err(Status::unavailable("the control plane is stopping")),
            Err(_) => Err(Status::permission_denied(format!("{identity} cannot speak for pod {}: {reason}", self.pod))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_says_what_the_contract_says_and_nothing_else() {
        let parsed = Announced::parse("router~10.0.0.1~web.1.shop~shop.svc.cluster.local").unwrap();
        assert_eq!(parsed.pod, Key::new("shop", "web.1"));
        assert!(parsed.is_gateway);
        for wrong in [
            "",
            "ztunnel~10.0.0.1~web.shop~shop.svc.cluster.local",
            "sidecar~10.0.0~web.shop~shop.svc.cluster.local",
            "sidecar~10.0.0.1~web~shop.svc.cluster.local",
            "sidecar~10.0.0.1~.shop~shop.svc.cluster.local",
            "sidecar~10.0.0.1~web.shop~bank.svc.cluster.local",
            "sidecar~10.0.0.1~web.shop~shop.svc.cluster.local~more",
        ] {
            assert_eq!(Announced::parse(wrong), None, "{wrong}");
        }
    }
}
