//! The same work through mesh, Envoy, HAProxy and nothing at all, side by side.
//!
//! `cargo bench --profile dist --bench compare -- [--rounds N] [--seconds N] [--scenario NAME]... [--mesh FILE] [-o json]`. Every
//! proxy is a process of its own with one worker; what counts is its own CPU time per request and its memory, not the throughput of a
//! machine that the load shares. Peers take turns within a round, and ratios are taken within the round; what is printed are
//! medians. Before anything is measured, each peer has to show that it does the work: rules and refusals in force, a line of
//! log per request, mutual TLS with the same cipher suite.

mod backend;
mod bytes;
mod gateway;
mod load;
mod pair;
mod peers;
mod plane;
mod process;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use crate::backend::{Backend, Speaks};
use crate::load::{Load, Target, Work};
use crate::peers::Peer;
use crate::report::Row;

/// What the machine may lose to its neighbours in one measurement.
const MOST_STOLEN: f64 = 0.05;

/// How often a measurement is repeated that lost more.
const MOST_REPEATS: usize = 3;

/// How long a process is left alone before its idle memory is read.
const SETTLE: Duration = Duration::from_secs(25);

/// Connections that are held open.
const CONNECTIONS: usize = 5_000;

/// Services in the mesh that the sidecar does not call.
const SERVICES: [usize; 3] = [10, 1_000, 10_000];

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Requests through a gateway.
    Gateway(Speaks),
    /// Requests through a pair of sidecars.
    Pair(Speaks),
    /// New connections to a sidecar, with mutual TLS and a request each.
    Handshakes,
    /// As many bytes through a pair as go.
    Bulk,
    /// Connections through a pair that stay and carry nothing.
    Connections,
    /// Nothing at all.
    Idle,
    /// Memory of mesh's sidecar in meshes of different sizes.
    Services,
}

/// (kind, name, title).
const SCENARIOS: [(Kind, &str, &str); 9] = [
    (
        Kind::Gateway(Speaks::Http1),
        "gateway",
        "gateway, HTTP/1.1, header rule and 90/10 split, access log, 1 KiB; one worker",
    ),
    (Kind::Gateway(Speaks::Http2), "gateway-http2", "the same gateway, HTTP/2 from the client, HTTP/1.1 behind"),
    (
        Kind::Pair(Speaks::Http1),
        "pair",
        "pair of sidecars (both processes together), HTTP/1.1, mutual TLS, authorization, metrics, access log, 1 KiB",
    ),
    (Kind::Pair(Speaks::Http2), "pair-http2", "the same pair, HTTP/2 all the way"),
    (Kind::Handshakes, "handshakes", "a connection with mutual TLS to the called sidecar for every request"),
    (Kind::Bulk, "tcp", "bytes through the pair, mutual TLS, 4 connections"),
    (Kind::Connections, "connections", "5,000 connections through the pair, mutual TLS, which carry nothing"),
    (Kind::Idle, "idle", "memory of one sidecar that has served some requests and is idle; one worker"),
    (Kind::Services, "services", "memory of the caller's sidecar, by services in the mesh that it does not call"),
];

struct Options {
    rounds: usize,
    time: Duration,
    scenarios: Vec<&'static str>,
    json: bool,
    /// The executable under test.
    mesh: PathBuf,
}

fn main() -> Result<(), String> {
    let options = options()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut results = Vec::new();
        for (kind, name, title) in SCENARIOS {
            if options.scenarios.is_empty() || options.scenarios.contains(&name) {
                let rows = scenario(kind, &options).await.map_err(|error| format!("{name}: {error}"))?;
                if !options.json {
                    report::print(title, &rows);
                }
                results.push(report::json(name, title, &rows));
            }
        }
        if options.json {
            println!("{}", serde_json::Value::Array(results));
        }
        Ok(())
    })
}

