//! The file: a redb database with the objects and the last resource version.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};

use super::Key;
use crate::runtime::apiserver::limits;

const OBJECTS: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("objects");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const VERSION: &str = "version";
const FORMAT: &str = "format";
/// The layout of the tables above; a file of a higher one is refused.
const CURRENT_FORMAT: u64 = 1;

/// Why the store cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the file.
    #[error("{} is in use by another runtime: stop that one, or choose another data directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// No space left.
    #[error("cannot write {}: disk full; free some space and try again, nothing stored so far is lost", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// No permission, or a read-only file system.
    #[error("cannot write {}: {reason}; make it writable for this user, or choose another data directory", path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not one of ours, or damaged.
    #[error("cannot read {}: {reason}; move it away to start afresh", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Anything else the disk said.
    #[error("cannot use {}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The store was opened outside a tokio runtime.
    #[error("the API server must be opened inside a tokio runtime")]
    NoRuntime,
    /// A key of the API server could not be made or read.
    #[error("cannot prepare the API server's keys in {}: {reason}", path.display())]
    Keys {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system gives no random numbers, which uids are made of.
    #[error("the system gives no random numbers")]
    NoEntropy,
    /// The store is shutting down.
    #[error("the API server is stopping")]
    Closed,
}

impl StoreError {
    pub(super) fn corrupt(path: &Path, key: &Key, error: &serde_json::Error) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: format!("{key}: {error}") }
    }

    pub(super) fn thread(error: io::Error) -> Self {
        Self::Io { path: PathBuf::new(), reason: format!("no thread could be started: {error}") }
    }

    /// The right error for what the system said about `path`.
    #[must_use]
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NotWritable { path, reason },
            _ => Self::Io { path, reason },
        }
    }

    fn storage(path: &Path, error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => Self::io(path, &error),
            StorageError::Corrupted(reason) => Self::Corrupt { path: path.to_owned(), reason },
            other => Self::Io { path: path.to_owned(), reason: other.to_string() },
        }
    }

    fn database(path: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                Self::InUse { path: path.to_owned() }
            }
            DatabaseError::Storage(error) => Self::storage(path, error),
            other => Self::Corrupt { path: path.to_owned(), reason: other.to_string() },
        }
    }

    fn redb(path: &Path, error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Self::io(path, &error),
            other => Self::Io { path: path.to_owned(), reason: other.to_string() },
        }
    }
}

/// One object as the file holds it.
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) json: Bytes,
}

/// How the database is opened; tests put a failing disk here.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// The open file. After a failed commit the database is closed, and opened anew (which repairs it) by the next one.
pub(super) struct Disk {
    path: PathBuf,
    opener: Opener,
    database: Option<Database>,
}

impl Disk {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let owned = path.to_owned();
        Self::with_opener(path, Box::new(move || Database::builder().set_cache_size(limits::DISK_CACHE).create(&owned)))
    }

    pub(super) fn with_opener(path: &Path, opener: Opener) -> Result<Self, StoreError> {
        let database = opener().map_err(|error| StoreError::database(path, error))?;
        Ok(Self { path: path.to_owned(), opener, database: Some(database) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Everything in the file, and the last resource version.
    pub(super) fn load(&mut self) -> Result<(u64, Vec<Record>), StoreError> {
        // Creates the tables, and proves at start, not at the first write, that the file can be written.
        self.commit(std::iter::empty())?;
        let path = self.path.clone();
        let database = self.database.as_ref().ok_or(StoreError::Closed)?;
        let read = || -> Result<(u64, u64, Vec<Record>), redb::Error> {
            let transaction = database.begin_read()?;
            let meta = transaction.open_table(META)?;
            let version = meta.get(VERSION)?.map_or(0, |value| value.value());
            let format = meta.get(FORMAT)?.map_or(0, |value| value.value());
            let mut records = Vec::new();
            for entry in transaction.open_table(OBJECTS)?.iter()? {
                let (key, value) = entry?;
                let (version, json) = value.value();
                let Some(key) = Key::from_disk(key.value()) else {
                    continue;
                };
                records.push(Record { key, version, json: Bytes::copy_from_slice(json) });
            }
            Ok((version, format, records))
        };
        let (version, format, records) = read().map_err(|error| StoreError::redb(&path, error))?;
        if format > CURRENT_FORMAT {
            return Err(StoreError::Corrupt {
                path,
                reason: format!("it was written by a newer version (format {format}, this one knows {CURRENT_FORMAT})"),
            });
        }
        Ok((version, records))
    }

    /// Writes a batch in one durable commit: all of it, or nothing.
    pub(super) fn commit<'a>(
        &mut self,
        writes: impl Iterator<Item = (&'a Key, u64, Option<&'a [u8]>)>,
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.opener)().map_err(|error| StoreError::database(&self.path, error))?,
        };
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut objects = transaction.open_table(OBJECTS)?;
                let mut meta = transaction.open_table(META)?;
                if meta.get(FORMAT)?.is_none() {
                    meta.insert(FORMAT, CURRENT_FORMAT)?;
                }
                let mut last = None;
                for (key, version, json) in writes {
                    match json {
                        Some(json) => objects.insert(&*key.to_disk(), (version, json))?,
                        None => objects.remove(&*key.to_disk())?,
                    };
                    last = Some(version);
                }
                if let Some(version) = last {
                    meta.insert(VERSION, version)?;
                }
            }
            transaction.commit()?;
            Ok(())
        };
        match write() {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            Err(error) => Err(StoreError::redb(&self.path, error)),
        }
    }
}
