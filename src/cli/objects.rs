//! Words on the command line that mean objects: `vs reviews`, `deploy/web`, `virtualservice web.shop`.

use crate::cli::error::{CliError, CliResult, Kind};
use crate::kube::{self, Connection, ObjectRef};
use crate::resources::kinds::{self, Scope};

/// The kind that a word means.
pub fn kind(word: &str) -> CliResult<&'static kinds::Kind> {
    kinds::by_name(word).ok_or_else(|| {
        CliError::message(Kind::Usage, format!("{word:?} is no kind that mesh has a name for"))
            .hint("kinds are named as kubectl names them: vs, virtualservice, virtualservices.networking.istio.io")
    })
}

/// The object of a kind that a name means; without a namespace of its own, in `namespace`.
pub fn named(kind: &kinds::Kind, name: &str, namespace: Option<&str>) -> ObjectRef {
    ObjectRef {
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        namespace: namespace.filter(|_| kind.scope == Scope::Namespaced).map(str::to_owned),
        name: name.to_owned(),
    }
}

/// The object itself, or the one of istioctl's `NAME.NAMESPACE`: a name may hold dots, so the namespace is split off only where
/// nothing is called so.
pub async fn located(connection: &Connection, object: ObjectRef) -> CliResult<ObjectRef> {
    let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
    let is_namespaced = kinds::find(group, &object.kind).is_some_and(|kind| kind.scope == Scope::Namespaced);
    let split = object.name.rsplit_once('.').filter(|_| is_namespaced);
    let Some((name, namespace)) = split.map(|(name, namespace)| (name.to_owned(), namespace.to_owned())) else {
        return Ok(object);
    };
    match kube::get(connection, &object).await {
        Ok(None) => Ok(ObjectRef { name, namespace: Some(namespace), ..object }),
        // Who may not read it learns that from the next question.
        Ok(Some(_)) | Err(kube::Error::Forbidden { .. }) => Ok(object),
        Err(error) => Err(error.into()),
    }
}

/// The objects that words mean: `KIND NAME…`, or `KIND/NAME…`.
pub fn objects(words: &[String], namespace: Option<&str>) -> CliResult<Vec<ObjectRef>> {
    let usage = |message: String| CliError::message(Kind::Usage, message);
    if words.iter().any(|word| word.contains('/')) {
        let each = words.iter().map(|word| {
            let (kind_word, name) = word.split_once('/').ok_or_else(|| usage(format!("{word:?} is not KIND/NAME")))?;
            Ok(named(kind(kind_word)?, name, namespace))
        });
        return each.collect();
    }
    match words.split_first() {
        Some((word, names)) if !names.is_empty() => {
            let kind = kind(word)?;
            Ok(names.iter().map(|name| named(kind, name, namespace)).collect())
        }
        _ => Err(usage("name a kind and a name: `vs reviews`, or `vs/reviews`".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_objects_as_kubectl_reads_them() {
        let shown = |words: &[&str]| -> Result<Vec<String>, u8> {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let found = objects(&words, Some("shop")).map_err(|error| error.kind.exit_code())?;
            Ok(found.iter().map(ToString::to_string).collect())
        };
        assert_eq!(shown(&["vs", "a", "b"]).unwrap(), ["VirtualService shop/a", "VirtualService shop/b"]);
        assert_eq!(shown(&["deploy/web", "ns/x"]).unwrap(), ["Deployment shop/web", "Namespace x"]);
        for wrong in [&["vs"][..], &[], &["nonsense", "a"], &["vs/a", "b"]] {
            assert_eq!(shown(wrong), Err(64), "{wrong:?}");
        }
    }
}
