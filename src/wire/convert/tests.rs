use std::time::Duration;

use ipnet::IpNet;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::model::authz::{
    Attribute, CheckedBody, Condition, HostMatch, HttpCheck, Policy, PolicyAction, Provider, ProviderProtocol, Rule,
    TemplatePart, Text, ValueMatch,
};
use crate::model::matching::WholeMatch;
use crate::model::policy::PortPolicies;
use crate::model::route::ClaimWay;
use crate::model::token::{ClaimHeader, KeySet, Place, TokenRule};
use crate::model::*;
use crate::telemetry::{MetricOverride, StandardMetric};

fn text() -> impl Strategy<Value = Arc<str>> {
    "[a-z][a-z0-9.-]{0,12}".prop_map(Arc::from)
}

fn maybe_empty() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9.-]{0,6}".prop_map(Arc::from)
}

fn some_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn label_pairs() -> impl Strategy<Value = Vec<(Arc<str>, Arc<str>)>> {
    btree_map(text(), maybe_empty(), 0..3).prop_map(|map| map.into_iter().collect())
}

fn provenance() -> impl Strategy<Value = Provenance> {
    let source = option::of((text(), 1u32..99, 1u32..99));
    (text(), maybe_empty(), text(), option::of(text()), source).prop_map(|(kind, namespace, name, rule, source)| {
        let source = source.map(|(file, line, column)| Arc::new(SourcePosition { file, line, column }));
        Provenance { kind, namespace, name, rule, source }
    })
}

prop_compose! {
    fn workload()(
        uid in text(), name in text(), namespace in text(), addresses in vec(some_address(), 0..3),
        identity in option::of(Just("spiffe://cluster.local/ns/shop/sa/web")), labels in btree_map(text(), text(), 0..3),
        names in (text(), text(), text()), place in (maybe_empty(), maybe_empty(), maybe_empty(), maybe_empty()), mutual in any::<bool>(),
    ) -> Workload {
        let (workload_name, canonical_name, canonical_revision) = names;
        let (region, zone, subzone, node) = place;
        Workload {
            uid, name, namespace, addresses,
            identity: identity.map(|identity| identity.parse().unwrap()),
            labels, workload_name, canonical_name, canonical_revision,
            locality: Locality { region, zone, subzone },
            node,
            protocol: if mutual { TunnelProtocol::MutualTls } else { TunnelProtocol::Plaintext },
        }
    }
}

fn protocol() -> impl Strategy<Value = AppProtocol> {
    prop::sample::select(vec![
        AppProtocol::Http,
        AppProtocol::Http2,
        AppProtocol::Tls,
        AppProtocol::Tcp,
        AppProtocol::Detect,
    ])
}

fn string_match() -> impl Strategy<Value = StringMatch> {
    let bytes = || vec(any::<u8>(), 0..8).prop_map(Vec::into_boxed_slice);
    prop_oneof![
        bytes().prop_map(StringMatch::Exact),
        bytes().prop_map(StringMatch::ExactIgnoringCase),
        bytes().prop_map(StringMatch::Prefix),
        bytes().prop_map(StringMatch::PrefixIgnoringCase),
        "[a-z]{1,4}[.]\\*".prop_map(|source| StringMatch::Regex(WholeMatch::new(&source).unwrap())),
        Just(StringMatch::Present),
    ]
}

prop_compose! {
    fn service_record()(
        host in text(), name in text(), namespace in text(), addresses in vec(some_address(), 0..3),
        ports in vec((1u16.., maybe_empty(), protocol()), 0..3), provenance in provenance(),
        routes in text(), traffic_policy in text(), endpoints in vec(text(), 0..3),
    ) -> ServiceRecord {
        let ports: Vec<ServicePort> =
            ports.into_iter().map(|(number, name, protocol)| ServicePort { number, name, protocol }).collect();
        let resolution = if ports.is_empty() { Resolution::Original } else { Resolution::FirstAnswer };
        let distribution = if ports.len() > 1 { TrafficDistribution::SameNode } else { TrafficDistribution::SameZone };
        let service = Service { host, name, namespace, addresses, ports, resolution, distribution, provenance };
        ServiceRecord { service, routes, traffic_policy, endpoints }
    }
}

prop_compose! {
    fn endpoint()(
        address in some_address(), ports in vec((1u16.., 1u16..), 0..3), weight in 1u32..,
        health in prop::sample::select(vec![Health::Healthy, Health::Draining, Health::Unhealthy]),
        workload in workload(),
    ) -> Arc<Endpoint> {
        let plaintext: Vec<u16> =
            ports.iter().map(|(_, target)| *target).take(usize::from(weight % 2 == 0)).collect();
        let name = plaintext.is_empty().then(|| Arc::from("name.example.com"));
        Arc::new(Endpoint { address, name, ports, weight, health, plaintext, workload: Arc::new(workload) })
    }
}

