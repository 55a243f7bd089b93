//! The runtime's data directory: one runtime per directory, closed to others.
//!
//! It guarantees that two runtimes never share a directory (a lock that the kernel releases when its holder dies, however it
//! dies), that the directory and what is secret in it belong to the user alone, and that a small file is replaced as a whole or
//! not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

/// Why the data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither `XDG_STATE_HOME` nor `HOME` says where state belongs.
    #[error("no place for state is known: HOME and XDG_STATE_HOME are both unset; name one with --data-dir")]
    NoHome,
    /// Another runtime holds the directory.
    #[error("a runtime is already running on {path} (pid {pid})")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it.
        pid: String,
    },
    /// The directory has another use.
    #[error(
        "{path} holds files that are not a runtime's, and others may write there; name a directory of its own with --data-dir"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The user may not write there.
    #[error("no permission to write to {path}; choose another directory with --data-dir")]
    Permission {
        /// The file or directory.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk that holds {path} is full; free some space, nothing that was stored is lost")]
    DiskFull {
        /// The file or directory.
        path: PathBuf,
    },
    /// Anything else that the system refuses.
    #[error("can't use {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl StateError {
    /// Sorts what the system says about `path`.
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}

/// What a running runtime says about itself, in `runtime.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecord {
    /// Process id.
    pub pid: u32,
    /// URL of the API server.
    pub api: String,
    /// URL of the ingress gateway.
    pub ingress: String,
}

/// A data directory that this process holds; released when dropped, or when the process ends.
#[derive(Debug)]
pub struct StateDir {
    root: PathBuf,
    _lock: Flock<File>,
}

/// Where state belongs when nothing else is said: `$XDG_STATE_HOME/mesh`, else `$HOME/.local/state/mesh`.
pub fn default_path() -> Result<PathBuf, StateError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("mesh"))
        .ok_or(StateError::NoHome)
}

/// What is in a file system that was just made.
const FRESH: &str = "lost+found";

/// Creates the directory where it is missing, and closes it to others.
///
/// # Errors
/// The system refuses it; or no runtime has used the directory, it holds files and others may write there: it is left as it is.
pub fn prepare(root: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::from_io(root, source);
    DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
    let is_shared = fs::metadata(root).map_err(failed)?.permissions().mode() & 0o022 != 0;
    let mut held = fs::read_dir(root).map_err(failed)?.flatten();
    if is_shared && !lock_path(root).exists() && held.any(|entry| entry.file_name() != FRESH) {
        return Err(StateError::Foreign { path: root.to_owned() });
    }
    fs::set_permissions(root, Permissions::from_mode(0o700)).map_err(failed)
}

impl StateDir {
    /// Prepares the directory, and takes it.
    ///
    /// # Errors
    /// As [`prepare`]; and when another runtime holds it.
    pub fn open(root: &Path) -> Result<Self, StateError> {
        prepare(root)?;
        let path = lock_path(root);
        let failed = |source| StateError::from_io(&path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(mut file, error)| {
            if error == Errno::EWOULDBLOCK {
                return StateError::InUse { path: root.to_owned(), pid: read_pid(&mut file) };
            }
            failed(error.into())
        })?;
        write_pid(&mut lock).map_err(failed)?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or directory inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where the kubeconfig is.
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig_path(&self.root)
    }

    /// Replaces a file, readable by the user alone, as a whole.
    pub fn write_private(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let path = self.path(name);
        let unfinished = self.path(&format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|source| StateError::from_io(&path, source))
    }

    /// Says what is running here.
    pub fn write_record(&self, record: &RuntimeRecord) -> Result<(), StateError> {
        let content = serde_json::to_vec_pretty(record).unwrap_or_default();
        self.write_private(RECORD, &content)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // A record that stays behind is harmless: it is believed only while the lock is held.
        let _ = fs::remove_file(self.root.join(RECORD));
    }
}

const RECORD: &str = "runtime.json";

fn lock_path(root: &Path) -> PathBuf {
    root.join("lock")
}

/// Where the kubeconfig of the runtime on `root` is.
pub fn kubeconfig_path(root: &Path) -> PathBuf {
    root.join("kubeconfig")
}

/// The process that holds `root`; `None` when no runtime is running there.
pub fn holder(root: &Path) -> Result<Option<i32>, StateError> {
    let path = lock_path(root);
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::from_io(&path, error)),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(None),
        Err((mut file, Errno::EWOULDBLOCK)) => Ok(read_pid(&mut file).parse().ok()),
        Err((_, error)) => Err(StateError::from_io(&path, error.into())),
    }
}

/// What the runtime on `root` says about itself; `None` when none is running or it is not ready yet.
pub fn record(root: &Path) -> Result<Option<RuntimeRecord>, StateError> {
    if holder(root)?.is_none() {
        return Ok(None);
    }
    let path = root.join(RECORD);
    match fs::read(&path) {
        Ok(content) => Ok(serde_json::from_slice(&content).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::from_io(&path, error)),
    }
}

fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(32).read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_holds_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("state");
        let held = StateDir::open(&root).unwrap();
        let refused = StateDir::open(&root).unwrap_err();
        assert!(matches!(&refused, StateError::InUse { pid, .. } if *pid == std::process::id().to_string()));
        assert_eq!(holder(&root).unwrap(), Some(std::process::id() as i32));
        drop(held);
        assert_eq!(holder(&root).unwrap(), None);
        StateDir::open(&root).unwrap();
    }

    #[test]
    fn the_directory_and_its_files_are_the_users_own() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("state");
        let state = StateDir::open(&root).unwrap();
        state.write_private("kubeconfig", b"secret").unwrap();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(state.kubeconfig()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_of_another_use_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::set_permissions(root, Permissions::from_mode(0o777)).unwrap();
        fs::write(root.join("letter.txt"), "dear").unwrap();
        assert!(matches!(StateDir::open(root), Err(StateError::Foreign { path }) if path == root));
        assert_eq!(fs::metadata(root).unwrap().permissions().mode() & 0o777, 0o777);
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
        fs::set_permissions(root, Permissions::from_mode(0o700)).unwrap();
        StateDir::open(root).unwrap();
    }

    #[test]
    fn a_record_is_believed_only_while_its_runtime_lives() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let written = RuntimeRecord { pid: 1, api: "https://127.0.0.1:6443".into(), ingress: "http://x".into() };
        state.write_record(&written).unwrap();
        let content = fs::read(directory.path().join(RECORD)).unwrap();
        assert_eq!(record(directory.path()).unwrap(), Some(written));
        drop(state);
        fs::write(directory.path().join(RECORD), content).unwrap();
        assert_eq!(record(directory.path()).unwrap(), None);
    }
}
