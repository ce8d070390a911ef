//! The files with the limits of one group.

use std::fs;
use std::path::Path;

/// Number of CPUs that a process may run on, from its `/proc/PID/status`: affinity and cpusets, without quotas. The list
/// has numbers and ranges: `0-3,8`.
pub fn allowed(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let count = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    list.trim().split(',').map(count).sum()
}

/// CPUs that a group may use; `None` if it sets no limit.
pub fn cores(group: &Path) -> Option<f64> {
    let (quota, period) = match fs::read_to_string(group.join("cpu.max")) {
        // Version 2: "50000 100000", or "max 100000".
        Ok(text) => {
            let mut words = text.split_whitespace();
            (words.next()?.parse::<f64>().ok()?, words.next()?.parse::<f64>().ok()?)
        }
        // Version 1: -1 means no limit.
        Err(_) => (number(group, "cpu.cfs_quota_us")?, number(group, "cpu.cfs_period_us")?),
    };
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// Bytes of memory that a group may use; `None` if it sets no limit.
pub fn memory(group: &Path) -> Option<u64> {
    // Version 2 writes "max" for no limit.
    ["memory.max", "memory.limit_in_bytes"].into_iter().find_map(|name| number(group, name))
}

/// Bytes of the machine's memory, from `/proc/meminfo`.
pub fn machine(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn number<T: std::str::FromStr>(group: &Path, file: &str) -> Option<T> {
    fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
}
