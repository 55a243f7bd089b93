//! `client`: what sends requests from pods of Istio's and the Gateway API's tests, over HTTP/1.1 and gRPC.
//!
//! It says what it asked for and what came back in their words, one `name=value` on each line, so that a test can read it. Refuses
//! every other protocol.

use std::io::{self, Write};
use std::time::Duration;

use http::header::{HOST, HeaderName, HeaderValue};

use tokio::runtime::Runtime;

use super::dial::Ways;
use super::{Call, grpc};
use crate::runtime::samples::{Client, Fetched, Outgoing, ProxyAddress};

/// How long one request may take where `--timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Requests of one run at most.
const COUNT_LIMIT: u32 = 10_000;

/// What is asked for.
struct Plan {
    request: Outgoing,
    count: u32,
    timeout: Duration,
    /// Host and port of a server that is called over gRPC; `None`: the request's URL is asked.
    grpc: Option<(String, u16)>,
}

pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let plan = match parse(call.args) {
        Ok(plan) => plan,
        Err(problem) => return call.usage(1, problem),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    if let Some((host, port)) = &plan.grpc {
        return run_grpc(call, &runtime, &plan, host, *port);
    }
    let proxy = ["http_proxy", "HTTP_PROXY"].iter().find_map(|name| std::env::var(name).ok());
    let client = match proxy.filter(|proxy| !proxy.is_empty()).map(|proxy| ProxyAddress::parse(&proxy)).transpose() {
        Ok(proxy) => Client::new(proxy),
        Err(error) => return call.usage(1, error),
    };
    repeat(call, &plan, || {
        runtime.block_on(client.send(&plan.request, plan.timeout)).map_err(|error| error.to_string())
    })
}

/// Calls an echo server over gRPC: a stream to it, by way of the pod's proxy.
fn run_grpc(call: &mut Call<'_>, runtime: &Runtime, plan: &Plan, host: &str, port: u16) -> io::Result<u8> {
    let stream = Ways::of_environment().and_then(|ways| ways.stream(host, port, plan.timeout));
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return call.usage(1, error),
    };
    let mut caller = runtime.block_on(grpc::Caller::new(stream, &format!("{host}:{port}")))?;
    repeat(call, plan, || runtime.block_on(caller.call(&plan.request, plan.timeout)))
}

/// Asks as often as is wanted.
fn repeat(call: &mut Call<'_>, plan: &Plan, mut ask: impl FnMut() -> Result<Fetched, String>) -> io::Result<u8> {
    let mut failures = 0;
    for index in 0..plan.count {
        match ask() {
            // Over gRPC the message itself says its status.
            Ok(answer) => show(call.out, index, plan, &answer)?,
            Err(error) => {
                failures += 1;
                writeln!(call.err, "[{index}] error: {error}")?;
            }
        }
    }
    if failures > 0 {
        writeln!(call.err, "Error {failures}/{} requests had errors", plan.count)?;
        return Ok(1);
    }
    writeln!(call.out, "All requests succeeded")?;
    Ok(0)
}

fn show(out: &mut dyn Write, index: u32, plan: &Plan, answer: &Fetched) -> io::Result<()> {
    writeln!(out, "[{index}] Url={}", plan.request.url)?;
    if plan.grpc.is_none() {
        writeln!(out, "[{index}] StatusCode={}", answer.status.as_u16())?;
    }
    for (name, value) in &answer.headers {
        let name = crate::runtime::samples::capitalised(name.as_str());
        writeln!(out, "[{index}] ResponseHeader={name}:{}", String::from_utf8_lossy(value.as_bytes()))?;
    }
    for line in String::from_utf8_lossy(&answer.body).lines().filter(|line| !line.is_empty()) {
        writeln!(out, "[{index} body] {line}")?;
    }
    writeln!(out)
}

/// Reads `URL`, `--method=M`, `-H name:value`, `--count=N` and `--timeout=D`, in any order.
fn parse(args: &[String]) -> Result<Plan, String> {
    let mut plan = Plan { request: Outgoing::default(), count: 1, timeout: TIMEOUT, grpc: None };
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name, Some(value)),
            _ => (word.as_str(), None),
        };
        let mut value = || inline.or_else(|| rest.next().map(String::as_str)).ok_or(format!("{name} needs a value"));
        match name {
            "--method" => {
                let given = value()?;
                plan.request.method = given.parse().map_err(|_| format!("--method {given}: no method"))?;
            }
            "-H" | "--header" => {
                let given = value()?;
                let parsed = given.split_once(':').and_then(|(name, value)| {
                    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                    Some((name, HeaderValue::from_str(value.trim()).ok()?))
                });
                let (name, value) = parsed.ok_or(format!("-H {given}: expected name:value"))?;
                if name == HOST {
                    plan.request.headers.insert(name, value);
                } else {
                    plan.request.headers.append(name, value);
                }
            }
            "--count" => {
                let given = value()?;
                let count = given.parse().ok().filter(|count| (1..=COUNT_LIMIT).contains(count));
                plan.count = count.ok_or(format!("--count {given}: expected a number of 1 to {COUNT_LIMIT}"))?;
            }
            "--timeout" => {
                let given = value()?;
                let parsed = given.parse::<crate::resources::Duration>().map_err(|_| format!("--timeout {given}"))?;
                plan.timeout = parsed.get();
            }
            option if option.starts_with('-') => return Err(format!("{option} is not built in")),
            url if url.starts_with("http://") => url.clone_into(&mut plan.request.url),
            url => {
                let authority = url.strip_prefix("grpc://").map(|rest| rest.split('/').next().unwrap_or(rest));
                let authority = authority.ok_or_else(|| format!("{url}: only http:// and grpc:// are built in"))?;
                let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
                let port = port.parse().map_err(|_| format!("{url}: {port:?} is no port"))?;
                plan.grpc = Some((host.to_owned(), port));
                url.clone_into(&mut plan.request.url);
            }
        }
    }
    if plan.request.url.is_empty() {
        return Err("expected a URL".to_owned());
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_originals_are_read_and_others_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let plan = parse(&words("http://echo/a --method=PUT -H x-a:1 -H x-a:2 --count=3")).unwrap();
        assert_eq!((plan.request.url.as_str(), plan.request.method.as_str(), plan.count), ("http://echo/a", "PUT", 3));
        assert_eq!(plan.request.headers.get_all("x-a").iter().count(), 2);
        let plan = parse(&words("grpc://echo.a:7070 --count=2")).unwrap();
        assert_eq!((plan.grpc, plan.count), (Some(("echo.a".to_owned(), 7070)), 2));
        for refused in [
            "grpc://echo:a",
            "tcp://echo:1",
            "http://echo --qps=1",
            "http://echo --count=0",
            "http://echo -H a",
            "--count=1",
        ] {
            assert!(parse(&words(refused)).is_err(), "{refused}");
        }
    }
}
