//! Lists child processes and checks whether a process is alive. Reads `/proc` if it exists, else runs `ps`: minimal
//! containers lack `ps`, macOS lacks `/proc`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::Instant;

/// Sends the signal; it is no error if the process has already ended.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _gone = kill_process(pid, signal);
    }
}

/// The direct children of a process. That suffices for PostgreSQL, whose processes are all children of the postmaster.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let pairs = if has_proc() { from_proc() } else { from_ps() };
    pairs.into_iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid).collect()
}

/// Whether the process runs. A zombie doesn't.
pub(crate) fn is_alive(pid: u32) -> bool {
    if has_proc() {
        return stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'));
    }
    to_pid(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// The program's name, which the kernel may truncate.
pub(crate) fn program(pid: u32) -> Option<String> {
    if has_proc() {
        return std::fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned());
    }
    let path = ps(&["-o", "comm=", "-p", &pid.to_string()])?;
    Path::new(path.trim()).file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Waits until none of them is left, for at most `deadline`.
pub(crate) async fn all_gone(pids: &[u32], deadline: Duration) -> bool {
    let until = Instant::now() + deadline;
    while pids.iter().any(|pid| is_alive(*pid)) {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// Ends a server that a previous owner left on this data folder: waits in case its guard is stopping it, then signals it,
/// then kills it. A process with this pid that isn't the server is left alone.
pub(crate) async fn end_leftover(pid: u32, program: &str, folder: &Path, polite: Signal) {
    let is_it = || is_alive(pid) && is_server(pid, program, folder);
    let steps = [(None, 3), (Some(polite), 10), (Some(Signal::KILL), 5)];
    for (step, grace) in steps {
        if !is_it() {
            return;
        }
        if let Some(step) = step {
            tracing::warn!(pid, program, signal = step.as_raw(), "stopping a server left by an earlier run");
            signal(pid, step);
        }
        all_gone(&[pid], Duration::from_secs(grace)).await;
    }
}

/// Compares the name, of which the kernel keeps 15 characters, and, if available, the working directory.
fn is_server(pid: u32, program: &str, folder: &Path) -> bool {
    let named = self::program(pid).is_some_and(|name| !name.is_empty() && program.starts_with(&name));
    let works_there =
        || std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|works_in| works_in.starts_with(folder));
    named && (!has_proc() || works_there())
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

fn from_proc() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| stat(pid).map(|(_, parent)| (pid, parent)))
        .collect()
}

/// State and parent pid. They follow the name, which is in parentheses and may contain any character.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn from_ps() -> Vec<(u32, u32)> {
    let Some(text) = ps(&["-A", "-o", "pid=,ppid="]) else { return Vec::new() };
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect()
}

fn ps(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ps").args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_a_dead_one_is_not_alive() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        assert!(is_alive(child.id()));
        assert_eq!(program(child.id()).as_deref(), Some("sleep"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }
}
