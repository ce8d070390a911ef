//! The folders of data, caches and logs: their paths, owners and locks.
//!
//! ```text
//! .flotilla/            0700 (as root 0710 with the servers' group when it holds their home)
//!   run-as.json         as root: the servers' user and the home chosen for them
//!   locks/ logs/        one file per instance
//!   servers/            the home; elsewhere when root's clone can't be reached by the servers' user
//!     cache/            unpacked binaries, shared by all runs
//!     data/<instance>/  0700, owned by the user that the servers run as
//! ```

mod record;

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use self::record::{Record, as_root};
use crate::lock;
use crate::run_as::RunAs;

/// Where binaries and data are kept, and the user that servers run as.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    home: PathBuf,
    cache: PathBuf,
    run_as: Option<RunAs>,
}

impl Layout {
    /// Opens the repository's `.flotilla` folder and creates missing subfolders.
    ///
    /// For an ordinary user everything is kept inside it. For root, an unprivileged user is chosen and recorded; if that
    /// user can't reach the folder (a clone under /root), binaries and data go to a new folder under /var/tmp that the user
    /// owns. Its path is recorded too, and its ownership is checked on each later run.
    ///
    /// # Errors
    /// A folder can't be created or belongs to another user, or root finds no user to run servers as.
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root)?;
        create_private(&root)?;
        let root = root.canonicalize()?;
        let me = rustix::process::geteuid();
        let owner = std::fs::metadata(&root)?.uid();
        if !me.is_root() && owner != me.as_raw() {
            bail!("{} belongs to another user (was it created as root?); remove it and run again", root.display());
        }
        for folder in ["locks", "logs"] {
            create_private(&root.join(folder))?;
        }
        let (home, run_as) = if me.is_root() {
            let _lock = lock::lock_briefly(&root.join("locks/.layout.lock"), Duration::from_secs(10))?;
            let record = as_root(&root)?;
            (record.home, Some(record.run_as))
        } else {
            (root.join("servers"), None)
        };
        let layout = Self { root, cache: home.join("cache"), home, run_as };
        create_private(&layout.home)?;
        layout.give(&layout.home)?;
        create_private(&layout.data_folder())?;
        layout.give(&layout.data_folder())?;
        // The cache stays root's, so that the servers can't change their own binaries.
        create_private(layout.cache())?;
        std::fs::set_permissions(layout.cache(), Permissions::from_mode(0o755))?;
        Ok(layout)
    }

    /// The `.flotilla` folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Unpacked binaries, shared by all runs.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The user that servers run as; `None` for an ordinary user, whose servers run as that user.
    #[must_use]
    pub fn run_as(&self) -> Option<&RunAs> {
        self.run_as.as_ref()
    }

    /// The private data folder of an instance, created on first use and owned by the user that the servers run as.
    ///
    /// # Errors
    /// The name isn't a plain word, or the folder can't be created.
    pub fn data(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        let folder = self.data_folder().join(name);
        create_private(&folder)?;
        self.give(&folder)?;
        Ok(folder)
    }

    /// The log file of an instance.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// A command that runs as the servers' user, in a folder that this user can read, without the environment variables
    /// that change how PostgreSQL's programs behave. All binaries in the cache must be run through this, including tools
    /// (`psql`, `pgbench`): otherwise they would run with root's rights.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        // A locale that the machine lacks makes PostgreSQL refuse to start on macOS.
        command.env_remove("LANG").env("LC_ALL", "C").current_dir(&self.home).kill_on_drop(true);
        if let Some(user) = &self.run_as {
            command.uid(user.uid).gid(user.gid).env("HOME", &self.home).env("USER", &user.user);
        }
        command
    }

    /// Removes the data, logs and locks of exactly these instances, not of others whose names start with theirs.
    ///
    /// # Errors
    /// One of them is still running (then nothing is removed), or a folder can't be removed.
    pub fn forget(&self, names: &[String]) -> Result<()> {
        let mut claims = Vec::new();
        for name in names {
            let Some(claim) = self.claim(name)? else {
                bail!("{name} still runs: stop it first (make down)");
            };
            claims.push(claim);
        }
        for name in names {
            if self.data_folder().join(name).exists() {
                self.remove(name)?;
            }
            self.forget_logs(name)?;
            remove_if_there(&self.lock_path(name))?;
        }
        Ok(())
    }

    /// The data folder of an instance, if it has one.
    #[must_use]
    pub fn existing_data(&self, name: &str) -> Option<PathBuf> {
        Some(self.data_folder().join(name)).filter(|folder| folder.exists())
    }

    /// Removes the data, logs and locks of instances whose name starts with `prefix` and that no process uses, such as
    /// leftovers of killed test runs. Returns their number.
    ///
    /// # Errors
    /// A folder can't be read or removed.
    pub fn sweep(&self, prefix: &str) -> Result<usize> {
        let mut swept = 0;
        for name in self.instances(prefix)? {
            let Some(_lock) = self.claim(&name)? else { continue };
            self.remove(&name)?;
            self.forget_logs(&name)?;
            remove_if_there(&self.lock_path(&name))?;
            swept += 1;
        }
        Ok(swept)
    }

    /// Claims an instance's name for this process for as long as the file is open; `None` if another process has it.
    pub(crate) fn claim(&self, name: &str) -> Result<Option<File>> {
        check_name(name)?;
        lock::try_lock(&self.lock_path(name))
    }

    /// Replaces a file with one that only the servers' user can read.
    pub(crate) fn write_private(&self, path: &Path, text: &str) -> Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        // A file from an earlier run may have other permissions.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", path.display()));
            }
            _ => {}
        }
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.give(path)
    }

    /// Makes the user that the servers run as the owner of a file or folder.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        self.run_as.as_ref().map_or(Ok(()), |user| user.own(path))
    }

    pub(crate) fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(format!("{name}.lock"))
    }

    fn data_folder(&self) -> PathBuf {
        self.home.join("data")
    }

    fn instances(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.data_folder())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) && check_name(&name).is_ok() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes the log and its rotated files.
    fn forget_logs(&self, name: &str) -> Result<()> {
        let current = format!("{name}.log");
        for entry in std::fs::read_dir(self.root.join("logs"))? {
            let path = entry?.path();
            let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            let number = file.strip_prefix(&current).map(|rest| rest.trim_start_matches('.'));
            if number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit())) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let folder = self.data_folder().join(name);
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

/// The data folder of an instance below a `.flotilla` folder, if it has one. Nothing is created or changed.
#[must_use]
pub fn data_below(root: &Path, name: &str) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let record = std::fs::read(root.join("run-as.json")).ok();
    let record = record.and_then(|text| serde_json::from_slice::<Record>(&text).ok());
    let home = record.filter(|record| record.root == root).map_or_else(|| root.join("servers"), |record| record.home);
    Some(home.join("data").join(name)).filter(|folder| folder.exists())
}

pub(crate) fn create_private(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot create {}", folder.display()))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Accepts plain words only, because names become file names and parts of commands.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        bail!("invalid instance name {name:?}; use 1 to 64 letters, digits, '-' or '_'");
    }
    Ok(())
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
