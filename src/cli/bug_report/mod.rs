//! `mesh bug-report`: what somebody needs who is to find out what is wrong, in one archive, without what is secret.

mod archive;
mod redact;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::count;
use crate::cli::install::duration;
use crate::cli::planes::{self, Where};
use crate::cli::proxy_config::{ADMIN_PORT, ask};
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::inject::SIDECAR;
use crate::kube::{self, Connection, LogOptions, ObjectRef, Selection};
use crate::resources::kinds::{self, Scope};
use crate::yaml;

use archive::Archive;

/// Where the control plane and the gateways are.
const SYSTEM: &str = "istio-system";

/// Write an archive that tells what is wrong
///
/// It holds the mesh's configuration, workloads, events, what every proxy holds, and the last
/// lines that proxies and the control plane logged. Secrets, the content of applications'
/// ConfigMaps, tokens, passwords and keys are left out; look at the archive before you hand it
/// on all the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh bug-report
  mesh bug-report -n shop --output-file report.tar.gz")]
pub struct Args {
    /// Only this namespace, beside istio-system; may be given several times
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Vec<String>,
    /// Where to write it [default: mesh-bug-report-TIME.tar.gz]
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// How many lines of each log
    #[arg(long, value_name = "N", default_value_t = 1000)]
    tail: u32,
    /// How long collecting may take; what is there by then is written
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    target: Target,
}

/// Collects and writes.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let now = jiff::Timestamp::now();
    let stem = format!("mesh-bug-report-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let path = args.output_file.clone().unwrap_or_else(|| PathBuf::from(format!("{stem}.tar.gz")));
    // Before anything is collected: a file that is there is somebody's.
    let file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(|error| {
            CliError::message(Kind::CannotCreate, format!("can't create {}: {error}", path.display()))
        })?;
    let collected = block_on(async {
        let connection = args.target.connect(ui).await?;
        let mut report = Report::new(&connection, &args, &stem, now);
        let progress = ui.progress("collecting");
        let say = |what: &str| progress.update(format!("collecting {what}"));
        let collecting = report.collect(&say);
        if tokio::time::timeout(args.timeout, collecting).await.is_err() {
            report.left_out.push(format!("collecting took longer than {} s and was ended", args.timeout.as_secs()));
        }
        Ok(report.finish())
    });
    let (archive, left_out) = match collected {
        Ok(collected) => collected,
        Err(error) => {
            // Nothing was collected: an empty file helps nobody.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
    };
    let files = archive.len();
    std::io::Write::write_all(&mut &file, &archive.into_gzip()).kind(Kind::Io)?;
    for what in &left_out {
        ui.warn(format!("left out: {what}"));
    }
    ui.done(format!("{} in {}", count(files, "file"), path.display()));
    Ok(())
}

/// What is collected.
struct Report<'r> {
    connection: &'r Connection,
    args: &'r Args,
    archive: Archive,
    left_out: Vec<String>,
    began: Instant,
}

impl<'r> Report<'r> {
    fn new(connection: &'r Connection, args: &'r Args, stem: &str, now: jiff::Timestamp) -> Self {
        let modified = u64::try_from(now.as_second()).unwrap_or_default();
        let archive = Archive::new(stem, modified);
        Self { connection, args, archive, left_out: Vec::new(), began: Instant::now() }
    }

    fn wants(&self, namespace: &str) -> bool {
        self.args.namespace.is_empty() || namespace == SYSTEM || self.args.namespace.iter().any(|one| one == namespace)
    }

    async fn collect(&mut self, say: &impl Fn(&str)) {
        let mut pods = Vec::new();
        for kind in kinds::KINDS {
            say(kind.plural);
            let found = kube::list(self.connection, &kind.api_version(), kind.kind, Selection::default()).await;
            let objects: Vec<Value> = match found {
                Ok(objects) => objects,
                Err(error) => {
                    self.left_out.push(error.to_string());
                    continue;
                }
            };
            let wanted = |object: &Value| {
                kind.scope == Scope::Cluster || self.wants(object["metadata"]["namespace"].as_str().unwrap_or_default())
            };
            let objects: Vec<Value> =
                objects.into_iter().filter(wanted).map(|object| redact::object(object, SYSTEM)).collect();
            if kind.kind == "Pod" {
                pods = objects.clone();
            }
            if !objects.is_empty() {
                self.archive.add(&format!("objects/{}.yaml", kind.plural), yaml::to_string_all(&objects).as_bytes());
            }
        }
        match planes::ask(self.connection, &Where { istio_namespace: SYSTEM.to_owned() }).await {
            Ok(answers) => {
                self.left_out.extend(answers.silent);
                self.add_json("proxies/status.json", json!(answers.planes));
            }
            Err(error) => self.left_out.push(error.to_string()),
        }
        for pod in &pods {
            let Ok(reference) = ObjectRef::of(pod) else { continue };
            say(&reference.to_string());
            self.collect_pod(&reference, pod).await;
        }
    }

    async fn collect_pod(&mut self, reference: &ObjectRef, pod: &Value) {
        let namespace = reference.namespace.clone().unwrap_or_default();
        let containers = ["/spec/containers", "/spec/initContainers"]
            .into_iter()
            .filter_map(|list| pod.pointer(list)?.as_array())
            .flatten()
            .filter_map(|container| container["name"].as_str());
        // What applications log is theirs.
        let containers: Vec<String> =
            containers.filter(|container| *container == SIDECAR || namespace == SYSTEM).map(str::to_owned).collect();
        if containers.iter().any(|container| container == SIDECAR) {
            match ask(self.connection, reference, ADMIN_PORT).await {
                Ok(dump) => self.add_json(&format!("proxies/{namespace}/{}.json", reference.name), json!(dump)),
                Err(error) => self.left_out.push(error.to_string()),
            }
        }
        for container in containers {
            let options =
                LogOptions { container: Some(container.clone()), tail: Some(self.args.tail.into()), previous: false };
            match kube::logs(self.connection, reference, &options).await {
                Ok(text) => {
                    let name = format!("logs/{namespace}/{}/{container}.log", reference.name);
                    self.archive.add(&name, redact::text(&text).as_bytes());
                }
                Err(error) => self.left_out.push(error.to_string()),
            }
        }
    }

    fn add_json(&mut self, name: &str, value: Value) {
        let text = serde_json::to_string_pretty(&redact::value(value)).unwrap_or_default() + "\n";
        self.archive.add(name, text.as_bytes());
    }

    fn finish(mut self) -> (Archive, Vec<String>) {
        let about = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "context": self.connection.context,
            "server": self.connection.server,
            "namespaces": self.args.namespace,
            "seconds": self.began.elapsed().as_secs(),
            "leftOut": self.left_out,
        });
        self.add_json("report.json", about);
        (self.archive, self.left_out)
    }
}
