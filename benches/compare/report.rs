//! What is printed.

use std::fmt;
use std::fs;
use std::time::Duration;

use crate::load::Outcome;

/// One measurement of one peer.
pub struct Row {
    name: &'static str,
    round: usize,
    /// Microseconds of the peer's CPU per request.
    cpu: f64,
    /// Mebibytes.
    resident: f64,
    /// Requests per second, as fast as they went.
    throughput: f64,
    saturated: (f64, f64),
    steady: (f64, f64),
}

impl Row {
    pub fn new(
        name: &'static str,
        round: usize,
        cpu: Duration,
        resident: u64,
        saturated: &Outcome,
        steady: &Outcome,
    ) -> Self {
        let milliseconds = |outcome: &Outcome, percent| outcome.percentile(percent).as_secs_f64() * 1000.0;
        let both = |outcome: &Outcome| (milliseconds(outcome, 50.0), milliseconds(outcome, 99.0));
        Self {
            name,
            round,
            cpu: cpu.as_secs_f64() * 1e6 / saturated.requests.max(1) as f64,
            resident: resident as f64 / (1024.0 * 1024.0),
            throughput: saturated.requests as f64,
            saturated: both(saturated),
            steady: both(steady),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8} {:7.1} us/request {:6.1} MiB {:8.0} requests, p99 {:.2} ms",
            self.name, self.cpu, self.resident, self.throughput, self.steady.1
        )
    }
}

/// Medians by peer, and the ratio to Envoy within each round.
pub fn print(rows: &[Row]) {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    println!("gateway, HTTP/1.1, header rule and 90/10 split, access log, 1 KiB; one worker");
    println!(
        "{:8} {:>12} {:>9} {:>8} {:>21} {:>21}",
        "", "CPU/request", "of Envoy", "RSS", "64 conns p50/p99 ms", "1000/s p50/p99 ms"
    );
    for name in names {
        let own: Vec<&Row> = rows.iter().filter(|row| row.name == name).collect();
        let of = |value: &dyn Fn(&Row) -> f64| median(own.iter().map(|row| value(row)).collect());
        let ratios = own.iter().filter_map(|row| {
            let envoy = rows.iter().find(|other| other.name == "envoy" && other.round == row.round)?;
            Some(row.cpu / envoy.cpu)
        });
        let ratio = median(ratios.collect());
        let shown = if name == "direct" || ratio.is_nan() { "-".to_owned() } else { format!("{ratio:.2}") };
        println!(
            "{name:8} {:>9.1} us {shown:>9} {:>4.1} MiB {:>21} {:>21}",
            of(&|row| row.cpu),
            of(&|row| row.resident),
            format!("{:.2}/{:.2}", of(&|row| row.saturated.0), of(&|row| row.saturated.1)),
            format!("{:.2}/{:.2}", of(&|row| row.steady.0), of(&|row| row.steady.1)),
        );
    }
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
