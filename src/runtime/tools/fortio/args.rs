//! fortio's arguments, as Go's flags are written: `-c 2`, `-c=2` and `--c 2` are the same.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::resources::Duration as GoDuration;
use crate::runtime::samples::Outgoing;

/// What is to be done.
pub(super) enum Parsed {
    Load(Load),
    /// `fortio curl`.
    Fetch(Load),
    Version,
}

/// A run.
pub(super) struct Load {
    pub(super) url: String,
    pub(super) request: Outgoing,
    pub(super) connections: u64,
    /// Of all connections together; 0: as fast as it goes.
    pub(super) rate: f64,
    /// `None`: as many as fit into `time`.
    pub(super) calls: Option<u64>,
    pub(super) time: Duration,
    pub(super) timeout: Duration,
    pub(super) percentiles: Vec<f64>,
    pub(super) keep_alive: bool,
    pub(super) quiet: bool,
}

/// Flags without a value, and what they may be set to with `=`.
const SWITCHES: &[&str] = &[
    "allow-initial-errors",
    "compression",
    "curl",
    "gomaxprocs",
    "h2",
    "http1.0",
    "https-insecure",
    "i",
    "jitter",
    "k",
    "keepalive",
    "L",
    "log-errors",
    "nocatchup",
    "quiet",
    "stdclient",
    "sequential-warmup",
    "uniform",
    "4",
];

/// Flags with a value that changes nothing here.
const IGNORED: &[&str] = &[
    "loglevel",
    "r",
    "a",
    "labels",
    "json",
    "abort-on",
    "httpbufferkb",
    "httpccch",
    "connection-reuse",
    "offset",
    "runid",
    "data-dir",
    "dns-method",
    "profile",
    "s",
];

const CONNECTIONS_LIMIT: u64 = 1000;

pub(super) fn parse(words: &[String]) -> Result<Parsed, String> {
    let (command, rest) = words.split_first().ok_or("fortio load|curl|version [flags] URL")?;
    let is_fetch = match command.as_str() {
        "load" => false,
        "curl" => true,
        "version" => return Ok(Parsed::Version),
        other => return Err(format!("{other:?} is not built in; there are load, curl and version")),
    };
    let mut load = Load {
        url: String::new(),
        request: Outgoing::default(),
        connections: 4,
        rate: 8.0,
        calls: None,
        time: Duration::from_secs(5),
        timeout: Duration::from_secs(3),
        percentiles: vec![50.0, 75.0, 90.0, 99.0, 99.9],
        keep_alive: true,
        quiet: false,
    };
    let mut is_fetch = is_fetch;
    let mut method = None;
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            load.url.clone_from(word);
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, inline) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
        if SWITCHES.contains(&name) {
            let on = inline.as_deref() != Some("false");
            match name {
                "keepalive" => load.keep_alive = on,
                "quiet" => load.quiet = on,
                "curl" => is_fetch |= on,
                "h2" | "http1.0" if on => return Err(format!("-{name} is not built in")),
                _ => {}
            }
            continue;
        }
        let value = inline.or_else(|| words.next().cloned()).ok_or_else(|| format!("-{name} needs a value"))?;
        let bad = |what: &str| format!("-{name} {value}: expected {what}");
        match name {
            "c" => load.connections = value.parse().map_err(|_| bad("a number of connections"))?,
            "qps" if value == "max" => load.rate = 0.0,
            "qps" => load.rate = value.parse::<f64>().map_err(|_| bad("a number"))?.max(0.0),
            "n" => load.calls = Some(value.parse().map_err(|_| bad("a number of calls"))?).filter(|calls| *calls > 0),
            "t" => load.time = duration(&value).ok_or_else(|| bad("a duration"))?,
            "timeout" => load.timeout = duration(&value).ok_or_else(|| bad("a duration"))?,
            "p" => {
                let all: Result<Vec<f64>, _> = value.split(',').map(|part| part.trim().parse()).collect();
                load.percentiles = all.map_err(|_| bad("percentiles"))?;
            }
            "H" => {
                let (field, text) = value.split_once(':').ok_or_else(|| bad("Name: value"))?;
                let field = HeaderName::from_bytes(field.trim().as_bytes()).map_err(|_| bad("Name: value"))?;
                let text = HeaderValue::from_str(text.trim()).map_err(|_| bad("Name: value"))?;
                load.request.headers.append(field, text);
            }
            "X" => method = Some(value.parse::<Method>().map_err(|_| bad("a method"))?),
            "payload" => load.request.body = Bytes::from(value),
            "payload-size" => {
                let size: usize = value.parse().map_err(|_| bad("a size"))?;
                load.request.body = Bytes::from(vec![b'x'; size.min(1 << 20)]);
            }
            "content-type" => {
                let value = HeaderValue::from_str(&value).map_err(|_| bad("a content type"))?;
                load.request.headers.insert(CONTENT_TYPE, value);
            }
            "user" => {
                use base64::Engine as _;
                let coded = base64::prelude::BASE64_STANDARD.encode(&value);
                let value = HeaderValue::from_str(&format!("Basic {coded}")).map_err(|_| bad("user:password"))?;
                load.request.headers.insert(http::header::AUTHORIZATION, value);
            }
            name if IGNORED.contains(&name) => {}
            _ => return Err(format!("-{name} is not built in")),
        }
    }
    if load.url.is_empty() {
        return Err("needs a URL".to_owned());
    }
    if load.connections == 0 || load.connections > CONNECTIONS_LIMIT {
        return Err(format!("-c {}: from 1 to {CONNECTIONS_LIMIT}", load.connections));
    }
    if !load.url.contains("://") {
        load.url = format!("http://{}", load.url);
    }
    if let Some(calls) = load.calls {
        load.connections = load.connections.min(calls);
    }
    load.request.url.clone_from(&load.url);
    load.request.method = method.unwrap_or(if load.request.body.is_empty() { Method::GET } else { Method::POST });
    load.request
        .headers
        .entry(http::header::USER_AGENT)
        .or_insert(HeaderValue::from_static("fortio.org/fortio-1.73.0"));
    Ok(if is_fetch { Parsed::Fetch(load) } else { Parsed::Load(load) })
}

/// `5s`, `1m30s`; 0 is for ever, which ends after an hour here.
fn duration(text: &str) -> Option<Duration> {
    let parsed = text.parse::<GoDuration>().ok()?.get();
    Some(if parsed.is_zero() { Duration::from_secs(3600) } else { parsed })
}