fn header_matches() -> impl Strategy<Value = Vec<(Box<str>, StringMatch)>> {
    vec(("[a-z-]{1,6}".prop_map(Box::from), string_match()), 0..3)
}

fn claim_matches() -> impl Strategy<Value = Vec<(ClaimWay, StringMatch)>> {
    let way = vec("[a-z]{0,3}".prop_map(Box::<str>::from), 1..3).prop_map(ClaimWay::from);
    vec((way, string_match()), 0..2)
}

prop_compose! {
    fn request_match()(
        path in option::of(string_match()), method in option::of(string_match()),
        headers in header_matches(), without_headers in header_matches(),
        port in option::of(1u16..), source_labels in label_pairs(), source_namespace in option::of(text()),
        unsupported in vec(text(), 0..2), others in (option::of(string_match()), option::of(string_match()), header_matches()),
        (claims, without_claims) in (claim_matches(), claim_matches()),
    ) -> RequestMatch {
        let (scheme, authority, query) = others;
        RequestMatch {
            path, method, scheme, authority, query, headers, without_headers, claims, without_claims, port, source_labels,
            source_namespace, unsupported,
        }
    }
}

fn cluster_name() -> impl Strategy<Value = ClusterName> {
    (text(), 1u16.., option::of(text())).prop_map(|(host, port, subset)| ClusterName { host, port, subset })
}

fn boxed() -> impl Strategy<Value = Box<str>> {
    "[a-z/%:-]{1,8}".prop_map(Box::from)
}

fn duration() -> impl Strategy<Value = Duration> {
    (1u64..1 << 50).prop_map(Duration::from_nanos)
}

fn share() -> impl Strategy<Value = Share> {
    (0u32..=1_000_000).prop_map(Share::of_million)
}

fn header_changes() -> impl Strategy<Value = HeaderChanges> {
    let name = || "x-[a-z]{1,6}".prop_map(Box::from);
    let lines = || vec((name(), boxed().prop_map(HeaderText::from)), 0..3);
    (vec(name(), 0..3), lines(), lines()).prop_map(|(remove, set, add)| HeaderChanges { remove, set, add })
}

fn header_edits() -> impl Strategy<Value = HeaderEdits> {
    (header_changes(), header_changes()).prop_map(|(request, response)| HeaderEdits { request, response })
}

fn action() -> impl Strategy<Value = Action> {
    let cluster = (cluster_name(), 1u32.., option::of(boxed()), header_edits())
        .prop_map(|(cluster, weight, authority, headers)| WeightedCluster { cluster, weight, authority, headers });
    let path = prop_oneof![
        Just(RedirectPath::Keep),
        boxed().prop_map(RedirectPath::Replace),
        boxed().prop_map(RedirectPath::Matched)
    ];
    let port = prop_oneof![
        Just(RedirectPort::Keep),
        (1u16..).prop_map(RedirectPort::Number),
        Just(RedirectPort::ProtocolDefault),
        Just(RedirectPort::Request)
    ];
    let scheme = option::of(prop::sample::select(vec!["http", "https"]));
    let status = prop::sample::select(vec![301, 302, 303, 307, 308]);
    let redirect =
        (path, option::of(boxed()), port, scheme, status).prop_map(|(path, authority, port, scheme, status)| {
            Redirect { path, authority, port, scheme: scheme.map(Into::into), status }
        });
    let response =
        (200u16..600, vec(any::<u8>(), 0..9)).prop_map(|(status, body)| DirectResponse { status, body: body.into() });
    prop_oneof![
        vec(cluster, 1..3).prop_map(Action::Forward),
        redirect.prop_map(Action::Redirect),
        response.prop_map(Action::Respond)
    ]
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let conditions: Vec<RetryCondition> =
        crate::model::handling::RETRY_CONDITIONS.iter().map(|(_, condition)| *condition).collect();
    let on = vec(prop::sample::select(conditions), 0..4);
    (0u32..9, option::of(duration()), on, vec(100u16..600, 0..3), duration(), any::<bool>()).prop_map(
        |(attempts, per_try_timeout, on, status_codes, backoff, avoids_tried)| RetryPolicy {
            attempts,
            per_try_timeout,
            on,
            status_codes,
            backoff,
            avoids_tried,
        },
    )
}

