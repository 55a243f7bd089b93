//! What the mesh reads from an X.509 certificate: whom it names, when it holds, who signed it.
//!
//! Nothing here is proof: a certificate says these things about itself until its chain has been verified.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, time::ASN1Time};

use super::{IdentityError, SpiffeId};

/// The time in which a certificate holds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment at which it holds.
    pub not_before: SystemTime,
    /// Last moment at which it holds.
    pub not_after: SystemTime,
}

/// The SPIFFE id that `certificate` names, which must be its only URI (X.509-SVID, section 2).
///
/// Names of other types (DNS, addresses) neither help nor harm.
///
/// # Errors
/// [`IdentityError::NotAWorkload`] where there is no URI or more than one, or a name that cannot be read;
/// [`IdentityError::SpiffeId`] where the URI is not a workload's id; [`IdentityError::Certificate`].
pub fn spiffe_id(certificate: &CertificateDer<'_>) -> Result<SpiffeId, IdentityError> {
    let parsed = parse(certificate)?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|e| IdentityError::NotAWorkload(format!("its alternative names: {e}")))?
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let mut uri = None;
    for name in names {
        match name {
            GeneralName::URI(found) if uri.is_none() => uri = Some(*found),
            GeneralName::URI(_) => {
                return Err(IdentityError::NotAWorkload(
                    "it has more than one URI among its alternative names, and a workload has exactly one".into(),
                ));
            }
            GeneralName::Invalid(..) => {
                return Err(IdentityError::NotAWorkload("one of its alternative names cannot be read".into()));
            }
            _ => {}
        }
    }
    uri.ok_or_else(|| IdentityError::NotAWorkload("it has no URI among its alternative names".into()))?.parse()
}

/// When `certificate` holds.
///
/// # Errors
/// [`IdentityError::Certificate`] where it cannot be read.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, IdentityError> {
    Ok(validity_of(&parse(certificate)?))
}

/// The name of the authority that `certificate` says has signed it.
///
/// # Errors
/// [`IdentityError::Certificate`] where it cannot be read.
pub fn issuer_name(certificate: &CertificateDer<'_>) -> Result<String, IdentityError> {
    Ok(parse(certificate)?.issuer().to_string())
}

/// The serial number of `certificate`, in hexadecimal.
///
/// # Errors
/// [`IdentityError::Certificate`] where it cannot be read.
pub fn serial_number(certificate: &CertificateDer<'_>) -> Result<String, IdentityError> {
    Ok(parse(certificate)?.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(IdentityError::Certificate("there are bytes after its end".into())),
        Err(e) => Err(IdentityError::Certificate(e.to_string())),
    }
}

pub(super) fn validity_of(parsed: &X509Certificate<'_>) -> Validity {
    let validity = parsed.validity();
    Validity { not_before: system_time(validity.not_before), not_after: system_time(validity.not_after) }
}

pub(super) fn is_self_issued(parsed: &X509Certificate<'_>) -> bool {
    parsed.subject().as_raw() == parsed.issuer().as_raw()
}

/// Whether `issuer` signed `subject`: its name is the issuer's, and the signature verifies.
pub(super) fn is_signed_by(subject: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    subject.issuer().as_raw() == issuer.subject().as_raw()
        && subject.verify_signature(Some(issuer.public_key())).is_ok()
}

/// `time` as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "a time out of range".into(), |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    moment.unwrap_or(UNIX_EPOCH)
}
