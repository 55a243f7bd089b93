//! `mesh tag`: names for revisions.

use serde::Serialize;

use crate::cli::error::CliResult;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Ui, table};
use crate::install::{remove_tag, set_tag, tag_manifest, tags};
use crate::yaml;

/// Give revisions names that namespaces can follow
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Set(Set),
    Generate(Generate),
    #[command(visible_alias = "show")]
    List(List),
    #[command(visible_alias = "delete")]
    Remove(Remove),
}

/// Point a tag to a revision
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh tag set prod --revision 1-2\n  mesh tag set default --revision canary --overwrite"
)]
struct Set {
    #[command(flatten)]
    tag: TagArgs,
    /// Where the tag points elsewhere, point it here
    #[arg(long)]
    overwrite: bool,
    /// Taken for the sake of scripts: nothing is asked
    #[arg(short = 'y', long = "skip-confirmation", hide = true)]
    _yes: bool,
    #[command(flatten)]
    target: Target,
}

/// Print the webhook that a tag is
#[derive(Debug, clap::Args)]
struct Generate {
    #[command(flatten)]
    tag: TagArgs,
}

#[derive(Debug, clap::Args)]
struct TagArgs {
    /// The tag
    name: String,
    /// The revision that it points to
    #[arg(short, long, value_name = "NAME")]
    revision: String,
    /// Namespace of the control plane
    #[arg(short = 'i', long = "istio-namespace", value_name = "NAME", default_value = "istio-system")]
    namespace: String,
    /// With the tag `default`: inject namespaces that say nothing
    #[arg(long)]
    auto_inject_namespaces: bool,
}

/// List the tags
#[derive(Debug, clap::Args)]
struct List {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

/// Remove a tag
#[derive(Debug, clap::Args)]
struct Remove {
    /// The tag
    name: String,
    /// Although namespaces follow it
    #[arg(long, visible_short_alias = 'y', visible_alias = "skip-confirmation")]
    force: bool,
    #[command(flatten)]
    target: Target,
}

/// Sets, prints, lists or removes.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    match args.command {
        Command::Set(args) => block_on(async {
            let connection = args.target.connect_to_change(ui).await?;
            set_tag(&connection, &args.tag.manifest(), args.overwrite).await?;
            ui.done(format!("tag {} points to revision {}", args.tag.name, args.tag.revision));
            Ok(())
        }),
        Command::Generate(args) => {
            ui.text(&yaml::to_string(&args.tag.manifest()));
            Ok(())
        }
        Command::List(args) => list(ui, args),
        Command::Remove(args) => block_on(async {
            let connection = args.target.connect_to_change(ui).await?;
            remove_tag(&connection, &args.name, args.force).await?;
            ui.done(format!("tag {} is removed", args.name));
            Ok(())
        }),
    }
}

impl TagArgs {
    fn manifest(&self) -> serde_json::Value {
        tag_manifest(&self.name, &self.revision, &self.namespace, self.auto_inject_namespaces)
    }
}

#[derive(Serialize)]
struct Row {
    tag: String,
    revision: String,
    namespaces: Vec<String>,
}

fn list(ui: &Ui, args: List) -> CliResult {
    let found = block_on(async {
        let connection = args.target.connect(ui).await?;
        Ok(tags(&connection).await?)
    })?;
    let rows: Vec<Row> = found
        .into_iter()
        .map(|tag| Row { tag: tag.name, revision: tag.revision, namespaces: tag.namespaces })
        .collect();
    if args.output != Format::Table {
        return ui.structured(args.output, &rows);
    }
    if rows.is_empty() {
        ui.note("there are no tags");
        return Ok(());
    }
    let rows = rows.into_iter().map(|row| [row.tag, row.revision, row.namespaces.join(",")]);
    ui.text(&table(["TAG", "REVISION", "NAMESPACES"], rows));
    Ok(())
}
