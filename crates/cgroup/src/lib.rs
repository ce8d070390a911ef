//! The limits of this process's control group: CPUs and memory.
//!
//! Reads `/proc/self/cgroup`, `/proc/self/mountinfo` and the limits of the process's group and all its parents, in both
//! versions (a machine may have version 1's controllers and an empty version 2). Changes nothing; a file that can't be
//! read sets no limit. Guarantees: the tightest limit applies; results are at least one thread or one piece.
//!
//! Sources: the kernel's `admin-guide/cgroup-v1/memory`, `scheduler/sched-bwc` and `admin-guide/cgroup-v2`;
//! `proc_pid_mountinfo(5)`.

mod mounts;
mod values;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mounts::Mounts;

/// Memory limits of at least this mean "no limit", which version 1 writes as the largest number of whole pages.
const UNLIMITED: u64 = 1 << 60;
/// Connections per CPU: one that computes, and others that wait for the network or the disk.
const CONNECTIONS_PER_CORE: f64 = 4.0;

/// The limits of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// CPUs, with fractions: 0.5 is half a CPU.
    pub cores: f64,
    /// Memory in bytes; `None` if only the machine limits it.
    pub memory: Option<u64>,
}

impl Limits {
    /// The limits of this process, read once, because a container's limits are set when it starts.
    #[must_use]
    pub fn of_process() -> Self {
        static LIMITS: OnceLock<Limits> = OnceLock::new();
        *LIMITS.get_or_init(|| {
            // For systems without /proc. It rounds quotas down to whole CPUs.
            let machine = std::thread::available_parallelism().map_or(1, usize::from);
            Self::read(Path::new("/"), machine)
        })
    }

    /// Reads the limits from the files below `root` (usually `/`): the CPUs that the process may run on (`machine` if no
    /// file lists them), reduced to its groups' quotas, and the memory.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 CPUs")]
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

    /// Number of threads that can compute in parallel without being throttled: the CPUs, rounded up.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of CPUs")]
    pub fn threads(&self) -> usize {
        (self.cores.ceil() as usize).max(1)
    }

    /// Number of connections of a pool: four per CPU, at least two, at most `max`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of CPUs")]
    pub fn connections(&self, max: usize) -> usize {
        ((self.cores * CONNECTIONS_PER_CORE).ceil() as usize).max(2).min(max).max(1)
    }

    /// Number of pieces of `each` bytes that fit into one `part`th of the memory; at least one, at most `max`.
    #[must_use]
    pub fn pieces(&self, max: usize, each: u64, part: u64) -> usize {
        let fit = self.memory.map_or(u64::MAX, |memory| memory / part.max(1) / each.max(1));
        max.min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1)
    }
}

/// An absolute path below another root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
