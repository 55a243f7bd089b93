//! `mesh check`: whether a cluster can hold a mesh, and whether the one there does what it is for; each failure with its remedy.

mod health;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::count;
use crate::cli::planes::{self, Where};
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Tone, Ui};
use crate::inject::{self, DEFAULT_REVISION, Standing};
use crate::install::{self, Platform, Verdict};
use crate::kube::{self, Connection, ObjectRef, Selection};

/// The oldest Kubernetes whose native sidecars the mesh relies on (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>).
const OLDEST: (u32, u32) = (1, 29);

/// What an installer has to be permitted to create.
const NEEDED: [(&str, &str); 9] = [
    ("", "namespaces"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("", "services"),
    ("", "configmaps"),
    ("apps", "deployments"),
];

/// Check a cluster and the mesh in it
///
/// Every failure comes with what to do about it. Exits with 1 where there is one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh check --pre
  mesh check
  mesh check -o json")]
pub struct Args {
    /// Only whether a mesh can be installed
    #[arg(long)]
    pre: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Good,
    Warning,
    Failure,
}

#[derive(Debug, Serialize)]
struct Finding {
    section: &'static str,
    outcome: Outcome,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Findings, in the order in which they were made.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, section: &'static str, what: impl Into<String>) {
        self.add(section, Outcome::Good, what, None);
    }

    fn warning(&mut self, section: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(section, Outcome::Warning, what, Some(remedy.into()));
    }

    fn failure(&mut self, section: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(section, Outcome::Failure, what, Some(remedy.into()));
    }

    /// Takes in how a section of questions ended: what could not be asked is a finding, not the end of the others.
    fn unanswered(&mut self, section: &'static str, asked: CliResult) {
        let Err(error) = asked else { return };
        let hints = error.hints().join("; ");
        // Most sentences say themselves what to do, behind the semicolon.
        let said = error.to_string();
        match (hints.is_empty(), said.rsplit_once("; ")) {
            (true, Some((what, remedy))) => self.failure(section, what, remedy),
            (true, None) => self.failure(section, said, "ask whoever runs the cluster"),
            (false, _) => self.failure(section, said, hints),
        }
    }

    fn add(&mut self, section: &'static str, outcome: Outcome, what: impl Into<String>, remedy: Option<String>) {
        self.0.push(Finding { section, outcome, what: what.into(), remedy });
    }
}

/// Checks.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let findings = block_on(async {
        let connection = args.target.connect(ui).await?;
        let mut findings = Findings::default();
        let program = ui.program();
        let built_in = cluster(&connection, program, &mut findings).await?;
        if !built_in {
            let clocks = health::clocks(&connection, &mut findings).await;
            findings.unanswered("cluster", clocks);
        }
        if args.pre {
            let permissions = permissions(&connection, built_in, &mut findings).await;
            findings.unanswered("permissions", permissions);
            return Ok(findings.0);
        }
        let revisions = install::installed_revisions(&connection).await.map_err(CliError::from);
        let mesh = match &revisions {
            Ok(revisions) => mesh(&connection, &args.place, revisions, program, built_in, &mut findings).await,
            Err(_) => Ok(()),
        };
        findings.unanswered("mesh", mesh);
        let known: Vec<String> = revisions.iter().flatten().map(|(name, ..)| name.clone()).collect();
        findings.unanswered("mesh", revisions.map(|_| ()));
        let pods = pods(&connection, known, program, built_in, &mut findings).await;
        findings.unanswered("pods", pods);
        configuration(&connection, &args.place, program, &mut findings).await;
        Ok(findings.0)
    })?;
    if args.output == Format::Table {
        show(ui, &findings);
    } else {
        ui.structured(args.output, &findings)?;
    }
    let failures = findings.iter().filter(|finding| finding.outcome == Outcome::Failure).count();
    if failures == 0 {
        return Ok(());
    }
    Err(CliError::message(Kind::Failed, format!("{} of {} failed", failures, count(findings.len(), "check"))))
}

async fn cluster(connection: &Connection, program: &str, findings: &mut Findings) -> CliResult<bool> {
    let version = kube::server_version(connection).await?;
    findings.good("cluster", format!("{connection} answers"));
    let parts: Vec<u32> = version
        .version
        .trim_start_matches('v')
        .split('.')
        .map_while(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok())
        .collect();
    match parts.as_slice() {
        [major, minor, ..] if (*major, *minor) < OLDEST => findings.failure(
            "cluster",
            format!("Kubernetes {} has no native sidecars", version.version),
            format!("upgrade the cluster to {}.{} or newer", OLDEST.0, OLDEST.1),
        ),
        [_, _, ..] => findings.good("cluster", format!("Kubernetes {} has what the mesh needs", version.version)),
        _ => findings.warning(
            "cluster",
            format!("the server says that its version is {:?}", version.version),
            format!("make sure that it is Kubernetes {}.{} or newer; `{program} check` can't tell", OLDEST.0, OLDEST.1),
        ),
    }
    Ok(version.built_in)
}

