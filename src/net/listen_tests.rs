use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn anywhere() -> SocketAddr {
    SocketAddr::new(LOOPBACK, 0)
}

fn workers(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[test]
fn a_taken_port_is_named_however_it_is_asked_for() {
    for taken in [vec![bind(anywhere()).unwrap()], bind_group(anywhere(), workers(2)).unwrap()] {
        let address = taken[0].local_addr().unwrap();
        for result in [bind(address).map(|l| vec![l]), bind_group(address, workers(2))] {
            let error = result.unwrap_err();
            assert!(matches!(error, BindError::InUse { .. }), "{error}");
            assert!(error.to_string().contains(&address.to_string()), "{error}");
        }
    }
}

#[test]
fn workers_share_one_port_and_every_connection_is_accepted_by_one_of_them() {
    const CONNECTIONS: usize = 64;
    let group = bind_group(anywhere(), workers(4)).unwrap();
    let address = group[0].local_addr().unwrap();
    assert!(group.iter().all(|listener| listener.local_addr().unwrap() == address));
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();

    let deadline = Instant::now() + Duration::from_secs(10);
    let mut accepted = vec![0; group.len()];
    while accepted.iter().sum::<usize>() < clients.len() {
        assert!(Instant::now() < deadline, "{accepted:?}");
        for (count, listener) in accepted.iter_mut().zip(&group) {
            match listener.accept() {
                Ok(_) => *count += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
    // That one of four sockets gets all of 64 connections has a probability of 4^-63.
    assert!(accepted.iter().filter(|count| **count > 0).count() > 1, "{accepted:?}");
}

#[test]
fn a_port_can_be_taken_again_while_old_connections_linger() {
    let listener = bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    listener.set_nonblocking(false).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.write_all(b"bye").unwrap();
    // The side that closes first is the one whose port lingers.
    drop(accepted);
    drop(listener);
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
    drop(client);
    bind(address).unwrap();
}

#[test]
fn the_next_free_port_is_found_and_a_full_range_is_said() {
    let taken = bind(anywhere()).unwrap();
    let port = taken.local_addr().unwrap().port();
    let found = bind_first_free(LOOPBACK, port, 100, workers(2)).unwrap();
    assert!(found[0].local_addr().unwrap().port() > port);
    let error = bind_first_free(LOOPBACK, port, 1, workers(1)).unwrap_err().to_string();
    assert!(error.contains("no free port") && error.contains(&port.to_string()), "{error}");
}

#[test]
fn an_address_of_another_machine_is_not_ours_on_any_port() {
    // TEST-NET-1 (RFC 5737): no machine has it.
    let elsewhere: IpAddr = "192.0.2.1".parse().unwrap();
    let error = bind_first_free(elsewhere, 20_000, 5, workers(1)).unwrap_err();
    assert!(matches!(error, BindError::NotOurs { .. }), "{error}");
    assert!(!is_loopback_usable("192.0.2.1".parse().unwrap()));
    assert!(is_loopback_usable(Ipv4Addr::LOCALHOST));
}

#[test]
fn small_writes_are_not_held_back() {
    let listener = bind(anywhere()).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    set_nodelay(&stream).unwrap();
    assert!(stream.nodelay().unwrap());
}
