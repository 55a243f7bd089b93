//! Which cluster is meant, and a client for it.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::kube::Error;

/// How long establishing a connection may take: names, TCP and TLS, over whatever VPN or bastion lies between.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first answer may take; credential plugins run within it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What was said about the cluster.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--runtime`: the built-in runtime and nothing else.
    pub runtime: bool,
    /// Where the built-in runtime's kubeconfig is while it is up.
    pub runtime_kubeconfig: Option<PathBuf>,
    /// Whether something is to be changed there: then the choice must not be a guess.
    pub changes: bool,
}

/// What the surroundings of the process say about the cluster.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The files in `KUBECONFIG`, in order.
    pub kubeconfig: Vec<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// Whether the process runs in a pod with a service account.
    pub in_cluster: bool,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        let kubeconfig = env::var_os("KUBECONFIG").unwrap_or_default();
        Self {
            kubeconfig: env::split_paths(&kubeconfig).filter(|path| !path.as_os_str().is_empty()).collect(),
            home: env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()),
            in_cluster: env::var_os("KUBERNETES_SERVICE_HOST").is_some()
                && Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists(),
        }
    }
}

/// The cluster that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one that the process runs in.
    InCluster,
    /// The one that these kubeconfigs say, merged as kubectl does.
    Kubeconfig(Vec<PathBuf>),
    /// The built-in runtime.
    Runtime(PathBuf),
}

impl Target {
    /// Decides which cluster is meant (DESIGN.md section 9): what was named, else the cluster around the process, else the
    /// default kubeconfig, else the built-in runtime. `exists` tells whether a file is there.
    pub fn choose(
        options: &ConnectOptions,
        environment: &Environment,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self, Error> {
        let runtime = options.runtime_kubeconfig.clone().filter(|path| exists(path));
        if options.runtime {
            let expected = options.runtime_kubeconfig.clone().ok_or(Error::NoTarget)?;
            return runtime.map(Self::Runtime).ok_or(Error::NoRuntime { kubeconfig: expected });
        }
        if let Some(path) = &options.kubeconfig {
            return Ok(Self::Kubeconfig(vec![path.clone()]));
        }
        if !environment.kubeconfig.is_empty() {
            return Ok(Self::Kubeconfig(environment.kubeconfig.clone()));
        }
        let default = environment.home.as_ref().map(|home| home.join(".kube/config")).filter(|path| exists(path));
        let named = options.context.is_some();
        match (default, runtime) {
            _ if environment.in_cluster && !named => Ok(Self::InCluster),
            (Some(kubeconfig), Some(_)) if options.changes && !named => Err(Error::Ambiguous { kubeconfig }),
            (Some(kubeconfig), _) => Ok(Self::Kubeconfig(vec![kubeconfig])),
            (None, Some(runtime)) => Ok(Self::Runtime(runtime)),
            (None, None) => Err(Error::NoTarget),
        }
    }
}

/// A client, and what to call the cluster behind it. Displayed as `context (server)`.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// Name of the context.
    pub context: String,
    /// URL of the server.
    pub server: String,
    /// Namespace of objects that name none.
    pub namespace: String,
}

impl Connection {
    /// A connection over a client that is there already, such as the built-in runtime's own.
    pub fn new(client: Client, context: impl Into<String>, server: impl Into<String>) -> Self {
        let namespace = client.default_namespace().to_owned();
        Self { client, context: context.into(), server: server.into(), namespace }
    }

    /// The same connection, with another namespace for objects that name none.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.context, self.server)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("context", &self.context).field("server", &self.server).finish()
    }
}

/// Connects to the cluster that is meant, and sees that it answers and knows who asks.
pub async fn connect(options: &ConnectOptions, environment: &Environment) -> Result<Connection, Error> {
    let target = Target::choose(options, environment, |path| path.exists())?;
    let (context, mut config) = load(&target, options.context.as_deref()).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/');
    let client = Client::try_from(config)
        .map_err(|source| Error::Client { server: server.to_owned(), source: Box::new(source) })?;
    let connection = Connection::new(client, context, server);
    match tokio::time::timeout(ANSWER_TIMEOUT, connection.client.apiserver_version()).await {
        Ok(Ok(_)) => Ok(connection),
        Ok(Err(error)) => Err(Error::of(error, &"its version", &connection)),
        Err(_) => Err(Error::Unreachable {
            reason: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            server: connection.server,
        }),
    }
}

async fn load(target: &Target, context: Option<&str>) -> Result<(String, Config), Error> {
    let paths = match target {
        Target::InCluster => {
            let config = Config::incluster().map_err(|source| Error::InCluster { source })?;
            return Ok(("in-cluster".to_owned(), config));
        }
        Target::Kubeconfig(paths) => paths.clone(),
        Target::Runtime(path) => vec![path.clone()],
    };
    let shown = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let failed = |source| Error::Kubeconfig { path: shown.clone(), source };
    let mut merged = Kubeconfig::default();
    let several = paths.len() > 1;
    // Of several files, those that are not there are passed over, as kubectl does.
    for path in paths.iter().filter(|path| !several || path.exists()) {
        merged = merged.merge(Kubeconfig::read_from(path).map_err(failed)?).map_err(failed)?;
    }
    let name = context.map(str::to_owned).or_else(|| merged.current_context.clone()).unwrap_or_default();
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(merged, &options).await.map_err(failed)?;
    Ok((name, config))
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