async fn permissions(connection: &Connection, built_in: bool, findings: &mut Findings) -> CliResult {
    use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;

    let reviews: ::kube::Api<SelfSubjectAccessReview> = ::kube::Api::all(connection.client.clone());
    let mut missing = Vec::new();
    for (group, resource) in NEEDED {
        let question = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
            "spec": {"resourceAttributes": {"group": group, "resource": resource, "verb": "create"}}});
        let question: SelfSubjectAccessReview =
            serde_json::from_value(question).map_err(|error| CliError::new(Kind::Failed, error))?;
        let answer = reviews.create(&::kube::api::PostParams::default(), &question).await;
        let answer = answer.map_err(|error| CliError::new(Kind::Unavailable, error))?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(resource);
        }
    }
    if missing.is_empty() {
        findings.good("permissions", "you may create everything that a mesh consists of");
    } else {
        let what = format!("you may not create {}", missing.join(", "));
        findings.failure("permissions", what, "ask for these rights, or use a context that has them");
    }
    if built_in {
        return Ok(());
    }
    let there =
        kube::list(connection, "apps/v1", "Deployment", Selection { namespace: None, labels: "app=istiod" }).await?;
    let foreign: Vec<String> = there
        .iter()
        .filter(|object| object.pointer("/metadata/labels/app.kubernetes.io~1managed-by") != Some(&json!("mesh")))
        .filter_map(|object| ObjectRef::of(object).ok().map(|object| object.to_string()))
        .collect();
    if foreign.is_empty() {
        findings.good("cluster", "no other Istio is there");
    } else {
        let what = format!("there is an Istio that mesh did not install: {}", foreign.join(", "));
        findings.warning(
            "cluster",
            what,
            "install beside it with --revision NAME, or take it over with --replace-istio",
        );
    }
    Ok(())
}

async fn mesh(
    connection: &Connection,
    place: &Where,
    revisions: &[(String, String, String)],
    program: &str,
    built_in: bool,
    findings: &mut Findings,
) -> CliResult {
    if revisions.is_empty() {
        match built_in {
            true => findings.good("mesh", "the built-in runtime brings its own control plane"),
            false => findings.failure("mesh", "no mesh is installed", format!("`{program} install` installs one")),
        }
    }
    if !built_in && !revisions.is_empty() {
        health::definitions(connection, program, findings).await?;
    }
    let platform = if built_in { Platform::Runtime } else { Platform::Kubernetes };
    for (revision, version, profile) in revisions {
        if version != install::VERSION {
            findings.warning(
                "mesh",
                format!("revision {revision} is at {version}, and this program is {}", install::VERSION),
                format!(
                    "`{program} upgrade --profile {profile}` brings it here, with the settings it was installed with"
                ),
            );
        }
        let verdicts = install::verify(connection, revision, platform).await?;
        let total = verdicts.len();
        let mut bad = 0;
        for (object, verdict) in verdicts {
            let what = match verdict {
                Verdict::Good | Verdict::Shared(_) => continue,
                Verdict::Missing => format!("{object} is missing"),
                Verdict::NotReady(reason) => format!("{object} {reason}"),
                Verdict::OtherVersion(version) => {
                    format!("{object} {}", crate::cli::verify_install::other_version(&version))
                }
                Verdict::Changed => format!("{object} was changed by somebody else"),
            };
            bad += 1;
            findings.failure(
                "mesh",
                what,
                format!("`{program} install`, with the settings it was installed with, mends it"),
            );
        }
        if bad == 0 {
            findings.good("mesh", format!("revision {revision} {version}: {} as installed", count(total, "object")));
        }
    }
    if !built_in && !revisions.is_empty() {
        health::authority(connection, &place.istio_namespace, program, findings).await?;
        let names: Vec<String> = revisions.iter().map(|(name, ..)| name.clone()).collect();
        health::injection(connection, &names, program, findings).await?;
    }
    Ok(())
}

/// The first of many names, and how many more there are.
fn names_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

