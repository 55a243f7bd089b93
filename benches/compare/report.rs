//! What is printed.

use std::fmt;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Outcome;

/// One measurement of one peer.
pub struct Row {
    name: &'static str,
    round: usize,
    /// Microseconds of the peer's CPU per request.
    cpu: f64,
    /// Mebibytes, and those that no file backs.
    resident: (f64, f64),
    /// Requests per second, as fast as they went.
    throughput: f64,
    saturated: Option<Latency>,
    steady: Option<Latency>,
    /// Of what it is the measurement.
    unit: Unit,
}

/// What CPU time and throughput are told per.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Request,
    Mebibyte,
    Connection,
    /// Nothing: memory alone.
    None,
}

/// Percentiles 50, 99 and 99.9, in milliseconds.
#[derive(Clone, Copy)]
struct Latency([f64; 3]);

impl Latency {
    fn of(outcome: &Outcome) -> Self {
        Self([50.0, 99.0, 99.9].map(|percent| outcome.percentile(percent).as_secs_f64() * 1000.0))
    }
}

fn mebibytes((all, anonymous): (u64, u64), parts: usize) -> (f64, f64) {
    let mebibytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0) / parts.max(1) as f64;
    (mebibytes(all), mebibytes(anonymous))
}

impl Row {
    pub fn new(
        name: &'static str,
        round: usize,
        cpu: Duration,
        resident: (u64, u64),
        time: Duration,
        saturated: &Outcome,
        steady: Option<&Outcome>,
    ) -> Self {
        Self {
            name,
            round,
            cpu: cpu.as_secs_f64() * 1e6 / saturated.requests.max(1) as f64,
            resident: mebibytes(resident, 1),
            throughput: saturated.requests as f64 / time.as_secs_f64(),
            saturated: Some(Latency::of(saturated)),
            steady: steady.map(Latency::of),
            unit: Unit::Request,
        }
    }

    /// Of so many mebibytes that were carried.
    pub fn bulk(
        name: &'static str,
        round: usize,
        cpu: Duration,
        resident: (u64, u64),
        time: Duration,
        carried: u64,
    ) -> Self {
        Self {
            cpu: cpu.as_secs_f64() * 1e6 / carried.max(1) as f64,
            round,
            throughput: carried as f64 / time.as_secs_f64(),
            unit: Unit::Mebibyte,
            ..Self::memory(name, resident, 1)
        }
    }

    /// Of so many connections: CPU for making each, and what the processes grew by, before and after, for all of them.
    pub fn connections(name: &'static str, cpu: Duration, before: (u64, u64), after: (u64, u64), count: usize) -> Self {
        let grown = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        Self {
            cpu: cpu.as_secs_f64() * 1e6 / count.max(1) as f64,
            throughput: grown.1 as f64 / 1024.0 / count.max(1) as f64,
            unit: Unit::Connection,
            ..Self::memory(name, grown, 1)
        }
    }

