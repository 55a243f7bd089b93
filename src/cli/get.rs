//! `mesh get`: objects as the server shows them.

use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::objects;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Ui, rows_of_text};
use crate::install::normalise;
use crate::kube::{self, Selection, ServerTable};
use crate::resources::kinds::Scope;

/// Show objects
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh get vs
  mesh get vs reviews -o yaml
  mesh get pods -A --wide")]
pub struct Args {
    /// The kind
    kind: String,
    /// One object
    name: Option<String>,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Every namespace
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Objects with these labels
    #[arg(
        short = 'l',
        long,
        value_name = "LABELS",
        conflicts_with = "name",
        default_value = "",
        hide_default_value = true
    )]
    selector: String,
    /// Every column
    #[arg(short, long)]
    wide: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

/// Shows.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let kind = objects::kind(&args.kind)?;
    block_on(async {
        let connection = args.target.connect(ui).await?;
        let namespace = args.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        let everywhere = args.all_namespaces || kind.scope == Scope::Cluster;
        let selection = Selection { namespace: (!everywhere).then_some(namespace.as_str()), labels: &args.selector };
        let api_version = kind.api_version();
        if args.output == Format::Table {
            let table = kube::table(&connection, &api_version, kind.kind, args.name.as_deref(), selection).await?;
            if table.rows.is_empty() {
                let place = if everywhere { String::new() } else { format!(" in namespace {namespace}") };
                ui.note(format!("there is no {}{place}", kind.kind));
                return Ok(());
            }
            ui.text(&text(&table, args.wide, args.all_namespaces && kind.scope == Scope::Namespaced));
            return Ok(());
        }
        if let Some(name) = &args.name {
            let object = objects::named(kind, name, Some(&namespace));
            let found = kube::get(&connection, &object).await?;
            let missing = || CliError::message(Kind::Failed, format!("{object} is not on {}", connection.server));
            return ui.structured(args.output, &shown(found.ok_or_else(missing)?));
        }
        let items: Vec<Value> =
            kube::list(&connection, &api_version, kind.kind, selection).await?.into_iter().map(shown).collect();
        ui.structured(args.output, &serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}))
    })
}

/// The object without what nobody reads: who wrote which field.
fn shown(object: Value) -> Value {
    let status = object.get("status").cloned();
    let mut shown = normalise(object);
    if let (Some(object), Some(status)) = (shown.as_object_mut(), status) {
        object.insert("status".to_owned(), status);
    }
    shown
}

fn text(table: &ServerTable, wide: bool, namespaces: bool) -> String {
    let visible: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| wide || column.priority == 0)
        .map(|(index, _)| index)
        .collect();
    let mut rows = Vec::new();
    let mut headings: Vec<String> =
        visible.iter().filter_map(|index| table.columns.get(*index)).map(|column| column.name.to_uppercase()).collect();
    if namespaces {
        headings.insert(0, "NAMESPACE".to_owned());
    }
    rows.push(headings);
    for row in &table.rows {
        let cell = |index: &usize| match row.cells.get(*index) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let mut cells: Vec<String> = visible.iter().map(cell).collect();
        if namespaces {
            let namespace = row.object.pointer("/metadata/namespace").and_then(Value::as_str);
            cells.insert(0, namespace.unwrap_or_default().to_owned());
        }
        rows.push(cells);
    }
    rows_of_text(&rows)
}
