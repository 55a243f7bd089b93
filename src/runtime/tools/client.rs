//! `client`: what sends requests from pods of Istio's and the Gateway API's tests, over HTTP/1.1.
//!
//! It says what it asked for and what came back in their words, one `name=value` on each line, so that a test can read it. Refuses
//! other protocols than HTTP.

use std::io::{self, Write};
use std::time::Duration;

use http::header::{HOST, HeaderName, HeaderValue};

use super::Call;
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
}

pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let plan = match parse(call.args) {
        Ok(plan) => plan,
        Err(problem) => return call.usage(1, problem),
    };
    let proxy = ["http_proxy", "HTTP_PROXY"].iter().find_map(|name| std::env::var(name).ok());
    let client = match proxy.filter(|proxy| !proxy.is_empty()).map(|proxy| ProxyAddress::parse(&proxy)).transpose() {
        Ok(proxy) => Client::new(proxy),
        Err(error) => return call.usage(1, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let mut failures = 0;
    for index in 0..plan.count {
        match runtime.block_on(client.send(&plan.request, plan.timeout)) {
            Ok(answer) => show(call.out, index, &plan.request.url, &answer)?,
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

fn show(out: &mut dyn Write, index: u32, url: &str, answer: &Fetched) -> io::Result<()> {
    writeln!(out, "[{index}] Url={url}")?;
    writeln!(out, "[{index}] StatusCode={}", answer.status.as_u16())?;
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
    let mut plan = Plan { request: Outgoing::default(), count: 1, timeout: TIMEOUT };
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
            url => return Err(format!("{url}: only http:// is built in")),
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
        for refused in ["grpc://echo", "http://echo --qps=1", "http://echo --count=0", "http://echo -H a", "--count=1"]
        {
            assert!(parse(&words(refused)).is_err(), "{refused}");
        }
    }
}
