//! Certificates to PEM text and back.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::IdentityError;

/// Bytes that make one full line of 64 characters (RFC 7468, section 2).
const BYTES_PER_LINE: usize = 48;

/// The certificates in `text`, in order; what lies between them is passed over.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let refuse = |reason: String| IdentityError::Pem { wanted: "certificate", reason };
    let found = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| refuse(e.to_string()))?;
    if found.is_empty() {
        return Err(refuse("there is no BEGIN CERTIFICATE section".into()));
    }
    Ok(found)
}

/// The first certificate in a PEM text; `None` where there is none that can be read.
pub fn first_certificate(text: &str) -> Option<CertificateDer<'static>> {
    certificates(text).ok()?.into_iter().next()
}

/// `certificate` as one PEM section that ends in a line feed.
pub fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    let mut text = String::with_capacity(certificate.len() * 4 / 3 + 96);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.chunks(BYTES_PER_LINE) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_certificates_read_back_whatever_their_length() {
        for length in [1, 2, 3, 47, 48, 49, 95, 96, 97, 500] {
            let der: Vec<u8> = (0..length).map(|i| (i * 7 % 256) as u8).collect();
            let text = certificate_pem(&CertificateDer::from(der.clone()));
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert_eq!(certificates(&text).unwrap(), [CertificateDer::from(der)]);
        }
    }

    #[test]
    fn text_without_a_certificate_is_an_error() {
        let error =
            certificates("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap_err().to_string();
        assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    }
}