/// `cargo bench` passes `--bench`, which says nothing here.
fn options() -> Result<Options, String> {
    let usage = || "write --rounds N, --seconds N, --scenario NAME, --mesh FILE or -o json".to_owned();
    let mut options = Options {
        rounds: 3,
        time: Duration::from_secs(3),
        scenarios: Vec::new(),
        json: false,
        mesh: env!("CARGO_BIN_EXE_mesh").into(),
    };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(usage)?;
        let number = value.parse::<u32>().ok().filter(|number| *number > 0);
        match (argument.as_str(), number) {
            ("--rounds", Some(number)) => options.rounds = number as usize,
            ("--seconds", Some(number)) => options.time = Duration::from_secs(number.into()),
            ("--scenario", _) => {
                let known = SCENARIOS.iter().find(|(_, name, _)| *name == value);
                let names = SCENARIOS.map(|(_, name, _)| name).join(", ");
                let (_, name, _) = known.ok_or_else(|| format!("{value}: there are {names}"))?;
                options.scenarios.push(name);
            }
            ("--mesh", _) => options.mesh = value.into(),
            ("-o", _) if value == "json" => options.json = true,
            _ => return Err(format!("{argument} {value}: {}", usage())),
        }
    }
    Ok(options)
}

async fn scenario(kind: Kind, options: &Options) -> Result<Vec<Row>, String> {
    match kind {
        Kind::Gateway(speaks) => {
            // What stands behind speaks HTTP/1.1 either way.
            let v1 = Backend::start("v1", Speaks::Http1).await?;
            let v2 = Backend::start("v2", Speaks::Http1).await?;
            let mut peers = gateway::all(&options.mesh, v1.address, v2.address)?;
            if speaks == Speaks::Http2 {
                // The applications themselves cannot be asked so.
                peers.retain(|peer| !peer.processes.is_empty());
            }
            for peer in &peers {
                gateway::check(peer).await.map_err(|error| format!("{}: {error}", peer.name))?;
            }
            rounds(&peers, options, &work(speaks)).await
        }
        Kind::Pair(speaks) => {
            let app = Backend::start("app", speaks).await?;
            let (peers, _plane) = pairs(options, &app, speaks).await?;
            rounds(&peers, options, &work(speaks)).await
        }
        Kind::Handshakes => {
            let app = Backend::start("app", Speaks::Http1).await?;
            let (peers, _plane) = pairs(options, &app, Speaks::Http1).await?;
            let mut rows = Vec::new();
            for round in 1..=options.rounds {
                for peer in &peers {
                    let Some(server) = &peer.server else { continue };
                    let target = Target { address: server.address, lines: String::new(), ..peer.target.clone() };
                    let load = Load {
                        work: Work::Handshakes(server.tls.clone()),
                        at_once: 16,
                        rate: None,
                        time: options.time,
                    };
                    rows.push(measure(peer, round, &target, &load, None).await?);
                }
            }
            Ok(rows)
        }
        Kind::Bulk => {
            let app = Backend::start("app", Speaks::Bytes).await?;
            let (peers, _plane) = pairs(options, &app, Speaks::Bytes).await?;
            let mut rows = Vec::new();
            for round in 1..=options.rounds {
                for peer in &peers {
                    rows.push(bulk(peer, round, options.time).await?);
                }
            }
            Ok(rows)
        }
        Kind::Connections => {
            let app = Backend::start("app", Speaks::Bytes).await?;
            let (peers, _plane) = pairs(options, &app, Speaks::Bytes).await?;
            let mut rows = Vec::new();
            for peer in peers.iter().filter(|peer| !peer.processes.is_empty()) {
                let (cpu, resident) = (peer.cpu(), peer.resident());
                let open = bytes::open(&peer.target, CONNECTIONS).await;
                let open = open.map_err(|error| format!("{}: {error}; it said: {}", peer.name, peer.complaint()))?;
                rows.push(Row::connections(peer.name, peer.cpu() - cpu, resident, peer.resident(), open.len()));
            }
            Ok(rows)
        }
        Kind::Idle => {
            let app = Backend::start("app", Speaks::Http1).await?;
            let (peers, _plane) = pairs(options, &app, Speaks::Http1).await?;
            tokio::time::sleep(SETTLE).await;
            let pairs = peers.iter().filter(|peer| !peer.processes.is_empty());
            Ok(pairs.map(|peer| Row::memory(peer.name, peer.resident(), peer.processes.len())).collect())
        }
        Kind::Services => {
            let app = Backend::start("app", Speaks::Http1).await?;
            let mut rows = Vec::new();
            for (count, name) in SERVICES.into_iter().zip(["10", "1,000", "10,000"]) {
                let (peer, _plane) = pair::mesh_among(&options.mesh, app.address, count).await?;
                pair::check(&peer, Speaks::Http1).await.map_err(|error| format!("{name} services: {error}"))?;
                tokio::time::sleep(SETTLE).await;
                let caller = peer.processes.first().ok_or("there is no sidecar")?;
                rows.push(Row::memory(name, caller.resident(), 1));
            }
            Ok(rows)
        }
    }
}

