//! What is served: the built-in kinds and those that CustomResourceDefinitions define.
//!
//! A registry is a snapshot. It is replaced as a whole when a definition changes, so that a request sees one state of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::columns::string;
use super::failure::{About, Cause};
use super::kinds::{BUILTINS, Builtin};
use super::schema::Schema;

/// One served version of a kind.
#[derive(Debug)]
pub struct Version {
    /// Its name, for example `v1beta1`.
    pub name: String,
    /// Whether requests for it are answered.
    pub served: bool,
    /// What objects look like in it; none for built-in kinds.
    pub schema: Option<Arc<Schema>>,
    /// Has `/status`.
    pub status: bool,
    /// Has `/scale`.
    pub scale: Option<Scale>,
    /// Columns beside name and (where none are defined) age.
    pub columns: Vec<CustomColumn>,
    /// Said to every user of this version.
    pub deprecation: Option<String>,
}

/// Where a custom kind keeps what `/scale` shows, as JSON pointers.
#[derive(Debug)]
pub struct Scale {
    /// Wanted replicas.
    pub spec: String,
    /// Observed replicas.
    pub status: String,
    /// Selector in its text form, where there is one.
    pub selector: Option<String>,
}

/// A printer column of a definition.
#[derive(Debug)]
pub struct CustomColumn {
    /// Title.
    pub name: String,
    /// OpenAPI type.
    pub kind: String,
    /// OpenAPI format.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 is always shown.
    pub priority: i64,
    /// A JSON path of the simple kind.
    pub path: String,
}

/// One kind.
pub struct Resource {
    /// `plural.group`: its name in the store.
    pub key: Arc<str>,
    /// API group; empty for the core.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Kind of its lists.
    pub list_kind: String,
    /// Plural, as in paths.
    pub plural: String,
    /// Singular.
    pub singular: String,
    /// Short names.
    pub short: Vec<String>,
    /// kubectl's categories.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Its versions, the preferred one first.
    pub versions: Vec<Version>,
    /// The row of the table, for built-in kinds.
    pub builtin: Option<&'static Builtin>,
}

impl Resource {
    /// `group/version`, or `version` for the core.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The version of that name, if it is served.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.served && version.name == name)
    }

    /// What a refusal is about.
    #[must_use]
    pub fn about(&self, name: &str) -> About {
        About::new(&self.group, &self.plural, name)
    }

    fn builtin(builtin: &'static Builtin) -> Self {
        let owned = |all: &[&str]| all.iter().map(|&s| s.to_owned()).collect();
        Self {
            key: Arc::from(format!("{}.{}", builtin.plural, builtin.group)),
            group: builtin.group.to_owned(),
            kind: builtin.kind.to_owned(),
            list_kind: format!("{}List", builtin.kind),
            plural: builtin.plural.to_owned(),
            singular: builtin.singular.to_owned(),
            short: owned(builtin.short),
            categories: owned(builtin.categories),
            namespaced: builtin.namespaced,
            versions: vec![Version {
                name: builtin.version.to_owned(),
                served: true,
                schema: None,
                status: builtin.status,
                scale: builtin.scale.then(|| Scale {
                    spec: "/spec/replicas".to_owned(),
                    status: "/status/replicas".to_owned(),
                    selector: None,
                }),
                columns: Vec::new(),
                deprecation: builtin.deprecation.map(str::to_owned),
            }],
            builtin: Some(builtin),
        }
    }

    /// Reads a CustomResourceDefinition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn custom(definition: &Value) -> Result<Self, Vec<Cause>> {
        let mut causes = Vec::new();
        let text = |path: &str| string(definition, path).to_owned();
        let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
        let kind = text("/spec/names/kind");
        for (field, value) in [("spec.group", &group), ("spec.names.plural", &plural), ("spec.names.kind", &kind)] {
            if value.is_empty() {
                causes.push(Cause::required(field, ""));
            }
        }
        let name = string(definition, "/metadata/name");
        if name != format!("{plural}.{group}") {
            causes.push(Cause::invalid("metadata.name", &name.into(), "must be spec.names.plural+\".\"+spec.group"));
        }
        if BUILTINS.iter().any(|builtin| builtin.group == group) {
            causes.push(Cause::invalid("spec.group", &group.as_str().into(), "this group is built in"));
        }
        let scope = string(definition, "/spec/scope");
        if !matches!(scope, "Namespaced" | "Cluster") {
            let supported = ["Cluster".to_owned(), "Namespaced".to_owned()];
            causes.push(Cause::unsupported("spec.scope", &scope.into(), &supported));
        }
        let conversion = string(definition, "/spec/conversion/strategy");
        if !matches!(conversion, "" | "None") {
            let supported = ["None".to_owned()];
            causes.push(Cause::unsupported("spec.conversion.strategy", &conversion.into(), &supported));
        }
        let (versions, storage) = versions(definition, &mut causes);
        if storage != 1 {
            causes.push(Cause::invalid(
                "spec.versions",
                &storage.into(),
                "must have exactly one version marked as storage version",
            ));
        }
        if !causes.is_empty() {
            return Err(causes);
        }
        let or = |text: String, other: String| if text.is_empty() { other } else { text };
        Ok(Self {
            key: Arc::from(format!("{plural}.{group}")),
            list_kind: or(text("/spec/names/listKind"), format!("{kind}List")),
            singular: or(text("/spec/names/singular"), kind.to_lowercase()),
            short: texts(definition.pointer("/spec/names/shortNames")),
            categories: texts(definition.pointer("/spec/names/categories")),
            namespaced: scope == "Namespaced",
            group,
            kind,
            plural,
            versions,
            builtin: None,
        })
    }
}

