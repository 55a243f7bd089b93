//! `mesh proxy-status`: how far each proxy is with the configuration.

use std::time::Duration;

use serde::Serialize;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::planes::{self, Answers, Plane, Where};
use crate::cli::pods;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Tone, Ui, table};
use crate::cli::web;
use crate::control::{PROXIES_PATH, ProxyStatus};
use crate::kube::{Connection, ObjectRef};

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a control plane at `--address` may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The most that is read of its answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Show how far each proxy is with the configuration
///
/// Every replica of the control plane is asked, through the API server.
///
/// SYNCED: nothing is unacknowledged. STALE: something is on its way. REFUSED: the proxy refused something, and says why.
/// ABSENT: the pod's proxy is connected to no control plane, and serves on with what it had.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "ps",
    after_help = "Examples:
  mesh proxy-status
  mesh proxy-status reviews-v2-6f8 --output yaml
  mesh proxy-status --revision canary --wide
  mesh proxy-status --exit-code"
)]
pub struct Args {
    /// A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// Show identities and control planes too
    #[arg(short, long)]
    wide: bool,
    /// Show again whenever something changes, until interrupted
    #[arg(long, conflicts_with = "output")]
    watch: bool,
    /// Exit with 1 where a proxy is not in sync
    #[arg(long)]
    exit_code: bool,
    /// Only proxies of this revision's control plane
    #[arg(short, long, value_name = "NAME", conflicts_with = "address")]
    revision: Option<String>,
    /// Where one control plane's monitoring port answers, instead of asking through the API server
    #[arg(long, value_name = "URL", help_heading = "Cluster")]
    address: Option<String>,
    #[command(flatten)]
    place: Where,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    pod: String,
    namespace: String,
    role: String,
    status: &'static str,
    generation: u64,
    newest: u64,
    subscriptions: usize,
    identity: String,
    revision: String,
    /// Pod of the control plane that it is connected to; `None`: the built-in runtime's.
    #[serde(skip_serializing_if = "Option::is_none")]
    control_plane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
}

/// Asks and shows.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    block_on(async {
        let source = match &args.address {
            Some(address) => Origin::Address(address.trim_end_matches('/').to_owned()),
            None => Origin::Cluster(args.target.connect(ui).await?, args.place.clone()),
        };
        let pods = match (&args.pod, &source) {
            (Some(word), Origin::Cluster(connection, _)) if word.contains('/') => {
                let pods = pods::named(connection, word, &connection.namespace).await?;
                let full = |pod: ObjectRef| format!("{}.{}", pod.name, pod.namespace.unwrap_or_default());
                Some(pods.into_iter().map(full).collect())
            }
            (pod, _) => pod.clone().map(|pod| vec![pod]),
        };
        let mut shown: Option<Vec<Row>> = None;
        let mut drawn = 0;
        loop {
            let mut answers = source.ask().await?;
            if let Some(revision) = &args.revision {
                only(&mut answers, revision)?;
            }
            if shown.is_none() {
                answers.warn_of_silent(ui);
            }
            let absent = match &source {
                Origin::Cluster(connection, _) if args.revision.is_none() => {
                    planes::absent(connection, &answers).await?
                }
                _ => Vec::new(),
            };
            let rows = rows(&answers, &absent, pods.as_deref())?;
            if shown.as_ref() != Some(&rows) {
                if args.watch && ui.interactive() {
                    drawn = ui.redraw(&text(ui, &rows, args.wide), drawn);
                } else if args.output == Format::Table {
                    ui.text(&text(ui, &rows, args.wide));
                } else {
                    ui.structured(args.output, &rows)?;
                }
            }
            if !args.watch {
                return verdict(&rows, args.exit_code);
            }
            shown = Some(rows);
            tokio::time::sleep(PERIOD).await;
        }
    })
}

/// Where the answer comes from.
enum Origin {
    Cluster(Connection, Where),
    Address(String),
}

