//! Recovery of a cluster from a base backup and a WAL archive.
//!
//! The new cluster is created beside the current one and replays the archive up to the target with its own server. It
//! replaces the current one only after that has succeeded; the current one is renamed, never removed. Backup folders are
//! outside the layout, so the user that the servers run as is given access to them.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::{self, Cluster};
use crate::instance::{self, Server};
use crate::layout::{self, Layout};
use crate::postgres::{PostgresKind, PostgresOptions};
use crate::provision::Binaries;

/// How far WAL is replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the end of the archive.
    End,
    /// To the last transaction committed at or before this time, in PostgreSQL's format.
    Time(String),
    /// To a restore point of this name.
    Name(String),
}

/// What to recover a cluster from, and how far.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// A base backup as `pg_basebackup` writes it, in the plain format.
    pub base: PathBuf,
    /// The folder of archived segments, of which the last may be `.partial`. Without one, only the end of the backup
    /// itself can be restored.
    pub archive: Option<PathBuf>,
    /// How far.
    pub target: Target,
    /// How long the replay may take.
    pub start_timeout: Duration,
}

impl Layout {
    /// Creates a folder outside the layout that the user that the servers run as can traverse, to reach folders
    /// inside it that [`create_writable`](Self::create_writable) creates.
    ///
    /// # Errors
    /// It can't be created, or its permissions can't be set.
    pub fn create_traversable(&self, folder: &Path) -> Result<()> {
        layout::create_private(folder)?;
        let Some(user) = self.run_as() else { return Ok(()) };
        std::os::unix::fs::chown(folder, None, Some(user.gid))?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o710))?;
        Ok(())
    }

    /// Creates a folder outside the layout that the user that the servers run as can write to. An existing folder must be
    /// empty or owned by that user, so that no other folder changes its owner.
    ///
    /// # Errors
    /// It isn't empty, can't be created, or can't be reached by that user.
    pub fn create_writable(&self, folder: &Path) -> Result<PathBuf> {
        layout::create_private(folder)?;
        let folder = folder.canonicalize()?;
        let Some(user) = self.run_as() else { return Ok(folder) };
        let is_theirs = std::fs::metadata(&folder)?.uid() == user.uid;
        if !is_theirs && std::fs::read_dir(&folder)?.next().is_some() {
            bail!("{} is not empty; choose a new folder", folder.display());
        }
        if folder.parent().is_some_and(|parent| !user.may_reach(parent)) {
            bail!(
                "the servers run as {}, who can't reach {}; choose a folder whose parents are accessible to all users, \
                 such as one under /var/backups",
                user.user,
                folder.display()
            );
        }
        self.give(&folder)?;
        Ok(folder)
    }
}

impl Server<PostgresKind> {
    /// Creates a cluster from a base backup beside the instance's current one, and starts a server that replays the archive
    /// up to the target. When this returns, the target is reached and the server responds as a primary on a new timeline.
    ///
    /// # Errors
    /// The instance is running, the backup belongs to another major version, the target isn't in the archive, or the
    /// replay takes too long; the error then has the end of the server's log. The current cluster is unchanged.
    pub async fn recover(
        binaries: &Binaries,
        layout: &Layout,
        name: &str,
        recovery: &Recovery,
        mut options: PostgresOptions,
    ) -> Result<Self> {
        let claim = instance::claim(layout, name).await?;
        let cluster = Cluster::restored(binaries.postgres.clone(), layout.clone(), name)?;
        cluster::clear(cluster.folder())?;
        let (own, from, to) = (layout.clone(), recovery.base.clone(), cluster.folder().to_owned());
        tokio::task::spawn_blocking(move || cluster::copy(&own, &from, &to)).await??;
        if let Some(archive) = &recovery.archive {
            let signal = cluster.folder().join("recovery.signal");
            File::create(&signal)?;
            layout.give(&signal)?;
            options.settings.extend(settings(archive, &recovery.target)?);
        } else if recovery.target != Target::End {
            bail!("without a WAL archive only the end of the backup can be restored");
        }
        Self::run(binaries, layout, name, cluster, options, recovery.start_timeout, claim).await
    }