fn versions(definition: &Value, causes: &mut Vec<Cause>) -> (Vec<Version>, usize) {
    let mut versions = Vec::new();
    let mut storage = 0;
    let given = definition.pointer("/spec/versions").and_then(Value::as_array);
    for (index, version) in given.into_iter().flatten().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = string(version, "/name").to_owned();
        if name.is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        let Some(schema) = version.pointer("/schema/openAPIV3Schema") else {
            causes.push(Cause::required(format!("{path}.schema.openAPIV3Schema"), "schemas are required"));
            continue;
        };
        let schema = match Schema::parse(schema, &format!("{path}.schema.openAPIV3Schema")) {
            Ok(schema) => schema,
            Err(wrong) => {
                causes.extend(wrong.into_iter().map(|(path, why)| Cause::invalid(path, &Value::Null, why)));
                continue;
            }
        };
        storage += usize::from(version["storage"] == true);
        let deprecation = (version["deprecated"] == true).then(|| {
            let own = string(version, "/deprecationWarning");
            if own.is_empty() {
                let group = string(definition, "/spec/group");
                let kind = string(definition, "/spec/names/kind");
                format!("{group}/{name} {kind} is deprecated")
            } else {
                own.to_owned()
            }
        });
        let pointer = |path: &str| string(version, path).replace('.', "/");
        versions.push(Version {
            served: version["served"] == true,
            schema: Some(Arc::new(schema)),
            status: version.pointer("/subresources/status").is_some(),
            scale: version.pointer("/subresources/scale").map(|scale| Scale {
                spec: pointer("/subresources/scale/specReplicasPath"),
                status: pointer("/subresources/scale/statusReplicasPath"),
                selector: scale.get("labelSelectorPath").and_then(Value::as_str).map(|path| path.replace('.', "/")),
            }),
            columns: columns(version),
            deprecation,
            name,
        });
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version_rank(&version.name)));
    (versions, storage)
}

fn columns(version: &Value) -> Vec<CustomColumn> {
    let given = version.get("additionalPrinterColumns").and_then(Value::as_array);
    given
        .into_iter()
        .flatten()
        .map(|column| CustomColumn {
            name: string(column, "/name").to_owned(),
            kind: string(column, "/type").to_owned(),
            format: string(column, "/format").to_owned(),
            description: string(column, "/description").to_owned(),
            priority: column["priority"].as_i64().unwrap_or_default(),
            path: string(column, "/jsonPath").to_owned(),
        })
        .collect()
}

/// Orders versions as Kubernetes prefers them: stable before beta before alpha, newer before older.
fn version_rank(name: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(name.to_owned()));
    let Some(rest) = name.strip_prefix('v') else {
        return other;
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let Ok(major) = major.parse() else {
        return other;
    };
    let (stage, minor) = match rest {
        "" => (3, "0"),
        rest if rest.starts_with("beta") => (2, rest.trim_start_matches("beta")),
        rest if rest.starts_with("alpha") => (1, rest.trim_start_matches("alpha")),
        _ => return other,
    };
    match minor.parse() {
        Ok(minor) => (stage, major, minor, std::cmp::Reverse(String::new())),
        Err(_) => other,
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// All kinds, by group and plural.
#[derive(Clone)]
pub struct Registry {
    resources: BTreeMap<(String, String), Arc<Resource>>,
}

impl Registry {
    /// The built-in kinds.
    #[must_use]
    pub fn builtin() -> Self {
        let resources = BUILTINS
            .iter()
            .map(Resource::builtin)
            .map(|resource| {
                let place = (resource.group.clone(), resource.plural.clone());
                (place, Arc::new(resource))
            })
            .collect();
        Self { resources }
    }

    /// Adds or replaces a kind.
    pub fn insert(&mut self, resource: Resource) {
        let place = (resource.group.clone(), resource.plural.clone());
        self.resources.insert(place, Arc::new(resource));
    }

    /// Takes a kind away.
    pub fn remove(&mut self, group: &str, plural: &str) {
        self.resources.remove(&(group.to_owned(), plural.to_owned()));
    }

    /// The kind of that group and plural.
    #[must_use]
    pub fn get(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.to_owned(), plural.to_owned()))
    }

    /// All kinds, ordered by group and plural.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }
}
