//! `mesh analyze`: what is accepted and does not work, in files, in a cluster, or in files laid over a cluster.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::analyze::{
    ANALYZERS, Analyzer, Level, Message, Object, Options, Snapshot, Suppression, Wanted, analyze, installation, junit,
    parsed, sarif,
};
use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::{Files, count};
use crate::cli::live;
use crate::cli::target::Target;
use crate::cli::ui::{self, Format, Tone, Ui};
use crate::kube::Connection;
use crate::resources::Duration;
use crate::yaml::Document;

/// Find what is accepted and does not work
///
/// Reads files, a cluster, or files laid over a cluster, as they would be once
/// applied. Messages have the codes and severities of istioctl's; codes that
/// start with MSH are this mesh's own. With files and no cluster in reach, every
/// namespace is shown unless -n names one, and what looks for kinds of which the
/// files hold none is skipped (-v says what).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh analyze -k=false config/\n  mesh analyze -A\n  mesh analyze new.yaml -S \"IST0102=Namespace frod\" -o sarif"
)]
pub struct Args {
    /// Files, or directories with everything below them, or URLs, or - for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// List the analyzers
    #[arg(short = 'L', long)]
    list_analyzers: bool,
    /// Taken for the sake of scripts: directories are read with everything below them anyway
    #[arg(short = 'R', long = "recursive", hide = true)]
    _recursive: bool,
    /// Whether the cluster is looked at [default: if there is one]
    #[arg(short = 'k', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_kube: Option<bool>,
    /// Namespace to show
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Show every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Don't show a code for a resource: CODE=RESOURCE, * for anything; may be given several times
    #[arg(short = 'S', long, value_name = "CODE=RESOURCE")]
    suppress: Vec<Suppression>,
    /// Run this analyzer only; may be given several times
    #[arg(long, value_name = "NAME")]
    analyzer: Vec<String>,
    /// Level from which the command fails: Info, Warning or Error
    #[arg(long, value_name = "LEVEL", default_value = "Error")]
    failure_threshold: Level,
    /// Level from which messages are shown: Info, Warning or Error
    #[arg(long, value_name = "LEVEL", default_value = "Info")]
    output_threshold: Level,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Say what is looked at
    #[arg(short, long)]
    verbose: bool,
    /// Whether levels are coloured [default: on a terminal]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    color: Option<bool>,
    /// File with the mesh's settings, instead of the cluster's
    #[arg(long = "meshConfigFile", alias = "mesh-config-file", value_name = "FILE")]
    mesh_config_file: Option<PathBuf>,
    /// Contexts of clusters to look at besides, for what has to be the same in all of them; may be given several times
    #[arg(long, value_name = "CONTEXT", value_delimiter = ',')]
    remote_contexts: Vec<String>,
    /// How long reading a cluster may take
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: Duration,
    /// Don't fail for what can't be read
    #[arg(long)]
    ignore_unknown: bool,
    /// Namespace of the control plane
    #[arg(
        short = 'i',
        long = "istioNamespace",
        alias = "istio-namespace",
        value_name = "NAMESPACE",
        default_value = "istio-system"
    )]
    istio_namespace: String,
    /// Revision of the control plane
    #[arg(short, long, value_name = "REVISION", default_value = "default")]
    revision: String,
    #[command(flatten)]
    target: Target,
}

/// Form of the result
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for each message
    #[default]
    Log,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// SARIF 2.1.0, for code scanners
    Sarif,
    /// JUnit's XML, for build servers
    Junit,
}

