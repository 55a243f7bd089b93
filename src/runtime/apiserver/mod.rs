//! The Kubernetes API, served from one process.
//!
//! kubectl, kube-rs and the parts of this program speak to it as to any other Kubernetes API server: discovery, CRUD, watch, the four
//! kinds of patch, CustomResourceDefinitions, tables, tokens. It guarantees that an acknowledged write is on the disk, that
//! optimistic locking is exact, that resource versions grow over restarts, and that what it does not understand is refused, not guessed.
//!
//! It refuses to know what the objects mean: meaning comes from controllers, which are clients, and from [`Admission`] plugins.
//! It answers in JSON only (protobuf is read where kubectl sends it, SPDY is spoken inside of WebSockets alone), and evaluates no CEL.
//!
//! A request goes `serve` or the in-memory client → `server` (who, what, may they) → `verbs` → `store`.

mod admission;
mod auth;
mod client;
mod collect;
mod columns;
mod defaults;
mod definitions;
mod discovery;
mod exec;
mod failure;
mod fields;
mod json;
mod kinds;
mod kubeconfig;
pub mod limits;
mod log;
mod managed;
mod openapi;
mod patch;
mod pod_row;
mod protobuf;
pub(in crate::runtime) mod random;
mod registry;
mod request;
mod response;
mod reviews;
mod schema;
mod selector;
mod server;
mod service_ip;
mod store;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod tunnel;
mod types;
mod validation;
mod verbs;
mod view;
mod watching;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use ipnet::Ipv4Net;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serve::{self, Body, Limits};

pub use self::admission::{Admission, AdmissionRequest, Cause, Denied, Operation};
pub use self::exec::{Duplex, ExecOptions, Execution, PodStreams};
pub use self::kubeconfig::kubeconfig;
pub use self::log::{LogOptions, LogStream, PodLogs};
pub use self::server::VERSION;
pub use self::store::StoreError;

use self::auth::User;
use self::server::Inner;

/// Answers requests outside the Kubernetes API; it gets the whole request with its body.
pub type Extra = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// How an API server is opened.
pub struct Options {
    /// Where `state.redb` and the keys live; must exist.
    pub data_dir: PathBuf,
    /// Plugins, in order.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Path prefixes (for example `/mesh/`) and who answers them. Only users with all powers reach them.
    pub extra: Vec<(String, Extra)>,
    /// Who reads the logs of pods.
    pub logs: Option<Arc<dyn PodLogs>>,
    /// Who runs commands in pods and reaches their ports.
    pub streams: Option<Arc<dyn PodStreams>>,
    /// The range of cluster IPs.
    pub service_cidr: Ipv4Net,
    /// The issuer named in service account tokens.
    pub issuer: String,
}

impl Options {
    /// The defaults, on `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            admission: Vec::new(),
            extra: Vec::new(),
            logs: None,
            streams: None,
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
        }
    }
}

/// The API server. Dropping the last clone of what it gave out closes the store.
pub struct ApiServer {
    inner: Arc<Inner>,
    stop: CancellationToken,
    housekeeping: tokio::task::JoinHandle<()>,
}

impl ApiServer {
    /// Opens the store in [`Options::data_dir`], creates the namespaces `default` and `kube-system`, and starts collecting garbage.
    ///
    /// # Errors
    /// The store or the keys cannot be opened; the error says what to do.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StoreError::NoRuntime)?;
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner::open(options, stop.clone())?);
        let housekeeping = runtime.spawn(collect::housekeeping(Arc::clone(&inner), stop.clone()));
        Ok(Self { inner, stop, housekeeping })
    }

    /// A client that talks to this server in memory, as `user`, who may do everything.
    #[must_use]
    pub fn client(&self, user: &str) -> kube::Client {
        client::client(Arc::clone(&self.inner), User::trusted(user))
    }

    /// Serves HTTPS (or, without `tls`, HTTP) on `listener` until `token` is cancelled.
    pub fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        token: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let inner = Arc::clone(&self.inner);
        let service = serve::handler(move |request| Arc::clone(&inner).answer_outside(request));
        serve::serve(listener, tls, Limits::default(), service, token)
    }

    /// The administrator's bearer token.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.inner.tokens.admin()
    }

    /// The last durable resource version.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.inner.store.version()
    }

    /// Ends watches and housekeeping, and waits for the latter. Acknowledged writes are on the disk already.
    pub async fn close(self) {
        self.stop.cancel();
        let Self { inner, housekeeping, .. } = self;
        // It ends on the token above; a panic in it was logged where it happened.
        let _ = housekeeping.await;
        drop(inner);
    }
}
