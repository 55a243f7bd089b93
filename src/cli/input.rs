//! Files that commands read: YAML or JSON, named, from a directory, or from standard input.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::target::block_on;
use crate::cli::ui::Ui;
use crate::cli::web;
use crate::resources::{self, Finding, Severity, kinds, mesh_config};
use crate::yaml::{self, Document};

/// The most that is read from one file or from standard input, in bytes; what is longer is refused by the loader.
const MAX_BYTES: u64 = (64 << 20) + 1;

/// Endings of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Where input comes from
#[derive(Debug, Clone, clap::Args)]
pub struct Files {
    /// A file, a directory, a URL, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Read directories with everything below them
    #[arg(short = 'R', long)]
    recursive: bool,
}

/// Where input may come from
#[derive(Debug, Clone, clap::Args)]
pub struct OptionalFiles {
    /// A file, a directory, a URL, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read directories with everything below them
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl OptionalFiles {
    /// The files; `None` where none was named.
    pub fn required(self) -> Option<Files> {
        (!self.files.is_empty()).then_some(Files { files: self.files, recursive: self.recursive })
    }
}

/// A state of files: their names, the times of their last changes, their sizes, and which files they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, SystemTime, u64, u64)>);

/// Input that was read: documents that are sound, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Input {
    /// In the order of the files.
    pub documents: Vec<Document>,
    sources: BTreeMap<String, String>,
    unreadable: Vec<yaml::Error>,
}

impl Files {
    /// These files, directories with everything below them.
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self { files, recursive: true }
    }

    /// Reads everything.
    pub fn read(&self) -> CliResult<Input> {
        let mut input = Input::default();
        for path in &self.files {
            if path.as_os_str() == "-" {
                let mut bytes = Vec::new();
                io::stdin().lock().take(MAX_BYTES).read_to_end(&mut bytes).kind(Kind::Io)?;
                input.load("-", &bytes);
                continue;
            }
            if let Some(url) = url(path) {
                input.load(url, &fetch(url)?);
                continue;
            }
            for file in self.expand(path)? {
                let bytes = read(&file)?;
                input.load(&file.display().to_string(), &bytes);
            }
        }
        if input.documents.is_empty() && input.unreadable.is_empty() {
            let named: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
            return Err(CliError::message(Kind::Data, format!("no object in {}", named.join(", "))));
        }
        Ok(input)
    }

    /// Whether they can be read a second time, and looked at in between: standard input and the web can't.
    pub fn can_be_read_again(&self) -> bool {
        self.files.iter().all(|path| path.as_os_str() != "-" && url(path).is_none())
    }

    /// What tells one state of the files from another, without reading them. `None` while one of them can't be looked at.
    pub fn stamp(&self) -> Option<Stamp> {
        let mut stamp = Vec::new();
        for path in &self.files {
            for file in self.expand(path).ok()? {
                let metadata = fs::metadata(&file).ok()?;
                stamp.push((file, metadata.modified().ok()?, metadata.len(), metadata.ino()));
            }
        }
        Some(Stamp(stamp))
    }

    fn expand(&self, path: &Path) -> CliResult<Vec<PathBuf>> {
        let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        if !metadata.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let mut found = Vec::new();
        let entries = fs::read_dir(path).map_err(|error| cannot_read(path, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| cannot_read(path, &error))?.path();
            // A link that leads back up would never end.
            if entry.is_dir() && !entry.is_symlink() && self.recursive {
                found.extend(self.expand(&entry)?);
            } else if entry.is_file()
                && entry.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
            {
                found.push(entry);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The documents of these files, which may be `-`; every one has to be sound.
pub fn documents(files: &[PathBuf]) -> CliResult<Vec<Document>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let input = Files { files: files.to_vec(), recursive: false }.read()?;
    match input.unreadable.first() {
        Some(error) => Err(CliError::message(Kind::Data, error.render(input.source(&error.place.file)))),
        None => Ok(input.documents),
    }
}

/// The URL that stands in a file's place.
fn url(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| web::is_url(text))
}

/// Reads a URL, on a thread of its own, because some who read files are in the middle of asynchronous work.
fn fetch(url: &str) -> CliResult<Vec<u8>> {
    let fetched = thread::scope(|scope| scope.spawn(|| block_on(web::read(url, MAX_BYTES))).join());
    fetched.unwrap_or_else(|_| Err(CliError::message(Kind::Io, format!("can't read {url}: reading it was broken off"))))
}

fn read(path: &Path) -> CliResult<Vec<u8>> {
    let mut bytes = Vec::new();
    // Opening a pipe would wait until somebody writes to it.
    let opened = fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let file = opened.map_err(|error| cannot_read(path, &error))?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).kind(Kind::Io)?;
    let is_pipe = file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if is_pipe && bytes.is_empty() {
        return Err(CliError::message(
            Kind::Data,
            format!("can't read {}: it is a pipe that nobody writes to", path.display()),
        ));
    }
    Ok(bytes)
}