/// Prints what is found; fails where something reaches the threshold.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    if args.list_analyzers {
        let rows = ANALYZERS.iter().map(|analyzer| [analyzer.name.to_owned(), analyzer.about.to_owned()]);
        ui.line(ui::table(["ANALYZER", "LOOKS FOR"], rows).trim_end());
        return Ok(());
    }
    let analyzers = chosen(&args.analyzer)?;
    for suppression in args.suppress.iter().filter(|suppression| !suppression.is_known()) {
        ui.warn(format!("{} is no code: it suppresses nothing", suppression.code()));
    }
    let (documents, unreadable) = read(ui, &args)?;
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    let connection = executor.block_on(connect(ui, &args))?;
    let live = match &connection {
        Some(connection) => executor.block_on(clusters(ui, &args, connection))?,
        None => Vec::new(),
    };
    let default_namespace = match (&args.namespace, &connection) {
        (Some(namespace), _) => namespace.clone(),
        (None, Some(connection)) => connection.namespace.clone(),
        (None, None) => "default".to_owned(),
    };
    let shown = match (&args.namespace, &connection) {
        _ if args.all_namespaces => None,
        (Some(namespace), _) => Some(namespace.clone()),
        (None, Some(_)) => Some(default_namespace.clone()),
        (None, None) => None,
    };
    let options = Options {
        default_namespace,
        istio_namespace: args.istio_namespace.clone(),
        revision: args.revision.clone(),
        workloads_have_pods: connection.is_none(),
    };
    let files =
        documents.into_iter().flat_map(|document| Object::of_document(document, &options.default_namespace, None));
    // Without a cluster, files are taken to be meant for a default installation.
    let installed = if connection.is_some() { Vec::new() } else { installation(&options.istio_namespace) };
    let objects: Vec<Object> = installed.into_iter().chain(live).chain(files).collect();
    let total = objects.len();
    let mut snapshot = Snapshot::new(options, objects);
    if let Some(file) = &args.mesh_config_file {
        snapshot = snapshot.with_mesh_config(settings(file)?);
    }
    // What is not in the files may well be in the cluster that they are meant for.
    let files_alone = connection.is_none() && args.analyzer.is_empty();
    let (skipped, analyzers): (Vec<&Analyzer>, Vec<&Analyzer>) =
        analyzers.into_iter().partition(|analyzer| files_alone && analyzer.lacks(&snapshot).is_some());
    if args.verbose {
        ui.note(format!("{} and {}:", count(total, "object"), count(analyzers.len(), "analyzer")));
        for analyzer in &analyzers {
            ui.note(format!("  {}", analyzer.name));
        }
        for analyzer in skipped {
            let kind = analyzer.lacks(&snapshot).unwrap_or_default();
            ui.note(format!("  {}: skipped, since the files hold no {kind}", analyzer.name));
        }
    }
    let wanted = Wanted { namespace: shown, threshold: args.output_threshold, suppressed: args.suppress.clone() };
    let messages = wanted.of(analyze(&snapshot, analyzers));
    print(ui, &args, &messages)?;
    outcome(&args, &messages, unreadable)
}

fn chosen(names: &[String]) -> CliResult<Vec<&'static Analyzer>> {
    if names.is_empty() {
        return Ok(ANALYZERS.iter().filter(|analyzer| analyzer.default).collect());
    }
    let find = |name: &String| {
        let found = ANALYZERS.iter().find(|analyzer| analyzer.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            CliError::message(Kind::Usage, format!("there is no analyzer {name:?}"))
                .hint("`mesh analyze -L` lists them")
        })
    };
    names.iter().map(find).collect()
}

/// The documents, and how many could not be read.
fn read(ui: &Ui, args: &Args) -> CliResult<(Vec<Document>, usize)> {
    if args.files.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let input = Files::of(args.files.clone()).read()?;
    let unreadable = input.print_unreadable(ui);
    Ok((input.documents, unreadable))
}

/// The cluster that is looked at, if one is.
async fn connect(ui: &Ui, args: &Args) -> CliResult<Option<Connection>> {
    match args.use_kube {
        Some(false) if args.files.is_empty() => {
            Err(CliError::message(Kind::Usage, "there is nothing to analyze: name files, or leave out -k=false"))
        }
        Some(false) => Ok(None),
        Some(true) => args.target.connect(ui).await.map(Some),
        None if args.files.is_empty() => args.target.connect(ui).await.map(Some),
        // Files are analyzed for themselves where there is no cluster to lay them over.
        None => match args.target.connect(ui).await {
            Ok(connection) => Ok(Some(connection)),
            Err(error) if error.kind == Kind::Unavailable && !args.target.is_named() => Ok(None),
            Err(error) => Err(error),
        },
    }
}

