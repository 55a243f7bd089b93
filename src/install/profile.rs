//! Profiles, files and assignments, laid over each other until they are settings.
//!
//! Order, later wins: the default profile, the profile that was chosen, files as they were named, assignments as they were
//! written. The profile is chosen by the last who names one.

use serde_json::{Value, json};

use crate::install::Error;
use crate::install::elsewhere;
use crate::install::settings::Settings;
use crate::install::tree::{self, Step};
use crate::resources::field::{Field as _, UNKNOWN_FIELD, decode};
use crate::yaml::{self, Document, Path};

/// A profile: its name, what it is for, and its text.
type Profile = (&'static str, &'static str, &'static str);

macro_rules! profile {
    ($name:literal, $summary:literal) => {
        ($name, $summary, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/", $name, ".yaml")))
    };
}

const DEFAULT: &str = "default";

/// Every profile, the one that others build on first.
const PROFILES: &[Profile] = &[
    profile!("default", "control plane and ingress gateway, sized for production"),
    profile!("demo", "both gateways, every request logged, small: to look around"),
    profile!("minimal", "the control plane and nothing else"),
    profile!("empty", "nothing: a ground to build one's own on"),
    profile!("preview", "the default, with what is meant to become the default"),
    profile!("remote", "a cluster whose control plane runs elsewhere"),
    profile!("stable", "the default; the API server refuses what is not stable"),
    profile!("openshift", "the default, where the cluster chooses users of pods"),
];

/// Profiles of Istio's that ask for what mesh does not do.
const AMBIENT: [&str; 2] = ["ambient", "openshift-ambient"];

/// The profiles' names, and what each is for.
pub fn profiles() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROFILES.iter().map(|(name, summary, _)| (*name, *summary))
}

/// The text of a profile, as it is kept.
///
/// # Errors
/// There is none of that name.
pub fn profile_text(name: &str) -> Result<&'static str, Error> {
    if AMBIENT.contains(&name) {
        return Err(Error::Ambient { name: name.to_owned() });
    }
    PROFILES.iter().find(|(known, ..)| *known == name).map(|(.., text)| *text).ok_or_else(|| {
        let known = profiles().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        Error::Profile { name: name.to_owned(), known }
    })
}

/// One `--set path=value`.
#[derive(Debug, Clone)]
pub struct Assignment {
    text: String,
    path: Vec<Step>,
    value: String,
}

impl std::str::FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("is written PATH=VALUE, such as profile=demo")?;
        let path = path.strip_prefix("spec.").unwrap_or(path);
        let steps = tree::parse(path).map_err(|reason| format!("the path {path:?} {reason}"))?;
        Ok(Self { text: text.to_owned(), path: steps, value: value.to_owned() })
    }
}

impl Assignment {
    /// Says the same as `path=value` on the command line.
    pub fn new(path: &str, value: &str) -> Result<Self, String> {
        format!("{path}={value}").parse()
    }

    fn names_profile(&self) -> bool {
        self.path == [Step::Key("profile".to_owned())]
    }

    /// The value, of the type that the setting has; without a known type, as YAML reads it.
    fn typed(&self) -> Result<Value, Error> {
        let refused = |reason: String| Error::Assignment { text: self.text.clone(), reason };
        let schema = Settings::schema();
        let wanted = self.path.iter().try_fold(&schema, |schema, step| step_into(schema, step));
        let text = self.value.as_str();
        match wanted.and_then(|schema| schema.get("type")).and_then(Value::as_str) {
            Some("string") => Ok(text.into()),
            Some("boolean") => {
                text.parse::<bool>().map(Value::from).map_err(|_| refused("has to be true or false".to_owned()))
            }
            _ => {
                let loaded = yaml::load("--set", text.as_bytes());
                match (loaded.errors.first(), loaded.documents.into_iter().next()) {
                    (Some(error), _) => Err(refused(format!("is no value: {error}"))),
                    (None, Some(document)) => Ok(document.value),
                    (None, None) => Ok(Value::Null),
                }
            }
        }
    }
}

fn step_into<'s>(schema: &'s Value, step: &Step) -> Option<&'s Value> {
    match step {
        Step::Key(key) => {
            schema.get("properties").and_then(|known| known.get(key)).or(schema.get("additionalProperties"))
        }
        Step::Index(_) | Step::Append | Step::Where(..) => schema.get("items"),
    }
}

/// What was said about an installation, in order.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The profile, where it was named on its own.
    pub profile: Option<String>,
    /// Files of kind IstioOperator.
    pub files: Vec<Document>,
    /// Assignments.
    pub set: Vec<Assignment>,
}

impl Layers {
    /// What was said beside the profile, as text: the files' content, and the assignments.
    pub(super) fn said(&self) -> (String, Vec<String>) {
        let files: Vec<Value> = self.files.iter().map(|file| file.value.clone()).collect();
        let set = self.set.iter().filter(|set| !set.names_profile()).map(|set| set.text.clone());
        (yaml::to_string_all(&files), set.collect())
    }