fn handling() -> impl Strategy<Value = Handling> {
    let status = prop_oneof![(200u16..600).prop_map(AbortStatus::Http), (0u8..=16).prop_map(AbortStatus::Grpc)];
    let fault = (option::of((duration(), share())), option::of((status, share())))
        .prop_map(|(delay, abort)| Fault { delay, abort });
    let path = prop_oneof![
        boxed().prop_map(PathRewrite::Matched),
        Just(PathRewrite::Regex(Substitution::new("/(a|b)", r"/x\1").unwrap()))
    ];
    let rewrite = (option::of(boxed()), option::of(path)).prop_map(|(authority, path)| Rewrite { authority, path });
    let mirror = (cluster_name(), share()).prop_map(|(cluster, share)| Mirror { cluster, share });
    let texts = (boxed(), boxed(), boxed());
    let cors = (vec(string_match(), 0..3), texts, option::of(any::<u64>()), any::<bool>(), any::<bool>()).prop_map(
        |(origins, (methods, headers, expose), max_age, credentials, forwards_unmatched)| Cors {
            origins,
            methods,
            headers,
            expose,
            max_age,
            credentials,
            forwards_unmatched,
        },
    );
    let parts = (
        option::of(duration()),
        retry(),
        option::of(fault),
        option::of(rewrite),
        header_edits(),
        vec(mirror, 0..3),
        option::of(cors),
    );
    parts.prop_map(|(timeout, retry, fault, rewrite, headers, mirrors, cors)| Handling {
        timeout,
        retry,
        fault,
        rewrite,
        headers,
        mirrors,
        cors,
    })
}

fn routes() -> impl Strategy<Value = Routes> {
    let rule = (provenance(), maybe_empty(), vec(request_match(), 0..3), action(), handling(), 0u32..3).prop_map(
        |(provenance, name, matches, action, handling, tier)| HttpRule {
            provenance,
            name,
            matches,
            action,
            handling,
            tier,
        },
    );
    let destination = (cluster_name(), 1u32..).prop_map(|(cluster, weight)| WeightedCluster::new(cluster, weight));
    let stream = (provenance(), vec(stream_match(), 0..3), vec(destination, 1..3))
        .prop_map(|(provenance, matches, destinations)| StreamRule { provenance, matches, destinations });
    (vec(rule, 0..4), vec(stream, 0..3)).prop_map(|(http, streams)| Routes { name: "scope/host".into(), http, streams })
}

fn stream_match() -> impl Strategy<Value = StreamMatch> {
    let subnet = prop::sample::select(vec!["10.0.0.0/8", "fd00::/16", "192.0.2.1/32"]);
    let subnets = vec(subnet.prop_map(|net| net.parse().unwrap()), 0..3);
    (host_patterns(), subnets, option::of(1u16..), label_pairs(), option::of(text())).prop_map(
        |(server_names, subnets, port, source_labels, source_namespace)| StreamMatch {
            server_names,
            subnets,
            port,
            source_labels,
            source_namespace,
        },
    )
}

fn upstream_tls() -> impl Strategy<Value = UpstreamTls> {
    let authorities = prop_oneof![
        Just(Authorities::System),
        text().prop_map(Authorities::Pem),
        text().prop_map(Authorities::File),
        Just(Authorities::Unverified)
    ];
    let certificate = prop_oneof![
        Just(OwnCertificate::None),
        (text(), text()).prop_map(|(chain, key)| OwnCertificate::Pem(chain, PrivateKeyPem::new(&key))),
        (text(), text()).prop_map(|(chain, key)| OwnCertificate::Files { chain, key })
    ];
    let origination = (option::of(text()), vec(text(), 0..3), authorities, certificate).prop_map(
        |(server_name, subject_names, authorities, certificate)| {
            let wanted = Origination { server_name, subject_names, authorities, certificate };
            UpstreamTls::Originate(Arc::new(wanted))
        },
    );
    prop_oneof![
        Just(UpstreamTls::Auto),
        Just(UpstreamTls::Disable),
        (option::of(text()), vec(Just("spiffe://cluster.local/ns/shop/sa/web".parse().unwrap()), 0..2))
            .prop_map(|(server_name, names)| UpstreamTls::IstioMutual { server_name, names }),
        origination,
        text().prop_map(UpstreamTls::Unavailable)
    ]
}

fn pool_limits() -> impl Strategy<Value = PoolLimits> {
    let count = || option::of(any::<u32>());
    let budget = option::of((any::<u32>(), any::<u32>()))
        .prop_map(|budget| budget.map(|(basis_points, always)| RetryBudget { basis_points, always }));
    let keepalive = option::of((option::of(duration()), option::of(duration()), count()))
        .prop_map(|keepalive| keepalive.map(|(time, interval, probes)| Keepalive { time, interval, probes }));
    let times = (option::of(duration()), option::of(duration()), option::of(duration()));
    (count(), count(), count(), count(), count(), budget, times, keepalive).prop_map(
        |(
            connections,
            pending,
            requests,
            retries,
            requests_per_connection,
            retry_budget,
            (idle, lifetime, stream_idle),
            keepalive,
        )| {
            PoolLimits {
                stream_idle,
                connections,
                pending,
                requests,
                retries,
                retry_budget,
                requests_per_connection,
                idle,
                lifetime,
                keepalive,
            }
        },
    )
}