    /// Memory alone, of one of so many processes.
    pub fn memory(name: &'static str, resident: (u64, u64), processes: usize) -> Self {
        let resident = mebibytes(resident, processes);
        Self {
            name,
            round: 1,
            cpu: f64::NAN,
            resident,
            throughput: f64::NAN,
            saturated: None,
            steady: None,
            unit: Unit::None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (each, rate) = match self.unit {
            Unit::Request | Unit::None => ("request", "requests/s"),
            Unit::Mebibyte => ("MiB", "MiB/s"),
            Unit::Connection => ("connection", "KiB each"),
        };
        write!(
            f,
            "{:8} {:7.1} us/{each} {:6.1} MiB {:8.0} {rate}",
            self.name, self.cpu, self.resident.0, self.throughput
        )
    }
}

/// The medians of one peer.
struct Summary {
    name: &'static str,
    cpu: f64,
    /// Of CPU per request to Envoy's and to HAProxy's, within each round.
    ratios: [f64; 2],
    resident: (f64, f64),
    throughput: f64,
    saturated: [f64; 3],
    steady: [f64; 3],
}

fn summaries(rows: &[Row]) -> Vec<Summary> {
    let mut names: Vec<&'static str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    let summary = |name: &'static str| {
        let own: Vec<&Row> = rows.iter().filter(|row| row.name == name).collect();
        let of = |value: &dyn Fn(&Row) -> f64| median(own.iter().map(|row| value(row)).collect());
        let ratio = |to: &str| {
            let ratios = own.iter().filter_map(|row| {
                let other = rows.iter().find(|other| other.name == to && other.round == row.round)?;
                Some(row.cpu / other.cpu)
            });
            if name == "direct" { f64::NAN } else { median(ratios.collect()) }
        };
        let latency = |which: &dyn Fn(&Row) -> Option<Latency>| {
            [0, 1, 2].map(|place| of(&|row| which(row).map_or(f64::NAN, |latency| latency.0[place])))
        };
        Summary {
            name,
            cpu: of(&|row| row.cpu),
            ratios: ["envoy", "haproxy"].map(ratio),
            resident: (of(&|row| row.resident.0), of(&|row| row.resident.1)),
            throughput: of(&|row| row.throughput),
            saturated: latency(&|row| row.saturated),
            steady: latency(&|row| row.steady),
        }
    };
    names.into_iter().map(summary).collect()
}

/// Medians by peer, and the ratios within each round.
pub fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    if rows.iter().all(|row| row.unit == Unit::None) {
        println!("{:8} {:>9} {:>10}", "", "RSS", "anonymous");
        for Summary { name, resident, .. } in summaries(rows) {
            println!("{name:8} {:>5.1} MiB {:>6.1} MiB", resident.0, resident.1);
        }
        return;
    }
    let ratio = |ratio: f64| if ratio.is_nan() { "-".to_owned() } else { format!("{ratio:.2}") };
    let unit = rows.first().map_or(Unit::None, |row| row.unit);
    if let Unit::Mebibyte | Unit::Connection = unit {
        let (each, rate) = if unit == Unit::Mebibyte { ("CPU/MiB", "MiB/s") } else { ("CPU/conn.", "KiB/conn.") };
        println!("{:8} {each:>10} {:>6} {:>8} {:>9} {rate:>9}", "", "/envoy", "/haproxy", "RSS");
        for row in summaries(rows) {
            let [envoy, haproxy] = row.ratios.map(ratio);
            let (name, cpu, resident, throughput) = (row.name, row.cpu, row.resident.0, row.throughput);
            println!("{name:8} {cpu:>7.1} us {envoy:>6} {haproxy:>8} {resident:>5.1} MiB {throughput:>9.1}");
        }
        return;
    }
    println!(
        "{:8} {:>9} {:>6} {:>8} {:>9} {:>17} {:>17}",
        "", "CPU/req.", "/envoy", "/haproxy", "RSS", "busy p50/99/99.9", "1000/s 50/99/99.9"
    );
    let three = |[a, b, c]: [f64; 3]| if a.is_nan() { "-".to_owned() } else { format!("{a:.1}/{b:.1}/{c:.1}") };
    for row in summaries(rows) {
        println!(
            "{:8} {:>6.1} us {:>6} {:>8} {:>5.1} MiB {:>17} {:>17}",
            row.name,
            row.cpu,
            ratio(row.ratios[0]),
            ratio(row.ratios[1]),
            row.resident.0,
            three(row.saturated),
            three(row.steady),
        );
    }
}

/// The same for programs. What was not measured is null.
pub fn json(scenario: &str, title: &str, rows: &[Row]) -> Value {
    let peers = summaries(rows).into_iter().map(|row| {
        json!({
            "peer": row.name,
            "cpu_us_per_request": row.cpu,
            "ratio_to_envoy": row.ratios[0],
            "ratio_to_haproxy": row.ratios[1],
            "rss_mib": row.resident.0,
            "anonymous_mib": row.resident.1,
            "requests_per_second": row.throughput,
            "saturated_ms": {"p50": row.saturated[0], "p99": row.saturated[1], "p99_9": row.saturated[2]},
            "steady_ms": {"p50": row.steady[0], "p99": row.steady[1], "p99_9": row.steady[2]},
            "cpu_us_by_round": rows.iter().filter(|other| other.name == row.name).map(|row| row.cpu).collect::<Vec<_>>(),
        })
    });
    json!({"scenario": scenario, "title": title, "peers": peers.collect::<Vec<_>>()})
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What the hypervisor gives to others meanwhile.
pub struct Stolen {
    before: (f64, f64),
}

impl Stolen {
    pub fn begin() -> Self {
        Self { before: read() }
    }

    /// The share of the machine's time that was taken away.
    pub fn share(&self) -> f64 {
        let (stolen, all) = read();
        (stolen - self.before.0) / (all - self.before.1).max(1.0)
    }
}

/// (stolen, all) ticks since the machine started.
fn read() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    (ticks.get(7).copied().unwrap_or(0.0), ticks.iter().sum())
}
