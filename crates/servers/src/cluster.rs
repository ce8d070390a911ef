//! The content of PostgreSQL's data folder: created by initdb once, then copied.
//!
//! initdb takes most of a second, a copy of its result a tenth of that. So its first result is cached as a template for
//! each version of PostgreSQL. Either way a data folder appears complete or not at all.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::timeout;

use crate::layout::Layout;
use crate::lock;
use crate::version::Version;

/// The superuser's name.
pub(crate) const SUPERUSER: &str = "postgres";
/// The folder of the cluster that an instance runs on.
pub(crate) const FOLDER: &str = "cluster";
const INITDB_DEADLINE: Duration = Duration::from_secs(120);

/// A data folder of one build of PostgreSQL.
#[derive(Debug)]
pub(crate) struct Cluster {
    bin: PathBuf,
    layout: Layout,
    name: String,
    folder: PathBuf,
    password: Option<String>,
}

impl Cluster {
    pub(crate) fn new(bin: PathBuf, layout: Layout, name: &str, password: Option<String>) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if password.as_ref().is_some_and(|password| password.is_empty() || !password.chars().all(plain)) {
            bail!("the superuser's password may have only letters, digits, '-' and '_'");
        }
        let folder = layout.data(name)?.join(FOLDER);
        Ok(Self { bin, layout, name: name.to_owned(), folder, password })
    }

    /// A cluster to restore a backup into, beside the instance's current one.
    pub(crate) fn restored(bin: PathBuf, layout: Layout, name: &str) -> Result<Self> {
        let folder = layout.data(name)?.join("cluster.restored");
        Ok(Self { bin, layout, name: name.to_owned(), folder, password: None })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the data folder's content if it has none.
    pub(crate) async fn ensure(&self) -> Result<()> {
        if let Ok(major) = std::fs::read_to_string(self.folder.join("PG_VERSION")) {
            let version = self.version().await?;
            if major.trim() != version.major.to_string() {
                bail!(
                    "the data of {} belongs to PostgreSQL {}, the server is {version}; delete it with make reset",
                    self.name,
                    major.trim()
                );
            }
            return Ok(());
        }
        let new = self.layout.data(&self.name)?.join("cluster.new");
        clear(&new)?;
        if let Some(password) = &self.password {
            let file = self.layout.data(&self.name)?.join("password.new");
            write_private(&file, password)?;
            self.layout.give(&file)?;
            let made = self.initdb(&new, Some(&file)).await;
            std::fs::remove_file(&file)?;
            made?;
        } else {
            let template = self.template().await?;
            let layout = self.layout.clone();
            let to = new.clone();
            tokio::task::spawn_blocking(move || copy(&layout, &template, &to)).await??;
        }
        std::fs::rename(&new, &self.folder).context("cannot move the new data folder to its place")
    }

    /// The template of this build, created on first use.
    async fn template(&self) -> Result<PathBuf> {
        let version = self.version().await?;
        let template = self.layout.cache().join(format!("cluster-{version}-{}", std::env::consts::ARCH));
        if template.exists() {
            return Ok(template);
        }
        let _lock = lock::lock_within(&self.layout.lock_path(".template"), INITDB_DEADLINE, || {}).await?;
        if !template.exists() {
            let new = template.with_extension("new");
            clear(&new)?;
            self.initdb(&new, None).await?;
            std::fs::rename(&new, &template)?;
        }
        Ok(template)
    }

    async fn initdb(&self, folder: &Path, password: Option<&Path>) -> Result<()> {
        // Created beforehand, because the servers' user can't write to the cache.
        std::fs::create_dir(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        self.layout.give(folder)?;
        let mut failure = String::new();
        for locale in locales(self.version().await?) {
            let output = self.run_initdb(folder, password, locale).await?;
            if output.status.success() {
                return Ok(());
            }
            failure = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        }
        bail!("initdb failed:\n{failure}")
    }

    async fn run_initdb(&self, folder: &Path, password: Option<&Path>, locale: &[&str]) -> Result<Output> {
        let mut command = self.layout.command(&self.bin.join("initdb"));
        command.arg("-D").arg(folder).args(["-U", SUPERUSER, "-E", "UTF8", "--no-sync"]).args(locale);
        match password {
            Some(file) => command.args(["-A", "scram-sha-256"]).arg("--pwfile").arg(file),
            None => command.args(["-A", "trust"]),
        };
        let output = command.stdin(Stdio::null()).output();
        timeout(INITDB_DEADLINE, output).await.context("initdb timed out")?.context("cannot run initdb")
    }

    async fn version(&self) -> Result<Version> {
        let output = self.layout.command(&self.bin.join("postgres")).arg("--version").stdin(Stdio::null()).output();
        let output = timeout(Duration::from_secs(20), output).await.context("postgres --version timed out")??;
        let text = String::from_utf8_lossy(&output.stdout);
        Version::find(&text).with_context(|| format!("postgres --version prints no version: {text:?}"))
    }
}

/// UTF-8 without the machine's locales: built in since version 17, before that the C library's, which may be missing.
fn locales(version: Version) -> &'static [&'static [&'static str]] {
    if version.major >= 17 {
        &[&["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    } else {
        &[&["--locale=C.UTF-8"], &["--locale=C"]]
    }
}

pub(crate) fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// Copies a folder of plain files and folders, modes included, and gives it to the user that the servers run as.
pub(crate) fn copy(layout: &Layout, from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    layout.give(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(layout, &entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
            layout.give(&target)?;
        }
    }
    Ok(())
}