fn outlier_policy() -> impl Strategy<Value = OutlierPolicy> {
    let counts = (any::<u32>(), any::<u32>(), option::of(any::<u32>()));
    (counts, duration(), duration(), any::<u32>(), any::<u32>()).prop_map(
        |((server_errors, gateway_errors, local_failures), interval, base_ejection, most_ejected, least_healthy)| {
            OutlierPolicy {
                server_errors,
                gateway_errors,
                local_failures,
                interval,
                base_ejection,
                most_ejected,
                least_healthy,
            }
        },
    )
}

fn locality_policy() -> impl Strategy<Value = LocalityPolicy> {
    let pattern = || "[a-z]{1,3}(/[a-z*]{1,3}){0,2}".prop_map(|text| LocalityPattern::new(&text));
    let distribution = (pattern(), vec((pattern(), 0u32..100), 0..3)).prop_map(|(from, to)| Distribution { from, to });
    prop_oneof![
        vec((text(), text()), 0..3).prop_map(|failover| LocalityPolicy::Nearest { failover }),
        vec((text(), option::of(maybe_empty())), 0..3).prop_map(LocalityPolicy::Labels),
        vec(distribution, 0..3).prop_map(LocalityPolicy::Distribute),
    ]
}

fn hash_policy() -> impl Strategy<Value = HashPolicy> {
    let cookie = (boxed(), option::of(duration()), boxed())
        .prop_map(|(name, ttl, attributes)| HashKey::Cookie(CookieKey { name, ttl, attributes }));
    let key =
        prop_oneof![boxed().prop_map(HashKey::Header), boxed().prop_map(HashKey::Query), Just(HashKey::Source), cookie];
    let table = prop_oneof![(1u64..1 << 20).prop_map(HashTable::Ring), (1u64..1 << 20).prop_map(HashTable::Maglev)];
    (key, table).prop_map(|(key, table)| HashPolicy { key, table })
}

prop_compose! {
    fn cluster_policy()(
        balancer in prop::sample::select(vec![Balancer::LeastRequest, Balancer::RoundRobin, Balancer::Random]),
        tls in upstream_tls(),
        milliseconds in 1u32.., limits in pool_limits(), outlier in option::of(outlier_policy()),
        hash in option::of(hash_policy()),
        http2 in prop::sample::select(vec![Http2Use::AsDeclared, Http2Use::Upgrade, Http2Use::AsClient]),
        locality in option::of(locality_policy()), warmup in option::of((duration(), 0u32..=10_000, any::<u32>())),
        proxy_protocol in prop::sample::select(vec![None, Some(ProxyProtocol::V1), Some(ProxyProtocol::V2)]),
    ) -> ClusterPolicy {
        let connect_timeout = Duration::from_millis(milliseconds.into());
        let warmup = warmup.map(|(duration, least, aggression)| Warmup { duration, least, aggression });
        ClusterPolicy { balancer, hash, locality, warmup, limits, http2, outlier, tls, proxy_protocol, connect_timeout }
    }
}

prop_compose! {
    fn port_policies()(
        // Boxed: together they are too much for a test's stack.
        default in cluster_policy().boxed(), ports in vec((1u16.., cluster_policy().boxed()), 0..3),
    ) -> PortPolicies {
        PortPolicies { default, ports }
    }
}

fn traffic_policy() -> impl Strategy<Value = TrafficPolicy> {
    let subset = (text(), label_pairs(), port_policies(), provenance())
        .prop_map(|(name, labels, policies, provenance)| Subset { name, labels, policies, provenance });
    (text(), option::of(provenance()), port_policies(), vec(subset, 0..3))
        .prop_map(|(host, provenance, policies, subsets)| TrafficPolicy { host, provenance, policies, subsets })
}

fn mtls() -> impl Strategy<Value = MtlsMode> {
    prop::sample::select(vec![MtlsMode::Disable, MtlsMode::Permissive, MtlsMode::Strict])
}

fn token_rule() -> impl Strategy<Value = TokenRule> {
    let place = (0..3, text(), text()).prop_map(|(form, name, prefix)| match form {
        0 => Place::Header { name, prefix },
        1 => Place::Parameter(name),
        _ => Place::Cookie(name),
    });
    let claim = (text(), vec("[a-z]{0,3}", 0..3))
        .prop_map(|(header, way)| ClaimHeader { header, claim: way.into_iter().map(String::into_boxed_str).collect() });
    (provenance(), text(), vec(text(), 0..2), maybe_empty(), vec(place, 0..3), vec(claim, 0..2), any::<[bool; 3]>())
        .prop_map(|(provenance, issuer, audiences, keys, places, claim_headers, [forward, required, fetched])| {
            TokenRule {
                provenance,
                payload_header: forward.then(|| issuer.clone()),
                issuer,
                audiences,
                keys: KeySet::parse(keys),
                places,
                forward,
                claim_headers,
                space_delimited: vec!["roles".into()],
                required,
                fetched,
            }
        })
}

