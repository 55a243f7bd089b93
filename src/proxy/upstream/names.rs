//! Hosts that the mesh does not know, looked up as the machine does it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

use crate::proxy::limits::Limits;

/// A small memory of answers, per worker.
#[derive(Debug, Default)]
pub struct Names {
    known: RefCell<HashMap<Box<str>, (IpAddr, Instant)>>,
}

impl Names {
    /// The address of `host`, with `port`. `None` when there is none, or the answer does not come in time.
    pub async fn resolve(&self, host: &str, port: u16, limits: &Limits) -> Option<SocketAddr> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(SocketAddr::new(address, port));
        }
        let known = self.known.borrow().get(host).copied();
        if let Some((address, since)) = known
            && since.elapsed() < limits.dns_kept
        {
            return Some(SocketAddr::new(address, port));
        }
        let looked_up = tokio::time::timeout(limits.dns, tokio::net::lookup_host((host, port))).await;
        let address = looked_up.ok()?.ok()?.next()?;
        let mut known = self.known.borrow_mut();
        if known.len() >= limits.dns_names {
            known.retain(|_, (_, since)| since.elapsed() < limits.dns_kept);
        }
        if known.len() < limits.dns_names {
            known.insert(host.into(), (address.ip(), Instant::now()));
        }
        Some(address)
    }
}
