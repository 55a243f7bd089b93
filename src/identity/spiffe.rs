//! SPIFFE ids of workloads, in the one form that Istio gives them.
//!
//! An id is compared in authorization, so it has one spelling: what the SPIFFE-ID specification (section 2) lets
//! through and a URI parser would still normalise (ports, user info, queries, percent-encoding, dot segments,
//! upper-case trust domains, NUL) is refused rather than cleaned up.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use super::IdentityError;

const SCHEME: &str = "spiffe://";
const NAMESPACE: &str = "/ns/";
const SERVICE_ACCOUNT: &str = "/sa/";
/// Longest trust domain, in bytes (SPIFFE-ID, section 2.1).
const MAX_TRUST_DOMAIN: usize = 255;
/// Longest id, in bytes (SPIFFE-ID, section 2.3).
const MAX_ID: usize = 2048;
/// How much of a refused text an error repeats, in characters.
const EXCERPT: usize = 128;

/// The name of an authority's realm, such as `cluster.local`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Checks `name`: 1 to 255 bytes of `a-z`, `0-9`, `.`, `-` and `_`.
    ///
    /// # Errors
    /// [`IdentityError::TrustDomain`] names the rule that `name` breaks.
    pub fn new(name: &str) -> Result<Self, IdentityError> {
        let refuse = |reason| IdentityError::TrustDomain { value: excerpt(name), reason };
        if name.is_empty() {
            return Err(refuse("it is empty"));
        }
        if name.len() > MAX_TRUST_DOMAIN {
            return Err(refuse("it is longer than 255 bytes"));
        }
        if !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')) {
            return Err(refuse("only a-z, 0-9, '.', '-' and '_' may be in it (no port, no upper case)"));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

/// A workload's identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. Cheap to clone.
#[derive(Clone)]
pub struct SpiffeId {
    uri: Arc<str>,
    trust_domain: TrustDomain,
    namespace_len: u16,
}

impl SpiffeId {
    /// The id of service account `service_account` in `namespace`.
    ///
    /// # Errors
    /// [`IdentityError::SpiffeId`] where a part is empty, is `.` or `..`, or has a character other than
    /// `A-Z`, `a-z`, `0-9`, `.`, `-` and `_`, and where the whole is longer than 2048 bytes.
    pub fn new(trust_domain: &TrustDomain, namespace: &str, service_account: &str) -> Result<Self, IdentityError> {
        let uri = format!("{SCHEME}{trust_domain}{NAMESPACE}{namespace}{SERVICE_ACCOUNT}{service_account}");
        let refuse = |reason| IdentityError::SpiffeId { value: excerpt(&uri), reason };
        check_segment(namespace).map_err(refuse)?;
        check_segment(service_account).map_err(refuse)?;
        if uri.len() > MAX_ID {
            return Err(refuse("it is longer than 2048 bytes"));
        }
        let namespace_len = u16::try_from(namespace.len()).map_err(|_| refuse("it is longer than 2048 bytes"))?;
        Ok(Self { uri: uri.into(), trust_domain: trust_domain.clone(), namespace_len })
    }

    /// The realm whose authority vouches for this id.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The workload's namespace.
    pub fn namespace(&self) -> &str {
        let start = self.namespace_start();
        self.uri.get(start..start + usize::from(self.namespace_len)).unwrap_or_default()
    }

    /// The workload's service account.
    pub fn service_account(&self) -> &str {
        let start = self.namespace_start() + usize::from(self.namespace_len) + SERVICE_ACCOUNT.len();
        self.uri.get(start..).unwrap_or_default()
    }

    /// The whole id, `spiffe://` included.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The id without its scheme, which is how `source.principal` writes it: `<trust domain>/ns/<ns>/sa/<sa>`.
    pub fn principal(&self) -> &str {
        self.uri.strip_prefix(SCHEME).unwrap_or_default()
    }

    fn namespace_start(&self) -> usize {
        SCHEME.len() + self.trust_domain.0.len() + NAMESPACE.len()
    }
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| IdentityError::SpiffeId { value: excerpt(uri), reason };
        if uri.len() > MAX_ID {
            return Err(refuse("it is longer than 2048 bytes"));
        }
        let rest = uri.strip_prefix(SCHEME).ok_or_else(|| refuse("it does not begin with spiffe://"))?;
        let (domain, path) = rest.split_once('/').ok_or_else(|| refuse("it has no path"))?;
        let trust_domain = TrustDomain::new(domain).map_err(|error| match error {
            IdentityError::TrustDomain { reason, .. } => refuse(reason),
            other => other,
        })?;
        let mut segments = path.split('/');
        match (segments.next(), segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some("ns"), Some(namespace), Some("sa"), Some(service_account), None) => {
                Self::new(&trust_domain, namespace, service_account)
            }
            _ => Err(refuse("its path is not /ns/<namespace>/sa/<service account>")),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.uri, f)
    }
}

impl PartialEq for SpiffeId {
    fn eq(&self, other: &Self) -> bool {
        self.uri == other.uri
    }
}

impl Eq for SpiffeId {}

impl Hash for SpiffeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uri.hash(state);
    }
}

impl PartialOrd for SpiffeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SpiffeId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uri.cmp(&other.uri)
    }
}

fn check_segment(segment: &str) -> Result<(), &'static str> {
    if segment.is_empty() {
        return Err("a path segment is empty");
    }
    if matches!(segment, "." | "..") {
        return Err("a path segment is '.' or '..'");
    }
    if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err("only letters, digits, '.', '-' and '_' may be in a path segment");
    }
    Ok(())
}

fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(EXCERPT).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

impl serde::Serialize for SpiffeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for SpiffeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "spiffe_tests.rs"]
mod tests;
