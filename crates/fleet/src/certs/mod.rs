//! The development authority and the certificates that it issues, in `.flotilla/certs/`.
//!
//! `authority.pem` holds the authorities that are trusted (the newest first), `authority.key` the newest one's key;
//! `<name>.pem` and `<name>.key` belong to a service or to `developer`, which is for tools and for this command.
//! Only the owner can read the files. They are replaced atomically, so that a reader sees the old or the new
//! one, and running services reload them automatically.

mod issue;

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use flotilla_rpc::tls::TlsSettings;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use self::issue::Authority;
use crate::{SERVICES, home::Home};

/// The name in the certificate for tools and for this command.
pub const DEVELOPER: &str = "developer";
/// How long a certificate is valid.
const LIFETIME: time::Duration = time::Duration::hours(24);
/// A certificate that is valid for less than this is renewed.
const LEAST_LEFT: time::Duration = time::Duration::hours(8);
/// How long an authority is valid.
const AUTHORITY_LIFETIME: time::Duration = time::Duration::days(365);
/// An authority that is valid for less than this is renewed; longer than the lifetime of the certificates that it
/// issues.
const AUTHORITY_LEAST_LEFT: time::Duration = time::Duration::days(30);
/// After this time, running services have read changed files.
const SPREAD: Duration = Duration::from_secs(2);
/// How often a running fleet's certificates are checked.
const LOOK: Duration = Duration::from_secs(60);
/// Name of the authority in the list of issued certificates.
pub const AUTHORITY: &str = "authority";

/// What to issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// What is missing or expires soon.
    Due,
    /// All certificates, with the same authority.
    Certificates,
    /// The authority and all certificates.
    Authority,
}

/// The folder with a fleet's certificates.
#[must_use]
pub fn folder(home: &Home) -> PathBuf {
    home.root().join("certs")
}

/// The files of one name in that folder.
#[must_use]
pub fn settings(folder: &Path, name: &str) -> TlsSettings {
    TlsSettings {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        authority: folder.join("authority.pem"),
    }
}

/// The names that certificates are issued for.
pub fn names() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().chain([DEVELOPER])
}

/// The folder, locked against other writers.
pub struct Certs {
    home: Home,
    folder: PathBuf,
    /// When each issued certificate expires, in Unix seconds.
    until: BTreeMap<String, i64>,
    _lock: File,
}

impl Certs {
    /// Opens the folder, and creates it if there is none. Waits until no other process has it open, which takes
    /// moments.
    ///
    /// # Errors
    /// If it can't be created or read.
    pub fn open(home: &Home) -> Result<Self> {
        let folder = folder(home);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"))?;
        lock.lock()?;
        let until = match fs::read(folder.join("issued.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { home: home.clone(), folder, until, _lock: lock })
    }

    /// When a name's certificate expires, if it has one.
    #[must_use]
    pub fn until(&self, name: &str) -> Option<OffsetDateTime> {
        let files = settings(&self.folder, name);
        let until = self.until.get(name).and_then(|until| OffsetDateTime::from_unix_timestamp(*until).ok());
        until.filter(|_| files.certificate.exists() && files.key.exists())
    }

    /// Issues what `what` selects and returns the names. A new authority is published first and used a little later, so
    /// that a running fleet trusts it by then; the previous one stays trusted until the next is created.
    ///
    /// # Errors
    /// When a file can't be written.
    pub async fn renew(&mut self, renewal: Renewal, now: OffsetDateTime) -> Result<Vec<&'static str>> {
        let mut renewal = renewal;
        let mut issued = Vec::new();
        if renewal == Renewal::Authority || !self.counts(AUTHORITY, now, AUTHORITY_LEAST_LEFT) {
            let had_one = self.until.contains_key(AUTHORITY);
            self.make_authority(now)?;
            issued.push(AUTHORITY);
            renewal = Renewal::Certificates;
            if had_one {
                tokio::time::sleep(SPREAD).await;
            }
        }
        let due: Vec<_> =
            names().filter(|name| renewal == Renewal::Certificates || !self.counts(name, now, LEAST_LEFT)).collect();
        if due.is_empty() {
            return Ok(issued);
        }
        let authority = Authority::from_key(&fs::read_to_string(self.folder.join("authority.key"))?)?;
        for name in due {
            let until = now + LIFETIME;
            let (certificate, key) = authority.issue(name, now, until)?;
            let files = settings(&self.folder, name);
            self.home.write_private(&files.key, key.as_bytes())?;
            self.home.write_private(&files.certificate, certificate.as_bytes())?;
            self.note(name, until)?;
            issued.push(name);
        }
        Ok(issued)
    }

    fn counts(&self, name: &str, now: OffsetDateTime, least: time::Duration) -> bool {
        self.until(name).is_some_and(|until| until - now >= least)
    }

    fn make_authority(&mut self, now: OffsetDateTime) -> Result<()> {
        let until = now + AUTHORITY_LIFETIME;
        let (certificate, key) = issue::new_authority(now, until)?;
        let files = settings(&self.folder, AUTHORITY);
        let before = fs::read_to_string(&files.authority).unwrap_or_default();
        let newest_before = before.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap_or_default();
        self.home.write_private(&files.key, key.as_bytes())?;
        self.home.write_private(&files.authority, format!("{certificate}{newest_before}").as_bytes())?;
        self.note(AUTHORITY, until)
    }

    fn note(&mut self, name: &str, until: OffsetDateTime) -> Result<()> {
        self.until.insert(name.to_owned(), until.unix_timestamp());
        self.home.write_private(&self.folder.join("issued.json"), &serde_json::to_vec_pretty(&self.until)?)
    }
}

/// Creates what is missing or expires soon, now.
///
/// # Errors
/// When a file can't be written.
pub async fn ensure(home: &Home) -> Result<()> {
    let issued = Certs::open(home)?.renew(Renewal::Due, OffsetDateTime::now_utc()).await;
    let issued = issued.context("can't create the certificates")?;
    if !issued.is_empty() {
        tracing::info!(names = issued.join(" "), "certificates issued");
    }
    Ok(())
}

/// Renews a running fleet's certificates before they expire, until `stop`.
pub async fn keep_fresh(home: Home, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        if let Err(error) = ensure(&home).await {
            tracing::error!(error = format!("{error:#}"), "can't renew certificates");
        }
    }
}

#[cfg(test)]
mod tests;