fn authorization() -> impl Strategy<Value = Policy> {
    let text = || {
        (0..4, vec(any::<u8>(), 0..4)).prop_map(|(form, bytes)| match form {
            0 => Text::Exact(bytes.into()),
            1 => Text::Prefix(bytes.into()),
            2 => Text::Suffix(bytes.into()),
            _ => Text::Present,
        })
    };
    let part = (0..3, vec(any::<u8>(), 0..4)).prop_map(|(form, bytes)| match form {
        0 => TemplatePart::Literal(bytes.into()),
        1 => TemplatePart::Segment,
        _ => TemplatePart::Rest,
    });
    let value = prop_oneof![
        text().prop_map(ValueMatch::Text),
        (some_address(), 0u8..=32).prop_map(|(ip, prefix)| ValueMatch::Network(IpNet::new(ip, prefix).unwrap())),
        (1u16..).prop_map(ValueMatch::Port),
        vec(part, 0..3).prop_map(ValueMatch::Template),
        (text(), option::of(1u16..)).prop_map(|(host, port)| ValueMatch::Host(HostMatch { host, port })),
    ];
    let attribute = prop::sample::select(vec![
        Attribute::Principal,
        Attribute::Namespace,
        Attribute::ServiceAccount,
        Attribute::TrustDomain,
        Attribute::SourceIp,
        Attribute::RemoteIp,
        Attribute::DestinationIp,
        Attribute::DestinationPort,
        Attribute::ServerName,
        Attribute::RequestPrincipal,
        Attribute::Claim(["groups".into(), "x".into()].into()),
        Attribute::Host,
        Attribute::Method,
        Attribute::Path,
        Attribute::Header("x-role".into()),
        Attribute::Unknown("experimental.envoy.filters.a[b]".into()),
    ]);
    let condition = (attribute, vec(value.clone(), 0..3), vec(value, 0..2))
        .prop_map(|(attribute, values, not_values)| Condition { attribute, values, not_values })
        .boxed();
    let group = vec(condition.clone(), 0..2);
    let rule = (vec(group.clone(), 0..2), vec(group, 0..2), vec(condition, 0..2)).prop_map(|(from, to, when)| Rule {
        from,
        to,
        when,
    });
    let action = prop::sample::select(vec![
        PolicyAction::Allow,
        PolicyAction::Deny,
        PolicyAction::Audit,
        PolicyAction::Custom("opa".into()),
    ]);
    (provenance(), action, any::<bool>(), vec(rule, 0..3)).prop_map(|(provenance, action, dry_run, rules)| Policy {
        provenance,
        action,
        dry_run,
        rules,
    })
}

fn provider() -> impl Strategy<Value = Provider> {
    let name = || prop_oneof![Just(Text::Exact((*b"x-a").into())), Just(Text::Prefix((*b"x-").into()))];
    let names = move || vec(name(), 0..2);
    let lines = vec((text().prop_map(|it| Box::from(&*it)), text().prop_map(|it| Box::from(&*it))), 0..2);
    let check = (text(), names(), lines, names(), names(), names()).prop_map(
        |(path_prefix, request_headers, additional_headers, upstream_on_allow, downstream_on_allow, on_deny)| {
            HttpCheck {
                path_prefix,
                request_headers,
                additional_headers,
                upstream_on_allow,
                downstream_on_allow,
                downstream_on_deny: on_deny,
            }
        },
    );
    let protocol = prop_oneof![Just(ProviderProtocol::Grpc), check.prop_map(ProviderProtocol::Http)];
    let body = (any::<u32>(), any::<bool>(), any::<bool>())
        .prop_map(|(max_bytes, allow_partial, as_bytes)| CheckedBody { max_bytes, allow_partial, as_bytes });
    let times = (1u64..1_000_000).prop_map(std::time::Duration::from_millis);
    (text(), text(), 1u16.., times, any::<bool>(), 400u16..600, option::of(body), protocol).prop_map(
        |(name, host, port, timeout, fail_open, status_on_error, body, protocol)| Provider {
            name,
            host,
            port,
            timeout,
            fail_open,
            status_on_error,
            body,
            protocol,
        },
    )
}

