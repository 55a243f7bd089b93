//! The keys of issuers of tokens: fetched where RequestAuthentications say, kept fresh, told as events.
//!
//! An issuer that signs with a new key before its old ones are stale is asked again when a proxy meets a token that none of them has
//! signed, but no sooner than [`HURRIED`] after it was asked before: strangers write tokens.
//! What cannot be fetched is not there: proxies then believe no token of that issuer. Keys that were fetched before stay while
//! fetching them anew fails. Users write the URLs, so that nothing behind them is trusted: no redirect is followed, an answer has a
//! largest size and a longest time, and addresses that only this machine or its cloud answer on are not asked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::WayIn;
use crate::compile::KeySource;

/// How long keys are good before they are fetched anew (Istio's interval).
const FRESH: Duration = Duration::from_secs(20 * 60);

/// How long after keys were fetched they may be fetched again because a proxy knows none for a token.
const HURRIED: Duration = Duration::from_secs(10);

/// How long after a failure the next attempt comes; it doubles …
const AGAIN: Duration = Duration::from_secs(5);

/// … up to this.
const LATEST: Duration = Duration::from_secs(10 * 60);

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Fetches under way at one time.
const FETCHES: usize = 16;

/// Sources that are kept at one time; RequestAuthentications that name more get no keys for the rest.
const MAX_SOURCES: usize = 4096;

/// Keys that were fetched.
pub(super) type Fetched = (KeySource, Arc<str>);

/// The way to the cluster's Services.
#[derive(Debug, Clone)]
pub(super) struct ClusterProxy {
    pub(super) proxy: WayIn,
    /// The cluster's domain.
    pub(super) domain: Arc<str>,
}

impl ClusterProxy {
    /// The proxy for a host: `service`, `service.namespace.svc` or one in the cluster's domain.
    fn of(&self, host: &str) -> Option<String> {
        let in_domain = host.strip_suffix(&*self.domain).is_some_and(|rest| rest.ends_with(".svc."));
        let is_service = !host.contains('.') || host.ends_with(".svc") || in_domain;
        self.proxy.get().filter(|_| is_service).cloned()
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0} is no URL that keys can be fetched from")]
    Url(String),
    #[error("{0} is an address of this machine's own network, which is not asked")]
    Address(IpAddr),
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("it answered with {0}")]
    Status(u16),
    #[error("its answer is longer than 1 MiB")]
    TooLong,
    #[error("its answer is no {0}")]
    Content(&'static str),
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
}

/// Keeps the keys of every source in `wanted`, each fetched within the time beside it, until `token` is cancelled, and tells those that
/// changed. Those that come as `stale` lack a key.
pub(super) async fn keep(
    wanted: watch::Receiver<BTreeMap<KeySource, Duration>>,
    stale: mpsc::Receiver<KeySource>,
    fetched: mpsc::Sender<Fetched>,
    way_in: Option<ClusterProxy>,
    token: CancellationToken,
) {
    let client = || careful(way_in.clone());
    let built = client().build().or_else(|error| {
        // An image without root certificates: what is served over plain HTTP can be fetched all the same.
        tracing::warn!(%error, "no root certificates are there: keys are not fetched over HTTPS; add them to the image");
        client().tls_certs_only([]).build()
    });
    let client = match built {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "keys cannot be fetched: tokens of issuers whose keys are elsewhere are refused");
            return;
        }
    };
    let keeper = Keeper { client, wanted, stale, fetched, sources: BTreeMap::new(), running: JoinSet::new() };
    let _stopped = token.run_until_cancelled(keeper.keep()).await;
}

/// Whoever it asks, it asks nobody else in their place, and nobody who is not to be asked.
fn careful(way_in: Option<ClusterProxy>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy();
    let builder = match way_in {
        Some(way_in) => builder.proxy(reqwest::Proxy::custom(move |url| way_in.of(url.host_str()?))),
        None => builder,
    };
    builder
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(Guarded))
        .user_agent(concat!("mesh/", env!("CARGO_PKG_VERSION")))
}

/// What is known of a source.
struct State {
    /// How long one fetch may take, discovery included.
    limit: Duration,
    due: Instant,
    /// When they were fetched last.
    fetched: Option<Instant>,
    failures: u32,
    is_running: bool,
    told: Option<Arc<str>>,
}

struct Keeper {
    client: reqwest::Client,
    wanted: watch::Receiver<BTreeMap<KeySource, Duration>>,
    stale: mpsc::Receiver<KeySource>,
    fetched: mpsc::Sender<Fetched>,
    sources: BTreeMap<KeySource, State>,
    running: JoinSet<(KeySource, Result<Arc<str>, FetchError>)>,
}

