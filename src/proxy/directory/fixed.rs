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

    /// Replaces what a gateway is told about itself, what it demands, its ports and its routes, in an order in which no request
    /// finds a part missing: routes that only the listeners before name stay until the next replacement, because workers take up
    /// listeners one after the other.
    pub(in crate::proxy) fn replace_gateway(
        &self,
        settings: Settings,
        listeners: Vec<Listener>,
        routes: Vec<(Arc<str>, Arc<RoutesInForce>)>,
        policy: Option<Arc<InboundPolicy>>,
    ) {
        self.shared.inbound.store(policy);
        let held = self.shared.gateway_routes.load_full();
        let listed = self.shared.listeners.borrow().clone();
        let named = listed.iter().flat_map(|listener| &listener.virtual_hosts).map(|host| &host.routes);
        let before = named.filter_map(|name| Some((name.clone(), held.get(name)?.clone())));
        self.shared.gateway_routes.store(Arc::new(before.chain(routes).collect()));
        self.shared.settings.store(Arc::new(settings));
        self.shared.listeners.send_replace(listeners.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{self, REVIEWS, SCOPE, cluster};
    use super::super::{Cluster, EndpointStates};
    use super::*;

    #[tokio::test]
    async fn it_knows_what_it_is_given_and_everything_else_is_unknown() {
        let service = Arc::new(fixtures::record(SCOPE, REVIEWS).service);
        let assembled = Cluster::assemble(
            &cluster(REVIEWS, "v2"),
            &service,
            &fixtures::policy(REVIEWS, &["v1", "v2"]),
            &fixtures::endpoints(REVIEWS, &[(11, "v1"), (12, "v2")]).endpoints,
            &mut EndpointStates::default(),
            None,
            None,
        );
        let routes = Arc::new(fixtures::routes("reviews", &[(REVIEWS, "v2", 1)]));
        let routes = Arc::new(RoutesInForce::new(routes, assembled));
        let targets = vec![("reviews".into(), Arc::new(Target { service, routes }))];
        let directory = Directory::fixed(FixedDirectory { targets, ..FixedDirectory::default() });

        let Resolution::Known(target) = directory.resolve("reviews").await else { panic!("reviews is not known") };
        let endpoints = &target.routes.cluster(&cluster(REVIEWS, "v2")).unwrap().endpoints;
        assert_eq!(endpoints.iter().map(|e| e.address.to_string()).collect::<Vec<_>>(), ["10.0.0.12:19080"]);
        assert!(matches!(directory.resolve("ratings").await, Resolution::Unknown));
        assert!(*directory.ready().borrow());
    }
}
