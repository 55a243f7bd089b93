//! Limits of clusters, outlier policies, hash policies.

use std::time::Duration;

use crate::model::pool::MAX_HASH_TABLE;
use crate::model::{CookieKey, HashKey, HashPolicy, HashTable, Keepalive, OutlierPolicy, PoolLimits, RetryBudget};
use crate::wire::convert::{ConvertError, Problem};
use crate::wire::proto::mesh::v1;

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl From<&PoolLimits> for v1::PoolLimits {
    fn from(limits: &PoolLimits) -> Self {
        Self {
            connections: limits.connections,
            pending: limits.pending,
            requests: limits.requests,
            retries: limits.retries,
            retry_budget: limits
                .retry_budget
                .map(|budget| v1::RetryBudget { basis_points: budget.basis_points, always: budget.always }),
            requests_per_connection: limits.requests_per_connection,
            idle: limits.idle.map(nanoseconds),
            stream_idle: limits.stream_idle.map(nanoseconds),
            lifetime: limits.lifetime.map(nanoseconds),
            keepalive: limits.keepalive.map(|keepalive| v1::Keepalive {
                time: keepalive.time.map(nanoseconds),
                interval: keepalive.interval.map(nanoseconds),
                probes: keepalive.probes,
            }),
        }
    }
}

/// Every number is a limit that can be kept.
impl From<v1::PoolLimits> for PoolLimits {
    fn from(message: v1::PoolLimits) -> Self {
        Self {
            connections: message.connections,
            pending: message.pending,
            requests: message.requests,
            retries: message.retries,
            retry_budget: message
                .retry_budget
                .map(|budget| RetryBudget { basis_points: budget.basis_points, always: budget.always }),
            requests_per_connection: message.requests_per_connection,
            idle: message.idle.map(Duration::from_nanos),
            stream_idle: message.stream_idle.map(Duration::from_nanos),
            lifetime: message.lifetime.map(Duration::from_nanos),
            keepalive: message.keepalive.map(|keepalive| Keepalive {
                time: keepalive.time.map(Duration::from_nanos),
                interval: keepalive.interval.map(Duration::from_nanos),
                probes: keepalive.probes,
            }),
        }
    }
}

impl From<&OutlierPolicy> for v1::OutlierPolicy {
    fn from(policy: &OutlierPolicy) -> Self {
        Self {
            server_errors: policy.server_errors,
            gateway_errors: policy.gateway_errors,
            local_failures: policy.local_failures,
            interval: nanoseconds(policy.interval),
            base_ejection: nanoseconds(policy.base_ejection),
            most_ejected: policy.most_ejected,
            least_healthy: policy.least_healthy,
        }
    }
}

impl From<v1::OutlierPolicy> for OutlierPolicy {
    fn from(message: v1::OutlierPolicy) -> Self {
        Self {
            server_errors: message.server_errors,
            gateway_errors: message.gateway_errors,
            local_failures: message.local_failures,
            interval: Duration::from_nanos(message.interval),
            base_ejection: Duration::from_nanos(message.base_ejection),
            most_ejected: message.most_ejected,
            least_healthy: message.least_healthy,
        }
    }
}

impl From<&HashPolicy> for v1::HashPolicy {
    fn from(policy: &HashPolicy) -> Self {
        let key = match &policy.key {
            HashKey::Header(name) => v1::hash_policy::Key::Header(name.to_string()),
            HashKey::Query(name) => v1::hash_policy::Key::Query(name.to_string()),
            HashKey::Source => v1::hash_policy::Key::Source(true),
            HashKey::Cookie(cookie) => v1::hash_policy::Key::Cookie(v1::CookieKey {
                name: cookie.name.to_string(),
                ttl: cookie.ttl.map(nanoseconds),
                attributes: cookie.attributes.to_string(),
            }),
        };
        let table = match policy.table {
            HashTable::Ring(size) => v1::hash_policy::Table::Ring(size),
            HashTable::Maglev(size) => v1::hash_policy::Table::Maglev(size),
        };
        Self { key: Some(key), table: Some(table) }
    }
}

impl TryFrom<v1::HashPolicy> for HashPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::HashPolicy) -> Result<Self, ConvertError> {
        let key = match message.key.ok_or_else(|| ConvertError::new("key", Problem::Missing))? {
            v1::hash_policy::Key::Header(name) => HashKey::Header(name.to_ascii_lowercase().into()),
            v1::hash_policy::Key::Query(name) => HashKey::Query(name.into()),
            v1::hash_policy::Key::Source(_) => HashKey::Source,
            v1::hash_policy::Key::Cookie(cookie) => {
                // Both go into a header line.
                if cookie.name.chars().chain(cookie.attributes.chars()).any(char::is_control) {
                    return Err(ConvertError::new("cookie", Problem::Text(cookie.name, "cookie of one line")));
                }
                HashKey::Cookie(CookieKey {
                    name: cookie.name.into(),
                    ttl: cookie.ttl.map(Duration::from_nanos),
                    attributes: cookie.attributes.into(),
                })
            }
        };
        let size = |size: u64| match size {
            1..=MAX_HASH_TABLE => Ok(size),
            _ => Err(ConvertError::new("table", Problem::OutOfRange(size, 1, MAX_HASH_TABLE))),
        };
        let table = match message.table.ok_or_else(|| ConvertError::new("table", Problem::Missing))? {
            v1::hash_policy::Table::Ring(points) => HashTable::Ring(size(points)?),
            v1::hash_policy::Table::Maglev(entries) => HashTable::Maglev(size(entries)?),
        };
        Ok(Self { key, table })
    }
}
