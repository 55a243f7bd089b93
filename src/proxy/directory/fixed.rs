//! A directory that nobody keeps: what it knows is given, and every other name is unknown. For `--local` proxies and tests.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::model::{InboundPolicy, Listener, Settings};

use super::shards::Shards;
use super::{Credentials, Directory, Entry, Resolution, RoutesInForce, Shared, Target, initial_settings};

/// What a fixed directory knows. The default is nothing at all.
pub struct FixedDirectory {
    /// What the proxy is told about itself.
    pub settings: Settings,
    /// What the workload demands of its callers.
    pub inbound: Option<Arc<InboundPolicy>>,
    /// Who the proxy proves to be.
    pub credentials: Option<Arc<Credentials>>,
    /// Names and what they stand for.
    pub targets: Vec<(Arc<str>, Arc<Target>)>,
    /// The ports of a gateway.
    pub listeners: Vec<Listener>,
    /// The routes that the listeners' virtual hosts name.
    pub gateway_routes: Vec<(Arc<str>, Arc<RoutesInForce>)>,
}

impl Default for FixedDirectory {
    fn default() -> Self {
        Self {
            settings: initial_settings(),
            inbound: None,
            credentials: None,
            targets: Vec::new(),
            listeners: Vec::new(),
            gateway_routes: Vec::new(),
        }
    }
}

impl Directory {
    /// A directory that knows this and nothing else. It is ready from the start.
    pub fn fixed(known: FixedDirectory) -> Self {
        let shared = Shared::new(None);
        shared.settings.store(Arc::new(known.settings));
        shared.inbound.store(known.inbound);
        shared.credentials.store(known.credentials);
        shared.listeners.send_replace(known.listeners.into());
        let entry =
            |target| Arc::new(Entry { resolution: Resolution::Known(target), used: Arc::new(AtomicU32::new(0)) });
        let names: Shards<Entry> = known.targets.into_iter().map(|(name, target)| (name, entry(target))).collect();
        shared.names.store(Arc::new(names));
        shared.gateway_routes.store(Arc::new(known.gateway_routes.into_iter().collect()));
        shared.ready.send_replace(true);
        Self { shared: Arc::new(shared) }
    }
}
