//! TLS to servers outside the mesh.

use crate::model::{Authorities, Origination, OwnCertificate, PrivateKeyPem};
use crate::wire::convert::{ConvertError, Problem, list, non_empty};
use crate::wire::proto::mesh::v1;
use crate::wire::proto::mesh::v1::origination;

impl From<&Origination> for v1::Origination {
    fn from(wanted: &Origination) -> Self {
        let authorities = match &wanted.authorities {
            Authorities::System => origination::Authorities::System(true),
            Authorities::Pem(pem) => origination::Authorities::Pem(pem.to_string()),
            Authorities::File(file) => origination::Authorities::File(file.to_string()),
            Authorities::Unverified => origination::Authorities::Unverified(true),
        };
        let certificate = match &wanted.certificate {
            OwnCertificate::None => None,
            OwnCertificate::Pem(chain, key) => {
                let pair = v1::KeyPair { chain: chain.to_string(), key: key.reveal().to_owned() };
                Some(origination::Certificate::Text(pair))
            }
            OwnCertificate::Files { chain, key } => {
                let pair = v1::KeyPair { chain: chain.to_string(), key: key.to_string() };
                Some(origination::Certificate::Files(pair))
            }
        };
        Self {
            server_name: wanted.server_name.as_deref().unwrap_or_default().to_owned(),
            subject_names: wanted.subject_names.iter().map(ToString::to_string).collect(),
            authorities: Some(authorities),
            certificate,
        }
    }
}

impl TryFrom<v1::Origination> for Origination {
    type Error = ConvertError;

    fn try_from(message: v1::Origination) -> Result<Self, ConvertError> {
        let authorities = match message.authorities {
            Some(origination::Authorities::System(true)) => Authorities::System,
            Some(origination::Authorities::Unverified(true)) => Authorities::Unverified,
            Some(origination::Authorities::Pem(pem)) => Authorities::Pem(non_empty("pem", pem)?),
            Some(origination::Authorities::File(file)) => Authorities::File(non_empty("file", file)?),
            // Nobody in particular must not become everybody.
            Some(origination::Authorities::System(false) | origination::Authorities::Unverified(false)) | None => {
                return Err(ConvertError::new("authorities", Problem::Missing));
            }
        };
        let certificate = match message.certificate {
            None => OwnCertificate::None,
            Some(origination::Certificate::Text(pair)) => {
                let key = non_empty("text.key", pair.key)?;
                OwnCertificate::Pem(non_empty("text.chain", pair.chain)?, PrivateKeyPem::new(&key))
            }
            Some(origination::Certificate::Files(pair)) => OwnCertificate::Files {
                chain: non_empty("files.chain", pair.chain)?,
                key: non_empty("files.key", pair.key)?,
            },
        };
        Ok(Self {
            server_name: (!message.server_name.is_empty()).then(|| message.server_name.into()),
            subject_names: list("subject_names", message.subject_names, |name| non_empty("", name))?,
            authorities,
            certificate,
        })
    }
}
