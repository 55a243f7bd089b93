//! Giving a fresh network namespace one interface that every connection leads to.
//!
//! The loopback interface is brought up, gets the pod's address, and becomes the default route: `connect` to any IPv4 address
//! finds a way out, on which the redirect waits ([`nft`](super::nft)). What is not redirected ends there, since nothing forwards.
//!
//! The layouts are those of `linux/rtnetlink.h`, `linux/if_link.h` and `linux/if_addr.h`.

use std::net::Ipv4Addr;

use nix::sys::socket::SockProtocol;

use super::netlink::{Batch, CREATE};

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
/// The loopback interface's index, the first in every namespace.
const LOOPBACK: u32 = 1;
/// `IFF_UP`.
const UP: u32 = 1;
/// `IFA_ADDRESS`, `IFA_LOCAL`.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
/// `RTA_OIF`, `RTA_PREFSRC`.
const OUT_INTERFACE: u16 = 4;
const PREFERRED_SOURCE: u16 = 7;
/// `RT_TABLE_MAIN`, `RTPROT_STATIC`, `RT_SCOPE_LINK`, `RTN_UNICAST`.
const TABLE_MAIN: u8 = 254;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;

/// Brings loopback up, with `pod` as its address and the source of every connection.
pub(super) fn everything_to_loopback(pod: Ipv4Addr) -> Batch {
    let mut batch = Batch::new(SockProtocol::NetlinkRoute);
    batch.request("bring the loopback interface up", NEW_LINK, 0, |link| {
        link.raw(&[AF_UNSPEC, 0, 0, 0]);
        link.raw(&LOOPBACK.to_ne_bytes());
        link.raw(&UP.to_ne_bytes());
        link.raw(&UP.to_ne_bytes());
    });
    batch.request("give the loopback interface the pod's address", NEW_ADDRESS, CREATE, |address| {
        address.raw(&[AF_INET, 32, 0, 0]);
        address.raw(&LOOPBACK.to_ne_bytes());
        address.attribute(LOCAL, &pod.octets());
        address.attribute(ADDRESS, &pod.octets());
    });
    batch.request("make the loopback interface the default route", NEW_ROUTE, CREATE, |route| {
        route.raw(&[AF_INET, 0, 0, 0, TABLE_MAIN, PROTOCOL_STATIC, SCOPE_LINK, UNICAST]);
        route.raw(&0u32.to_ne_bytes());
        route.attribute(OUT_INTERFACE, &LOOPBACK.to_ne_bytes());
        route.attribute(PREFERRED_SOURCE, &pod.octets());
    });
    batch
}
