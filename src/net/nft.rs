//! Rulesets of nf_tables, as far as capture needs them: one table with chains of address translation, and rules that match a few
//! properties of a connection's first packet and then accept it or redirect it to a port of this machine.
//!
//! The kernel takes a table whole or not at all; one of the same name that is there already is replaced by it. The layouts are
//! those of `linux/netfilter/nf_tables.h` and `nfnetlink.h`; numbers in attributes are in network byte order.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::sys::socket::SockProtocol;

use super::netlink::{APPEND, Batch, CREATE, Payload};

const TABLE: &str = "mesh";

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

/// `NFPROTO_UNSPEC`, `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const UNSPECIFIED: u8 = 0;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `NF_IP_PRI_NAT_DST`.
const PRIORITY: i32 = -100;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;

/// `NFT_REG_VERDICT`, `NFT_REG_1`.
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;
/// `NFT_META_*`.
const META_MARK: u32 = 3;
const META_OUT_INTERFACE: u32 = 5;
const META_SOCKET_USER: u32 = 10;
const META_SOCKET_GROUP: u32 = 11;
const META_NETWORK_PROTOCOL: u32 = 15;
const META_L4_PROTOCOL: u32 = 16;
/// `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Where a TCP header has its destination, and how long it is.
const TCP_DESTINATION: (u32, u32) = (2, 2);
/// `NFT_CMP_EQ`, `NFT_CMP_NEQ`.
const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;
const TCP: u8 = 6;
/// The loopback interface's index, the first in every namespace.
const LOOPBACK: u32 = 1;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `NFPROTO_IPV4`.
    Ipv4,
    /// `NFPROTO_INET`: IPv4 and IPv6.
    Inet,
}

impl Family {
    const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => IPV4,
            Self::Inet => 1,
        }
    }
}

/// Where packets pass by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// `NF_INET_PRE_ROUTING`: what comes in.
    Prerouting,
    /// `NF_INET_LOCAL_OUT`: what processes of this namespace send.
    Output,
}

impl Hook {
    const fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Output => 3,
        }
    }

    const fn chain(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Output => "output",
        }
    }
}

/// A property of a packet that a rule wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// It is TCP.
    Tcp,
    /// It carries this `SO_MARK`.
    Mark(u32),
    /// It leaves by the loopback interface.
    ToLoopback,
    /// The socket that sends it is this user's; `false`: another's.
    User(u32, bool),
    /// The same of the group.
    Group(u32, bool),
    /// It comes from these addresses.
    From(IpNet),
    /// It goes to these addresses.
    To(IpNet),
    /// It goes to another address.
    NotTo(IpAddr),
    /// It goes to this TCP port.
    ToPort(u16),
    /// It goes to another TCP port.
    NotToPort(u16),
}

/// What becomes of a connection that a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes where it was going.
    Accept,
    /// It goes to this port of this machine.
    Redirect(u16),
}

/// A table in the making.
pub(super) struct Table {
    batch: Batch,
    family: Family,
}

impl Table {
    /// A table that replaces the one that is there.
    pub(super) fn new(family: Family) -> Self {
        let mut batch = Batch::new(SockProtocol::NetlinkNetFilter);
        batch.mark(BATCH_BEGIN, |begin| header(begin, UNSPECIFIED, SUBSYSTEM));
        let mut table = Self { batch, family };
        // Deleting wants it to be there.
        table.table("make an nf_tables table", NEW_TABLE, CREATE);
        table.table("replace an nf_tables table", DELETE_TABLE, 0);
        table.table("make an nf_tables table", NEW_TABLE, CREATE);
        table
    }

    fn table(&mut self, step: &'static str, message: u16, flags: u16) {
        let family = self.family.number();
        self.batch.request(step, message, flags, |table| {
            header(table, family, 0);
            table.name(1, TABLE);
            if message == NEW_TABLE {
                table.number(2, 0);
            }
        });
    }

    /// Adds the chain that sees what passes `hook`.
    pub(super) fn chain(&mut self, hook: Hook) {
        let family = self.family.number();
        self.batch.request("make an nf_tables nat chain", NEW_CHAIN, CREATE, |chain| {
            header(chain, family, 0);
            chain.name(1, TABLE);
            chain.name(3, hook.chain());
            chain.nested(4, |place| {
                place.number(1, hook.number());
                place.attribute(2, &PRIORITY.to_be_bytes());
            });
            chain.number(5, ACCEPT);
            chain.name(7, "nat");
        });
    }

    /// Adds a rule behind those that the chain has. `step` completes the sentence "cannot …".
    pub(super) fn rule(&mut self, hook: Hook, step: &'static str, wants: &[Wants], verdict: Verdict) {
        let family = self.family;
        self.batch.request(step, NEW_RULE, CREATE | APPEND, |message| {
            header(message, family.number(), 0);
            message.name(1, TABLE);
            message.name(2, hook.chain());
            message.nested(4, |expressions| {
                for want in wants {
                    want.express(expressions, family);
                }
                verdict.express(expressions);
            });
        });
    }

