//! `fortio load` and `fortio curl`: the load that Istio's guide to circuit breaking makes.
//!
//! Guarantees: every connection is one of its own that is used again, as fortio's are; the report has fortio's lines, so that what a
//! guide greps for is there. Refuses what it does not do (gRPC, TCP and UDP load, TLS, fortio's server and its web interface).

mod args;
mod histogram;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use http::header::HeaderMap;
use k8s_openapi::jiff::{Timestamp, tz::TimeZone};

use self::args::{Load, Parsed};
use self::histogram::Histogram;
use super::Call;
use crate::runtime::samples::{Client, Fetched, ProxyAddress};

/// Requests of one run at most, where a time bounds it.
const CALLS_LIMIT: u64 = 10_000_000;

pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let parsed = match args::parse(call.args) {
        Ok(parsed) => parsed,
        Err(problem) => return call.usage(1, problem),
    };
    let proxy = ["http_proxy", "HTTP_PROXY"].iter().find_map(|name| std::env::var(name).ok());
    let proxy = match proxy.filter(|proxy| !proxy.is_empty()).map(|proxy| ProxyAddress::parse(&proxy)).transpose() {
        Ok(proxy) => proxy,
        Err(error) => return call.usage(1, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    match parsed {
        Parsed::Version => {
            writeln!(call.out, "1.73.0")?;
            Ok(0)
        }
        Parsed::Fetch(load) => fetch(call, &runtime, &load, proxy),
        Parsed::Load(load) => {
            let url = load.url.as_str();
            let plan = match load.calls {
                Some(calls) => format!("for exactly {calls} calls ({})", share(calls, load.connections)),
                None => format!("for {}", shown(load.time)),
            };
            let rate = if load.rate > 0.0 { load.rate.to_string() } else { "0".to_owned() };
            writeln!(call.out, "Fortio 1.73.0 running at {rate} queries per second, 2->2 procs, {plan}: {url}")?;
            let pace = if load.rate > 0.0 { format!("at {} qps", load.rate) } else { "at max qps".to_owned() };
            writeln!(call.out, "Starting {pace} with {} thread(s) [gomax 2] {plan}", load.connections)?;
            call.out.flush()?;
            let began = Instant::now();
            let totals = runtime.block_on(drive(&load, proxy.as_ref()));
            report(call.out, call.err, &load, &totals, began.elapsed())?;
            Ok(0)
        }
    }
}

fn share(calls: u64, connections: u64) -> String {
    format!("{} per thread + {}", calls / connections, calls % connections)
}

/// A duration as Go writes it.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 1.0 {
        format!("{seconds}s")
    } else if seconds >= 1e-3 {
        format!("{}ms", (seconds * 1e9).round() / 1e6)
    } else {
        format!("{}µs", (seconds * 1e9).round() / 1e3)
    }
}

/// One request, shown with its head.
fn fetch(
    call: &mut Call<'_>,
    runtime: &tokio::runtime::Runtime,
    load: &Load,
    proxy: Option<ProxyAddress>,
) -> io::Result<u8> {
    let client = Client::new(proxy);
    let answer = match runtime.block_on(client.send(&load.request, load.timeout)) {
        Ok(answer) => answer,
        Err(error) => return call.usage(1, error),
    };
    if !load.quiet {
        let now = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%H:%M:%S");
        writeln!(call.err, "{now} I fortio> HTTP/1.1 {} {}", answer.status.as_u16(), load.url)?;
    }
    let reason = answer.status.canonical_reason().unwrap_or_default();
    write!(call.out, "HTTP/1.1 {} {reason}\r\n", answer.status.as_u16())?;
    for (name, value) in &answer.headers {
        write!(call.out, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()))?;
    }
    call.out.write_all(b"\r\n")?;
    call.out.write_all(&answer.body)?;
    Ok(u8::from(!answer.status.is_success()))
}

/// What all connections did.
#[derive(Default)]
struct Totals {
    times: Histogram,
    codes: BTreeMap<i32, u64>,
    head_sizes: Sizes,
    sizes: Sizes,
    sockets: u64,
    failures: Vec<String>,
}

#[derive(Default)]
struct Sizes(Vec<f64>);