impl Keeper {
    async fn keep(mut self) {
        loop {
            self.take_in();
            self.start();
            let next = self.sources.values().filter(|state| !state.is_running).map(|state| state.due).min();
            let next = next.filter(|_| self.running.len() < FETCHES);
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() { return },
                Some(source) = self.stale.recv() => self.hurry(&source),
                Some(ended) = self.running.join_next() => {
                    let Ok((source, outcome)) = ended else { continue };
                    if !self.note(source, outcome).await {
                        return;
                    }
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Begins with what is new, and forgets what nobody wants.
    fn take_in(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        self.sources.retain(|source, _| wanted.contains_key(source));
        for (source, limit) in wanted.into_iter().take(MAX_SOURCES) {
            let fresh =
                || State { limit, due: Instant::now(), fetched: None, failures: 0, is_running: false, told: None };
            self.sources.entry(source).or_insert_with(fresh).limit = limit;
        }
    }

    /// Has keys fetched sooner. While fetching them fails, the next attempt comes when it comes.
    fn hurry(&mut self, source: &KeySource) {
        if let Some(state) = self.sources.get_mut(source)
            && let Some(fetched) = state.fetched.filter(|_| state.failures == 0)
        {
            state.due = state.due.min(fetched + HURRIED);
        }
    }

    fn start(&mut self) {
        let now = Instant::now();
        for (source, state) in &mut self.sources {
            if state.is_running || state.due > now || self.running.len() >= FETCHES {
                continue;
            }
            state.is_running = true;
            let (client, source, limit) = (self.client.clone(), source.clone(), state.limit);
            self.running.spawn(async move {
                let fetching = AssertUnwindSafe(tokio::time::timeout(limit, fetch(&client, &source))).catch_unwind();
                let outcome = match fetching.await {
                    Ok(outcome) => outcome.unwrap_or(Err(FetchError::Timeout(limit))),
                    Err(_) => Err(FetchError::Content("answer that can be read")),
                };
                (source, outcome)
            });
        }
    }

    /// Whether somebody still listens.
    async fn note(&mut self, source: KeySource, outcome: Result<Arc<str>, FetchError>) -> bool {
        let Some(state) = self.sources.get_mut(&source) else { return true };
        state.is_running = false;
        match outcome {
            Ok(keys) => {
                state.failures = 0;
                state.fetched = Some(Instant::now());
                state.due = Instant::now() + FRESH;
                if state.told.as_ref() != Some(&keys) {
                    tracing::info!(?source, "fetched the keys of an issuer");
                    state.told = Some(keys.clone());
                    return self.fetched.send((source, keys)).await.is_ok();
                }
            }
            Err(error) => {
                let wait = AGAIN.saturating_mul(1 << state.failures.min(10)).min(LATEST);
                state.failures = state.failures.saturating_add(1);
                state.due = Instant::now() + wait;
                let held = state.told.is_some();
                tracing::warn!(?source, %error, held, retry_in = ?wait, "the keys of an issuer cannot be fetched");
            }
        }
        true
    }
}

async fn fetch(client: &reqwest::Client, source: &KeySource) -> Result<Arc<str>, FetchError> {
    let uri = match source {
        KeySource::Uri(uri) => uri.to_string(),
        KeySource::Discovery(issuer) => {
            let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let text = get(client, &place).await?;
            let found: Option<Value> = serde_json::from_str(&text).ok();
            let uri = found.as_ref().and_then(|found| found.get("jwks_uri")).and_then(Value::as_str);
            uri.map(str::to_owned).ok_or(FetchError::Content("OpenID configuration with a jwks_uri"))?
        }
    };
    let text = get(client, &uri).await?;
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    let is_set = parsed.is_some_and(|parsed| parsed.get("keys").is_some_and(Value::is_array));
    if is_set { Ok(text.into()) } else { Err(FetchError::Content("set of keys (RFC 7517)")) }
}

async fn get(client: &reqwest::Client, uri: &str) -> Result<String, FetchError> {
    let url = reqwest::Url::parse(uri).map_err(|_| FetchError::Url(uri.to_owned()))?;
    // A name is looked at when it is resolved; an address is there already.
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    if let Some(address) = literal.filter(|address| is_private_to_machine(*address)) {
        return Err(FetchError::Address(address));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchError::Url(uri.to_owned()));
    }
    let response = client.get(url).header("accept", "application/json").send().await?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| FetchError::Content("text"))
}

/// Where some clouds tell machines their secrets, beside link-local addresses: Alibaba's, Azure's, Oracle's.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Link-local addresses, where clouds tell machines their secrets, and those that stand for no host.
fn is_private_to_machine(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_metadata = METADATA.contains(&address);
            is_metadata
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast()
                // Where a cloud's metadata service answers in IPv6.
                || address.segments().first() == Some(&0xfd00) && address.segments().get(1) == Some(&0x0ec2)
        }
    }
}

