//! The files of a container: its own root directory, and the volumes that its pod mounts into it.
//!
//! A volume is a directory of the pod; a mount is a link to it from the container's root, so that containers of one pod share it.
//! ConfigMaps, Secrets, the downward API and tokens are written when a container starts, and looked at again every [`REFRESH`]: a
//! changed entry replaces its file at once, one that is gone takes its file with it, a token is renewed when a fifth of its time is
//! left.
//! Volumes that need more than this machine's directory of the pod (hostPath, claims, CSI) are refused with the reason.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, ServiceAccount, Volume, VolumeMount, VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::env::field_of;
use super::logs::make_private;
use super::network::PodAttachment;
use super::plan::PodPlan;
use crate::runtime::tools::Files;

/// Where volumes are kept among a pod's directories, whose other names are those of containers.
const VOLUMES: &str = ".volumes";
/// Where a pod finds the token of its service account.
const TOKENS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a pod's token holds at most, seconds.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// How often volumes are brought up to date.
pub(super) const REFRESH: Duration = Duration::from_secs(10);

/// Why a container has no files.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    #[error(
        "volume {name}: {kind} volumes are not mounted by the built-in runtime; there are configMap, secret, projected, downwardAPI and emptyDir"
    )]
    Kind { name: String, kind: &'static str },
    #[error("volume {0} is mounted and not among the pod's volumes")]
    Unknown(String),
    #[error("volume {volume}: {kind} {name} does not exist; create it, or mark it optional")]
    Missing { volume: String, kind: &'static str, name: String },
    #[error("volume {volume}: {kind} {name} has no key {key}")]
    MissingKey { volume: String, kind: &'static str, name: String, key: String },
    #[error("volume {volume}: {source}")]
    Api { volume: String, source: Box<kube::Error> },
    #[error("volume {volume}: {field} is not a field that the built-in runtime can pass on")]
    Field { volume: String, field: String },
    #[error("{}: {source}", path.display())]
    System { path: PathBuf, source: io::Error },
}

type Result<T> = std::result::Result<T, VolumeError>;

/// What writing volumes needs to know.
pub(super) struct Volumes<'a> {
    pub(super) client: &'a Client,
    pub(super) pod: &'a PodPlan,
    pub(super) attachment: &'a PodAttachment,
    pub(super) host_ip: &'a str,
    /// The API server's root certificate, PEM.
    pub(super) root_certificate: &'a str,
    /// The directory of the pod.
    pub(super) directory: &'a Path,
}

fn at(path: &Path) -> impl Fn(io::Error) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::System { path: path.clone(), source }
}

