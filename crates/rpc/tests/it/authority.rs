//! An authority of a test's own, and certificates of every kind.

use std::fs;
use std::path::{Path, PathBuf};

use flotilla_rpc::tls::TlsSettings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// Issues certificates into a folder that goes with it.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What stands in a certificate.
pub struct Wanted<'a> {
    pub file: &'a str,
    pub uris: &'a [&'a str],
    pub begins_in: Duration,
    pub ends_in: Duration,
}

/// Long enough ago even with differing clocks.
pub const EARLIER: Duration = Duration::hours(-2);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), issuer }
    }

    /// The certificate of a service, as good as they come.
    pub fn service(&self, name: &str) -> TlsSettings {
        let uri = format!("spiffe://flotilla/{name}");
        self.issue(&Wanted { file: name, uris: &[&uri], begins_in: EARLIER, ends_in: Duration::hours(1) })
    }

    pub fn issue(&self, wanted: &Wanted<'_>) -> TlsSettings {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now + wanted.begins_in, now + wanted.ends_in);
        for uri in wanted.uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        let settings = TlsSettings {
            certificate: self.path(&format!("{}.pem", wanted.file)),
            key: self.path(&format!("{}.key", wanted.file)),
            authority: self.path("authority.pem"),
        };
        replace(&settings.key, &key.serialize_pem());
        replace(&settings.certificate, &params.signed_by(&key, &self.issuer).unwrap().pem());
        replace(&settings.authority, &self.issuer.pem());
        settings
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }
}

/// Replaces a file whole, as those who renew certificates do.
pub fn replace(path: &Path, content: &str) {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, content).unwrap();
    fs::rename(fresh, path).unwrap();
}