fn cannot_read(path: &Path, error: &io::Error) -> CliError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Permission,
        _ => Kind::Data,
    };
    CliError::message(kind, format!("can't read {}: {error}", path.display()))
}

impl Input {
    fn load(&mut self, name: &str, bytes: &[u8]) {
        let loaded = yaml::load(name, bytes);
        self.documents.extend(loaded.documents.into_iter().flat_map(Document::into_items));
        self.unreadable.extend(loaded.errors);
        self.sources.insert(name.to_owned(), String::from_utf8_lossy(bytes).into_owned());
    }

    /// Takes out the settings of installations (IstioOperator), which are no objects of a cluster.
    pub fn take_installations(&mut self) -> Vec<Document> {
        let text = |document: &Document, field: &str| {
            document.value.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let is_one = |document: &mut Document| {
            text(document, "kind") == "IstioOperator" && text(document, "apiVersion").starts_with("install.istio.io/")
        };
        self.documents.extract_if(.., is_one).collect()
    }

    /// Prints what can't be read, and answers with how much it is.
    pub fn print_unreadable(&self, ui: &Ui) -> usize {
        for error in &self.unreadable {
            ui.error(error.render(self.source(&error.place.file)));
        }
        self.unreadable.len()
    }

    /// Validates every document, prints what is found, and answers with (errors, warnings).
    pub fn check(&self, ui: &Ui) -> (usize, usize) {
        let (mut errors, mut warnings) = (self.print_unreadable(ui), 0);
        for document in &self.documents {
            let Some(kind) = kinds::of(&document.value) else {
                match unknown(document) {
                    Some((Severity::Error, text)) => {
                        errors += 1;
                        ui.error(text);
                    }
                    Some((Severity::Warning, text)) => {
                        warnings += 1;
                        ui.warn(text);
                    }
                    None => {}
                }
                continue;
            };
            let findings = resources::validate(kind, &document.value).located(document);
            errors += findings.errors.len();
            warnings += findings.warnings.len();
            for finding in findings.iter() {
                self.print(ui, finding);
            }
            if mesh_config::is_settings(&document.value) {
                errors += self.check_settings(ui, document);
            }
        }
        (errors, warnings)
    }

    /// Checks the settings of the mesh that a ConfigMap holds as texts; answers with how many errors they have.
    fn check_settings(&self, ui: &Ui, document: &Document) -> usize {
        let mut errors = 0;
        for settings in mesh_config::Settings::ALL {
            let entry = yaml::Path::root().key("data").key(settings.entry());
            let Some(loaded) = yaml::load_embedded(document, &entry, self.source(&document.name)) else { continue };
            errors += loaded.errors.len();
            for error in &loaded.errors {
                ui.error(error.render(self.source(&error.place.file)));
            }
            for inner in &loaded.documents {
                let findings = settings.validate(&inner.value).located(inner);
                errors += findings.errors.len();
                for finding in findings.iter() {
                    self.print(ui, finding);
                }
            }
        }
        errors
    }

    fn print(&self, ui: &Ui, finding: &Finding) {
        let text = match &finding.source {
            Some(place) => yaml::render(&finding.to_string(), place.position(), self.source(&place.file)),
            None => finding.to_string(),
        };
        match finding.severity {
            Severity::Error => ui.error(text),
            Severity::Warning => ui.warn(text),
        }
    }

    fn source(&self, name: &str) -> &str {
        self.sources.get(name).map_or("", String::as_str)
    }
}

/// What is said of a document whose kind mesh has no name for: nothing where it is Kubernetes' own, whose API server checks it.
/// One in a group of the mesh's own is a slip of the pen; any other may well be a kind that somebody else defines.
fn unknown(document: &Document) -> Option<(Severity, String)> {
    let place = document.source(&yaml::Path::root());
    let field = |name: &str| document.value.get(name).and_then(serde_json::Value::as_str);
    let (Some(api_version), Some(kind)) = (field("apiVersion"), field("kind")) else {
        let text = format!("{place}: this is no object: it needs `apiVersion` and `kind`, both strings");
        return Some((Severity::Error, text));
    };
    match api_version.rsplit_once('/').map_or("", |(group, _)| group) {
        "install.istio.io" => Some((
            Severity::Error,
            format!("{place}: {kind} is for the installation and no object of a cluster: `mesh install -f` takes it"),
        )),
        group if group.ends_with("istio.io") => Some((
            Severity::Error,
            format!("{place}: {api_version} has no kind {kind}: check both for a slip of the pen"),
        )),
        group if KUBERNETES_GROUPS.contains(&group) => None,
        _ => Some((
            Severity::Warning,
            format!("{place}: {kind} of {api_version} is not a kind that mesh knows: it was not checked"),
        )),
    }
}

/// The API groups that Kubernetes itself serves (1.36); the empty one is the core.
const KUBERNETES_GROUPS: [&str; 20] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// `1 error`, `2 errors`.
pub fn count(number: usize, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}
