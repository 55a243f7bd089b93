//! Durability, locking and watching, as the rest of the API server relies on them.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};
use serde_json::json;

use super::disk::{Disk, StoreError};
use super::{Change, Expect, Key, Store, WriteError};
use crate::runtime::apiserver::limits;

fn key(name: &str) -> Key {
    Key::new(&Arc::from("configmaps."), "default", name)
}

fn object(name: &str, data: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "data": {"k": data}})
}

#[tokio::test]
async fn keeps_what_it_acknowledged_and_the_version_grows_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let store = Store::open(&path).unwrap();
    let first = store.put(key("a"), Expect::Absent, object("a", "1")).await.unwrap();
    let gone = store.put(key("b"), Expect::Absent, object("b", "1")).await.unwrap();
    let gone = store.delete(key("b"), gone.version).await.unwrap();
    assert!(gone.version > first.version);
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.get(&key("a")).unwrap().json, first.json);
    assert!(store.get(&key("b")).is_none());
    assert_eq!(store.version(), gone.version);
    let next = store.put(key("c"), Expect::Absent, object("c", "1")).await.unwrap();
    assert!(next.version > gone.version);
}

#[tokio::test]
async fn one_of_two_writers_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s")).unwrap();
    let first = store.put(key("a"), Expect::Absent, object("a", "1")).await.unwrap();
    let expect = Expect::Version(first.version);
    let (one, two) =
        tokio::join!(store.put(key("a"), expect, object("a", "2")), store.put(key("a"), expect, object("a", "3")),);
    assert!(one.is_ok() != two.is_ok());
    assert!(matches!(one.and(two), Err(WriteError::Conflict)));
    let again = store.put(key("a"), Expect::Absent, object("a", "1")).await;
    assert!(matches!(again, Err(WriteError::Conflict)));
}

#[tokio::test]
async fn many_writers_share_commits_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Arc::new(Store::open(&path).unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let name = format!("n{n}");
            store.put(key(&name), Expect::Absent, object(&name, "x")).await.unwrap();
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    drop(store);
    let store = Store::open(&path).unwrap();
    let page = store.list("configmaps.", Some("default"), None, None, |_, _| true);
    assert_eq!(page.objects.len(), 200);
}

#[tokio::test]
async fn a_second_process_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _store = Store::open(&path).unwrap();
    let error = Store::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("another runtime"));
}

#[tokio::test]
async fn watchers_see_every_change_once_and_a_slow_one_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s")).unwrap();
    let mut watch = store.watch("configmaps.", None);
    let mut slow = store.watch("configmaps.", None);
    let a = store.put(key("a"), Expect::Absent, object("a", "1")).await.unwrap();
    let b = store.put(key("a"), Expect::Version(a.version), object("a", "2")).await.unwrap();
    let c = store.delete(key("a"), b.version).await.unwrap();
    let events = watch.next().await.unwrap().unwrap();
    let seen: Vec<_> = events.iter().map(|e| (e.version, e.change)).collect();
    assert_eq!(seen, [(a.version, Change::Added), (b.version, Change::Modified), (c.version, Change::Deleted)]);
    let mut writers = Vec::new();
    for n in 0..=limits::RING_EVENTS {
        let name = format!("n{n}");
        writers.push(store.put(key(&name), Expect::Absent, object(&name, "x")));
    }
    for result in futures_util::future::join_all(writers).await {
        result.unwrap();
    }
    assert!(slow.ready().is_err());
    assert!(!watch.ready().unwrap_or_default().is_empty() || watch.ready().is_err());
}

/// A disk that is full while `full` is set.
#[derive(Debug)]
struct FullDisk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl FullDisk {
    fn room(&self) -> Result<(), std::io::Error> {
        if self.full.load(Ordering::SeqCst) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.room()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.room()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.room()?;
        self.file.write(offset, data)
    }
    fn close(&self) -> Result<(), std::io::Error> {
        self.file.close()
    }
}

#[tokio::test]
async fn a_full_disk_refuses_clearly_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let full = Arc::new(AtomicBool::new(false));
    let opener = {
        let (path, full) = (path.clone(), Arc::clone(&full));
        Box::new(move || {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
            let file = FileBackend::new(file).unwrap();
            Database::builder().create_with_backend(FullDisk { file, full: Arc::clone(&full) })
        })
    };
    let store = Store::with_disk(Disk::with_opener(&path, opener).unwrap(), Vec::new()).unwrap();
    let a = store.put(key("a"), Expect::Absent, object("a", "1")).await.unwrap();
    full.store(true, Ordering::SeqCst);
    let refused = store.put(key("a"), Expect::Version(a.version), object("a", "2")).await;
    let Err(WriteError::Store(error)) = refused else {
        panic!("a full disk took a write");
    };
    assert!(error.to_string().contains("disk full"), "{error}");
    assert_eq!(store.latest(&key("a")).unwrap().version, a.version);
    full.store(false, Ordering::SeqCst);
    let b = store.put(key("b"), Expect::Absent, object("b", "1")).await.unwrap();
    assert!(b.version > a.version);
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.get(&key("a")).unwrap().json, a.json);
    assert_eq!(store.get(&key("b")).unwrap().json, b.json);
}