    /// The same, read again; `place` names where it stands.
    pub(super) fn read(place: &str, profile: &str, files: &str, set: &[String]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::File { place: place.to_owned(), reason };
        let loaded = yaml::load(place, files.as_bytes());
        if let Some(error) = loaded.errors.first() {
            return Err(wrong(error.to_string()));
        }
        let set = set
            .iter()
            .map(|text| text.parse::<Assignment>().map_err(|reason| wrong(format!("--set {text}: {reason}"))));
        let profile = Some(profile.to_owned()).filter(|name| !name.is_empty());
        Ok(Self { profile, files: loaded.documents, set: set.collect::<Result<_, _>>()? })
    }

    /// These, and what is said later over them.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        if let Some(name) = later.named() {
            self.profile = Some(name.to_owned());
            self.set.retain(|set| !set.names_profile());
        }
        self.files.extend(later.files);
        self.set.extend(later.set);
        self
    }

    /// The name of the profile that is chosen.
    pub fn profile(&self) -> &str {
        self.named().unwrap_or(DEFAULT)
    }

    /// The name of the profile, where one was named.
    fn named(&self) -> Option<&str> {
        let assigned = self.set.iter().rev().find(|set| set.names_profile());
        let from_file = || self.files.iter().rev().find_map(|file| file.value.pointer("/spec/profile")?.as_str());
        assigned.map(|set| set.value.as_str()).or(self.profile.as_deref()).or_else(from_file)
    }

    /// The settings that all of it amounts to.
    ///
    /// # Errors
    /// A profile that does not exist, a file that is no IstioOperator, a setting that does not exist or has the wrong type.
    pub fn settings(&self) -> Result<Settings, Error> {
        decode(&self.tree()?).map_err(|findings| self.refused(&findings))
    }

    /// All of it as one tree, before it is checked.
    pub fn tree(&self) -> Result<Value, Error> {
        let by_name = |key: &str| matches!(key, "ingressGateways" | "egressGateways");
        let mut tree = json!({});
        let chosen = self.profile();
        for name in [DEFAULT, chosen] {
            let text = profile_text(name)?;
            let loaded = yaml::load(name, text.as_bytes());
            for document in loaded.documents {
                tree::overlay(&mut tree, document.value.get("spec").unwrap_or(&Value::Null), &by_name);
            }
        }
        for file in &self.files {
            if let Some(spec) = operator_spec(file)? {
                let mut spec = spec.clone();
                open_sections(&mut spec, &Settings::schema());
                tree::overlay(&mut tree, &spec, &by_name);
            }
        }
        for set in &self.set {
            tree::set(&mut tree, &set.path, set.typed()?)
                .map_err(|reason| Error::Assignment { text: set.text.clone(), reason })?;
        }
        tree::set(&mut tree, &[Step::Key("profile".to_owned())], chosen.into())
            .map_err(|reason| Error::Assignment { text: "profile".to_owned(), reason })?;
        Ok(tree)
    }

    /// Every fault, with its place where it came from a file.
    fn refused(&self, findings: &crate::resources::Findings) -> Error {
        let spec = Path::root().key("spec");
        let lines = findings.errors.iter().map(|finding| {
            let inside: Path = spec.segments().iter().chain(finding.path.segments()).cloned().collect();
            let mut finding = finding.clone();
            if let (true, Some(instead)) =
                (finding.message.starts_with(UNKNOWN_FIELD), elsewhere::instead_of(&finding.path.to_string()))
            {
                finding.message = format!("is a setting of Istio's that mesh does not have: {instead}");
            }
            let place = self.files.iter().rev().find(|file| file.locate(&inside).is_some());
            match place {
                Some(file) => format!("{}: {finding}", file.source(&inside)),
                None => finding.to_string(),
            }
        });
        Error::Settings(lines.collect())
    }
}

/// A section with nothing in it says nothing: `values:` alone does not take the values away.
fn open_sections(value: &mut Value, schema: &Value) {
    let (Value::Object(fields), Some(known)) = (value, schema.get("properties")) else { return };
    fields.retain(|field, value| {
        !(value.is_null() && known.get(field).is_some_and(|field| field.get("properties").is_some()))
    });
    for (field, value) in fields {
        if let Some(schema) = known.get(field) {
            open_sections(value, schema);
        }
    }
}

fn operator_spec(file: &Document) -> Result<Option<&Value>, Error> {
    let refused =
        |field: &str, reason: String| Error::File { place: file.source(&Path::root().key(field)).to_string(), reason };
    let kind = file.value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let group = file.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if kind != "IstioOperator" || !group.starts_with("install.istio.io/") {
        return Err(refused(
            "kind",
            format!("settings are an IstioOperator of install.istio.io/v1alpha1, and this is {kind:?} of {group:?}"),
        ));
    }
    match file.value.get("spec") {
        None | Some(Value::Null) => Ok(None),
        Some(spec @ Value::Object(_)) => Ok(Some(spec)),
        Some(_) => Err(refused("spec", "has to be a mapping".to_owned())),
    }
}
