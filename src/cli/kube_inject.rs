//! `mesh kube-inject`: sidecars written into files, for clusters without the webhook.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::error::{CliResult, Kind, WithKind};
use crate::cli::input::documents;
use crate::cli::ui::Ui;
use crate::inject::{Outcome, Settings, inject_object, pod_of, unheeded};
use crate::yaml;

/// Write sidecars into files, and print them
///
/// Objects that start no pods pass through. Needs no cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh kube-inject -f web.yaml | kubectl apply -f -
  mesh kube-inject -f - --revision canary < web.yaml")]
pub struct Args {
    /// A file, a directory, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The revision of the control plane
    #[arg(short, long, value_name = "NAME", default_value = crate::inject::DEFAULT_REVISION)]
    revision: String,
    /// Image of the proxy
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Namespace of the control plane
    #[arg(short = 'i', long = "istio-namespace", value_name = "NAME", default_value = "istio-system")]
    istio_namespace: String,
}

/// Injects and prints.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let suffix = match args.revision.as_str() {
        crate::inject::DEFAULT_REVISION => String::new(),
        revision => format!("-{revision}"),
    };
    let settings = Settings {
        image: args.image.unwrap_or_else(|| format!("{}:{}", Settings::default().image, env!("CARGO_PKG_VERSION"))),
        discovery_address: format!("istiod{suffix}.{}.svc:15012", args.istio_namespace),
        revision: args.revision,
        ..Settings::default()
    };
    let mut objects = Vec::new();
    for document in documents(&args.files)? {
        let mut object = document.value;
        if object.get("kind").and_then(Value::as_str) == Some("List") {
            for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                inject(ui, item, &settings)?;
            }
        } else {
            inject(ui, &mut object, &settings)?;
        }
        objects.push(object);
    }
    ui.text(&yaml::to_string_all(&objects));
    Ok(())
}

/// Adds the sidecar, where the pod does not refuse it.
fn inject(ui: &Ui, object: &mut Value, settings: &Settings) -> CliResult {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("(unnamed)").to_owned();
    let Some(pod) = pod_of(object) else { return Ok(()) };
    let says = |field: &str| {
        let value = pod.get("metadata").and_then(|metadata| metadata.get(field)?.get("sidecar.istio.io/inject"));
        value.map(|value| value == "false" || value == &Value::Bool(false))
    };
    let host_network = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
    if host_network || says("labels").or_else(|| says("annotations")) == Some(true) {
        let why = if host_network { "uses the host's network" } else { "says sidecar.istio.io/inject: false" };
        ui.warn(format!("{name} {why}: it gets no sidecar"));
        return Ok(());
    }
    for said in unheeded(pod) {
        ui.warn(format!("{name}: {said}"));
    }
    if inject_object(object, settings).kind(Kind::Data)? == Some(Outcome::AlreadyThere) {
        ui.warn(format!("{name} has its sidecar already"));
    }
    Ok(())
}
