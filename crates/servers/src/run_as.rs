//! The unprivileged user that servers run as when Flotilla is started by root.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// An unprivileged user of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// Name in the passwd file, where PostgreSQL looks it up.
    pub user: String,
    /// User id, never zero.
    pub uid: u32,
    /// Group id; supplementary groups are dropped.
    pub gid: u32,
}

/// In this order of preference: users that own no files come first.
const PREFERRED: [&str; 5] = ["nobody", "postgres", "_postgres", "daemon", "bin"];

impl RunAs {
    /// Picks a user that this process can actually switch to: user namespaces may map only a few ids.
    pub(crate) fn choose() -> Result<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let users = candidates(&passwd);
        match users.into_iter().find(Self::works) {
            Some(user) => Ok(user),
            None => bail!(
                "PostgreSQL refuses to run as root, and no unprivileged user of /etc/passwd can be used; \
                 add one (useradd --system flotilla) or run as an ordinary user"
            ),
        }
    }

    /// Whether the record still names a user of this machine.
    pub(crate) fn still_exists(&self) -> bool {
        std::fs::read_to_string("/etc/passwd").is_ok_and(|passwd| parse(&passwd).any(|user| user == *self))
    }

    /// Whether the user can traverse this folder, by its permission bits.
    pub(crate) fn may_traverse(&self, folder: &Metadata) -> bool {
        let bit = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & bit != 0
    }

    /// Whether the user can traverse the folder and all its parents.
    pub(crate) fn may_reach(&self, folder: &Path) -> bool {
        folder.ancestors().all(|part| std::fs::metadata(part).is_ok_and(|part| self.may_traverse(&part)))
    }

    /// Makes this user the owner of a file or folder.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to the user {}", path.display(), self.user))
    }

    fn works(&self) -> bool {
        Command::new("/bin/sh")
            .args(["-c", ":"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .uid(self.uid)
            .gid(self.gid)
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// Unprivileged users, the preferred ones first.
fn candidates(passwd: &str) -> Vec<RunAs> {
    let mut users: Vec<RunAs> = parse(passwd).collect();
    users.sort_by_key(|user| PREFERRED.iter().position(|name| *name == user.user).unwrap_or(PREFERRED.len()));
    users
}

fn parse(passwd: &str) -> impl Iterator<Item = RunAs> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let user = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0 && gid != 0).then_some(RunAs { user, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        # a comment\n\
        ann:x:1000:1000::/home/ann:/bin/sh\n\
        toor:x:0:0::/:/bin/sh\n\
        macs-nobody:*:-2:-2::/var/empty:/usr/bin/false\n\
        postgres:x:101:104::/:/bin/sh\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn users_that_own_nothing_come_first_and_root_never() {
        let names: Vec<String> = candidates(PASSWD).into_iter().map(|user| user.user).collect();
        assert_eq!(names, ["nobody", "postgres", "ann"]);
    }

    #[test]
    fn a_private_parent_cannot_be_traversed() {
        let folder = tempfile::tempdir().unwrap();
        let stranger = RunAs { user: "stranger".into(), uid: 54_321, gid: 54_321 };
        let set = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o700);
        assert!(!stranger.may_reach(folder.path()));
        set(0o711);
        assert!(stranger.may_traverse(&std::fs::metadata(folder.path()).unwrap()));
    }
}