/// Resolves names to addresses that may be asked. What is connected to is what was looked at: a second look-up cannot differ.
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (refused, good): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| is_private_to_machine(address.ip()));
            if let (Some(refused), true) = (refused.first(), good.is_empty()) {
                return Err(FetchError::Address(refused.ip()).into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each request by its path.
    async fn issuer(answer: impl Fn(&str, SocketAddr) -> String + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let count = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..count]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let _gone = stream.write_all(answer(&path, address).as_bytes()).await;
                });
            }
        });
        address
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    async fn first(source: KeySource) -> Option<Fetched> {
        first_within(source, Duration::from_secs(5)).await
    }

    async fn first_within(source: KeySource, limit: Duration) -> Option<Fetched> {
        let (_wanted, wants) = watch::channel(BTreeMap::from([(source, limit)]));
        let (sender, mut fetched) = mpsc::channel(1);
        let (_hurry, stale) = mpsc::channel(1);
        let token = CancellationToken::new();
        let keeping = tokio::spawn(keep(wants, stale, sender, None, token.clone()));
        let found = tokio::time::timeout(Duration::from_secs(2), fetched.recv()).await.ok().flatten();
        token.cancel();
        keeping.await.unwrap();
        found
    }

    #[test]
    fn services_are_asked_through_the_way_in_once_there_is_one_and_other_hosts_never() {
        let way_in = ClusterProxy { proxy: WayIn::default(), domain: "cluster.local".into() };
        assert_eq!(way_in.of("keys.auth.svc.cluster.local"), None);
        way_in.proxy.set("http://127.0.0.1:1".to_owned()).unwrap();
        for (host, is_service) in [
            ("keys", true),
            ("keys.auth.svc", true),
            ("keys.auth.svc.cluster.local", true),
            ("accounts.example.com", false),
            ("example.com", false),
            ("cluster.local", false),
        ] {
            assert_eq!(way_in.of(host).is_some(), is_service, "{host}");
        }
    }

    #[tokio::test]
    async fn keys_come_from_their_url_and_by_discovery() {
        let address = issuer(|path, address| match path {
            "/keys" => ok("{\"keys\": []}"),
            "/.well-known/openid-configuration" => ok(&format!("{{\"jwks_uri\": \"http://{address}/keys\"}}")),
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        })
        .await;
        for source in [
            KeySource::Uri(format!("http://{address}/keys").into()),
            KeySource::Uri(format!("http://localhost:{}/keys", address.port()).into()),
            KeySource::Discovery(format!("http://{address}/").into()),
        ] {
            let (told, keys) = first(source.clone()).await.expect("keys");
            assert_eq!((told, &*keys), (source, "{\"keys\": []}"));
        }
    }

    #[tokio::test]
    async fn who_answers_later_than_the_rule_allows_has_told_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _asked = stream.read(&mut [0; 1024]).await;
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    let _gone = stream.write_all(ok("{\"keys\": []}").as_bytes()).await;
                });
            }
        });
        let source = KeySource::Uri(format!("http://{address}/keys").into());
        assert_eq!(first_within(source.clone(), Duration::from_millis(50)).await, None);
        assert!(first_within(source, Duration::from_secs(5)).await.is_some());
    }

    #[tokio::test]
    async fn what_is_no_set_of_keys_is_not_told() {
        let address = issuer(|path, address| match path {
            "/redirect" => {
                format!("HTTP/1.1 302 Found\r\nlocation: http://{address}/keys\r\ncontent-length: 0\r\n\r\n")
            }
            "/large" => ok(&format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(MAX_ANSWER))),
            "/page" => ok("<html>"),
            "/list" => ok("[]"),
            "/keys" => ok("{\"keys\": []}"),
            _ => ok("{}"),
        })
        .await;
        for path in ["/redirect", "/large", "/page", "/list", "/other"] {
            let client = careful(None).build().unwrap();
            let source = KeySource::Uri(format!("http://{address}{path}").into());
            assert!(fetch(&client, &source).await.is_err(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_clouds_metadata_is_not_asked() {
        // A name that leads there is no way around it.
        let found = Guarded.resolve("169.254.169.254".parse().unwrap()).await;
        assert!(found.is_err_and(|error| error.to_string().contains("169.254.169.254")));
        let client = careful(None).build().unwrap();
        for uri in [
            "http://169.254.169.254/keys",
            "http://[fe80::1]/",
            "http://0.0.0.0/",
            "http://[::ffff:169.254.169.254]/",
            "http://168.63.129.16/keys",
            "file:///etc/passwd",
            "x",
        ] {
            let outcome = fetch(&client, &KeySource::Uri(uri.into())).await;
            assert!(matches!(outcome, Err(FetchError::Address(_) | FetchError::Url(_))), "{uri}: {outcome:?}");
        }
    }
}
