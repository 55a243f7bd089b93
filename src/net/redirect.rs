//! The two rulesets of capture: of a pod whose network this house has made, and of one whose network somebody else has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::netlink::Batch;
use super::nft::{Family, Hook, Table, Verdict, Wants};

/// Where the proxy's own connections to the application come from (Istio's), by which they are told from those of the
/// application to itself.
pub const APPLICATION_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

/// Port of tunnelled traffic (Istio's), which is the proxy's as it is.
const TUNNEL_PORT: u16 = 15008;

/// What is captured: everything, or what is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent<T> {
    /// Everything.
    All,
    /// These.
    Only(Vec<T>),
}

/// How the traffic of a pod is led to the proxy inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The user and the group that the proxy runs as: its own traffic is left alone.
    pub proxy_id: u32,
    /// Where connections of the application arrive.
    pub outbound_port: u16,
    /// Where connections to the application arrive.
    pub inbound_port: u16,
    /// Ports of the application whose connections are captured.
    pub inbound: Extent<u16>,
    /// Ports whose connections are not.
    pub exclude_inbound: Vec<u16>,
    /// Addresses, connections to which are captured.
    pub outbound: Extent<IpNet>,
    /// Addresses, connections to which are not.
    pub exclude_outbound: Vec<IpNet>,
    /// Ports, connections to which are captured wherever they go.
    pub outbound_ports: Vec<u16>,
    /// Ports, connections to which are not captured wherever they go.
    pub exclude_outbound_ports: Vec<u16>,
}

impl Redirect {
    /// The ruleset (Istio's, <https://github.com/istio/istio/wiki/Understanding-IPTables-snapshot>):
    ///
    /// ```text
    /// table inet mesh {
    ///     chain prerouting {
    ///         type nat hook prerouting priority dstnat;
    ///         tcp dport <excluded> accept
    ///         meta l4proto tcp redirect to :<inbound>
    ///     }
    ///     chain output {
    ///         type nat hook output priority dstnat;
    ///         tcp dport <excluded> accept
    ///         oif lo ip saddr 127.0.0.6 accept                                        # the proxy to the application
    ///         oif lo ip daddr != 127.0.0.1 tcp dport != 15008 skuid <proxy> redirect to :<inbound>   # … to its own pod
    ///         oif lo skuid != <proxy> accept                                          # the application to itself
    ///         skuid <proxy> accept                                                    # and the same for skgid
    ///         ip daddr 127.0.0.1 accept
    ///         ip daddr <excluded> accept
    ///         meta l4proto tcp redirect to :<outbound>
    ///     }
    /// }
    /// ```
    ///
    /// IPv6 is redirected as well, to where nobody listens: what the proxy cannot see does not get past it either.
    pub(super) fn batch(&self) -> Batch {
        let mut table = Table::new(Family::Inet);
        table.chain(Hook::Prerouting);
        table.chain(Hook::Output);
        self.inbound_rules(&mut table);
        self.outbound_rules(&mut table);
        table.finish()
    }

    fn inbound_rules(&self, table: &mut Table) {
        let hook = Hook::Prerouting;
        for port in &self.exclude_inbound {
            let wants = [Wants::Tcp, Wants::ToPort(*port)];
            table.rule(hook, "exempt an inbound port", &wants, Verdict::Accept);
        }
        let to_proxy = Verdict::Redirect(self.inbound_port);
        match &self.inbound {
            Extent::All => table.rule(hook, "redirect inbound TCP", &[Wants::Tcp], to_proxy),
            Extent::Only(ports) => {
                for port in ports {
                    let wants = [Wants::Tcp, Wants::ToPort(*port)];
                    table.rule(hook, "redirect an inbound port", &wants, to_proxy);
                }
            }
        }
    }

    fn outbound_rules(&self, table: &mut Table) {
        let hook = Hook::Output;
        let mut rule = |step, wants: &[Wants], verdict| table.rule(hook, step, wants, verdict);
        for port in &self.exclude_outbound_ports {
            rule("exempt an outbound port", &[Wants::Tcp, Wants::ToPort(*port)], Verdict::Accept);
        }
        let source = IpNet::from(IpAddr::V4(APPLICATION_SOURCE));
        let to_application = [Wants::ToLoopback, Wants::From(source)];
        rule("exempt the proxy's connections to the application", &to_application, Verdict::Accept);
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let ids: [fn(u32, bool) -> Wants; 2] = [Wants::User, Wants::Group];
        for owner in ids {
            for loopback in [v4, v6] {
                let to_own_pod = [
                    Wants::ToLoopback,
                    Wants::Tcp,
                    Wants::NotTo(loopback),
                    Wants::NotToPort(TUNNEL_PORT),
                    owner(self.proxy_id, true),
                ];
                rule("lead the proxy to its own pod", &to_own_pod, Verdict::Redirect(self.inbound_port));
            }
            let own = [Wants::ToLoopback, owner(self.proxy_id, false)];
            rule("exempt the application's connections to itself", &own, Verdict::Accept);
            rule("exempt the proxy's own traffic", &[owner(self.proxy_id, true)], Verdict::Accept);
        }
        for loopback in [v4, v6] {
            rule("exempt loopback addresses", &[Wants::To(loopback.into())], Verdict::Accept);
        }
        for range in &self.exclude_outbound {
            rule("exempt a range of addresses", &[Wants::To(*range)], Verdict::Accept);
        }
        let to_proxy = Verdict::Redirect(self.outbound_port);
        for port in &self.outbound_ports {
            rule("redirect an outbound port", &[Wants::Tcp, Wants::ToPort(*port)], to_proxy);
        }
        match &self.outbound {
            Extent::All => rule("redirect outbound TCP", &[Wants::Tcp], to_proxy),
            Extent::Only(ranges) => {
                for range in ranges {
                    rule("redirect a range of addresses", &[Wants::Tcp, Wants::To(*range)], to_proxy);
                }
            }
        }
    }
}

/// Redirects TCP over IPv4 that leaves the namespace to `port` on its loopback address; what goes to loopback, to `pod` itself, or
/// carries `exempt_mark` (`SO_MARK`) is left alone.
pub(super) fn redirect_output(port: u16, pod: Ipv4Addr, exempt_mark: Option<u32>) -> Batch {
    let mut table = Table::new(Family::Ipv4);
    let hook = Hook::Output;
    table.chain(hook);
    if let Some(mark) = exempt_mark {
        table.rule(hook, "exempt the proxy's own traffic", &[Wants::Mark(mark)], Verdict::Accept);
    }
    let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    table.rule(hook, "exempt loopback addresses", &[Wants::To(loopback.into())], Verdict::Accept);
    let own = Wants::To(IpAddr::V4(pod).into());
    table.rule(hook, "exempt the pod's own address", &[own], Verdict::Accept);
    table.rule(hook, "redirect TCP", &[Wants::Tcp], Verdict::Redirect(port));
    table.finish()
}
