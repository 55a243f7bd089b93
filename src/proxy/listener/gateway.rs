//! A gateway's ports: bound and given up as the control plane names them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::proxy::instance::Bound;
use crate::proxy::listener::{Acceptor, Origin, socket};

/// How long to wait before binding what could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Follows the listeners that are in force, until its task ends. A port that cannot be bound is said, and tried again.
pub async fn follow(
    acceptor: Acceptor,
    addresses: Arc<dyn Fn(u16) -> Vec<SocketAddr> + Send + Sync>,
    workers: usize,
    bound: tokio::sync::watch::Sender<Vec<Bound>>,
) {
    let mut listeners = acceptor.local.shared.directory.listeners();
    // (port of the gateway, address) → the task that accepts there.
    let mut open: BTreeMap<(u16, SocketAddr), AbortHandle> = BTreeMap::new();
    let mut sockets = tokio::task::JoinSet::new();
    loop {
        let wanted = listeners.borrow_and_update().clone();
        *acceptor.local.listeners.borrow_mut() = wanted.clone();
        let places: Vec<(u16, SocketAddr)> = wanted
            .iter()
            .flat_map(|listener| addresses(listener.port).into_iter().map(|address| (listener.port, address)))
            .collect();
        open.retain(|place, task| {
            let kept = places.contains(place);
            if !kept {
                task.abort();
            }
            kept
        });
        let mut failed = false;
        for place in places {
            if open.contains_key(&place) {
                continue;
            }
            match listen(&acceptor, place, workers, &bound) {
                Ok(listener) => {
                    let task = sockets.spawn_local(acceptor.clone().run(listener, Origin::Gateway(place.0)));
                    open.insert(place, task);
                }
                Err(error) => {
                    failed = true;
                    tracing::error!(proxy = %acceptor.local.shared.name, "{error}");
                }
            }
        }
        bound.send_modify(|bound| bound.retain(|bound| open.keys().any(|(port, _)| *port == bound.port)));
        while sockets.try_join_next().is_some() {}
        let changed = async {
            if listeners.changed().await.is_err() {
                // Nobody will name ports any more; what is there stays.
                std::future::pending::<()>().await;
            }
        };
        if failed {
            // Either way, look again.
            let _ = tokio::time::timeout(RETRY, changed).await;
        } else {
            changed.await;
        }
    }
}

fn listen(
    acceptor: &Acceptor,
    (port, address): (u16, SocketAddr),
    workers: usize,
    bound: &tokio::sync::watch::Sender<Vec<Bound>>,
) -> Result<std::net::TcpListener, socket::BindError> {
    let listener = socket::bind_one(address, workers > 1)?;
    let address = listener.local_addr().unwrap_or(address);
    acceptor.local.shared.own_addresses.write().push(address);
    bound.send_modify(|bound| {
        let new = Bound { port, address };
        if !bound.contains(&new) {
            bound.push(new);
        }
    });
    Ok(listener)
}