fn work(speaks: Speaks) -> Work {
    match speaks {
        Speaks::Http2 => Work::Http2,
        Speaks::Http1 | Speaks::Bytes => Work::Http1,
    }
}

/// As many bytes as a peer carries.
async fn bulk(peer: &Peer, round: usize, time: Duration) -> Result<Row, String> {
    for _ in 0..MOST_REPEATS {
        let (stolen, before, begin) = (report::Stolen::begin(), peer.cpu(), std::time::Instant::now());
        let carried = bytes::flood(&peer.target, time).await;
        let carried = carried.map_err(|error| format!("{}: {error}; it said: {}", peer.name, peer.complaint()))?;
        let (cpu, elapsed) = (peer.cpu() - before, begin.elapsed());
        if stolen.share() > MOST_STOLEN {
            eprintln!("round {round}: {} again, the machine lost {:.0} %", peer.name, stolen.share() * 100.0);
            continue;
        }
        let row = Row::bulk(peer.name, round, cpu, peer.resident(), elapsed, carried);
        eprintln!("round {round}: {row}");
        return Ok(row);
    }
    Err("the machine is too busy with others to measure on".to_owned())
}

/// Every pair of sidecars, each of which has shown that it does the work.
async fn pairs(options: &Options, app: &Backend, speaks: Speaks) -> Result<(Vec<Peer>, plane::Plane), String> {
    let (peers, plane) = pair::all(&options.mesh, app.address, speaks).await?;
    let mut agreed: Option<(&str, String)> = None;
    for peer in peers.iter().filter(|peer| peer.server.is_some()) {
        pair::check(peer, speaks).await.map_err(|error| format!("{}: {error}", peer.name))?;
        let suite = pair::suite(peer).await.map_err(|error| format!("{}: {error}", peer.name))?;
        match &agreed {
            Some((other, agreed)) if *agreed != suite => {
                return Err(format!("{} encrypts with {suite}, {other} with {agreed}", peer.name));
            }
            _ => agreed = Some((peer.name, suite)),
        }
    }
    Ok((peers, plane))
}

async fn rounds(peers: &[Peer], options: &Options, work: &Work) -> Result<Vec<Row>, String> {
    let saturated = Load { work: work.clone(), at_once: 64, rate: None, time: options.time };
    let steady = Load { at_once: 16, rate: Some(1000), ..saturated.clone() };
    let mut rows = Vec::new();
    for round in 1..=options.rounds {
        for peer in peers {
            rows.push(measure(peer, round, &peer.target, &saturated, Some(&steady)).await?);
        }
    }
    Ok(rows)
}

async fn measure(
    peer: &Peer,
    round: usize,
    target: &Target,
    saturated: &Load,
    steady: Option<&Load>,
) -> Result<Row, String> {
    let failed = |error: String| format!("{}: {error}; it said: {}", peer.name, peer.complaint());
    for _ in 0..MOST_REPEATS {
        let stolen = report::Stolen::begin();
        let before = peer.cpu();
        let begin = std::time::Instant::now();
        let outcome = saturated.run(target).await.map_err(failed)?;
        let time = begin.elapsed();
        let cpu = peer.cpu() - before;
        let resident = peer.resident();
        let steady = match steady {
            Some(steady) => Some(steady.run(target).await.map_err(failed)?),
            None => None,
        };
        if stolen.share() > MOST_STOLEN {
            eprintln!("round {round}: {} again, the machine lost {:.0} %", peer.name, stolen.share() * 100.0);
            continue;
        }
        let row = Row::new(peer.name, round, cpu, resident, time, &outcome, steady.as_ref());
        eprintln!("round {round}: {row}");
        return Ok(row);
    }
    Err("the machine is too busy with others to measure on".to_owned())
}
