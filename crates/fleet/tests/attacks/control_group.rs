//! A control group (version 1 or 2) with a memory limit.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::process::Command;

/// Where a version of control groups keeps what.
struct Files {
    /// The mount point.
    root: &'static str,
    /// A file that exists if it is mounted.
    mark: &'static str,
    /// The controller in `/proc/self/cgroup`; version 2 names none.
    controller: &'static str,
    limit: &'static str,
    /// The limit of swap; in version 1 of memory and swap together.
    swap: &'static str,
    peak: &'static str,
    /// Has a line `oom_kill N`.
    events: &'static str,
    /// How many groups to try as the parent: this process's group, then its ancestors. In version 2 a group that has
    /// processes can't limit the memory of children, but an ancestor may.
    tried: usize,
}

const VERSION_1: Files = Files {
    root: "/sys/fs/cgroup/memory",
    mark: "memory.usage_in_bytes",
    controller: "memory",
    limit: "memory.limit_in_bytes",
    swap: "memory.memsw.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
    tried: 1,
};
const VERSION_2: Files = Files {
    root: "/sys/fs/cgroup",
    mark: "cgroup.controllers",
    controller: "",
    limit: "memory.max",
    swap: "memory.swap.max",
    peak: "memory.peak",
    events: "memory.events",
    tried: usize::MAX,
};

/// The group. Dropped, it is removed if it has no process.
pub struct ControlGroup {
    folder: PathBuf,
    files: Files,
}

impl ControlGroup {
    /// Creates one with a limit of `bytes` and no swap, below the group of this process or one of its ancestors.
    ///
    /// # Errors
    /// Why none can be created.
    pub fn with_memory(bytes: u64) -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("no control groups: {error}"))?;
        let mut reason = "no control groups of memory are mounted".to_owned();
        for files in [VERSION_1, VERSION_2] {
            if !Path::new(files.root).join(files.mark).exists() {
                continue;
            }
            for folder in folders(&files, &groups) {
                let folder = folder.join(format!("flotilla-attacks-{}", std::process::id()));
                match make(&folder, &files, bytes) {
                    Ok(()) => return Ok(Self { folder, files }),
                    Err(error) => reason = format!("{}: {error}", folder.display()),
                }
            }
        }
        Err(reason)
    }

    /// A command that runs `program` in the group.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(self.folder.join("cgroup.procs")).arg(program);
        command
    }

    /// The peak memory in bytes, page cache included; `None` if the kernel doesn't report it.
    pub fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.folder.join(self.files.peak)).ok()?.trim().parse().ok()
    }

    /// How many processes the kernel has killed for lack of memory.
    pub fn killed(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.files.events)).unwrap();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap();
        killed.parse().unwrap()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Fails if a process is still in it.
        drop(fs::remove_dir(&self.folder));
    }
}

/// This process's group, of lines `ID:CONTROLLERS:GROUP`.
fn own_group<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (_, named) = line.split_once(':')?;
        let (controllers, group) = named.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then_some(group)
    })
}

/// The folders of this process's group and of its ancestors, as far as they are visible.
fn folders(files: &Files, groups: &str) -> Vec<PathBuf> {
    let own = Path::new(own_group(groups, files.controller).unwrap_or("/"));
    let folder = |group: &Path| Path::new(files.root).join(group.strip_prefix("/").unwrap_or(group));
    own.ancestors().map(folder).filter(|folder| folder.exists()).take(files.tried).collect()
}

fn make(folder: &Path, files: &Files, bytes: u64) -> io::Result<()> {
    fs::create_dir(folder)?;
    let limited = fs::write(folder.join(files.limit), bytes.to_string());
    if limited.is_err() {
        // The parent doesn't delegate the memory controller.
        fs::remove_dir(folder)?;
        return limited;
    }
    let swap = if files.controller.is_empty() { 0 } else { bytes };
    // The file is missing if swap isn't accounted for.
    drop(fs::write(folder.join(files.swap), swap.to_string()));
    Ok(())
}
