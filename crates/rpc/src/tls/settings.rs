//! Which files hold the certificate, its key and the authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_config::{Problems, Setting, Validate};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use super::TlsError;

/// PEM files of one end of mutual TLS. They may be replaced at any time.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Setting)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Own certificate, followed by the certificates between it and the authority's, if any.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Certificates of the authorities whose word counts.
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

/// What the files hold.
pub(super) struct Material {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub authorities: Arc<RootCertStore>,
}

impl Material {
    /// Reads all three files: small ones, and seldom.
    pub fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(&read(&settings.key)?)
            .map_err(|_| TlsError::Content { path: settings.key.clone(), what: "private key" })?;
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(&settings.authority)? {
            authorities.add(certificate).map_err(|error| settings.unusable(&error))?;
        }
        Ok(Self { chain: certificates(&settings.certificate)?, key, authorities: Arc::new(authorities) })
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

/// The cryptography, handed to each configuration: no process-wide default is needed.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