    /// The requests that make it.
    pub(super) fn finish(mut self) -> Batch {
        self.batch.mark(BATCH_END, |end| header(end, UNSPECIFIED, SUBSYSTEM));
        self.batch
    }
}

impl Wants {
    fn express(self, list: &mut Payload<'_>, family: Family) {
        match self {
            Self::Tcp => {
                meta(list, META_L4_PROTOCOL);
                compare(list, EQUAL, &[TCP]);
            }
            // What the kernel has in memory is compared as the machine has it in memory.
            Self::Mark(mark) => {
                meta(list, META_MARK);
                compare(list, EQUAL, &mark.to_ne_bytes());
            }
            Self::ToLoopback => {
                meta(list, META_OUT_INTERFACE);
                compare(list, EQUAL, &LOOPBACK.to_ne_bytes());
            }
            Self::User(id, same) | Self::Group(id, same) => {
                meta(list, if matches!(self, Self::User(..)) { META_SOCKET_USER } else { META_SOCKET_GROUP });
                compare(list, if same { EQUAL } else { DIFFERENT }, &id.to_ne_bytes());
            }
            Self::From(range) => address(list, family, range, false, EQUAL),
            Self::To(range) => address(list, family, range, true, EQUAL),
            Self::NotTo(ip) => address(list, family, ip.into(), true, DIFFERENT),
            Self::ToPort(port) | Self::NotToPort(port) => {
                let (offset, length) = TCP_DESTINATION;
                payload(list, TRANSPORT_HEADER, offset, length);
                let operator = if matches!(self, Self::ToPort(_)) { EQUAL } else { DIFFERENT };
                compare(list, operator, &port.to_be_bytes());
            }
        }
    }
}

/// Compares the source or the destination with a range.
fn address(list: &mut Payload<'_>, family: Family, range: IpNet, destination: bool, operator: u32) {
    // Offsets in the headers: RFC 791 section 3.1, RFC 8200 section 3.
    let (protocol, offset, bytes, mask) = match (range, destination) {
        (IpNet::V4(net), _) => {
            let offset = if destination { 16 } else { 12 };
            (IPV4, offset, net.network().octets().to_vec(), net.netmask().octets().to_vec())
        }
        (IpNet::V6(net), _) => {
            let offset = if destination { 24 } else { 8 };
            (IPV6, offset, net.network().octets().to_vec(), net.netmask().octets().to_vec())
        }
    };
    if family == Family::Inet {
        meta(list, META_NETWORK_PROTOCOL);
        compare(list, EQUAL, &[protocol]);
    }
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    payload(list, NETWORK_HEADER, offset, length);
    if range.prefix_len() < range.max_prefix_len() {
        expression(list, "bitwise", |data| {
            data.number(1, REGISTER);
            data.number(2, REGISTER);
            data.number(3, length);
            data.nested(4, |inside| inside.attribute(1, &mask));
            data.nested(5, |inside| inside.attribute(1, &vec![0; bytes.len()]));
        });
    }
    compare(list, operator, &bytes);
}

impl Verdict {
    fn express(self, list: &mut Payload<'_>) {
        match self {
            Self::Accept => expression(list, "immediate", |data| {
                data.number(1, REGISTER_VERDICT);
                data.nested(2, |inside| inside.nested(2, |verdict| verdict.number(1, ACCEPT)));
            }),
            Self::Redirect(port) => {
                expression(list, "immediate", |data| {
                    data.number(1, REGISTER);
                    data.nested(2, |value| value.attribute(1, &port.to_be_bytes()));
                });
                expression(list, "redir", |data| data.number(1, REGISTER));
            }
        }
    }
}

/// `struct nfgenmsg`.
fn header(message: &mut Payload<'_>, family: u8, resource: u16) {
    message.raw(&[family, 0]);
    message.raw(&resource.to_be_bytes());
}

fn expression(list: &mut Payload<'_>, name: &str, fill: impl FnOnce(&mut Payload<'_>)) {
    list.nested(1, |element| {
        element.name(1, name);
        element.nested(2, fill);
    });
}

/// Loads a property of the packet.
fn meta(list: &mut Payload<'_>, key: u32) {
    expression(list, "meta", |data| {
        data.number(1, REGISTER);
        data.number(2, key);
    });
}

/// Loads `length` bytes of a header.
fn payload(list: &mut Payload<'_>, base: u32, offset: u32, length: u32) {
    expression(list, "payload", |data| {
        data.number(1, REGISTER);
        data.number(2, base);
        data.number(3, offset);
        data.number(4, length);
    });
}

/// Goes on with the rule if what was loaded is, or is not, `value`.
fn compare(list: &mut Payload<'_>, operator: u32, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.number(1, REGISTER);
        data.number(2, operator);
        data.nested(3, |inside| inside.attribute(1, value));
    });
}