impl Totals {
    fn add(&mut self, took: Duration, outcome: Result<&Fetched, String>) {
        self.times.record(took.as_secs_f64());
        let (code, head, body) = match &outcome {
            Ok(answer) => (i32::from(answer.status.as_u16()), head_size(&answer.headers), answer.body.len()),
            Err(_) => (-1, 0, 0),
        };
        *self.codes.entry(code).or_default() += 1;
        self.head_sizes.0.push(head as f64);
        self.sizes.0.push((head + body) as f64);
        if let Err(problem) = outcome {
            self.failures.push(problem);
        }
    }

    fn merge(&mut self, other: Self) {
        self.times.merge(other.times);
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.head_sizes.0.extend(other.head_sizes.0);
        self.sizes.0.extend(other.sizes.0);
        self.sockets += other.sockets;
        self.failures.extend(other.failures);
    }
}

/// Bytes of a head with these fields.
fn head_size(headers: &HeaderMap) -> usize {
    let lines: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    "HTTP/1.1 200 OK\r\n\r\n".len() + lines
}

async fn drive(load: &Load, proxy: Option<&ProxyAddress>) -> Totals {
    let began = Instant::now();
    let connections = (0..load.connections).map(|at| {
        let calls = match load.calls {
            Some(calls) => calls / load.connections + u64::from(at < calls % load.connections),
            None => CALLS_LIMIT,
        };
        connection(load, proxy.cloned(), calls, began)
    });
    let mut totals = Totals::default();
    for part in futures_util::future::join_all(connections).await {
        totals.merge(part);
    }
    totals
}

/// One connection's calls, one after the other.
async fn connection(load: &Load, proxy: Option<ProxyAddress>, calls: u64, began: Instant) -> Totals {
    let mut totals = Totals::default();
    let mut client = Client::new(proxy.clone());
    for number in 0..calls {
        if load.calls.is_none() && began.elapsed() >= load.time {
            break;
        }
        if load.rate > 0.0 {
            let due = number as f64 * load.connections as f64 / load.rate;
            tokio::time::sleep_until((began + Duration::from_secs_f64(due)).into()).await;
        }
        let sent = Instant::now();
        let outcome = client.send(&load.request, load.timeout).await;
        totals.add(sent.elapsed(), outcome.as_ref().map_err(ToString::to_string));
        // Fortio gives a connection up after anything but success.
        let is_kept = load.keep_alive && outcome.is_ok_and(|answer| answer.status.is_success());
        if !is_kept {
            totals.sockets += client.connects();
            client = Client::new(proxy.clone());
        }
    }
    totals.sockets += client.connects();
    totals
}

fn report(out: &mut dyn Write, err: &mut dyn Write, load: &Load, totals: &Totals, elapsed: Duration) -> io::Result<()> {
    let count = totals.times.count();
    let rate = count as f64 / elapsed.as_secs_f64();
    if let Some(first) = totals.failures.first() {
        writeln!(err, "{} requests had no response; the first: {first}", totals.failures.len())?;
    }
    writeln!(out, "Ended after {} : {count} calls. qps={}", shown(elapsed), rounded(rate, 5))?;
    totals.times.print(out, "Aggregated Function Time", &load.percentiles)?;
    writeln!(out, "Sockets used: {} (for perfect keepalive, would be {})", totals.sockets, load.connections)?;
    for (code, calls) in &totals.codes {
        let share = *calls as f64 * 100.0 / count.max(1) as f64;
        writeln!(out, "Code {code:3} : {calls} ({share:.1} %)")?;
    }
    for (title, sizes) in [("Response Header Sizes", &totals.head_sizes), ("Response Body/Total Sizes", &totals.sizes)]
    {
        let sizes: Histogram = sizes.0.iter().copied().collect();
        writeln!(out, "{title} : {}", sizes.summary())?;
    }
    let average = totals.times.average() * 1e3;
    writeln!(out, "All done {count} calls (plus 0 warmup) {average:.3} ms avg, {rate:.1} qps")
}

/// Significant digits, as Go's `%.5g` has them.
pub(super) fn rounded(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let places = (digits - 1 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
