//! What a request asks for, read from its method, path and query.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use super::failure::{Cause, Failure};

/// What a request does, as authorization and clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One object.
    Get,
    /// A collection.
    List,
    /// A collection's or an object's changes.
    Watch,
    /// A new object.
    Create,
    /// A whole object.
    Update,
    /// Part of an object.
    Patch,
    /// One object.
    Delete,
    /// A collection.
    DeleteCollection,
}

impl Verb {
    /// Its name in Kubernetes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// The place a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// API group; empty for the core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural of the kind.
    pub plural: String,
    /// Namespace; empty for all, and for kinds that have none.
    pub namespace: String,
    /// Name; empty for a collection.
    pub name: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
}

impl Place {
    /// Reads a resource path; `None` for any other path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1).map(decode);
        let (group, version) = match parts.next()?.as_str() {
            "api" => (String::new(), parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let rest: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (namespace, rest) = match rest.as_slice() {
            // Below a namespace, unless that is the namespace's own subresource.
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) => {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let place = |plural: &str, name: &str, subresource: &str| Self {
            group: group.clone(),
            version: version.clone(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        };
        match rest {
            [plural] => Some(place(plural, "", "")),
            [plural, name] => Some(place(plural, name, "")),
            [plural, name, subresource] => Some(place(plural, name, subresource)),
            _ => None,
        }
    }

    /// What the method does there.
    ///
    /// # Errors
    /// The method means nothing there.
    pub fn verb(&self, method: &Method, query: &Query) -> Result<Verb, Failure> {
        let collection = self.name.is_empty();
        Ok(match (method, collection) {
            (&Method::GET | &Method::HEAD, true) if query.flag("watch") => Verb::Watch,
            (&Method::GET | &Method::HEAD, true) => Verb::List,
            (&Method::GET | &Method::HEAD, false) => Verb::Get,
            (&Method::POST, true) => Verb::Create,
            (&Method::POST, false) if !self.subresource.is_empty() => Verb::Create,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) => Verb::Delete,
            (&Method::DELETE, true) => Verb::DeleteCollection,
            _ => return Err(Failure::method_not_allowed()),
        })
    }
}

/// The query's parameters; of a repeated one the first counts, where it is not meant to be repeated.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// Reads the part of a URL after the question mark.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(&value.replace('+', " "));
            parameters.entry(decode(key)).or_insert_with(Vec::new).push(value);
        }
        Self(parameters)
    }

    /// The parameter, if it is there and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// All values of the parameter, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Whether the parameter is `true` or `1`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1" | "t" | "T" | "True" | "TRUE"))
    }

    /// The parameter as a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Failure::bad_request(format!("{name}: {value:?} is not a number of 0 or more")))
            })
            .transpose()
    }

    /// Whether nothing is to be stored.
    ///
    /// # Errors
    /// A value other than `All`.
    pub fn dry_run(&self) -> Result<bool, Failure> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => {
                let cause = Cause::unsupported("dryRun", &serde_json::json!([other]), &["All".to_owned()]);
                Err(Failure::invalid_option(self.options_kind(), cause))
            }
        }
    }

    /// What Kubernetes calls the parameters of a request that has these.
    fn options_kind(&self) -> &'static str {
        if self.get("propagationPolicy").is_some() || self.get("gracePeriodSeconds").is_some() {
            "DeleteOptions"
        } else if self.get("force").is_some() {
            "PatchOptions"
        } else {
            "CreateOptions"
        }
    }
}

/// Undoes percent-encoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_places() {
        for (path, expected) in [
            ("/api/v1/namespaces", ["", "v1", "namespaces", "", "", ""]),
            ("/api/v1/namespaces/a", ["", "v1", "namespaces", "", "a", ""]),
            ("/api/v1/namespaces/a/status", ["", "v1", "namespaces", "", "a", "status"]),
            ("/api/v1/namespaces/a/pods", ["", "v1", "pods", "a", "", ""]),
            ("/api/v1/namespaces/a/pods/b/log", ["", "v1", "pods", "a", "b", "log"]),
            ("/apis/apps/v1/deployments", ["apps", "v1", "deployments", "", "", ""]),
            ("/apis/x.io/v1/things/a%20b", ["x.io", "v1", "things", "", "a b", ""]),
        ] {
            let p = Place::parse(path).unwrap();
            assert_eq!([p.group, p.version, p.plural, p.namespace, p.name, p.subresource], expected, "{path}");
        }
        for path in ["/", "/healthz", "/api", "/api/v1", "/apis/apps/v1", "/apis/a/b/c/d/e/f/g/h"] {
            assert_eq!(Place::parse(path), None, "{path}");
        }
    }

    #[test]
    fn reads_queries() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch=1&limit=x&empty=");
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert!(query.flag("watch"));
        let words = Query::parse("command=sh&command=-c&command=");
        assert_eq!(words.all("command").collect::<Vec<_>>(), ["sh", "-c", ""]);
        assert!(query.number("limit").is_err());
        assert_eq!(query.get("empty"), None);
    }
}
