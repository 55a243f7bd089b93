//! Command lines as Istio's guides have them, in the words that mesh has for the same.
//!
//! What istioctl keeps under `experimental` is no experiment here, and so has no such word before it. What mesh does not have is
//! refused in one sentence that names what to use: no word of istioctl's, past or present, is merely unknown.

use std::ffi::OsString;

/// Words of istioctl under which experiments are.
const EXPERIMENTAL: [&str; 3] = ["x", "exp", "experimental"];

/// What istioctl calls otherwise: its words, and those of mesh.
const NAMES: &[(&[&str], &[&str])] = &[
    (&["precheck"], &["check", "--pre"]),
    (&["preinstall"], &["check", "--pre"]),
    (&["authz", "check"], &["proxy-config", "policy"]),
    (&["authz", "c"], &["proxy-config", "policy"]),
    (&["revision", "tag"], &["tag"]),
    (&["revision", "list"], &["version"]),
    (&["revision", "describe"], &["version"]),
    (&["v"], &["validate"]),
    (&["manifest", "install"], &["install"]),
    (&["manifest", "apply"], &["install"]),
    (&["manifest", "profile"], &["profile"]),
    (&["pc", "eds"], &["proxy-config", "endpoint"]),
    (&["proxy-config", "eds"], &["proxy-config", "endpoint"]),
    (&["dashboard", "istiod-debug"], &["proxy-status", "--wide"]),
    (&["dash"], &["dashboard"]),
    (&["d"], &["dashboard"]),
    (&["options"], &["--help"]),
];

/// What istioctl's options of some commands are called here; what is always so needs no word.
const OPTIONS: &[(&[&str], &str, &[&str])] = &[
    (&["version"], "--remote", &[]),
    (&["version"], "--remote=true", &[]),
    (&["version"], "--remote=false", &["--client"]),
    (&["version"], "--short=true", &[]),
    (&["version"], "--short=false", &[]),
    (&["install", "upgrade"], "--verify", &[]),
    (&["proxy-config", "pc"], "--verbose", &[]),
    (&["proxy-config", "pc"], "--verbose=true", &[]),
    (&["proxy-config", "pc"], "--verbose=false", &[]),
];

/// Commands of istioctl's that ask a cluster: `-c` is their kubeconfig.
const ASK: &[&str] = &[
    "analyze",
    "bug-report",
    "check",
    "check-inject",
    "describe",
    "des",
    "install",
    "kube-inject",
    "manifest",
    "proxy-config",
    "pc",
    "proxy-status",
    "ps",
    "tag",
    "uninstall",
    "upgrade",
    "verify-install",
    "version",
    "wait",
];

