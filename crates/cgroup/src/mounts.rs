//! The mount points of control groups.

use std::path::{Path, PathBuf};

/// One mounted hierarchy.
struct Mount {
    /// The group at the mount point: `/`, or a container's own group if its runtime mounts only that.
    group: PathBuf,
    /// The mount point.
    point: PathBuf,
    /// Version 1's controllers; `None` for version 2.
    controllers: Option<Vec<String>>,
}

/// All mounted hierarchies.
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads `/proc/self/mountinfo`: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE SUPER-OPTIONS`.
    pub fn parse(mountinfo: &str) -> Self {
        Self(mountinfo.lines().filter_map(mount).collect())
    }

    /// The folders of a group and its visible parents, innermost first. `controllers` is empty for version 2.
    pub fn folders(&self, controllers: &str, group: &str) -> Vec<PathBuf> {
        let mine = |mount: &&Mount| match &mount.controllers {
            None => controllers.is_empty(),
            Some(mounted) => controllers.split(',').any(|one| !one.is_empty() && mounted.iter().any(|m| m == one)),
        };
        self.0.iter().filter(mine).flat_map(|mount| mount.folders(Path::new(group))).collect()
    }
}

impl Mount {
    fn folders(&self, group: &Path) -> Vec<PathBuf> {
        // A group outside the mount, or named in another namespace, is treated as the mount point itself.
        let below = group.strip_prefix(&self.group).unwrap_or(Path::new(""));
        below.ancestors().map(|part| self.point.join(part)).collect()
    }
}

fn mount(line: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let (mut place, mut kind) = (place.split(' ').skip(3), kind.split(' '));
    let (group, point) = (unescaped(place.next()?), unescaped(place.next()?));
    let controllers = match kind.next()? {
        "cgroup2" => None,
        "cgroup" => Some(kind.nth(1)?.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Mount { group: group.into(), point: point.into(), controllers })
}

/// Blanks are written as octal escapes.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}
