//! The folder of the tests' servers. `FLOTILLA_SERVERS_ROOT` replaces the workspace's `.flotilla`, for runs as another
//! user.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flotilla_servers::{Binaries, Layout, provision};

pub(crate) struct Fixture {
    pub(crate) layout: Layout,
    pub(crate) binaries: Binaries,
    names: Vec<String>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let layout = Layout::open(&root()).expect("the layout opens");
        let binaries = provision(&layout, &|line| println!("{line}")).await.expect("the servers are available");
        Self { layout, binaries, names: Vec::new() }
    }

    /// A name that no other test uses, now or in another run.
    pub(crate) fn name(&mut self, server: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("it-{}-{}-{server}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.names.push(name.clone());
        name
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for name in &self.names {
            let _used = self.layout.sweep(name);
        }
    }
}

pub(crate) fn root() -> PathBuf {
    std::env::var_os("FLOTILLA_SERVERS_ROOT")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla"), PathBuf::from)
}

/// Whether a process exists and hasn't ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    if std::path::Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        return stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'));
    }
    let output =
        std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("ps runs");
    let state = String::from_utf8_lossy(&output.stdout);
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Asserts that the password is in a file that only the server's user can read, and neither in the process's arguments
/// nor in its log.
pub(crate) fn assert_kept_secret(pid: u32, file: &Path, log: &Path, password: &str) {
    // A server that runs as another user may have its home elsewhere.
    if let Ok(held) = std::fs::metadata(file) {
        assert_eq!(held.permissions().mode() & 0o777, 0o600, "{}", file.display());
        assert!(std::fs::read_to_string(file).unwrap().contains(password));
    }
    let shown = std::process::Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output();
    let shown = shown.map(|output| output.stdout).or_else(|_| std::fs::read(format!("/proc/{pid}/cmdline"))).unwrap();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("server") && !shown.contains(password), "{shown}");
    assert!(!std::fs::read_to_string(log).unwrap().contains(password), "{}", log.display());
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, deadline: Duration, condition: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + deadline;
    while !condition() {
        assert!(tokio::time::Instant::now() < until, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
