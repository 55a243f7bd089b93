//! Metrics of requests and connections: from what took part in one to the cell that counts it.
//!
//! Labels are made once for each combination of parts; after that a request finds its cell by the parts' addresses. An entry
//! holds its parts, so that an address cannot come to mean something else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{InboundPolicy, Metrics, Service, Side};
use crate::proxy::directory::UpstreamEndpoint;
use crate::proxy::filter::peer;
use crate::proxy::limits;
use crate::resources::expression::Attributes;
use crate::telemetry::labels::{TCP, UNKNOWN};
use crate::telemetry::{ConnectionCell, Customized, Party, Registry, Reporter, RequestCell, RequestLabels};

/// Between whom something passed.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// Which side we are, and who is on the other.
    pub call: Call<'a>,
    /// Our own workload, when it is known.
    pub own: Option<&'a Arc<InboundPolicy>>,
    /// Name of our cluster.
    pub cluster: &'a Arc<str>,
    /// Response flags.
    pub flags: &'static str,
    /// Whether the connection between the workloads was mutual TLS.
    pub mutual_tls: bool,
    /// What users make of the series, where it is anything.
    pub customized: Option<&'a Arc<Customized>>,
}

/// One request, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// Between whom it passed.
    pub sides: Sides<'a>,
    /// Status; 0 when none was sent.
    pub code: u16,
    /// What was spoken.
    pub protocol: Protocol,
    /// How long it took.
    pub duration: Duration,
    /// Bytes of the request, head and body.
    pub request_bytes: u64,
    /// Bytes of the response, head and body.
    pub response_bytes: u64,
}

/// What a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// gRPC, and how the call ended, where that is known.
    Grpc(Option<u8>),
}

impl Protocol {
    /// The labels `request_protocol` and `grpc_response_status`.
    fn labels(self) -> (&'static str, &'static str) {
        const CODES: [&str; 17] =
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];
        match self {
            Self::Http => ("http", ""),
            Self::Grpc(status) => ("grpc", status.and_then(|status| CODES.get(usize::from(status))).unwrap_or(&"")),
        }
    }
}

/// The two sides of a call, one of which is us.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// We call: a service, where the mesh knows it, and the endpoint that was chosen.
    Outbound(Option<&'a Arc<Service>>, Option<&'a Arc<UpstreamEndpoint>>),
    /// We are called, on this port, by this peer where it has proved who it is.
    Inbound(u16, Option<&'a Arc<Party>>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    own: usize,
    service: usize,
    peer: usize,
    customized: usize,
    flags: usize,
    code: u16,
    protocol: Protocol,
    outbound: bool,
    mutual_tls: bool,
}

#[derive(Debug)]
struct Entry<C> {
    cell: Arc<C>,
    _own: Option<Arc<InboundPolicy>>,
    _service: Option<Arc<Service>>,
    _endpoint: Option<Arc<UpstreamEndpoint>>,
    _peer: Option<Arc<Party>>,
    _customized: Option<Arc<Customized>>,
}

type Found<C> = RefCell<HashMap<Key, Entry<C>, BuildHasherDefault<Mixer>>>;

/// The cells that one worker of one proxy has found before.
#[derive(Debug, Default)]
pub struct Stats {
    requests: Found<RequestCell>,
    connections: Found<ConnectionCell>,
    customs: [RefCell<Customs>; 2],
}

/// What users make of the series of one side, by the values that their labels are set to: all of a series' in one text.
#[derive(Debug, Default)]
struct Customs {
    metrics: Option<Arc<Metrics>>,
    known: HashMap<Box<str>, Arc<Customized>>,
}

/// Ends each value of a series in the text of all of them.
const END: char = '\0';

/// The longest value that a label is set to, in characters.
const MAX_VALUE: usize = 256;

impl Customs {
    /// `told` is asked for the values that labels are set to, if there are any.
    fn of<'a>(
        &mut self,
        metrics: &Metrics,
        told: impl FnOnce(&mut dyn FnMut(&dyn Attributes)) + 'a,
    ) -> Arc<Customized> {
        let mut text = String::new();
        if !metrics.values.is_empty() {
            told(&mut |attributes| {
                for value in &metrics.values {
                    let value = value.text(attributes).filter(|value| !value.is_empty());
                    text.extend(value.as_deref().unwrap_or(UNKNOWN).chars().filter(|c| *c != END).take(MAX_VALUE));
                    text.push(END);
                }
            });
        }
        if let Some(known) = self.known.get(&*text) {
            return known.clone();
        }
        if self.known.len() >= limits::MAX_CELLS {
            self.known.clear();
        }
        let values = text.split_terminator(END).map(Into::into).collect();
        let customized = Arc::new(Customized { overrides: metrics.overrides.clone(), values });
        self.known.insert(text.into(), customized.clone());
        customized
    }
}

impl Stats {
    /// Counts a request. `shard` is the worker's number.
    pub fn count(&self, counted: &Counted<'_>, registry: &Registry, shard: usize) {
        let record = |cell: &RequestCell| cell.record(counted.duration, counted.request_bytes, counted.response_bytes);
        let key = key(&counted.sides, counted.code, counted.protocol);
        let mut cells = self.requests.borrow_mut();
        if let Some(entry) = cells.get(&key)
            && !entry.cell.is_retired()
        {
            return record(&entry.cell);
        }
        let cell = registry.request_cell(&labels(&counted.sides, counted.protocol.labels(), counted.code), shard);
        record(&cell);
        keep(&mut cells, key, cell, &counted.sides);
    }

