//! Proof that the demo does what it says: the split, the header rule, mutual TLS.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::runtime::demo::traffic::{TrafficError, Visitor};

/// Requests that are divided by weight.
pub const SPLIT_REQUESTS: u32 = 200;

/// How many of them may reach v2. A tenth is expected; a fair draw leaves this range less than once in 100,000 times.
pub const EXPECTED_V2: RangeInclusive<u32> = 4..=42;

/// Requests that the header rule sends to v2, all of them.
pub const HEADER_REQUESTS: u32 = 50;

/// One thing that was to be proved, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was to be proved.
    pub claim: &'static str,
    /// Whether it held.
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}

/// Sends the requests and looks where they went. `mtls` says of how many requests the receiving proxies saw, and how many of those
/// came over mutual TLS.
pub async fn prove(visitor: &Visitor, mtls: impl Fn() -> (u64, u64)) -> Result<Vec<Finding>, TrafficError> {
    let split = count(visitor, SPLIT_REQUESTS, false).await?;
    let header = count(visitor, HEADER_REQUESTS, true).await?;
    let v2 = |counts: &BTreeMap<String, u32>| counts.get("v2").copied().unwrap_or(0);
    let (received, over_mtls) = mtls();
    Ok(vec![
        Finding {
            claim: "90/10 canary of reviews",
            holds: EXPECTED_V2.contains(&v2(&split)) && split.keys().all(|version| version == "v1" || version == "v2"),
            seen: format!("{SPLIT_REQUESTS} requests: {}", describe(&split)),
        },
        Finding {
            claim: "end-user: jason goes to v2",
            holds: v2(&header) == HEADER_REQUESTS,
            seen: format!("{HEADER_REQUESTS} requests: {}", describe(&header)),
        },
        Finding {
            claim: "mutual TLS between proxies",
            holds: received > 0 && over_mtls == received,
            seen: format!("{over_mtls} of {received} requests"),
        },
    ])
}

async fn count(visitor: &Visitor, requests: u32, jason: bool) -> Result<BTreeMap<String, u32>, TrafficError> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(visitor.reviews_version(jason).await?).or_default() += 1;
    }
    Ok(counts)
}

fn describe(counts: &BTreeMap<String, u32>) -> String {
    let parts: Vec<String> = counts.iter().map(|(version, count)| format!("{count} to {version}")).collect();
    parts.join(", ")
}
