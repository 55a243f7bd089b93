//! Which cluster a command acts on: the same options, the same choice and the same sentences for every command.

use std::future::Future;
use std::path::PathBuf;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::ui::{Tone, Ui};
use crate::cli::up;
use crate::install;
use crate::kube::{self, ConnectOptions, Connection, Environment};
use crate::runtime::state;

/// Which cluster is meant
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Target {
    /// Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE", conflicts_with = "runtime")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", conflicts_with = "runtime")]
    context: Option<String>,
    /// The built-in runtime, whatever kubeconfigs there are
    #[arg(long)]
    runtime: bool,
    /// Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    data_dir: Option<PathBuf>,
}

impl Target {
    /// Whether one was named on the command line.
    pub fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some() || self.runtime || self.data_dir.is_some()
    }

    /// The same kubeconfig's other context.
    #[must_use]
    pub fn in_context(&self, context: &str) -> Self {
        Self { context: Some(context.to_owned()), runtime: false, data_dir: None, ..self.clone() }
    }

    /// Connects for reading.
    pub async fn connect(&self, ui: &Ui) -> CliResult<Connection> {
        self.open(ui, false).await
    }

    /// Connects for changing something, and says what will be changed.
    pub async fn connect_to_change(&self, ui: &Ui) -> CliResult<Connection> {
        let connection = self.open(ui, true).await?;
        ui.note(ui.paint_note(Tone::Faint, &format!("→ {connection}")));
        Ok(connection)
    }

    async fn open(&self, ui: &Ui, changes: bool) -> CliResult<Connection> {
        // Who names a directory means the runtime there.
        let runtime = self.runtime || self.data_dir.is_some();
        let root = up::data_dir(self.data_dir.clone());
        let root = if runtime { Some(root?) } else { root.ok() };
        let up = match &root {
            Some(root) => up::running(root).map(|pid| pid.is_some()),
            None => Ok(false),
        };
        let up = if runtime { up? } else { up.unwrap_or(false) };
        if let (Some(root), true, false) = (&root, runtime, up) {
            let error = format!("no runtime is running on {}", root.display());
            return Err(CliError::message(Kind::Unavailable, error).hint(format!("`{} up` starts one", ui.program())));
        }
        let options = ConnectOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            runtime,
            runtime_kubeconfig: root.filter(|_| up).map(|root| state::kubeconfig_path(&root)),
            changes,
        };
        Ok(kube::connect(&options, &Environment::of_process()).await?)
    }
}

/// Runs a command's work that waits for others.
pub fn block_on<T>(work: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    let done = executor.block_on(work);
    // Somebody may still be waited for at the terminal, whose words nobody wants any more.
    executor.shutdown_background();
    done
}

impl From<kube::Error> for CliError {
    fn from(error: kube::Error) -> Self {
        use kube::Error as E;
        let kind = match &error {
            E::Ambiguous { .. } => Kind::Usage,
            E::NoTarget
            | E::NoRuntime { .. }
            | E::Unreachable { .. }
            | E::Webhook { .. }
            | E::InCluster { .. }
            | E::Client { .. } => Kind::Unavailable,
            E::Kubeconfig { .. } | E::Invalid { .. } | E::Untyped { .. } | E::UnknownKind { .. } => Kind::Data,
            E::Held { .. } => Kind::CannotCreate,
            E::Unauthorized { .. } | E::Forbidden { .. } => Kind::Permission,
            E::NotFound { .. } | E::Conflict { .. } | E::Timeout { .. } | E::Answer { .. } => Kind::Failed,
        };
        Self::new(kind, error)
    }
}

impl From<install::Error> for CliError {
    fn from(error: install::Error) -> Self {
        use install::Error as E;
        let kind = match &error {
            E::Assignment { .. } | E::Ambient { .. } | E::Profile { .. } => Kind::Usage,
            E::File { .. } | E::Settings(_) | E::Overlay { .. } | E::Manifest { .. } => Kind::Data,
            E::NotPermitted { .. } => Kind::Permission,
            E::Foreign { .. }
            | E::NotInstalled { .. }
            | E::NotReady { .. }
            | E::Overtaken { .. }
            | E::Tag(_)
            | E::Cluster(_) => Kind::Failed,
        };
        match error {
            E::Cluster(error) => error.into(),
            error => Self::new(kind, error),
        }
    }
}