fn inbound_policy() -> impl Strategy<Value = InboundPolicy> {
    let service =
        (text(), text(), text(), 1u16.., protocol()).prop_map(|(host, name, namespace, target_port, protocol)| {
            InboundService { host, name, namespace, target_port, protocol }
        });
    let default_mtls = (mtls(), option::of(provenance()));
    let port_mtls = vec((1u16.., mtls(), provenance()), 0..3);
    let endpoint = prop::sample::select(vec![None, Some("127.0.0.1:80"), Some("[::1]:80"), Some("0.0.0.0:1")]);
    let ingress = (provenance(), 1u16.., protocol(), endpoint).prop_map(|(provenance, port, protocol, endpoint)| {
        IngressPort { provenance, port, protocol, endpoint: endpoint.map(|text| text.parse().unwrap()) }
    });
    let policies = (vec(authorization(), 0..2), vec(provider(), 0..2), vec(ingress, 0..2));
    (workload(), default_mtls, port_mtls, vec(service, 0..3), policies, option::of(token_rule())).prop_map(
        |(workload, default_mtls, port_mtls, services, (authorization, providers, ingress), tokens)| InboundPolicy {
            tokens: tokens.into_iter().collect(),
            authorization,
            providers,
            ingress,
            workload: Arc::new(workload),
            default_mtls,
            port_mtls,
            services,
        },
    )
}

fn host_patterns() -> impl Strategy<Value = Vec<HostPattern>> {
    vec(
        prop::sample::select(vec!["*", "*.example.com", "*-prod.example.com", "a.example.com"])
            .prop_map(HostPattern::parse),
        0..3,
    )
}

fn server_tls() -> impl Strategy<Value = ServerTls> {
    let certificate =
        option::of((text(), text())).prop_map(|pair| pair.map(|(chain, key)| (chain, PrivateKeyPem::new(&key))));
    let clients = prop_oneof![
        Just(ClientCertificates::None),
        text().prop_map(ClientCertificates::Optional),
        text().prop_map(ClientCertificates::Required),
        Just(ClientCertificates::Mesh)
    ];
    let termination = prop::sample::select(vec![
        Termination::Http,
        Termination::Tcp,
        Termination::Passthrough,
        Termination::AutoPassthrough,
    ]);
    (host_patterns(), termination, certificate, clients, provenance()).prop_map(
        |(hosts, termination, certificate, clients, provenance)| ServerTls {
            demands: TlsDemands {
                versions: if termination == Termination::Tcp { TlsVersions::From13 } else { TlsVersions::Only12 },
                suites: vec!["a".into()],
                client_names: vec!["b".into(), "c".into()],
            },
            hosts,
            termination,
            certificate,
            clients,
            provenance,
        },
    )
}

