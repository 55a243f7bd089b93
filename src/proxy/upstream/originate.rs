//! TLS to servers that are no part of the mesh, as a cluster's policy has it.
//!
//! A configuration is made when the first connection needs it, off the worker's thread, and shared by all that follow. What it reads
//! from files is looked at again every [`LOOK_AGAIN`]; files that cannot be used any more leave what was in force.

use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use crate::model::{Authorities, ClusterPolicy, Origination, OwnCertificate, UpstreamTls};
use crate::proxy::directory::Spoken;
use crate::tls::{self, OriginTrust};

/// How often files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What is offered for HTTP/1.1.
const HTTP1: &[&[u8]] = &[b"http/1.1"];
/// For HTTP/2, where the server can.
const HTTP2: &[&[u8]] = &[b"h2", b"http/1.1"];
/// For what is no HTTP.
const BYTES: &[&[u8]] = &[];

/// Bytes of a file with certificates or a key.
const MAX_FILE: u64 = 1 << 20;

/// TLS of one cluster's connections. Two are equal where they are the same one: what one was let in with, another is not.
#[derive(Debug)]
pub struct Originator {
    wanted: Arc<Origination>,
    server_name: Arc<str>,
    http1: ArcSwapOption<Built>,
    http2: ArcSwapOption<Built>,
    bytes: ArcSwapOption<Built>,
}

/// A configuration, and what it was made of.
#[derive(Debug)]
struct Built {
    config: Arc<ClientConfig>,
    files: Vec<(Arc<str>, Option<SystemTime>)>,
    looked: Instant,
}

impl PartialEq for Originator {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Originator {}

impl Hash for Originator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}

impl Originator {
    /// What a policy asks for; `None` where it asks for nothing of the kind. `host` is the service's, and the name that servers are
    /// asked for unless the policy names another one.
    pub fn of(policy: &ClusterPolicy, host: &Arc<str>) -> Option<Arc<Self>> {
        let UpstreamTls::Originate(wanted) = &policy.tls else { return None };
        Some(Arc::new(Self {
            wanted: wanted.clone(),
            server_name: wanted.server_name.clone().unwrap_or_else(|| host.clone()),
            http1: ArcSwapOption::empty(),
            http2: ArcSwapOption::empty(),
            bytes: ArcSwapOption::empty(),
        }))
    }

    /// The name that servers are asked for.
    pub fn server_name(&self) -> Result<ServerName<'static>, String> {
        let name = self.server_name.to_string();
        ServerName::try_from(name).map_err(|_| format!("`{}` is no server name: set sni", self.server_name))
    }

    /// The configuration for what is spoken; `Err` with the reason why there is none.
    pub async fn config(&self, spoken: Spoken) -> Result<Arc<ClientConfig>, String> {
        let (place, alpn) = match spoken {
            Spoken::Http1 => (&self.http1, HTTP1),
            Spoken::Http2 => (&self.http2, HTTP2),
            Spoken::Bytes => (&self.bytes, BYTES),
        };
        let known = place.load_full();
        if let Some(known) = &known
            && (known.files.is_empty() || known.looked.elapsed() < LOOK_AGAIN)
        {
            return Ok(known.config.clone());
        }
        let (wanted, before) = (self.wanted.clone(), known.clone());
        let building = tokio::task::spawn_blocking(move || build(&wanted, alpn, before.as_deref()));
        let built = match building.await.map_err(|error| error.to_string()).and_then(|built| built) {
            Ok(built) => Arc::new(built),
            Err(reason) => {
                let known = known.ok_or_else(|| reason.clone())?;
                tracing::warn!("TLS to {}: {reason}; what was read before stays in force", self.server_name);
                Arc::new(Built { config: known.config.clone(), files: known.files.clone(), looked: Instant::now() })
            }
        };
        place.store(Some(built.clone()));
        Ok(built.config.clone())
    }
}

/// Reads what is in files, and makes the configuration, unless the files are as they were.
fn build(wanted: &Origination, alpn: &[&[u8]], before: Option<&Built>) -> Result<Built, String> {
    let authorities = match &wanted.authorities {
        Authorities::File(file) => Some(file),
        Authorities::System | Authorities::Pem(_) | Authorities::Unverified => None,
    };
    let own = match &wanted.certificate {
        OwnCertificate::Files { chain, key } => Some((chain, key)),
        OwnCertificate::None | OwnCertificate::Pem(..) => None,
    };
    let named = authorities.into_iter().chain(own.into_iter().flat_map(|(chain, key)| [chain, key]));
    let stamp = |file: &Arc<str>| {
        let changed = std::fs::metadata(&**file).and_then(|metadata| metadata.modified()).ok();
        (file.clone(), changed)
    };
    let files: Vec<_> = named.map(stamp).collect();
    let looked = Instant::now();
    if let Some(before) = before
        && before.files == files
    {
        return Ok(Built { config: before.config.clone(), files, looked });
    }
    let authorities = authorities.map(|file| read(file)).transpose()?;
    let own = match &wanted.certificate {
        OwnCertificate::None => None,
        OwnCertificate::Pem(chain, key) => Some((chain.to_string(), key.reveal().to_owned())),
        OwnCertificate::Files { chain, key } => Some((read(chain)?, read(key)?)),
    };
    let trust = match (&wanted.authorities, &authorities) {
        (Authorities::Unverified, _) => OriginTrust::Anybody,
        (Authorities::Pem(pem), _) => OriginTrust::Authorities(pem),
        (_, Some(pem)) => OriginTrust::Authorities(pem),
        (Authorities::System | Authorities::File(_), None) => OriginTrust::System,
    };
    let own = own.as_ref().map(|(chain, key)| (chain.as_str(), key.as_str()));
    let config = tls::origin_client(trust, &wanted.subject_names, own, alpn).map_err(|error| error.to_string())?;
    Ok(Built { config, files, looked })
}

fn read(file: &str) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("{file}: {error}");
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(format!("{file} has {size} bytes, and {MAX_FILE} is the most"));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}
