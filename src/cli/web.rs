//! Reading from the web, for arguments that are URLs.
//!
//! Guarantees a bound on the time and on the bytes, and an error that names the URL. The environment's proxies are used.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::cli::error::{CliError, CliResult, Kind};

/// How long an answer may take, whole.
const LIMIT: Duration = Duration::from_secs(20);

/// Whether an argument is a URL that can be read.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// The body that a URL answers with, of at most `most` bytes.
///
/// # Errors
/// It can't be reached, answers with another status than success or with more, or takes more than 20 seconds.
pub(super) async fn read(url: &str, most: u64) -> CliResult<Vec<u8>> {
    let failed = |kind, why: String| CliError::message(kind, format!("can't read {url}: {why}"));
    let unavailable = |error: reqwest::Error| {
        CliError::new(Kind::Unavailable, anyhow::Error::new(error.without_url()).context(format!("can't read {url}")))
    };
    let client = reqwest::Client::builder().timeout(LIMIT).user_agent(concat!("mesh/", env!("CARGO_PKG_VERSION")));
    let response = client.build().map_err(unavailable)?.get(url).send().await.map_err(unavailable)?;
    if !response.status().is_success() {
        return Err(failed(Kind::Unavailable, format!("it answers with {}", response.status())));
    }
    let mut chunks = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(unavailable)?;
        if (body.len() + chunk.len()) as u64 > most {
            return Err(failed(Kind::Data, format!("it answers with more than {most} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
