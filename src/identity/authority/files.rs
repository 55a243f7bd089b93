//! The authority's files: read whole or not at all, made in one step.
//!
//! A new set is written to a directory beside the wanted one and renamed over it, so that a crash leaves either no
//! authority or a complete one.

use std::{
    ffi::OsString,
    fmt, fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use super::{Authority, serial_number, sign_error};
use crate::identity::{
    IdentityError, TrustBundle, TrustDomain,
    certificate::{self, Validity},
    key, pem,
};

/// The signing key.
pub(super) const KEY: &str = "ca-key.pem";
/// The signing certificate.
const CERTIFICATE: &str = "ca-cert.pem";
/// The root, or several while one replaces another.
const ROOT: &str = "root-cert.pem";
/// The certificates between the signing certificate and the root.
const CHAIN: &str = "cert-chain.pem";

/// Life of a self-made root: ten years.
const ROOT_LIFETIME: Duration = Duration::from_secs(3652 * 24 * 3600);
/// How long before its making a self-made root begins to hold.
const ROOT_BACKDATE: Duration = Duration::from_secs(3600);
/// Most certificates between a workload and its root that a TLS peer will follow.
const MAX_PATH: usize = 6;
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The authority in `dir`, or `None` where `dir` is empty or missing.
pub(super) fn load(dir: &Path, trust_domain: &TrustDomain) -> Result<Option<Authority>, IdentityError> {
    let found = AuthorityFiles {
        key: read(dir, KEY)?,
        certificate: read(dir, CERTIFICATE)?,
        root: read(dir, ROOT)?,
        chain: read(dir, CHAIN)?,
    };
    if found == AuthorityFiles::default() {
        return if is_vacant(dir)? { Ok(None) } else { Err(IdentityError::Occupied { dir: dir.to_owned() }) };
    }
    found.check(dir, trust_domain).map(Some)
}

/// An authority's files as text, wherever they are kept: a directory, or a Secret. Prints without the key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// `ca-key.pem`: the signing key.
    pub key: Option<String>,
    /// `ca-cert.pem`: the signing certificate.
    pub certificate: Option<String>,
    /// `root-cert.pem`: the root, or several while one replaces another.
    pub root: Option<String>,
    /// `cert-chain.pem`: the certificates between the signing certificate and the root.
    pub chain: Option<String>,
}

impl AuthorityFiles {
    /// Takes the files from a mapping of their names to their texts; `None` where none of them is there.
    pub fn from_named(text: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let found = Self { key: text(KEY), certificate: text(CERTIFICATE), root: text(ROOT), chain: text(CHAIN) };
        (found != Self::default()).then_some(found)
    }

    /// The files that are there, by name.
    pub fn named(&self) -> Vec<(&'static str, &str)> {
        let all = [(KEY, &self.key), (CERTIFICATE, &self.certificate), (ROOT, &self.root), (CHAIN, &self.chain)];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))).collect()
    }

    /// The files of a new self-signed authority: ECDSA P-256, ten years.
    ///
    /// # Errors
    /// [`IdentityError::Key`] or [`IdentityError::Sign`] where the system has no randomness to give.
    pub fn generate(trust_domain: &TrustDomain) -> Result<Self, IdentityError> {
        let key = rcgen::KeyPair::generate().map_err(|e| IdentityError::Key(e.to_string()))?;
        let root = self_signed(&key, trust_domain)?;
        Ok(Self { key: Some(key.serialize_pem()), certificate: Some(root.clone()), root: Some(root), chain: None })
    }

    pub(super) fn check(self, dir: &Path, trust_domain: &TrustDomain) -> Result<Authority, IdentityError> {
        let need = |file: Option<String>, missing| {
            file.ok_or_else(|| IdentityError::Incomplete { dir: dir.to_owned(), missing })
        };
        let set = Files {
            dir,
            key: need(self.key, KEY)?,
            signing: need(self.certificate, CERTIFICATE)?,
            root: need(self.root, ROOT)?,
            chain: self.chain,
        };
        set.check(trust_domain)
    }
}

impl fmt::Debug for AuthorityFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.named().into_iter().map(|(name, _)| name)).finish()
    }
}

