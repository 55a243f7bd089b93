//! `mesh delete`.

use std::time::Duration;

use ::kube::core::DynamicObject;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::{count, documents};
use crate::cli::install::duration;
use crate::cli::objects;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::kube::{self, Deleted, ObjectRef};

/// Delete objects, by file or by name
///
/// Waits until they are gone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh delete -f reviews.yaml
  mesh delete vs reviews
  mesh delete vs/reviews dr/reviews -n shop")]
pub struct Args {
    /// KIND NAME…, or KIND/NAME…
    #[arg(value_name = "OBJECT", required_unless_present = "files", conflicts_with = "files")]
    words: Vec<String>,
    /// A file, a directory, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<std::path::PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// An object that is not there is no failure
    #[arg(long)]
    ignore_not_found: bool,
    /// Do not wait until they are gone
    #[arg(long)]
    no_wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    target: Target,
}

/// Deletes, in reverse order of the files: what came last may need what came first.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let objects: Vec<ObjectRef> = if args.files.is_empty() {
        objects::objects(&args.words, args.namespace.as_deref())?
    } else {
        let documents = documents(&args.files)?;
        let references = documents.iter().rev().map(|document| ObjectRef::of(&document.value));
        references.collect::<Result<_, _>>()?
    };
    block_on(async {
        let mut connection = args.target.connect_to_change(ui).await?;
        if let Some(namespace) = &args.namespace {
            connection = connection.in_namespace(namespace);
        }
        let mut absent = Vec::new();
        for object in &objects {
            match kube::delete(&connection, object).await? {
                Deleted::Absent => absent.push(object.to_string()),
                Deleted::Deleted => {
                    if !args.no_wait {
                        let _progress = ui.progress(format!("waiting until {object} is gone"));
                        // What is there and not about to go is another one, which somebody has made in its place.
                        let is_gone = |found: Option<&DynamicObject>| {
                            found.is_none_or(|found| found.metadata.deletion_timestamp.is_none())
                        };
                        kube::wait_for(&connection, object, "gone", args.timeout, is_gone).await?;
                    }
                    ui.line(format!("{object} deleted"));
                }
            }
        }
        if absent.is_empty() || args.ignore_not_found {
            return Ok(());
        }
        let there = count(absent.len(), "object");
        Err(CliError::message(Kind::Failed, format!("{there} not there: {}", absent.join(", ")))
            .hint("--ignore-not-found makes that no failure"))
    })
}
