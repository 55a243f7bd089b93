//! Command lines as Istio's guides have them, in the words that mesh has for the same.
//!
//! What istioctl keeps under `experimental` is no experiment here, and so has no such word before it.

use std::ffi::OsString;

/// Words of istioctl under which experiments are.
const EXPERIMENTAL: [&str; 3] = ["x", "exp", "experimental"];

/// What istioctl calls otherwise: its words, and those of mesh.
const NAMES: [(&[&str], &[&str]); 3] = [
    (&["precheck"], &["check", "--pre"]),
    (&["authz", "check"], &["proxy-config", "policy"]),
    (&["revision", "tag"], &["tag"]),
];

/// The same command line (the program's name first) in mesh's words.
pub fn translate(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_experiment = arguments.get(1).is_some_and(|word| EXPERIMENTAL.iter().any(|known| word == known));
    // Alone it is a word that nobody knows.
    if is_experiment && arguments.len() > 2 {
        arguments.remove(1);
    }
    let given = arguments.get(1..).unwrap_or_default();
    let known = NAMES.iter().find(|(theirs, _)| {
        given.len() >= theirs.len() && given.iter().zip(*theirs).all(|(given, theirs)| given == theirs)
    });
    if let Some((theirs, ours)) = known {
        arguments.splice(1..=theirs.len(), ours.iter().map(OsString::from));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guides_say_is_what_mesh_does() {
        for (theirs, ours) in [
            ("mesh x precheck", "mesh check --pre"),
            ("mesh precheck --context a", "mesh check --pre --context a"),
            ("mesh experimental describe pod web -n shop", "mesh describe pod web -n shop"),
            ("mesh x authz check web.shop", "mesh proxy-config policy web.shop"),
            ("mesh x revision tag list", "mesh tag list"),
            ("mesh tag list", "mesh tag list"),
            ("mesh exec x precheck", "mesh exec x precheck"),
            ("mesh x", "mesh x"),
            ("mesh", "mesh"),
        ] {
            let translated = translate(theirs.split(' ').map(OsString::from).collect());
            assert_eq!(translated.join(" ".as_ref()).to_str(), Some(ours));
        }
    }
}