/// What mesh does not have: istioctl's words, and what to use.
const REFUSED: &[(&[&str], &str)] = &[
    (&["admin"], CONTROL_PLANE_LOG),
    (&["istiod"], CONTROL_PLANE_LOG),
    (&["authz"], "`mesh proxy-config policy POD` shows what a workload demands of its callers"),
    (&["create-remote-secret"], ONE_CLUSTER),
    (&["remote-clusters"], ONE_CLUSTER),
    (
        &["manifest", "translate"],
        "there is no Helm chart to translate to: `mesh manifest generate` prints the manifests",
    ),
    (&["manifest", "migrate"], "`mesh install -f FILE` takes the file as it is"),
    (&["operator"], "there is no operator: `mesh install -f FILE` takes the IstioOperator that it was given"),
    (&["profile", "apply"], "`mesh install --profile NAME` installs a profile"),
    (&["proxy-config", "bootstrap"], BOOTSTRAP),
    (&["proxy-config", "b"], BOOTSTRAP),
    (&["pc", "bootstrap"], BOOTSTRAP),
    (&["pc", "b"], BOOTSTRAP),
    (&["proxy-config", "ecds"], EXTENSIONS),
    (&["proxy-config", "ec"], EXTENSIONS),
    (&["pc", "ecds"], EXTENSIONS),
    (&["pc", "ec"], EXTENSIONS),
    (&["proxy-config", "rootca-compare"], ROOTS),
    (&["proxy-config", "rc"], ROOTS),
    (&["pc", "rootca-compare"], ROOTS),
    (&["pc", "rc"], ROOTS),
    (&["waypoint"], AMBIENT),
    (&["ztunnel-config"], AMBIENT),
    (&["zc"], AMBIENT),
    (&["config"], "mesh reads no configuration file of its own: options are named on the command line"),
    (&["envoy-stats"], STATISTICS),
    (&["es"], STATISTICS),
    (
        &["metrics"],
        "`mesh status` shows the built-in runtime's traffic; in a cluster, Prometheus has the same metrics as Istio's",
    ),
    (
        &["m"],
        "`mesh status` shows the built-in runtime's traffic; in a cluster, Prometheus has the same metrics as Istio's",
    ),
    (
        &["injector"],
        "`mesh label-namespace NAMESPACE --dry-run` shows who injects, and `mesh check-inject POD` what decides",
    ),
    (&["internal-debug"], "`mesh proxy-status -o json` shows what the control plane knows of its proxies"),
    (
        &["workload"],
        "apply a WorkloadGroup or WorkloadEntry with `mesh apply -f FILE`; proxies of machines are not set up yet",
    ),
    (&["register"], "apply a ServiceEntry and WorkloadEntry with `mesh apply -f FILE`"),
    (&["deregister"], "`mesh delete workloadentry NAME` takes an address away"),
    (&["add-to-mesh"], "`mesh label-namespace NAMESPACE --restart` gives the pods of a namespace sidecars"),
    (&["remove-from-mesh"], "`mesh label-namespace NAMESPACE --disable --restart` takes sidecars away"),
    (&["kube-uninject"], "apply the file as it was before `mesh kube-inject`: it changes no file"),
    (&["revision"], "`mesh version` shows the revisions, `mesh tag list` their names"),
    (&["collateral"], "`mesh completion SHELL` prints completions, `mesh COMMAND --help` the documentation"),
    (&["dump"], "`mesh bug-report` writes an archive of everything"),
];

/// What istioctl asks a control plane for, and where it is here.
pub const CONTROL_PLANE_LOG: &str = "`mesh logs deploy/istiod -n istio-system` prints the control plane's log; how much it says is set where it starts, by RUST_LOG";
const ONE_CLUSTER: &str = "a mesh spans one cluster: there are no remote clusters to name or list";
const BOOTSTRAP: &str =
    "a proxy of mesh has no bootstrap configuration: `mesh proxy-config all POD` shows everything that it holds";
const EXTENSIONS: &str =
    "proxies of mesh load no extensions: `mesh proxy-config all POD` shows everything that they hold";
const ROOTS: &str = "`mesh proxy-config secret POD` shows the roots that a proxy trusts, by serial number";
const AMBIENT: &str =
    "there is no ambient mode: a sidecar does what a waypoint and a ztunnel would, and `mesh proxy-config` shows it";
const STATISTICS: &str = "`kubectl port-forward POD 15090` leads to what a proxy counts, at /stats/prometheus";

/// Options of istioctl's that no command here has, and what to use.
const REFUSED_OPTIONS: &[(&[&str], &str)] = &[
    (&["--as", "--as-uid", "--as-group"], "nobody is impersonated: name a context of the user with --context"),
    (
        &["--xds-address", "--xds-port", "--xds-label", "--authority", "--cert-dir", "--insecure", "--plaintext"],
        "the control plane is asked through the API server: name a cluster with --context or --kubeconfig",
    ),
    (&["--kubeclient-timeout"], "an API server that does not answer is given up within seconds"),
    (&["--vklog", "--log_output_level", "--log_target", "--log_as_json"], "mesh says everything that it has to say"),
    (&["--manifests", "-d"], "manifests are built in: --set and -f change what is installed"),
    (&["--charts"], "manifests are built in: --set and -f change what is installed"),
    (&["--verbosity", "-v"], "--wide shows more"),
];