impl Volumes<'_> {
    /// Makes a container's root directory with everything that is mounted in it; where it is.
    pub(super) async fn prepare(&self, container: &str, mounts: &[VolumeMount]) -> Result<PathBuf> {
        let root = self.directory.join(container);
        for directory in ["tmp", "etc"] {
            let path = root.join(directory);
            make_private(&path).map_err(at(&path))?;
        }
        let hosts = format!("127.0.0.1\tlocalhost\n{}\t{}\n", self.attachment.pod_ip, self.pod.network.name);
        write(&root.join("etc/hosts"), hosts.as_bytes())?;
        // A mount below another one comes after it, whatever their order.
        let mut mounts: Vec<_> = mounts.iter().collect();
        mounts.sort_by_key(|mount| Path::new(&mount.mount_path).components().count());
        for mount in &mounts {
            let volume = self.pod.volumes.iter().find(|volume| volume.name == mount.name);
            let volume = volume.ok_or_else(|| VolumeError::Unknown(mount.name.clone()))?;
            let directory = self.directory.join(VOLUMES).join(&volume.name);
            make_private(&directory).map_err(at(&directory))?;
            self.fill(volume, &directory).await?;
            self.mount(&root, mount, &directory)?;
        }
        if self.pod.token && !mounts.iter().any(|mount| mount.mount_path.starts_with(TOKENS)) {
            let token = match self.token(None, TOKEN_SECONDS).await {
                // A pod whose account is not there has no rights to prove.
                Err(VolumeError::Missing { .. }) => return Ok(root),
                token => token?,
            };
            let directory = Files::new(&root, "/").outside(TOKENS);
            make_private(&directory).map_err(at(&directory))?;
            write(&directory.join("token"), token.as_bytes())?;
            write(&directory.join("ca.crt"), self.root_certificate.as_bytes())?;
            write(&directory.join("namespace"), self.pod.network.namespace.as_bytes())?;
        }
        Ok(root)
    }

    /// Brings what is mounted up to date. What cannot be read stays as it was.
    pub(super) async fn refresh(&self) {
        let containers = || self.pod.all();
        for volume in &self.pod.volumes {
            let directory = self.directory.join(VOLUMES).join(&volume.name);
            let is_mounted = containers().any(|one| one.mounts.iter().any(|mount| mount.name == volume.name));
            if !is_mounted || !directory.is_dir() {
                continue;
            }
            if let Err(error) = self.fill(volume, &directory).await {
                tracing::debug!(pod = %self.pod.display_name(), %error, "a volume stays as it is");
            }
        }
        for container in containers().filter(|_| self.pod.token) {
            let place = Files::new(self.directory.join(&container.name), "/").outside(TOKENS).join("token");
            let own = !container.mounts.iter().any(|mount| mount.mount_path.starts_with(TOKENS));
            if own
                && is_due(&place, TOKEN_SECONDS)
                && let Ok(token) = self.token(None, TOKEN_SECONDS).await
                && let Err(error) = write(&place, token.as_bytes())
            {
                tracing::warn!(pod = %self.pod.display_name(), %error, "cannot renew a token");
            }
        }
    }

    fn mount(&self, root: &Path, mount: &VolumeMount, volume: &Path) -> Result<()> {
        let sub = mount.sub_path.as_deref().unwrap_or_default();
        // The path below the volume, kept within it.
        let target = Files::new(volume, "/").outside(sub);
        if !sub.is_empty() && !target.exists() {
            make_private(&target).map_err(at(&target))?;
        }
        let place = Files::new(root, "/").outside(&mount.mount_path);
        if fs::symlink_metadata(&place).is_ok_and(|about| about.is_symlink()) {
            fs::remove_file(&place).map_err(at(&place))?;
        } else if place.is_dir() {
            // What the image has there is hidden by the mount.
            fs::remove_dir_all(&place).map_err(at(&place))?;
        }
        if let Some(parent) = place.parent() {
            make_private(parent).map_err(at(parent))?;
        }
        symlink(&target, &place).map_err(at(&place))
    }

    async fn fill(&self, volume: &Volume, directory: &Path) -> Result<()> {
        if volume.empty_dir.is_some() {
            return Ok(());
        }
        let refuse = |kind| Err(VolumeError::Kind { name: volume.name.clone(), kind });
        if let Some(source) = &volume.config_map {
            let optional = source.optional == Some(true);
            let written = self.config_map(volume, &source.name, optional, source.items.as_deref(), directory).await?;
            keep_only(directory, &written)
        } else if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let optional = source.optional == Some(true);
            let written = self.secret(volume, name, optional, source.items.as_deref(), directory).await?;
            keep_only(directory, &written)
        } else if let Some(source) = &volume.downward_api {
            self.downward(volume, source.items.as_deref(), directory)
        } else if let Some(source) = &volume.projected {
            for part in source.sources.iter().flatten() {
                self.project(volume, part, directory).await?;
            }
            Ok(())
        } else if volume.host_path.is_some() {
            refuse("hostPath")
        } else if volume.persistent_volume_claim.is_some() {
            refuse("persistentVolumeClaim")
        } else if volume.ephemeral.is_some() {
            refuse("ephemeral")
        } else {
            refuse("other")
        }
    }

    async fn project(&self, volume: &Volume, part: &VolumeProjection, directory: &Path) -> Result<()> {
        if let Some(source) = &part.config_map {
            let optional = source.optional == Some(true);
            // Written by Kubernetes into every namespace; here it is known without asking.
            if source.name == "kube-root-ca.crt" || source.name == "istio-ca-root-cert" {
                let items = source.items.as_deref().unwrap_or_default();
                let name = items.first().map_or("ca.crt", |item| item.path.as_str());
                return write_below(directory, name, self.root_certificate.as_bytes());
            }
            self.config_map(volume, &source.name, optional, source.items.as_deref(), directory).await.map(drop)
        } else if let Some(source) = &part.secret {
            let optional = source.optional == Some(true);
            self.secret(volume, &source.name, optional, source.items.as_deref(), directory).await.map(drop)
        } else if let Some(source) = &part.downward_api {
            self.downward(volume, source.items.as_deref(), directory)
        } else if let Some(source) = &part.service_account_token {
            // An API server may give less than is asked for: a day is given by all.
            let seconds = source.expiration_seconds.unwrap_or(TOKEN_SECONDS).min(TOKEN_SECONDS);
            let place = Files::new(directory, "/").outside(&source.path);
            if place.exists() && !is_due(&place, seconds) {
                return Ok(());
            }
            let token = self.token(source.audience.as_deref(), seconds).await?;
            write_below(directory, &source.path, token.as_bytes())
        } else {
            Ok(())
        }
    }

    async fn config_map(
        &self,
        volume: &Volume,
        name: &str,
        optional: bool,
        items: Option<&[KeyToPath]>,
        directory: &Path,
    ) -> Result<Vec<String>> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), &self.pod.network.namespace);
        let found = api.get_opt(name).await.map_err(|source| api_error(volume, source))?;
        let data = found.map(|object| {
            let text = object.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
            text.chain(object.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0))).collect()
        });
        write_data(volume, ("ConfigMap", name), optional, items, data, directory)
    }

    async fn secret(
        &self,
        volume: &Volume,
        name: &str,
        optional: bool,
        items: Option<&[KeyToPath]>,
        directory: &Path,
    ) -> Result<Vec<String>> {
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.pod.network.namespace);
        let found = api.get_opt(name).await.map_err(|source| api_error(volume, source))?;
        let data = found.map(|object| object.data.unwrap_or_default().into_iter().map(|(key, v)| (key, v.0)).collect());
        write_data(volume, ("Secret", name), optional, items, data, directory)
    }

    fn downward(&self, volume: &Volume, items: Option<&[DownwardAPIVolumeFile]>, directory: &Path) -> Result<()> {
        for item in items.unwrap_or_default() {
            let field = item.field_ref.as_ref().map(|field| field.field_path.as_str()).unwrap_or_default();
            let all = |map: &BTreeMap<String, String>| {
                map.iter().map(|(key, value)| format!("{key}={value:?}\n")).collect::<String>()
            };
            let value = match field {
                "metadata.labels" => Some(all(&self.pod.network.labels)),
                "metadata.annotations" => Some(all(&self.pod.annotations)),
                "" => item.resource_field_ref.as_ref().and_then(|selector| {
                    let of = selector.container_name.as_deref().unwrap_or_default();
                    self.pod.all().find(|container| container.name == of)?.resources.field(selector)
                }),
                field => field_of(self.pod, self.attachment, self.host_ip, field),
            };
            let unknown = || VolumeError::Field { volume: volume.name.clone(), field: field.to_owned() };
            write_below(directory, &item.path, value.ok_or_else(unknown)?.as_bytes())?;
        }
        Ok(())
    }

    /// A token of the pod's service account, bound to the pod.
    async fn token(&self, audience: Option<&str>, seconds: i64) -> Result<String> {
        let network = &self.pod.network;
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &network.namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: audience.map(|audience| vec![audience.to_owned()]),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(network.name.clone()),
                    uid: Some(network.uid.clone()),
                }),
            }),
            ..TokenRequest::default()
        };
        let answer = api.create_token_request(&network.service_account, &PostParams::default(), &request).await;
        match answer {
            Ok(request) => Ok(request.status.and_then(|status| status.token).unwrap_or_default()),
            Err(kube::Error::Api(answer)) if answer.is_not_found() => Err(VolumeError::Missing {
                volume: "of the token".to_owned(),
                kind: "ServiceAccount",
                name: network.service_account.clone(),
            }),
            Err(source) => Err(VolumeError::Api { volume: "of the token".to_owned(), source: Box::new(source) }),
        }
    }
}

