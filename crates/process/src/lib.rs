//! Processes of this machine by their ids: memory and CPU time, from `/proc` on Linux and `ps` elsewhere, and signals.
//! Starts no process.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// Memory of one process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident set size: pages shared with other processes count in full.
    pub resident: u64,
    /// Proportional set size: shared pages count by their share. Equal to `resident` if the system doesn't report it.
    pub proportional: u64,
}

/// Memory of a process; zero if it has ended.
#[must_use]
pub fn memory(pid: u32) -> Memory {
    let resident = field(&format!("/proc/{pid}/status"), "VmRSS:").or_else(|| ps_resident(pid)).unwrap_or_default();
    let proportional = field(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or(resident);
    Memory { resident, proportional }
}

/// Memory of a process and all its descendants, as PostgreSQL has.
#[must_use]
pub fn memory_of_tree(pid: u32) -> Memory {
    family(pid).into_iter().map(memory).fold(Memory::default(), |sum, one| Memory {
        resident: sum.resident + one.resident,
        proportional: sum.proportional + one.proportional,
    })
}

/// CPU time (user and system) of a process and its living descendants, in clock ticks; `None` if the system doesn't report
/// it.
#[must_use]
pub fn cpu_ticks_of_tree(pid: u32) -> Option<u64> {
    family(pid)
        .into_iter()
        .map(cpu_ticks)
        .try_fold(0, |sum, ticks| Some(sum + ticks.unwrap_or_default()))
        .filter(|ticks| *ticks > 0)
}

/// CPU ticks of the whole machine: (busy, all); `None` if the system doesn't report them.
#[must_use]
pub fn machine_ticks() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let all: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Some((all - idle, all))
}

/// Sends a signal to a process.
///
/// # Errors
/// It has ended, or belongs to another user.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = raw.with_context(|| format!("{pid} is not a process id; use 1 to {}", i32::MAX))?;
    kill_process(process, signal).with_context(|| format!("process {pid} can't be signalled"))
}

/// Clock ticks per second.
#[must_use]
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// CPU time of the process, and of its children that have ended and been waited for.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.rsplit_once(')')?.1;
    Some(after_name.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum())
}

/// A process and its descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let Ok(text) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) else { continue };
        found.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    found
}

fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn ps_resident(pid: u32) -> Option<u64> {
    let output = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_counted_with_its_parent_until_a_signal_ends_it() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(memory(child.id()).resident > 0);
        assert!(memory_of_tree(std::process::id()).resident > memory(child.id()).resident);
        signal(child.id(), Signal::KILL).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(memory(child.id()).resident, 0);
    }

    #[test]
    fn an_invalid_process_id_is_refused() {
        for pid in [0, u32::MAX] {
            assert!(signal(pid, Signal::TERM).unwrap_err().to_string().contains("not a process id"), "{pid}");
        }
    }
}
