//! The same work through mesh, Envoy, HAProxy and nothing at all, side by side.
//!
//! `cargo bench --profile dist --bench compare -- [--rounds N] [--seconds N]`. Every proxy is a process of its own with one worker;
//! what counts is its own CPU time per request and its memory, not the throughput of a machine that the load shares. Peers take
//! turns within a round, and ratios are taken within the round; what is printed are medians. Before anything is measured, each
//! peer has to show that it does the work: the header rule, the split, an unknown host refused, a line of log per request.

mod load;
mod peers;
mod report;

use std::time::Duration;

use crate::load::{Backend, Load};
use crate::peers::Peer;
use crate::report::Row;

/// What the machine may lose to its neighbours in one measurement.
const MOST_STOLEN: f64 = 0.05;

/// How often a measurement is repeated that lost more.
const MOST_REPEATS: usize = 3;

struct Options {
    rounds: usize,
    time: Duration,
}

fn main() -> Result<(), String> {
    let options = options()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(compare(&options))
}

/// `cargo bench` passes `--bench`, which says nothing here.
fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 3, time: Duration::from_secs(3) };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|value| value.parse::<u32>().ok()).filter(|number| *number > 0);
        match (argument.as_str(), number) {
            ("--rounds", Some(number)) => options.rounds = number as usize,
            ("--seconds", Some(number)) => options.time = Duration::from_secs(number.into()),
            _ => return Err(format!("{argument}: write --rounds N or --seconds N")),
        }
    }
    Ok(options)
}

async fn compare(options: &Options) -> Result<(), String> {
    let (v1, v2) = (Backend::start("v1").await?, Backend::start("v2").await?);
    let peers = Peer::all(v1.address, v2.address)?;
    for peer in &peers {
        peer.check().await.map_err(|error| format!("{}: {error}", peer.name))?;
    }
    let mut rows = Vec::new();
    for round in 1..=options.rounds {
        for peer in &peers {
            let row = measure(peer, options, round).await?;
            eprintln!("round {round}: {row}");
            rows.push(row);
        }
    }
    report::print(&rows);
    Ok(())
}

async fn measure(peer: &Peer, options: &Options, round: usize) -> Result<Row, String> {
    for _ in 0..MOST_REPEATS {
        let stolen = report::Stolen::begin();
        let before = peer.cpu();
        let saturated = Load { connections: 64, rate: None, time: options.time }.run(peer.address).await?;
        let cpu = peer.cpu() - before;
        let resident = peer.resident();
        let steady = Load { connections: 16, rate: Some(1000), time: options.time }.run(peer.address).await?;
        if stolen.share() > MOST_STOLEN {
            eprintln!("round {round}: {} again, the machine lost {:.0} %", peer.name, stolen.share() * 100.0);
            continue;
        }
        return Ok(Row::new(peer.name, round, cpu, resident, &saturated, &steady));
    }
    Err("the machine is too busy with others to measure on".to_owned())
}