/// What the cluster holds, and the remote ones.
async fn clusters(ui: &Ui, args: &Args, connection: &Connection) -> CliResult<Vec<Object>> {
    let several = !args.remote_contexts.is_empty();
    let mut objects = bounded(ui, args, connection, several).await?;
    for context in &args.remote_contexts {
        let remote = args.target.in_context(context).connect(ui).await?;
        objects.extend(bounded(ui, args, &remote, several).await?);
    }
    Ok(objects)
}

/// What one cluster holds, within the time that it may take.
async fn bounded(ui: &Ui, args: &Args, connection: &Connection, several: bool) -> CliResult<Vec<Object>> {
    let values = tokio::time::timeout(args.timeout.get(), whole(ui, connection)).await.map_err(|_| {
        CliError::message(Kind::Unavailable, format!("{connection} was not read within {}", args.timeout))
            .hint("--timeout allows more")
    })??;
    let cluster: Option<Arc<str>> = several.then(|| connection.context.as_str().into());
    Ok(values.into_iter().filter_map(|value| Object::of_cluster(value, cluster.as_ref())).collect())
}

/// What a cluster holds. A kind that the user may not read is left out, and said.
async fn whole(ui: &Ui, connection: &Connection) -> CliResult<Vec<Value>> {
    let progress = ui.progress("reading the cluster");
    let live = live::read(connection, |plural| progress.update(format!("reading {plural}"))).await?;
    for (plural, error) in live.forbidden {
        ui.warn(format!("{error}: what depends on {plural} is not looked at"));
    }
    Ok(live.objects)
}

fn settings(file: &Path) -> CliResult<Value> {
    let failed = |why: String| CliError::message(Kind::Data, format!("can't read {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    parsed(&text).ok_or_else(|| failed("it holds no settings in YAML".to_owned()))
}

fn print(ui: &Ui, args: &Args, messages: &[Message]) -> CliResult {
    match args.output {
        Output::Log => {
            let colour = args.color.unwrap_or_else(|| std::io::stdout().is_terminal());
            for message in messages {
                let level = message.level().to_string();
                let tone = match message.level() {
                    Level::Info => Tone::Faint,
                    Level::Warning => Tone::Attention,
                    Level::Error => Tone::Bad,
                };
                ui.line(message.line(&if colour { ui.paint(tone, &level) } else { level }));
            }
            if messages.is_empty() {
                ui.note(format!("{} nothing found", ui.paint_note(Tone::Good, "✓")));
            }
            Ok(())
        }
        Output::Json => ui.structured(Format::Json, &listed(messages)),
        Output::Yaml => ui.structured(Format::Yaml, &listed(messages)),
        Output::Sarif => ui.structured(Format::Json, &sarif(messages, env!("CARGO_PKG_VERSION"))),
        Output::Junit => {
            ui.line(junit(messages, args.failure_threshold).trim_end());
            Ok(())
        }
    }
}

fn listed(messages: &[Message]) -> Value {
    json!(messages.iter().map(Message::to_json).collect::<Vec<_>>())
}

fn outcome(args: &Args, messages: &[Message], unreadable: usize) -> CliResult {
    if unreadable > 0 && !args.ignore_unknown {
        return Err(CliError::message(Kind::Data, format!("{} can't be read", count(unreadable, "document"))));
    }
    let failing = messages.iter().filter(|message| message.level() >= args.failure_threshold).count();
    if failing > 0 {
        let error = format!("{} of level {} or above", count(failing, "message"), args.failure_threshold);
        return Err(CliError::message(Kind::Found, error));
    }
    Ok(())
}
