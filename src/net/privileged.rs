//! Ports below 1024 of addresses that stand for pods on this machine.
//!
//! An ordinary user may not listen on them, and containers do. On a loopback address other than 127.0.0.1, which is nobody's but a
//! pod's, such a port has a twin among the last 1024 ports, which no system hands out by itself: whoever listens, listens there, and
//! whoever connects, connects there. Everybody speaks of the port that is meant. Where the system allows the port, there is no twin.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use super::listen::may_listen;

/// The first of the twins: that of port 0.
const FIRST: u16 = u16::MAX - 1023;

/// Where Linux says which port is the first that everybody may have.
const SETTING: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// The ports from this one on may be listened on.
static FREE: LazyLock<u16> = LazyLock::new(|| match may_listen(1) {
    true => 0,
    false => std::fs::read_to_string(SETTING).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024),
});

/// The socket behind an address.
pub fn socket_of(address: SocketAddr) -> SocketAddr {
    twin(address, *FREE)
}

/// The address that a socket stands for: the inverse of [`socket_of`].
pub fn address_of(socket: SocketAddr) -> SocketAddr {
    meant(socket, *FREE)
}

fn is_pods(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_loopback() && ip != Ipv4Addr::LOCALHOST)
}

fn twin(mut address: SocketAddr, free: u16) -> SocketAddr {
    let port = address.port();
    if (1..free.min(1024)).contains(&port) && is_pods(address.ip()) {
        address.set_port(FIRST + port);
    }
    address
}

fn meant(mut socket: SocketAddr, free: u16) -> SocketAddr {
    if let Some(port) = socket.port().checked_sub(FIRST)
        && (1..free.min(1024)).contains(&port)
        && is_pods(socket.ip())
    {
        socket.set_port(port);
    }
    socket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_needs_a_privilege_has_a_twin_on_the_addresses_of_pods_alone() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (free, address, socket) in [
            (1024, "127.20.0.5:80", "127.20.0.5:64592"),
            (1024, "127.20.0.5:1023", "127.20.0.5:65535"),
            (1024, "127.20.0.5:1024", "127.20.0.5:1024"),
            (1024, "127.20.0.5:0", "127.20.0.5:0"),
            (1024, "127.0.0.1:80", "127.0.0.1:80"),
            (1024, "10.0.0.1:80", "10.0.0.1:80"),
            (1024, "[::1]:80", "[::1]:80"),
            (80, "127.20.0.5:80", "127.20.0.5:80"),
            (80, "127.20.0.5:79", "127.20.0.5:64591"),
            (0, "127.20.0.5:80", "127.20.0.5:80"),
        ] {
            assert_eq!(twin(at(address), free), at(socket), "{address}");
            assert_eq!(meant(at(socket), free), at(address), "{socket}");
        }
    }
}
