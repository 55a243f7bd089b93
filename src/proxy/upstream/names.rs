//! Names outside the mesh, looked up as the machine does it.
//!
//! An answer is used for a while, then looked up again beside the connections that still use it: a name server that is slow or away
//! holds nobody up who has an answer, and the last good answer stays.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::time::Instant;

use crate::proxy::limits::Limits;
use crate::proxy::local::Local;

/// A small memory of answers, per worker. A clone is another handle on it.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: Rc<RefCell<HashMap<Box<str>, Answer>>>,
}

#[derive(Debug, Clone)]
struct Answer {
    /// Never empty.
    addresses: Rc<[IpAddr]>,
    since: Instant,
    /// Whether somebody is looking it up again.
    renewing: bool,
}

impl Names {
    /// The first address of `host`, with `port`. `None` when there is none, or the answer does not come in time.
    pub async fn resolve(&self, local: &Local, host: &str, port: u16) -> Option<SocketAddr> {
        let addresses = self.addresses(local, host).await?;
        addresses.first().map(|address| SocketAddr::new(*address, port))
    }

    /// Every address of `host`; never empty.
    pub async fn addresses(&self, local: &Local, host: &str) -> Option<Rc<[IpAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Rc::from([address]));
        }
        let limits = &local.shared.limits;
        let known = self.known.borrow().get(host).cloned();
        match known {
            None => self.look_up(host, limits).await,
            Some(known) if known.since.elapsed() < limits.dns_kept => Some(known.addresses),
            Some(known) => {
                if !known.renewing {
                    self.renew(local, host);
                }
                Some(known.addresses)
            }
        }
    }

    fn renew(&self, local: &Local, host: &str) {
        let renewing = |yes: bool| {
            if let Some(known) = self.known.borrow_mut().get_mut(host) {
                known.renewing = yes;
            }
        };
        renewing(true);
        let (names, host, shared) = (self.clone(), Box::<str>::from(host), local.shared.clone());
        let begun = local.run_errand(async move {
            if names.look_up(&host, &shared.limits).await.is_none()
                && let Some(known) = names.known.borrow_mut().get_mut(&*host)
            {
                // The last good answer is used on, and asked about again as soon as it is needed.
                known.renewing = false;
            }
        });
        if !begun {
            renewing(false);
        }
    }

    async fn look_up(&self, host: &str, limits: &Limits) -> Option<Rc<[IpAddr]>> {
        let looked_up = tokio::time::timeout(limits.dns, tokio::net::lookup_host((host, 0))).await;
        let mut found: Vec<IpAddr> = Vec::new();
        for address in looked_up.ok()?.ok()? {
            if !found.contains(&address.ip()) {
                found.push(address.ip());
            }
        }
        // Where there are both kinds, IPv4 is what nearly every network can reach (Envoy's V4_PREFERRED).
        if found.iter().any(IpAddr::is_ipv4) {
            found.retain(IpAddr::is_ipv4);
        }
        if found.is_empty() {
            return None;
        }
        let addresses: Rc<[IpAddr]> = found.into();
        let mut known = self.known.borrow_mut();
        if known.len() >= limits.dns_names && !known.contains_key(host) {
            known.retain(|_, answer| answer.since.elapsed() < limits.dns_kept);
        }
        if known.len() < limits.dns_names || known.contains_key(host) {
            let answer = Answer { addresses: addresses.clone(), since: Instant::now(), renewing: false };
            known.insert(host.into(), answer);
        }
        Some(addresses)
    }
}
