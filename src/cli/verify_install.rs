//! `mesh verify-install`: whether what was installed is there, ready, and as it was installed.

use serde::Serialize;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::count;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Tone, Ui, table};
use crate::install::{DEFAULT_REVISION, VERSION, Verdict, verify};

/// Check that what was installed is there, ready, and as it was installed
///
/// Exits with 1 where it is not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh verify-install\n  mesh verify-install --revision canary -o json")]
pub struct Args {
    /// The revision
    #[arg(short, long, value_name = "NAME", default_value = DEFAULT_REVISION)]
    revision: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Row {
    object: String,
    ok: bool,
    state: String,
}

/// Checks.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let rows: Vec<Row> = block_on(async {
        let connection = args.target.connect(ui).await?;
        let platform = super::install::platform(&connection).await?;
        let progress = ui.progress("checking");
        let verdicts = verify(&connection, &args.revision, platform).await?;
        drop(progress);
        Ok(verdicts.into_iter().map(|(object, verdict)| row(object.to_string(), verdict)).collect())
    })?;
    let bad = rows.iter().filter(|row| !row.ok).count();
    if args.output == Format::Table {
        if bad > 0 {
            let shown = rows.iter().filter(|row| !row.ok);
            let shown = shown.map(|row| [row.object.clone(), ui.paint(Tone::Bad, &row.state)]);
            ui.text(&table(["OBJECT", "STATE"], shown));
        } else {
            ui.done(format!("revision {}: {} as installed", args.revision, count(rows.len(), "object")));
        }
    } else {
        ui.structured(args.output, &rows)?;
    }
    if bad == 0 {
        return Ok(());
    }
    Err(CliError::message(Kind::Failed, format!("{bad} of {} not as installed", count(rows.len(), "object")))
        .hint(format!("`{} install` with the settings it was installed with mends it", ui.program())))
}

/// Why an object that an older program installed cannot be held against what it was.
pub fn other_version(version: &str) -> String {
    format!(
        "is as {version} installed it, or was changed since; this is {VERSION}: `mesh upgrade` brings it up to date"
    )
}

fn row(object: String, verdict: Verdict) -> Row {
    let (ok, state) = match verdict {
        Verdict::Good => (true, "ready".to_owned()),
        Verdict::Shared(revision) => (true, format!("ready; revision {revision} has it now")),
        Verdict::Missing => (false, "is missing".to_owned()),
        Verdict::NotReady(reason) => (false, reason),
        Verdict::OtherVersion(version) => (false, other_version(&version)),
        Verdict::Changed => (false, "was changed by somebody else".to_owned()),
    };
    Row { object, ok, state }
}
