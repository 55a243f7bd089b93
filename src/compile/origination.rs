//! TLS that clients begin: DestinationRule's `tls`, with what the Secrets hold that it names.
//!
//! What cannot be made is [`Unavailable`](UpstreamTls::Unavailable), with the reason: plaintext is never what a rule about TLS falls
//! back to.

use std::sync::Arc;

use crate::compile::world::{Scope, TlsSecret, World};
use crate::identity::SpiffeId;
use crate::model::{Authorities, Origination, OwnCertificate, UpstreamTls};
use crate::resources::destination_rule::{ClientTls, ClientTlsMode};

/// Where Secrets are looked for: in the clients' namespace; `None` where they get none, as sidecars do (Istio).
pub(super) type Secrets<'a> = Option<(&'a World, &'a Scope)>;

/// What a rule says about TLS.
pub(super) fn upstream_tls(settings: &ClientTls, secrets: Secrets<'_>) -> UpstreamTls {
    let mutual = match settings.mode {
        Some(ClientTlsMode::Disable) | None => return UpstreamTls::Disable,
        Some(ClientTlsMode::IstioMutual) => return mesh_tls(settings),
        Some(ClientTlsMode::Simple) => false,
        Some(ClientTlsMode::Mutual) => true,
    };
    if named(settings.ca_crl.as_deref()).is_some() {
        return UpstreamTls::Unavailable("revoked certificates would be accepted: caCrl is not in force".into());
    }
    let parts = match named(settings.credential_name.as_deref()) {
        Some(secret) => from_secret(&secret, mutual, secrets),
        None => from_files(settings, mutual),
    };
    let (authorities, certificate) = match parts {
        Ok(parts) => parts,
        Err(reason) => return UpstreamTls::Unavailable(reason.into()),
    };
    let unverified = settings.insecure_skip_verify == Some(true);
    UpstreamTls::Originate(Arc::new(Origination {
        server_name: named(settings.sni.as_deref()),
        subject_names: settings.subject_alt_names.iter().map(|name| name.as_str().into()).collect(),
        authorities: if unverified { Authorities::Unverified } else { authorities },
        certificate,
    }))
}

/// Mutual TLS of the mesh; with the identities that the rule names, and no others, where it names any.
fn mesh_tls(settings: &ClientTls) -> UpstreamTls {
    let names: Result<Vec<SpiffeId>, _> = settings.subject_alt_names.iter().map(|name| name.parse()).collect();
    match names {
        Ok(names) => UpstreamTls::IstioMutual { server_name: named(settings.sni.as_deref()), names },
        Err(error) => UpstreamTls::Unavailable(format!("a subjectAltName is no workload's: {error}").into()),
    }
}

fn named(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(Into::into)
}

fn from_files(settings: &ClientTls, mutual: bool) -> Result<(Authorities, OwnCertificate), String> {
    let authorities = named(settings.ca_certificates.as_deref()).map_or(Authorities::System, Authorities::File);
    if !mutual {
        return Ok((authorities, OwnCertificate::None));
    }
    let chain = named(settings.client_certificate.as_deref());
    match chain.zip(named(settings.private_key.as_deref())) {
        Some((chain, key)) => Ok((authorities, OwnCertificate::Files { chain, key })),
        None => Err("MUTUAL without a client certificate and its key".to_owned()),
    }
}

fn from_secret(name: &str, mutual: bool, secrets: Secrets<'_>) -> Result<(Authorities, OwnCertificate), String> {
    let name = name.strip_prefix("kubernetes://").unwrap_or(name);
    let Some((world, scope)) = secrets else {
        return Err(format!("the secret {name} is for gateways: for other clients, name files instead"));
    };
    let secret =
        |name: String| -> Option<&Arc<TlsSecret>> { world.secrets.get(&(scope.namespace.clone(), name.into())) };
    let own = secret(name.to_owned());
    let authorities =
        own.and_then(|own| own.authorities.clone()).or_else(|| secret(format!("{name}-cacert"))?.authorities.clone());
    let missing = |what: &str| format!("the secret {}/{name} with {what} is not there", scope.namespace);
    if !mutual {
        let pem = authorities.ok_or_else(|| missing("the authorities (`ca.crt`)"))?;
        return Ok((Authorities::Pem(pem), OwnCertificate::None));
    }
    let (chain, key) = own
        .and_then(|own| own.certificate.clone())
        .ok_or_else(|| missing("the client's certificate and key (`tls.crt`, `tls.key`)"))?;
    Ok((authorities.map_or(Authorities::System, Authorities::Pem), OwnCertificate::Pem(chain, key)))
}
