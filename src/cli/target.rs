//! Which cluster a command is about, and the way there.

use std::future::Future;
use std::path::PathBuf;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::ui::{Tone, Ui};
use crate::install;
use crate::kube::{self, ConnectOptions, Connection, Environment};
use crate::runtime::state;

/// Which cluster is meant
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Target {
    /// The kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The built-in runtime
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    runtime: bool,
    /// Directory of the runtime's state [default: $XDG_STATE_HOME/mesh]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    data_dir: Option<PathBuf>,
}

impl Target {
    /// Connects for a command that reads.
    pub async fn connect(&self) -> CliResult<Connection> {
        self.connect_for(false).await
    }

    /// Connects for a command that changes something, and says first what it is about to change.
    pub async fn connect_to_change(&self, ui: &Ui) -> CliResult<Connection> {
        let connection = self.connect_for(true).await?;
        ui.note(format!("→ {connection}"));
        Ok(connection)
    }

    async fn connect_for(&self, changes: bool) -> CliResult<Connection> {
        let root = match &self.data_dir {
            Some(given) => Some(std::path::absolute(given).kind(Kind::Io)?),
            None => state::default_path().ok(),
        };
        // The kubeconfig of a runtime that has ended stays behind; the lock tells whether it is up.
        let up = |root: &PathBuf| matches!(state::holder(root), Ok(Some(_)));
        let expected = root.as_ref().map(|root| state::kubeconfig_path(root));
        let runtime_kubeconfig = match &root {
            Some(root) if up(root) => expected,
            _ if self.runtime || self.data_dir.is_some() => {
                let kubeconfig = expected.unwrap_or_default();
                return Err(cluster_error(kube::Error::NoRuntime { kubeconfig }));
            }
            _ => None,
        };
        let options = ConnectOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            runtime: self.runtime || self.data_dir.is_some(),
            runtime_kubeconfig,
            changes,
        };
        kube::connect(&options, &Environment::of_process()).await.map_err(cluster_error)
    }
}

/// Runs a command's work that waits for others. It ends when the work does.
pub fn block_on<T>(work: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(work)
}

/// A cluster's failure, with the exit code that it means.
pub fn cluster_error(error: kube::Error) -> CliError {
    use kube::Error::{
        Ambiguous, Answer, Client, Conflict, Forbidden, Held, InCluster, Invalid, Kubeconfig, NoRuntime, NoTarget,
        NotFound, Timeout, Unauthorized, UnknownKind, Unreachable, Untyped,
    };
    let kind = match &error {
        Ambiguous { .. } => Kind::Usage,
        NoTarget | NoRuntime { .. } | Unreachable { .. } | Client { .. } | Answer { .. } => Kind::Unavailable,
        Kubeconfig { .. } | InCluster { .. } | Invalid { .. } | Untyped { .. } | UnknownKind { .. } => Kind::Data,
        Unauthorized { .. } | Forbidden { .. } => Kind::Permission,
        NotFound { .. } | Conflict { .. } | Timeout { .. } => Kind::Failed,
        Held { .. } => Kind::CannotCreate,
    };
    CliError::new(kind, error)
}

/// An installation's failure, with the exit code that it means.
pub fn install_error(error: install::Error) -> CliError {
    use install::Error::{
        Ambient, Assignment, Cluster, File, Foreign, Manifest, NotInstalled, NotReady, Overlay, Profile, Settings, Tag,
    };
    match error {
        Cluster(error) => cluster_error(error),
        error @ (Assignment { .. } | Ambient { .. } | Profile { .. }) => CliError::new(Kind::Usage, error),
        error @ (File { .. } | Settings(_) | Overlay { .. } | Manifest { .. }) => CliError::new(Kind::Data, error),
        error @ (Foreign { .. } | NotInstalled { .. } | NotReady { .. } | Tag(_)) => CliError::new(Kind::Failed, error),
    }
}

/// Asks before something is changed. Without somebody to ask the answer is no, and `-y` is named.
pub fn confirm(ui: &Ui, yes: bool, question: &str) -> CliResult {
    if yes {
        return Ok(());
    }
    if !ui.can_ask() {
        return Err(CliError::message(
            Kind::Usage,
            format!("{question} Nobody is there to be asked, so nothing was done"),
        )
        .hint("-y goes on without asking"));
    }
    match ui.ask(&format!("{question} [y/N] ")).trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::message(Kind::Failed, "cancelled: nothing was done")),
    }
}

/// `✓ text`.
pub fn done(ui: &Ui, text: impl AsRef<str>) {
    ui.line(format!("{} {}", ui.paint(Tone::Good, "✓"), text.as_ref()));
}
