//! `-w`: what is said after a transfer.

use std::net::SocketAddr;
use std::time::Duration;

use super::Done;
use super::args::Failure;
use super::exchange::Report;

/// Text for standard output and standard error.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) out: String,
    pub(super) err: String,
}

/// Puts in the variables of a format: `%{name}`, `%header{name}`, `%%` and the backslash sequences.
pub(super) fn format(format: &str, report: &Report, done: &Done, failure: Option<&Failure>) -> Text {
    let mut text = Text::default();
    let mut to_err = false;
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let (shown, next) = match c {
            '%' if after.starts_with('%') => ("%".to_owned(), after.get(1..)),
            '%' => match braced(after, "{").or_else(|| braced(after, "header{")) {
                Some(("stderr", next)) => {
                    to_err = true;
                    (String::new(), Some(next))
                }
                Some(("stdout", next)) => {
                    to_err = false;
                    (String::new(), Some(next))
                }
                Some((name, next)) if after.starts_with("header") => {
                    (report.header(name).unwrap_or_default().to_owned(), Some(next))
                }
                Some((name, next)) => (variable(name, report, done, failure), Some(next)),
                None => ("%".to_owned(), Some(after)),
            },
            '\\' => {
                let shown = match after.chars().next() {
                    Some('n') => "\n",
                    Some('r') => "\r",
                    Some('t') => "\t",
                    Some('\\') => "\\",
                    _ => "",
                };
                match shown {
                    "" => ("\\".to_owned(), Some(after)),
                    shown => (shown.to_owned(), after.get(1..)),
                }
            }
            c => (c.to_string(), Some(after)),
        };
        if to_err { &mut text.err } else { &mut text.out }.push_str(&shown);
        rest = next.unwrap_or_default();
    }
    text
}

fn braced<'a>(text: &'a str, open: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once('}')
}

fn variable(name: &str, report: &Report, done: &Done, failure: Option<&Failure>) -> String {
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let ip = |address: Option<SocketAddr>| address.map(|address| address.ip().to_string()).unwrap_or_default();
    let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port()).to_string();
    let per_second = |bytes: f64| format!("{:.0}", bytes / report.times.total.as_secs_f64().max(1e-6));
    match name {
        "http_code" | "response_code" => format!("{:03}", report.status),
        "http_connect" => "000".to_owned(),
        "http_version" => report.version.to_owned(),
        "method" => done.method.clone(),
        "scheme" => done.url.split(':').next().unwrap_or_default().to_ascii_lowercase(),
        "url" => done.given.clone(),
        "url_effective" => done.url.clone(),
        "redirect_url" => done.redirect.clone().unwrap_or_default(),
        "num_redirects" => done.redirects.to_string(),
        "num_connects" => (done.redirects + 1).to_string(),
        "num_headers" => report.headers.len().to_string(),
        "content_type" => report.header("content-type").unwrap_or_default().to_owned(),
        "size_download" => report.received.to_string(),
        "size_upload" => report.sent.to_string(),
        "size_header" => report.head_bytes.to_string(),
        "size_request" => report.request_bytes.to_string(),
        "speed_download" => per_second(report.received as f64),
        "speed_upload" => per_second(report.sent as f64),
        "time_total" => seconds(report.times.total),
        "time_connect" => seconds(report.times.connected),
        "time_appconnect" => seconds(report.times.secured),
        "time_pretransfer" => seconds(report.times.connected.max(report.times.secured)),
        "time_starttransfer" => seconds(report.times.first_byte),
        "time_namelookup" | "time_redirect" => seconds(Duration::ZERO),
        "remote_ip" => ip(report.remote),
        "remote_port" => port(report.remote),
        "local_ip" => ip(report.local),
        "local_port" => port(report.local),
        "ssl_verify_result" => "0".to_owned(),
        "exitcode" => failure.map_or(0, |failure| failure.code).to_string(),
        "errormsg" => failure.map(|failure| failure.message.clone()).unwrap_or_default(),
        "header_json" => {
            let mut fields = serde_json::Map::new();
            for (name, value) in &report.headers {
                let values = fields.entry(name.to_ascii_lowercase()).or_insert_with(|| serde_json::json!([]));
                if let Some(values) = values.as_array_mut() {
                    values.push(value.as_str().into());
                }
            }
            serde_json::to_string_pretty(&fields).unwrap_or_default()
        }
        _ => String::new(),
    }
}