    /// Replaces the instance's current cluster by the recovered one, whose server must be stopped. The current one is
    /// renamed with `stamp` in its name; returns its new path, if there was one.
    ///
    /// # Errors
    /// The server is still running, or a folder can't be renamed.
    pub fn replace_current(mut self, stamp: &str) -> Result<Option<PathBuf>> {
        if self.is_running() {
            bail!("{} is running; stop it before moving its data", self.name());
        }
        let restored = self.data();
        let folder = restored.parent().context("the cluster's folder has no parent")?;
        let (present, aside) = (folder.join(cluster::FOLDER), folder.join(format!("cluster.before-{stamp}")));
        let there = present.exists();
        if there {
            std::fs::rename(&present, &aside).with_context(|| format!("{} can't be renamed", present.display()))?;
        }
        std::fs::rename(&restored, &present).context("the restored data can't be renamed")?;
        File::open(folder)?.sync_all()?;
        Ok(there.then_some(aside))
    }
}

/// Settings with which a server with `recovery.signal` replays up to the target and continues as a primary.
fn settings(archive: &Path, target: &Target) -> Result<Vec<(String, String)>> {
    let archive = archive.to_str().context("the archive's path is not UTF-8")?;
    // Quoted for the shell, and then for PostgreSQL, which expands percent signs.
    let archive = format!("'{}'", archive.replace('\'', r"'\''")).replace('%', "%%");
    let mut settings = vec![
        (
            "restore_command",
            // A status up to 125 means that the file doesn't exist, so that the replay may end there; above, it must not.
            format!(
                "if test -f {archive}/%f; then cp {archive}/%f %p || exit 255; \
                 elif test -f {archive}/%f.partial; then cp {archive}/%f.partial %p || exit 255; \
                 else exit 1; fi"
            ),
        ),
        ("recovery_target_action", "promote".to_owned()),
        ("recovery_target_timeline", "current".to_owned()),
        ("hot_standby", "off".to_owned()),
    ];
    match target {
        Target::End => {}
        Target::Time(time) => settings.push(("recovery_target_time", time.clone())),
        Target::Name(name) => settings.push(("recovery_target_name", name.clone())),
    }
    Ok(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_restore_command_quotes_special_characters_in_paths() {
        let settings = settings(Path::new("/a 100%/it's"), &Target::Name("x".into())).unwrap();
        let command = &settings[0].1;
        assert!(command.contains(r"cp '/a 100%%/it'\''s'/%f %p"), "{command}");
        assert_eq!(settings.last().unwrap(), &("recovery_target_name".to_owned(), "x".to_owned()));
    }

    #[test]
    fn a_segment_that_cannot_be_copied_is_not_taken_for_the_end_of_the_archive() {
        let place = tempfile::tempdir().unwrap();
        let archive = place.path().join("100% it's");
        std::fs::create_dir(&archive).unwrap();
        std::fs::write(archive.join("closed"), b"1").unwrap();
        std::fs::write(archive.join("open.partial"), b"2").unwrap();
        let restore = |file: &str, to: &str| {
            let to = place.path().join(to);
            let command = &settings(&archive, &Target::End).unwrap()[0].1;
            let command = command.replace("%f", file).replace("%p", to.to_str().unwrap()).replace("%%", "%");
            let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
            (output.status.code(), std::fs::read_to_string(to).unwrap_or_default())
        };
        assert_eq!(restore("closed", "x"), (Some(0), "1".to_owned()));
        assert_eq!(restore("open", "y"), (Some(0), "2".to_owned()));
        assert_eq!(restore("closed", "nowhere/x").0, Some(255));
        assert_eq!(restore("open", "nowhere/x").0, Some(255));
        assert_eq!(restore("absent", "z").0, Some(1));
    }

    #[test]
    fn a_writable_folder_is_empty_or_owned_by_the_servers_user() {
        let place = tempfile::tempdir().unwrap();
        let layout = Layout::open(&place.path().join(".flotilla")).unwrap();
        let Some(user) = layout.run_as().cloned() else {
            // An ordinary user's servers run as that user, so no owner changes.
            layout.create_writable(&place.path().join("backup")).unwrap();
            return;
        };
        let used = place.path().join("used");
        std::fs::create_dir(&used).unwrap();
        std::fs::write(used.join("file"), b"").unwrap();
        assert!(layout.create_writable(&used).unwrap_err().to_string().contains("is not empty"));
        assert_eq!(std::fs::metadata(&used).unwrap().uid(), 0);
        let closed = place.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let refused = layout.create_writable(&closed.join("backup")).unwrap_err().to_string();
        assert!(refused.contains(&user.user) && refused.contains("/var/backups"), "{refused}");
        layout.create_traversable(&closed).unwrap();
        let created = layout.create_writable(&closed.join("backup")).unwrap();
        assert_eq!(std::fs::metadata(created).unwrap().uid(), user.uid);
    }
}