fn listener() -> impl Strategy<Value = Listener> {
    let host = prop::sample::select(vec!["*", "*.example.com", "a.example.com"]);
    let virtual_host = (host, text()).prop_map(|(host, routes)| VirtualHost { host: HostPattern::parse(host), routes });
    let protocol = prop::sample::select(vec![ListenerProtocol::Http, ListenerProtocol::Tls, ListenerProtocol::Tcp]);
    let parts =
        (1u16.., protocol, vec(provenance(), 0..3), vec(virtual_host, 0..3), vec(server_tls(), 0..3), host_patterns());
    parts.prop_map(|(port, protocol, provenance, virtual_hosts, tls, redirected)| Listener {
        port,
        protocol,
        provenance,
        virtual_hosts,
        tls,
        redirected,
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let mode = prop::sample::select(vec![OutboundMode::AllowAny, OutboundMode::RegistryOnly]);
    (text(), text(), maybe_empty(), mode, reporting(), reporting(), any::<bool>(), any::<u32>()).prop_map(
        |(scope, trust_domain, cluster, outbound_mode, client, server, proxy_protocol, trusted_proxies)| Settings {
            scope,
            trust_domain,
            cluster,
            outbound_mode,
            client,
            server,
            proxy_protocol,
            trusted_proxies,
            bundle: None,
        },
    )
}

fn reporting() -> impl Strategy<Value = Reporting> {
    let condition = prop::sample::select(vec!["response.code >= 400", "connection.mtls && !has(response.code)"]);
    let filter = condition.prop_map(|text| Arc::new(crate::resources::expression::Expression::parse(text).unwrap()));
    let tracing = option::of(tracing().prop_map(Arc::new));
    (any::<bool>(), option::of(filter), tracing, option::of(metrics().prop_map(Arc::new)))
        .prop_map(|(log, filter, tracing, metrics)| Reporting { log, filter, tracing, metrics })
}

fn metrics() -> impl Strategy<Value = Metrics> {
    let value = prop::sample::select(vec!["request.host", "string(response.code)", "'a' + request.method"]);
    let value = value.prop_map(|text| crate::resources::expression::Expression::parse_value(text).unwrap());
    let metric = prop::sample::select(StandardMetric::ALL.map(|(metric, _)| metric).to_vec());
    let said = (any::<bool>(), vec(text(), 0..3), vec((text(), 0..9_usize), 0..3))
        .prop_map(|(hidden, removed, set)| MetricOverride { hidden, removed, set });
    (vec(value, 0..3), prop::collection::btree_map(metric, said, 0..3))
        .prop_map(|(values, overrides)| Metrics { values, overrides: Arc::new(overrides) })
}

fn tracing() -> impl Strategy<Value = Tracing> {
    let lines = prop::collection::vec((text(), maybe_empty()), 0..3);
    let protocol = prop_oneof![
        Just(CollectorProtocol::OtlpGrpc),
        text().prop_map(|path| CollectorProtocol::Zipkin { path }),
        (text(), lines, 1..100_000_u64).prop_map(|(path, headers, milliseconds)| CollectorProtocol::OtlpHttp {
            path,
            headers,
            timeout: Duration::from_millis(milliseconds),
        }),
    ];
    let default = || prop::option::of(text());
    let value = prop_oneof![
        maybe_empty().prop_map(TagValue::Literal),
        (text(), default()).prop_map(|(name, default)| TagValue::Header(name, default)),
        (text(), default()).prop_map(|(name, default)| TagValue::Environment(name, default)),
    ];
    let collector = (maybe_empty(), text(), 1..=u16::MAX, protocol)
        .prop_map(|(name, host, port, protocol)| Collector { name, host, port, protocol });
    let tags = prop::collection::vec((text(), value), 0..3);
    (collector, 0..=1_000_000_u32, any::<[bool; 3]>(), any::<u32>(), tags).prop_map(
        |(collector, sampling, [reports, propagates, istio_tags], max_path_bytes, tags)| Tracing {
            collector,
            sampling: Share::of_million(sampling),
            reports,
            propagates,
            istio_tags,
            max_path_bytes,
            tags,
        },
    )
}

/// Through the bytes, so that a field number used twice would show.
fn through_bytes<M: Message + Default>(message: M) -> M {
    M::decode(&*message.encode_to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn models_come_back_as_they_were_sent(
        record in service_record(), endpoints in vec(endpoint(), 0..3), routes in routes().boxed(), policy in traffic_policy().boxed(),
        inbound in inbound_policy().boxed(), listener in listener().boxed(), settings in settings(),
    ) {
        let endpoints = Endpoints { host: "host".into(), endpoints };
        prop_assert_eq!(ServiceRecord::try_from(through_bytes(v1::Service::from(&record))).unwrap(), record);
        prop_assert_eq!(Endpoints::try_from(through_bytes(v1::Endpoints::from(&endpoints))).unwrap(), endpoints);
        let name = routes.name.clone();
        prop_assert_eq!(Routes::try_from((&*name, through_bytes(v1::Routes::from(&routes)))).unwrap(), routes);
        prop_assert_eq!(TrafficPolicy::try_from(through_bytes(v1::TrafficPolicy::from(&policy))).unwrap(), policy);
        prop_assert_eq!(InboundPolicy::try_from(through_bytes(v1::InboundPolicy::from(&inbound))).unwrap(), inbound);
        prop_assert_eq!(Listener::try_from(through_bytes(v1::Listener::from(&listener))).unwrap(), listener);
        prop_assert_eq!(Settings::try_from(through_bytes(v1::Settings::from(&settings))).unwrap(), settings);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..64)) {
        let _ = v1::Service::decode(&*bytes).map(ServiceRecord::try_from);
        let _ = v1::Endpoints::decode(&*bytes).map(Endpoints::try_from);
        let _ = v1::Routes::decode(&*bytes).map(|message| Routes::try_from(("name", message)));
        let _ = v1::TrafficPolicy::decode(&*bytes).map(TrafficPolicy::try_from);
        let _ = v1::InboundPolicy::decode(&*bytes).map(InboundPolicy::try_from);
        let _ = v1::Listener::decode(&*bytes).map(Listener::try_from);
    }
}

fn sample_routes() -> v1::Routes {
    let target = WeightedCluster::new(ClusterName { host: "web".into(), port: 80, subset: None }, 1);
    let cluster = v1::WeightedCluster::from(&target);
    v1::Routes {
        streams: Vec::new(),
        http: vec![v1::HttpRule {
            provenance: Some((&Provenance::new("VirtualService", "shop", "web")).into()),
            name: "default".into(),
            matches: vec![v1::RequestMatch::default()],
            action: Some(v1::http_rule::Action::Forward(v1::Forward { clusters: vec![cluster] })),
            handling: Some((&Handling::default()).into()),
            tier: 0,
        }],
    }
}

fn routes_error(change: impl FnOnce(&mut v1::HttpRule)) -> String {
    let mut message = sample_routes();
    change(&mut message.http[0]);
    Routes::try_from(("name", message)).unwrap_err().to_string()
}

fn cluster(rule: &mut v1::HttpRule) -> &mut v1::WeightedCluster {
    let Some(v1::http_rule::Action::Forward(forward)) = &mut rule.action else { panic!("the sample forwards") };
    &mut forward.clusters[0]
}

#[test]
fn errors_name_the_field() {
    let regex = |source: &str| v1::StringMatch { kind: Some(v1::string_match::Kind::Regex(source.to_owned())) };
    let header = v1::HeaderMatch { name: "X-A".into(), value: None };
    assert!(Routes::try_from(("name", sample_routes())).is_ok());
    assert!(
        routes_error(|rule| rule.matches[0].path = Some(regex("("))).starts_with("http[0].matches[0].path.regex: ")
    );
    assert_eq!(routes_error(|rule| rule.action = None), "http[0].action: is missing");
    assert_eq!(
        routes_error(|rule| rule.matches[0].headers.push(header)),
        "http[0].matches[0].headers[0].name: is `X-A`, which is no lower-case header name"
    );
    assert_eq!(
        routes_error(|rule| cluster(rule).weight = 0),
        "http[0].forward.clusters[0].weight: is 0, outside of 1..=4294967295"
    );
    assert_eq!(
        routes_error(|rule| cluster(rule).port = 65536),
        "http[0].forward.clusters[0].port: is 65536, outside of 1..=65535"
    );
}

#[test]
fn no_text_breaks_out_of_its_line() {
    let line = |name: &str, value: &str| v1::HeaderLine { name: name.to_owned(), value: value.to_owned() };
    let set = |rule: &mut v1::HttpRule, line: v1::HeaderLine| {
        let edits = rule.handling.as_mut().unwrap().headers.as_mut().unwrap();
        edits.request.as_mut().unwrap().set.push(line);
    };
    for line in
        [line("x-a", "b\r\nx-evil: 1"), line("x-a: 1\r\nx-b", "1"), line("content-length", "0"), line("host", "a")]
    {
        let error = routes_error(|rule| set(rule, line));
        assert!(error.starts_with("http[0].handling.headers.request.set[0]."), "{error}");
    }
    for authority in ["a b", "a\r\nb: c"] {
        let error = routes_error(|rule| cluster(rule).authority = authority.to_owned());
        assert!(error.starts_with("http[0].forward.clusters[0].authority"), "{error}");
    }
}

#[test]
fn unknown_enumeration_values_are_refused_and_not_read_as_defaults() {
    let settings = |outbound_mode| v1::Settings {
        scope: "scope".into(),
        trust_domain: "cluster.local".into(),
        outbound_mode,
        ..v1::Settings::default()
    };
    assert!(Settings::try_from(settings(1)).is_ok());
    for mode in [0, 3, -1] {
        let error = Settings::try_from(settings(mode)).unwrap_err();
        assert_eq!(error.field, "outbound_mode");
        assert!(matches!(error.problem, Problem::UnknownValue(value) if value == mode));
    }
    let workload = v1::Workload { uid: "uid".into(), protocol: 2, ..v1::Workload::default() };
    for default_mtls in [0, 4] {
        let policy = v1::InboundPolicy { workload: Some(workload.clone()), default_mtls, ..Default::default() };
        assert_eq!(InboundPolicy::try_from(policy).unwrap_err().field, "default_mtls");
    }
}

#[test]
fn addresses_identities_and_hosts_are_checked() {
    let workload = |change: fn(&mut v1::Workload)| {
        let mut message = v1::Workload { uid: "uid".into(), protocol: 1, ..v1::Workload::default() };
        change(&mut message);
        Workload::try_from(message).map_err(|error| error.field)
    };
    assert!(workload(|_| ()).is_ok());
    assert_eq!(workload(|message| message.addresses.push(vec![1, 2, 3].into())), Err("addresses[0]".to_owned()));
    assert_eq!(workload(|message| message.identity = "spiffe://x".to_owned()), Err("identity".to_owned()));
    for host in ["", "A.example.com", "a*", "**", "*foo.*"] {
        let virtual_hosts = vec![v1::VirtualHost { host: host.to_owned(), routes: "routes".to_owned() }];
        let message = v1::Listener { port: 80, protocol: 1, virtual_hosts, ..v1::Listener::default() };
        assert_eq!(Listener::try_from(message).unwrap_err().field, "virtual_hosts[0].host", "{host}");
    }
}

#[test]
fn the_roots_of_every_trust_domain_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = |name: &str| {
        let domain = crate::identity::TrustDomain::new(name).unwrap();
        crate::identity::Authority::load_or_create(&directory.path().join(name), &domain).unwrap().bundle()
    };
    let settings = Settings {
        scope: "s".into(),
        trust_domain: "a.org".into(),
        cluster: "c".into(),
        outbound_mode: OutboundMode::AllowAny,
        client: Reporting::default(),
        server: Reporting::default(),
        proxy_protocol: false,
        trusted_proxies: 0,
        bundle: Some(bundle("a.org").union(&bundle("b.org"))),
    };
    let message = v1::Settings::from(&settings);
    assert_eq!(Settings::try_from(message.clone()).unwrap(), settings);
    let broken = v1::TrustRoots { trust_domain: "a.org".into(), pem: "no certificate".into() };
    assert!(Settings::try_from(v1::Settings { trust_roots: vec![broken], ..message }).is_err());
}
