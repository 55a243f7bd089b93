//! `mesh exec` and `mesh curl`: a command in a pod, a request as the pod sends it.

use std::process::ExitCode;

use crate::cli::error::CliResult;
use crate::cli::pods;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::kube::{self, ExecOptions};

/// Which container of which pod
#[derive(Debug, clap::Args)]
struct Place {
    /// A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload
    #[arg(value_name = "POD")]
    pod: String,
    /// The container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Run a command in a pod
///
/// Its standard streams are this command's, and so is its exit code.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh exec deploy/curl -- ls /tmp
  echo 'hostname' | mesh exec curl.shop -i -- sh")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Hand over standard input
    #[arg(short = 'i', long)]
    stdin: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Send a request from inside a pod, through its proxy
///
/// What follows the pod is curl's: a URL, and options. The pod's own curl sends it, so the
/// request takes the way that its workload's requests take.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh curl deploy/productpage http://reviews:9080/reviews/0
  mesh curl curl.legacy -- -sI -w '%{http_code}' http://httpbin.foo:8000/ip")]
pub struct CurlArgs {
    #[command(flatten)]
    place: Place,
    /// The URL, and curl's options after `--`
    #[arg(required = true, value_name = "URL", allow_hyphen_values = true, trailing_var_arg = true)]
    request: Vec<String>,
}

/// Runs a command.
pub fn run(ui: &Ui, args: Args) -> CliResult<ExitCode> {
    in_pod(ui, args.place, args.command, args.stdin)
}

/// Sends a request.
pub fn curl(ui: &Ui, args: CurlArgs) -> CliResult<ExitCode> {
    // Errors are told, a meter is not: nobody watches it from here.
    let command = ["curl", "-sS"].into_iter().map(str::to_owned).chain(args.request).collect();
    in_pod(ui, args.place, command, false)
}

fn in_pod(ui: &Ui, place: Place, command: Vec<String>, stdin: bool) -> CliResult<ExitCode> {
    block_on(async {
        let connection = place.target.connect(ui).await?;
        let namespace = place.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        let pod = pods::one(&connection, &place.pod, &namespace).await?;
        let options = ExecOptions { container: place.container.clone(), command, stdin };
        let code = kube::exec(&connection, &pod, &options).await?;
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
    })
}
