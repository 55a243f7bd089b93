//! Addresses of the loopback pod network.
//!
//! Each runtime holds one block `127.N.0.0/16`, so that several runtimes on one machine never meet. A pod has two addresses in
//! it: the one that others call, where its proxy listens, and the one that only its proxy calls, where its app listens.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Blocks that are tried: `127.64.0.0/16` to `127.191.0.0/16`.
const FIRST_BLOCK: u8 = 64;
const BLOCKS: u8 = 128;

/// Pods of one runtime at most.
pub const MAX_PODS: u16 = 4096;

/// Where a block is held: its last address, on a port that no app uses.
const HOLD_PORT: u16 = 15_000;

/// Sets the app's address apart from the pod's: the highest bit of the third octet.
const APP_BIT: u8 = 0x80;

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No block could be taken.
    #[error(
        "no block of loopback addresses is free: 127.{FIRST_BLOCK}.0.0 to 127.{last}.0.0 are all refused ({reason}); the loopback pod network needs a system that answers on all of 127.0.0.0/8, as Linux does",
        last = FIRST_BLOCK + (BLOCKS - 1)
    )]
    NoBlock {
        /// What the system said last.
        reason: String,
    },
    /// Every address of the block is taken.
    #[error("the pod network is full: {MAX_PODS} pods are running")]
    Full,
}

/// A block that this process holds, and who has which address in it.
#[derive(Debug)]
pub struct AddressBlock {
    block: u8,
    taken: BTreeMap<u16, String>,
    _held: TcpListener,
}

impl AddressBlock {
    /// Takes the block that `preferred` names, or the next free one.
    pub fn take(preferred: u8) -> Result<Self, AddressError> {
        let start = preferred.wrapping_sub(FIRST_BLOCK) % BLOCKS;
        let mut reason = String::new();
        for step in 0..BLOCKS {
            let block = FIRST_BLOCK + (start + step) % BLOCKS;
            let hold = SocketAddr::from(([127, block, 255, 254], HOLD_PORT));
            match TcpListener::bind(hold) {
                Ok(held) => return Ok(Self { block, taken: BTreeMap::new(), _held: held }),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(AddressError::NoBlock { reason })
    }

    /// The block's number, to prefer next time.
    pub fn number(&self) -> u8 {
        self.block
    }

    /// The node's own address in the block.
    pub fn node(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.block, 255, 253)
    }

    /// Gives `uid` an address: the one that it has, else `preferred` when it is free and of this block, else the lowest free one.
    pub fn allocate(&mut self, uid: &str, preferred: Option<IpAddr>) -> Result<PodAddresses, AddressError> {
        if let Some((host, _)) = self.taken.iter().find(|(_, holder)| *holder == uid) {
            return Ok(self.addresses(*host));
        }
        let preferred = preferred.and_then(|address| self.host(address)).filter(|host| !self.taken.contains_key(host));
        let host = match preferred {
            Some(host) => host,
            None => (1..=MAX_PODS).find(|host| !self.taken.contains_key(host)).ok_or(AddressError::Full)?,
        };
        self.taken.insert(host, uid.to_owned());
        Ok(self.addresses(host))
    }

    /// Takes back what `uid` has.
    pub fn release(&mut self, uid: &str) {
        self.taken.retain(|_, holder| holder != uid);
    }

    fn addresses(&self, host: u16) -> PodAddresses {
        let [high, low] = host.to_be_bytes();
        PodAddresses {
            pod: Ipv4Addr::new(127, self.block, high, low),
            app: Ipv4Addr::new(127, self.block, high | APP_BIT, low),
        }
    }

    fn host(&self, address: IpAddr) -> Option<u16> {
        let IpAddr::V4(address) = address else { return None };
        let [127, block, high, low] = address.octets() else { return None };
        let host = u16::from_be_bytes([high, low]);
        (block == self.block && (1..=MAX_PODS).contains(&host)).then_some(host)
    }
}

/// Whether an address is one that only a pod's proxy calls.
pub(super) fn is_app(address: Ipv4Addr) -> bool {
    let [_, _, high, low] = address.octets();
    high & APP_BIT != 0 && (1..=MAX_PODS).contains(&u16::from_be_bytes([high & !APP_BIT, low]))
}

/// The two addresses of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodAddresses {
    /// What others call.
    pub pod: Ipv4Addr,
    /// What the app listens on.
    pub app: Ipv4Addr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runtimes_never_share_a_block() {
        let first = AddressBlock::take(100).unwrap();
        let second = AddressBlock::take(100).unwrap();
        assert_ne!(first.number(), second.number());
    }

    #[test]
    fn a_pod_gets_its_old_address_back_where_it_is_free() {
        let mut block = AddressBlock::take(110).unwrap();
        let first = block.allocate("a", None).unwrap();
        assert_eq!(block.allocate("a", None).unwrap(), first);
        assert_ne!(block.allocate("b", Some(first.pod.into())).unwrap(), first);
        block.release("a");
        assert_eq!(block.allocate("c", Some(first.pod.into())).unwrap(), first);
        assert_ne!(first.pod, first.app);
        assert_eq!([first.pod, first.app, block.node()].map(is_app), [false, true, false]);
    }

    #[test]
    fn an_address_of_another_block_is_not_given() {
        let mut block = AddressBlock::take(120).unwrap();
        let given = block.allocate("a", Some(IpAddr::from([10, 0, 0, 1]))).unwrap();
        assert_eq!(given.pod.octets()[1], block.number());
    }
}
