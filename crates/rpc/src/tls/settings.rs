//! Which files hold the certificate, its key and the authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_config::{HumanDuration, Problems, Setting, Validate};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::TlsError;

/// PEM files of one end of mutual TLS. They may be replaced at any time.
#[derive(Debug, Clone, PartialEq, Eq, Setting)]
pub struct TlsSettings {
    /// The own certificate, followed by intermediate certificates, if any.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Certificates of the trusted authorities.
    pub authority: PathBuf,
}

impl Validate for TlsSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, path) in self.files() {
            problems.require(!path.as_os_str().is_empty(), name, "must be the path of a PEM file");
        }
    }
}

impl TlsSettings {
    pub(super) fn files(&self) -> [(&'static str, &Path); 3] {
        [("certificate", &self.certificate), ("key", &self.key), ("authority", &self.authority)]
    }

    pub(super) fn unusable(&self, reason: &impl ToString) -> TlsError {
        TlsError::Unusable { path: self.certificate.clone(), reason: reason.to_string() }
    }
}

/// The content of the files.
pub(super) struct Material {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub authorities: Arc<RootCertStore>,
}

impl Material {
    /// Reads all three files, synchronously: they are small and rarely read.
    pub fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(&read(&settings.key)?)
            .map_err(|_| TlsError::Content { path: settings.key.clone(), what: "private key" })?;
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(&settings.authority)? {
            authorities.add(certificate).map_err(|error| settings.unusable(&error))?;
        }
        let chain = certificates(&settings.certificate)?;
        refuse_untimely(settings, &chain, &authorities)?;
        Ok(Self { chain, key, authorities: Arc::new(authorities) })
    }
}

/// Refuses a certificate that has expired or isn't valid yet: every peer would refuse it, and only here can the error
/// be fixed. The issuer isn't checked, because peers decide whom they trust: the public port's certificate may be from
/// any authority.
fn refuse_untimely(
    settings: &TlsSettings,
    chain: &[CertificateDer<'static>],
    authorities: &RootCertStore,
) -> Result<(), TlsError> {
    let Some((own, between)) = chain.split_first() else { return Ok(()) };
    let own = webpki::EndEntityCert::try_from(own).map_err(|error| settings.unusable(&error))?;
    let algorithms = provider().signature_verification_algorithms.all;
    let (now, usage) = (UnixTime::now(), webpki::KeyUsage::client_auth());
    let seconds = |time: UnixTime| time.as_secs();
    match own.verify_for_usage(algorithms, &authorities.roots, between, now, usage, None, None) {
        Err(webpki::Error::CertExpired { time, not_after }) => {
            let since = HumanDuration::from_secs(seconds(time).saturating_sub(seconds(not_after)));
            Err(settings.unusable(&format!("it expired {since} ago")))
        }
        Err(webpki::Error::CertNotValidYet { time, not_before }) => {
            let until = HumanDuration::from_secs(seconds(not_before).saturating_sub(seconds(time)));
            Err(settings.unusable(&format!("it isn't valid before {until} from now: is this machine's clock right?")))
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = || TlsError::Content { path: path.to_owned(), what: "certificate" };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(wrong)
}

/// The crypto provider, passed to each configuration, so that no process-wide default is needed.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