async fn pods(
    connection: &Connection,
    mut known: Vec<String>,
    program: &str,
    built_in: bool,
    findings: &mut Findings,
) -> CliResult {
    let tags = install::tags(connection).await?;
    let everywhere = install::injects_everywhere(connection).await?;
    known.extend(built_in.then(|| DEFAULT_REVISION.to_owned()));
    let mut injected = 0;
    for namespace in kube::list(connection, "v1", "Namespace", Selection::default()).await? {
        let labels = labels(&namespace);
        let Some(name) = namespace.pointer("/metadata/name").and_then(Value::as_str) else { continue };
        let silent = !labels.contains_key("istio-injection") && !labels.contains_key("istio.io/rev");
        let asks = match (labels.get("istio-injection").map(String::as_str), labels.get("istio.io/rev")) {
            (Some("enabled"), _) => DEFAULT_REVISION,
            (None, Some(revision)) => revision.as_str(),
            _ if everywhere && silent && !inject::is_ignored(name) => DEFAULT_REVISION,
            _ => continue,
        };
        let injector = inject::Injector { asked_as: asks, everywhere };
        injected += 1;
        let revision = tags.iter().find(|tag| tag.name == asks).map_or(asks, |tag| tag.revision.as_str());
        if !known.iter().any(|known| known == revision) {
            findings.failure(
                "pods",
                format!("namespace {name} asks for revision {asks}, which is not there"),
                format!("`{program} install --revision {asks}`, or label it anew: `{program} label-namespace {name} --overwrite`"),
            );
            continue;
        }
        let pods = kube::list(connection, "v1", "Pod", Selection { namespace: Some(name), labels: "" }).await?;
        let behind = pods.iter().filter(|pod| inject::standing(injector, revision, &labels, pod) != Standing::Current);
        let behind = behind.filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none()).count();
        match behind {
            0 => findings
                .good("pods", format!("namespace {name}: {}, none of an older revision", count(pods.len(), "pod"))),
            _ => findings.warning(
                "pods",
                format!("namespace {name}: {behind} of {} not as they would be started now", count(pods.len(), "pod")),
                format!("`{program} label-namespace {name} --restart` starts them anew"),
            ),
        }
    }
    if injected == 0 {
        let remedy = format!("`{program} label-namespace default` has the pods there get sidecars");
        findings.warning("pods", "no namespace asks for sidecars", remedy);
    }
    Ok(())
}

async fn configuration(connection: &Connection, place: &Where, program: &str, findings: &mut Findings) {
    let answers = match planes::ask(connection, place).await {
        Ok(answers) => answers,
        Err(error) => return findings.unanswered("proxies", Err(error)),
    };
    for reason in &answers.silent {
        findings.failure("proxies", reason, format!("`{program} logs` of the pod may say why"));
    }
    let proxies = || answers.planes.iter().flat_map(|plane| plane.told.proxies.iter().map(move |proxy| (plane, proxy)));
    let total = proxies().count();
    match planes::absent(connection, &answers).await {
        Ok(absent) if absent.is_empty() => {}
        Ok(absent) => findings.failure(
            "proxies",
            format!("connected to no control plane: {}", names_of(&absent)),
            format!("`{program} logs POD --proxy` says why; such a proxy serves on with what it had"),
        ),
        Err(error) => findings.unanswered("proxies", Err(error)),
    }
    let refused = proxies().filter(|(_, proxy)| proxy.last_nack.is_some()).count();
    let behind = proxies().filter(|(plane, proxy)| proxy.generation < plane.told.generation).count();
    if refused > 0 {
        let what = format!("{} refused configuration", count(refused, "proxy"));
        findings.failure("proxies", what, format!("`{program} proxy-status` says what and why"));
    } else if behind > 0 {
        let what = format!("{behind} of {total} proxies wait for configuration");
        findings.warning("proxies", what, format!("`{program} wait --for distribution` waits for them"));
    } else if let [plane] = answers.planes.as_slice() {
        findings.good("proxies", format!("all {total} have generation {}", plane.told.generation));
    } else {
        findings.good("proxies", format!("all {total} of {} control planes are in sync", answers.planes.len()));
    }
}

fn show(ui: &Ui, findings: &[Finding]) {
    let mut section = "";
    for finding in findings {
        if finding.section != section {
            if !section.is_empty() {
                ui.line("");
            }
            ui.line(ui.paint(Tone::Strong, finding.section));
            section = finding.section;
        }
        let mark = match finding.outcome {
            Outcome::Good => ui.paint(Tone::Good, "✓"),
            Outcome::Warning => ui.paint(Tone::Attention, "!"),
            Outcome::Failure => ui.paint(Tone::Bad, "×"),
        };
        ui.line(format!("  {mark} {}", finding.what));
        if let Some(remedy) = &finding.remedy {
            ui.line(ui.paint(Tone::Faint, &format!("    {remedy}")));
        }
    }
}
