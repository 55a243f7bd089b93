//! `mesh version`.

use serde::Serialize;

use crate::cli::error::CliResult;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Ui};
use crate::install::installed_revisions;
use crate::kube;

/// Print the version of the program, of the cluster and of what is installed there
///
/// Without a cluster, the program's alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ask no cluster
    #[arg(long)]
    client: bool,
    /// Taken for the sake of scripts: the output is short
    #[arg(short, long = "short", hide = true)]
    _short: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    kubernetes: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    context: String,
    server: String,
    server_version: String,
    revisions: Vec<Revision>,
}

#[derive(Serialize)]
struct Revision {
    name: String,
    version: String,
    profile: String,
}

/// Prints the version of the program and of the Kubernetes API that the built-in runtime speaks, and what the cluster says.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let cluster = match args.client {
        true => None,
        false => match block_on(cluster(ui, &args.target)) {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                // Not having a cluster is nothing to speak of; one that does not answer is.
                if !error.to_string().starts_with("no cluster is known") {
                    ui.warn(error.to_string());
                }
                None
            }
        },
    };
    let version = Version { version: env!("CARGO_PKG_VERSION"), kubernetes: "1.36", cluster };
    if args.output != Format::Table {
        return ui.structured(args.output, &version);
    }
    ui.line(format!("mesh {} (Kubernetes API {})", version.version, version.kubernetes));
    let Some(cluster) = version.cluster else { return Ok(()) };
    ui.line(format!("{} ({}): {}", cluster.context, cluster.server, cluster.server_version));
    for Revision { name, version, profile } in &cluster.revisions {
        ui.line(format!("revision {name}: {version} (profile {profile})"));
    }
    Ok(())
}

async fn cluster(ui: &Ui, target: &Target) -> CliResult<Cluster> {
    let connection = target.connect(ui).await?;
    let server_version = kube::server_version(&connection).await?.version;
    let revisions = installed_revisions(&connection).await?;
    let revisions = revisions.into_iter().map(|(name, version, profile)| Revision { name, version, profile });
    let revisions = revisions.collect();
    Ok(Cluster { context: connection.context, server: connection.server, server_version, revisions })
}
