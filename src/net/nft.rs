//! The redirect of a pod's outgoing TCP, as an nf_tables ruleset:
//!
//! ```text
//! table ip mesh {
//!     chain output {
//!         type nat hook output priority -100; policy accept;
//!         meta mark <proxy's> accept
//!         ip daddr 127.0.0.0/8 accept
//!         ip daddr <pod> accept
//!         meta l4proto tcp redirect to :<port>
//!     }
//! }
//! ```
//!
//! The kernel takes it whole or not at all. The layouts are those of `linux/netfilter/nf_tables.h` and `nfnetlink.h`; numbers in
//! attributes are in network byte order.

use std::net::Ipv4Addr;

use nix::sys::socket::SockProtocol;

use super::netlink::{APPEND, Batch, CREATE, Payload};

const TABLE: &str = "mesh";
const CHAIN: &str = "output";

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

/// `NFPROTO_UNSPEC`, `NFPROTO_IPV4`.
const UNSPECIFIED: u8 = 0;
const IPV4: u8 = 2;
/// `NF_INET_LOCAL_OUT`.
const HOOK_OUTPUT: u32 = 3;
/// `NF_IP_PRI_NAT_DST`.
const PRIORITY: i32 = -100;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;

/// `NFT_REG_VERDICT`, `NFT_REG_1`.
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;
/// `NFT_META_MARK`, `NFT_META_L4PROTO`.
const META_MARK: u32 = 3;
const META_L4_PROTOCOL: u32 = 16;
/// `NFT_PAYLOAD_NETWORK_HEADER`, and where an IPv4 header has its destination.
const NETWORK_HEADER: u32 = 1;
const IPV4_DESTINATION: u32 = 16;
const TCP: u8 = 6;

/// Redirects TCP that leaves the namespace to `port` on its loopback address; what goes to loopback, to `pod` itself, or
/// carries `exempt_mark` (`SO_MARK`) is left alone.
pub(super) fn redirect_output(port: u16, pod: Ipv4Addr, exempt_mark: Option<u32>) -> Batch {
    let mut batch = Batch::new(SockProtocol::NetlinkNetFilter);
    batch.mark(BATCH_BEGIN, |begin| header(begin, UNSPECIFIED, SUBSYSTEM));
    batch.request("make an nf_tables table", NEW_TABLE, CREATE, |table| {
        header(table, IPV4, 0);
        table.name(1, TABLE);
        table.number(2, 0);
    });
    batch.request("make an nf_tables nat chain", NEW_CHAIN, CREATE, |chain| {
        header(chain, IPV4, 0);
        chain.name(1, TABLE);
        chain.name(3, CHAIN);
        chain.nested(4, |hook| {
            hook.number(1, HOOK_OUTPUT);
            hook.attribute(2, &PRIORITY.to_be_bytes());
        });
        chain.number(5, ACCEPT);
        chain.name(7, "nat");
    });
    if let Some(mark) = exempt_mark {
        rule(&mut batch, "exempt the proxy's own traffic", |expressions| {
            meta(expressions, META_MARK);
            // A mark is compared as the machine has it in memory.
            equals(expressions, &mark.to_ne_bytes());
            accept(expressions);
        });
    }
    rule(&mut batch, "exempt loopback addresses", |expressions| {
        destination(expressions, 1);
        equals(expressions, &[127]);
        accept(expressions);
    });
    rule(&mut batch, "exempt the pod's own address", |expressions| {
        destination(expressions, 4);
        equals(expressions, &pod.octets());
        accept(expressions);
    });
    rule(&mut batch, "redirect TCP", |expressions| {
        meta(expressions, META_L4_PROTOCOL);
        equals(expressions, &[TCP]);
        expression(expressions, "immediate", |data| {
            data.number(1, REGISTER);
            data.nested(2, |value| value.attribute(1, &port.to_be_bytes()));
        });
        expression(expressions, "redir", |data| data.number(1, REGISTER));
    });
    batch.mark(BATCH_END, |end| header(end, UNSPECIFIED, SUBSYSTEM));
    batch
}

/// `struct nfgenmsg`.
fn header(message: &mut Payload<'_>, family: u8, resource: u16) {
    message.raw(&[family, 0]);
    message.raw(&resource.to_be_bytes());
}

fn rule(batch: &mut Batch, step: &'static str, fill: impl FnOnce(&mut Payload<'_>)) {
    batch.request(step, NEW_RULE, CREATE | APPEND, |message| {
        header(message, IPV4, 0);
        message.name(1, TABLE);
        message.name(2, CHAIN);
        message.nested(4, fill);
    });
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

/// Loads the first `length` bytes of the destination address.
fn destination(list: &mut Payload<'_>, length: u32) {
    expression(list, "payload", |data| {
        data.number(1, REGISTER);
        data.number(2, NETWORK_HEADER);
        data.number(3, IPV4_DESTINATION);
        data.number(4, length);
    });
}

/// Goes on with the rule if what was loaded is `value`.
fn equals(list: &mut Payload<'_>, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.number(1, REGISTER);
        data.number(2, 0);
        data.nested(3, |inside| inside.attribute(1, value));
    });
}

fn accept(list: &mut Payload<'_>) {
    expression(list, "immediate", |data| {
        data.number(1, REGISTER_VERDICT);
        data.nested(2, |inside| inside.nested(2, |verdict| verdict.number(1, ACCEPT)));
    });
}