/// The same command line (the program's name first) in mesh's words.
pub fn translate(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(is_experimental) {
        arguments.remove(1);
        if arguments.len() == 1 {
            arguments.push("--help".into());
        }
    }
    let given = arguments.get(1..).unwrap_or_default();
    if let Some((theirs, ours)) = NAMES.iter().find(|(theirs, _)| begins(given, theirs)) {
        arguments.splice(1..=theirs.len(), ours.iter().map(OsString::from));
    }
    let Some(command) = arguments.get(1).and_then(|word| word.to_str()).map(str::to_owned) else { return arguments };
    let mut translated: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut ended = false;
    for argument in arguments {
        ended |= argument == "--";
        let known = OPTIONS
            .iter()
            .find(|(commands, theirs, _)| !ended && commands.contains(&command.as_str()) && argument == *theirs);
        match known {
            Some((.., ours)) => translated.extend(ours.iter().map(OsString::from)),
            None if !ended && argument == "-c" && ASK.contains(&command.as_str()) => {
                translated.push("--kubeconfig".into());
            }
            None => translated.push(argument),
        }
    }
    translated
}

/// What to use instead of a command line that mesh does not understand, where istioctl does.
pub fn instead(arguments: &[OsString]) -> Option<&'static str> {
    let given = arguments.get(1..).unwrap_or_default();
    let words = match given.first().is_some_and(is_experimental) {
        true => given.get(1..).unwrap_or_default(),
        false => given,
    };
    let refused = REFUSED.iter().find(|(theirs, _)| begins(words, theirs));
    refused.map(|(_, instead)| *instead).or_else(|| {
        let names = |argument: &OsString| {
            let text = argument.to_str()?;
            let name = text.split_once('=').map_or(text, |(name, _)| name);
            REFUSED_OPTIONS.iter().find(|(theirs, _)| theirs.contains(&name))
        };
        words.iter().take_while(|argument| *argument != "--").find_map(names).map(|(_, instead)| *instead)
    })
}

fn is_experimental(word: &OsString) -> bool {
    EXPERIMENTAL.iter().any(|known| word == known)
}

fn begins(given: &[OsString], words: &[&str]) -> bool {
    given.len() >= words.len() && given.iter().zip(words).all(|(given, word)| given == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

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
            ("mesh v -f a.yaml", "mesh validate -f a.yaml"),
            ("mesh manifest apply -f a.yaml -y", "mesh install -f a.yaml -y"),
            ("mesh version --short=false --remote=false", "mesh version --client"),
            ("mesh ps -c other.conf", "mesh ps --kubeconfig other.conf"),
            ("mesh exec web -c app -- curl -c jar http://a", "mesh exec web -c app -- curl -c jar http://a"),
            ("mesh pc eds web", "mesh proxy-config endpoint web"),
            ("mesh dash kiali", "mesh dashboard kiali"),
            ("mesh x", "mesh --help"),
            ("mesh", "mesh"),
        ] {
            let translated = translate(line(theirs));
            assert_eq!(translated.join(" ".as_ref()).to_str(), Some(ours));
        }
    }

    #[test]
    fn what_mesh_does_not_have_names_what_to_use() {
        for (theirs, named) in [
            ("mesh waypoint apply", "sidecar"),
            ("mesh x zc all", "sidecar"),
            ("mesh pc bootstrap web", "proxy-config all"),
            ("mesh ps --xds-address a:1", "--context"),
            ("mesh ps --as=admin", "--context"),
            ("mesh admin log", "mesh logs"),
        ] {
            assert!(instead(&line(theirs)).is_some_and(|instead| instead.contains(named)), "{theirs}");
        }
        assert_eq!(instead(&line("mesh nonsense")), None);
        assert_eq!(instead(&line("mesh exec web -- run --as root")), None);
    }

    #[test]
    fn no_word_of_the_tables_hides_one_of_mesh() {
        let own = crate::cli::definition();
        let has = |words: &[&str]| words.iter().try_fold(&own, |command, word| command.find_subcommand(word)).is_some();
        for (theirs, _) in REFUSED {
            assert!(!has(theirs), "{theirs:?} is refused and there is such a command");
        }
        for (theirs, ours) in NAMES {
            assert!(!has(theirs), "{theirs:?}");
            let command: Vec<&str> = ours.iter().copied().filter(|word| !word.starts_with('-')).collect();
            assert!(has(&command), "{ours:?}");
        }
        for command in ASK {
            let command = own.find_subcommand(command).unwrap_or_else(|| panic!("{command}"));
            assert!(command.get_arguments().all(|argument| argument.get_short() != Some('c')), "{command}");
        }
    }
}
