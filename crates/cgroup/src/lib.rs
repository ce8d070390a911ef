//! The limits of this process's control group: processors and memory.
//!
//! Reads `/proc/self/cgroup`, `/proc/self/mountinfo` and the limits of the process's group and of all groups around
//! it, of both versions (a machine may have version 1's controllers beside an empty version 2). Owns nothing, changes
//! nothing; a file that can't be read limits nothing. Guarantees: the narrowest limit counts; no answer is below one
//! thread or one piece.
//!
//! Sources: the kernel's `admin-guide/cgroup-v1/memory`, `scheduler/sched-bwc` and `admin-guide/cgroup-v2`;
//! `proc_pid_mountinfo(5)`.

mod mounts;
mod values;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mounts::Mounts;

/// A memory limit from here on is none: version 1 writes "no limit" as the largest number of whole pages.
const UNLIMITED: u64 = 1 << 60;
/// Connections for each processor: one that computes, and others that wait for the network or the disk.
const CONNECTIONS_PER_CORE: f64 = 4.0;

/// What a process may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Processors, as a share of time: half a processor is 0.5.
    pub cores: f64,
    /// Bytes of memory; `None` where only the machine limits it.
    pub memory: Option<u64>,
}

impl Limits {
    /// Those of this process, read once: a container's limits are given at its start.
    #[must_use]
    pub fn of_process() -> Self {
        static LIMITS: OnceLock<Limits> = OnceLock::new();
        *LIMITS.get_or_init(|| {
            // For systems without /proc: it rounds quotas down to whole processors.
            let machine = std::thread::available_parallelism().map_or(1, usize::from);
            Self::read(Path::new("/"), machine)
        })
    }

    /// Those that the files below `root` (usually `/`) tell: of the processors that the process may run on, `machine`
    /// where no file names them, as many as its groups' quotas give.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 processors")]
    pub fn read(root: &Path, machine: usize) -> Self {
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
        let machine = values::allowed(&text("proc/self/status")).unwrap_or(machine);
        let mut limits = Self { cores: machine.max(1) as f64, memory: None };
        let mounts = Mounts::parse(&text("proc/self/mountinfo"));
        for line in text("proc/self/cgroup").lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            for folder in mounts.folders(controllers, group) {
                let folder = inside(root, &folder);
                if let Some(cores) = values::cores(&folder) {
                    limits.cores = limits.cores.min(cores);
                }
                if let Some(bytes) = values::memory(&folder).filter(|bytes| *bytes < UNLIMITED) {
                    limits.memory = Some(limits.memory.map_or(bytes, |known| known.min(bytes)));
                }
            }
        }
        limits
    }

    /// The memory limit in bytes: the control group's, or else the machine's; `None` if neither is known.
    #[must_use]
    pub fn available_memory(&self) -> Option<u64> {
        let machine = || values::machine(&std::fs::read_to_string("/proc/meminfo").ok()?);
        self.memory.or_else(machine)
    }

    /// Threads that compute at the same time without throttling each other: whole processors, rounded up.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of processors")]
    pub fn threads(&self) -> usize {
        (self.cores.ceil() as usize).max(1)
    }

    /// Connections of a pool: four for each processor, at most `most`, at least two.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of processors")]
    pub fn connections(&self, most: usize) -> usize {
        ((self.cores * CONNECTIONS_PER_CORE).ceil() as usize).max(2).min(most).max(1)
    }

    /// At most `most` pieces of `each` bytes, and no more than together fill one `part`th of the memory; at least one.
    #[must_use]
    pub fn pieces(&self, most: usize, each: u64, part: u64) -> usize {
        let fit = self.memory.map_or(u64::MAX, |memory| memory / part.max(1) / each.max(1));
        most.min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1)
    }
}

/// An absolute path below another root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
