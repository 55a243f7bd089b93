//! The command line: one file per command, its arguments and its `run`.
//!
//! A command reads its arguments, calls the rooms below and prints. It decides nothing about the mesh. Errors leave through
//! [`error::CliError`], which knows the exit code and what to do; nothing else ends the process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub mod analyze;
pub mod apply;
pub mod await_proxy;
pub mod bug_report;
pub mod capture;
pub mod check;
pub mod check_inject;
pub mod completion;
pub mod control_plane;
pub mod dashboard;
pub mod delete;
pub mod describe;
pub mod down;
pub mod error;
pub mod exec;
pub mod get;
pub mod input;
pub mod install;
pub mod istioctl;
pub mod kube_inject;
pub mod label_namespace;
mod live;
pub mod logging;
pub mod logs;
pub mod manifest;
pub mod objects;
pub mod planes;
pub mod pod_exec;
pub mod pods;
pub mod profile;
pub mod prompt;
pub mod proxy;
pub mod proxy_config;
pub mod proxy_status;
pub mod settings;
pub mod status;
pub mod tag;
pub mod target;
pub mod ui;
pub mod uninstall;
pub mod up;
pub mod upgrade;
pub mod validate;
pub mod verify_install;
pub mod version;
pub mod wait;
mod web;

#[cfg(test)]
mod tests;

use error::{CliResult, Kind};
use ui::Ui;

/// A service mesh in one binary
///
/// Reads Istio's configuration, runs on Kubernetes or on a bare machine.
#[derive(Debug, Parser)]
#[command(name = "mesh", disable_help_subcommand = true, propagate_version = true, version, after_help = exit_codes())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::Args),
    Upgrade(upgrade::Args),
    Uninstall(uninstall::Args),
    VerifyInstall(verify_install::Args),
    Manifest(manifest::Args),
    Profile(profile::Args),
    Tag(tag::Args),
    LabelNamespace(label_namespace::Args),
    Up(up::Args),
    Down(down::Args),
    Status(status::Args),
    Apply(apply::Args),
    Delete(delete::Args),
    Get(get::Args),
    Wait(wait::Args),
    ProxyStatus(proxy_status::Args),
    ProxyConfig(proxy_config::Args),
    Describe(describe::Args),
    Check(check::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Curl(exec::CurlArgs),
    Dashboard(dashboard::Args),
    KubeInject(kube_inject::Args),
    CheckInject(check_inject::Args),
    Validate(validate::Args),
    Analyze(analyze::Args),
    Proxy(proxy::Args),
    ControlPlane(Box<control_plane::Args>),
    BugReport(bug_report::Args),
    Version(version::Args),
    Completion(completion::Args),
    #[command(hide = true)]
    Capture(capture::Args),
    #[command(hide = true)]
    AwaitProxy(await_proxy::Args),
}

/// The command line's definition, for completions and documentation.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Parses `arguments` (the program's name first), runs the command and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = arguments.first().map_or_else(|| "mesh".into(), |name| Path::new(name).display().to_string());
    let ui = Ui::new(program);
    let command = match parse(istioctl::translate(arguments.clone())) {
        Ok(command) => command,
        Err(error) => return refuse(&ui, &arguments, &error),
    };
    match run(&ui, command).and_then(|code| ui.written().map(|()| code)) {
        Ok(code) => code,
        Err(error) => {
            ui.error(error.to_string());
            for hint in error.hints() {
                ui.note(format!("  {hint}"));
            }
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Command, clap::Error> {
    let parsed = Cli::command()
        .bin_name(env!("CARGO_PKG_NAME"))
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map(|cli| cli.command)
}

/// Says why a command line is not understood, or prints what it asked for.
fn refuse(ui: &Ui, arguments: &[OsString], error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind as E;
    let unknown = matches!(error.kind(), E::InvalidSubcommand | E::UnknownArgument);
    match istioctl::instead(arguments).filter(|_| unknown) {
        Some(instead) => ui.error(instead),
        // Printing fails when nobody reads any more, and then nobody needs to know.
        None => drop(error.print()),
    }
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(Kind::Usage.exit_code()),
    }
}

fn run(ui: &Ui, command: Command) -> CliResult<ExitCode> {
    match command {
        Command::Install(args) => install::run(ui, args),
        Command::Upgrade(args) => upgrade::run(ui, args),
        Command::Uninstall(args) => uninstall::run(ui, args),
        Command::VerifyInstall(args) => verify_install::run(ui, args),
        Command::Manifest(args) => manifest::run(ui, args),
        Command::Profile(args) => profile::run(ui, args),
        Command::Tag(args) => tag::run(ui, args),
        Command::LabelNamespace(args) => label_namespace::run(ui, args),
        Command::Up(args) => return up::run(ui, args),
        Command::Down(args) => down::run(ui, args),
        Command::Status(args) => status::run(ui, args),
        Command::Apply(args) => apply::run(ui, args),
        Command::Delete(args) => delete::run(ui, args),
        Command::Get(args) => get::run(ui, args),
        Command::Wait(args) => wait::run(ui, args),
        Command::ProxyStatus(args) => proxy_status::run(ui, args),
        Command::ProxyConfig(args) => proxy_config::run(ui, args),
        Command::Describe(args) => describe::run(ui, args),
        Command::Check(args) => check::run(ui, args),
        Command::Exec(args) => return exec::run(ui, args),
        Command::Curl(args) => return exec::curl(ui, args),
        Command::Dashboard(args) => dashboard::run(ui, args),
        Command::Logs(args) => logs::run(ui, args),
        Command::KubeInject(args) => kube_inject::run(ui, args),
        Command::CheckInject(args) => check_inject::run(ui, args),
        Command::Validate(args) => validate::run(ui, args),
        Command::Analyze(args) => analyze::run(ui, args),
        Command::Proxy(args) => proxy::run(ui, args),
        Command::ControlPlane(args) => control_plane::run(ui, *args),
        Command::BugReport(args) => bug_report::run(ui, args),
        Command::Version(args) => version::run(ui, args),
        Command::Completion(args) => completion::run(ui, args),
        Command::Capture(args) => capture::run(ui, args),
        Command::AwaitProxy(args) => await_proxy::run(&args),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n    0  done\n");
    for (_, code, meaning) in error::EXIT_CODES {
        text.push_str(&format!("  {code:>3}  {meaning}\n"));
    }
    text
}