/// Makes a self-signed authority in `dir`, which is empty or missing.
pub(super) fn create(dir: &Path, trust_domain: &TrustDomain) -> Result<(), IdentityError> {
    let made = AuthorityFiles::generate(trust_domain)?;
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| IdentityError::Io { action, path, source }
    };

    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io("make the directory", parent))?;
    let making = beside(dir);
    match fs::remove_dir_all(&making) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(io("clear", &making)(e));
        }
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(&making).map_err(io("make the directory", &making))?;
    for (name, text) in made.named() {
        let path = making.join(name);
        write(&path, text).map_err(io("write", &path))?;
    }
    sync(&making).map_err(io("write", &making))?;
    match fs::rename(&making, dir) {
        Ok(()) => sync(parent).map_err(io("write", parent)),
        // Another process was first; its authority is the one to use.
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(&making).map_err(io("clear", &making)),
        Err(e) => Err(io("make", dir)(e)),
    }
}

struct Files<'a> {
    dir: &'a Path,
    key: String,
    signing: String,
    root: String,
    chain: Option<String>,
}

impl Files<'_> {
    fn check(self, trust_domain: &TrustDomain) -> Result<Authority, IdentityError> {
        let key = key::parse_private_key(&self.key).map_err(|e| self.wrong(KEY, e))?;
        let signing = self.certificates(CERTIFICATE, &self.signing)?;
        let roots = self.certificates(ROOT, &self.root)?;
        let pool = match &self.chain {
            Some(text) => self.certificates(CHAIN, text)?,
            None => Vec::new(),
        };
        let signing = signing.into_iter().next().ok_or_else(|| self.wrong(CERTIFICATE, "it holds no certificate"))?;
        if self.chain.is_none() && !roots.contains(&signing) {
            return Err(IdentityError::Incomplete { dir: self.dir.to_owned(), missing: CHAIN });
        }

        let parsed = self.parse(CERTIFICATE, &signing)?;
        let validity = certificate::validity_of(&parsed);
        self.check_signing(&parsed, &key, validity, trust_domain)?;
        let path = self.path(&signing, &pool, &roots)?;
        let validity = self.shortest(validity, &path)?;
        let bundle = TrustBundle::from_pem(trust_domain, &self.root).map_err(|e| self.wrong(ROOT, e))?;
        let issuer = Issuer::from_ca_cert_der(&signing, key).map_err(|e| self.wrong(CERTIFICATE, e))?;
        let authority = Authority { trust_domain: trust_domain.clone(), issuer, path, validity, bundle };
        self.check_name(&authority, &parsed)?;
        Ok(authority)
    }

    /// Whether the signing certificate may sign, now, with this key, for this trust domain.
    fn check_signing(
        &self,
        parsed: &X509Certificate<'_>,
        key: &rcgen::KeyPair,
        validity: Validity,
        trust_domain: &TrustDomain,
    ) -> Result<(), IdentityError> {
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(self.wrong(KEY, format!("it is not the key of {CERTIFICATE}; put the matching pair there")));
        }
        let may_sign = match parsed.key_usage() {
            Ok(Some(usage)) => usage.value.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        };
        if !parsed.is_ca() || !may_sign {
            return Err(self.wrong(
                CERTIFICATE,
                "it may not sign certificates (it needs CA:TRUE and the key usage Certificate Sign)",
            ));
        }
        let now = SystemTime::now();
        if now > validity.not_after {
            return Err(self.wrong(
                CERTIFICATE,
                format!("it expired at {}; replace it and {KEY}", certificate::rfc3339(validity.not_after)),
            ));
        }
        if now < validity.not_before {
            return Err(self.wrong(
                CERTIFICATE,
                format!(
                    "it does not hold before {}; check the clock of this machine",
                    certificate::rfc3339(validity.not_before)
                ),
            ));
        }
        match spiffe_domain(parsed) {
            Some(made_for) if made_for != trust_domain.as_str() => Err(self.wrong(
                CERTIFICATE,
                format!(
                    "it was made for trust domain {made_for:?}, and {trust_domain} is asked for; set that trust domain, or use another directory"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The way from the signing certificate to one of the roots, by names and signatures.
    fn path(
        &self,
        signing: &CertificateDer<'static>,
        pool: &[CertificateDer<'static>],
        roots: &[CertificateDer<'static>],
    ) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let mut path = vec![signing.clone()];
        let mut last = signing;
        while !roots.contains(last) {
            let subject = self.parse(CHAIN, last)?;
            let issuer = [(ROOT, roots), (CHAIN, pool)]
                .into_iter()
                .flat_map(|(file, found)| found.iter().map(move |issuer| (file, issuer)))
                .find(|(file, issuer)| {
                    self.parse(file, issuer).is_ok_and(|issuer| certificate::is_signed_by(&subject, &issuer))
                });
            match issuer {
                Some((_, issuer)) if path.len() < MAX_PATH => {
                    path.push(issuer.clone());
                    last = issuer;
                }
                _ => {
                    return Err(self.wrong(
                        CHAIN,
                        format!(
                            "there is no way from {CERTIFICATE} to a root in {ROOT}: the certificate of {:?}, which signed {:?}, is in neither file",
                            subject.issuer().to_string(),
                            subject.subject().to_string()
                        ),
                    ));
                }
            }
        }
        Ok(path)
    }

    /// When every certificate on the way to the root holds: what is signed is believed no longer than the first of them.
    fn shortest(&self, signing: Validity, path: &[CertificateDer<'static>]) -> Result<Validity, IdentityError> {
        let now = SystemTime::now();
        path.iter().skip(1).try_fold(signing, |shortest, above| {
            let parsed = self.parse(CHAIN, above)?;
            let held = certificate::validity_of(&parsed);
            if now > held.not_after {
                let expired = certificate::rfc3339(held.not_after);
                let reason =
                    format!("the certificate of {:?} expired at {expired}; replace it", parsed.subject().to_string());
                return Err(self.wrong(CHAIN, reason));
            }
            Ok(Validity {
                not_before: shortest.not_before.max(held.not_before),
                not_after: shortest.not_after.min(held.not_after),
            })
        })
    }

    /// Whether what this authority signs will name it as the signing certificate does, byte for byte: the signer
    /// rebuilds the name and cannot repeat an attribute in it.
    fn check_name(&self, authority: &Authority, signing: &X509Certificate<'_>) -> Result<(), IdentityError> {
        let (chain, _) = authority.sign_server(&["probe.invalid".to_owned()], &[], Duration::from_secs(1))?;
        let signs_as_named = chain
            .first()
            .and_then(|leaf| certificate::parse(leaf).ok())
            .is_some_and(|leaf| certificate::is_signed_by(&leaf, signing));
        if signs_as_named {
            return Ok(());
        }
        Err(self.wrong(
            CERTIFICATE,
            format!(
                "its subject, {:?}, repeats an attribute, which is not supported; use a signing certificate with each attribute once",
                signing.subject().to_string()
            ),
        ))
    }

    fn certificates(&self, file: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        pem::certificates(text).map_err(|e| self.wrong(file, e))
    }

    fn parse<'a>(&self, file: &str, certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
        certificate::parse(certificate).map_err(|e| self.wrong(file, e))
    }

    fn wrong(&self, file: &str, reason: impl ToString) -> IdentityError {
        IdentityError::File { path: self.dir.join(file), reason: reason.to_string() }
    }
}

fn self_signed(key: &rcgen::KeyPair, trust_domain: &TrustDomain) -> Result<String, IdentityError> {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain.as_str());
    // An authority's own SPIFFE id is its trust domain (X.509-SVID, section 3.2).
    params.subject_alt_names =
        vec![SanType::URI(format!("spiffe://{trust_domain}").as_str().try_into().map_err(sign_error)?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - ROOT_BACKDATE).into();
    params.not_after = (now + ROOT_LIFETIME).into();
    params.serial_number = Some(serial_number()?);
    Ok(params.self_signed(key).map_err(sign_error)?.pem())
}

/// The trust domain in an authority's own SPIFFE id, where it has one.
fn spiffe_domain<'a>(authority: &'a X509Certificate<'_>) -> Option<&'a str> {
    authority.subject_alternative_name().ok()??.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://"),
        _ => None,
    })
}

fn read(dir: &Path, name: &'static str) -> Result<Option<String>, IdentityError> {
    let path = dir.join(name);
    let failed = |path: &Path, source| IdentityError::Io { action: "read", path: path.to_owned(), source };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > MAX_FILE => {
            return Err(IdentityError::File { path, reason: "it is larger than 1 MiB".into() });
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(&path, e)),
    }
    fs::read_to_string(&path).map(Some).map_err(|e| failed(&path, e))
}

fn is_vacant(dir: &Path) -> Result<bool, IdentityError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(true),
        Err(source) => Err(IdentityError::Io { action: "read", path: dir.to_owned(), source }),
    }
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(dir.file_name().unwrap_or_else(|| "ca".as_ref()));
    name.push(format!(".new-{}", std::process::id()));
    dir.with_file_name(name)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync(dir: &Path) -> std::io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