impl Origin {
    async fn ask(&self) -> CliResult<Answers> {
        match self {
            Self::Cluster(connection, place) => planes::ask(connection, place).await,
            Self::Address(address) => {
                let url = format!("{address}{PROXIES_PATH}");
                let answer = tokio::time::timeout(ANSWER, web::read(&url, MAX_ANSWER_BYTES)).await;
                let answer = answer.map_err(|_| {
                    CliError::message(
                        Kind::Unavailable,
                        format!("{address} did not answer within {} s", ANSWER.as_secs()),
                    )
                })??;
                Ok(Answers::of_one(serde_json::from_slice(&answer).kind(Kind::Failed)?))
            }
        }
    }
}

/// Leaves the control planes of one revision.
fn only(answers: &mut Answers, revision: &str) -> CliResult {
    let mut known: Vec<String> = answers.planes.iter().map(|plane| plane.revision.clone()).collect();
    answers.planes.retain(|plane| plane.revision == revision);
    if !answers.planes.is_empty() {
        return Ok(());
    }
    known.dedup();
    let error = format!("no control plane of revision {revision} answers");
    Err(CliError::message(Kind::Failed, error).hint(format!("there are {}", known.join(", "))))
}

fn rows(answers: &Answers, absent: &[String], pods: Option<&[String]>) -> CliResult<Vec<Row>> {
    let mut rows: Vec<Row> = answers
        .planes
        .iter()
        .flat_map(|plane| plane.told.proxies.iter().map(|proxy| row(proxy.clone(), plane)))
        .chain(absent.iter().map(|pod| absentee(pod)))
        .collect();
    rows.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    let Some(pods) = pods else { return Ok(rows) };
    rows.retain(|row| pods.contains(&row.pod) || pods.contains(&format!("{}.{}", row.pod, row.namespace)));
    if rows.is_empty() {
        return Err(CliError::message(Kind::Failed, format!("no proxy of a pod {} is connected", pods.join(", "))));
    }
    Ok(rows)
}

/// A proxy that no control plane knows anything of.
fn absentee(pod: &str) -> Row {
    let (pod, namespace) = pod.rsplit_once('.').unwrap_or((pod, "-"));
    Row {
        pod: pod.to_owned(),
        namespace: namespace.to_owned(),
        role: "-".to_owned(),
        status: "ABSENT",
        generation: 0,
        newest: 0,
        subscriptions: 0,
        identity: "-".to_owned(),
        revision: "-".to_owned(),
        control_plane: None,
        refusal: None,
    }
}

/// `role~IP~POD.NAMESPACE~DOMAIN` is how proxies announce themselves.
fn row(proxy: ProxyStatus, plane: &Plane) -> Row {
    let newest = plane.told.generation;
    let mut parts = proxy.node.split('~');
    let role = parts.next().filter(|role| !role.is_empty()).unwrap_or("-").to_owned();
    let id = parts.nth(1).unwrap_or("-");
    let (pod, namespace) = id.rsplit_once('.').unwrap_or((id, "-"));
    let refused = proxy.last_nack.as_ref().filter(|nack| nack.generation >= proxy.generation);
    let status = match (&refused, proxy.generation >= newest) {
        (Some(_), _) => "REFUSED",
        (None, true) => "SYNCED",
        (None, false) => "STALE",
    };
    Row {
        pod: pod.to_owned(),
        namespace: namespace.to_owned(),
        role,
        status,
        generation: proxy.generation,
        newest,
        subscriptions: proxy.subscriptions,
        identity: proxy.identity.to_string(),
        revision: plane.revision.clone(),
        control_plane: plane.pod.clone(),
        refusal: proxy.last_nack.map(|nack| nack.message),
    }
}