/// Whether a token that was written to a file and holds so many seconds is to be renewed.
fn is_due(place: &Path, seconds: i64) -> bool {
    let written = fs::metadata(place).and_then(|about| about.modified()).ok();
    let age = written.and_then(|written| written.elapsed().ok());
    let life = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    age.is_some_and(|age| age >= life.mul_f64(0.8))
}

fn api_error(volume: &Volume, source: kube::Error) -> VolumeError {
    VolumeError::Api { volume: volume.name.clone(), source: Box::new(source) }
}

type Data = BTreeMap<String, Vec<u8>>;

/// Writes the entries of an object that are wanted; the paths of their files.
fn write_data(
    volume: &Volume,
    (kind, name): (&'static str, &str),
    optional: bool,
    items: Option<&[KeyToPath]>,
    data: Option<Data>,
    directory: &Path,
) -> Result<Vec<String>> {
    let Some(data) = data else {
        if optional {
            return Ok(Vec::new());
        }
        return Err(VolumeError::Missing { volume: volume.name.clone(), kind, name: name.to_owned() });
    };
    let mut written = Vec::new();
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        for (key, content) in data {
            write_below(directory, &key, &content)?;
            written.push(key);
        }
        return Ok(written);
    };
    for item in items {
        match data.get(&item.key) {
            Some(content) => {
                write_below(directory, &item.path, content)?;
                written.push(item.path.clone());
            }
            None if optional => {}
            None => {
                let (name, key) = (name.to_owned(), item.key.clone());
                return Err(VolumeError::MissingKey { volume: volume.name.clone(), kind, name, key });
            }
        }
    }
    Ok(written)
}

/// Removes the files of entries that are there no more.
fn keep_only(directory: &Path, written: &[String]) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(at(directory))?;
    for entry in entries {
        let entry = entry.map_err(at(directory))?;
        let name = entry.file_name();
        let wanted = |path: &String| Path::new(path.trim_start_matches('/')).iter().next() == Some(name.as_os_str());
        if !written.iter().any(wanted) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(at(&entry.path()))?;
        }
    }
    Ok(())
}

/// Writes a file whose path comes from an object: it stays below the directory.
fn write_below(directory: &Path, path: &str, content: &[u8]) -> Result<()> {
    let place = Files::new(directory, "/").outside(path);
    if let Some(parent) = place.parent() {
        make_private(parent).map_err(at(parent))?;
    }
    write(&place, content)
}

fn write(place: &Path, content: &[u8]) -> Result<()> {
    if fs::read(place).is_ok_and(|there| there == content) {
        return Ok(());
    }
    // Whoever reads it sees the one or the other, never a part.
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = place.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(&fresh);
    file.and_then(|mut file| io::Write::write_all(&mut file, content)).map_err(at(&fresh))?;
    fs::rename(&fresh, place).map_err(at(place))
}