    /// What users make of a series of this side. `told` hands over what is known of the request or connection; it is not asked where no
    /// label is set to anything of it.
    pub fn customized<'a>(
        &self,
        side: Side,
        metrics: Option<&Arc<Metrics>>,
        registry: &Registry,
        told: impl FnOnce(&mut dyn FnMut(&dyn Attributes)) + 'a,
    ) -> Option<Arc<Customized>> {
        let (customs, reporter) = match side {
            Side::Client => (&self.customs[0], Reporter::Source),
            Side::Server => (&self.customs[1], Reporter::Destination),
        };
        let mut customs = customs.borrow_mut();
        if customs.metrics.as_ref().map(Arc::as_ptr) != metrics.map(Arc::as_ptr) {
            if customs.metrics != metrics.cloned() {
                customs.known.clear();
                registry.override_metrics(reporter, metrics.map(|metrics| metrics.overrides.clone()));
            }
            customs.metrics = metrics.cloned();
        }
        Some(customs.of(metrics?, told))
    }

    /// The cell that counts a connection. `shard` is the worker's number.
    pub fn connection(&self, sides: &Sides<'_>, registry: &Registry, shard: usize) -> Arc<ConnectionCell> {
        let key = key(sides, 0, Protocol::Http);
        let mut cells = self.connections.borrow_mut();
        if let Some(entry) = cells.get(&key)
            && !entry.cell.is_retired()
        {
            return entry.cell.clone();
        }
        let cell = registry.connection_cell(&labels(sides, (TCP, ""), 0), shard);
        keep(&mut cells, key, cell.clone(), sides);
        cell
    }
}

fn keep<C>(cells: &mut HashMap<Key, Entry<C>, BuildHasherDefault<Mixer>>, key: Key, cell: Arc<C>, sides: &Sides<'_>) {
    if cells.len() >= limits::MAX_CELLS {
        cells.clear();
    }
    let (service, endpoint, peer) = match sides.call {
        Call::Outbound(service, endpoint) => (service.cloned(), endpoint.cloned(), None),
        Call::Inbound(_, peer) => (None, None, peer.cloned()),
    };
    let entry = Entry {
        cell,
        _own: sides.own.cloned(),
        _service: service,
        _endpoint: endpoint,
        _peer: peer,
        _customized: sides.customized.cloned(),
    };
    cells.insert(key, entry);
}

fn key(sides: &Sides<'_>, code: u16, protocol: Protocol) -> Key {
    fn address<T>(part: Option<&Arc<T>>) -> usize {
        part.map_or(0, |part| Arc::as_ptr(part).addr())
    }
    let (service, peer) = match sides.call {
        Call::Outbound(service, endpoint) => (address(service), address(endpoint)),
        Call::Inbound(port, peer) => (usize::from(port), address(peer)),
    };
    Key {
        own: address(sides.own),
        service,
        peer,
        customized: address(sides.customized),
        flags: sides.flags.as_ptr().addr(),
        code,
        protocol,
        outbound: matches!(sides.call, Call::Outbound(..)),
        mutual_tls: sides.mutual_tls,
    }
}

fn labels(sides: &Sides<'_>, (protocol, status): (&'static str, &'static str), code: u16) -> RequestLabels {
    let own = match sides.own {
        Some(own) => peer::party_of(&own.workload, sides.cluster, sides.mutual_tls),
        None => Party::default(),
    };
    let own = Arc::new(own);
    // (host, name, namespace) of the called service, and what calls around the mesh are reported under.
    let (reporter, source, destination, service, around) = match sides.call {
        Call::Outbound(service, endpoint) => {
            let party = endpoint.map_or_else(Party::default, |endpoint| {
                peer::party_of(&endpoint.endpoint.workload, sides.cluster, sides.mutual_tls)
            });
            let service = service.map(|service| (&service.host, &service.name, &service.namespace));
            (Reporter::Source, own, Arc::new(party), service, "PassthroughCluster")
        }
        Call::Inbound(port, peer) => {
            let service = sides
                .own
                .and_then(|own| own.service(port))
                .map(|service| (&service.host, &service.name, &service.namespace));
            (Reporter::Destination, peer.cloned().unwrap_or_default(), own, service, "InboundPassthroughCluster")
        }
    };
    let (host, name, namespace) = service.map_or_else(
        || (Arc::default(), around.into(), Arc::default()),
        |(host, name, namespace)| (host.clone(), name.clone(), namespace.clone()),
    );
    RequestLabels {
        reporter,
        source,
        destination,
        destination_service: host,
        destination_service_name: name,
        destination_service_namespace: namespace,
        request_protocol: protocol,
        response_code: code,
        grpc_response_status: status,
        response_flags: sides.flags,
        mutual_tls: sides.mutual_tls,
        customized: sides.customized.cloned(),
    }
}

/// Mixes addresses and small numbers, which nobody outside chooses.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