fn text(ui: &Ui, rows: &[Row], wide: bool) -> String {
    if rows.is_empty() {
        return "no proxy is connected\n".to_owned();
    }
    let status = |row: &Row| {
        let tone = match row.status {
            "SYNCED" => Tone::Good,
            "STALE" => Tone::Attention,
            _ => Tone::Bad,
        };
        ui.paint(tone, row.status)
    };
    let generation = |row: &Row| match row.generation == row.newest {
        true if row.newest == 0 => "-".to_owned(),
        true => row.generation.to_string(),
        false => format!("{} of {}", row.generation, row.newest),
    };
    let mut text = if wide {
        let rows = rows.iter().map(|row| {
            let cells = [&row.pod, &row.namespace, &row.role, &row.identity].map(Clone::clone);
            let [pod, namespace, role, identity] = cells;
            let plane = row.control_plane.clone().unwrap_or_else(|| "-".to_owned());
            [pod, namespace, role, status(row), generation(row), row.subscriptions.to_string(), plane, identity]
        });
        table(["POD", "NAMESPACE", "ROLE", "STATUS", "GENERATION", "NAMES", "CONTROL PLANE", "IDENTITY"], rows)
    } else if rows
        .iter()
        .filter(|row| row.status != "ABSENT")
        .any(|row| Some(&row.revision) != rows.first().map(|first| &first.revision))
    {
        // An upgrade is under way: who has moved?
        let rows = rows.iter().map(|row| {
            let cells = [&row.pod, &row.namespace, &row.revision].map(Clone::clone);
            let [pod, namespace, revision] = cells;
            [pod, namespace, status(row), generation(row), revision]
        });
        table(["POD", "NAMESPACE", "STATUS", "GENERATION", "REVISION"], rows)
    } else {
        let rows = rows.iter().map(|row| [row.pod.clone(), row.namespace.clone(), status(row), generation(row)]);
        table(["POD", "NAMESPACE", "STATUS", "GENERATION"], rows)
    };
    for row in rows {
        if let Some(refusal) = &row.refusal {
            text.push_str(&format!("{}.{} refused: {refusal}\n", row.pod, row.namespace));
        }
    }
    text
}

fn verdict(rows: &[Row], exit_code: bool) -> CliResult {
    let behind = rows.iter().filter(|row| row.status != "SYNCED").count();
    if !exit_code || behind == 0 {
        return Ok(());
    }
    Err(CliError::message(Kind::Failed, format!("{behind} of {} proxies not in sync", rows.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Nack, Proxies};

    fn status(generation: u64, nack: Option<u64>) -> ProxyStatus {
        ProxyStatus {
            node: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".into(),
            identity: "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap(),
            generation,
            last_nack: nack.map(|generation| Nack {
                kind: crate::wire::ResourceType::Routes,
                generation,
                message: "no such cluster".into(),
            }),
            foreign_names: 0,
            subscriptions: 3,
        }
    }

    fn plane(proxy: ProxyStatus) -> Plane {
        let told = Proxies { generation: 7, proxies: vec![proxy], ..Proxies::default() };
        Plane { pod: Some("istiod-1".to_owned()), revision: "default".to_owned(), told }
    }

    #[test]
    fn the_proxies_of_one_revision_are_those_of_its_control_planes() {
        let mut answers = Answers { planes: vec![plane(status(7, None))], silent: Vec::new() };
        assert!(only(&mut answers.clone(), "canary").unwrap_err().hints()[0].contains("default"));
        only(&mut answers, "default").unwrap();
        assert_eq!(answers.planes.len(), 1);
    }

    #[test]
    fn a_proxy_is_in_sync_behind_or_refuses() {
        for (generation, nack, expected) in
            [(7, None, "SYNCED"), (6, None, "STALE"), (6, Some(7), "REFUSED"), (7, Some(5), "SYNCED")]
        {
            let row = row(status(generation, nack), &plane(status(generation, nack)));
            assert_eq!(row.status, expected);
            assert_eq!((row.pod.as_str(), row.namespace.as_str()), ("web-1", "shop"));
        }
        let answers = Answers { planes: vec![plane(status(6, None))], silent: Vec::new() };
        assert!(verdict(&rows(&answers, &[], Some(&["web-1.shop".to_owned()])).unwrap(), true).is_err());
        assert!(
            rows(&answers, &["db.shop".to_owned()], Some(&["other".to_owned()]))
                .unwrap_err()
                .to_string()
                .contains("no proxy of a pod other")
        );
    }
}
