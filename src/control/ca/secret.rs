//! Where the authority is kept in a cluster: the user's own in Secret `cacerts`, else one that is made once and kept in
//! Secret `istio-ca-secret` (Istio's names, so that a mesh can be taken over with its root).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::identity::{Authority, AuthorityFiles, IdentityError, TrustDomain};

/// What users put their own authority into.
const PLUGGED_IN: &str = "cacerts";

/// What a made authority is kept in.
const SELF_MADE: &str = "istio-ca-secret";

/// Type of the Secret of a made authority.
const SELF_MADE_TYPE: &str = "istio.io/ca-root";

/// How long is waited for a Secret that another replica makes.
const WAITS: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(2)];

/// Why a cluster gives no authority.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server refused, or is not there.
    #[error("cannot {action} Secret {namespace}/{name}: {source}")]
    Api {
        /// What was tried.
        action: &'static str,
        /// Namespace of the Secret.
        namespace: String,
        /// Its name.
        name: &'static str,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// It was made, and is not there.
    #[error("Secret {namespace}/{name} was made and is not there: somebody deletes it")]
    Vanished {
        /// Namespace of the Secret.
        namespace: String,
        /// Its name.
        name: &'static str,
    },
    /// What is there cannot be used. It is not replaced: workloads may still trust it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The cluster's authority: that of `cacerts` in `namespace`, whole or an error; else that of `istio-ca-secret`, which is made
/// where it is not there. Of two that make one at the same time, the first wins and both use it.
///
/// # Errors
/// [`SecretError`]
pub async fn from_secret(
    client: &Client,
    namespace: &str,
    trust_domain: &TrustDomain,
) -> Result<Authority, SecretError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |action, name| {
        let namespace = namespace.to_owned();
        move |source| SecretError::Api { action, namespace, name, source: Box::new(source) }
    };
    for name in [PLUGGED_IN, SELF_MADE] {
        if let Some(secret) = api.get_opt(name).await.map_err(failed("read", name))? {
            return Ok(read(&secret, namespace, name, trust_domain)?);
        }
    }
    let made = AuthorityFiles::generate(trust_domain)?;
    let data: BTreeMap<String, ByteString> =
        made.named().into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec()))).collect();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SELF_MADE.to_owned()), ..ObjectMeta::default() },
        type_: Some(SELF_MADE_TYPE.to_owned()),
        data: Some(data),
        ..Secret::default()
    };
    match api.create(&PostParams::default(), &secret).await {
        Ok(_) => tracing::info!(namespace, secret = SELF_MADE, "made a certificate authority"),
        // Another replica was first.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(failed("create", SELF_MADE)(error)),
    }
    // One that another replica is just making may be refused to us before it can be read.
    let mut waits = WAITS.iter();
    loop {
        match (api.get_opt(SELF_MADE).await.map_err(failed("read", SELF_MADE))?, waits.next()) {
            (Some(secret), _) => return Ok(read(&secret, namespace, SELF_MADE, trust_domain)?),
            (None, Some(wait)) => tokio::time::sleep(*wait).await,
            (None, None) => return Err(SecretError::Vanished { namespace: namespace.to_owned(), name: SELF_MADE }),
        }
    }
}

fn read(
    secret: &Secret,
    namespace: &str,
    name: &'static str,
    trust_domain: &TrustDomain,
) -> Result<Authority, IdentityError> {
    let text = |file: &str| {
        let bytes = &secret.data.as_ref()?.get(file)?.0;
        // An empty entry is what Istio writes for a file that it does not need.
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
    };
    let mut files = AuthorityFiles::from_named(text).unwrap_or_default();
    if name == SELF_MADE && files.root.is_none() {
        // Istio's own keeps a self-signed certificate once.
        files.root = files.certificate.clone();
    }
    Authority::from_files(Path::new(&format!("Secret {namespace}/{name}")), files, trust_domain)
}
