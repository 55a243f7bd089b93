//! The addresses of services.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use parking_lot::Mutex;

use super::server::Inner;

/// Hands out cluster IPs. What is handed out is known from the stored services; this only keeps two requests apart.
pub(super) struct ServiceIps {
    range: Ipv4Net,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    addresses: BTreeMap<Ipv4Addr, String>,
    last: u32,
}

/// An address that was just taken: given back unless it is kept.
pub(super) struct Lease {
    server: Arc<Inner>,
    address: Ipv4Addr,
    owner: String,
    kept: bool,
}

impl Lease {
    /// Takes `wanted`, or where that is empty the next free one, for `owner` (a service's uid).
    pub(super) fn take(server: &Arc<Inner>, wanted: &str, owner: &str) -> Result<Self, IpError> {
        let address = if wanted.is_empty() { server.ips.next(owner) } else { server.ips.take(wanted, owner) }?;
        Ok(Self { server: Arc::clone(server), address, owner: owner.to_owned(), kept: false })
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The service is stored with it.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.kept {
            self.server.ips.release(&self.address.to_string(), &self.owner);
        }
    }
}

/// Addresses at the start of the range that are given only to who asks for them: gateway, API server and DNS live there.
const RESERVED: u32 = 15;

/// Why an address cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum IpError {
    #[error("provided IP is not in the valid range. The range of valid IPs is {0}")]
    OutOfRange(Ipv4Net),
    #[error("provided IP is already allocated")]
    Taken,
    #[error("range is full")]
    Full,
    #[error("must be empty, 'None', or a valid IP address")]
    NotAnAddress,
}

impl ServiceIps {
    pub(super) fn new(range: Ipv4Net) -> Self {
        Self { range, taken: Mutex::new(Taken::default()) }
    }

    /// Takes `wanted` for `owner` (a service's uid). Taking one's own address again is no error.
    pub(super) fn take(&self, wanted: &str, owner: &str) -> Result<Ipv4Addr, IpError> {
        let wanted: Ipv4Addr = wanted.parse().map_err(|_| IpError::NotAnAddress)?;
        if !self.range.contains(&wanted) || wanted == self.range.network() || wanted == self.range.broadcast() {
            return Err(IpError::OutOfRange(self.range));
        }
        let mut taken = self.taken.lock();
        match taken.addresses.get(&wanted) {
            Some(other) if other != owner => Err(IpError::Taken),
            _ => {
                taken.addresses.insert(wanted, owner.to_owned());
                Ok(wanted)
            }
        }
    }

    /// Takes the next free address for `owner`.
    pub(super) fn next(&self, owner: &str) -> Result<Ipv4Addr, IpError> {
        let network = u32::from(self.range.network());
        let size = u32::from(self.range.broadcast()) - network;
        let reserved = RESERVED.min(size / 4);
        let span = size.saturating_sub(reserved + 1);
        let mut taken = self.taken.lock();
        for _ in 0..span {
            taken.last = (taken.last + 1) % span;
            let address = Ipv4Addr::from(network + reserved + 1 + taken.last);
            if let Entry::Vacant(free) = taken.addresses.entry(address) {
                free.insert(owner.to_owned());
                return Ok(address);
            }
        }
        Err(IpError::Full)
    }

    /// Gives an address back, if it is `owner`'s.
    pub(super) fn release(&self, address: &str, owner: &str) {
        let Ok(address) = address.parse() else {
            return;
        };
        let mut taken = self.taken.lock();
        if taken.addresses.get(&address).is_some_and(|o| o == owner) {
            taken.addresses.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_each_address_once_until_the_range_is_full() {
        let ips = ServiceIps::new("10.96.0.0/29".parse().unwrap());
        let mut given = std::collections::BTreeSet::new();
        while let Ok(ip) = ips.next("a") {
            assert!(given.insert(ip), "{ip} given twice");
        }
        assert!(given.len() >= 4);
        assert!(matches!(ips.next("a"), Err(IpError::Full)));
        let one = *given.first().unwrap();
        assert!(matches!(ips.take(&one.to_string(), "b"), Err(IpError::Taken)));
        ips.release(&one.to_string(), "b");
        assert!(ips.next("b").is_err());
        ips.release(&one.to_string(), "a");
        assert_eq!(ips.next("b").unwrap(), one);
        assert!(matches!(ips.take("10.97.0.1", "b"), Err(IpError::OutOfRange(_))));
    }
}
