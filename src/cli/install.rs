//! `mesh install` and `mesh upgrade`: a mesh in a cluster.

use std::time::Duration;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::count;
use crate::cli::prompt::confirm;
use crate::cli::settings::SettingsArgs;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Progress, Tone, Ui};
use crate::install::{self, DEFAULT_REVISION, Event, Layers, Options, Plan, Platform, Summary};
use crate::kube::{self, Connection, Outcome};

/// Install a mesh into a cluster, or bring one up to date
///
/// Renders the profile and settings, applies what differs, removes what this revision installed before and no longer wants,
/// and waits until everything is ready. Run again, it goes on where it was interrupted.
#[derive(Debug, clap::Args)]
#[group(id = "install")]
#[command(after_help = "Examples:
  mesh install --profile demo -y
  mesh install --set hub=registry.example.com/mesh --set tag=1.2
  mesh install -f settings.yaml --dry-run
  mesh install --revision canary --set profile=minimal")]
pub struct Args {
    /// Do not ask
    #[arg(short = 'y', long = "skip-confirmation", visible_alias = "yes")]
    yes: bool,
    /// Have the server check everything and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take over an Istio that mesh did not install
    #[arg(long)]
    replace_istio: bool,
    /// How long each stage may take to be ready
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = duration)]
    readiness_timeout: Duration,
    /// Show every object
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    target: Target,
}

impl Args {
    /// What was said about the installation. Files are read, standard input too, so this is asked once.
    pub fn layers(&self) -> CliResult<Layers> {
        self.settings.layers()
    }

    /// The cluster that is meant.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// Reads `90s`, `5m`, `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<crate::resources::Duration>()?;
    if parsed.get().is_zero() || parsed.get() > Duration::from_secs(24 * 3600) {
        return Err("has to be more than nothing and at most 24h".to_owned());
    }
    Ok(parsed.get())
}

/// Installs.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    // What is wrong with the settings is said before anybody is asked for anything.
    let layers = args.layers()?;
    Plan::of(&layers, Platform::Kubernetes)?;
    run_with(ui, args, layers)
}

/// Installs what these layers say.
pub fn run_with(ui: &Ui, args: Args, layers: Layers) -> CliResult {
    block_on(async {
        let connection = args.target.connect_to_change(ui).await?;
        let plan = Plan::of(&layers, platform(&connection).await?)?;
        if !args.dry_run {
            let question = format!(
                "Install mesh {} (profile {}, revision {}) there?",
                install::VERSION,
                plan.profile(),
                plan.revision()
            );
            confirm(ui, args.yes, &question)?;
        }
        apply(ui, &connection, &plan, &args).await
    })
}

/// What the cluster is: the built-in runtime brings its own control plane.
pub async fn platform(connection: &Connection) -> CliResult<Platform> {
    let version = kube::server_version(connection).await?;
    Ok(if version.built_in { Platform::Runtime } else { Platform::Kubernetes })
}

/// Who installs, for others who want to: user, host and process.
fn holder() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    format!("{user}@{} (pid {})", host.trim(), std::process::id())
}

async fn apply(ui: &Ui, connection: &Connection, plan: &Plan, args: &Args) -> CliResult {
    let options = Options {
        replace_istio: args.replace_istio,
        dry_run: args.dry_run,
        readiness_timeout: args.readiness_timeout,
        holder: holder(),
    };
    let reporter =
        Reporter { ui, progress: ui.progress("looking at the cluster"), verbose: args.verbose || args.dry_run };
    let installed = install::install(connection, plan, &options, &mut |event| reporter.hear(&event)).await;
    drop(reporter);
    let summary = installed.map_err(|error| not_ready_hint(ui, error.into()))?;
    let Summary { created, configured, unchanged, pruned } = summary;
    let figures = format!("{created} created, {configured} changed, {pruned} removed, {unchanged} as they were");
    if args.dry_run {
        ui.line(format!("would be: {figures}"));
        return Ok(());
    }
    let what = format!("mesh {} (profile {}, revision {})", install::VERSION, plan.profile(), plan.revision());
    ui.done(format!("{what} is installed: {figures}"));
    if summary.created > 0 {
        let program = ui.program();
        let revision = match plan.revision() {
            DEFAULT_REVISION => String::new(),
            revision => format!(" --revision {revision}"),
        };
        ui.note(format!("  next: {program} label-namespace default{revision}, and start pods there anew"));
    }
    Ok(())
}

fn not_ready_hint(ui: &Ui, error: CliError) -> CliError {
    match error.kind {
        Kind::Failed if error.to_string().starts_with("not ready") => {
            error.hint(format!("what was applied stays; `{} install` again goes on waiting", ui.program()))
        }
        _ => error,
    }
}

/// Shows an installation's progress: in place on a terminal, line by line elsewhere.
struct Reporter<'u> {
    ui: &'u Ui,
    progress: Progress,
    verbose: bool,
}

impl Reporter<'_> {
    fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Applied { object, outcome, done, total } => {
                let word = match outcome {
                    Outcome::Created => "created",
                    Outcome::Configured => "changed",
                    Outcome::Unchanged => "as it was",
                };
                if self.verbose || *outcome == Outcome::Configured {
                    self.say(Tone::Good, "✓", &format!("{object} {word}"));
                }
                self.progress.update(format!("{done}/{total} {object}"));
            }
            Event::Warning { object, text } => self.progress.pause(|| self.ui.warn(format!("{object} {text}"))),
            Event::Waiting(waiting) => {
                let first = waiting.first().map(|(object, reason)| format!("{object} {reason}")).unwrap_or_default();
                let others = waiting.len().saturating_sub(1);
                let others =
                    if others == 0 { String::new() } else { format!(", and {} more", count(others, "object")) };
                if self.ui.interactive() {
                    self.progress.update(format!("waiting: {first}{others}"));
                } else {
                    waiting
                        .iter()
                        .for_each(|(object, reason)| self.say(Tone::Faint, "…", &format!("{object} {reason}")));
                }
            }
            Event::Pruned(object) => self.say(Tone::Attention, "-", &format!("{object} is no longer wanted")),
        }
    }

    fn say(&self, tone: Tone, mark: &str, text: &str) {
        self.progress.pause(|| self.ui.note(format!("{} {text}", self.ui.paint_note(tone, mark))));
    }
}
